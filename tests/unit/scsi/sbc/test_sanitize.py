"""SANITIZE, from its CDB to the blocks."""

import errno
import itertools
from collections.abc import Callable

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.backstores.operations import Flush, WriteRepeated
from isthmus.errors import BackstoreError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.medium_work import MediumFailure, MediumOperation
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.disk import Memory
from tests.support.primary import CachedMemory, data_of, in_cdb, in_list, inquiry, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10

OVERWRITE, BLOCK_ERASE, CRYPTO_ERASE, EXIT_FAILURE_MODE = 0x01, 0x02, 0x03, 0x1F
IMMED, AUSE = 0x80, 0x20
IN_PROGRESS = Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS
FAILED = Sense.SANITIZE_COMMAND_FAILED


def sanitize(action: int, length: int = 0, flags: int = 0) -> bytes:
    """SANITIZE."""
    return bytes((0x48, flags | action, 0, 0, 0, 0, 0)) + length.to_bytes(2) + b"\0"


def overwrite_list(pattern: bytes, *, count: int = 1, invert: bool = False, length: int | None = None) -> bytes:
    """The parameter list of OVERWRITE."""
    size = len(pattern) if length is None else length
    return bytes((count | (0x80 if invert else 0), 0)) + size.to_bytes(2) + pattern


def overwrite(data: bytes, flags: int = 0) -> tuple[bytes, bytes]:
    """The CDB that goes with `data`, and `data`."""
    return sanitize(OVERWRITE, len(data), flags), data


class Broken(CachedMemory):
    """Memory whose writes fail while `broken`."""

    broken = True

    def write(self, offset: int, buffers: object, *, durable: bool = False) -> None:
        if self.broken:
            raise BackstoreError(errno.EIO, "the disk is broken")
        super().write(offset, buffers, durable=durable)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "block"),
    [
        (b"\xaa" * 512, b"\xaa" * 512),
        (b"abcd", b"abcd" * 128),
        (b"abc", b"abc" * 170 + b"ab"),
        (b"\0", bytes(512)),
    ],
    ids=["block", "fits", "cut", "zeros"],
)
def test_overwrite(pattern: bytes, block: bytes) -> None:
    """Every block holds the pattern, repeated and cut at its end; zeros, too, are really written."""
    memory = CachedMemory(1 << 20)
    memory.content[:] = b"x" * (1 << 20)
    bench = Bench(unit=LogicalUnit(memory))
    assert bench.run(*overwrite(overwrite_list(pattern))) == GOOD
    assert memory.content == block * (1 << 11)
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize(
    ("count", "invert", "passes"),
    [(1, False, "p"), (3, False, "ppp"), (1, True, "p"), (2, True, "ip"), (3, True, "pip"), (31, False, "p" * 31)],
)
def test_passes(count: int, invert: bool, passes: str) -> None:
    """The pattern is written as often as asked, inverted every other time but not the last, each pass durable."""
    data = overwrite_list(b"\x0f", count=count, invert=invert)
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    bench.start(sanitize(OVERWRITE, len(data)), data)
    done = []
    while executor.operations:
        done.append(executor.operations[0].operation)  # type: ignore[attr-defined]
        executor.finish()
    written = [operation for operation in done if isinstance(operation, WriteRepeated)]
    patterns = {"p": b"\x0f" * 512, "i": b"\xf0" * 512}
    assert [operation.pattern for operation in written] == [patterns[name] for name in passes]
    assert all(isinstance(after, Flush) for before, after in itertools.pairwise(done) if before in written)


