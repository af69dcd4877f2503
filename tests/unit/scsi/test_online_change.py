import dataclasses
import errno

import pytest

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import Barrier, Read, Resize, Write
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.online_change import (
    change_identity,
    change_medium,
    change_write_protection,
    exchange_medium,
    follow_size,
    resize,
)
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.status import Status
from isthmus.scsi.task import Task
from tests.support.drive import bench as drive_bench
from tests.support.drive import drive
from tests.support.scsi import Bench, HeldExecutor, make_unit, read_10, sense_of, write_10

BLOCK = 512
SIZE = 1 << 20
LAST = SIZE // BLOCK - 1
CAPACITY, LUNS, MODE, NAMES = (6, 0x2A, 0x09), (6, 0x3F, 0x0E), (6, 0x2A, 0x01), (6, 0x3F, 0x03)
NO_UNIT, OUT_OF_RANGE, POWER_ON = (5, 0x25, 0x00), (5, 0x21, 0x00), (6, 0x29, 0x00)
TEST_UNIT_READY = bytes(6)
READ_CAPACITY = b"\x25" + bytes(9)
REPORT_LUNS = b"\xa0" + bytes(5) + (256).to_bytes(4) + bytes(2)


@pytest.fixture
def bench() -> Bench:
    """A target with one unit, and one nexus."""
    return Bench()


@pytest.fixture
def held() -> Bench:
    """The same, where block operations end when they are told to."""
    return Bench(executor=HeldExecutor())


def executor(bench: Bench) -> HeldExecutor:
    """What holds the operations."""
    assert isinstance(bench.executor, HeldExecutor)
    return bench.executor


def sense(bench: Bench, cdb: bytes = TEST_UNIT_READY, nexus: Nexus | None = None, lun: int = 0) -> object:
    """The sense that a command ends with; None for GOOD."""
    response = bench.run(cdb, nexus=nexus, lun=lun)
    return None if response.status is Status.GOOD else sense_of(response)


def ends(bench: Bench, task: Task) -> object:
    """The same of a task that has ended; False for one that has not."""
    if task not in bench.owner.ends:
        return False
    response = bench.owner.ends[task]
    assert response is not None
    return None if response.status is Status.GOOD else sense_of(response)


# The size.


