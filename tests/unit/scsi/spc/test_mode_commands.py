import errno
import struct
from collections.abc import Callable

import pytest

from isthmus.backstores.operations import Flush, Write
from isthmus.errors import BackstoreError
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.mode_pages import PAGES, PageControl
from isthmus.scsi.state_store import MemoryStateStore
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Response
from tests.support.primary import (
    CachedMemory,
    cached_unit,
    data_of,
    in_cdb,
    in_list,
    mode_select_6,
    mode_select_10,
    mode_sense_6,
    mode_sense_10,
    refusal,
)
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, write_10

Sensing = Callable[..., bytes]
LENGTH_ERROR = Sense.PARAMETER_LIST_LENGTH_ERROR
CONTROL_PAGE = bytes.fromhex("8a0a 02100040 0000 ffff 0000")
SWP = bytes.fromhex("0a0a 02100840 0000 ffff 0000")
WCE_OFF = bytes.fromhex("0812") + bytes(18)


def select(bench: Bench, *pages: bytes) -> Response:
    """MODE SELECT (6) of these pages, without block descriptor."""
    data = bytes(4) + b"".join(pages)
    return bench.run(mode_select_6(len(data)), data)


def cached_bench() -> tuple[Bench, CachedMemory]:
    """A target whose unit has a write cache, and its memory."""
    memory = CachedMemory()
    return Bench(unit=cached_unit(memory)), memory


# MODE SENSE.


def test_sense_6() -> None:
    """MODE SENSE (6): header, short block descriptor, then the page."""
    data = data_of(Bench(unit=make_unit(1 << 20)).run(mode_sense_6(0x0A)))
    assert data == bytes((23, 0, 0x10, 8)) + struct.pack(">II", 2048, 512) + CONTROL_PAGE


def test_sense_10() -> None:
    """MODE SENSE (10): a header of eight bytes, and a short block descriptor unless LLBAA is set."""
    data = data_of(Bench(unit=make_unit(1 << 20)).run(mode_sense_10(0x0A)))
    assert data == struct.pack(">HBBBxH", 26, 0, 0x10, 0, 8) + struct.pack(">II", 2048, 512) + CONTROL_PAGE


def test_long_lba() -> None:
    """With LLBAA the block descriptor holds 64 bits of capacity, and LONGLBA says so."""
    data = data_of(Bench(unit=make_unit(1 << 20, block_length=4096)).run(mode_sense_10(0x0A, long_lba_accepted=True)))
    assert data[:8] == struct.pack(">HBBBxH", 34, 0, 0x10, 1, 16)
    assert data[8:24] == struct.pack(">QxxxxI", 256, 4096)


def test_capacity_beyond_32_bits() -> None:
    """A short block descriptor says FFFFFFFFh for a capacity that it cannot hold; a long one holds it."""
    memory = CachedMemory()
    memory.size = 1 << 42
    bench = Bench(unit=cached_unit(memory))
    assert data_of(bench.run(mode_sense_6(0x0A)))[4:8] == b"\xff" * 4
    assert data_of(bench.run(mode_sense_10(0x0A, long_lba_accepted=True)))[8:16] == (1 << 33).to_bytes(8)


@pytest.mark.parametrize(("sensing", "header"), [(mode_sense_6, "0f001000"), (mode_sense_10, "0012001000000000")])
def test_disable_block_descriptors(sensing: Sensing, header: str) -> None:
    """DBD leaves the block descriptor out."""
    assert data_of(Bench().run(sensing(0x0A, no_descriptor=True))) == bytes.fromhex(header) + CONTROL_PAGE
    both = mode_sense_10(0x0A, no_descriptor=True, long_lba_accepted=True)
    assert data_of(Bench().run(both)) == bytes.fromhex("0012001000000000") + CONTROL_PAGE


