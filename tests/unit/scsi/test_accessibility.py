import pytest

from isthmus.scsi.accessibility import access_state_sense, inaccessibility, is_connected
from isthmus.scsi.alua import ALL_SUPPORTED_STATES, AluaAccessState, AluaPortGroup
from isthmus.scsi.cdb import Command
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.opcodes import AccessClass, CommandDescriptor
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, inquiry
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10, sense_of, write_10
from tests.support.timer import FakeTimer

ALWAYS = {
    "INQUIRY",
    "READ BUFFER (10)",
    "READ BUFFER (16)",
    "REPORT LUNS",
    "REPORT TARGET PORT GROUPS",
    "REQUEST SENSE",
    "WRITE BUFFER",
}
UNAVAILABLE = {"SET TARGET PORT GROUPS"}
STANDBY = {
    "LOG SELECT",
    "LOG SENSE",
    "MODE SELECT (6)",
    "MODE SELECT (10)",
    "MODE SENSE (6)",
    "MODE SENSE (10)",
    "RECEIVE DIAGNOSTIC RESULTS",
    "SEND DIAGNOSTIC",
}
"""What the standard asks for in the standby state, apart from persistent reservations."""
REQUEST_SENSE = bytes((0x03, 0, 0, 0, 18, 0))
TRANSITION = (0x02, 0x04, 0x0A)


def make_bench(state: AluaAccessState) -> Bench:
    """A bench whose nexus comes in through a port in `state`."""
    timer = FakeTimer()
    group = AluaPortGroup(alua_group_id=0, supported_states=ALL_SUPPORTED_STATES)
    bench = Bench(unit=make_unit(alua_group=group, call_later=timer.call_later))
    if state is AluaAccessState.OFFLINE:
        bench.unit.alua.set_offline(1, True)
    elif state is AluaAccessState.TRANSITIONING:
        group.transition_delay = 1
        bench.unit.alua.set_state(0, AluaAccessState.STANDBY)
    else:
        bench.unit.alua.set_state(0, state)
    bench.unit.unit_attentions.clear(bench.nexus)
    return bench


REFUSED = {
    AluaAccessState.STANDBY: (0x02, 0x04, 0x0B),
    AluaAccessState.UNAVAILABLE: (0x02, 0x04, 0x0C),
    AluaAccessState.TRANSITIONING: TRANSITION,
    AluaAccessState.OFFLINE: (0x02, 0x04, 0x12),
}
ACTIVE = [AluaAccessState.ACTIVE_OPTIMIZED, AluaAccessState.ACTIVE_NON_OPTIMIZED]
RUNS = {
    AluaAccessState.STANDBY: {AccessClass.STANDBY, AccessClass.UNAVAILABLE, AccessClass.ALWAYS},
    AluaAccessState.UNAVAILABLE: {AccessClass.UNAVAILABLE, AccessClass.ALWAYS},
    AluaAccessState.TRANSITIONING: {AccessClass.ALWAYS},
    AluaAccessState.OFFLINE: {AccessClass.ALWAYS},
}


@pytest.mark.parametrize("state", [*ACTIVE, *REFUSED])
@pytest.mark.parametrize("row", list(DISK_COMMANDS), ids=lambda row: row.name)
def test_every_command_in_every_state(row: CommandDescriptor, state: AluaAccessState) -> None:
    """A command runs through a port if the field of its row names the state of the port, else its sense says why not."""
    bench = make_bench(state)
    sense_data = inaccessibility(bench.unit, bench.nexus, row, Command())
    if state in ACTIVE or row.access in RUNS[state]:
        assert sense_data is None
    else:
        assert sense_data == SenseData(sense=Sense(REFUSED[state]))


def test_the_table_follows_the_standard() -> None:
    """What must run in each state does, and what accesses the medium does not (SPC-5 §5.16.2.4)."""
    by_class: dict[AccessClass, set[str]] = {access: set() for access in AccessClass}
    for row in DISK_COMMANDS:
        by_class[row.access].add(row.name)
        assert not (row.writes_medium and row.access is not AccessClass.ACTIVE)
    assert by_class[AccessClass.ALWAYS] == ALWAYS
    assert by_class[AccessClass.UNAVAILABLE] == UNAVAILABLE
    assert by_class[AccessClass.STANDBY] >= STANDBY
    assert all(row.access is AccessClass.STANDBY for row in DISK_COMMANDS if row.opcode in (0x5E, 0x5F))
    assert by_class[AccessClass.ACTIVE] >= {"TEST UNIT READY", "READ (10)", "WRITE (16)", "SYNCHRONIZE CACHE (10)"}


