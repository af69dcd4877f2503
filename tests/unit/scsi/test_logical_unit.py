import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.mode_pages import PageControl
from isthmus.scsi.status import Status
from isthmus.scsi.task import Task, TaskAttribute
from isthmus.scsi.task_manager import SamFunction
from tests.support.scsi import COPY_SERVICES, Bench, HeldExecutor, make_nexus, make_unit, write_10

NACA = 0x04


@pytest.mark.parametrize(("block_length", "num_blocks"), [(512, 2049), (4096, 256)])
def test_capacity(block_length: int, num_blocks: int) -> None:
    """The capacity counts whole blocks."""
    assert make_unit((1 << 20) + 1000, block_length=block_length).num_blocks == num_blocks


@pytest.mark.parametrize("block_length", [0, 520, 1024, 8192])
def test_block_lengths_that_nobody_can_use(block_length: int) -> None:
    """An impossible block length is refused, with the ones that are possible."""
    with pytest.raises(ConfigurationError, match="512 or 4096"):
        make_unit(block_length=block_length)


def test_defaults_follow_the_backstore() -> None:
    """A unit over a backstore is a disk, with an identity of its own and the protection of its storage."""
    unit = LogicalUnit(RamdiskBackstore("one", 1 << 20), third_party_copy=COPY_SERVICES)
    other = LogicalUnit(RamdiskBackstore("two", 1 << 20, read_only=True))
    assert unit.table is DISK_COMMANDS.without_encryption()
    assert unit.identity.serial != other.identity.serial
    assert (unit.read_only, other.read_only) == (False, True)
    assert unit.physical_block_length >= unit.block_length


def test_physical_block_is_never_smaller_than_a_logical_one() -> None:
    """A unit of 4096-byte blocks over storage of 512-byte blocks has physical blocks of 4096 bytes."""
    unit = make_unit(block_length=4096, physical_block_length=512)
    assert unit.physical_block_length == 4096


def test_write_protection_by_mapping() -> None:
    """A read-only mapping protects its own LUN; a LUN that is not mapped cannot be written at all."""
    bench = Bench()
    reader = bench.connect(isid=2, read_only=True)
    assert not bench.unit.write_protected(bench.nexus, 0)
    assert bench.unit.write_protected(reader, 0)
    assert bench.unit.write_protected(bench.nexus, 1 << 48)


def test_capacity_change_is_told_to_all() -> None:
    """Every nexus hears of another capacity."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.unit.capacity_changed()
    for nexus in (bench.nexus, other):
        assert bench.unit.unit_attentions.pending(nexus) is Sense.CAPACITY_DATA_HAS_CHANGED


def test_preempt_and_abort() -> None:
    """PREEMPT AND ABORT ends the tasks of the preempted nexus and its own other tasks stay; then it is answered."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    victim = bench.connect(isid=2)
    for nexus, key in ((bench.nexus, 1), (victim, 2)):
        bench.run(prout(0x00), bytes(8) + key.to_bytes(8) + bytes(8), nexus=nexus)
    bench.run(prout(0x01, 0x05), (2).to_bytes(8) + bytes(16), nexus=victim)
    running = bench.start(write_10(0, 1), bytes(512), nexus=victim)
    waiting = bench.task(write_10(0, 1), nexus=victim)
    own = bench.task(write_10(1, 1))
    preempt = bench.start(prout(0x05, 0x05), (1).to_bytes(8) + (2).to_bytes(8) + bytes(8))
    assert preempt not in bench.owner.ends
    assert bench.owner.status(waiting) is Status.TASK_ABORTED
    executor.finish()
    assert bench.owner.status(running) is Status.TASK_ABORTED
    assert bench.owner.status(preempt) is Status.GOOD
    assert own in bench.unit.task_set
    assert bench.unit.unit_attentions.pending(victim) is Sense.REGISTRATIONS_PREEMPTED