@pytest.mark.parametrize(
    ("subpage", "keys"), [(0x00, [(p.key) for p in PAGES if not p.subpage]), (0xFF, [p.key for p in PAGES])]
)
def test_all_pages(subpage: int, keys: list[tuple[int, int]]) -> None:
    """Page code 3Fh gives all pages in order, those with subpages only with subpage code FFh."""
    bench = Bench()
    data = data_of(bench.run(mode_sense_6(0x3F, subpage)))
    assert data[0] == len(data) - 1
    assert data[12:] == b"".join(bench.unit.mode.page(key, PageControl.CURRENT) for key in keys)


@pytest.mark.parametrize(
    "control", [PageControl.CURRENT, PageControl.CHANGEABLE, PageControl.DEFAULT, PageControl.SAVED]
)
def test_page_control(control: PageControl) -> None:
    """PC chooses between current, changeable, default and saved values."""
    bench = Bench()
    select(bench, SWP)
    data = data_of(bench.run(mode_sense_6(0x0A, control=control, no_descriptor=True)))
    assert data[4:] == bench.unit.mode.page((0x0A, 0), control)


@pytest.mark.parametrize("sensing", [mode_sense_6, mode_sense_10])
def test_sense_errors(sensing: Sensing) -> None:
    """Unknown pages and subpages are refused by their field, whatever values are asked for."""
    bench = Bench()
    assert refusal(bench.run(sensing(0x03))) == in_cdb(2, 5)
    assert refusal(bench.run(sensing(0x03, 0xFF))) == in_cdb(2, 5)
    assert refusal(bench.run(sensing(0x0A, 0x02))) == in_cdb(3)
    assert refusal(bench.run(sensing(0x3F, 0x01))) == in_cdb(3)
    assert refusal(bench.run(sensing(0x03, control=3))) == in_cdb(2, 5)


@pytest.mark.parametrize("sensing", [mode_sense_6, mode_sense_10])
@pytest.mark.parametrize("length", [0, 1, 4, 8, 13, 255])
def test_sense_allocation_length(sensing: Sensing, length: int) -> None:
    """The data are cut to the allocation length, and MODE DATA LENGTH stays."""
    whole = data_of(Bench().run(sensing()))
    assert data_of(Bench().run(sensing(allocation_length=length))) == whole[:length]


def test_write_protection_is_reported() -> None:
    """WP is set for a unit, a mapping or a mode page that forbids writing."""

    def device_specific(bench: Bench, nexus: Nexus | None = None) -> tuple[int, int]:
        six, ten = data_of(bench.run(mode_sense_6(), nexus=nexus)), data_of(bench.run(mode_sense_10(), nexus=nexus))
        return six[2], ten[3]

    bench = Bench()
    assert device_specific(bench) == (0x10, 0x10)
    reader = bench.connect(isid=2, read_only=True)
    assert device_specific(bench, reader) == (0x90, 0x90)
    assert device_specific(bench) == (0x10, 0x10)
    select(bench, SWP)
    assert device_specific(bench) == (0x90, 0x90)
    assert device_specific(Bench(unit=make_unit(read_only=True))) == (0x90, 0x90)


# MODE SELECT.


def test_select_nothing() -> None:
    """A parameter list of no bytes is no error, and neither is a header alone."""
    bench = Bench()
    assert bench.run(mode_select_6(0)) == GOOD
    assert bench.run(mode_select_10(0)) == GOOD
    assert bench.run(mode_select_6(4), bytes(4)) == GOOD
    assert bench.run(mode_select_10(8, page_format=False), bytes(8)) == GOOD


def test_send_back_what_was_sensed() -> None:
    """All that MODE SENSE gives can be sent back by MODE SELECT, and changes nothing."""
    for sensing, selecting in (
        (mode_sense_6(0x3F, 0xFF), mode_select_6),
        (mode_sense_10(0x3F, 0xFF), mode_select_10),
        (mode_sense_10(0x3F, 0xFF, long_lba_accepted=True), mode_select_10),
    ):
        bench = Bench()
        other = bench.connect(isid=2)
        data = data_of(bench.run(sensing))
        assert bench.run(selecting(len(data)), data) == GOOD
        assert bench.unit.unit_attentions.pending(other) is None
        assert data_of(bench.run(sensing)) == data


