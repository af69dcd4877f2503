import errno
import itertools
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Buffer

from isthmus.backstores.journal import AtomicWrite, WriteJournal
from isthmus.backstores.operations import WOULD_BLOCK
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError, ConfigurationError

SECTOR = 512
SIZE = 64 << 10
OFFSET = 8 * SECTOR
OLD = bytes(range(1, 5)) * SECTOR
NEW = bytes(range(5, 9)) * SECTOR


class PowerCut(Exception):
    """The machine is gone."""


class Machine(RamdiskBackstore):
    """A disk and a record that outlast power cuts. One comes after so many sectors or changes of the record."""

    def __init__(self) -> None:
        super().__init__("machine", SIZE)
        super().write(OFFSET, [OLD])
        self.record: bytes | None = None
        self.steps_left = 1 << 30
        self.fails = 0
        """How many writes fail, each after its first sector."""
        self.reserved: list[tuple[int, int]] = []
        self.no_room = False

    def _step(self) -> None:
        if not self.steps_left:
            raise PowerCut
        self.steps_left -= 1

    def reserve(self, offset: int, length: int) -> None:
        self.reserved.append((offset, length))
        if self.no_room:
            raise BackstoreError(errno.ENOSPC, "no room")

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        assert durable
        data = b"".join(map(bytes, buffers))
        for number, start in enumerate(range(0, len(data), SECTOR)):
            if number and self.fails:
                self.fails -= 1
                raise BackstoreError(errno.EIO, "broken")
            self._step()
            super().write(offset + start, [data[start : start + SECTOR]])

    def save(self, data: bytes | None) -> None:
        """The record, all or nothing."""
        self._step()
        self.record = data

    def journal(self) -> WriteJournal:
        """The journal, as it is after a start."""
        return WriteJournal(lambda: self.record, self.save)

    def content(self, offset: int = OFFSET, length: int = len(OLD)) -> bytes:
        """What is on the disk."""
        buffer = bytearray(length)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)


def test_a_write() -> None:
    """The bytes are written, no others are, and no record stays."""
    machine = Machine()
    machine.journal().write(machine, OFFSET, memoryview(NEW))
    assert machine.content(OFFSET - SECTOR, len(NEW) + 2 * SECTOR) == bytes(SECTOR) + NEW + bytes(SECTOR)
    assert machine.record is None
    assert machine.reserved == [(OFFSET, len(NEW))]


@given(cuts=st.lists(st.integers(0, 8), min_size=1, max_size=4))
def test_whenever_the_power_fails_all_of_it_is_there_or_nothing(cuts: list[int]) -> None:
    """Also if it fails again while the write is made whole; and what was acknowledged is there."""
    machine = Machine()
    machine.steps_left = cuts[0]
    acknowledged = False
    try:
        machine.journal().write(machine, OFFSET, memoryview(NEW))
        acknowledged = True
    except PowerCut:
        for cut in (*cuts[1:], 1 << 30):
            machine.steps_left = cut
            try:
                machine.journal().recover(machine)
                break
            except PowerCut:
                continue
    assert machine.content() in ((NEW,) if acknowledged else (OLD, NEW))
    assert machine.record is None


def test_nothing_was_interrupted() -> None:
    """Without a record there is nothing to do."""
    machine = Machine()
    assert not machine.journal().recover(machine)


def record(offset: int = OFFSET, before: bytes = OLD, after: bytes = NEW) -> bytes:
    """What a write leaves behind when it is cut short."""
    return struct.pack(">B7xQ", 1, offset) + before + after


@pytest.mark.parametrize("new", list(itertools.product([False, True], repeat=4)))
def test_every_mixture_is_made_whole(new: tuple[bool, ...]) -> None:
    """Storage writes the sectors in any order; where all of one kind are there nothing is left to do."""
    machine = Machine()
    sectors = range(0, len(OLD), SECTOR)
    mixed = b"".join((NEW if is_new else OLD)[at : at + SECTOR] for at, is_new in zip(sectors, new, strict=True))
    RamdiskBackstore.write(machine, OFFSET, [mixed])
    machine.record = record()
    assert machine.journal().recover(machine) is (any(new) and not all(new))
    assert machine.content() == (NEW if any(new) else OLD)
    assert machine.record is None


