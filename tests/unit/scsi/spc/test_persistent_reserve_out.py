import pytest

from isthmus.scsi.copy.copy_operations import CopyState
from isthmus.scsi.copy.manager import CopyServices
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.primary import in_cdb, in_list, refusal, reserve_out, reserve_out_list
from tests.support.reservations import KEY_A, KEY_B, KEY_C, SharedDisk
from tests.support.scsi import HeldExecutor, make_unit, write_10

CONFLICT = Status.RESERVATION_CONFLICT
LENGTH_ERROR = Sense.PARAMETER_LIST_LENGTH_ERROR
REGISTER, REGISTER_AND_IGNORE = ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY
RESERVE, RELEASE, CLEAR = ReserveOutAction.RESERVE, ReserveOutAction.RELEASE, ReserveOutAction.CLEAR
PREEMPT, PREEMPT_AND_ABORT = ReserveOutAction.PREEMPT, ReserveOutAction.PREEMPT_AND_ABORT
WE, EA = ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS
WE_RO, EA_RO = (
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
)
WE_AR, EA_AR = ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS, ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS
PLAIN, REGISTRANTS_ONLY, ALL_REGISTRANTS = (WE, EA), (WE_RO, EA_RO), (WE_AR, EA_AR)
PREEMPTED, RELEASED = Sense.RESERVATIONS_PREEMPTED, Sense.RESERVATIONS_RELEASED
REGISTRATION_GONE = Sense.REGISTRATIONS_PREEMPTED
NOBODY = (None, None, None)


# REGISTER and REGISTER AND IGNORE EXISTING KEY.


@pytest.mark.parametrize("action", [REGISTER, REGISTER_AND_IGNORE])
def test_register(action: ReserveOutAction) -> None:
    """A first registration needs no key; each one counts, and nobody else hears of it."""
    disk = SharedDisk()
    assert disk.out(disk.a, action, action_key=KEY_A) == GOOD
    assert disk.out(disk.b, action, action_key=KEY_A) == GOOD
    assert disk.keys() == [KEY_A, KEY_A]
    assert disk.generation() == 2
    assert disk.attentions() == NOBODY


def test_register_needs_the_right_key() -> None:
    """REGISTER conflicts with a wrong key, be it that there is none to be wrong; the other action ignores it."""
    disk = SharedDisk()
    assert disk.out(disk.a, REGISTER, key=KEY_B, action_key=KEY_A).status is CONFLICT
    assert disk.keys() == []
    disk.register((disk.a, KEY_A))
    assert disk.out(disk.a, REGISTER, action_key=KEY_B).status is CONFLICT
    assert disk.out(disk.a, REGISTER, key=KEY_B, action_key=KEY_C).status is CONFLICT
    assert (disk.keys(), disk.generation()) == ([KEY_A], 1)
    assert disk.out(disk.a, REGISTER, key=KEY_A, action_key=KEY_B) == GOOD
    assert disk.out(disk.a, REGISTER_AND_IGNORE, key=KEY_A, action_key=KEY_C) == GOOD
    assert (disk.keys(), disk.generation()) == ([KEY_C], 3)


@pytest.mark.parametrize("action", [REGISTER, REGISTER_AND_IGNORE])
def test_unregister(action: ReserveOutAction) -> None:
    """Key 0 ends a registration; where there is none, nothing happens and nothing is counted."""
    disk = SharedDisk()
    assert disk.out(disk.a, action) == GOOD
    assert disk.generation() == 0
    disk.register((disk.a, KEY_A))
    assert disk.out(disk.a, action, key=KEY_A) == GOOD
    assert (disk.keys(), disk.generation()) == ([], 2)


def test_a_new_key_keeps_the_reservation() -> None:
    """The holder stays the holder when it changes its key."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, EA)
    disk.out(disk.a, REGISTER, key=KEY_A, action_key=KEY_C)
    assert disk.reservation() == (KEY_C, EA)


@pytest.mark.parametrize(
    ("reservation_type", "attention"),
    [(WE, None), (EA, None), (WE_RO, RELEASED), (EA_RO, RELEASED)],
)
def test_holder_unregisters(reservation_type: ReservationType, attention: Sense | None) -> None:
    """With its registration the only holder loses the reservation; the registrants hear of it where it was theirs too."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    assert disk.out(disk.a, REGISTER, key=KEY_A) == GOOD
    assert disk.attentions() == (None, attention, None)
    assert disk.reservation() is None