def test_changed_luns_are_told_once() -> None:
    """REPORTED LUNS DATA HAS CHANGED is pending for every unit of a nexus, and told by one of them (LUICLR)."""
    units = [make_unit(), make_unit()]
    nexus = make_nexus(*units)
    for unit in units:
        unit.attach(nexus)
        unit.unit_attentions.clear(nexus)
        unit.unit_attentions.establish(nexus, Sense.REPORTED_LUNS_DATA_HAS_CHANGED)
        unit.unit_attentions.establish(nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    assert units[0].tell_attention(nexus, keep=True) is Sense.REPORTED_LUNS_DATA_HAS_CHANGED
    assert units[1].tell_attention(nexus) is Sense.REPORTED_LUNS_DATA_HAS_CHANGED
    assert [unit.tell_attention(nexus) for unit in units] == [Sense.CAPACITY_DATA_HAS_CHANGED] * 2


def test_a_change_of_access_is_told() -> None:
    """A unit attention reaches every nexus but the one that asked for the change; a mere beginning reaches nobody."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.unit._access_changed(None, None)
    assert bench.unit.unit_attentions.pending(other) is None
    bench.unit._access_changed(Sense.ASYMMETRIC_ACCESS_STATE_CHANGED, bench.nexus)
    assert bench.unit.unit_attentions.pending(bench.nexus) is None
    assert bench.unit.unit_attentions.pending(other) is Sense.ASYMMETRIC_ACCESS_STATE_CHANGED


def prout(action: int, reservation_type: int = 0) -> bytes:
    """A PERSISTENT RESERVE OUT CDB."""
    return bytes([0x5F, action, reservation_type, 0, 0, 0, 0, 0, 24, 0])


class History:
    """Commands and functions of two nexuses in any order, against what must always hold."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.executor = HeldExecutor()
        self.bench = Bench(executor=self.executor)
        self.nexuses = [self.bench.nexus, self.bench.connect(isid=2)]
        self.set_rules()
        self.tasks: list[Task] = []
        self.results: list[object] = []
        self.functions = 0

    def set_rules(self) -> None:
        """Any Control page."""
        tst, modifier = self.data.draw(st.tuples(st.sampled_from([0x02, 0x22]), st.sampled_from([0x00, 0x10])))
        queue_error_management = self.data.draw(st.sampled_from([0, 2, 6]))
        page = bytearray(self.bench.unit.mode.page((0x0A, 0), PageControl.CURRENT))
        page[2:4] = tst, modifier | queue_error_management
        self.bench.unit.mode.change((0x0A, 0), bytes(page))

    def submit(self) -> None:
        lba, count = self.data.draw(st.tuples(st.integers(0, 6), st.integers(1, 3)))
        compare_and_write = bytes([0x89, 0]) + lba.to_bytes(8) + bytes(3) + bytes([count, 0, 0])
        cdb = self.data.draw(st.sampled_from([write_10(lba, count), compare_and_write]))
        cdb = cdb[:-1] + bytes((self.data.draw(st.sampled_from([0, NACA])),))
        attribute = self.data.draw(st.sampled_from(TaskAttribute))
        nexus = self.data.draw(st.sampled_from(self.nexuses))
        self.tasks.append(self.bench.task(cdb, nexus=nexus, attribute=attribute))

    def give_data(self) -> None:
        waiting = [task for task in self.tasks if task not in self.bench.owner.ends and not task.ready]
        if waiting:
            task = self.data.draw(st.sampled_from(waiting))
            task.data_out = (memoryview(bytes(task.data_out_wanted)),)
            self.bench.router.data_out_complete(task)

    def finish(self) -> None:
        if self.executor.under_way:
            error = self.data.draw(st.sampled_from([None, None, BackstoreError(errno.EIO, "the disk is broken")]))
            self.executor.finish(self.data.draw(st.integers(0, len(self.executor.under_way) - 1)), error)

    def manage(self) -> None:
        function = self.data.draw(
            st.sampled_from([SamFunction.ABORT_TASK_SET, SamFunction.CLEAR_TASK_SET, SamFunction.CLEAR_ACA])
        )
        nexus = self.data.draw(st.sampled_from(self.nexuses))
        self.functions += 1
        self.bench.router.manage(nexus, function, 0, None, self.results.append)

    def check(self) -> None:
        """What is exclusive is alone on its bytes."""
        operations = self.executor.operations
        for number, one in enumerate(operations):
            for other in operations[number + 1 :]:
                if one.exclusive or other.exclusive:
                    (start, length), (other_start, other_length) = one.extent, other.extent
                    assert start + length <= other_start or other_start + other_length <= start

    def wind_up(self) -> None:
        """With all data here, all operations over and all ACA conditions cleared, nothing hangs."""
        while any(not task.ready and task not in self.bench.owner.ends for task in self.tasks):
            self.give_data()
        self.executor.finish_all()
        while faulted := self.bench.unit.task_set.faulted:
            self.bench.unit.clear_aca(faulted[0], lambda: None)
            self.executor.finish_all()
        self.bench.unit.mode.reset()
        self.bench.unit.refresh_grants()
        assert set(self.bench.owner.ends) == set(self.tasks)
        assert len(self.results) == self.functions
        assert len(self.bench.unit.task_set) == 0
        assert not self.bench.unit.range_lock.exclusive_pending
        for nexus in self.nexuses:
            self.bench.unit.unit_attentions.clear(nexus)
            assert nexus.grants[0].writes


@settings(max_examples=100)
@given(st.data())
def test_every_task_and_function_ends(data: st.DataObject) -> None:
    """Whatever comes under whatever rules: exclusive operations are alone, each task ends once, each function is over."""
    history = History(data)
    steps = [history.submit, history.give_data, history.give_data, history.finish, history.manage]
    for _ in range(data.draw(st.integers(1, 25))):
        data.draw(st.sampled_from(steps))()
        history.check()
    history.wind_up()
    assert history.bench.internal_errors == []