@pytest.mark.parametrize("size", [2 * SIZE, SIZE // 2])
def test_resize(bench: Bench, size: int) -> None:
    """Every nexus hears of it once, reads the new capacity, and gets no further with its grants than that."""
    other, results = bench.connect(isid=2), list[Exception | None]()
    resize(bench.unit, size, bench.router.executor, results.append)
    assert results == [None]
    for nexus in (bench.nexus, other):
        stands = [nexus.grants[0].reads]
        assert sense(bench, nexus=nexus) == CAPACITY
        assert sense(bench, nexus=nexus) is None
        stands.append(nexus.grants[0].reads)
        assert (stands, nexus.grants[0].num_blocks) == ([False, True], size // BLOCK)
    assert bench.run(READ_CAPACITY).data_in == (size // BLOCK - 1).to_bytes(4) + BLOCK.to_bytes(4)


def test_the_size_that_it_has_is_no_change(bench: Bench) -> None:
    """Nobody hears of what has not happened."""
    resize(bench.unit, SIZE, bench.router.executor)
    assert sense(bench) is None


@pytest.mark.parametrize("size", [0, -BLOCK, SIZE + 1, BLOCK - 1])
def test_a_size_that_no_unit_can_have(bench: Bench, size: int) -> None:
    """Whole blocks, and at least one."""
    with pytest.raises(ConfigurationError):
        resize(bench.unit, size, bench.router.executor)
    assert bench.unit.backstore.size == SIZE


def test_storage_that_refuses(held: Bench) -> None:
    """The error comes back, and nothing has changed."""
    results = list[Exception | None]()
    resize(held.unit, 2 * SIZE, held.router.executor, results.append)
    error = BackstoreError(errno.ENOSPC, "full")
    executor(held).finish(error=error)
    assert results == [error]
    assert sense(held) is None


def test_it_waits_for_what_is_under_way_and_holds_back_what_comes(held: Bench) -> None:
    """So nothing is written while the storage changes its length."""
    write = held.start(write_10(0, 1), bytes(BLOCK))
    resize(held.unit, 2 * SIZE, held.router.executor)
    read = held.start(read_10(1, 1))
    assert [type(operation) for operation in executor(held).operations] == [Write]
    executor(held).finish()
    (operation,) = executor(held).operations
    assert not isinstance(operation, Read)
    executor(held).finish()
    executor(held).finish()
    assert (ends(held, write), ends(held, read)) == (None, None)


def test_it_waits_for_the_engine(held: Bench) -> None:
    """An access under a grant is in no task set."""
    grant = held.nexus.grants[0]
    grant.begin()
    resize(held.unit, 2 * SIZE, held.router.executor)
    assert executor(held).operations == []
    assert not grant.reads
    grant.end()
    assert len(executor(held).operations) == 1


def test_a_command_for_blocks_that_have_gone(held: Bench) -> None:
    """It was checked against the old size; it ends like one that comes now, and touches nothing."""
    first = held.start(write_10(0, 1), bytes(BLOCK))
    resize(held.unit, SIZE // 2, held.router.executor)
    late = [held.start(read_10(LAST, 1)), held.start(write_10(LAST, 1), bytes(BLOCK)), held.start(read_10(0, 1))]
    executor(held).finish_all()
    assert ends(held, first) is None
    assert [ends(held, task) for task in late] == [OUT_OF_RANGE, OUT_OF_RANGE, None]


def test_a_wait_for_blocks_that_have_gone(held: Bench) -> None:
    """A MODE SELECT that clears WCE waits for all that began before, and touches no block: it succeeds."""
    resize(held.unit, SIZE // 2, held.router.executor)
    assert Write(SIZE - BLOCK, (), BLOCK).exceeds(SIZE // 2)
    assert not Barrier(SIZE).exceeds(SIZE // 2)
    assert not Resize(SIZE).exceeds(SIZE // 2)
    executor(held).finish()
    assert held.unit.backstore.size == SIZE // 2


class Followed(RamdiskBackstore):
    """Memory that somebody else resizes."""

    outside = SIZE

    def follow_size(self, granularity: int) -> None:
        self.resize(self.outside - self.outside % granularity)


def test_a_size_that_somebody_else_has_made(bench: Bench) -> None:
    """It is taken over in whole blocks."""
    backstore = Followed("disk", SIZE)
    bench = Bench(unit=make_unit())
    bench.unit.backstore = backstore
    follow_size(bench.unit, bench.router.executor)
    assert sense(bench) is None
    backstore.outside = 2 * SIZE + 100
    follow_size(bench.unit, bench.router.executor)
    assert sense(bench) == CAPACITY
    assert bench.unit.num_blocks == 2 * SIZE // BLOCK


# Names and write protection.


def test_other_names(bench: Bench) -> None:
    """Every nexus hears that the INQUIRY data are other ones; the same names are none."""
    change_identity(bench.unit, bench.unit.identity)
    assert sense(bench) is None
    names = UnitIdentity.derived("another")
    change_identity(bench.unit, names)
    assert sense(bench) == NAMES
    assert bench.unit.identity is names


def test_write_protection(bench: Bench) -> None:
    """It holds at once, and back; the WP bit of MODE SENSE has changed."""
    assert bench.nexus.grants[0].writes
    change_write_protection(bench.unit, read_only=True)
    assert sense(bench) == MODE
    assert sense(bench, write_10(0, 1)) == (7, 0x27, 0x00)
    assert (bench.nexus.grants[0].reads, bench.nexus.grants[0].writes) == (True, False)
    change_write_protection(bench.unit, read_only=True)
    assert sense(bench) is None
    change_write_protection(bench.unit, read_only=False)
    assert sense(bench) == MODE
    assert bench.nexus.grants[0].writes


def test_write_protection_of_storage_that_cannot_be_written(bench: Bench) -> None:
    """It cannot be taken away."""
    bench.unit.backstore.read_only = bench.unit.read_only = True
    change_write_protection(bench.unit, read_only=False)
    assert bench.unit.read_only


# LUNs.


def luns(bench: Bench, nexus: Nexus | None = None) -> list[int]:
    """What REPORT LUNS lists."""
    data = bytes(bench.run(REPORT_LUNS, nexus=nexus).data_in)
    return [int.from_bytes(data[start : start + 2]) for start in range(8, len(data), 8)]


def test_a_lun_that_comes(bench: Bench) -> None:
    """It is there at once, with a power on; at the other LUNs the nexus hears that the list has changed."""
    events = list[tuple[int, SenseData]]()
    bench.nexus.on_event = lambda lun, event: events.append((lun, event))
    bench.router.map_lun(bench.nexus, 5, LunMapping(make_unit()))
    assert events == [(encode_lun(0), SenseData(sense=Sense.REPORTED_LUNS_DATA_HAS_CHANGED))]
    assert sense(bench) == LUNS
    assert sense(bench, lun=5) == POWER_ON
    assert (sense(bench), sense(bench, lun=5)) == (None, None)
    assert luns(bench) == [0, 5]
    assert bench.nexus.grants[encode_lun(5)].reads


def test_only_that_nexus_hears_of_it(bench: Bench) -> None:
    """The others see what they saw."""
    other = bench.connect(isid=2)
    bench.router.map_lun(bench.nexus, 5, LunMapping(make_unit()))
    assert sense(bench, nexus=other) is None
    assert luns(bench, other) == [0]


def test_report_luns_is_another_way_to_hear_of_it(bench: Bench) -> None:
    """Then there is nothing left to tell (SPC-5 §6.32)."""
    bench.router.map_lun(bench.nexus, 5, LunMapping(make_unit()))
    assert luns(bench) == [0, 5]
    assert sense(bench) is None


def test_a_second_lun_for_the_same_unit(bench: Bench) -> None:
    """There is no power on, but a second grant."""
    bench.router.map_lun(bench.nexus, 1, LunMapping(bench.unit, read_only=True))
    assert sense(bench) == LUNS
    assert sense(bench, lun=1) is None
    grants = bench.nexus.grants
    assert (grants[0].writes, grants[encode_lun(1)].writes, grants[encode_lun(1)].reads) == (True, False, True)
    bench.router.unmap_lun(bench.nexus, 1)
    assert sense(bench, lun=1) == NO_UNIT
    assert sense(bench) == LUNS
    assert (sense(bench), encode_lun(1) in grants, grants[0].writes) == (None, False, True)


def test_other_rights_at_a_lun(bench: Bench) -> None:
    """The WP bit that the nexus sees has changed, and it cannot write any more."""
    bench.router.map_lun(bench.nexus, 0, LunMapping(bench.unit, read_only=True))
    assert sense(bench) == MODE
    assert sense(bench, write_10(0, 1)) == (7, 0x27, 0x00)
    assert (bench.nexus.grants[0].reads, bench.nexus.grants[0].writes) == (True, False)
    bench.router.map_lun(bench.nexus, 0, LunMapping(bench.unit, read_only=True))
    assert sense(bench) is None


def test_a_lun_that_is_taken(bench: Bench) -> None:
    """Another unit does not slip in under the same number: an initiator would write to the wrong disk."""
    with pytest.raises(ConfigurationError):
        bench.router.map_lun(bench.nexus, 0, LunMapping(make_unit()))
    assert sense(bench) is None


def test_a_lun_that_goes(bench: Bench) -> None:
    """There is no unit there any more, and the unit knows nothing of the nexus."""
    bench.router.map_lun(bench.nexus, 5, LunMapping(make_unit()))
    sense(bench)
    unit, events, quiet = bench.unit, list[int](), list[bool]()
    bench.nexus.on_event = lambda lun, event: events.append(lun)
    bench.router.unmap_lun(bench.nexus, 0, lambda: quiet.append(True))
    assert (quiet, events) == ([True], [encode_lun(5)])
    assert sense(bench) == NO_UNIT
    assert (len(unit.nexuses), list(bench.nexus.grants)) == (0, [encode_lun(5)])
    assert sense(bench, lun=5) == POWER_ON
    assert sense(bench, lun=5) == LUNS


def test_the_last_lun_that_goes(bench: Bench) -> None:
    """The event is the only way to tell."""
    events = list[int]()
    bench.nexus.on_event = lambda lun, event: events.append(lun)
    bench.router.unmap_lun(bench.nexus, 0)
    assert events == [encode_lun(0)]
    assert luns(bench) == []


def test_a_lun_that_is_not_there_goes(bench: Bench) -> None:
    """Nothing happens, at once."""
    quiet = list[bool]()
    bench.router.unmap_lun(bench.nexus, 7, lambda: quiet.append(True))
    assert (quiet, sense(bench)) == ([True], None)


def test_tasks_of_a_lun_that_goes(held: Bench) -> None:
    """Those at rest end at once, those in an operation when that ends: all are told that there is no such unit."""
    waiting = held.task(write_10(0, 1))
    writing = held.start(write_10(4, 1), b"x" * BLOCK)
    quiet = list[bool]()
    held.router.unmap_lun(held.nexus, 0, lambda: quiet.append(True))
    assert (ends(held, waiting), ends(held, writing), quiet) == (NO_UNIT, False, [])
    held.router.data_out_complete(waiting)
    executor(held).finish()
    assert (ends(held, writing), quiet) == (NO_UNIT, [True])


def test_tasks_of_others_go_on(held: Bench) -> None:
    """Those of another nexus, and those at another LUN of the same unit."""
    other = held.connect(isid=2)
    held.router.map_lun(held.nexus, 1, LunMapping(held.unit))
    held.unit.unit_attentions.clear(held.nexus)
    tasks = [
        held.start(read_10(0, 1), lun=0),
        held.start(read_10(1, 1), lun=1),
        held.start(read_10(2, 1), nexus=other),
    ]
    held.router.unmap_lun(held.nexus, 0)
    executor(held).finish_all()
    assert [ends(held, task) for task in tasks] == [NO_UNIT, None, None]


def test_it_waits_for_the_accesses_of_the_engine(bench: Bench) -> None:
    """A write under a grant cannot be called back: until it is over the storage is not to be closed."""
    grant, quiet = bench.nexus.grants[0], list[bool]()
    grant.begin()
    bench.router.unmap_lun(bench.nexus, 0, lambda: quiet.append(True))
    assert (grant.reads, grant.writes, quiet) == (False, False, [])
    grant.end()
    assert quiet == [True]


def test_a_reservation_of_a_nexus_whose_lun_goes(bench: Bench) -> None:
    """An SPC-2 reservation must not stay when nobody is left to release it."""
    other = bench.connect(isid=2)
    assert sense(bench, b"\x16" + bytes(5)) is None
    bench.router.unmap_lun(bench.nexus, 0)
    assert sense(bench, read_10(0, 1), nexus=other) is None


def test_a_nexus_that_is_lost_after_a_change(bench: Bench) -> None:
    """What came later goes with it."""
    unit = make_unit()
    bench.router.map_lun(bench.nexus, 5, LunMapping(unit))
    bench.router.nexus_lost(bench.nexus)
    assert (unit.nexuses, bench.unit.nexuses, bench.router.nexuses) == (frozenset(), frozenset(), ())


def test_a_mapping_is_a_value(bench: Bench) -> None:
    """Two nexuses with the same mapping do not share what one of them is told later."""
    mapping = bench.nexus.mappings[0]
    bench.router.map_lun(bench.nexus, 0, dataclasses.replace(mapping, read_only=True))
    assert not mapping.read_only


def test_a_medium_is_taken_out_and_put_in(bench: Bench) -> None:
    """Meanwhile there is none; afterwards it may be another one."""
    change_medium(bench.unit, present=False)
    assert sense(bench) == (2, 0x3A, 0x00)
    change_medium(bench.unit, present=True)
    assert sense(bench) == (6, 0x28, 0x00)
    assert sense(bench) is None


def test_a_medium_that_an_initiator_has_locked_in(bench: Bench) -> None:
    """Stays, and the error says who has."""
    bench.unit.prevent_removal.add(bench.nexus)
    with pytest.raises(ConfigurationError, match=bench.nexus.initiator_name):
        change_medium(bench.unit, present=False)
    assert bench.unit.medium_present


def exchanged(target: Bench, num_blocks: int, **how: bool) -> list[Backstore | None]:
    """Put another disc in, or none; gives what was taken out so far."""
    out: list[Backstore | None] = []
    disc = RamdiskBackstore("other", num_blocks * 2048) if num_blocks else None
    exchange_medium(target.unit, disc, target.executor, out.append, **how)
    return out


def test_another_medium() -> None:
    """Initiators hear that the medium has changed, and find the other one."""
    target = drive_bench(64)
    [before] = exchanged(target, 32)
    assert before is not None
    assert before.size == 64 * 2048
    assert sense(target) == (6, 0x28, 0x00)
    assert sense(target) is None
    assert target.run(READ_CAPACITY).data_in == (31).to_bytes(4) + (2048).to_bytes(4)
    (grant,) = target.nexus.grants.values()
    assert (grant.reads, grant.num_blocks) == (True, 32)


def test_no_medium() -> None:
    """What is taken out leaves an empty tray, which is closed; so does what is not to be seen."""
    for target, how in ((drive_bench(64), {}), (drive_bench(64), {"present": False})):
        assert len(exchanged(target, 32 if how else 0, **how)) == 1
        assert sense(target) == (2, 0x3A, 0x01)


def test_a_medium_is_changed_when_nothing_is_read() -> None:
    """A read that is under way ends on the medium that it has begun on; meanwhile nothing is in the drive."""
    target = Bench(unit=drive(64), executor=HeldExecutor())
    task = target.start(read_10(0, 1))
    out = exchanged(target, 32)
    assert (out, sense(target)) == ([], (2, 0x3A, 0x01))
    executor(target).finish_all()
    assert target.owner.status(task) is Status.GOOD
    assert len(out) == 1
    assert sense(target) == (6, 0x28, 0x00)


def test_a_medium_that_is_locked_in_is_not_changed() -> None:
    """It is asked for instead."""
    target = drive_bench(64)
    target.unit.prevent_removal.add(target.nexus)
    with pytest.raises(ConfigurationError, match="prevents the removal"):
        exchanged(target, 32)
    assert sense(target) is None
    assert target.unit.num_blocks == 64
