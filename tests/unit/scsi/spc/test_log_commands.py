"""LOG SENSE and LOG SELECT."""

import struct

import pytest

from isthmus.backstores.null import NullBackstore
from isthmus.errors import BackstoreError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.log_pages import LOG_PAGES
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, in_cdb, in_list, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10, sense_of

TOO_SHORT = (Sense.PARAMETER_LIST_LENGTH_ERROR, None)
PCR = 0x02


def log_sense(page: int, subpage: int = 0, *, control: int = 1, pointer: int = 0, length: int = 0xFFFF) -> bytes:
    """LOG SENSE."""
    return struct.pack(">BxBBxHHx", 0x4D, control << 6 | page, subpage, pointer, length)


def log_select(length: int = 0, flags: int = 0, *, page: int = 0, subpage: int = 0) -> bytes:
    """LOG SELECT."""
    return struct.pack(">BBBBxxxHx", 0x4C, flags, 0x40 | page, subpage, length)


def client_page(*parameters: tuple[int, bytes]) -> bytes:
    """An application client log page."""
    payload = b"".join(struct.pack(">HBB", code, 3, len(value)) + value for code, value in parameters)
    return struct.pack(">BBH", 0x0F, 0, len(payload)) + payload


def test_supported_pages() -> None:
    """The lists name every page, and each of them can be read."""
    bench = Bench()
    pages = data_of(bench.run(log_sense(0)))
    assert pages[:4] == struct.pack(">BBH", 0, 0, len(pages) - 4)
    assert set(pages[4:]) >= {0x00, 0x02, 0x03, 0x05, 0x0D, 0x0E, 0x0F, 0x15, 0x19, 0x1A, 0x2F}
    assert list(pages[4:]) == sorted(set(pages[4:]))
    both = data_of(bench.run(log_sense(0, 0xFF)))
    assert both[:2] == b"\x40\xff"
    assert [*zip(both[4::2], both[5::2], strict=True)] == sorted(LOG_PAGES)
    for code, subpage in LOG_PAGES:
        page = data_of(bench.run(log_sense(code, subpage)))
        assert (page[0] & 0x3F, page[1], int.from_bytes(page[2:4])) == (code, subpage, len(page) - 4)


def test_space_is_measured_when_it_is_asked_for() -> None:
    """Each answer is a new measurement; and a threshold that it reaches is told."""
    bench = Bench(unit=make_unit(8 << 20))
    for written in (0, 3 << 20):
        bench.unit.backstore.write(0, [b"x" * written])
        page = data_of(bench.run(log_sense(0x0C)))
        assert page[:4] == struct.pack(">BBH", 0x8C, 0, 24)
        assert page[4:8] == struct.pack(">HBB", 1, 3, 8)
        assert page[16:] == struct.pack(">HBBIB3x", 2, 3, 8, written >> 20, 1)
    assert data_of(bench.run(log_sense(0x0C, pointer=2)))[4:6] == b"\0\2"
    assert refusal(bench.run(log_sense(0x0C, pointer=3))) == in_cdb(5)


def test_storage_that_cannot_be_measured() -> None:
    """Without that page it is in no list, and refused like any other that is not there."""
    bench = Bench(unit=LogicalUnit(NullBackstore("null", 1 << 20)))
    assert 0x0C not in data_of(bench.run(log_sense(0)))[4:]
    assert b"\x0c\0" not in data_of(bench.run(log_sense(0, 0xFF)))[4:]
    assert refusal(bench.run(log_sense(0x0C))) == in_cdb(2, 5)


