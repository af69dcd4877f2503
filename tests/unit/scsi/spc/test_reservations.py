from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc import reservations as module
from isthmus.scsi.spc.reservations import Registrant, ReservationConflict, Reservations, ReservationType
from isthmus.scsi.status import Status
from tests.support.primary import inquiry, mode_select_6, mode_sense_6, reserve_in
from tests.support.reservations import KEY_A, KEY_B, SharedDisk
from tests.support.scsi import make_nexus, make_unit, read_10, write_10

# What others than the holder may do beside a reservation (SPC-5 §5.14.1): read and write without registration, read
# and write with it.
NOTHING, READ, EVERYTHING = (False, False), (True, False), (True, True)
ACCESS = {
    ReservationType.WRITE_EXCLUSIVE: (READ, READ),
    ReservationType.EXCLUSIVE_ACCESS: (NOTHING, NOTHING),
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY: (READ, EVERYTHING),
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: (NOTHING, EVERYTHING),
    ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS: (READ, EVERYTHING),
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS: (NOTHING, EVERYTHING),
}
READS = {
    "READ (10)": (read_10(0, 1), b""),
    "VERIFY (10)": (b"\x2f" + bytes(7) + b"\1\0", b""),
    "PRE-FETCH (10)": (b"\x34" + bytes(7) + b"\1\0", b""),
    "GET LBA STATUS": (bytes((0x9E, 0x12)) + bytes(11) + b"\x20\0\0", b""),
    "MODE SENSE (6)": (mode_sense_6(), b""),
    "READ DEFECT DATA (10)": (b"\x37" + bytes(9), b""),
}
WRITES = {
    "WRITE (10)": (write_10(0, 1), bytes(512)),
    "UNMAP": (b"\x42" + bytes(7) + b"\x08\0", bytes.fromhex("0006 0000 00000000")),
    "WRITE SAME (10)": (b"\x41" + bytes(7) + b"\1\0", bytes(512)),
    "SYNCHRONIZE CACHE (10)": (b"\x35" + bytes(9), b""),
    "COMPARE AND WRITE": (b"\x89" + bytes(12) + b"\1\0\0", bytes(1024)),
    "MODE SELECT (6)": (mode_select_6(4), bytes(4)),
    "START STOP UNIT, stop": (bytes((0x1B, 0, 0, 0, 4, 0)), b""),
    "FORMAT UNIT": (b"\x04" + bytes(5), b""),
    "SANITIZE": (b"\x48\x02" + bytes(8), b""),
    "PREVENT": (bytes((0x1E, 0, 0, 0, 1, 0)), b""),
    "SET TARGET PORT GROUPS": (bytes((0xA4, 0x0A)) + bytes(10), b""),
}
ALWAYS = {
    "TEST UNIT READY": (bytes(6), b""),
    "REQUEST SENSE": (bytes((0x03, 0, 0, 0, 18, 0)), b""),
    "INQUIRY": (inquiry(), b""),
    "REPORT LUNS": (b"\xa0" + bytes(7) + b"\xff\0\0\0", b""),
    "READ CAPACITY (10)": (b"\x25" + bytes(9), b""),
    "READ CAPACITY (16)": (bytes((0x9E, 0x10)) + bytes(11) + b"\x20\0\0", b""),
    "REPORT SUPPORTED OPERATION CODES": (bytes((0xA3, 0x0C)) + bytes(7) + b"\xff\0\0", b""),
    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS": (bytes((0xA3, 0x0D)) + bytes(7) + b"\xff\0\0", b""),
    "REPORT TARGET PORT GROUPS": (bytes((0xA3, 0x0A)) + bytes(7) + b"\xff\0\0", b""),
    "PERSISTENT RESERVE IN": (reserve_in(0), b""),
    "START STOP UNIT, start": (bytes((0x1B, 0, 0, 0, 1, 0)), b""),
    "ALLOW": (bytes((0x1E, 0, 0, 0, 0, 0)), b""),
}
A, B, C = (Registrant(f"iqn.2026-01.com.example:host,i,0x{isid:012x}", 1) for isid in (1, 2, 3))


@pytest.mark.parametrize("reservation_type", ReservationType)
@pytest.mark.parametrize("role", ["holder", "registered", "unregistered"])
@pytest.mark.parametrize(("commands", "access"), [(READS, 0), (WRITES, 1), (ALWAYS, None)])
def test_access(
    reservation_type: ReservationType, role: str, commands: dict[str, tuple[bytes, bytes]], access: int | None
) -> None:
    """Every command that is let through beside a reservation is one that the table of SPC-5 lets through."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    nexus = {"holder": disk.a, "registered": disk.b, "unregistered": disk.c}[role]
    allowed = role == "holder" or access is None or ACCESS[reservation_type][role == "registered"][access]
    for name, (cdb, data) in commands.items():
        response = disk.bench.run(cdb, data, nexus=nexus)
        assert response.status is (Status.GOOD if allowed else Status.RESERVATION_CONFLICT), name
        disk.bench.unit.started = True


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_grants(reservation_type: ReservationType) -> None:
    """What the engine may do alone follows the same table, and a release gives it back."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    grants = [nexus.grants[0] for nexus in (disk.a, disk.b, disk.c)]
    disk.reserve(disk.a, KEY_A, reservation_type)
    unregistered, registered = ACCESS[reservation_type]
    assert [(grant.reads, grant.writes) for grant in grants] == [EVERYTHING, registered, unregistered]
    disk.out(disk.a, module.ReserveOutAction.RELEASE, reservation_type, key=KEY_A)
    disk.attentions()
    disk.bench.unit.refresh_grants()
    assert [(grant.reads, grant.writes) for grant in grants] == [EVERYTHING] * 3