@pytest.mark.parametrize("place", [0, SECTOR, len(OLD) - 1])
def test_data_that_somebody_has_put_there_since_are_left_alone(place: int) -> None:
    """A backup was restored before the start: the record is out of date."""
    machine = Machine()
    restored = bytearray(NEW[:SECTOR] + OLD[SECTOR:])
    restored[place] ^= 0x80
    RamdiskBackstore.write(machine, OFFSET, [restored])
    machine.record = record()
    assert not machine.journal().recover(machine)
    assert machine.content() == restored
    assert machine.record is None


def test_storage_that_has_become_smaller() -> None:
    """Where the write was there is nothing any more."""
    machine = Machine()
    machine.record = record(offset=SIZE - SECTOR)
    assert not machine.journal().recover(machine)
    assert machine.record is None


@pytest.mark.parametrize("data", [b"", b"\1", struct.pack(">B7xQ", 2, 0) + bytes(2), struct.pack(">B7xQ", 1, 0) + b"x"])
def test_a_record_that_cannot_be_read(data: bytes) -> None:
    """Nobody guesses at it."""
    machine = Machine()
    machine.record = data
    with pytest.raises(ConfigurationError):
        machine.journal().recover(machine)
    assert machine.record == data


def test_no_room() -> None:
    """ENOSPC comes before anything is recorded or written."""
    machine = Machine()
    machine.no_room = True
    with pytest.raises(BackstoreError) as caught:
        machine.journal().write(machine, OFFSET, memoryview(NEW))
    assert caught.value.errno == errno.ENOSPC
    assert (machine.content(), machine.record) == (OLD, None)


def test_a_failure_in_the_middle_is_undone() -> None:
    """Whoever reads the blocks then sees the old ones."""
    machine = Machine()
    machine.fails = 1
    with pytest.raises(BackstoreError) as caught:
        machine.journal().write(machine, OFFSET, memoryview(NEW))
    assert caught.value.errno == errno.EIO
    assert (machine.content(), machine.record) == (OLD, None)


def test_a_failure_that_cannot_be_undone_is_made_whole_later() -> None:
    """The record stays until the storage works again."""
    machine = Machine()
    machine.fails = 2
    with pytest.raises(BackstoreError):
        machine.journal().write(machine, OFFSET, memoryview(NEW))
    assert machine.record is not None
    RamdiskBackstore.write(machine, OFFSET, [NEW[:SECTOR] + OLD[SECTOR:]])
    assert machine.journal().recover(machine)
    assert machine.content() == NEW


def test_a_record_that_cannot_be_saved() -> None:
    """Then nothing is written."""
    machine = Machine()

    def refuse(_: bytes | None) -> None:
        raise BackstoreError(errno.ENOSPC, "the state directory is full")

    with pytest.raises(BackstoreError):
        WriteJournal(lambda: None, refuse).write(machine, OFFSET, memoryview(NEW))
    assert machine.content() == OLD


@pytest.mark.parametrize("make", [lambda machine: machine.journal(), lambda machine: None], ids=["journal", "volatile"])
def test_the_operation(make: Callable[[Machine], WriteJournal | None]) -> None:
    """It has its bytes for itself, and is done on a worker unless nothing of it can block."""
    machine = Machine()
    memory = RamdiskBackstore("memory", SIZE)
    journal = make(machine)
    operation = AtomicWrite(OFFSET, memoryview(NEW), journal)
    assert (operation.exclusive, operation.extent) == (True, (OFFSET, len(NEW)))
    if journal is not None:
        assert operation.run_inline(machine) is WOULD_BLOCK
        operation.run(machine)
        assert machine.content() == NEW
    else:
        assert operation.run_inline(memory) is not WOULD_BLOCK
        assert bytes(memory._bytes[OFFSET : OFFSET + len(NEW)]) == NEW
