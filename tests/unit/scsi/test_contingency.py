import errno

import pytest

from isthmus.errors import BackstoreError
from isthmus.scsi.contingency import asks_for_aca
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import Registrant, ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Task, TaskAttribute, TaskState
from isthmus.scsi.task_manager import FunctionResult, SamFunction
from tests.support.primary import mode_select_6, reserve_out, reserve_out_list
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10, sense_of, write_10

ACA = TaskAttribute.ACA
NACA = 0x04
TUR_NACA = bytes((0, 0, 0, 0, 0, NACA))
FAILS = bytes((0x12, 0, 0x83, 0, 255, 0))
"""INQUIRY with a page code and without EVPD."""
FAILS_NACA = bytes((0x12, 0, 0x83, 0, 255, NACA))
REQUEST_SENSE = bytes((0x03, 0, 0, 0, 18, 0))
PREEMPT_AND_ABORT = reserve_out(ReserveOutAction.PREEMPT_AND_ABORT, ReservationType.WRITE_EXCLUSIVE)
READ_FAILS = BackstoreError(errno.EIO, "the disk is broken")
TST_PER_NEXUS, TMF_ONLY = "22100040", "12100040"
QERR_ALL, QERR_OWN = "02120040", "02160040"
INTERLOCK, INTERLOCK_AND_ESTABLISH = "02102040", "02103040"


def control(fields: str, *, tas: bool = True) -> bytes:
    """The parameter list of MODE SELECT (6) with a Control page that begins with `fields`."""
    data = bytearray.fromhex(f"00000000 0a0a {fields} 0000 ffff 0000")
    if not tas:
        data[9] &= ~0x40
    return bytes(data)


def set_control(bench: Bench, fields: str, *, tas: bool = True) -> None:
    """Change the Control page, and let every nexus hear of it."""
    data = control(fields, tas=tas)
    assert bench.run(mode_select_6(len(data)), data) == GOOD
    for nexus in bench.unit.nexuses:
        bench.unit.unit_attentions.clear(nexus)


def statuses(bench: Bench, *tasks: Task) -> list[Status | None]:
    """How `tasks` have ended."""
    return [bench.owner.status(task) for task in tasks]


def manage(bench: Bench, function: SamFunction, nexus: Nexus | None = None) -> list[FunctionResult]:
    """The results of a task management function that have come by its return."""
    results: list[FunctionResult] = []
    bench.router.manage(nexus or bench.nexus, function, 0, None, results.append)
    return results


def faulted_bench(fields: str | None = None) -> tuple[Bench, Nexus]:
    """A bench whose nexus is faulted, and another nexus; `fields` begins the Control page."""
    bench = Bench(executor=HeldExecutor())
    other = bench.connect(isid=2)
    if fields is not None:
        set_control(bench, fields)
    assert bench.run(FAILS_NACA).status is Status.CHECK_CONDITION
    assert bench.unit.task_set.faulted == (bench.nexus,)
    return bench, other


# NACA.


@pytest.mark.parametrize(
    ("cdb", "asks"),
    [
        (bytes(6), False),
        (bytes(5) + b"\x04", True),
        (b"\x28" + bytes(8) + b"\x04", True),
        (b"\x28" + bytes(4) + b"\x04" + bytes(4), False),
        (b"\x55" + bytes(8) + b"\x04", True),
        (b"\x88" + bytes(14) + b"\x04", True),
        (b"\xa8" + bytes(10) + b"\x04", True),
        (b"\x7f\x04" + bytes(30), True),
        (b"\x7f" + bytes(31), False),
        (b"\xc0" + b"\xff" * 15, False),
        (b"\x28\0", False),
    ],
)
def test_naca_stands_where_the_group_code_says(cdb: bytes, asks: bool) -> None:
    """CONTROL is the last byte of a CDB, or the second one of a CDB of variable length."""
    assert asks_for_aca(cdb) is asks


# Establishing and clearing.


@pytest.mark.parametrize("cdb", [FAILS, bytes((0xFF,)) + bytes(15)])
def test_without_naca_nothing_is_established(cdb: bytes) -> None:
    """A command that fails without NACA stops nobody."""
    bench = Bench()
    assert bench.run(cdb).status is Status.CHECK_CONDITION
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize("cdb", [FAILS_NACA, b"\x1f" + bytes(4) + b"\x04", read_10(1 << 30, 1)[:9] + b"\x04"])
def test_check_condition_with_naca_establishes_aca(cdb: bytes) -> None:
    """A CDB that is refused brings the condition, even one whose opcode nobody knows."""
    bench = Bench()
    assert bench.run(cdb).status is Status.CHECK_CONDITION
    assert bench.run(TEST_UNIT_READY).status is Status.ACA_ACTIVE