@pytest.mark.parametrize("reservation_type", ALL_REGISTRANTS)
def test_all_registrants_unregister(reservation_type: ReservationType) -> None:
    """A reservation of all registrants lasts until the last of them goes."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    disk.out(disk.a, REGISTER, key=KEY_A)
    assert disk.reservation() == (0, reservation_type)
    disk.out(disk.b, REGISTER, key=KEY_B)
    assert disk.reservation() is None
    assert disk.attentions() == NOBODY


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_another_registrant_unregisters(reservation_type: ReservationType) -> None:
    """Who does not hold the reservation leaves it as it is."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    before = disk.reservation()
    disk.out(disk.b, REGISTER, key=KEY_B)
    assert disk.reservation() == before
    assert disk.attentions() == NOBODY


@pytest.mark.parametrize("action", [RESERVE, RELEASE, CLEAR, PREEMPT])
def test_flags_that_do_not_count(action: ReserveOutAction) -> None:
    """The other service actions ignore ALL_TG_PT and APTPL."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    response = disk.out(disk.a, action, EA, key=KEY_A, action_key=KEY_A, flags=0x05)
    assert response == GOOD


# RESERVE.


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_reserve(reservation_type: ReservationType) -> None:
    """A registrant takes the reservation, and may ask again; that neither counts nor is told to anybody."""
    disk = SharedDisk()
    disk.register_all()
    assert disk.out(disk.a, RESERVE, reservation_type, key=KEY_A) == GOOD
    assert disk.out(disk.a, RESERVE, reservation_type, key=KEY_A) == GOOD
    assert disk.reservation() == (0 if reservation_type.all_registrants else KEY_A, reservation_type)
    assert disk.generation() == 3
    assert disk.attentions() == NOBODY


@pytest.mark.parametrize("held", ReservationType)
@pytest.mark.parametrize("asked", ReservationType)
def test_reserve_what_is_reserved(held: ReservationType, asked: ReservationType) -> None:
    """Nobody gets a reservation beside another; who holds it may ask for the very same."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, held)
    before = disk.reservation()
    a = Status.GOOD if asked is held else CONFLICT
    b = Status.GOOD if asked is held and held.all_registrants else CONFLICT
    assert disk.out(disk.a, RESERVE, asked, key=KEY_A).status is a
    assert disk.out(disk.b, RESERVE, asked, key=KEY_B).status is b
    assert disk.reservation() == before


@pytest.mark.parametrize("reservation_type", [0, 2, 4, 9, 15])
def test_reserve_with_a_bad_type(reservation_type: int) -> None:
    """There are six types."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    assert refusal(disk.out(disk.a, RESERVE, reservation_type, key=KEY_A)) == in_cdb(2, 3)


@pytest.mark.parametrize("scope", [1, 2, 15])
def test_reserve_with_a_bad_scope(scope: int) -> None:
    """There is one scope."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    assert refusal(disk.out(disk.a, RESERVE, WE, key=KEY_A, scope=scope)) == in_cdb(2, 7)


@pytest.mark.parametrize("action", [RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT])
def test_only_for_registrants(action: ReserveOutAction) -> None:
    """Whoever is not registered, or does not know its key, may change nothing."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, WE)
    for nexus, key in ((disk.c, 0), (disk.c, KEY_A), (disk.a, KEY_B), (disk.b, KEY_A), (disk.b, 0)):
        assert disk.out(nexus, action, WE, key=key, action_key=KEY_A).status is CONFLICT
    assert disk.keys() == [KEY_A, KEY_B]
    assert disk.reservation() == (KEY_A, WE)
    assert disk.generation() == 2


# RELEASE.


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_release(reservation_type: ReservationType) -> None:
    """The holder gives up the reservation; the other registrants hear of it where they had a part in it."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    assert disk.out(disk.a, RELEASE, reservation_type, key=KEY_A) == GOOD
    attention = None if reservation_type in PLAIN else RELEASED
    assert disk.attentions() == (None, attention, None)
    assert disk.reservation() is None
    assert (disk.keys(), disk.generation()) == ([KEY_A, KEY_B], 2)


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_release_by_another_registrant(reservation_type: ReservationType) -> None:
    """Who does not hold the reservation releases nothing, without error; of all registrants each may release."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    assert disk.out(disk.b, RELEASE, reservation_type, key=KEY_B) == GOOD
    released = reservation_type.all_registrants
    assert disk.attentions() == (RELEASED if released else None, None, None)
    assert (disk.reservation() is None) == released


def test_release_of_nothing() -> None:
    """Where nothing is reserved, any RELEASE of a registrant is GOOD."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    assert disk.out(disk.a, RELEASE, WE, key=KEY_A) == GOOD
    assert disk.out(disk.a, RELEASE, 0, key=KEY_A, scope=2) == GOOD


