"""What stands between a command and the medium, and what is told first."""

from dataclasses import replace

import pytest

from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.medium_work import MediumFailure, MediumOperation, MediumWork
from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.readiness import leaves_low_power, state_sense, unreadiness
from isthmus.scsi.sense import Sense
from tests.support.scsi import TEST_UNIT_READY, make_unit, read_10

FORMAT, SANITIZE = MediumOperation.FORMAT, MediumOperation.SANITIZE
STOPPED = Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED


def unit_in(*conditions: str) -> LogicalUnit:
    """A unit in some of the conditions that the tests below name."""
    unit = make_unit(removable=True)
    unit.started = "stopped" not in conditions
    unit.medium_present = "ejected" not in conditions
    for operation in MediumOperation:
        if operation.value in conditions:
            unit.medium_work = MediumWork(operation, 1 << 20)
        if f"failed {operation.value}" in conditions:
            unit.medium_failure = MediumFailure(operation)
    return unit


def told(unit: LogicalUnit, cdb: bytes) -> Sense | None:
    """Why the command cannot run."""
    sense_data = unreadiness(unit, unit.table.find(cdb))
    return None if sense_data is None else sense_data.sense


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), None),
        (("stopped",), STOPPED),
        (("failed format", "stopped"), Sense.MEDIUM_FORMAT_CORRUPTED),
        (("format", "failed format", "stopped"), Sense.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS),
        (("ejected", "format", "stopped"), Sense.MEDIUM_NOT_PRESENT),
        (("failed sanitize", "ejected", "stopped"), Sense.SANITIZE_COMMAND_FAILED),
        (("sanitize", "failed sanitize", "ejected"), Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS),
    ],
)
def test_order(conditions: tuple[str, ...], expected: Sense | None) -> None:
    """Of several obstacles the one that goes before the others is told, by commands and by REQUEST SENSE."""
    unit = unit_in(*conditions)
    assert told(unit, TEST_UNIT_READY) is expected
    assert told(unit, read_10(0, 1)) is expected
    assert state_sense(unit).sense is (expected or Sense.NO_ADDITIONAL_SENSE_INFORMATION)


@pytest.mark.parametrize("condition", ["stopped", "ejected", "format", "failed format"])
def test_commands_without_medium(condition: str) -> None:
    """A command that needs no medium runs without one, and while it is formatted."""
    unit = unit_in(condition)
    assert told(unit, bytes((0x1A, 0, 0x3F, 0, 255, 0))) is None
    assert told(unit, bytes((0x1E, 0, 0, 0, 0, 0))) is None


@pytest.mark.parametrize("condition", ["sanitize", "failed sanitize"])
def test_commands_beside_a_sanitize_operation(condition: str) -> None:
    """While a unit is sanitized, or after that has failed, only what is marked so runs."""
    unit = unit_in(condition)
    refused = {row.name for row in unit.table if unreadiness(unit, row) is not None}
    recovering = {row.name for row in unit.table if SANITIZE in row.recovers and condition == "failed sanitize"}
    allowed = {row.name for row in unit.table if row.runs_while_sanitizing}
    assert refused == {row.name for row in unit.table} - allowed - recovering


@pytest.mark.parametrize("operation", MediumOperation)
def test_ways_out(operation: MediumOperation) -> None:
    """A failed format is left by either operation, a failed sanitize operation by SANITIZE alone."""
    unit = unit_in(f"failed {operation.value}")
    assert told(unit, bytes((0x48, 0x01, 0, 0, 0, 0, 0, 0, 8, 0))) is None
    assert told(unit, bytes((0x04, 0, 0, 0, 0, 0))) is (None if operation is FORMAT else Sense.SANITIZE_COMMAND_FAILED)


@pytest.mark.parametrize("condition", PowerCondition)
def test_power_conditions(condition: PowerCondition) -> None:
    """A low power condition keeps no command away; REQUEST SENSE tells of it."""
    unit = make_unit()
    unit.power.command(condition)
    assert told(unit, read_10(0, 1)) is None
    assert state_sense(unit).sense is unit.power.sense
    assert unit.is_ready is (condition is PowerCondition.ACTIVE)


def test_what_leaves_low_power() -> None:
    """Access to the medium does; asking whether it is there, or how large it is, does not."""
    table = make_unit().table
    assert leaves_low_power(table.find(read_10(0, 1)))
    assert not leaves_low_power(table.find(TEST_UNIT_READY))
    assert not leaves_low_power(table.find(b"\x25" + bytes(9)))
    assert not leaves_low_power(replace(table.find(read_10(0, 1)), needs_medium=False))
