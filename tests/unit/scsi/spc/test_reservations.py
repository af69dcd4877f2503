import pytest

from isthmus.scsi.cdb import Command
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.persistent_reservations import PersistentReservations, Registrant, ReservationType
from isthmus.scsi.spc.reservations import Reservations, ReserveOutAction
from isthmus.scsi.status import Status
from tests.support.reservation_table import (
    ALLOWED,
    ALLOWED_BESIDE_SPC2,
    CONFLICT,
    CONFLICT_WITH_EXCLUSIVE_ACCESS,
    name_in_the_standard,
)
from tests.support.reservations import KEY_A, KEY_B, SharedDisk
from tests.support.scsi import make_nexus, make_unit, read_10, write_10

UNIT = make_unit()
HOLDER, REGISTERED, UNREGISTERED = (make_nexus(UNIT, isid=isid) for isid in (1, 2, 3))
ROLES = {"holder": HOLDER, "registered": REGISTERED, "unregistered": UNREGISTERED}
ROWS = list(DISK_COMMANDS)
OF_RESERVATIONS = {"PERSISTENT RESERVE OUT", "RESERVE", "RELEASE"}
PLAIN_ROWS = [row for row in ROWS if name_in_the_standard(row) not in OF_RESERVATIONS]
RESERVE_OUT_ROWS = [row for row in ROWS if name_in_the_standard(row) == "PERSISTENT RESERVE OUT"]
SPC2_ROWS = [row for row in ROWS if name_in_the_standard(row) in {"RESERVE", "RELEASE"}]
EXCLUSIVE_ACCESS = {
    ReservationType.EXCLUSIVE_ACCESS,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
}
FOR_THE_HOLDER_ALONE = {ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS}


def by_name(row: CommandDescriptor) -> str:
    """How a test of one row is called."""
    return row.name


def reserved(reservation_type: ReservationType) -> Reservations:
    """Two registrants, of whom the first has reserved."""
    state = PersistentReservations()
    state.register(Registrant.of(HOLDER), KEY_A)
    state.register(Registrant.of(REGISTERED), KEY_B)
    state.reserve(Registrant.of(HOLDER), reservation_type)
    return Reservations(state)


def has_full_access(role: str, reservation_type: ReservationType) -> bool:
    """Whom nothing keeps out: the holder, and registrants unless the reservation is for the holder alone."""
    return role == "holder" or (role == "registered" and reservation_type not in FOR_THE_HOLDER_ALONE)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_every_command_is_in_the_tables(row: CommandDescriptor) -> None:
    """Each row of the disk's command table is a command that the tables of the standards judge."""
    tables = (ALLOWED, CONFLICT_WITH_EXCLUSIVE_ACCESS, CONFLICT, OF_RESERVATIONS)
    assert sum(name_in_the_standard(row) in table for table in tables) == 1


@pytest.mark.parametrize("reservation_type", ReservationType)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", PLAIN_ROWS, ids=by_name)
def test_beside_a_persistent_reservation(row: CommandDescriptor, role: str, reservation_type: ReservationType) -> None:
    """Beside every type of reservation each command is let through, or not, as the standards' tables say."""
    name = name_in_the_standard(row)
    conflicts = name in CONFLICT or (name in CONFLICT_WITH_EXCLUSIVE_ACCESS and reservation_type in EXCLUSIVE_ACCESS)
    expected = conflicts and not has_full_access(role, reservation_type)
    assert reserved(reservation_type).conflicts(ROLES[role], row, Command()) is expected


@pytest.mark.parametrize("reservation_type", ReservationType)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", RESERVE_OUT_ROWS, ids=by_name)
def test_persistent_reserve_out(row: CommandDescriptor, role: str, reservation_type: ReservationType) -> None:
    """Who is not registered can only register (SPC-5 table 66); what registrants may do the action decides itself."""
    registers = row.service_action in (ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY)
    expected = role == "unregistered" and not registers
    assert reserved(reservation_type).conflicts(ROLES[role], row, Command()) is expected


@pytest.mark.parametrize("reservation_type", ReservationType)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", SPC2_ROWS, ids=by_name)
def test_compatible_reservation_handling(row: CommandDescriptor, role: str, reservation_type: ReservationType) -> None:
    """RESERVE and RELEASE are for who has full access already (CRH; SPC-5 §5.14.3)."""
    expected = not has_full_access(role, reservation_type)
    assert reserved(reservation_type).conflicts(ROLES[role], row, Command()) is expected


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", PLAIN_ROWS, ids=by_name)
def test_beside_registrations_alone(row: CommandDescriptor, role: str) -> None:
    """Registrations without a reservation keep nobody out."""
    state = PersistentReservations({Registrant.of(HOLDER): KEY_A, Registrant.of(REGISTERED): KEY_B})
    assert not Reservations(state).conflicts(ROLES[role], row, Command())


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_beside_an_spc2_reservation(row: CommandDescriptor) -> None:
    """RESERVE lets nobody else do more than look who is there; PERSISTENT RESERVE conflicts for the holder, too."""
    state = Reservations()
    state.spc2_reserve(HOLDER)
    name = name_in_the_standard(row)
    assert state.conflicts(HOLDER, row, Command()) is name.startswith("PERSISTENT RESERVE")
    assert state.conflicts(UNREGISTERED, row, Command()) is (name not in ALLOWED_BESIDE_SPC2)


START, STOP = bytes((0x1B, 0, 0, 0, 1, 0)), bytes((0x1B, 0, 0, 0, 0, 0))
STANDBY, START_IN_STANDBY = bytes((0x1B, 0, 0, 0, 0x30, 0)), bytes((0x1B, 0, 0, 0, 0x31, 0))
ALLOW, PREVENT = bytes((0x1E, 0, 0, 0, 0, 0)), bytes((0x1E, 0, 0, 0, 1, 0))


