import pytest

from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.spc import persistent_reservations
from isthmus.scsi.spc.persistent_reservations import PersistentReservations, Registrant, ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.transport_id import transport_id
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Response
from tests.support.primary import in_cdb, in_list, refusal, reserve_in, reserve_out_list
from tests.support.reservations import (
    KEY_A,
    KEY_B,
    KEY_C,
    SharedDisk,
    initiator_device_id,
    move_list,
    specified_ports_list,
)
from tests.support.scsi import read_10, write_10

CONFLICT = Status.RESERVATION_CONFLICT
REGISTER, REGISTER_AND_IGNORE = ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY
MOVE, REPLACE_LOST = ReserveOutAction.REGISTER_AND_MOVE, ReserveOutAction.REPLACE_LOST_RESERVATION
WE, EA = ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS
ALL_REGISTRANTS = [kind for kind in ReservationType if kind.all_registrants]
ONE_HOLDER = [kind for kind in ReservationType if not kind.all_registrants]
NOBODY = (None, None, None)
HOST = "iqn.2026-01.com.example:host"


def of(nexus: Nexus) -> bytes:
    """The TransportID of the initiator port."""
    return transport_id(nexus.initiator_port_name)


def registered(disk: SharedDisk) -> dict[tuple[str, int], int]:
    """Keys by initiator port and target port."""
    registrations = disk.bench.unit.reservations.persistent.registrations
    return {(one.initiator_port_name, one.relative_target_port_id): key for one, key in registrations.items()}


def at(nexus: Nexus, *ports: int, key: int = KEY_A) -> dict[tuple[str, int], int]:
    """What `registered` gives for that initiator port at these target ports."""
    return {(nexus.initiator_port_name, port): key for port in ports}


# SPEC_I_PT.


def test_register_for_others() -> None:
    """SPEC_I_PT registers the nexus that asks and those of the initiator ports that it names, as one change."""
    disk = SharedDisk()
    absent = transport_id("iqn.2026-01.com.example:absent,i,0x000000000009")
    response = disk.out_with_list(disk.a, REGISTER, specified_ports_list(0, KEY_A, of(disk.b), absent))
    assert response == GOOD
    assert registered(disk) == {
        **at(disk.a, 1),
        **at(disk.b, 1),
        ("iqn.2026-01.com.example:absent,i,0x000000000009", 1): KEY_A,
    }
    assert disk.generation() == 1
    assert disk.attentions() == NOBODY


def test_register_an_initiator_device() -> None:
    """A TransportID of format 00b stands for every port of that initiator that is there."""
    disk = SharedDisk()
    disk.out_with_list(disk.a, REGISTER, specified_ports_list(0, KEY_A, initiator_device_id(HOST)))
    assert registered(disk) == {**at(disk.a, 1), **at(disk.b, 1), **at(disk.c, 1)}


def test_an_unknown_initiator_device() -> None:
    """An initiator of which no port is known cannot be registered as a whole: it would only seem to be."""
    disk = SharedDisk()
    data = specified_ports_list(0, KEY_A, of(disk.b), initiator_device_id("iqn.2026-01.com.example:absent"))
    assert refusal(disk.out_with_list(disk.a, REGISTER, data)) == in_list(28 + len(of(disk.b)))
    assert registered(disk) == {}


def test_register_oneself_twice() -> None:
    """It does no harm to name the port that asks, nor to name a port twice."""
    disk = SharedDisk()
    data = specified_ports_list(0, KEY_A, of(disk.a), of(disk.b), of(disk.b))
    assert disk.out_with_list(disk.a, REGISTER, data) == GOOD
    assert registered(disk) == {**at(disk.a, 1), **at(disk.b, 1)}


@pytest.mark.parametrize("device", [False, True])
def test_others_that_are_registered(device: bool) -> None:
    """A named port that is registered already is an error, and then nobody gets registered (SPC-5 table 67)."""
    disk = SharedDisk()
    disk.register((disk.c, KEY_C))
    last = initiator_device_id(HOST) if device else of(disk.c)
    data = specified_ports_list(0, KEY_A, of(disk.b), last)
    assert refusal(disk.out_with_list(disk.a, REGISTER, data)) == in_list(28 + len(of(disk.b)))
    assert registered(disk) == at(disk.c, 1, key=KEY_C)
    assert disk.generation() == 1


