"""FORMAT UNIT, from its CDB to the blocks."""

import errno

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.errors import BackstoreError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Response
from tests.support.disk import Memory
from tests.support.primary import CachedMemory, in_cdb, in_list, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, write_10

FMTDATA, LONGLIST, CMPLST = 0x10, 0x20, 0x08
FOV, IP, IMMED = 0x80, 0x08, 0x02
IN_PROGRESS = Sense.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS
TOO_SHORT = (Sense.PARAMETER_LIST_LENGTH_ERROR, None)


def format_unit(flags: int = 0) -> bytes:
    """FORMAT UNIT."""
    return bytes((0x04, flags, 0, 0, 0, 0))


def short_list(flags: int = 0, *, usage: int = 0, defects: int = 0, rest: bytes = b"") -> bytes:
    """A parameter list with the short header."""
    return bytes((usage, flags)) + defects.to_bytes(2) + rest


def pattern_descriptor(pattern: bytes, *, kind: int = 1, modifiers: int = 0, length: int | None = None) -> bytes:
    """An initialization pattern descriptor."""
    size = len(pattern) if length is None else length
    return bytes((modifiers, kind)) + size.to_bytes(2) + pattern


def filled(capabilities: Capabilities) -> tuple[Bench, Memory]:
    """A target whose unit is full of something."""
    memory = Memory(1 << 20, write_back=False, capabilities=capabilities)
    memory.content[:] = b"x" * (1 << 20)
    return Bench(unit=LogicalUnit(memory)), memory


@pytest.mark.parametrize("discard", [False, True])
@pytest.mark.parametrize(
    ("flags", "data"),
    [
        (0, b""),
        (FMTDATA, short_list()),
        (FMTDATA | CMPLST, short_list(FOV | 0x70)),
        (FMTDATA | LONGLIST, bytes(8)),
        (FMTDATA, short_list(FOV | IP, rest=pattern_descriptor(b"", kind=0))),
        (FMTDATA, short_list(FOV | IP, rest=pattern_descriptor(b"\0\0"))),
    ],
    ids=["no list", "short list", "options", "long list", "default pattern", "zeros"],
)
def test_zeros(flags: int, data: bytes, discard: bool) -> None:
    """Without a pattern of its own every block is zeros afterwards."""
    bench, memory = filled(Capabilities(discard=discard))
    assert bench.run(format_unit(flags), data) == Response(data_out_consumed=len(data))
    assert memory.content == bytes(1 << 20)
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize(("pattern", "block"), [(b"ab", b"ab" * 256), (b"abc", b"abc" * 170 + b"ab")])
@pytest.mark.parametrize(
    "header", [short_list(FOV | IP), bytes((0, FOV | IP, 0, 0, 0, 0, 0, 0))], ids=["short", "long"]
)
def test_pattern(header: bytes, pattern: bytes, block: bytes) -> None:
    """A pattern fills each block anew."""
    bench, memory = filled(Capabilities(discard=True))
    flags = FMTDATA | (LONGLIST if len(header) == 8 else 0)
    data = header + pattern_descriptor(pattern, modifiers=0x20)
    assert bench.run(format_unit(flags), data).data_out_consumed == len(data)
    assert memory.content == block * (1 << 11)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x40, in_cdb(1, 6)),
        (0x80, in_cdb(1, 7)),
        (LONGLIST, in_cdb(1, 5)),
        (CMPLST, in_cdb(1, 3)),
        (0x04, in_cdb(1, 2)),
        (FMTDATA | 0x01, in_cdb(1, 2)),
        (FMTDATA | 0x06, in_cdb(1, 2)),
        (FMTDATA | 0x07, in_cdb(1, 2)),
    ],
)
def test_cdb(flags: int, expected: object) -> None:
    """No protection information, and no defect list in a format that nobody has defined."""
    assert refusal(Bench().run(format_unit(flags), bytes(4))) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", TOO_SHORT),
        (bytes(3), TOO_SHORT),
        (short_list(usage=1), in_list(0, 2)),
        (short_list(usage=0x10), in_list(0)),
        (short_list(0x01), in_list(1, 0)),
        (short_list(0x04), in_list(1, 2)),
        (short_list(IP), in_list(1, 3)),
        (short_list(0x40), in_list(1, 6)),
        (short_list(defects=8), in_list(2)),
        (short_list(FOV | IP), TOO_SHORT),
        (short_list(FOV | IP, rest=pattern_descriptor(b"a", modifiers=0x40)), in_list(4, 7)),
        (short_list(FOV | IP, rest=pattern_descriptor(b"a", modifiers=0x01)), in_list(4)),
        (short_list(FOV | IP, rest=pattern_descriptor(b"a", kind=2)), in_list(5)),
        (short_list(FOV | IP, rest=pattern_descriptor(b"a", kind=0)), in_list(6)),
        (short_list(FOV | IP, rest=pattern_descriptor(b"")), in_list(6)),
        (short_list(FOV | IP, rest=pattern_descriptor(bytes(513))), in_list(6)),
        (short_list(FOV | IP, rest=pattern_descriptor(b"a", length=2)), TOO_SHORT),
    ],
)
def test_short_list(data: bytes, expected: object) -> None:
    """What a list must not say, and what nothing is done for."""
    bench, memory = filled(Capabilities(discard=True))
    assert refusal(bench.run(format_unit(FMTDATA), data)) == expected
    assert memory.content == b"x" * (1 << 20)
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(7), TOO_SHORT),
        (b"\0\0\1\0\0\0\0\0", in_list(2)),
        (b"\0\0\0\1\0\0\0\0", in_list(3)),
        (b"\0\0\0\0\0\0\0\x08", in_list(4)),
    ],
)
def test_long_list(data: bytes, expected: object) -> None:
    """Likewise with the long header: no protection intervals, no defects."""
    assert refusal(Bench().run(format_unit(FMTDATA | LONGLIST), data)) == expected