@pytest.mark.parametrize(("reservation_type", "scope"), [(WE, 0), (WE_RO, 0), (0, 0), (15, 0), (EA, 1)])
def test_release_of_something_else(reservation_type: int, scope: int) -> None:
    """The holder has to name the reservation that it holds."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, EA)
    response = disk.out(disk.a, RELEASE, reservation_type, key=KEY_A, scope=scope)
    assert refusal(response) == (Sense.INVALID_RELEASE_OF_PERSISTENT_RESERVATION, None)
    assert disk.reservation() == (KEY_A, EA)


# CLEAR.


@pytest.mark.parametrize("reservation_type", [None, *ReservationType])
def test_clear(reservation_type: ReservationType | None) -> None:
    """Any registrant can clear everything; all others that were registered hear of it. Scope and type do not count."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    if reservation_type is not None:
        disk.reserve(disk.a, KEY_A, reservation_type)
    assert disk.out(disk.b, CLEAR, 15, key=KEY_B, scope=3) == GOOD
    assert disk.attentions() == (PREEMPTED, None, None)
    assert (disk.keys(), disk.reservation(), disk.generation()) == ([], None, 3)


# PREEMPT and PREEMPT AND ABORT.


@pytest.mark.parametrize("action", [PREEMPT, PREEMPT_AND_ABORT])
@pytest.mark.parametrize("held", [*PLAIN, *REGISTRANTS_ONLY])
@pytest.mark.parametrize("asked", ReservationType)
def test_preempt_the_holder(action: ReserveOutAction, held: ReservationType, asked: ReservationType) -> None:
    """With the holder's key a registrant takes the reservation, of whatever type it asks for.

    The holder loses its registration; the others stay registered, and hear of it if the type has changed.
    """
    disk = SharedDisk()
    disk.register_all()
    disk.reserve(disk.a, KEY_A, held)
    assert disk.out(disk.b, action, asked, key=KEY_B, action_key=KEY_A) == GOOD
    assert disk.attentions() == (REGISTRATION_GONE, None, None if asked is held else RELEASED)
    assert disk.keys() == [KEY_B, KEY_C]
    assert disk.reservation() == (0 if asked.all_registrants else KEY_B, asked)
    assert disk.generation() == 4


@pytest.mark.parametrize("held", [*PLAIN, *REGISTRANTS_ONLY])
def test_preempt_oneself(held: ReservationType) -> None:
    """The holder changes the type of its own reservation, and stays registered, but others with its key do not."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_A), (disk.c, KEY_C))
    disk.reserve(disk.a, KEY_A, held)
    asked = EA if held is not EA else WE
    assert disk.out(disk.a, PREEMPT, asked, key=KEY_A, action_key=KEY_A) == GOOD
    assert disk.attentions() == (None, REGISTRATION_GONE, RELEASED)
    assert disk.keys() == [KEY_A, KEY_C]
    assert disk.reservation() == (KEY_A, asked)


@pytest.mark.parametrize("held", [None, *ReservationType])
@pytest.mark.parametrize("action", [PREEMPT, PREEMPT_AND_ABORT])
def test_remove_registrations(action: ReserveOutAction, held: ReservationType | None) -> None:
    """With a key that no single holder has, PREEMPT removes registrations only; scope and type do not count then."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B), (disk.c, KEY_B))
    if held is not None:
        disk.reserve(disk.a, KEY_A, held)
    before = disk.reservation()
    assert disk.out(disk.a, action, 15, key=KEY_A, action_key=KEY_B, scope=7) == GOOD
    assert disk.attentions() == (None, REGISTRATION_GONE, REGISTRATION_GONE)
    assert disk.keys() == [KEY_A]
    assert disk.reservation() == before
    assert disk.generation() == 4


def test_remove_ones_own_registration() -> None:
    """Where it does not take a reservation over, PREEMPT with one's own key removes that registration too, unheard."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_A))
    assert disk.out(disk.a, PREEMPT, WE, key=KEY_A, action_key=KEY_A) == GOOD
    assert disk.attentions() == (None, REGISTRATION_GONE, None)
    assert disk.keys() == []


@pytest.mark.parametrize("held", ALL_REGISTRANTS)
def test_remove_all_registrants_one_by_one(held: ReservationType) -> None:
    """When the last registrant is removed, the reservation of all registrants has nobody left, and ends."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, held)
    assert disk.out(disk.a, PREEMPT, WE, key=KEY_A, action_key=KEY_A) == GOOD
    assert (disk.keys(), disk.reservation()) == ([], None)


