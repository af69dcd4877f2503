import pytest

from isthmus.scsi.cdb_check import check_cdb
from isthmus.scsi.command_table import CommandTable
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sense import CheckCondition
from isthmus.scsi.spc.commands import ROWS

NAMES = [row.name for row in ROWS]
CDB_LENGTHS = {0: 6, 1: 10, 2: 10, 5: 12, 4: 16}


def test_one_table() -> None:
    """The rows make a command table: each usage mask fits its row, and no command is there twice."""
    assert len(CommandTable(ROWS)) == len(ROWS) == len(set(NAMES))


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_row(row: CommandDescriptor) -> None:
    """A row has the CDB length of its group, the CONTROL byte at its end, and a section."""
    assert len(row.usage) == row.cdb_length == CDB_LENGTHS[row.opcode >> 5]
    assert row.usage[-1] == 0x04
    assert row.source
    assert not row.writes_medium
    if row.service_action is not None:
        assert row.usage[1] & 0x1F == row.service_action


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_bits_outside_the_mask(row: CommandDescriptor) -> None:
    """Each bit that the usage mask leaves out is refused by its place."""
    cdb = bytearray(row.cdb_length)
    cdb[0] = row.opcode
    cdb[1] = row.service_action or 0
    check_cdb(row, bytes(cdb))
    for byte in range(1, row.cdb_length - 1):
        for bit in range(8):
            if row.usage[byte] >> bit & 1 or (byte == 1 and row.service_action is not None and bit < 5):
                continue
            wrong = bytearray(cdb)
            wrong[byte] |= 1 << bit
            with pytest.raises(CheckCondition) as caught:
                check_cdb(row, bytes(wrong))
            pointer = caught.value.sense_data.specific
            assert pointer is not None
            assert pointer.to_bytes() == bytes((0xC8 | bit, 0, byte))


def test_only_test_unit_ready_needs_the_medium() -> None:
    """Every other primary command works while the unit is stopped."""
    assert [row.name for row in ROWS if row.needs_medium] == ["TEST UNIT READY"]


def test_what_passes_a_unit_attention() -> None:
    """Three commands run although a unit attention is pending (SAM-5 §5.14)."""
    assert {row.name for row in ROWS if row.passes_unit_attention} == {"INQUIRY", "REPORT LUNS", "REQUEST SENSE"}
