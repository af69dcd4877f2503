import dataclasses

import pytest

from isthmus.scsi.command_table import DISK_COMMANDS, DRIVE_COMMANDS, CommandTable
from isthmus.scsi.opcodes import VARIABLE_LENGTH, CommandDescriptor
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense, SenseData

READ_10 = 0x28
SERVICE_ACTION_IN_16 = 0x9E


@pytest.mark.parametrize("row", [*DISK_COMMANDS, *DRIVE_COMMANDS], ids=lambda row: row.name)
def test_cdb_length_follows_from_the_group_code(row: CommandDescriptor) -> None:
    """The group code of the opcode says how long the CDB is (SPC-5 table 29)."""
    lengths = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}
    assert row.cdb_length == (32 if row.opcode == VARIABLE_LENGTH else lengths[row.opcode >> 5])


@pytest.mark.parametrize("row", list(DISK_COMMANDS), ids=lambda row: row.name)
def test_what_writes_conflicts_with_reservations(row: CommandDescriptor) -> None:
    """No command that changes the medium gets past somebody else's reservation."""
    if row.writes_medium:
        assert row.reservation.name == "WRITE"


def test_every_row_is_found_again() -> None:
    """The usage mask of a row, taken as a CDB, leads to the row; so do its numbers."""
    for row in DISK_COMMANDS:
        assert DISK_COMMANDS.find(row.usage) is row
        assert DISK_COMMANDS.lookup(row.opcode, row.service_action) is row
        assert DISK_COMMANDS.has_service_actions(row.opcode) == (row.service_action is not None)
    assert len(DISK_COMMANDS) == len(list(DISK_COMMANDS))


def test_rows_are_in_order() -> None:
    """By opcode, then by service action, as REPORT SUPPORTED OPERATION CODES lists them."""
    numbers = [(row.opcode, row.service_action or 0) for row in DISK_COMMANDS]
    assert numbers == sorted(numbers)


def test_unknown_opcode() -> None:
    """An opcode that is in no row is INVALID COMMAND OPERATION CODE, and the field is byte 0."""
    with pytest.raises(CheckCondition) as raised:
        DISK_COMMANDS.find(bytes([0xFF]) + bytes(15))
    expected = SenseData(sense=Sense.INVALID_COMMAND_OPERATION_CODE, specific=FieldPointer(0))
    assert raised.value.sense_data == expected
    assert DISK_COMMANDS.lookup(0xFF) is None
    assert DISK_COMMANDS.lookup(0xFF, 1) is None


def test_unknown_service_action() -> None:
    """A service action that is in no row is INVALID FIELD IN CDB, and the field begins at bit 4 of byte 1."""
    with pytest.raises(CheckCondition) as raised:
        DISK_COMMANDS.find(bytes([SERVICE_ACTION_IN_16, 0x1F]) + bytes(14))
    expected = SenseData(sense=Sense.INVALID_FIELD_IN_CDB, specific=FieldPointer(1, 4))
    assert raised.value.sense_data == expected


def test_reserved_bits_beside_the_service_action_do_not_matter_to_the_look_up() -> None:
    """The look-up compares the service action alone; the rest of byte 1 is for the usage mask to judge."""
    assert DISK_COMMANDS.find(bytes([SERVICE_ACTION_IN_16, 0xF0])).service_action == 0x10


def _variable_length_row() -> CommandDescriptor:
    usage = bytes([0x7F, 0x04, 0, 0, 0, 0, 0, 0x18, 0x00, 0x0B]) + bytes([0xFF] * 22)
    return dataclasses.replace(_row(READ_10), name="WRITE (32)", service_action=0x000B, usage=usage)


def test_variable_length_commands() -> None:
    """The service action of a 7Fh CDB stands in bytes 8 and 9."""
    row = _variable_length_row()
    table = CommandTable([row])
    assert table.find(row.usage) is row
    with pytest.raises(CheckCondition) as raised:
        table.find(bytes([0x7F]) + bytes(31))
    expected = SenseData(sense=Sense.INVALID_FIELD_IN_CDB, specific=FieldPointer(8, 7))
    assert raised.value.sense_data == expected


def test_a_unit_that_does_not_encrypt() -> None:
    """It lacks that one service action."""
    names = {row.name for row in DISK_COMMANDS.without_encryption()}
    assert {row.name for row in DISK_COMMANDS} - names == {"SANITIZE, CRYPTOGRAPHIC ERASE"}


def test_a_unit_that_cannot_write_atomically() -> None:
    """It lacks those commands and no others."""
    names = {row.name for row in DISK_COMMANDS.without_atomic_writes()}
    assert {row.name for row in DISK_COMMANDS} - names == {"WRITE ATOMIC (16)", "WRITE ATOMIC (32)"}


def test_a_command_is_in_the_table_once() -> None:
    """Two rows for one command, or an opcode both with and without service actions, are refused."""
    with_action = _row(SERVICE_ACTION_IN_16, 0x10)
    plain = dataclasses.replace(with_action, service_action=None)
    for rows in ([_row(READ_10)] * 2, [with_action] * 2, [with_action, plain], [plain, with_action]):
        with pytest.raises(ValueError, match="twice"):
            CommandTable(rows)


def _row(opcode: int, service_action: int | None = None) -> CommandDescriptor:
    row = DISK_COMMANDS.lookup(opcode, service_action)
    assert row is not None
    return row


def test_without_discard() -> None:
    """A unit whose storage takes no room back neither has nor lists what needs that."""
    table = DISK_COMMANDS.without_discard()
    gone = {row.name for row in DISK_COMMANDS} - {row.name for row in table}
    assert gone == {"UNMAP", "SANITIZE, BLOCK ERASE"}
    assert table.lookup(0x42) is None
    assert table.lookup(0x48, 0x01) is not None
