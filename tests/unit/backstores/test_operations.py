from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Extent, Provisioning
from isthmus.backstores.operations import (
    MAX_CHUNK,
    WOULD_BLOCK,
    Barrier,
    BlockOperation,
    CompareAndWrite,
    Copy,
    Discard,
    ExchangeMedium,
    Flush,
    FollowSize,
    MapStatus,
    MeasureSpace,
    Miscompare,
    OrWrite,
    Prefetch,
    Read,
    Resize,
    SourceFailure,
    Write,
    WriteRepeated,
    WriteZeroes,
    first_difference,
)
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.tray import Tray
from isthmus.errors import BackstoreError

MAPPED, DEALLOCATED = Provisioning.MAPPED, Provisioning.DEALLOCATED


class Recorder(Backstore):
    """Bytes in memory that note each call."""

    def __init__(self, content: bytes = bytes(16), *, cached: bool = False, never_blocks: bool = False) -> None:
        self.content = bytearray(content)
        self.size = len(content)
        self.cached = cached
        self.never_blocks = never_blocks
        self.extents: list[Extent] = []
        self.calls: list[tuple[object, ...]] = []

    @property
    def identity(self) -> str:
        return "recorder"

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        if self.cached:
            buffer[:] = self.content[offset : offset + len(buffer)]
        return self.cached

    def prefetch(self, offset: int, length: int) -> None:
        self.calls.append(("prefetch", offset, length))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.calls.append(("read", offset, len(buffer)))
        buffer[:] = self.content[offset : offset + len(buffer)]

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        data = b"".join(map(bytes, buffers))
        self.calls.append(("write", offset, len(data), durable))
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None:
        self.calls.append(("flush",))

    def discard(self, offset: int, length: int) -> None:
        self.calls.append(("discard", offset, length))

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        self.calls.append(("zero", offset, length, durable))

    def map_status(self, offset: int, length: int) -> Extent:
        self.calls.append(("map", offset, length))
        return self.extents.pop(0) if self.extents else super().map_status(offset, length)

    def space(self) -> None:
        self.calls.append(("space",))

    def resize(self, size: int) -> None:
        self.calls.append(("resize", size))

    def follow_size(self, granularity: int) -> None:
        self.calls.append(("follow", granularity))

    def close(self) -> None:
        self.calls.append(("close",))


OPERATIONS: list[tuple[BlockOperation, tuple[int, int], tuple[object, ...]]] = [
    (Read(2, 3), (2, 3), ("read", 2, 3)),
    (Prefetch(2, 3), (2, 3), ("prefetch", 2, 3)),
    (Write(2, (b"ab", b"c"), 3), (2, 3), ("write", 2, 3, False)),
    (Write(2, (b"ab", b"c"), 3, durable=True), (2, 3), ("write", 2, 3, True)),
    (WriteRepeated(2, 6, b"ab"), (2, 6), ("write", 2, 6, False)),
    (WriteRepeated(2, 6, b"ab", durable=True), (2, 6), ("write", 2, 6, True)),
    (WriteZeroes(2, 6), (2, 6), ("zero", 2, 6, False)),
    (WriteZeroes(2, 6, durable=True), (2, 6), ("zero", 2, 6, True)),
    (Discard(((2, 6),)), (2, 6), ("discard", 2, 6)),
    (MapStatus(2, 6, 1), (2, 6), ("map", 2, 6)),
    (CompareAndWrite(2, memoryview(b"\0\0"), memoryview(b"ab")), (2, 2), ("write", 2, 2, False)),
    (CompareAndWrite(2, memoryview(b"\0\0"), memoryview(b"ab"), durable=True), (2, 2), ("write", 2, 2, True)),
    (OrWrite(2, memoryview(b"ab")), (2, 2), ("write", 2, 2, False)),
    (OrWrite(2, memoryview(b"ab"), durable=True), (2, 2), ("write", 2, 2, True)),
    (Flush(), (0, 0), ("flush",)),
    (Discard(((2, 6),), anchor=True), (2, 6), ("zero", 2, 6, False)),
    (MeasureSpace(), (0, 0), ("space",)),
    (Resize(32), (0, 1 << 80), ("resize", 32)),
    (FollowSize(512), (0, 1 << 80), ("follow", 512)),
]


@pytest.mark.parametrize(("operation", "extent", "call"), OPERATIONS)
def test_what_is_asked_of_the_backstore(
    operation: BlockOperation, extent: tuple[int, int], call: tuple[object, ...]
) -> None:
    """Each operation knows its bytes and makes its call."""
    backstore = Recorder()
    operation.run(backstore)
    assert operation.extent == extent
    assert backstore.calls[-1] == call


