"""Parameter data as it travels: cut to the allocation length on its way in, all there on its way out (SPC-5 §4.2.5)."""

from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import Response, Task

__all__ = ["allocated", "invalid_in_cdb", "invalid_in_list", "parameter_list"]


def allocated(data: bytes, allocation_length: int) -> Response:
    """GOOD with as much of `data` as `allocation_length` leaves room for; its length fields stay (SPC-5 §4.2.5.6)."""
    return Response(data_in=data[:allocation_length])


def parameter_list(task: Task) -> bytes:
    """The whole parameter list; raises `CheckCondition` if the initiator sent less of it than the CDB says."""
    data = bytes(task.data_out_bytes)
    if len(data) < task.data_out_wanted:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    return data


def invalid_in_cdb(byte: int, bit: int | None = None) -> CheckCondition:
    """What to raise for a field of the CDB; `bit` is the most significant of the field, if that is not a whole byte."""
    return CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(byte, bit))


def invalid_in_list(byte: int, bit: int | None = None) -> CheckCondition:
    """What to raise for a field of the parameter list."""
    return CheckCondition(Sense.INVALID_FIELD_IN_PARAMETER_LIST, field=FieldPointer(byte, bit, in_cdb=False))
