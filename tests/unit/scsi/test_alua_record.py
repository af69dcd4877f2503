import errno

import pytest

from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.alua import AluaAccessState, AluaPortGroup
from isthmus.scsi.alua_record import load_access_states
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.state_store import ACCESS_STATES, MemoryStateStore
from isthmus.scsi.task import GOOD, Response
from tests.support.scsi import Bench, make_unit, sense_of
from tests.support.timer import FakeTimer

STANDBY, NON_OPTIMIZED = AluaAccessState.STANDBY, AluaAccessState.ACTIVE_NON_OPTIMIZED


def make_bench(store: MemoryStateStore, timer: FakeTimer | None = None) -> Bench:
    """One run: a unit with group 0, which keeps its state, and group 5, which does not."""
    default = AluaPortGroup(alua_group_id=0, keep_state=True, transition_delay=1 if timer else 0)
    call_later = timer.call_later if timer else None
    bench = Bench(unit=make_unit(state=store, alua_group=default, call_later=call_later))
    bench.unit.alua.create(AluaPortGroup(alua_group_id=5))
    bench.unit.alua.add_port(2, 5)
    return bench


def set_states(bench: Bench, *pairs: tuple[AluaAccessState, int]) -> Response:
    """SET TARGET PORT GROUPS."""
    data = bytes(4) + b"".join(bytes((state, 0)) + group.to_bytes(2) for state, group in pairs)
    return bench.run(bytes((0xA4, 0x0A, 0, 0, 0, 0)) + len(data).to_bytes(4) + bytes(2), data)


def states(unit: LogicalUnit) -> list[AluaAccessState]:
    """Of each group."""
    return [group.state for group in unit.alua]


def test_a_kept_state_outlives_the_run() -> None:
    """A group that keeps its state is where initiators left it, the other one where it is configured."""
    store = MemoryStateStore()
    assert set_states(make_bench(store), (STANDBY, 0), (NON_OPTIMIZED, 5)) == GOOD
    assert states(make_bench(store).unit) == [STANDBY, AluaAccessState.ACTIVE_OPTIMIZED]


def test_nothing_is_saved_of_units_that_keep_nothing() -> None:
    """There is no record then."""
    store = MemoryStateStore()
    bench = Bench(unit=make_unit(state=store))
    assert set_states(bench, (STANDBY, 0)) == GOOD
    assert store.load(bench.unit.identity.serial, ACCESS_STATES) is None


class Unwritable(MemoryStateStore):
    """A directory without room."""

    def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
        raise BackstoreError(errno.ENOSPC, "no room")


def test_a_state_that_cannot_be_kept() -> None:
    """The command fails: after a restart the state would be another."""
    assert sense_of(set_states(make_bench(Unwritable()), (STANDBY, 0))) == (0x04, 0x67, 0x0A)


@pytest.mark.parametrize("record", [b"\0", b"\0\0\2\0", b"\0\0\7"])
def test_a_damaged_record(record: bytes) -> None:
    """It is refused, and not guessed at."""
    store = MemoryStateStore()
    serial = make_unit().identity.serial
    store.save(serial, ACCESS_STATES, record)
    with pytest.raises(ConfigurationError, match="access states"):
        load_access_states(store, serial)
    with pytest.raises(ConfigurationError, match="access states"):
        make_bench(store)
