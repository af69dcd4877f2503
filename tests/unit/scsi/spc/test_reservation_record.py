import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import BackstoreError, ConfigurationError, IsthmusError
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import (
    PersistentReservation,
    PersistentReservations,
    Registrant,
    ReservationType,
)
from isthmus.scsi.spc.reservation_record import decode, encode, load_reservations
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.state_store import RESERVATIONS, MemoryStateStore, SaveState
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Task
from tests.support.primary import refusal, reserve_out, reserve_out_list
from tests.support.reservations import KEY_A, KEY_B, SharedDisk
from tests.support.scsi import HeldExecutor, make_unit, read_10

APTPL = 0x01
REGISTER, CLEAR = ReserveOutAction.REGISTER, ReserveOutAction.CLEAR
WE = ReservationType.WRITE_EXCLUSIVE
A, B = Registrant("iqn.2026-01.com.example:a,i,0x000000000001", 1), Registrant("iqn.2026-01.com.example:ä,i,0x2", 2)
SERIAL = "disk-1"

registrants = st.builds(Registrant, st.text(max_size=20), st.integers(1, 0xFFFF))
registrations = st.dictionaries(registrants, st.integers(1, (1 << 64) - 1), min_size=1, max_size=5)


@st.composite
def states(draw: st.DrawFn) -> PersistentReservations:
    """Any state that can be."""
    keys = draw(registrations)
    kind = draw(st.none() | st.sampled_from(list(ReservationType)))
    if kind is None:
        return PersistentReservations(keys, preserved=True)
    holder = None if kind.all_registrants else draw(st.sampled_from(list(keys)))
    return PersistentReservations(keys, PersistentReservation(type=kind, holder=holder), preserved=True)


@given(states())
def test_round_trip(state: PersistentReservations) -> None:
    """What is read is what was saved, in the order of registration, but for PRGENERATION."""
    again = decode(encode(state))
    assert list(again.registrations.items()) == list(state.registrations.items())
    assert (again.reservation, again.preserved, again.generation) == (state.reservation, True, 0)
    assert not again.lost


def test_the_form() -> None:
    """The record is text that an operator can read."""
    state = PersistentReservations({A: 0x1F}, PersistentReservation(type=WE, holder=A), preserved=True)
    assert json.loads(encode(state)) == {
        "version": 1,
        "registrations": [[A.initiator_port_name, 1, "000000000000001f"]],
        "reservation": {"type": "WRITE_EXCLUSIVE", "holder": [A.initiator_port_name, 1]},
    }


def record(**changes: Any) -> bytes:
    """A record in the right form that says something else."""
    state = PersistentReservations({A: 1, B: 2}, PersistentReservation(type=WE, holder=A), preserved=True)
    return json.dumps(json.loads(encode(state)) | changes, indent=1, ensure_ascii=False).encode() + b"\n"


def test_the_form_of_changes() -> None:
    """Without a change, `record` is a record."""
    assert decode(record()).is_holder(A)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        record()[:-2],
        record() + b"\n",
        record().replace(b"\n", b""),
        record(version="1"),
        record(version=None),
        record(registrations=[]),
        record(registrations=[["x", 1]]),
        record(registrations=[["x", 1, "00", 1]]),
        record(registrations=[["x", 1, "0000000000000000"]]),
        record(registrations=[["x", 1, "-000000000000001"]]),
        record(registrations=[["x", 1, "10000000000000000"]]),
        record(registrations=[["x", "1", "0000000000000001"]], reservation=None),
        record(registrations=[["x", 1, "0000000000000001"]]),
        record(registrations=[["x", 1, "0000000000000001"], ["x", 1, "0000000000000001"]], reservation=None),
        record(reservation={}),
        record(reservation={"type": "WRITE_EXCLUSIVE", "holder": None}),
        record(reservation={"type": "WRITE_EXCLUSIVE", "holder": ["x"]}),
        record(reservation={"type": "WRITE_EXCLUSIVE", "holder": ["x", 1]}),
        record(reservation={"type": "WRITE_EXCLUSIVE_ALL_REGISTRANTS", "holder": [A.initiator_port_name, 1]}),
        record(reservation={"type": "WRITE", "holder": [A.initiator_port_name, 1]}),
        record(reservation={"type": 1, "holder": [A.initiator_port_name, 1]}),
        record(reservation={"type": "WRITE_EXCLUSIVE", "holder": [A.initiator_port_name, 1], "more": 1}),
        record(more=1),
    ],
)
def test_refused(data: bytes) -> None:
    """What could not have been saved is refused, however much of it could be understood."""
    with pytest.raises(ConfigurationError):
        decode(data)