@pytest.mark.parametrize("action_key", [0, KEY_B])
def test_registrants_cannot_specify_others(action_key: int) -> None:
    """Who is registered changes its own registration only; a wrong key goes first."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    data = specified_ports_list(KEY_A, action_key, of(disk.b))
    assert refusal(disk.out_with_list(disk.a, REGISTER, data)) == in_list(20, 3)
    wrong = specified_ports_list(KEY_C, action_key, of(disk.b))
    assert disk.out_with_list(disk.a, REGISTER, wrong).status is CONFLICT
    assert registered(disk) == at(disk.a, 1)


def test_nothing_for_nobody() -> None:
    """Key 0 from a nexus without registration does nothing, whomever it names; a wrong key conflicts."""
    disk = SharedDisk()
    assert disk.out_with_list(disk.a, REGISTER, specified_ports_list(0, 0, of(disk.b), flags=0x01)) == GOOD
    assert disk.out_with_list(disk.a, REGISTER, specified_ports_list(1, KEY_A, of(disk.b))).status is CONFLICT
    assert (registered(disk), disk.generation()) == ({}, 0)
    assert not disk.bench.unit.reservations.persistent.preserved


def test_no_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one registration does not fit, none is made."""
    monkeypatch.setattr(persistent_reservations, "MAX_REGISTRATIONS", 2)
    disk = SharedDisk()
    data = specified_ports_list(0, KEY_A, of(disk.b), of(disk.c))
    response = disk.out_with_list(disk.a, REGISTER, data)
    assert refusal(response) == (Sense.INSUFFICIENT_REGISTRATION_RESOURCES, None)
    assert registered(disk) == {}


# ALL_TG_PT.


@pytest.mark.parametrize("action", [REGISTER, REGISTER_AND_IGNORE])
def test_all_target_ports(action: ReserveOutAction) -> None:
    """ALL_TG_PT registers the initiator port at each target port that is known, and likewise removes it."""
    disk = SharedDisk()
    disk.bench.unit.alua.add_port(7)
    elsewhere = disk.connect_elsewhere(disk.a, port=2)
    assert disk.out(disk.a, action, action_key=KEY_A, flags=0x04) == GOOD
    assert registered(disk) == at(disk.a, 1, 2, 7)
    assert disk.generation() == 1
    assert disk.out(elsewhere, action, key=KEY_A, action_key=KEY_B) == GOOD
    assert registered(disk) == {**at(disk.a, 1, 7), **at(disk.a, 2, key=KEY_B)}
    assert disk.out(disk.a, action, key=KEY_A, flags=0x04) == GOOD
    assert registered(disk) == {}


def test_all_target_ports_of_others() -> None:
    """With SPEC_I_PT, every initiator port named is registered at every target port; one that is there is an error."""
    disk = SharedDisk()
    disk.bench.unit.alua.add_port(2)
    data = specified_ports_list(0, KEY_A, of(disk.b), flags=0x04)
    disk.out_with_list(disk.a, REGISTER, data)
    assert registered(disk) == {**at(disk.a, 1, 2), **at(disk.b, 1, 2)}
    disk.register((disk.b, 0))
    response = disk.out_with_list(disk.c, REGISTER, data)
    assert refusal(response) == in_list(28)


def test_holder_is_one_nexus() -> None:
    """A registration at all target ports makes no holder of the same initiator port elsewhere."""
    disk = SharedDisk()
    elsewhere = disk.connect_elsewhere(disk.a, port=2)
    disk.out(disk.a, REGISTER, action_key=KEY_A, flags=0x04)
    disk.reserve(disk.a, KEY_A, EA)
    assert disk.bench.run(read_10(0, 1), nexus=disk.a).status is Status.GOOD
    assert disk.bench.run(read_10(0, 1), nexus=elsewhere).status is CONFLICT


# REGISTER AND MOVE.