@pytest.mark.parametrize("by_reserve_6", [False, True])
@pytest.mark.parametrize(
    ("cdb", "allowed"),
    [(START, True), (STOP, False), (STANDBY, False), (START_IN_STANDBY, False), (ALLOW, True), (PREVENT, False)],
)
def test_fields_decide(cdb: bytes, allowed: bool, by_reserve_6: bool) -> None:
    """To start a unit and to allow removal is everybody's right, the opposite and power conditions are not."""
    disk = SharedDisk()
    if by_reserve_6:
        disk.bench.run(bytes((0x16, 0, 0, 0, 0, 0)))
    else:
        disk.register((disk.a, KEY_A))
        disk.reserve(disk.a, KEY_A, ReservationType.EXCLUSIVE_ACCESS)
    status = disk.bench.run(cdb, nexus=disk.b).status
    assert (status is not Status.RESERVATION_CONFLICT) is allowed


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_end_to_end(reservation_type: ReservationType) -> None:
    """A conflict ends the command with that status and without sense, and nothing is read or written."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    for role, nexus in (("holder", disk.a), ("registered", disk.b), ("unregistered", disk.c)):
        access = has_full_access(role, reservation_type)
        read = disk.bench.run(read_10(0, 1), nexus=nexus)
        write = disk.bench.run(write_10(0, 1), bytes([len(role)] * 512), nexus=nexus)
        may_read = access or reservation_type not in EXCLUSIVE_ACCESS
        assert read.status is (Status.GOOD if may_read else Status.RESERVATION_CONFLICT)
        assert write.status is (Status.GOOD if access else Status.RESERVATION_CONFLICT)
        content = disk.bench.run(read_10(0, 1)).data_in
        assert (bytes(content) == bytes([len(role)] * 512)) is access
        assert (bytes(read.data_in), read.sense, write.sense) == (bytes(read.data_in) if may_read else b"", b"", b"")


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_grants(reservation_type: ReservationType) -> None:
    """What the engine may do alone follows the same table, and a release gives it back."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    grants = [nexus.grants[0] for nexus in (disk.a, disk.b, disk.c)]
    disk.reserve(disk.a, KEY_A, reservation_type)
    accesses = [has_full_access(role, reservation_type) for role in ROLES]
    assert [grant.writes for grant in grants] == accesses
    assert [grant.reads for grant in grants] == [
        access or reservation_type not in EXCLUSIVE_ACCESS for access in accesses
    ]
    disk.out(disk.a, ReserveOutAction.RELEASE, reservation_type, key=KEY_A)
    disk.attentions()
    disk.bench.unit.refresh_grants()
    assert all(grant.reads and grant.writes for grant in grants)


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
    state = reserved(ReservationType.WRITE_EXCLUSIVE)
    state.reset()
    assert state.persistent.is_holder(Registrant.of(HOLDER))
    fresh = Reservations()
    fresh.spc2_reserve(HOLDER)
    assert fresh.excludes_reads(UNREGISTERED)
    fresh.reset()
    assert not fresh.excludes_reads(UNREGISTERED)


def test_spc2_reservation_excludes_others() -> None:
    """RESERVE keeps all others from reading and writing, until its nexus is lost."""
    state = Reservations()
    state.spc2_reserve(HOLDER)
    assert access(state, HOLDER) == (True, True)
    assert access(state, UNREGISTERED) == (False, False)
    state.nexus_lost(UNREGISTERED)
    assert access(state, UNREGISTERED) == (False, False)
    state.nexus_lost(HOLDER)
    assert access(state, UNREGISTERED) == (True, True)


@pytest.mark.parametrize("reservation_type", ReservationType)
def test_is_held_by(reservation_type: ReservationType) -> None:
    """A nexus holds the unit by RESERVE, by a persistent reservation of its own, or as one of all registrants."""
    state = reserved(reservation_type)
    holders = [nexus for nexus in ROLES.values() if state.is_held_by(nexus)]
    assert holders == ([HOLDER, REGISTERED] if reservation_type.all_registrants else [HOLDER])
    spc2 = Reservations()
    spc2.spc2_reserve(UNREGISTERED)
    assert [nexus for nexus in ROLES.values() if spc2.is_held_by(nexus)] == [UNREGISTERED]


def access(state: Reservations, nexus: Nexus) -> tuple[bool, bool]:
    """Whether it may read, and write."""
    return not state.excludes_reads(nexus), not state.excludes_writes(nexus)


# While it is lost who has reserved what.

ALLOWED_WHILE_LOST = {
    "INQUIRY",
    "LOG SENSE",
    "READ BUFFER",
    "REPORT LUNS",
    "REPORT TARGET PORT GROUPS",
    "REQUEST SENSE",
    "WRITE BUFFER",
    "PERSISTENT RESERVE OUT, REPLACE LOST RESERVATION",
}
"""SPC-5 §5.14.5.2; and START STOP UNIT that starts."""


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_while_lost(row: CommandDescriptor) -> None:
    """Nobody gets at a unit of which it is not known who has reserved it."""
    state = Reservations(PersistentReservations(lost=True))
    if {row.name, name_in_the_standard(row)} & ALLOWED_WHILE_LOST:
        assert not state.conflicts(UNREGISTERED, row, Command())
        return
    with pytest.raises(CheckCondition) as caught:
        state.conflicts(UNREGISTERED, row, Command())
    assert caught.value.sense_data.sense is Sense.PERSISTENT_RESERVATION_INFORMATION_LOST
    assert access(state, UNREGISTERED) == (False, False)
