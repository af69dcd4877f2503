import pytest

from isthmus.scsi.cdb_check import check_cdb
from isthmus.scsi.command_table import DISK_COMMANDS, DRIVE_COMMANDS, CommandTable
from isthmus.scsi.mmc.commands import ROWS
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import pattern, ten, twelve
from tests.support.drive import SECTOR, bench
from tests.support.primary import data_of, in_cdb, refusal
from tests.support.scsi import TEST_UNIT_READY

NAMES = [row.name for row in ROWS]
CDB_LENGTHS = {0: 6, 1: 10, 2: 10, 5: 12}
READ_TOC = 0x43
WRITE_AND_ERASE = (0x0A, 0x2A, 0xAA, 0x8A, 0x2E, 0x41, 0x42, 0x04, 0x48, 0x35, 0xA1, 0x53, 0x5B)


def test_one_table() -> None:
    """The rows make a command table, in which nothing writes."""
    assert len(CommandTable(ROWS)) == len(ROWS) == len(set(NAMES))
    assert not any(row.writes_medium for row in DRIVE_COMMANDS)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_row(row: CommandDescriptor) -> None:
    """A row has the CDB length of its group, the CONTROL byte at its end, and a section."""
    assert len(row.usage) == row.cdb_length == CDB_LENGTHS[row.opcode >> 5]
    assert row.usage[-1] == (0xC4 if row.opcode == READ_TOC else 0x04)
    assert row.source


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_bits_outside_the_mask(row: CommandDescriptor) -> None:
    """Each bit that the usage mask leaves out is refused by its place."""
    cdb = bytearray(row.cdb_length)
    cdb[0] = row.opcode
    check_cdb(row, bytes(cdb))
    for byte in range(1, row.cdb_length - 1):
        for bit in range(8):
            if row.usage[byte] >> bit & 1:
                continue
            wrong = bytearray(cdb)
            wrong[byte] |= 1 << bit
            with pytest.raises(CheckCondition) as caught:
                check_cdb(row, bytes(wrong))
            assert caught.value.sense_data.specific == FieldPointer(byte, bit)


def test_what_answers_beside_everything() -> None:
    """About the drive itself is answered without a disc and beside a unit attention (MMC-6 §4.1)."""
    passing = {row.name for row in ROWS if row.passes_unit_attention}
    assert passing == {"GET CONFIGURATION", "GET EVENT STATUS NOTIFICATION"}
    without_disc = {row.name for row in ROWS if not row.needs_medium}
    assert without_disc == passing | {"MECHANISM STATUS", "SET CD SPEED"}


@pytest.mark.parametrize("opcode", WRITE_AND_ERASE)
def test_what_writes(opcode: int) -> None:
    """To write, to erase and to synchronize are no commands of a drive that reads."""
    assert refusal(bench().run(bytes((opcode,)))) == (Sense.INVALID_COMMAND_OPERATION_CODE, FieldPointer(0))


def test_list_of_commands() -> None:
    """REPORT SUPPORTED OPERATION CODES tells of the drive's table, not of a disk's."""
    data = data_of(bench().run(bytes((0xA3, 0x0C, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0))))
    opcodes = {data[start] for start in range(4, len(data), 8)}
    assert opcodes == {row.opcode for row in DRIVE_COMMANDS}
    assert {row.opcode for row in ROWS} <= opcodes
    assert not {0x2A, 0x88} & opcodes
    assert READ_TOC not in {row.opcode for row in DISK_COMMANDS}


@pytest.mark.parametrize("cdb", [ten(0x28, 3, 5), twelve(0xA8, 3, 5)])
def test_read(cdb: bytes) -> None:
    """Blocks have 2048 bytes."""
    assert data_of(bench().run(cdb)) == pattern(64 * SECTOR)[3 * SECTOR : 8 * SECTOR]


@pytest.mark.parametrize("cdb", [ten(0x28, 63, 2), twelve(0xA8, 64, 1), ten(0x2F, 64, 1)])
def test_behind_the_end(cdb: bytes) -> None:
    """What is not on the disc is out of range."""
    assert refusal(bench().run(cdb)) == (Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, FieldPointer(2))


@pytest.mark.parametrize(
    "cdb", [TEST_UNIT_READY, ten(0x28, 0, 1), twelve(0xA8, 9, 1), ten(0x25, 0, 0), ten(0x2F, 0, 1)]
)
def test_empty_tray(cdb: bytes) -> None:
    """Without a disc the drive is not ready for them."""
    assert refusal(bench(0).run(cdb)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


def test_capacity() -> None:
    """The last block, and the length of each."""
    assert data_of(bench().run(ten(0x25, 0, 0))) == (63).to_bytes(4) + SECTOR.to_bytes(4)


def test_verify() -> None:
    """The blocks are read; there is nothing to compare them with."""
    assert bench().run(ten(0x2F, 0, 64)) == GOOD
    assert refusal(bench().run(ten(0x2F, 0, 1, 0x02))) == in_cdb(1, 1)
