import dataclasses
import struct
from collections.abc import Callable

import pytest

from isthmus.backstores.base import Backstore
from isthmus.backstores.journal import AtomicWrite
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import ConfigurationError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.spc.vpd import build_page
from isthmus.scsi.state_store import ATOMIC_WRITE
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, NEXUS, THIN, Disk, Memory, pattern, thirty_two

Cdb = Callable[..., bytes]
FUA, DPO = 0x08, 0x10
FEW = dataclasses.replace(LIMITS, max_atomic_blocks=8)


def sixteen(lba: int, num_blocks: int, flags: int = 0, *, boundary: int = 0) -> bytes:
    """A WRITE ATOMIC (16) CDB."""
    return struct.pack(">BBQHHxx", 0x9C, flags, lba, boundary, num_blocks)


def long(lba: int, num_blocks: int, flags: int = 0, *, boundary: int = 0) -> bytes:
    """A WRITE ATOMIC (32) CDB."""
    cdb = thirty_two(0x000F, lba, num_blocks, flags)
    return cdb[:4] + boundary.to_bytes(2) + cdb[6:]


BOTH = pytest.mark.parametrize("cdb", [sixteen, long], ids=["16", "32"])
LBA_BYTE = {sixteen: 2, long: 12}
LENGTH_BYTE = {sixteen: 12, long: 28}
BOUNDARY_BYTE = {sixteen: 10, long: 4}


class Lasting(Memory):
    """Memory that claims to outlive the process."""

    volatile = False

    @property
    def identity(self) -> str:
        return "lasting"


def lasting_unit(store: object = None, content: bytes = b"") -> LogicalUnit:
    """A unit whose storage would outlive a crash."""
    backstore = Lasting(64 * BLOCK, write_back=True, capabilities=THIN)
    backstore.content[: len(content)] = content
    return LogicalUnit(backstore, state=store)  # type: ignore[arg-type]