def test_a_version_to_come() -> None:
    """A form that a later program has written is no damage, and the operator is told so."""
    with pytest.raises(ConfigurationError, match="form 2"):
        decode(record(version=2))


@given(st.binary(max_size=60))
def test_anything(data: bytes) -> None:
    """No garbage is taken."""
    with pytest.raises(ConfigurationError):
        decode(data)


def test_load() -> None:
    """A unit is as it was left, or new; a record that cannot be read is refused or, if so wished, lost."""
    store = MemoryStateStore()
    assert load_reservations(store, SERIAL).registrations == {}
    store.save(SERIAL, RESERVATIONS, record())
    assert load_reservations(store, SERIAL, accept_loss=True).is_holder(A)
    store.save(SERIAL, RESERVATIONS, b"?")
    with pytest.raises(ConfigurationError, match=SERIAL):
        load_reservations(store, SERIAL)
    assert load_reservations(store, SERIAL, accept_loss=True).lost


def saved(disk: SharedDisk) -> PersistentReservations | None:
    """What a restart would find."""
    unit = disk.bench.unit
    data = unit.state.load(unit.identity.serial, RESERVATIONS)
    return None if data is None else decode(data)


def test_saved_when_it_should_be() -> None:
    """Every change is saved while APTPL is in effect; when it is not any more, the record goes."""
    disk = SharedDisk()
    disk.out(disk.a, REGISTER, action_key=KEY_A)
    assert saved(disk) is None
    disk.out(disk.b, REGISTER, action_key=KEY_B, flags=APTPL)
    state = saved(disk)
    assert state is not None
    assert list(state.registrations.values()) == [KEY_A, KEY_B]
    disk.reserve(disk.a, KEY_A, WE)
    state = saved(disk)
    assert state is not None
    assert state.is_holder(Registrant.of(disk.a))
    disk.out(disk.a, CLEAR, key=KEY_A)
    state = saved(disk)
    assert state is not None
    assert (state.registrations, state.reservation, state.preserved) == ({}, None, True)
    disk.out(disk.a, REGISTER, action_key=KEY_A)
    assert saved(disk) is None