def test_storage_that_fails_to_be_measured() -> None:
    """The command fails as one does that reads."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(log_sense(0x0C))
    executor.finish(error=BackstoreError(5, "broken"))
    assert sense_of(bench.owner.ends[task])[0] == 3


@pytest.mark.parametrize(("page", "subpage", "field"), [(0x3E, 0, in_cdb(2, 5)), (0x02, 1, in_cdb(3))])
def test_no_such_page(page: int, subpage: int, field: object) -> None:
    """What is not in the list is refused, by either command."""
    assert refusal(Bench().run(log_sense(page, subpage))) == field
    assert refusal(Bench().run(log_select(flags=PCR, page=page, subpage=subpage))) == field


@pytest.mark.parametrize("control", [0, 2])
def test_thresholds(control: int) -> None:
    """There are none; pages without counters do not look at PC."""
    assert refusal(Bench().run(log_sense(0x02, control=control))) == in_cdb(2, 7)
    assert data_of(Bench().run(log_sense(0x0D, control=control)))


def test_default_values() -> None:
    """The default of a counter is 0."""
    bench = Bench()
    bench.run(read_10(0, 1))
    cumulative, default = (data_of(bench.run(log_sense(0x03, control=control))) for control in (1, 3))
    assert len(default) == len(cumulative)
    assert default != cumulative
    assert all(default[offset + 4 : offset + 12] == bytes(8) for offset in range(4, len(default), 12))


def test_parameter_pointer() -> None:
    """The page begins at the parameter that is pointed at, or behind it."""
    bench = Bench()
    assert data_of(bench.run(log_sense(0x03, pointer=6)))[4:6] == b"\0\6"
    assert data_of(bench.run(log_sense(0x19, pointer=3)))[4:6] == b"\0\3"
    assert refusal(bench.run(log_sense(0x03, pointer=7))) == in_cdb(5)
    assert refusal(bench.run(log_sense(0x00, pointer=1))) == in_cdb(5)


def test_allocation_length() -> None:
    """As much is sent as there is room for; the length tells of all."""
    assert data_of(Bench().run(log_sense(0x0D, length=6))) == b"\x8d\0\0\x0c\0\0"


@pytest.mark.parametrize("cdb", [b"\x4d\x01\x40", b"\x4d\x02\x40", b"\x4c\x01\x40"])
def test_nothing_is_saved(cdb: bytes) -> None:
    """SP, and the obsolete PPC, are refused."""
    assert refusal(Bench().run(cdb + bytes(7)))[0] is Sense.INVALID_FIELD_IN_CDB


@pytest.mark.parametrize("page", [0x00, 0x02, 0x03, 0x19])
def test_reset_of_counters(page: int) -> None:
    """PCR puts the counters back to 0, and the other nexuses hear of it."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.run(read_10(0, 1))
    assert bench.run(log_select(flags=PCR, page=page)) == GOOD
    assert data_of(bench.run(log_sense(0x03))) == data_of(bench.run(log_sense(0x03, control=3)))
    assert refusal(bench.run(TEST_UNIT_READY, nexus=other)) == (Sense.LOG_PARAMETERS_CHANGED, None)
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize(
    ("page", "cleared", "counted"), [(0x00, True, False), (0x0F, True, True), (0x02, False, False)]
)
def test_what_is_reset(page: int, cleared: bool, counted: bool) -> None:
    """A page that is named is reset alone; without one all are."""
    bench = Bench()
    bench.unit.application_client.parameters[0] = b"x" * 252
    bench.run(read_10(0, 1))
    bench.run(log_select(flags=PCR, page=page))
    assert (bench.unit.application_client.parameters[0] == bytes(252)) is cleared
    assert (bench.unit.statistics.since_reset.read_commands == 1) is counted


def test_select() -> None:
    """Application clients find what they have left, and hear of what others leave."""
    bench = Bench()
    other = bench.connect(isid=2)
    data = client_page((3, b"a" * 252), (63, b"b" * 252)) + client_page((4, b"c" * 252))
    assert bench.run(log_select(len(data)), data) == GOOD
    assert refusal(bench.run(TEST_UNIT_READY, nexus=other))[0] is Sense.LOG_PARAMETERS_CHANGED
    page = data_of(bench.run(log_sense(0x0F, pointer=3), nexus=other))
    assert page[8:260] == b"a" * 252
    assert page[264:516] == b"c" * 252
    assert page[-252:] == b"b" * 252


def test_empty_list() -> None:
    """A list of no pages changes nothing, and is no error."""
    bench = Bench()
    other = bench.connect(isid=2)
    assert bench.run(log_select()) == GOOD
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x0f\0\0", TOO_SHORT),
        (b"\x0f\0\0\5\0\0\3\xfc", TOO_SHORT),
        (b"\x0f\0\0\3\0\0\3", TOO_SHORT),
        (client_page((0, b"x" * 252))[:-1], TOO_SHORT),
        (struct.pack(">BBH", 0x0F, 0, 8) + struct.pack(">HBB", 0, 3, 252) + b"1234", TOO_SHORT),
        (b"\x02\0\0\0", in_list(0, 5)),
        (client_page() + b"\x0f\1\0\0", in_list(4, 5)),
        (client_page((64, b"x" * 252)), in_list(4)),
        (client_page((0, b"x" * 8)), in_list(7)),
    ],
)
def test_bad_list(data: bytes, expected: object) -> None:
    """Only the application client page can be changed, one whole parameter at a time; a bad list changes nothing."""
    bench = Bench()
    good = client_page((0, b"x" * 252))
    assert refusal(bench.run(log_select(len(data)), data)) == expected
    if expected is not TOO_SHORT:
        both = good + data
        assert refusal(bench.run(log_select(len(both)), both))[0] is Sense.INVALID_FIELD_IN_PARAMETER_LIST
    assert bench.unit.application_client.parameters[0] == bytes(252)


def test_reset_with_a_list() -> None:
    """To reset and to set are two commands; so are to name a page in the CDB and in the list."""
    assert refusal(Bench().run(log_select(4, PCR), bytes(4))) == in_cdb(1, 1)
    assert refusal(Bench().run(log_select(4, page=0x0F), bytes(4))) == in_cdb(2, 5)
