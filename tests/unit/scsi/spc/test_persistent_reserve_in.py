import struct

import pytest

from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.transport_id import transport_id
from tests.support.primary import data_of, in_cdb, refusal, reserve_in
from tests.support.reservations import KEY_A, KEY_B, KEY_C, SharedDisk
from tests.support.scsi import Bench

ALL_TG_PT = 0x04
"""In the parameter list of PERSISTENT RESERVE OUT."""
ALL_PORTS = 0x02
"""ALL_TG_PT in a full status descriptor."""
PORT = "iqn.2026-01.com.example:host,i,0x00000000000{}"


def full_status(disk: SharedDisk) -> list[tuple[int, int, int, int, bytes]]:
    """(key, flags, scope and type, relative target port, TransportID) of each registration."""
    data = data_of(disk.bench.run(reserve_in(3)))
    assert int.from_bytes(data[4:8]) == len(data) - 8
    rest, found = data[8:], []
    while rest:
        key, flags, scope_and_type, port, length = struct.unpack_from(">QxxxxBBxxxxHI", rest)
        found.append((key, flags, scope_and_type, port, rest[24 : 24 + length]))
        rest = rest[24 + length :]
    return found


def test_nothing_is_registered() -> None:
    """Of a new unit there is nothing to tell but generation 0."""
    bench = Bench()
    for action in (0, 1, 3):
        assert data_of(bench.run(reserve_in(action))) == bytes(8)


def test_read_keys() -> None:
    """READ KEYS lists the key of every registrant in the order of registration, equal ones as often as they are."""
    disk = SharedDisk()
    disk.register((disk.b, KEY_B), (disk.a, KEY_A), (disk.c, KEY_B))
    assert data_of(disk.bench.run(reserve_in(0))) == struct.pack(">IIQQQ", 3, 24, KEY_B, KEY_A, KEY_B)


@pytest.mark.parametrize("length", [0, 3, 8, 12, 16])
def test_allocation_length(length: int) -> None:
    """The list is cut; ADDITIONAL LENGTH is that of the whole."""
    disk = SharedDisk()
    disk.register_all()
    whole = data_of(disk.bench.run(reserve_in(0)))
    assert data_of(disk.bench.run(reserve_in(0, length))) == whole[:length]
    assert whole[4:8] == struct.pack(">I", 24)


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_read_reservation(reservation_type: ReservationType) -> None:
    """READ RESERVATION gives the key of the holder, or 0 where all registrants hold it, and the type."""
    disk = SharedDisk()
    disk.register_all()
    disk.reserve(disk.b, KEY_B, reservation_type)
    key = 0 if reservation_type.all_registrants else KEY_B
    expected = struct.pack(">IIQIBBH", 3, 16, key, 0, 0, reservation_type, 0)
    assert data_of(disk.bench.run(reserve_in(1))) == expected


def test_report_capabilities() -> None:
    """REPORT CAPABILITIES: all there is (RLR_C, CRH, SIP_C, ATP_C, PTPL_C), all six types, what is allowed beside them."""
    assert data_of(Bench().run(reserve_in(2))) == bytes.fromhex("0008 9d c0 ea01 0000")


def test_report_activation() -> None:
    """PTPL_A tells whether a loss of power would leave the state alone, as the last registration has asked for it."""
    disk = SharedDisk()
    for flags, activated in ((0x00, 0xC0), (0x01, 0xC1), (0x00, 0xC0)):
        disk.out(disk.a, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY, action_key=KEY_A, flags=flags)
        assert data_of(disk.bench.run(reserve_in(2)))[3] == activated


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_read_full_status(reservation_type: ReservationType) -> None:
    """READ FULL STATUS names every registrant, and marks who holds the reservation."""
    disk = SharedDisk()
    disk.register_all()
    disk.reserve(disk.b, KEY_B, reservation_type)
    holder, other = (1, int(reservation_type)), (0, 0)
    a, c = (holder, holder) if reservation_type.all_registrants else (other, other)
    assert full_status(disk) == [
        (KEY_A, *a, 1, transport_id(PORT.format(1))),
        (KEY_B, *holder, 1, transport_id(PORT.format(2))),
        (KEY_C, *c, 1, transport_id(PORT.format(3))),
    ]