@pytest.mark.parametrize(("operation", "extent", "call"), OPERATIONS)
def test_inline_where_nothing_blocks(
    operation: BlockOperation, extent: tuple[int, int], call: tuple[object, ...]
) -> None:
    """On a backstore that never blocks everything is done at once."""
    backstore = Recorder(never_blocks=True)
    assert operation.run_inline(backstore) is not WOULD_BLOCK
    assert backstore.calls[-1] == call


@pytest.mark.parametrize(("operation", "extent", "call"), OPERATIONS)
def test_inline_where_something_might_block(
    operation: BlockOperation, extent: tuple[int, int], call: tuple[object, ...]
) -> None:
    """What could block is left to a worker, and nothing has been done."""
    backstore = Recorder()
    assert operation.run_inline(backstore) is WOULD_BLOCK
    assert backstore.calls == []


@pytest.mark.parametrize(("operation", "extent", "call"), OPERATIONS)
def test_exclusive_operations(operation: BlockOperation, extent: tuple[int, int], call: tuple[object, ...]) -> None:
    """Operations that read what they then write have their bytes for themselves, and a change of the size has all."""
    assert operation.exclusive is isinstance(operation, CompareAndWrite | OrWrite | Resize | FollowSize)


@pytest.mark.parametrize(("operation", "extent", "call"), OPERATIONS)
def test_what_exceeds_a_size(operation: BlockOperation, extent: tuple[int, int], call: tuple[object, ...]) -> None:
    """An operation exceeds storage that ends within it; one that changes the size exceeds none."""
    end = 0 if isinstance(operation, Resize | FollowSize) else sum(extent)
    assert not operation.exceeds(end)
    assert operation.exceeds(end - 1) is (end > 0 or sum(extent) == 0)


def test_read() -> None:
    """A read gives the bytes, inline if they are in the cache."""
    assert bytes(Read(2, 3).run(Recorder(b"abcdefgh"))) == b"cde"
    backstore = Recorder(b"abcdefgh", cached=True)
    buffer = Read(2, 3).run_inline(backstore)
    assert isinstance(buffer, memoryview)
    assert bytes(buffer) == b"cde"
    assert backstore.calls == []


def test_write() -> None:
    """The buffers of a write lie one after the other."""
    backstore = Recorder(b"........")
    Write(2, (b"ab", memoryview(b"c")), 3).run(backstore)
    assert backstore.content == b"..abc..."


