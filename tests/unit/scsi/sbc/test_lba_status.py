import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.backstores import operations
from isthmus.backstores.base import Capabilities, Extent, Provisioning
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.sbc import lba_status
from isthmus.scsi.sense import FieldPointer, Sense
from tests.support.disk import BLOCK, THIN, Disk, ten

MAPPED, DEALLOCATED, ANCHORED = Provisioning.MAPPED, Provisioning.DEALLOCATED, Provisioning.ANCHORED
ROOM = 8 + 16 * 64
NO_INDICATION, ALLOCATION_LENGTH, CAPACITY = 0b000, 0b001, 0b011
Descriptor = tuple[int, int, int]


def cdb(lba: int = 0, allocation_length: int = ROOM, report_type: int = 0) -> bytes:
    """A GET LBA STATUS (16) CDB."""
    return struct.pack(">BBQIBx", 0x9E, 0x12, lba, allocation_length, report_type)


def blocks(*runs: tuple[int, Provisioning]) -> tuple[Extent, ...]:
    """Extents of so many blocks, one after the other."""
    return tuple(Extent(length=length * BLOCK, provisioning=provisioning) for length, provisioning in runs)


def disk_of(*extents: Extent, capabilities: Capabilities = THIN) -> Disk:
    """A disk whose storage consists of `extents`."""
    disk = Disk(num_blocks=sum(extent.length for extent in extents) // BLOCK, capabilities=capabilities)
    disk.memory.extents = extents
    return disk


def decode(data: bytes) -> tuple[int, list[Descriptor]]:
    """COMPLETION CONDITION and the descriptors, as (LBA, number of blocks, provisioning status)."""
    length, condition = struct.unpack_from(">IxxxB", data)
    assert length == len(data) - 4
    assert condition & 1, "RTP"
    return condition >> 1, list(struct.iter_unpack(">QIB3x", data[8:]))


def status(
    disk: Disk, lba: int = 0, allocation_length: int = ROOM, report_type: int = 0
) -> tuple[int, list[Descriptor]]:
    """What GET LBA STATUS tells, decoded."""
    return decode(disk.data(cdb(lba, allocation_length, report_type)))


MIXED = blocks((4, MAPPED), (8, DEALLOCATED), (2, ANCHORED), (6, MAPPED))


def test_all_blocks() -> None:
    """Every run has its descriptor, up to the last block."""
    assert status(disk_of(*MIXED)) == (CAPACITY, [(0, 4, 0), (4, 8, 1), (12, 2, 2), (14, 6, 0)])


def test_start_inside_a_run() -> None:
    """The first descriptor begins with the starting LBA."""
    assert status(disk_of(*MIXED), lba=9) == (CAPACITY, [(9, 3, 1), (12, 2, 2), (14, 6, 0)])


@pytest.mark.parametrize(
    ("report_type", "expected"),
    [
        (0x01, [(0, 4, 3), (4, 8, 1), (12, 2, 2), (14, 6, 3)]),
        (0x02, [(0, 4, 3), (14, 6, 3)]),
        (0x03, [(4, 8, 1)]),
        (0x04, [(12, 2, 2)]),
    ],
)
def test_report_types(report_type: int, expected: list[Descriptor]) -> None:
    """REPORT TYPE chooses blocks by their state, and mapped blocks are then told from unknown ones."""
    assert status(disk_of(*MIXED), report_type=report_type) == (CAPACITY, expected)


def test_nothing_to_report() -> None:
    """If no block is of the type, there is no descriptor."""
    assert status(disk_of(*blocks((8, MAPPED))), report_type=0x04) == (CAPACITY, [])


@pytest.mark.parametrize(("report_type", "expected"), [(0, [(0, 8, 0)]), (1, [(0, 8, 4)]), (2, []), (3, []), (4, [])])
def test_storage_that_cannot_tell(report_type: int, expected: list[Descriptor]) -> None:
    """A thin storage that does not know what is mapped says so."""
    disk = disk_of(*blocks((8, MAPPED)), capabilities=Capabilities(discard=True))
    assert status(disk, report_type=report_type) == (CAPACITY, expected)


@pytest.mark.parametrize(("report_type", "expected"), [(0, [(0, 8, 0)]), (1, [(0, 8, 3)]), (2, [(0, 8, 3)]), (3, [])])
def test_fully_provisioned(report_type: int, expected: list[Descriptor]) -> None:
    """Where nothing can be given back, everything is mapped."""
    disk = disk_of(*blocks((8, MAPPED)), capabilities=Capabilities())
    assert status(disk, report_type=report_type) == (CAPACITY, expected)


@pytest.mark.parametrize("report_type", [5, 0x10, 0xFF])
def test_unknown_report_type(report_type: int) -> None:
    """A REPORT TYPE that is reserved or that nobody can answer is refused."""
    sense = disk_of(*MIXED).refusal(cdb(report_type=report_type))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(14)


@pytest.mark.parametrize("lba", [20, 21, 1 << 63, (1 << 64) - 1])
def test_beyond_the_end(lba: int) -> None:
    """A starting LBA that does not exist is refused."""
    sense = disk_of(*MIXED).refusal(cdb(lba=lba))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(2)


@pytest.mark.parametrize("fitting", [1, 2, 3])
@pytest.mark.parametrize("report_type", [0, 1])
def test_allocation_length(fitting: int, report_type: int) -> None:
    """No more descriptors are made than fit, and the end is told."""
    disk = disk_of(*MIXED)
    condition, descriptors = status(disk, allocation_length=8 + 16 * fitting + 15, report_type=report_type)
    assert condition == ALLOCATION_LENGTH
    assert len(descriptors) == fitting


def test_allocation_length_that_just_fits() -> None:
    """If the last descriptor ends with the medium, that is the reason."""
    assert status(disk_of(*MIXED), allocation_length=8 + 16 * 4)[0] == CAPACITY


@pytest.mark.parametrize("allocation_length", range(24))
def test_short_allocation_length(allocation_length: int) -> None:
    """The data are cut, with a header that tells of one descriptor."""
    disk = disk_of(*MIXED)
    assert (
        disk.data(cdb(allocation_length=allocation_length)) == disk.data(cdb(allocation_length=24))[:allocation_length]
    )


def test_looks_no_further_than_needed() -> None:
    """For one descriptor one extent is asked for."""
    disk = disk_of(*MIXED)
    status(disk, lba=1, allocation_length=24)
    assert disk.operations == [operations.MapStatus(BLOCK, 19 * BLOCK, 1)]


def test_looks_on_until_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that is rare is searched for up to the end, in bounded steps."""
    monkeypatch.setattr(lba_status, "MAX_DESCRIPTORS", 2)
    disk = disk_of(*MIXED)
    assert status(disk, report_type=0x04) == (CAPACITY, [(12, 2, 2)])
    assert len(disk.operations) == 2


def test_most_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the allocation length, an answer is bounded and says so."""
    monkeypatch.setattr(lba_status, "MAX_DESCRIPTORS", 2)
    assert status(disk_of(*MIXED)) == (NO_INDICATION, [(0, 4, 0), (4, 8, 1)])


def test_more_blocks_than_a_descriptor_holds() -> None:
    """NUMBER OF LOGICAL BLOCKS has 32 bits: a longer run has several descriptors."""
    disk = Disk()
    disk.memory.size = (1 << 33) * BLOCK
    disk.memory.extents = (Extent(length=disk.memory.size, provisioning=DEALLOCATED),)
    most = 0xFFFF_FFFF
    assert status(disk) == (CAPACITY, [(0, most, 1), (most, most, 1), (2 * most, 2, 1)])


@given(
    st.lists(st.tuples(st.integers(1, 3 * BLOCK), st.sampled_from(Provisioning)), min_size=1, max_size=12), st.data()
)
def test_every_block_counts_once(extents: list[tuple[int, Provisioning]], draw: st.DataObject) -> None:
    """Whatever the extents, each block has one state: given back only if all of it is."""
    states = [provisioning for length, provisioning in extents for _ in range(length)]
    num_blocks = len(states) // BLOCK
    if not num_blocks:
        return
    disk = Disk(num_blocks=num_blocks)
    disk.memory.extents = tuple(Extent(length=length, provisioning=provisioning) for length, provisioning in extents)
    expected = []
    for lba in range(num_blocks):
        kinds = set(states[lba * BLOCK : (lba + 1) * BLOCK])
        expected.append(kinds.pop().value if len(kinds) == 1 else MAPPED.value)
    start = draw.draw(st.integers(0, num_blocks - 1))
    found: list[int] = []
    while start + len(found) < num_blocks:
        _, descriptors = status(disk, lba=start + len(found), allocation_length=8 + 16 * draw.draw(st.integers(1, 3)))
        for lba, length, provisioning in descriptors:
            assert lba == start + len(found)
            found += [provisioning] * length
    assert found == expected[start:]


def test_truth_of_a_memory_disk() -> None:
    """What has been written is mapped, the rest is not."""
    disk = Disk(num_blocks=64, backstore=RamdiskBackstore("disk", 64 * BLOCK))
    disk.run(ten(0x2A, 16, 8), b"x" * 8 * BLOCK)
    assert status(disk) == (CAPACITY, [(0, 16, 1), (16, 8, 0), (24, 40, 1)])