@pytest.mark.parametrize("action", [PREEMPT, PREEMPT_AND_ABORT])
@pytest.mark.parametrize("held", ALL_REGISTRANTS)
@pytest.mark.parametrize("asked", ReservationType)
def test_preempt_all_registrants(action: ReserveOutAction, held: ReservationType, asked: ReservationType) -> None:
    """Key 0 takes the reservation from all registrants at once; only who asks stays registered."""
    disk = SharedDisk()
    disk.register_all()
    disk.reserve(disk.a, KEY_A, held)
    assert disk.out(disk.b, action, asked, key=KEY_B) == GOOD
    assert disk.attentions() == (REGISTRATION_GONE, None, REGISTRATION_GONE)
    assert disk.keys() == [KEY_B]
    assert disk.reservation() == (0 if asked.all_registrants else KEY_B, asked)


@pytest.mark.parametrize("held", [*PLAIN, *REGISTRANTS_ONLY])
def test_preempt_nobody(held: ReservationType) -> None:
    """Key 0 stands for nobody unless all registrants hold the reservation."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, held)
    assert refusal(disk.out(disk.b, PREEMPT, WE, key=KEY_B)) == in_list(8)
    assert (disk.keys(), disk.reservation()) == ([KEY_A, KEY_B], (KEY_A, held))


@pytest.mark.parametrize("held", [None, *ReservationType])
def test_preempt_a_key_that_nobody_has(held: ReservationType | None) -> None:
    """A key without registration conflicts, and changes nothing."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    if held is not None:
        disk.reserve(disk.a, KEY_A, held)
    assert disk.out(disk.a, PREEMPT, WE, key=KEY_A, action_key=KEY_C).status is CONFLICT
    assert (disk.keys(), disk.generation()) == ([KEY_A], 1)


@pytest.mark.parametrize(("reservation_type", "scope", "bit"), [(0, 0, 3), (2, 0, 3), (WE, 1, 7)])
def test_take_over_with_a_bad_type(reservation_type: int, scope: int, bit: int) -> None:
    """Scope and type count when a reservation is taken over; a bad one leaves everything as it was."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, EA)
    response = disk.out(disk.b, PREEMPT, reservation_type, key=KEY_B, action_key=KEY_A, scope=scope)
    assert refusal(response) == in_cdb(2, bit)
    assert (disk.keys(), disk.reservation(), disk.generation()) == ([KEY_A, KEY_B], (KEY_A, EA), 2)


@pytest.mark.parametrize("action", [PREEMPT, PREEMPT_AND_ABORT])
def test_preempted_nexus_prevents_nothing_any_more(action: ReserveOutAction) -> None:
    """PREEMPT AND ABORT allows again what the preempted nexus had prevented; PREEMPT does not speak of it."""
    disk = SharedDisk()
    disk.register_all()
    for nexus in (disk.a, disk.c):
        disk.bench.run(bytes((0x1E, 0, 0, 0, 1, 0)), nexus=nexus)
    disk.out(disk.b, action, WE, key=KEY_B, action_key=KEY_A)
    assert disk.bench.unit.prevent_removal == ({disk.a, disk.c} if action is PREEMPT else {disk.c})


def test_preempt_lets_tasks_end() -> None:
    """PREEMPT alone aborts nothing: a write that is under way ends as usual."""
    executor = HeldExecutor()
    disk = SharedDisk(executor=executor)
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    write = disk.bench.start(write_10(0, 1), bytes(512))
    assert disk.out(disk.b, PREEMPT, WE, key=KEY_B, action_key=KEY_A) == GOOD
    executor.finish_all()
    assert disk.bench.owner.status(write) is Status.GOOD


def test_preempt_and_abort() -> None:
    """PREEMPT AND ABORT aborts the tasks of the preempted nexus alone, and answers when none of them runs any more."""
    executor = HeldExecutor()
    disk = SharedDisk(executor=executor)
    disk.register_all()
    disk.reserve(disk.a, KEY_A, WE_RO)
    victim = disk.bench.start(write_10(0, 1), bytes(512))
    waiting = disk.bench.task(write_10(8, 1))
    bystander = disk.bench.start(write_10(16, 1), bytes(512), nexus=disk.c)
    cdb = reserve_out(PREEMPT_AND_ABORT, WE_RO)
    preempt = disk.bench.start(cdb, reserve_out_list(KEY_B, KEY_A), nexus=disk.b)
    ends = disk.bench.owner.ends
    assert disk.bench.owner.status(waiting) is Status.TASK_ABORTED
    assert preempt not in ends
    assert bystander not in ends
    executor.finish(0)
    assert disk.bench.owner.status(victim) is Status.TASK_ABORTED
    assert disk.bench.owner.status(preempt) is Status.GOOD
    assert bystander not in ends
    executor.finish_all()
    assert disk.bench.owner.status(bystander) is Status.GOOD


def test_preempt_and_abort_waits_for_copies() -> None:
    """Copies that the preempted nexus has left running are aborted, and the status comes when they are over."""
    services = CopyServices(randomness=bytes, clock=lambda: 0.0)
    disk = SharedDisk(unit=make_unit(third_party_copy=services))
    disk.register_all()
    disk.reserve(disk.a, KEY_A, WE_RO)
    assert disk.bench.unit.copy_manager is not None
    begin = disk.bench.unit.copy_manager.operations.begin
    victim, bystander = begin(disk.a, 1, 1, background=True), begin(disk.c, 1, 1, background=True)
    preempt = disk.bench.start(reserve_out(PREEMPT_AND_ABORT, WE_RO), reserve_out_list(KEY_B, KEY_A), nexus=disk.b)
    assert (victim.abort_requested, bystander.abort_requested) == (True, False)
    assert preempt not in disk.bench.owner.ends
    victim.end(CopyState.ABORTED)
    assert disk.bench.owner.status(preempt) is Status.GOOD


def test_preempt_and_abort_with_ones_own_key() -> None:
    """The tasks of a nexus that removes its own registration are aborted too, but not the PERSISTENT RESERVE OUT."""
    executor = HeldExecutor()
    disk = SharedDisk(executor=executor)
    disk.register((disk.a, KEY_A))
    write = disk.bench.start(write_10(0, 1), bytes(512))
    preempt = disk.bench.start(reserve_out(PREEMPT_AND_ABORT, WE), reserve_out_list(KEY_A, KEY_A))
    executor.finish_all()
    assert disk.bench.owner.status(write) is None
    assert disk.bench.owner.status(preempt) is Status.GOOD


# Who hears of it.


@pytest.mark.parametrize(("action", "action_key"), [(PREEMPT, KEY_A), (CLEAR, 0), (RELEASE, 0)])
def test_absent_registrants_hear_nothing_later(action: ReserveOutAction, action_key: int) -> None:
    """Who is not there when it happens hears, when it logs in, only that the unit may have been powered on."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.b, KEY_B, WE_RO)
    disk.bench.router.nexus_lost(disk.a)
    assert disk.out(disk.b, action, WE_RO, key=KEY_B, action_key=action_key) == GOOD
    late = disk.bench.connect(isid=1, quiet=False)
    power_on = (Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED, None)
    assert refusal(disk.bench.run(bytes(6), nexus=late)) == power_on
    assert disk.bench.run(bytes(6), nexus=late) == GOOD