def test_a_good_command_with_naca_establishes_nothing() -> None:
    """NACA counts only for a command that fails."""
    bench = Bench()
    assert bench.run(TUR_NACA) == GOOD
    assert bench.unit.task_set.faulted == ()


def test_a_unit_attention_establishes_aca() -> None:
    """CHECK CONDITION with a unit attention is one like any other."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    assert sense_of(bench.run(TUR_NACA)) == (0x06, 0x2A, 0x09)
    assert bench.run(TEST_UNIT_READY).status is Status.ACA_ACTIVE


def test_who_is_refused_how() -> None:
    """The faulted nexus is told of the condition, the others as far as they know of such (SAM-5 §5.9.4)."""
    bench, other = faulted_bench()
    assert bench.run(TEST_UNIT_READY).status is Status.ACA_ACTIVE
    assert bench.run(REQUEST_SENSE).status is Status.ACA_ACTIVE
    assert bench.run(TEST_UNIT_READY, nexus=other).status is Status.BUSY
    assert bench.run(TUR_NACA, nexus=other).status is Status.ACA_ACTIVE
    assert bench.run(TEST_UNIT_READY, nexus=other, attribute=ACA).status is Status.ACA_ACTIVE


def test_an_aca_task_runs_one_at_a_time() -> None:
    """The faulted nexus repairs what it left by ACA tasks, one after the other."""
    bench, _ = faulted_bench()
    first = bench.start(read_10(0, 1), attribute=ACA)
    assert first.state is TaskState.ENABLED
    assert bench.run(TEST_UNIT_READY, attribute=ACA).status is Status.ACA_ACTIVE
    assert isinstance(bench.executor, HeldExecutor)
    bench.executor.finish()
    assert statuses(bench, first) == [Status.GOOD]
    assert bench.run(TEST_UNIT_READY, attribute=ACA) == GOOD
    assert bench.run(TEST_UNIT_READY).status is Status.ACA_ACTIVE


def test_an_aca_task_without_a_condition() -> None:
    """Without an ACA condition of its nexus such a task is INVALID MESSAGE ERROR (SAM-5 §8.6.5)."""
    assert sense_of(Bench().run(TEST_UNIT_READY, attribute=ACA)) == (0x05, 0x49, 0x00)


def test_tmf_only() -> None:
    """With TMF_ONLY not even ACA tasks are accepted; CLEAR ACA is."""
    bench, _ = faulted_bench(TMF_ONLY)
    assert bench.run(TEST_UNIT_READY, attribute=ACA).status is Status.ACA_ACTIVE
    assert manage(bench, SamFunction.CLEAR_ACA) == [FunctionResult.COMPLETE]
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_clear_aca() -> None:
    """CLEAR ACA of the faulted nexus ends the condition and its ACA task; from others it is rejected."""
    bench, other = faulted_bench()
    repair = bench.task(write_10(0, 1), attribute=ACA)
    assert manage(bench, SamFunction.CLEAR_ACA, other) == [FunctionResult.REJECTED]
    assert manage(bench, SamFunction.CLEAR_ACA) == [FunctionResult.COMPLETE]
    assert statuses(bench, repair) == [None]
    assert bench.run(TEST_UNIT_READY) == bench.run(TEST_UNIT_READY, nexus=other) == GOOD


def test_clear_aca_waits_for_the_aca_task() -> None:
    """CLEAR ACA is complete when the access of the ACA task that it aborts is over."""
    bench, _ = faulted_bench()
    assert isinstance(bench.executor, HeldExecutor)
    bench.start(read_10(0, 1), attribute=ACA)
    results = manage(bench, SamFunction.CLEAR_ACA)
    assert results == []
    bench.executor.finish()
    assert results == [FunctionResult.COMPLETE]


@pytest.mark.parametrize(("cdb", "remains"), [(FAILS, False), (FAILS_NACA, True)])
def test_an_aca_task_that_fails(cdb: bytes, remains: bool) -> None:
    """It ends the condition that let it in, and with NACA establishes another."""
    bench, _ = faulted_bench()
    assert bench.run(cdb, attribute=ACA).status is Status.CHECK_CONDITION
    assert bool(bench.unit.task_set.faulted) is remains


@pytest.mark.parametrize("function", [SamFunction.LOGICAL_UNIT_RESET, SamFunction.I_T_NEXUS_RESET])
def test_resets_clear_aca(function: SamFunction) -> None:
    """A reset of the unit or of the nexus ends the condition."""
    bench, _ = faulted_bench()
    manage(bench, function)
    assert bench.unit.task_set.faulted == ()


def test_the_loss_of_the_faulted_nexus_clears_aca() -> None:
    """What it has blocked goes on, as there is nobody left to clear the condition."""
    bench, other = faulted_bench()
    bench.router.nexus_lost(bench.nexus)
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD


@pytest.mark.parametrize("function", [SamFunction.ABORT_TASK_SET, SamFunction.CLEAR_TASK_SET])
def test_aborts_leave_aca(function: SamFunction) -> None:
    """Aborting tasks does not end the condition (SAM-5 §7.5)."""
    bench, _ = faulted_bench()
    manage(bench, function)
    assert bench.unit.task_set.faulted == (bench.nexus,)


# What is blocked.


def test_blocked_tasks_go_on_when_aca_is_cleared() -> None:
    """The access that is under way ends, but the task does not, until the condition does; nor does a dormant one begin."""
    bench = Bench(executor=HeldExecutor())
    assert isinstance(bench.executor, HeldExecutor)
    running = bench.start(read_10(0, 1))
    waiting = bench.task(write_10(0, 1))
    assert bench.run(FAILS_NACA).status is Status.CHECK_CONDITION
    assert running.state is TaskState.BLOCKED
    bench.executor.finish()
    waiting.data_out = (memoryview(bytes(512)),)
    bench.router.data_out_complete(waiting)
    assert bench.executor.operations == []
    assert not bench.owner.ends.keys() & {running, waiting}
    manage(bench, SamFunction.CLEAR_ACA)
    assert statuses(bench, running) == [Status.GOOD]
    assert waiting.state is TaskState.ENABLED
    bench.executor.finish_all()
    assert statuses(bench, waiting) == [Status.GOOD]


def test_a_failing_access_establishes_aca() -> None:
    """A task that has long been running brings the condition when its access fails."""
    bench = Bench(executor=HeldExecutor())
    assert isinstance(bench.executor, HeldExecutor)
    failing = bench.start(read_10(0, 1)[:9] + bytes((NACA,)))
    later = bench.start(read_10(1, 1))
    bench.executor.finish(0, READ_FAILS)
    assert statuses(bench, failing) == [Status.CHECK_CONDITION]
    assert later.state is TaskState.BLOCKED


def test_tasks_of_others_are_blocked_in_a_shared_set_alone() -> None:
    """With a task set for each nexus (TST 001b), the error of one stops no other."""
    bench = Bench(executor=HeldExecutor())
    other = bench.connect(isid=2)
    set_control(bench, TST_PER_NEXUS)
    theirs = bench.start(read_10(0, 1), nexus=other)
    bench.run(FAILS_NACA)
    assert theirs.state is TaskState.ENABLED
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD
    assert bench.run(FAILS_NACA, nexus=other).status is Status.CHECK_CONDITION
    assert bench.unit.task_set.faulted == (bench.nexus, other)
    assert manage(bench, SamFunction.CLEAR_ACA, other) == [FunctionResult.COMPLETE]
    assert theirs.state is TaskState.ENABLED
    assert bench.run(TEST_UNIT_READY).status is Status.ACA_ACTIVE


def test_the_engine_stops_while_aca_is_in_effect() -> None:
    """No grant stands for whoever is blocked."""
    bench, other = faulted_bench()
    grants = bench.nexus.grants[0], other.grants[0]
    assert not any(grant.reads or grant.writes for grant in grants)
    manage(bench, SamFunction.CLEAR_ACA)
    assert all(grant.reads and grant.writes for grant in grants)


# PREEMPT AND ABORT.


def register(bench: Bench, nexus: Nexus, key: int) -> None:
    """Register `nexus` with `key`."""
    bench.unit.reservations.persistent.register(Registrant.of(nexus), key)


def test_what_the_engine_has_begun_ends_before_the_condition() -> None:
    """It cannot be blocked: the failing command waits for it with its answer, and no further access begins meanwhile."""
    bench = Bench(executor=HeldExecutor())
    (grant,) = bench.nexus.grants.values()
    grant.begin()
    assert isinstance(bench.executor, HeldExecutor)
    failing = bench.start(read_10(0, 1)[:9] + bytes((NACA,)))
    bench.executor.finish(error=READ_FAILS)
    assert failing not in bench.owner.ends
    assert not bench.unit.task_set.is_blocked(bench.nexus)
    assert (grant.reads, grant.writes) == (False, False)
    grant.end()
    assert bench.owner.status(failing) is Status.CHECK_CONDITION
    assert bench.unit.task_set.faulted == (bench.nexus,)
    assert (grant.reads, grant.writes) == (False, False)


def test_abort_of_a_failing_command_that_waits_for_the_engine() -> None:
    """Then there is no condition, and the engine goes on."""
    bench = Bench(executor=HeldExecutor())
    (grant,) = bench.nexus.grants.values()
    grant.begin()
    assert isinstance(bench.executor, HeldExecutor)
    failing = bench.start(read_10(0, 1)[:9] + bytes((NACA,)))
    bench.executor.finish(error=READ_FAILS)
    manage(bench, SamFunction.ABORT_TASK_SET)
    grant.end()
    assert bench.owner.ends[failing] is None
    assert bench.unit.task_set.faulted == ()
    assert (grant.reads, grant.writes) == (True, True)


def test_preempt_and_abort_of_the_faulted_nexus_ends_aca() -> None:
    """It is let in from another nexus, aborts the blocked tasks, and ends the condition (SPC-5 §5.14.11.2.6)."""
    bench = Bench(executor=HeldExecutor())
    assert isinstance(bench.executor, HeldExecutor)
    other = bench.connect(isid=2)
    register(bench, bench.nexus, 1)
    register(bench, other, 2)
    victim = bench.start(read_10(0, 1))
    bench.run(FAILS_NACA)
    preempting = bench.start(PREEMPT_AND_ABORT, reserve_out_list(2, 1), nexus=other)
    bench.executor.finish_all()
    assert statuses(bench, preempting) == [Status.GOOD]
    assert bench.owner.status(victim) is Status.TASK_ABORTED
    assert bench.unit.task_set.faulted == ()


@pytest.mark.parametrize(("naca", "status"), [(0, Status.BUSY), (NACA, Status.ACA_ACTIVE)])
def test_preempt_and_abort_of_somebody_else_is_refused(naca: int, status: Status) -> None:
    """One that does not preempt the faulted nexus is refused as any other command."""
    bench, other = faulted_bench()
    third = bench.connect(isid=3)
    register(bench, other, 2)
    register(bench, third, 3)
    cdb = PREEMPT_AND_ABORT[:9] + bytes((naca,))
    assert bench.run(cdb, reserve_out_list(2, 3), nexus=other).status is status
    assert bench.unit.task_set.faulted == (bench.nexus,)


def test_plain_preempt_is_refused() -> None:
    """PREEMPT without ABORT is not let in."""
    bench, other = faulted_bench()
    register(bench, bench.nexus, 1)
    register(bench, other, 2)
    cdb = reserve_out(ReserveOutAction.PREEMPT, ReservationType.WRITE_EXCLUSIVE)
    assert bench.run(cdb, reserve_out_list(2, 1), nexus=other).status is Status.BUSY


# QERR.


def two_running(fields: str, *, tas: bool = True) -> tuple[Bench, Nexus, Task, Task]:
    """A bench with one task inside a slow backstore of its own nexus, and one of another."""
    bench = Bench(executor=HeldExecutor())
    other = bench.connect(isid=2)
    set_control(bench, fields, tas=tas)
    return bench, other, bench.start(read_10(0, 1)), bench.start(read_10(1, 1), nexus=other)


def test_qerr_00_leaves_other_tasks_alone() -> None:
    """By default an error aborts nothing."""
    bench = Bench(executor=HeldExecutor())
    assert isinstance(bench.executor, HeldExecutor)
    task = bench.start(read_10(0, 1))
    bench.run(FAILS)
    bench.executor.finish()
    assert statuses(bench, task) == [Status.GOOD]


def test_qerr_01_aborts_all() -> None:
    """Every other task is aborted: those of the nexus itself in silence, the others as TAS says."""
    bench, _, own, theirs = two_running(QERR_ALL)
    assert isinstance(bench.executor, HeldExecutor)
    assert bench.run(FAILS).status is Status.CHECK_CONDITION
    bench.executor.finish_all()
    assert statuses(bench, own, theirs) == [None, Status.TASK_ABORTED]


def test_qerr_01_without_tas_is_told_by_a_unit_attention() -> None:
    """With TAS 0 the other nexus hears that its commands were cleared."""
    bench, other, own, theirs = two_running(QERR_ALL, tas=False)
    assert isinstance(bench.executor, HeldExecutor)
    bench.run(FAILS)
    bench.executor.finish_all()
    assert statuses(bench, own, theirs) == [None, None]
    assert sense_of(bench.run(TEST_UNIT_READY, nexus=other)) == (0x06, 0x2F, 0x00)
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_qerr_11_aborts_those_of_the_nexus() -> None:
    """The tasks of others go on."""
    bench, _, own, theirs = two_running(QERR_OWN)
    assert isinstance(bench.executor, HeldExecutor)
    bench.run(FAILS)
    bench.executor.finish_all()
    assert statuses(bench, own, theirs) == [None, Status.GOOD]


def test_qerr_01_in_a_set_of_its_own() -> None:
    """With a task set for each nexus, QERR 01b aborts in that of the nexus alone."""
    bench, _, own, theirs = two_running("22120040")
    assert isinstance(bench.executor, HeldExecutor)
    bench.run(FAILS)
    bench.executor.finish_all()
    assert statuses(bench, own, theirs) == [None, Status.GOOD]


def test_qerr_with_naca() -> None:
    """What QERR aborts is not blocked first and resumed later; the condition stands nevertheless."""
    bench, _, own, theirs = two_running(QERR_OWN)
    assert isinstance(bench.executor, HeldExecutor)
    bench.run(FAILS_NACA)
    assert theirs.state is TaskState.BLOCKED
    bench.executor.finish_all()
    assert statuses(bench, own) == [None]
    manage(bench, SamFunction.CLEAR_ACA)
    assert statuses(bench, theirs) == [Status.GOOD]


@pytest.mark.parametrize("fields", [QERR_ALL, QERR_OWN])
def test_qerr_takes_the_grants_away(fields: str) -> None:
    """The engine's accesses could not be aborted, so all commands go through the task set."""
    bench = Bench()
    grant = bench.nexus.grants[0]
    set_control(bench, fields)
    assert (grant.reads, grant.writes) == (False, False)
    set_control(bench, "02100040")
    assert (grant.reads, grant.writes) == (True, True)