def test_change_is_told_to_the_others() -> None:
    """A change raises MODE PARAMETERS CHANGED for the other nexuses, once; sending it again raises nothing."""
    bench = Bench()
    other = bench.connect(isid=2)
    assert select(bench, SWP) == GOOD
    assert bench.unit.mode.software_write_protect
    assert bench.unit.unit_attentions.pending(bench.nexus) is None
    assert refusal(bench.run(bytes(6), nexus=other))[0] is Sense.MODE_PARAMETERS_CHANGED
    assert select(bench, SWP) == GOOD
    assert bench.run(bytes(6), nexus=other) == GOOD


def test_software_write_protect() -> None:
    """SWP keeps writes out, on the long way and on the fast path, until it is cleared."""
    bench = Bench()
    (grant,) = bench.nexus.grants.values()
    assert (grant.reads, grant.writes) == (True, True)
    select(bench, SWP)
    assert (grant.reads, grant.writes) == (True, False)
    assert refusal(bench.run(write_10(0, 1), bytes(512)))[0] is Sense.WRITE_PROTECTED
    select(bench, CONTROL_PAGE)
    assert (grant.reads, grant.writes) == (True, True)
    assert bench.run(write_10(0, 1), bytes(512)) == GOOD


def test_descriptor_sense() -> None:
    """D_SENSE changes the format of the sense of the next command that fails."""
    bench = Bench()
    select(bench, bytes.fromhex("0a0a 06100040 0000 ffff 0000"))
    assert bench.run(b"\xff" * 6).sense[0] == 0x72
    select(bench, CONTROL_PAGE)
    assert bench.run(b"\xff" * 6).sense[0] == 0x70


def test_write_cache_off() -> None:
    """Clearing WCE makes durable what is in the cache, before GOOD, and every write from then on."""
    bench, memory = cached_bench()
    (grant,) = bench.nexus.grants.values()
    assert (grant.reads, grant.writes) == (True, True)
    assert select(bench, WCE_OFF) == GOOD
    assert memory.flushes == 1
    assert not bench.unit.mode.write_cache_enabled
    assert (grant.reads, grant.writes) == (True, False)
    assert select(bench, WCE_OFF) == GOOD
    assert memory.flushes == 1


def test_write_cache_off_waits_for_writes() -> None:
    """A write that began while the cache was on is over before the flush, be it the engine's own."""
    executor = HeldExecutor()
    bench = Bench(unit=cached_unit(CachedMemory()), executor=executor)
    (grant,) = bench.nexus.grants.values()
    bench.start(write_10(0, 1), bytes(512))
    grant.begin()
    data = bytes(4) + WCE_OFF
    change = bench.start(mode_select_6(len(data)), data)
    assert [type(operation) for operation in executor.operations] == [Write]
    executor.finish_all()
    assert change not in bench.owner.ends
    later = bench.start(write_10(8, 1), bytes(512))
    grant.end()
    executor.finish(0)
    assert Flush() in executor.operations
    (durable,) = (operation for operation in executor.operations if isinstance(operation, Write))
    assert durable.durable
    executor.finish_all()
    assert bench.owner.status(change) is bench.owner.status(later) is Status.GOOD


def test_write_cache_that_cannot_be_flushed() -> None:
    """If the cache cannot be made durable, the command fails and the cache stays off."""
    bench, memory = cached_bench()
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    assert select(bench, WCE_OFF).status is Status.CHECK_CONDITION
    assert not bench.unit.mode.write_cache_enabled


def test_no_write_cache_to_turn_on() -> None:
    """WCE cannot be set where there is no cache."""
    assert refusal(select(Bench(), bytes.fromhex("081204") + bytes(17))) == in_list(4 + 2, 2)


