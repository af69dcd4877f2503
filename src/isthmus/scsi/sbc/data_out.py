"""What to make of data-out that is shorter or longer than the CDB asks for.

The transport collects at most what the CDB asks for and reports the residual (SAM-5 §5.4.3, RFC 7143 §11.4.5); what
becomes of the command is decided here, along the lines that FCP-4 §9.4.2 draws for the same case:

* WRITE, WRITE AND VERIFY and ORWRITE are processed as usual for the whole blocks that came. The blocks behind them
  keep their contents.
* A logical block is written whole or not at all. Data-out that ends inside a block, and any other length than the
  right one for a command that has to look at all of its data (VERIFY, COMPARE AND WRITE, WRITE SAME), ends the command
  with INVALID FIELD IN COMMAND INFORMATION UNIT before anything is touched.
"""

from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.task import Task

__all__ = ["exact_data_out", "whole_blocks"]


def whole_blocks(task: Task, block_length: int) -> int:
    """How many bytes of data-out came; raises `CheckCondition` unless they are whole blocks."""
    length = sum(map(len, task.data_out))
    if length % block_length:
        raise CheckCondition(Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT)
    return length


def exact_data_out(task: Task, length: int) -> memoryview:
    """All data-out as one buffer; raises `CheckCondition` unless `length` bytes came, and no more were offered."""
    data = task.data_out_bytes
    offered = len(data) if task.data_out_offered is None else task.data_out_offered
    if len(data) != length or offered != length:
        raise CheckCondition(Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT)
    return data