@pytest.mark.parametrize(
    ("length", "pattern"), [(6, b"ab"), (2, b"ab"), (3 * MAX_CHUNK, b"x" * 4096), (2 * MAX_CHUNK + 512, b"y" * 512)]
)
def test_write_repeated(length: int, pattern: bytes) -> None:
    """A pattern is repeated to the length, in writes of bounded size."""
    backstore = Recorder(b"." * (length + 4))
    WriteRepeated(2, length, pattern).run(backstore)
    assert backstore.content == b".." + pattern * (length // len(pattern)) + b".."
    assert all(size <= MAX_CHUNK for _, _, size, _ in backstore.calls if isinstance(size, int))


def test_pattern_longer_than_a_chunk() -> None:
    """A pattern is never cut, however long it is."""
    backstore = Recorder(bytes(2 * MAX_CHUNK + 2))
    pattern = b"z" * (MAX_CHUNK + 1)
    WriteRepeated(0, 2 * len(pattern), pattern).run(backstore)
    assert backstore.content == pattern * 2


def test_discard() -> None:
    """Every range is discarded; the extent spans all of them."""
    backstore = Recorder()
    discard = Discard(((8, 2), (0, 3)))
    discard.run(backstore)
    assert backstore.calls == [("discard", 8, 2), ("discard", 0, 3)]
    assert discard.extent == (0, 10)
    assert Discard(()).extent == (0, 0)


def extents(*runs: tuple[int, Provisioning]) -> list[Extent]:
    """Extents one after the other."""
    return [Extent(length=length, provisioning=provisioning) for length, provisioning in runs]


def test_map_status_joins_neighbours() -> None:
    """Neighbouring extents of one state are one extent."""
    backstore = Recorder()
    backstore.extents = extents((2, MAPPED), (3, MAPPED), (4, DEALLOCATED), (1, DEALLOCATED), (6, MAPPED))
    assert MapStatus(0, 16, 9).run(backstore) == extents((5, MAPPED), (5, DEALLOCATED), (6, MAPPED))
    assert backstore.calls[1] == ("map", 2, 14)


def test_map_status_limit() -> None:
    """No more extents than asked for; the last one is complete all the same."""
    backstore = Recorder()
    backstore.extents = extents((2, MAPPED), (3, DEALLOCATED), (4, DEALLOCATED), (1, MAPPED), (6, DEALLOCATED))
    assert MapStatus(0, 16, 2).run(backstore) == extents((2, MAPPED), (7, DEALLOCATED))


def test_map_status_of_a_storage_that_cannot_tell() -> None:
    """Without knowledge everything counts as mapped."""
    assert MapStatus(4, 8, 3).run(Recorder()) == extents((8, MAPPED))


def test_compare_and_write() -> None:
    """Equal bytes are replaced; a difference is told and changes nothing."""
    backstore = Recorder(b"..abcd..")
    assert CompareAndWrite(2, memoryview(b"abxd"), memoryview(b"1234")).run(backstore) == Miscompare(2)
    assert backstore.content == b"..abcd.."
    assert CompareAndWrite(2, memoryview(b"abcd"), memoryview(b"1234")).run(backstore) is None
    assert backstore.content == b"..1234.."


def test_or_write() -> None:
    """Bits are set, none is cleared, leading zeros included."""
    backstore = Recorder(b"\xff\x00\x01\xa0\xff")
    OrWrite(1, memoryview(b"\x00\x02\x0a")).run(backstore)
    assert backstore.content == b"\xff\x00\x03\xaa\xff"


@given(st.binary(max_size=64), st.integers(0, 63), st.integers(1, 255), st.sets(st.integers(0, 63)))
def test_first_difference(data: bytes, place: int, flip: int, later: set[int]) -> None:
    """It is the first one that is found, whatever differs behind it."""
    other = bytearray(data)
    expected = len(data)
    for index in sorted({place, *(index for index in later if index > place)}):
        if index < len(data):
            other[index] ^= flip
            expected = min(expected, index)
    assert first_difference(memoryview(data), memoryview(other)) == expected


@pytest.mark.parametrize(
    ("left", "right", "place"), [(b"", b"", 0), (b"a", b"a", 1), (b"a", b"b", 0), (b"ab", b"ac", 1)]
)
def test_first_difference_at_the_edges(left: bytes, right: bytes, place: int) -> None:
    """Nothing, one byte, the last byte."""
    assert first_difference(memoryview(left), memoryview(right)) == place


# -- Copy --------------------------------------------------------------------------------------------------------------


def test_a_copy_goes_from_its_source_to_where_it_is_run() -> None:
    """The bytes of the source arrive at the offset, and nowhere else."""
    source, destination = RamdiskBackstore("source", 8192), RamdiskBackstore("destination", 8192)
    source.write(0, (b"data" * 256,))
    copy = Copy(source, 512, 4096, 512)
    assert copy.run(destination) is None
    assert bytes(Read(0, 8192).run(destination)) == bytes(4096) + b"data" * 128 + bytes(8192 - 4608)
    assert copy.extent == (4096, 512)


def test_a_copy_tells_a_failure_of_its_source_as_its_result() -> None:
    """So whoever asked knows which of the two backstores failed."""

    class Broken(RamdiskBackstore):
        def read_into(self, offset: int, buffer: memoryview) -> None:
            raise BackstoreError(5, "broken")

    source = Broken("source", 4096)
    source.write(0, (b"x" * 512,))
    result = Copy(source, 0, 0, 512).run(RamdiskBackstore("destination", 4096))
    assert isinstance(result, SourceFailure)
    assert result.error.errno == 5


def test_only_a_short_copy_in_memory_is_done_at_once() -> None:
    """A long one would keep the loop from everybody else."""
    source, destination = RamdiskBackstore("source", 4 << 20), RamdiskBackstore("destination", 4 << 20)
    assert Copy(source, 0, 0, 1 << 20).run_inline(destination) is None
    assert Copy(source, 0, 0, (1 << 20) + 1).run_inline(destination) is WOULD_BLOCK


@pytest.mark.parametrize("operation", [Read(0, 512), Prefetch(0, 512), Flush(), Barrier(512), MapStatus(0, 512, 1)])
def test_operations_that_change_nothing(operation: BlockOperation) -> None:
    """Looking at bytes leaves them as they are."""
    assert operation.changes == ()


@pytest.mark.parametrize("operation", [WriteZeroes(512, 1024), WriteRepeated(512, 1024, b"x"), Write(512, (), 1024)])
def test_operations_that_change_their_extent(operation: BlockOperation) -> None:
    """A write may change all that it touches."""
    assert operation.changes == ((512, 1024),)


def test_a_discard_changes_its_ranges_alone() -> None:
    """Not what lies between them."""
    assert Discard(((0, 512), (4096, 512))).changes == ((0, 512), (4096, 512))


def test_another_medium() -> None:
    """It is put into a tray while nothing else goes on; what was there is given back."""
    disc = RamdiskBackstore("disc", 4096)
    tray, operation = Tray("drive"), ExchangeMedium(disc)
    assert (operation.exclusive, operation.extent, operation.exceeds(0)) == (True, (0, 1 << 80), False)
    assert operation.run(tray) is None
    assert tray.medium is disc
    assert ExchangeMedium(None).run(tray) is disc
