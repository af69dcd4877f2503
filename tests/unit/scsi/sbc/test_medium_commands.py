"""The rows of the commands on a whole medium."""

import pytest

from isthmus.scsi.medium_work import MediumOperation
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sbc.medium_commands import ROWS

WRITING = [row for row in ROWS if not row.name.startswith("READ DEFECT")]


def by_name(row: CommandDescriptor) -> str:
    """How a test of one row is called."""
    return row.name


@pytest.mark.parametrize("row", WRITING, ids=by_name)
def test_what_changes_the_medium(row: CommandDescriptor) -> None:
    """FORMAT UNIT and SANITIZE are kept from protected units, and lead out of failures."""
    assert row.writes_medium
    assert row.needs_medium
    assert MediumOperation.FORMAT in row.recovers
    assert (MediumOperation.SANITIZE in row.recovers) == row.name.startswith("SANITIZE")
    assert not row.runs_while_sanitizing


def test_only_block_erase_needs_discard() -> None:
    """The others do without storage that takes room back."""
    assert [row.name for row in ROWS if row.needs_discard] == ["SANITIZE, BLOCK ERASE"]


def test_only_crypto_erase_needs_encryption() -> None:
    """There is a key to change only where there is one."""
    assert [row.name for row in ROWS if row.needs_encryption] == ["SANITIZE, CRYPTOGRAPHIC ERASE"]


def test_defect_data_only_reads() -> None:
    """READ DEFECT DATA changes nothing."""
    assert [row.opcode for row in ROWS if not row.writes_medium] == [0x37, 0xB7]