def test_immediate() -> None:
    """IMMED stands in the list; the unit is not ready behind the status, and tells how far it is."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    task = bench.start(format_unit(FMTDATA), short_list(IMMED))
    assert refusal(bench.run(TEST_UNIT_READY))[0] is IN_PROGRESS
    executor.finish()
    assert bench.owner.status(task) is Status.GOOD
    assert refusal(bench.run(write_10(0, 1), bytes(512)))[0] is IN_PROGRESS
    assert refusal(bench.run(format_unit()))[0] is IN_PROGRESS
    assert bench.run(bytes((0x1A, 0, 0x3F, 0, 255, 0))).status is Status.GOOD
    executor.finish_all()
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_failure() -> None:
    """A format that fails leaves a medium that only another one makes good."""
    memory = CachedMemory()
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    bench = Bench(unit=LogicalUnit(memory))
    assert refusal(bench.run(format_unit()))[0] is Sense.FORMAT_COMMAND_FAILED
    assert refusal(bench.run(TEST_UNIT_READY))[0] is Sense.MEDIUM_FORMAT_CORRUPTED
    memory.flush_error = None
    assert bench.run(format_unit()).status is Status.GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_immediate_failure() -> None:
    """With IMMED the next command hears of the failure, as a deferred error."""
    memory = CachedMemory()
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    bench = Bench(unit=LogicalUnit(memory))
    assert bench.run(format_unit(FMTDATA), short_list(IMMED)).status is Status.GOOD
    response = bench.run(TEST_UNIT_READY)
    assert (response.sense[0], response.sense[12], response.sense[13]) == (0x71, 0x31, 0x01)


def test_sanitize_makes_good() -> None:
    """A sanitize operation, too, leaves every block defined."""
    memory = CachedMemory()
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    bench = Bench(unit=LogicalUnit(memory))
    bench.run(format_unit())
    memory.flush_error = None
    assert bench.run(bytes((0x48, 2, 0, 0, 0, 0, 0, 0, 0, 0))) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_write_protected() -> None:
    """A unit that must not be written to is not formatted."""
    assert refusal(Bench(unit=make_unit(read_only=True)).run(format_unit()))[0] is Sense.WRITE_PROTECTED


def test_without_medium() -> None:
    """Nor is one that has no medium."""
    bench = Bench(unit=make_unit(removable=True))
    bench.run(bytes((0x1B, 0, 0, 0, 2, 0)))
    assert refusal(bench.run(format_unit()))[0] is Sense.MEDIUM_NOT_PRESENT


def test_reserved() -> None:
    """Nor one that somebody else has reserved."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.run(bytes((0x16, 0, 0, 0, 0, 0)))
    assert bench.run(format_unit(), nexus=other).status is Status.RESERVATION_CONFLICT