@pytest.mark.parametrize("selecting", [mode_select_6, mode_select_10])
def test_saving(selecting: Callable[..., bytes]) -> None:
    """With SP the values outlive a reset and a restart; without it they do neither."""
    store = MemoryStateStore()
    bench = Bench(unit=make_unit(state=store))
    header = bytes(4 if selecting is mode_select_6 else 8)
    length = len(header) + len(SWP)
    bench.run(selecting(length), header + SWP)
    assert bench.unit.mode.software_write_protect
    assert not make_unit(state=store).mode.software_write_protect
    assert bench.run(selecting(length, save=True), header + SWP) == GOOD
    bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
    assert bench.unit.mode.software_write_protect
    assert make_unit(state=store).mode.software_write_protect


def test_saving_all_pages() -> None:
    """SP saves every page, also those that the list does not name, and works without a list."""
    store = MemoryStateStore()
    bench = Bench(unit=make_unit(state=store))
    select(bench, SWP)
    assert bench.run(mode_select_6(0, save=True)) == GOOD
    assert make_unit(state=store).mode.software_write_protect


def test_saving_that_fails() -> None:
    """If the values cannot be saved the command says so; they are current, but after a restart they are not there."""
    executor = HeldExecutor()
    store = MemoryStateStore()
    bench = Bench(unit=make_unit(state=store), executor=executor)
    task = bench.start(mode_select_6(4 + len(SWP), save=True), bytes(4) + SWP)
    executor.finish(error=BackstoreError(errno.EROFS, "the state directory cannot be written"))
    response = bench.owner.ends[task]
    assert response is not None
    assert refusal(response)[0] is Sense.INTERNAL_TARGET_FAILURE
    assert bench.unit.mode.software_write_protect
    assert not make_unit(state=store).mode.software_write_protect


@pytest.mark.parametrize("save", [False, True])
def test_revert_to_defaults(save: bool) -> None:
    """RTD brings back the defaults of every page, and with SP saves them; the other nexuses hear of it."""
    store = MemoryStateStore()
    bench = Bench(unit=make_unit(state=store))
    bench.run(mode_select_6(4 + len(SWP), save=True), bytes(4) + SWP)
    other = bench.connect(isid=2)
    assert bench.run(bytes((0x15, 0x02 | save, 0, 0, 0, 0))) == GOOD
    assert not bench.unit.mode.software_write_protect
    assert make_unit(state=store).mode.software_write_protect is not save
    assert refusal(bench.run(TEST_UNIT_READY, nexus=other))[0] is Sense.MODE_PARAMETERS_CHANGED
    assert refusal(bench.run(bytes((0x15, 0x02, 0, 0, 4, 0)), bytes(4))) == in_cdb(1, 1)
    assert refusal(bench.run(bytes((0x55, 0x02, 0, 0, 0, 0, 0, 0, 8, 0)), bytes(8))) == in_cdb(1, 1)


