import pytest

from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from isthmus.scsi.task_manager import SamFunction
from tests.support.primary import in_cdb, inquiry, mode_sense_6, refusal, reserve_in
from tests.support.reservations import KEY_A, KEY_B, SharedDisk
from tests.support.scsi import Bench, read_10, write_10

RESERVE_6, RELEASE_6 = bytes((0x16,)) + bytes(5), bytes((0x17,)) + bytes(5)
RESERVE_10, RELEASE_10 = bytes((0x56,)) + bytes(9), bytes((0x57,)) + bytes(9)
CONFLICT = Status.RESERVATION_CONFLICT
PAIRS = [(RESERVE_6, RELEASE_6), (RESERVE_10, RELEASE_10), (RESERVE_6, RELEASE_10)]


@pytest.mark.parametrize(("reserve", "release"), PAIRS)
def test_reserve_and_release(reserve: bytes, release: bytes) -> None:
    """RESERVE keeps the others out until the same nexus releases; only the others' INQUIRY and kin still run."""
    disk = SharedDisk()
    run = disk.bench.run
    assert run(reserve) == GOOD
    assert run(reserve) == GOOD
    for cdb in (reserve, read_10(0, 1), write_10(0, 1), mode_sense_6(), bytes(6), reserve_in(0)):
        assert run(cdb, bytes(512), nexus=disk.b).status is CONFLICT
    assert run(inquiry(), nexus=disk.b).status is Status.GOOD
    assert run(release, nexus=disk.b) == GOOD
    assert run(read_10(0, 1), nexus=disk.b).status is CONFLICT
    assert run(read_10(0, 1)).status is Status.GOOD
    assert run(mode_sense_6()).status is Status.GOOD
    assert run(release) == GOOD
    assert run(reserve, nexus=disk.b) == GOOD
    assert run(read_10(0, 1)).status is CONFLICT


def test_grants() -> None:
    """The engine leaves alone what is reserved for somebody else, and may go on after the release."""
    disk = SharedDisk()
    mine, theirs = disk.a.grants[0], disk.b.grants[0]
    disk.bench.run(RESERVE_6)
    assert (mine.reads, mine.writes, theirs.reads, theirs.writes) == (True, True, False, False)
    disk.bench.run(RELEASE_6)
    assert (theirs.reads, theirs.writes) == (True, True)


def test_nexus_loss() -> None:
    """The reservation goes with the session that has it."""
    disk = SharedDisk()
    disk.bench.run(RESERVE_6)
    disk.bench.router.nexus_lost(disk.a)
    assert disk.bench.run(RESERVE_6, nexus=disk.b) == GOOD


@pytest.mark.parametrize(
    "function", [SamFunction.LOGICAL_UNIT_RESET, SamFunction.TARGET_WARM_RESET, SamFunction.TARGET_COLD_RESET]
)
def test_reset(function: SamFunction) -> None:
    """A reset ends the reservation, whoever asks for it."""
    disk = SharedDisk()
    disk.bench.run(RESERVE_6)
    disk.bench.router.manage(disk.c, function, 0, None, lambda result: None)
    disk.attentions()
    assert disk.bench.run(RESERVE_6, nexus=disk.b) == GOOD


def test_no_mixing_with_persistent_reservations() -> None:
    """While the unit is reserved, PERSISTENT RESERVE IN and OUT conflict even for the holder (SPC-2 §5.5.1)."""
    disk = SharedDisk()
    disk.bench.run(RESERVE_6)
    for nexus in (disk.a, disk.b):
        assert disk.bench.run(reserve_in(0), nexus=nexus).status is CONFLICT
        assert disk.out(nexus, ReserveOutAction.REGISTER, action_key=KEY_A).status is CONFLICT
    disk.bench.run(RELEASE_6)
    assert disk.keys() == []


@pytest.mark.parametrize("cdb", [RESERVE_6, RESERVE_10, RELEASE_6, RELEASE_10])
def test_with_registrations_alone(cdb: bytes) -> None:
    """Once anybody is registered, RESERVE and RELEASE conflict for everybody while nothing is reserved."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A))
    for nexus in (disk.a, disk.b):
        assert disk.bench.run(cdb, nexus=nexus).status is CONFLICT


@pytest.mark.parametrize("reservation_type", ReservationType)
@pytest.mark.parametrize("cdb", [RESERVE_6, RESERVE_10, RELEASE_6, RELEASE_10])
def test_compatible_handling(cdb: bytes, reservation_type: ReservationType) -> None:
    """Who has full access by a persistent reservation may send RESERVE and RELEASE, which do nothing (CRH)."""
    disk = SharedDisk()
    disk.register((disk.a, KEY_A), (disk.b, KEY_B))
    disk.reserve(disk.a, KEY_A, reservation_type)
    before = disk.reservation()
    registered = Status.GOOD if reservation_type.admits_registrants else CONFLICT
    assert disk.bench.run(cdb, nexus=disk.a).status is Status.GOOD
    assert disk.bench.run(cdb, nexus=disk.b).status is registered
    assert disk.bench.run(cdb, nexus=disk.c).status is CONFLICT
    assert disk.reservation() == before
    disk.register((disk.b, 0), (disk.a, 0))
    disk.attentions()
    assert disk.bench.run(write_10(0, 1), bytes(512), nexus=disk.c).status is Status.GOOD


@pytest.mark.parametrize(
    ("cdb", "byte", "bit"),
    [("161000000000", 1, 4), ("160100000000", 1, 0), ("170002000000", 2, 1), ("56020000000000000000", 1, 1)],
)
def test_extents_and_third_parties(cdb: str, byte: int, bit: int) -> None:
    """Only the whole unit can be reserved, and only for the nexus itself."""
    assert refusal(Bench().run(bytes.fromhex(cdb))) == in_cdb(byte, bit)