@pytest.mark.parametrize("state", REFUSED)
def test_what_an_initiator_gets(state: AluaAccessState) -> None:
    """TEST UNIT READY, READ and WRITE are NOT READY; the engine has no leave to serve them either."""
    bench = make_bench(state)
    for cdb, data in ((TEST_UNIT_READY, b""), (read_10(0, 1), b""), (write_10(0, 1), bytes(512))):
        assert sense_of(bench.run(cdb, data)) == REFUSED[state]
    grant = bench.nexus.grants[0]
    assert (grant.reads, grant.writes) == (False, False)


@pytest.mark.parametrize("state", ACTIVE)
def test_active_states(state: AluaAccessState) -> None:
    """In the active states everything runs, and the engine serves."""
    bench = make_bench(state)
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert access_state_sense(bench.unit, bench.nexus) is None
    assert bench.nexus.grants[0].reads


def test_a_unit_attention_goes_first() -> None:
    """The initiator hears that the state has changed before it hears what that means."""
    bench = make_bench(AluaAccessState.STANDBY)
    bench.unit.unit_attentions.establish(bench.nexus, Sense.ASYMMETRIC_ACCESS_STATE_CHANGED)
    assert sense_of(bench.run(TEST_UNIT_READY)) == (0x06, 0x2A, 0x06)
    assert sense_of(bench.run(TEST_UNIT_READY)) == REFUSED[AluaAccessState.STANDBY]


def test_a_reservation_goes_last() -> None:
    """Through a port that is not active a reservation does not matter yet."""
    bench = make_bench(AluaAccessState.STANDBY)
    bench.unit.reservations.spc2_reserve(bench.connect(isid=2))
    assert sense_of(bench.run(write_10(0, 1), bytes(512))) == REFUSED[AluaAccessState.STANDBY]


@pytest.mark.parametrize("state", [AluaAccessState.STANDBY, AluaAccessState.TRANSITIONING])
def test_request_sense_tells_the_state(state: AluaAccessState) -> None:
    """Whoever polls sees in which state the port is."""
    bench = make_bench(state)
    data = data_of(bench.run(REQUEST_SENSE))
    assert (data[2], data[12], data[13]) == REFUSED[state]
    assert is_connected(bench.unit, bench.nexus)


@pytest.mark.parametrize("state", [AluaAccessState.UNAVAILABLE, AluaAccessState.OFFLINE])
def test_where_the_unit_is_not_connected(state: AluaAccessState) -> None:
    """INQUIRY says peripheral qualifier 001b, and REQUEST SENSE agrees with it (SPC-5 §5.16.2.4.5, §6.38)."""
    bench = make_bench(state)
    assert data_of(bench.run(inquiry()))[0] == 0x20
    assert data_of(bench.run(inquiry(0x83)))[0] == 0x20
    data = data_of(bench.run(REQUEST_SENSE))
    assert (data[2], data[12], data[13]) == (0x05, 0x25, 0x00)


def test_a_group_that_is_not_optimized_can_be_slow() -> None:
    """Each command waits for the delay of the group, and the engine serves none; an abort does not wait."""
    timer = FakeTimer()
    group = AluaPortGroup(alua_group_id=0, non_optimized_delay=0.1)
    bench = Bench(unit=make_unit(alua_group=group, call_later=timer.call_later))
    served = [bench.nexus.grants[0].reads]
    bench.unit.alua.set_state(0, AluaAccessState.ACTIVE_NON_OPTIMIZED)
    bench.unit.unit_attentions.clear(bench.nexus)
    served.append(bench.nexus.grants[0].reads)
    assert served == [True, False]
    task, aborted = bench.start(TEST_UNIT_READY), bench.start(read_10(0, 1))
    bench.unit.task_set.abort((aborted,), lambda _: None)
    assert bench.owner.ends == {aborted: None}
    timer.advance(0.1)
    assert bench.owner.ends == {aborted: None, task: GOOD}


def test_what_runs_already_goes_on() -> None:
    """A change of state does not touch tasks that are enabled; those that are not find the new one."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    running, waiting = bench.start(read_10(0, 1)), bench.task(write_10(0, 1))
    bench.unit.alua.set_state(0, AluaAccessState.STANDBY)
    bench.unit.unit_attentions.clear(bench.nexus)
    waiting.data_out = (memoryview(bytes(512)),)
    bench.router.data_out_complete(waiting)
    assert sense_of(bench.owner.ends[waiting]) == REFUSED[AluaAccessState.STANDBY]
    executor.finish()
    assert bench.owner.status(running) is Status.GOOD