def test_two_failures_at_once_end_each_once() -> None:
    """Under QERR 01b, a task that fails because another lets it run is answered once, and so is the other."""
    bench, _, own, theirs = two_running(QERR_ALL)
    assert isinstance(bench.executor, HeldExecutor)
    bench.executor.finish(1, READ_FAILS)
    assert statuses(bench, theirs) == [Status.CHECK_CONDITION]
    bench.executor.finish(0, READ_FAILS)
    assert statuses(bench, own) == [Status.TASK_ABORTED]


# UA_INTLCK_CTRL.


def test_an_interlocked_unit_attention_stays() -> None:
    """It is told with every command until REQUEST SENSE tells it."""
    bench = Bench()
    set_control(bench, INTERLOCK)
    for sense, code in ((Sense.CAPACITY_DATA_HAS_CHANGED, 0x2A), (Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, 0x29)):
        bench.unit.unit_attentions.establish(bench.nexus, sense)
        assert [sense_of(bench.run(TEST_UNIT_READY))[1] for _ in range(2)] == [code, code]
        assert bytes(bench.run(REQUEST_SENSE).data_in)[12] == code
        # The older one is still there when the reset has been told of first.
        bench.unit.unit_attentions.clear(bench.nexus)
        assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize(("fields", "established"), [(INTERLOCK, False), (INTERLOCK_AND_ESTABLISH, True)])
