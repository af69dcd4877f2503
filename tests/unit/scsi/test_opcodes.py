import dataclasses

import pytest

from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.opcodes import CommandDescriptor, ReservationClass, reads_medium, service_action_of, writes_medium

READ_10 = 0x28
SERVICE_ACTION_IN_16 = 0x9E
GET_LBA_STATUS = 0x12


def _row(opcode: int, service_action: int | None = None) -> CommandDescriptor:
    row = DISK_COMMANDS.lookup(opcode, service_action)
    assert row is not None
    return row


def test_opcode_and_length_are_those_of_the_usage_mask() -> None:
    """A row says them once, and a changed mask changes them."""
    row = _row(READ_10)
    assert (row.opcode, row.cdb_length) == (READ_10, 10)
    changed = dataclasses.replace(row, usage=b"\xa8" + bytes(11))
    assert (changed.opcode, changed.cdb_length) == (0xA8, 12)


@pytest.mark.parametrize(
    "usage",
    [
        bytes((SERVICE_ACTION_IN_16, 0x10)).ljust(16, b"\xff"),
        bytes((0x7F, 0, 0, 0, 0, 0, 0, 24, 0x12)).ljust(32, b"\0"),
    ],
    ids=["another service action", "the action in the wrong byte"],
)
def test_a_row_that_contradicts_itself_is_refused(usage: bytes) -> None:
    """A usage mask that does not hold the service action is a slip that must not reach an initiator."""
    row = _row(SERVICE_ACTION_IN_16, GET_LBA_STATUS)
    with pytest.raises(ValueError, match="GET LBA STATUS"):
        dataclasses.replace(row, usage=usage)


@pytest.mark.parametrize(
    ("cdb", "action"),
    [
        (bytes((SERVICE_ACTION_IN_16, 0xF2)).ljust(16, b"\xff"), 0x12),
        (bytes((0x7F, 0xFF, 0, 0, 0, 0, 0, 24, 0x12, 0x34)).ljust(32, b"\xff"), 0x1234),
    ],
    ids=["byte 1", "bytes 8 and 9"],
)
def test_where_the_service_action_is(cdb: bytes, action: int) -> None:
    """Five bits of byte 1, and two bytes in the CDBs of variable length (SPC-5 §4.2.2, §4.2.3)."""
    assert service_action_of(cdb) == action


def test_what_reads_and_what_writes() -> None:
    """Only the latter is refused by a write-protected unit and by every reservation of somebody else."""
    like = _row(READ_10)
    reader = reads_medium("R", like.usage, like.parse, like.handler, "SBC-4")
    assert (reader.reservation, reader.writes_medium) == (ReservationClass.READ, False)
    writer = writes_medium("W", like.usage, like.parse, like.handler, "SBC-4")
    assert (writer.reservation, writer.writes_medium) == (ReservationClass.WRITE, True)