@pytest.mark.parametrize("length", [0, 1, 4, 517, 0xFFFF])
def test_overwrite_list_length(length: int) -> None:
    """The list holds at least one byte of pattern, and at most one block."""
    assert refusal(Bench().run(sanitize(OVERWRITE, length), bytes(length))) == in_cdb(7)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (overwrite_list(b"p", count=0), in_list(0, 4)),
        (b"\x21" + overwrite_list(b"p")[1:], in_list(0, 6)),
        (b"\x01\x01\x00\x01p", in_list(1)),
        (overwrite_list(b"p", length=0), in_list(2)),
        (overwrite_list(bytes(512), length=513), in_list(2)),
        (overwrite_list(b"p", length=2), (Sense.PARAMETER_LIST_LENGTH_ERROR, None)),
    ],
    ids=["count", "test", "reserved", "no pattern", "long pattern", "cut pattern"],
)
def test_overwrite_list(data: bytes, expected: object) -> None:
    """What the list must not say; nothing is touched then."""
    bench = Bench()
    assert refusal(bench.run(sanitize(OVERWRITE, len(data)), data)) == expected
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_cut_list() -> None:
    """A list of which not all came is refused."""
    bench = Bench()
    assert refusal(bench.run(sanitize(OVERWRITE, 8), b"\1"))[0] is Sense.PARAMETER_LIST_LENGTH_ERROR


def test_block_erase() -> None:
    """Every block is given back."""
    disk = CachedMemory(1 << 20)
    disk.content[:] = b"x" * (1 << 20)
    bench = Bench(unit=LogicalUnit(disk))
    assert bench.run(sanitize(BLOCK_ERASE)) == GOOD
    assert disk.content == bytes(1 << 20)
    assert data_of(bench.run(inquiry(0xB1)))[7] & 0xC0 == 0x40


class Encrypting(CachedMemory):
    """Memory that is told to change its key, and says in which order what is done."""

    def __init__(self, **capabilities: bool) -> None:
        super().__init__()
        self.capabilities = Capabilities(encrypts=True, **capabilities)
        self.done: list[str] = []
        self.key_error: BackstoreError | None = None

    def change_key(self) -> None:
        if self.key_error is not None:
            raise self.key_error
        self.done.append("change key")
        self.content[:] = b"?" * self.size

    def discard(self, offset: int, length: int) -> None:
        self.done.append("discard")
        super().discard(offset, length)


def test_crypto_erase() -> None:
    """The key is changed, and then the room is given back; the medium is sound, and tells that it can be read."""
    memory = Encrypting(discard=True)
    bench = Bench(unit=LogicalUnit(memory))
    assert bench.run(sanitize(CRYPTO_ERASE)) == GOOD
    assert memory.done == ["change key", "discard"]
    assert memory.content == bytes(memory.size)
    assert bench.run(read_10(0, 1)).status is Status.GOOD
    assert data_of(bench.run(inquiry(0xB1)))[7] & 0x30 == 0x10


def test_crypto_erase_of_a_thick_unit() -> None:
    """What can be read then is nothing that anybody has written."""
    memory = Encrypting()
    bench = Bench(unit=LogicalUnit(memory))
    assert bench.run(sanitize(CRYPTO_ERASE)) == GOOD
    assert memory.done == ["change key"]


def test_crypto_erase_takes_no_time_of_the_erase_rate() -> None:
    """The rate is for what moves bytes: changing a key moves none."""
    timers: list[float] = []

    def call_later(seconds: float, then: Callable[[], None]) -> None:
        timers.append(seconds)
        then()

    unit = LogicalUnit(Encrypting(), erase_rate=1, call_later=call_later)
    assert Bench(unit=unit).run(sanitize(CRYPTO_ERASE)) == GOOD
    assert not any(timers)


def test_crypto_erase_that_fails() -> None:
    """Everything that was there is there still, and the unit says that it is not erased."""
    memory = Encrypting(discard=True)
    memory.key_error = BackstoreError(errno.EIO, "the key cannot be kept")
    bench = Bench(unit=LogicalUnit(memory))
    assert refusal(bench.run(sanitize(CRYPTO_ERASE)))[0] is FAILED
    assert memory.done == []
    assert refusal(bench.run(read_10(0, 1)))[0] is FAILED
    memory.key_error = None
    assert bench.run(sanitize(CRYPTO_ERASE)) == GOOD
    assert bench.run(read_10(0, 1)).status is Status.GOOD