@pytest.mark.parametrize("reservation_type", ONE_HOLDER)
@pytest.mark.parametrize("unregister", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_move(reservation_type: ReservationType, unregister: bool, known: bool) -> None:
    """The holder gives its reservation, type and all, to a nexus that it registers with that; nobody is told."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.c, KEY_C))
    if known:
        disk.register((disk.b, KEY_C))
    disk.reserve(disk.a, KEY_A, reservation_type)
    before = disk.generation()
    data = move_list(KEY_A, KEY_B, of(disk.b), flags=0x02 if unregister else 0)
    assert disk.out_with_list(disk.a, MOVE, data, 15) == GOOD
    assert disk.reservation() == (KEY_B, reservation_type)
    assert sorted(disk.keys()) == ([] if unregister else [KEY_A]) + [KEY_B, KEY_C]
    assert disk.generation() == before + 1
    assert disk.attentions() == NOBODY
    assert disk.bench.run(write_10(0, 1), bytes(512), nexus=disk.b).status is Status.GOOD
    keeps = reservation_type.admits_registrants and not unregister
    assert disk.bench.run(write_10(0, 1), bytes(512)).status is (Status.GOOD if keeps else CONFLICT)


def test_move_to_another_target_port() -> None:
    """The destination is a nexus: an initiator port at a target port of this unit."""
    disk = SharedDisk()
    elsewhere = disk.connect_elsewhere(disk.b, port=2)
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, EA)
    assert disk.out_with_list(disk.a, MOVE, move_list(KEY_A, KEY_B, of(disk.b), port=2)) == GOOD
    assert disk.bench.run(read_10(0, 1), nexus=elsewhere).status is Status.GOOD
    assert disk.bench.run(read_10(0, 1), nexus=disk.b).status is CONFLICT


def test_move_to_somebody_absent() -> None:
    """The new holder may log in later, and hears then that the unit may have been powered on, and nothing else."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, EA)
    port_name = disk.b.initiator_port_name
    disk.bench.router.nexus_lost(disk.b)
    disk.out_with_list(disk.a, MOVE, move_list(KEY_A, KEY_B, transport_id(port_name)))
    late = disk.bench.connect(isid=2, quiet=False)
    power_on = Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
    assert refusal(disk.bench.run(bytes(6), nexus=late)) == (power_on, None)
    assert disk.bench.run(read_10(0, 1), nexus=late).status is Status.GOOD


def test_move_is_for_the_holder() -> None:
    """Who is not registered, has another key, or holds nothing has a conflict (SPC-5 table 70)."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, WE)
    for nexus, key, action_key in ((disk.c, 0, 1), (disk.a, KEY_B, 0), (disk.b, KEY_B, 0), (disk.b, KEY_A, 1)):
        assert disk.out_with_list(nexus, MOVE, move_list(key, action_key, of(disk.c))).status is CONFLICT
    assert disk.reservation() == (KEY_A, WE)
    assert disk.generation() == 2


@pytest.mark.parametrize("reservation_type", ALL_REGISTRANTS)
def test_all_registrants_cannot_move(reservation_type: ReservationType) -> None:
    """What everybody holds nobody can give away."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, reservation_type)
    assert disk.out_with_list(disk.a, MOVE, move_list(KEY_A, KEY_B, of(disk.b))).status is CONFLICT


def test_move_without_reservation() -> None:
    """Where nothing is reserved, the service action itself is wrong."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    response = disk.out_with_list(disk.a, MOVE, move_list(KEY_A, KEY_B, of(disk.b)))
    assert refusal(response) == in_cdb(1, 4)


@pytest.mark.parametrize(
    ("action_key", "isid", "port", "where"),
    [(0, 2, 1, (8,)), (KEY_B, 1, 1, (24,)), (KEY_B, 1, 2, (24,)), (KEY_B, 2, 3, (18,))],
)
def test_move_refused(action_key: int, isid: int, port: int, where: tuple[int, ...]) -> None:
    """A key is needed, and a destination that is another initiator port, at a target port that there is."""
    disk = SharedDisk()
    disk.bench.unit.alua.add_port(2)
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, EA)
    data = move_list(KEY_A, action_key, transport_id(f"{HOST},i,0x{isid:012x}"), port=port, flags=0x01)
    assert refusal(disk.out_with_list(disk.a, MOVE, data)) == in_list(*where)
    assert (disk.keys(), disk.reservation(), disk.generation()) == ([KEY_A], (KEY_A, EA), 1)
    assert not disk.bench.unit.reservations.persistent.preserved


def test_no_room_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination that cannot be registered does not get the reservation."""
    monkeypatch.setattr(persistent_reservations, "MAX_REGISTRATIONS", 1)
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, EA)
    response = disk.out_with_list(disk.a, MOVE, move_list(KEY_A, KEY_B, of(disk.b)))
    assert refusal(response) == (Sense.INSUFFICIENT_REGISTRATION_RESOURCES, None)
    assert disk.reservation() == (KEY_A, EA)


# APTPL.


def test_activation_is_for_all() -> None:
    """The last registration says whether everything outlives a loss of power; other service actions do not."""
    disk = SharedDisk()

    def preserved(response: Response) -> bool:
        assert response == GOOD
        disk.attentions()
        return disk.bench.unit.reservations.persistent.preserved

    assert preserved(disk.out(disk.a, REGISTER, action_key=KEY_A, flags=1))
    assert preserved(disk.out(disk.a, ReserveOutAction.RESERVE, WE, key=KEY_A))
    assert not preserved(disk.out(disk.b, REGISTER, action_key=KEY_B))
    assert not preserved(disk.out(disk.a, ReserveOutAction.PREEMPT, WE, key=KEY_A, action_key=KEY_B, flags=1))
    assert preserved(disk.out(disk.a, REGISTER_AND_IGNORE, action_key=KEY_A, flags=1))
    assert not preserved(disk.out_with_list(disk.a, MOVE, move_list(KEY_A, KEY_B, of(disk.b))))
    assert preserved(disk.out_with_list(disk.b, MOVE, move_list(KEY_B, KEY_A, of(disk.a), flags=1)))
    assert preserved(disk.out(disk.a, ReserveOutAction.CLEAR, key=KEY_A))