def test_full_status_without_reservation() -> None:
    """Nobody holds what is not held."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    assert full_status(disk) == [(KEY_A, 0, 0, 1, transport_id(PORT.format(1)))]


def test_full_status_of_all_target_ports() -> None:
    """One descriptor for a port that was registered with ALL_TG_PT, and one for each nexus of a port that was not."""
    disk = SharedDisk()
    disk.bench.unit.alua.add_port(7)
    disk.out(disk.a, ReserveOutAction.REGISTER, action_key=KEY_A, flags=ALL_TG_PT)
    disk.register((disk.b, KEY_B))
    assert full_status(disk) == [
        (KEY_A, ALL_PORTS, 0, 0, transport_id(PORT.format(1))),
        (KEY_B, 0, 0, 1, transport_id(PORT.format(2))),
    ]
    disk.reserve(disk.a, KEY_A, ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS)
    assert full_status(disk)[0] == (KEY_A, ALL_PORTS | 1, 7, 0, transport_id(PORT.format(1)))


def test_full_status_of_ports_that_differ() -> None:
    """What holds for some of the target ports alone needs a descriptor for each: holder, key, or a port that is new."""
    disk = SharedDisk()
    disk.bench.unit.alua.add_port(7)
    disk.out(disk.a, ReserveOutAction.REGISTER, action_key=KEY_A, flags=ALL_TG_PT)
    disk.reserve(disk.a, KEY_A, ReservationType.WRITE_EXCLUSIVE)
    name = transport_id(PORT.format(1))
    assert full_status(disk) == [(KEY_A, 1, 1, 1, name), (KEY_A, 0, 0, 7, name)]
    disk.out(disk.a, ReserveOutAction.RELEASE, key=KEY_A, reservation_type=ReservationType.WRITE_EXCLUSIVE)
    assert full_status(disk) == [(KEY_A, ALL_PORTS, 0, 0, name)]
    disk.bench.unit.alua.add_port(8)
    assert full_status(disk) == [(KEY_A, 0, 0, 1, name), (KEY_A, 0, 0, 7, name)]
    disk.bench.unit.alua.remove_port(8)
    disk.out(disk.a, ReserveOutAction.REGISTER, key=KEY_A, action_key=KEY_B)
    assert full_status(disk) == [(KEY_B, 0, 0, 1, name), (KEY_A, 0, 0, 7, name)]


def test_all_target_ports_are_asked_for_anew() -> None:
    """Who leaves and comes back for one target port is registered there alone, also where there is no other."""
    disk = SharedDisk()
    disk.out(disk.a, ReserveOutAction.REGISTER, action_key=KEY_A, flags=ALL_TG_PT)
    disk.out(disk.a, ReserveOutAction.REGISTER, key=KEY_A)
    disk.register((disk.a, KEY_A))
    assert full_status(disk) == [(KEY_A, 0, 0, 1, transport_id(PORT.format(1)))]


@pytest.mark.parametrize("action", range(4, 0x20))
def test_unknown_service_action(action: int) -> None:
    """A service action that there is not is refused."""
    assert refusal(Bench().run(reserve_in(action))) == in_cdb(1, 4)


def test_beside_a_reservation() -> None:
    """PERSISTENT RESERVE IN is for everybody, but it waits for a unit attention."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    assert data_of(disk.bench.run(reserve_in(0), nexus=disk.c))
    disk.out(disk.a, ReserveOutAction.CLEAR, key=KEY_A)
    assert refusal(disk.bench.run(reserve_in(0), nexus=disk.b))[0] is Sense.RESERVATIONS_PREEMPTED