def test_only_the_nexus_that_was_registered_hears() -> None:
    """The same initiator port at another target port is another nexus, and has lost nothing."""
    disk = SharedDisk()
    elsewhere = disk.connect_elsewhere(disk.a, port=2)
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.out(disk.b, CLEAR, key=KEY_B)
    assert disk.bench.unit.unit_attentions.take(elsewhere) is None
    assert disk.attentions() == (PREEMPTED, None, None)


# The CDB and the length of the list.


@pytest.mark.parametrize("length", [0, 23, 0x1_0000, 0xFFFF_FFFF])
def test_bad_length(length: int) -> None:
    """A list that cannot be one is refused before any data is asked for."""
    disk = SharedDisk()
    task = disk.bench.task(reserve_out(REGISTER, length=length))
    response = disk.bench.owner.ends[task]
    assert response is not None
    assert refusal(response) == (LENGTH_ERROR, None)


def test_longer_list() -> None:
    """More than 24 bytes make sense with SPEC_I_PT only; without it, the length is wrong."""
    disk = SharedDisk()
    cdb = reserve_out(REGISTER, length=32)
    assert refusal(disk.bench.run(cdb, reserve_out_list(0, KEY_A) + bytes(8)))[0] is LENGTH_ERROR
    assert disk.keys() == []


def test_missing_data() -> None:
    """An initiator that sends less than it says gets an error, and nothing happens."""
    disk = SharedDisk()
    assert refusal(disk.bench.run(reserve_out(REGISTER), reserve_out_list(0, KEY_A)[:16]))[0] is LENGTH_ERROR
    assert disk.keys() == []


@pytest.mark.parametrize("action", [0x09, 0x1F])
def test_unknown_service_action(action: int) -> None:
    """What is reserved is refused as a service action."""
    disk = SharedDisk()
    cdb = bytes((0x5F, action, 0, 0, 0, 0, 0, 0, 24, 0))
    assert refusal(disk.bench.run(cdb, bytes(24))) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(1, 4))
