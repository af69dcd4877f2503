import dataclasses
import struct

import pytest

from isthmus.backstores import operations
from isthmus.backstores.base import Capabilities
from isthmus.errors import BackstoreError
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, THIN, Disk, pattern

Descriptor = tuple[int, int]


def unmap(parameter_list_length: int, flags: int = 0) -> bytes:
    """An UNMAP CDB."""
    return struct.pack(">BB5xHx", 0x42, flags, parameter_list_length)


def parameter_list(*descriptors: Descriptor, descriptor_data_length: int | None = None) -> bytes:
    """An UNMAP parameter list; its length field can be made to lie."""
    body = b"".join(struct.pack(">QI4x", lba, num_blocks) for lba, num_blocks in descriptors)
    length = len(body) if descriptor_data_length is None else descriptor_data_length
    return struct.pack(">HH4x", len(body) + 6, length) + body


def discards(disk: Disk, data: bytes) -> tuple[tuple[int, int], ...]:
    """The ranges, in blocks, that a parameter list makes the disk give back."""
    assert disk.run(unmap(len(data)), data) == GOOD
    ranges = [operation.ranges for operation in disk.operations if isinstance(operation, operations.Discard)]
    return tuple((offset // BLOCK, length // BLOCK) for each in ranges for offset, length in each)


def test_unmap() -> None:
    """The blocks of every descriptor are given back and read as zeros; the others keep what they hold."""
    disk = Disk()
    disk.fill(0, pattern(256 * BLOCK))
    assert discards(disk, parameter_list((10, 2), (3, 1))) == ((3, 1), (10, 2))
    assert disk.blocks(10, 2) == bytes(2 * BLOCK)
    assert disk.blocks(3, 1) == bytes(BLOCK)
    assert disk.blocks(11, 2) == bytes(BLOCK) + pattern(256 * BLOCK)[12 * BLOCK : 13 * BLOCK]


@pytest.mark.parametrize(
    ("descriptors", "ranges"),
    [
        ([(0, 1), (1, 1), (2, 2)], ((0, 4),)),
        ([(2, 4), (0, 3)], ((0, 6),)),
        ([(0, 8), (2, 2)], ((0, 8),)),
        ([(4, 1), (2, 1)], ((2, 1), (4, 1))),
        ([(4, 1), (4, 1)], ((4, 1),)),
    ],
)
def test_neighbours_and_overlaps(descriptors: list[Descriptor], ranges: tuple[Descriptor, ...]) -> None:
    """Descriptors may come in any order and overlap; what touches becomes one range."""
    assert discards(Disk(), parameter_list(*descriptors)) == ranges


@pytest.mark.parametrize(
    "data",
    [
        b"",
        parameter_list(),
        parameter_list((0, 0)),
        parameter_list((256, 0), (3, 0)),
        parameter_list((7, 1), descriptor_data_length=0),
        parameter_list((7, 1), descriptor_data_length=15),
        parameter_list((7, 1))[:-1],
    ],
)
def test_nothing_to_unmap(data: bytes) -> None:
    """No descriptors, descriptors of no blocks, and truncated ones are no error and have no effect."""
    disk = Disk()
    assert discards(disk, data) == ()
    assert disk.operations == []


def test_truncated_descriptor() -> None:
    """A last descriptor that is not complete is ignored, the others count."""
    assert discards(Disk(), parameter_list((7, 1), (9, 1), descriptor_data_length=31)) == ((7, 1),)
    assert discards(Disk(), parameter_list((7, 1), (9, 1))[:-3]) == ((7, 1),)


@pytest.mark.parametrize("write_back", [False, True])
def test_durability(write_back: bool) -> None:
    """Without a write cache the blocks are given back durably."""
    disk = Disk(write_back=write_back)
    data = parameter_list((0, 1))
    disk.run(unmap(len(data)), data)
    assert (disk.operations[-1] == operations.Flush()) is not write_back


@pytest.mark.parametrize("length", range(1, 8))
def test_parameter_list_without_a_header(length: int) -> None:
    """A PARAMETER LIST LENGTH that does not hold the header is refused before any data."""
    sense = Disk().refusal(unmap(length), bytes(length))
    assert sense.sense is Sense.PARAMETER_LIST_LENGTH_ERROR
    assert sense.specific == FieldPointer(7)


@pytest.mark.parametrize("arrived", [0, 7])
def test_less_data_than_a_header(arrived: int) -> None:
    """Fewer bytes than a header, where more were announced, are refused."""
    assert Disk().refusal(unmap(24), bytes(arrived)).sense is Sense.PARAMETER_LIST_LENGTH_ERROR


@pytest.mark.parametrize(
    ("descriptors", "byte"), [([(256, 1)], 8), ([(0, 1), (255, 2)], 24), ([(257, 0)], 8), ([((1 << 64) - 1, 1)], 8)]
)
def test_beyond_the_end(descriptors: list[Descriptor], byte: int) -> None:
    """A descriptor that exceeds the capacity is refused, and no other is carried out."""
    disk = Disk()
    data = parameter_list(*descriptors)
    sense = disk.refusal(unmap(len(data)), data)
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(byte, in_cdb=False)
    assert disk.operations == []


def test_most_descriptors() -> None:
    """MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT descriptors are accepted, one more is not."""
    most = [(2 * index, 1) for index in range(LIMITS.max_unmap_descriptors)]
    assert len(discards(Disk(), parameter_list(*most))) == len(most)
    data = parameter_list(*most, (100, 0))
    sense = Disk().refusal(unmap(len(data)), data)
    assert sense.sense is Sense.INVALID_FIELD_IN_PARAMETER_LIST
    assert sense.specific == FieldPointer(2, in_cdb=False)


def test_most_blocks() -> None:
    """MAXIMUM UNMAP LBA COUNT blocks in all are accepted, one more is not."""
    half = LIMITS.max_unmap_blocks // 2
    assert discards(Disk(), parameter_list((0, half), (100, half))) == ((0, half), (100, half))
    data = parameter_list((0, half), (100, half + 1))
    sense = Disk().refusal(unmap(len(data)), data)
    assert sense.sense is Sense.INVALID_FIELD_IN_PARAMETER_LIST
    assert sense.specific == FieldPointer(8 + 16 + 8, in_cdb=False)


def test_anchor() -> None:
    """The data are given back, and the room is kept."""
    disk = Disk(capabilities=dataclasses.replace(THIN, anchor=True))
    disk.fill(0, b"a" * 2 * BLOCK)
    assert disk.run(unmap(24, flags=1), parameter_list((0, 1))) == GOOD
    assert disk.operations[0] == operations.Discard(((0, BLOCK),), anchor=True)
    assert disk.blocks(0, 2) == bytes(BLOCK) + b"a" * BLOCK


def test_anchor_where_no_room_can_be_kept() -> None:
    """ANC_SUP is 0, and the bit is refused."""
    sense = Disk().refusal(unmap(24, flags=1), parameter_list((0, 1)))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(1, 0)


def test_unit_that_is_not_thin() -> None:
    """A unit whose storage takes no room back has no UNMAP."""
    sense = Disk(capabilities=Capabilities()).refusal(unmap(24), parameter_list((0, 1)))
    assert sense.sense is Sense.INVALID_COMMAND_OPERATION_CODE
    assert sense.specific == FieldPointer(0)


def test_errors_of_the_backstore_pass() -> None:
    """A storage that fails to give the room back fails the command."""
    disk = Disk()
    disk.fails_at = operations.Discard
    with pytest.raises(BackstoreError):
        disk.run(unmap(24), parameter_list((0, 1)))