def test_crypto_erase_has_no_parameters() -> None:
    """PARAMETER LIST LENGTH has to be 0."""
    memory = Encrypting(discard=True)
    assert refusal(Bench(unit=LogicalUnit(memory)).run(sanitize(CRYPTO_ERASE, 8), bytes(8))) == in_cdb(7)
    assert memory.done == []


def test_crypto_erase_without_encryption() -> None:
    """A unit that does not encrypt has no key to change, and does not claim it."""
    bench = Bench()
    assert refusal(bench.run(sanitize(CRYPTO_ERASE))) == in_cdb(1, 4)
    assert data_of(bench.run(inquiry(0xB1)))[7] & 0x30 == 0


def test_block_erase_of_a_thick_unit() -> None:
    """Storage that takes no room back has nothing to erase with, and does not claim it."""
    memory = Memory(1 << 20, write_back=False, capabilities=Capabilities())
    bench = Bench(unit=LogicalUnit(memory))
    assert refusal(bench.run(sanitize(BLOCK_ERASE))) == in_cdb(1, 4)
    assert bench.unit.table.lookup(0x48, BLOCK_ERASE) is None
    assert bench.unit.table.lookup(0x48, OVERWRITE) is not None
    assert data_of(bench.run(inquiry(0xB1)))[7] & 0xC0 == 0


@pytest.mark.parametrize("action", [0, 3, 4, 0x1E])
def test_no_such_action(action: int) -> None:
    """There is no cryptographic erase, nor what the standard does not define."""
    assert refusal(Bench().run(sanitize(action))) == in_cdb(1, 4)


@pytest.mark.parametrize("action", [BLOCK_ERASE, EXIT_FAILURE_MODE])
def test_list_where_there_is_none(action: int) -> None:
    """Only OVERWRITE has a parameter list."""
    assert refusal(Bench().run(sanitize(action, 8), bytes(8))) == in_cdb(7)


@pytest.mark.parametrize("action", [OVERWRITE, BLOCK_ERASE])
def test_zoned_bit(action: int) -> None:
    """ZNR is for zoned devices."""
    assert refusal(Bench().run(sanitize(action, 8, 0x40), bytes(8))) == in_cdb(1, 6)


def test_waits_for_the_end() -> None:
    """Without IMMED the status comes when all is done, also if the task is aborted meanwhile."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    first = bench.start(sanitize(BLOCK_ERASE))
    executor.finish()
    assert first not in bench.owner.ends
    bench.unit.task_set.abort((first,), lambda _: None)
    assert bench.owner.ends[first] is None
    assert refusal(bench.run(TEST_UNIT_READY))[0] is IN_PROGRESS
    executor.finish_all()
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_immediate() -> None:
    """With IMMED the status comes as soon as the operation is recorded, and the unit is closed by then."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    task = bench.start(sanitize(BLOCK_ERASE, flags=IMMED))
    assert refusal(bench.run(TEST_UNIT_READY))[0] is IN_PROGRESS
    assert task not in bench.owner.ends
    executor.finish()
    assert bench.owner.ends[task] == GOOD
    assert refusal(bench.run(sanitize(BLOCK_ERASE)))[0] is IN_PROGRESS
    executor.finish_all()
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_immediate_without_a_record() -> None:
    """If it cannot be recorded, nothing is done, and the command itself says so."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    task = bench.start(sanitize(BLOCK_ERASE, flags=IMMED))
    executor.finish(error=BackstoreError(errno.ENOSPC, "no room in the state directory"))
    response = bench.owner.ends[task]
    assert response is not None
    assert refusal(response)[0] is Sense.INTERNAL_TARGET_FAILURE
    assert executor.operations == []
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_immediate_that_is_aborted() -> None:
    """An abort before the status leaves the operation going."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    task = bench.start(sanitize(BLOCK_ERASE, flags=IMMED))
    bench.unit.task_set.abort((task,), lambda _: None)
    executor.finish_all()
    assert bench.owner.ends[task] is None
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert not bench.unit.background