def test_previous_reservation_conflict_status(fields: str, established: bool) -> None:
    """With UA_INTLCK_CTRL 11b RESERVATION CONFLICT is remembered, once."""
    bench = Bench()
    other = bench.connect(isid=2)
    set_control(bench, fields)
    bench.unit.reservations.spc2_reserve(other)
    for _ in range(2):
        assert bench.run(TEST_UNIT_READY).status is Status.RESERVATION_CONFLICT
    bench.unit.reservations.spc2_release(other)
    pending = bench.unit.unit_attentions.pending(bench.nexus)
    assert pending is (Sense.PREVIOUS_RESERVATION_CONFLICT_STATUS if established else None)
    bench.run(REQUEST_SENSE)
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_previous_busy_status() -> None:
    """BUSY, here because of somebody else's ACA condition, is remembered likewise."""
    bench, other = faulted_bench(INTERLOCK_AND_ESTABLISH)
    assert bench.run(TEST_UNIT_READY, nexus=other).status is Status.BUSY
    assert bench.unit.unit_attentions.pending(other) is Sense.PREVIOUS_BUSY_STATUS


def test_previous_task_set_full_status() -> None:
    """TASK SET FULL is remembered likewise."""
    bench = Bench(unit=make_unit(), executor=HeldExecutor())
    set_control(bench, INTERLOCK_AND_ESTABLISH)
    bench.unit.task_set._limit = 1
    bench.start(read_10(0, 1))
    assert bench.run(read_10(0, 1)).status is Status.TASK_SET_FULL
    assert bench.unit.unit_attentions.pending(bench.nexus) is Sense.PREVIOUS_TASK_SET_FULL_STATUS
