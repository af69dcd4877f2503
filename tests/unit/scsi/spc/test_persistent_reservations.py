from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc import persistent_reservations as module
from isthmus.scsi.spc.persistent_reservations import (
    PersistentReservations,
    Registrant,
    ReservationConflict,
    ReservationType,
)
from tests.support.reservations import KEY_A

A, B, C = (Registrant(f"iqn.2026-01.com.example:host,i,0x{isid:012x}", 1) for isid in (1, 2, 3))
ELSEWHERE = Registrant(A.initiator_port_name, 2)


def test_same_initiator_another_port() -> None:
    """One initiator port at two target ports is two registrants."""
    state = PersistentReservations()
    state.register(A, KEY_A)
    state.reserve(A, ReservationType.WRITE_EXCLUSIVE)
    assert state.is_holder(A)
    assert not state.is_holder(ELSEWHERE)
    assert ELSEWHERE not in state.registrations


def test_register_several() -> None:
    """Registrations that one command makes are one change; with key 0 they go together."""
    state = PersistentReservations()
    state.register(A, KEY_A, also=[A, ELSEWHERE, B])
    assert (state.registrations, state.generation) == ({A: KEY_A, ELSEWHERE: KEY_A, B: KEY_A}, 1)
    state.register(A, 0, also=[ELSEWHERE, C])
    assert (state.registrations, state.generation) == ({B: KEY_A}, 2)


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_holder_elsewhere_unregisters(reservation_type: ReservationType) -> None:
    """A reservation ends with the registration of its holder also where another port of that initiator asks for it."""
    state = PersistentReservations()
    state.register(A, KEY_A, also=[ELSEWHERE, B])
    state.reserve(ELSEWHERE, reservation_type)
    consequences = state.register(A, 0, also=[ELSEWHERE])
    assert (state.reservation is None) is not reservation_type.all_registrants
    heard = reservation_type.admits_registrants and not reservation_type.all_registrants
    assert consequences.attentions == ({B: Sense.RESERVATIONS_RELEASED} if heard else {})


def test_too_many_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations have a bound; who is registered can still change its key and leave, and no others are half made."""
    monkeypatch.setattr(module, "MAX_REGISTRATIONS", 2)
    state = PersistentReservations()
    state.register(A, 1)
    for also in ([B, C], [C, B, A]):
        with pytest.raises(CheckCondition) as caught:
            state.register(B, 2, also=also)
        assert caught.value.sense_data.sense is Sense.INSUFFICIENT_REGISTRATION_RESOURCES
    assert (state.registrations, state.generation) == ({A: 1}, 1)
    state.register(B, 2)
    with pytest.raises(CheckCondition):
        state.register(C, 3)
    state.register(A, 9)
    state.register(B, 0)
    state.register(C, 3)
    assert state.registrations == {A: 9, C: 3}


def test_generation_wraps() -> None:
    """PRGENERATION is a counter of 32 bits."""
    state = PersistentReservations()
    state._generation = 0xFFFF_FFFF
    state.register(A, KEY_A)
    assert state.generation == 0


def test_copy_is_apart() -> None:
    """What is done to a copy does not touch the original, and the other way round."""
    state = PersistentReservations(preserved=True)
    state.register(A, KEY_A)
    state.reserve(A, ReservationType.WRITE_EXCLUSIVE)
    copy = state.copy()
    assert (copy.registrations, copy.reservation, copy.generation, copy.preserved) == (
        state.registrations,
        state.reservation,
        1,
        True,
    )
    copy.clear(A)
    assert (state.registrations, state.generation, copy.generation) == ({A: KEY_A}, 1, 2)
    assert state.is_holder(A)


@pytest.mark.parametrize("preserved", [False, True])
def test_replace_lost(preserved: bool) -> None:
    """What was lost begins anew with one registrant who holds the reservation, and generation 0."""
    state = PersistentReservations(lost=True, preserved=preserved).copy()
    assert state.lost
    state._generation = 7
    with pytest.raises(CheckCondition):
        state.replace_lost(A, 0, ReservationType.EXCLUSIVE_ACCESS)
    state.replace_lost(A, KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    assert (state.registrations, state.generation, state.lost) == ({A: KEY_A}, 0, False)
    assert state.is_holder(A)
    with pytest.raises(CheckCondition) as caught:
        state.replace_lost(B, KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    assert caught.value.sense_data.sense is Sense.INVALID_RELEASE_OF_PERSISTENT_RESERVATION


REGISTRANTS = st.sampled_from([A, B, C, ELSEWHERE])
TYPES = st.sampled_from(list(ReservationType))
KEYS = st.integers(0, 3)
Step = Callable[[PersistentReservations], object]


def _preempt(state: PersistentReservations, who: Registrant, key: int, kind: ReservationType) -> None:
    if state.takes_over(key):
        state.preempt(who, key, kind)
    else:
        state.remove_registrations(who, key)


def _by_registrant(who: Registrant, step: Step) -> Step:
    return lambda state: step(state) if who in state.registrations else None


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda who, key, also: lambda state: state.register(who, key, also), REGISTRANTS, KEYS, st.sets(REGISTRANTS)
    ),
    st.builds(lambda who, kind: _by_registrant(who, lambda state: state.reserve(who, kind)), REGISTRANTS, TYPES),
    st.builds(
        lambda who, kind: _by_registrant(who, lambda state: state.release(who, scope=0, reservation_type=kind)),
        REGISTRANTS,
        TYPES,
    ),
    st.builds(lambda who: _by_registrant(who, lambda state: state.clear(who)), REGISTRANTS),
    st.builds(
        lambda who, key, kind: _by_registrant(who, lambda state: _preempt(state, who, key, kind)),
        REGISTRANTS,
        KEYS,
        TYPES,
    ),
    st.builds(
        lambda pair, key, gone: _by_registrant(
            pair[0], lambda state: state.move(pair[0], key, pair[1], unregister=gone)
        ),
        st.permutations([A, B, C, ELSEWHERE]),
        KEYS,
        st.booleans(),
    ),
)


@given(st.lists(STEPS, max_size=30))
def test_invariants(steps: list[Step]) -> None:
    """Whatever is done: the holder is registered, keys are not 0, and a reservation has at least one holder."""
    state = PersistentReservations()
    for step in steps:
        before = (dict(state.registrations), state.reservation, state.generation)
        try:
            step(state)
        except (CheckCondition, ReservationConflict):
            assert before == (dict(state.registrations), state.reservation, state.generation)
        assert all(state.registrations.values())
        held = state.reservation
        if held is not None:
            assert (held.holder is None) == held.type.all_registrants
            assert any(state.is_holder(registrant) for registrant in state.registrations)
            assert held.holder is None or held.holder in state.registrations
        if before[0] != state.registrations:
            assert state.generation > before[2]