def test_page_format() -> None:
    """Pages need PF."""
    data = bytes(4) + SWP
    assert refusal(Bench().run(mode_select_6(len(data), page_format=False), data)) == in_cdb(1, 4)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("00 01 00 00", in_list(1)),  # MEDIUM TYPE
        ("00 00 00 04", in_list(3)),  # BLOCK DESCRIPTOR LENGTH
        ("00 00 00 10", in_list(3)),
        ("00 00 00 08  00000001 00 000200", in_list(4)),  # NUMBER OF LOGICAL BLOCKS
        ("00 00 00 08  00000000 00 001000", in_list(9)),  # BLOCK LENGTH
        ("00 00 00 08  00000800 00 000000", in_list(9)),
        ("00 00 00 00  03 0a", in_list(4, 5)),  # a page that there is not
        ("00 00 00 00  3f 0a", in_list(4, 5)),
        ("00 00 00 00  4a 02 001c", in_list(5)),  # a subpage that there is not
        ("00 00 00 00  48 01 0010", in_list(5)),
        ("00 00 00 00  4a 00 000a", in_list(4, 6)),  # page_0 format is asked for
        ("00 00 00 00  0a 09", in_list(5)),  # PAGE LENGTH
        ("00 00 00 00  4a 01 001b", in_list(6)),
        ("00 00 00 00  0a0a 02200040 0000 ffff 0000", in_list(7, 7)),  # QUEUE ALGORITHM MODIFIER
        ("00 00 00 00  0a0a 42100040 0000 ffff 0000", in_list(6, 7)),  # TST
        ("00 00 00 00  0a0a 02140040 0000 ffff 0000", in_list(7, 2)),  # QERR
        ("00 00 00 00  0a0a 02101040 0000 ffff 0000", in_list(8, 5)),  # UA_INTLCK_CTRL
        ("00 00 00 00  0a0a 02100040 0000 ffff 0001", in_list(15, 0)),
        ("00 00 00 00  0a0a 02100840 0000 ffff 0000  1c0a 00000000000000000000", in_list(4 + 12 + 2, 3)),  # DEXCPT
    ],
)
def test_invalid_lists_6(data: str, field: object) -> None:
    """Whatever is wrong in the list is refused by its place, and then nothing of the list is taken over."""
    bench = Bench()
    parameters = bytes.fromhex(data)
    assert refusal(bench.run(mode_select_6(len(parameters)), parameters)) == field
    assert not bench.unit.mode.software_write_protect


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("0000 01 00 00 00 0000", in_list(2)),
        ("0000 00 00 00 00 0010", in_list(6)),
        ("0000 00 00 01 00 0008", in_list(6)),
        ("0000 00 00 01 00 0010  0000000000000001 00000000 00000200", in_list(8)),
        ("0000 00 00 01 00 0010  ffffffffffffffff 00000000 01000200", in_list(20)),
        ("0000 00 00 00 00 0008  ffffffff 00 001000", in_list(13)),
    ],
)
def test_invalid_lists_10(data: str, field: object) -> None:
    """The same for the longer header."""
    parameters = bytes.fromhex(data)
    assert refusal(Bench().run(mode_select_10(len(parameters)), parameters)) == field


@pytest.mark.parametrize("data", ["ffffffff 00 000200", "00000000 aa 000200", "00000800 00 000200"])
def test_block_descriptor_as_it_is(data: str) -> None:
    """A block descriptor may say "all blocks" in three ways."""
    parameters = bytes((0, 0, 0, 8)) + bytes.fromhex(data)
    assert Bench(unit=make_unit(1 << 20)).run(mode_select_6(12), parameters) == GOOD


@pytest.mark.parametrize(
    "data",
    [
        "00",
        "000000",
        "00 00 00 08 00000000",
        "00 00 00 00 0a",
        "00 00 00 00 4a 01 00",
        "00 00 00 00 0a0a 02100040 0000 ffff 00",
        "00 00 00 00 0a0a 02100040 0000 ffff 0000 08",
    ],
)
def test_truncated_lists(data: str) -> None:
    """A list that ends inside its header, block descriptor or a page has the wrong length."""
    parameters = bytes.fromhex(data)
    assert refusal(Bench().run(mode_select_6(len(parameters)), parameters))[0] is LENGTH_ERROR


def test_missing_data() -> None:
    """An initiator that sends less than the CDB says gets an error, and changes nothing."""
    bench = Bench()
    assert refusal(bench.run(mode_select_6(16), bytes(4)))[0] is LENGTH_ERROR
    assert refusal(bench.run(mode_select_10(7), bytes(7)))[0] is LENGTH_ERROR


def test_pages_of_a_stopped_unit() -> None:
    """Mode parameters can be read and changed while the unit is stopped."""
    bench = Bench()
    bench.unit.started = False
    assert data_of(bench.run(mode_sense_6(0x0A)))
    assert select(bench, SWP) == GOOD