def test_registration_that_fails_activates_nothing() -> None:
    """A conflict, and a registration of nothing, leave APTPL as it was."""
    disk = SharedDisk()
    disk.out(disk.a, REGISTER, key=KEY_B, action_key=KEY_A, flags=1)
    disk.out(disk.a, REGISTER, flags=1)
    assert not disk.bench.unit.reservations.persistent.preserved


# REPLACE LOST RESERVATION.


def test_nothing_was_lost() -> None:
    """Where nothing was lost there is nothing to replace; who is not registered does not even hear that."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    disk.reserve(disk.a, KEY_A, WE)
    response = disk.out(disk.a, REPLACE_LOST, EA, action_key=KEY_B)
    assert refusal(response) == (Sense.INVALID_RELEASE_OF_PERSISTENT_RESERVATION, None)
    assert disk.out(disk.b, REPLACE_LOST, EA, action_key=KEY_B).status is CONFLICT
    assert disk.reservation() == (KEY_A, WE)


def lose(disk: SharedDisk) -> None:
    """Forget who had reserved the unit."""
    disk.bench.unit.reservations.adopt(PersistentReservations(lost=True))


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_replace_lost(reservation_type: ReservationType) -> None:
    """Whoever comes first begins anew, and is then the only registrant and a holder."""
    disk = SharedDisk()
    disk.register_all()
    lose(disk)
    for cdb in (read_10(0, 1), reserve_in(0), bytes(6)):
        assert refusal(disk.bench.run(cdb)) == (Sense.PERSISTENT_RESERVATION_INFORMATION_LOST, None)
    assert disk.out(disk.b, REPLACE_LOST, reservation_type, action_key=KEY_B) == GOOD
    assert registered(disk) == at(disk.b, 1, key=KEY_B)
    assert disk.bench.unit.reservations.persistent.is_holder(Registrant.of(disk.b))
    assert disk.generation() == 0
    assert disk.attentions() == NOBODY
    assert disk.bench.run(write_10(0, 1), bytes(512), nexus=disk.b).status is Status.GOOD
    assert disk.bench.run(write_10(0, 1), bytes(512), nexus=disk.a).status is CONFLICT


@pytest.mark.parametrize(
    ("key", "action_key", "flags", "scope", "kind", "expected"),
    [
        (1, KEY_A, 0, 0, WE, in_list(0)),
        (0, 0, 0, 0, WE, in_list(8)),
        (0, KEY_A, 4, 0, WE, in_list(20, 2)),
        (0, KEY_A, 8, 0, WE, in_list(20, 3)),
        (0, KEY_A, 0, 1, WE, in_cdb(2, 7)),
        (0, KEY_A, 0, 0, 2, in_cdb(2, 3)),
    ],
)
def test_replace_lost_refused(
    key: int, action_key: int, flags: int, scope: int, kind: int, expected: tuple[Sense, FieldPointer | None]
) -> None:
    """Each field that is wrong is named, and the state stays lost."""
    disk = SharedDisk()
    lose(disk)
    response = disk.out(disk.a, REPLACE_LOST, kind, key=key, action_key=action_key, flags=flags, scope=scope)
    assert refusal(response) == expected
    assert disk.bench.unit.reservations.persistent.lost


def test_only_replacing_helps() -> None:
    """No other service action gets a unit out of that condition, nor does a reset."""
    disk = SharedDisk()
    lose(disk)
    lost = (Sense.PERSISTENT_RESERVATION_INFORMATION_LOST, None)
    for action in ReserveOutAction:
        if action not in (REPLACE_LOST, MOVE):
            assert refusal(disk.out(disk.a, action, WE, action_key=KEY_A)) == lost
    assert refusal(disk.out_with_list(disk.a, MOVE, move_list(0, 1, of(disk.b)))) == lost
    disk.bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=disk.a, done=lambda: None)
    disk.attentions()
    assert refusal(disk.bench.run(read_10(0, 1))) == lost
    assert refusal(disk.bench.run(bytes((0x16, 0, 0, 0, 0, 0)))) == lost


def test_the_list_must_fit() -> None:
    """REGISTER AND MOVE with the basic list is cut off."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    assert refusal(disk.out_with_list(disk.a, MOVE, reserve_out_list(KEY_A, KEY_B))) == in_list(20)