def test_registration_without_reservation() -> None:
    """Registrations alone keep nobody out."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    for cdb, data in (READS | WRITES | ALWAYS).values():
        assert disk.bench.run(cdb, data, nexus=disk.b).status is Status.GOOD
        disk.bench.unit.started = True


def test_registrations_outlive_the_nexus() -> None:
    """The reservation waits for its holder: after a new login with the same ISID it is the holder again."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    disk.bench.router.nexus_lost(disk.a)
    assert disk.bench.run(read_10(0, 1), nexus=disk.b).status is Status.RESERVATION_CONFLICT
    again, other_port = disk.bench.connect(isid=1), disk.bench.connect(isid=9)
    assert disk.bench.run(read_10(0, 1), nexus=again).status is Status.GOOD
    assert disk.bench.run(read_10(0, 1), nexus=other_port).status is Status.RESERVATION_CONFLICT


def test_logical_unit_reset() -> None:
    """A reset ends an SPC-2 reservation and leaves registrations and persistent reservation alone."""
    state = Reservations()
    state.register(A, KEY_A)
    state.reserve(A, ReservationType.WRITE_EXCLUSIVE)
    state.reset()
    assert state.registrations == {A: KEY_A}
    assert state.is_holder(A)
    fresh, nexus = Reservations(), make_nexus(make_unit())
    fresh.spc2_reserve(nexus)
    other = make_nexus(make_unit(), isid=2)
    assert fresh.excludes_reads(other)
    fresh.reset()
    assert not fresh.excludes_reads(other)


def test_spc2_reservation_excludes_others() -> None:
    """RESERVE keeps all others from reading and writing, until its nexus is lost."""
    state, unit = Reservations(), make_unit()
    holder, other = make_nexus(unit), make_nexus(unit, isid=2)
    state.spc2_reserve(holder)
    assert (state.excludes_reads(holder), state.excludes_writes(holder)) == (False, False)
    assert (state.excludes_reads(other), state.excludes_writes(other)) == (True, True)
    state.nexus_lost(other)
    assert state.excludes_reads(other)
    state.nexus_lost(holder)
    assert not state.excludes_reads(other)


def test_same_initiator_another_port() -> None:
    """One initiator port at two target ports is two registrants."""
    state = Reservations()
    elsewhere = Registrant(A.initiator_port_name, 2)
    state.register(A, KEY_A)
    state.reserve(A, ReservationType.WRITE_EXCLUSIVE)
    assert state.is_holder(A)
    assert not state.is_holder(elsewhere)
    assert elsewhere not in state.registrations


def test_too_many_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations have a bound; who is registered can still change its key and leave."""
    monkeypatch.setattr(module, "MAX_REGISTRATIONS", 2)
    state = Reservations()
    state.register(A, 1)
    state.register(B, 2)
    with pytest.raises(CheckCondition) as caught:
        state.register(C, 3)
    assert caught.value.sense_data.sense is Sense.INSUFFICIENT_REGISTRATION_RESOURCES
    assert state.generation == 2
    state.register(A, 9)
    state.register(B, 0)
    state.register(C, 3)
    assert state.registrations == {A: 9, C: 3}


def test_generation_wraps() -> None:
    """PRGENERATION is a counter of 32 bits."""
    state = Reservations()
    state._generation = 0xFFFF_FFFF
    state.register(A, KEY_A)
    assert state.generation == 0


REGISTRANTS = st.sampled_from([A, B, C])
TYPES = st.sampled_from(list(ReservationType))
STEPS: st.SearchStrategy[Callable[[Reservations], object]] = st.one_of(
    st.builds(lambda who, key: lambda state: state.register(who, key), REGISTRANTS, st.integers(0, 3)),
    st.builds(lambda who, kind: lambda state: _if_registered(state, who, state.reserve, who, kind), REGISTRANTS, TYPES),
    st.builds(
        lambda who, kind: (
            lambda state: _if_registered(state, who, lambda: state.release(who, scope=0, reservation_type=kind))
        ),
        REGISTRANTS,
        TYPES,
    ),
    st.builds(lambda who: lambda state: _if_registered(state, who, state.clear, who), REGISTRANTS),
    st.builds(
        lambda who, key, kind: lambda state: _if_registered(state, who, _preempt, state, who, key, kind),
        REGISTRANTS,
        st.integers(0, 3),
        TYPES,
    ),
)


def _if_registered(state: Reservations, who: Registrant, step: Callable[..., object], *arguments: object) -> None:
    if who in state.registrations:
        step(*arguments)


def _preempt(state: Reservations, who: Registrant, key: int, kind: ReservationType) -> None:
    if state.takes_over(key):
        state.preempt(who, key, kind)
    else:
        state.remove_registrations(who, key)


@given(st.lists(STEPS, max_size=30))
def test_invariants(steps: list[Callable[[Reservations], object]]) -> None:
    """Whatever is done: the holder is registered, keys are not 0, and a reservation has at least one holder."""
    state = Reservations()
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


def test_every_command_is_judged() -> None:
    """Each row of the disk's command table has been given to the access tests, or is one of reservations themselves."""
    judged = {cdb[0] for cdb, _ in (READS | WRITES | ALWAYS).values()}
    kin = {0x08, 0xA8, 0x88, 0xAF, 0x8F, 0x90, 0x5A, 0xB7}
    writing_kin = {0x0A, 0xAA, 0x8A, 0x2E, 0xAE, 0x8E, 0x91, 0x8B, 0x93, 0x55}
    own = {0x16, 0x17, 0x56, 0x57, 0x5F}
    assert {row.opcode for row in DISK_COMMANDS} == judged | kin | writing_kin | own