def test_another_unit_over_the_same_record() -> None:
    """After a loss of power the unit knows its registrants and its holder, and keeps to them."""
    store = MemoryStateStore()
    disk = SharedDisk(unit=make_unit(state=store))
    disk.out(disk.a, REGISTER, action_key=KEY_A, flags=APTPL)
    disk.reserve(disk.a, KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    again = SharedDisk(unit=make_unit(state=store))
    assert again.reservation() == (KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    assert again.generation() == 0
    assert again.bench.run(read_10(0, 1)).status is Status.GOOD
    assert again.bench.run(read_10(0, 1), nexus=again.b).status is Status.RESERVATION_CONFLICT


# While a record is on its way to the storage.


class SlowDisk(SharedDisk):
    """One whose records take time."""

    def __init__(self) -> None:
        self.executor = HeldExecutor()
        super().__init__(executor=self.executor)

    def start(self, nexus: Nexus, action: ReserveOutAction, key: int = 0, action_key: int = 0, kind: int = 0) -> Task:
        """PERSISTENT RESERVE OUT with APTPL, under way."""
        return self.bench.start(reserve_out(action, kind), reserve_out_list(key, action_key, APTPL), nexus=nexus)

    def finish(self, error: BackstoreError | None = None) -> None:
        """Let the one record that is being saved be durable, or not."""
        (operation,) = self.executor.operations
        assert isinstance(getattr(operation, "operation", operation), SaveState)
        self.executor.finish(error=error)

    def finish_all(self) -> None:
        """Let one after the other be durable."""
        while self.executor.under_way:
            self.finish()


def test_good_means_durable() -> None:
    """Nothing has changed before the record is durable, and there is no status before that."""
    disk = SlowDisk()
    task = disk.start(disk.a, REGISTER, action_key=KEY_A)
    assert task not in disk.bench.owner.ends
    assert disk.keys() == []
    disk.finish()
    assert disk.bench.owner.ends[task] == GOOD
    assert disk.keys() == [KEY_A]


def test_what_cannot_be_saved_has_not_happened() -> None:
    """If the record cannot be saved, the command fails, nothing has changed, nobody else hears of it, the operator does."""
    disk = SlowDisk()
    disk.start(disk.a, REGISTER, action_key=KEY_A)
    disk.finish_all()
    disk.start(disk.b, REGISTER, action_key=KEY_B)
    disk.finish_all()
    task = disk.start(disk.a, CLEAR, key=KEY_A)
    disk.finish(BackstoreError(28, "no space left"))
    response = disk.bench.owner.ends[task]
    assert response is not None
    assert refusal(response) == (Sense.INTERNAL_TARGET_FAILURE, None)
    assert (disk.keys(), disk.generation()) == ([KEY_A, KEY_B], 2)
    assert disk.attentions() == (None, None, None)
    (error,) = disk.bench.internal_errors
    assert isinstance(error, IsthmusError)
    assert "no space left" in str(error)
    task = disk.start(disk.a, CLEAR, key=KEY_A)
    disk.finish_all()
    assert disk.bench.owner.ends[task] == GOOD


def test_one_after_the_other() -> None:
    """Each command is decided on what the one before it has left, in the order in which they came."""
    disk = SlowDisk()
    first = disk.start(disk.a, REGISTER, action_key=KEY_A)
    second = disk.start(disk.a, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY, action_key=KEY_B)
    third = disk.start(disk.b, REGISTER, action_key=KEY_B)
    assert len(disk.executor.operations) == 1
    disk.finish()
    assert set(disk.bench.owner.ends) >= {first}
    assert len(disk.executor.operations) == 1
    disk.finish_all()
    assert all(disk.bench.owner.ends[task] == GOOD for task in (first, second, third))
    assert disk.keys() == [KEY_B, KEY_B]
    state = saved(disk)
    assert state is not None
    assert list(state.registrations.values()) == [KEY_B, KEY_B]


def test_a_key_that_goes_meanwhile() -> None:
    """A command whose registration is removed while it waits has a conflict."""
    disk = SlowDisk()
    for nexus, key in ((disk.a, KEY_A), (disk.b, KEY_B)):
        disk.start(nexus, REGISTER, action_key=key)
        disk.finish_all()
    clear = disk.start(disk.a, CLEAR, key=KEY_A)
    reserve = disk.start(disk.b, ReserveOutAction.RESERVE, key=KEY_B, kind=WE)
    disk.finish_all()
    assert disk.bench.owner.ends[clear] == GOOD
    assert disk.bench.owner.status(reserve) is Status.RESERVATION_CONFLICT


def test_aborted_while_it_is_saved() -> None:
    """What is being saved takes effect although nobody waits for it any more: record and unit say the same."""
    disk = SlowDisk()
    task = disk.start(disk.a, REGISTER, action_key=KEY_A)
    disk.bench.router.nexus_lost(disk.a)
    assert disk.bench.owner.ends[task] is None
    disk.finish_all()
    assert disk.bench.unit.reservations.persistent.registrations == {Registrant.of(disk.a): KEY_A}
    state = saved(disk)
    assert state is not None
    assert state.registrations == {Registrant.of(disk.a): KEY_A}


def test_aborted_while_it_waits() -> None:
    """What has not begun does not happen after an abort, and does not hold others up."""
    disk = SlowDisk()
    disk.start(disk.a, REGISTER, action_key=KEY_A)
    waiting = disk.start(disk.b, REGISTER, action_key=KEY_B)
    after = disk.start(disk.c, REGISTER, action_key=KEY_B)
    disk.bench.router.nexus_lost(disk.b)
    assert disk.bench.owner.ends[waiting] is None
    disk.finish_all()
    assert disk.bench.owner.ends[after] == GOOD
    registrants = disk.bench.unit.reservations.persistent.registrations
    assert list(registrants) == [Registrant.of(disk.a), Registrant.of(disk.c)]


def test_reserve_6_waits_as_well() -> None:
    """RESERVE does not slip in before a registration that is being saved."""
    disk = SlowDisk()
    register = disk.start(disk.a, REGISTER, action_key=KEY_A)
    reserve = disk.bench.start(bytes((0x16, 0, 0, 0, 0, 0)), nexus=disk.b)
    assert reserve not in disk.bench.owner.ends
    disk.finish_all()
    assert disk.bench.owner.ends[register] == GOOD
    assert disk.bench.owner.status(reserve) is Status.RESERVATION_CONFLICT


def test_grants_follow() -> None:
    """The engine may go on alone until the reservation is durable, and not afterwards."""
    disk = SlowDisk()
    grant = disk.b.grants[0]
    disk.start(disk.a, REGISTER, action_key=KEY_A)
    disk.finish_all()
    disk.start(disk.a, ReserveOutAction.RESERVE, key=KEY_A, kind=ReservationType.EXCLUSIVE_ACCESS)
    assert (grant.reads, grant.writes) == (True, True)
    disk.finish_all()
    assert (grant.reads, grant.writes) == (False, False)