class Records:
    """A store of its own kind, which keeps records by their names."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.saved: list[bytes | None] = []

    def load(self, unit_serial: str, record: str) -> bytes | None:
        return self.records.get(record)

    def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
        self.saved.append(data)
        self.records.pop(record, None)
        if data is not None:
            self.records[record] = data


@BOTH
@pytest.mark.parametrize("flags", [0, DPO, FUA, DPO | FUA])
def test_all_blocks_are_written_in_one_exclusive_operation(cdb: Cdb, flags: int) -> None:
    """Nobody else gets between them; and no others change."""
    disk = Disk(limits=FEW)
    assert disk.run(cdb(3, 8, flags), pattern(8 * BLOCK), pieces=3) == GOOD
    assert disk.blocks(2, 10) == bytes(BLOCK) + pattern(8 * BLOCK) + bytes(BLOCK)
    (operation,) = disk.operations
    assert isinstance(operation, AtomicWrite)
    assert (operation.exclusive, operation.extent) == (True, (3 * BLOCK, 8 * BLOCK))


@BOTH
def test_nothing_to_write(cdb: Cdb) -> None:
    """A TRANSFER LENGTH of 0 is no error, even right behind the last block."""
    disk = Disk()
    assert disk.run(cdb(256, 0)) == GOOD
    assert disk.operations == []


@BOTH
@pytest.mark.parametrize(("lba", "num_blocks"), [(256, 1), (255, 2), (1 << 63, 1), ((1 << 64) - 1, 1), (0, 512)])
def test_beyond_the_end(cdb: Cdb, lba: int, num_blocks: int) -> None:
    """The range is judged before the length."""
    sense = Disk(limits=FEW).refusal(cdb(lba, num_blocks), bytes(num_blocks * BLOCK))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(LBA_BYTE[cdb])


@BOTH
def test_more_than_the_maximum(cdb: Cdb) -> None:
    """MAXIMUM ATOMIC TRANSFER LENGTH is what the block limits page says."""
    sense = Disk(limits=FEW).refusal(cdb(0, 9), bytes(9 * BLOCK))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(LENGTH_BYTE[cdb]))


@BOTH
@pytest.mark.parametrize("boundary", [1, 3, 8])
def test_an_atomic_boundary(cdb: Cdb, boundary: int) -> None:
    """It would allow to cut the write there; it is one operation all the same."""
    disk = Disk(limits=FEW)
    assert disk.run(cdb(2, 8, boundary=boundary), pattern(8 * BLOCK)) == GOOD
    (operation,) = disk.operations
    assert operation.extent == (2 * BLOCK, 8 * BLOCK)


@BOTH
@pytest.mark.parametrize("boundary", [9, 0x0100, 0xFFFF])
def test_a_boundary_beyond_the_maximum(cdb: Cdb, boundary: int) -> None:
    """MAXIMUM ATOMIC BOUNDARY SIZE is what the block limits page says."""
    sense = Disk(limits=FEW).refusal(cdb(0, 1, boundary=boundary), bytes(BLOCK))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(BOUNDARY_BYTE[cdb]))


ALIGNED = dataclasses.replace(FEW, atomic_alignment_blocks=4, atomic_granularity_blocks=2)


@BOTH
@pytest.mark.parametrize(("lba", "num_blocks", "boundary"), [(0, 2, 0), (4, 6, 2), (8, 0, 0), (252, 4, 4)])
def test_whole_granules(cdb: Cdb, lba: int, num_blocks: int, boundary: int) -> None:
    """Where the operator wants initiators to keep to something, what keeps to it is written."""
    disk = Disk(limits=ALIGNED)
    assert disk.run(cdb(lba, num_blocks, boundary=boundary), bytes(num_blocks * BLOCK)) == GOOD


@BOTH
@pytest.mark.parametrize(
    ("lba", "num_blocks", "boundary", "field"),
    [
        (1, 2, 0, LBA_BYTE),
        (2, 2, 0, LBA_BYTE),
        (0, 1, 0, LENGTH_BYTE),
        (4, 7, 0, LENGTH_BYTE),
        (0, 2, 1, BOUNDARY_BYTE),
    ],
)
def test_parts_of_granules(cdb: Cdb, lba: int, num_blocks: int, boundary: int, field: dict[Cdb, int]) -> None:
    """ATOMIC ALIGNMENT is that of the LBA, ATOMIC TRANSFER LENGTH GRANULARITY that of the length and of the boundary."""
    sense = Disk(limits=ALIGNED).refusal(cdb(lba, num_blocks, boundary=boundary), bytes(num_blocks * BLOCK))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(field[cdb]))


@BOTH
@pytest.mark.parametrize(("arrived", "offered"), [(BLOCK, None), (BLOCK, BLOCK), (2 * BLOCK, 3 * BLOCK), (0, 0)])
def test_another_length_of_data(cdb: Cdb, arrived: int, offered: int | None) -> None:
    """A part of the blocks is not written: that would not be all or nothing."""
    disk = Disk()
    sense = disk.refusal(cdb(0, 2), bytes(arrived), offered=offered)
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
    assert disk.operations == []


@BOTH
def test_protection(cdb: Cdb) -> None:
    """WRPROTECT has to be 0 where there is no protection information."""
    assert Disk().refusal(cdb(0, 1, 0x20), bytes(BLOCK)).sense is Sense.INVALID_FIELD_IN_CDB


@BOTH
def test_a_unit_that_keeps_no_state(cdb: Cdb) -> None:
    """Storage that outlives a crash needs a journal that does; without one there is no such command, and no limit."""
    unit = lasting_unit()
    assert not unit.writes_atomically
    assert not any(build_page(0xB0, unit, NEXUS)[44:64])
    assert unit.table.lookup(0x9C) is None
    assert unit.table.lookup(0x7F, 0x000F) is None
    disk = Disk()
    disk.unit.table = unit.table
    expected = FieldPointer(0) if cdb is sixteen else FieldPointer(8, 7)
    assert disk.refusal(cdb(0, 1), bytes(BLOCK)).specific == expected


def test_a_write_through_the_journal() -> None:
    """The record is there before the blocks, and gone after them."""
    records = Records()
    unit = lasting_unit(records)
    assert unit.journal is not None
    unit.journal.write(unit.backstore, BLOCK, memoryview(pattern(BLOCK)))
    record, removal = records.saved
    assert record is not None
    assert record.endswith(pattern(BLOCK))
    assert (removal, records.records) == (None, {})


def test_a_write_that_a_crash_cut_short_is_made_whole_at_the_start() -> None:
    """Before anybody can read it."""
    before, after = bytes(4 * BLOCK), pattern(4 * BLOCK)
    records = Records()
    records.records[ATOMIC_WRITE] = struct.pack(">B7xQ", 1, 0) + before + after
    unit = lasting_unit(records, after[: 2 * BLOCK])
    assert bytes(unit.backstore.content[: 5 * BLOCK]) == after + bytes(BLOCK)  # type: ignore[attr-defined]
    assert records.records == {}


def test_storage_that_cannot_be_made_whole() -> None:
    """The unit is not served: what is torn would be read as if it were right."""
    records = Records()
    records.records[ATOMIC_WRITE] = struct.pack(">B7xQ", 1, 0) + bytes(2 * BLOCK) + b"\1" * 2 * BLOCK
    backstore: Backstore = ReadOnly("disk", 64 * BLOCK)
    backstore.write(0, [b"\1" * BLOCK])
    backstore.read_only = True
    with pytest.raises(ConfigurationError, match="cut short"):
        LogicalUnit(backstore, state=records)
    assert ATOMIC_WRITE in records.records


class ReadOnly(RamdiskBackstore):
    """Memory that claims to outlive the process."""

    volatile = False
