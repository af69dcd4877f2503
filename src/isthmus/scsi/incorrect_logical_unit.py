"""What is answered at a LUN behind which a nexus has no logical unit (SAM-5 §5.11, SPC-5 §6.7.1)."""

from collections.abc import Callable
from typing import Final

from isthmus.scsi.sense import CheckCondition, Sense, SenseData
from isthmus.scsi.spc.inquiry import inquiry_without_unit
from isthmus.scsi.spc.parameter_data import allocated
from isthmus.scsi.spc.report_luns import parse_report_luns, report_luns_of
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task

__all__ = ["respond_without_unit"]


def respond_without_unit(task: Task) -> Response:
    """The response to any command at an incorrect logical unit. Its sense is in fixed format: D_SENSE has no home."""
    answer = _ANSWERS.get(task.cdb[0])
    try:
        if answer is None:
            raise CheckCondition(Sense.LOGICAL_UNIT_NOT_SUPPORTED)
        return answer(task)
    except CheckCondition as error:
        return Response(status=Status.CHECK_CONDITION, sense=error.sense_data.to_bytes())


def _inquiry(task: Task) -> Response:
    return inquiry_without_unit(task.cdb)


def _report_luns(task: Task) -> Response:
    # The list belongs to the nexus and not to a unit, so any LUN will do to ask for it (SPC-5 §6.32).
    return report_luns_of(task.nexus, parse_report_luns(task.cdb))


def _request_sense(task: Task) -> Response:
    sense = SenseData(sense=Sense.LOGICAL_UNIT_NOT_SUPPORTED).to_bytes(descriptor=bool(task.cdb[1] & 0x01))
    return allocated(sense, task.cdb[4])


_ANSWERS: Final[dict[int, Callable[[Task], Response]]] = {
    0x03: _request_sense,
    0x12: _inquiry,
    0xA0: _report_luns,
}
