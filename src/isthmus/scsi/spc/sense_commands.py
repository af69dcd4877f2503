"""TEST UNIT READY and REQUEST SENSE (SPC-5 §6.38, §6.47)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.scsi.accessibility import access_state_sense, is_connected
from isthmus.scsi.cdb import Command
from isthmus.scsi.readiness import state_sense
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.spc.parameter_data import allocated
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "RequestSense",
    "TestUnitReady",
    "parse_request_sense",
    "parse_test_unit_ready",
    "request_sense",
    "unit_ready",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestUnitReady(Command):
    """TEST UNIT READY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSense(Command):
    """REQUEST SENSE."""

    descriptor_format: bool
    allocation_length: int


def parse_test_unit_ready(_cdb: bytes, _unit: "LogicalUnit") -> TestUnitReady:
    """There is nothing to parse."""
    return TestUnitReady()


def unit_ready(_unit: "LogicalUnit", _task: Task) -> Response:
    """GOOD: a unit that is not ready does not get here (`CommandDescriptor.needs_medium`)."""
    return GOOD


def parse_request_sense(cdb: bytes, _unit: "LogicalUnit") -> RequestSense:
    """Take a REQUEST SENSE CDB apart."""
    return RequestSense(descriptor_format=bool(cdb[1] & 0x01), allocation_length=cdb[4])


def request_sense(unit: "LogicalUnit", task: Task) -> Response:
    """What there is to tell, as parameter data with GOOD status: first what that clears, then the state of the unit.

    Sense of earlier commands went out with their status, so nothing of it is left to ask for (SAM-5 §5.13).
    """
    command = task.command
    assert isinstance(command, RequestSense)
    data = _sense_data(unit, task.nexus).to_bytes(descriptor=command.descriptor_format)
    return allocated(data, command.allocation_length)


def _sense_data(unit: "LogicalUnit", nexus: "Nexus") -> SenseData:
    if not is_connected(unit, nexus):
        return SenseData(sense=Sense.LOGICAL_UNIT_NOT_SUPPORTED)
    attention = unit.tell_attention(nexus)
    if attention is not None:
        return unit.unit_attentions.sense_data(attention)
    return unit.deferred_errors.take(nexus) or access_state_sense(unit, nexus) or state_sense(unit)