def test_what_runs_meanwhile() -> None:
    """INQUIRY, REPORT LUNS, REQUEST SENSE and the reports on commands run meanwhile, and nothing else."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(), executor=executor)
    bench.start(sanitize(BLOCK_ERASE))
    allowed = {row.name for row in bench.unit.table if row.runs_while_sanitizing}
    assert allowed == {
        "INQUIRY",
        "REPORT LUNS",
        "REQUEST SENSE",
        "REPORT SUPPORTED OPERATION CODES",
        "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
    }
    for cdb in (bytes((0x1A, 0, 0x3F, 0, 255, 0)), bytes((0x1B, 0, 0, 0, 1, 0)), read_10(0, 1)):
        assert refusal(bench.run(cdb))[0] is IN_PROGRESS
    assert data_of(bench.run(inquiry()))


def failed_bench(flags: int = 0) -> tuple[Bench, Broken]:
    """A target whose unit was left behind by OVERWRITE with `flags`."""
    memory = Broken()
    bench = Bench(unit=LogicalUnit(memory))
    assert refusal(bench.run(*overwrite(overwrite_list(b"p"), flags)))[0] is FAILED
    assert refusal(bench.run(TEST_UNIT_READY))[0] is FAILED
    return bench, memory


def test_restricted_failure() -> None:
    """Without AUSE only another operation, without AUSE as well, leads out of the failure (SBC-4 §4.11.4)."""
    bench, memory = failed_bench()
    assert refusal(bench.run(sanitize(EXIT_FAILURE_MODE))) == in_cdb(1, 4)
    assert refusal(bench.run(sanitize(BLOCK_ERASE, flags=AUSE))) == in_cdb(1, 5)
    assert refusal(bench.run(*overwrite(overwrite_list(b"p"), AUSE))) == in_cdb(1, 5)
    assert refusal(bench.run(TEST_UNIT_READY))[0] is FAILED
    memory.broken = False
    assert bench.run(*overwrite(overwrite_list(b"p"))) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_unrestricted_failure() -> None:
    """With AUSE the failure can be left as if it were none."""
    bench, _ = failed_bench(AUSE)
    assert bench.unit.medium_failure == MediumFailure(MediumOperation.SANITIZE, unrestricted=True)
    assert bench.run(sanitize(EXIT_FAILURE_MODE)) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_exit_without_failure() -> None:
    """Where nothing has failed there is nothing to exit."""
    bench = Bench()
    assert bench.run(sanitize(EXIT_FAILURE_MODE)) == GOOD


def test_immediate_failure() -> None:
    """With IMMED the failure is told as a deferred error first, then as the state of the unit."""
    bench = Bench(unit=LogicalUnit(Broken()))
    assert bench.run(*overwrite(overwrite_list(b"p"), IMMED)) == GOOD
    response = bench.run(TEST_UNIT_READY)
    assert (response.sense[0], response.sense[12], response.sense[13]) == (0x71, 0x31, 0x03)
    assert refusal(bench.run(TEST_UNIT_READY))[0] is FAILED


def test_write_protected() -> None:
    """A unit that must not be written to is not sanitized."""
    bench = Bench(unit=make_unit(read_only=True))
    assert refusal(bench.run(sanitize(BLOCK_ERASE)))[0] is Sense.WRITE_PROTECTED


def test_reserved() -> None:
    """Neither is one that somebody else has reserved."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.run(bytes((0x16, 0, 0, 0, 0, 0)))
    assert bench.run(sanitize(BLOCK_ERASE), nexus=other).status is Status.RESERVATION_CONFLICT
