import pytest

from isthmus.scsi.command_table import CommandTable
from isthmus.scsi.opcodes import CommandDescriptor, ReservationClass
from isthmus.scsi.sbc.commands import ROWS
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from tests.support.disk import Disk

VARIABLE_LENGTH = 0x7F
READERS = {
    *(f"{command} ({length})" for command in ("READ", "VERIFY") for length in (10, 12, 16, 32)),
    *(
        f"{command} ({length})"
        for command in ("READ CAPACITY", "SYNCHRONIZE CACHE", "PRE-FETCH")
        for length in (10, 16)
    ),
    *("READ (6)", "GET LBA STATUS (16)"),
}
WRITERS = {
    *(f"{command} ({length})" for command in ("WRITE", "WRITE AND VERIFY") for length in (10, 12, 16, 32)),
    *("WRITE SAME (10)", "WRITE SAME (16)", "WRITE SAME (32)", "WRITE ATOMIC (16)", "WRITE ATOMIC (32)"),
    *("WRITE (6)", "UNMAP", "COMPARE AND WRITE", "ORWRITE (16)"),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_usage_mask(row: CommandDescriptor) -> None:
    """The mask has the length of the CDB, begins with the opcode, and holds the service action in its place."""
    assert len(row.usage) == row.cdb_length
    assert row.usage[0] == row.opcode
    where = slice(8, 10) if row.opcode == VARIABLE_LENGTH else slice(1, 2)
    assert row.service_action is None or int.from_bytes(row.usage[where]) == row.service_action
    assert row.source.startswith("SBC-")


def test_every_command_once() -> None:
    """The rows make a table: none is there twice, none is missing."""
    assert len(CommandTable(ROWS)) == len(ROWS)
    assert {row.name for row in ROWS} == WRITERS | READERS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_effects(row: CommandDescriptor) -> None:
    """Exactly the commands that change the medium are kept from a protected one; all need the medium."""
    assert row.writes_medium is (row.name in WRITERS)
    assert row.needs_medium
    assert not row.passes_unit_attention


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_reservations(row: CommandDescriptor) -> None:
    """Writing and synchronizing conflict with every reservation, reading with exclusive access, capacity with none."""
    if row.writes_medium or row.name.startswith("SYNCHRONIZE"):
        expected = ReservationClass.WRITE
    elif row.name.startswith("READ CAPACITY"):
        expected = ReservationClass.ALWAYS
    else:
        expected = ReservationClass.READ
    assert row.reservation is expected


@pytest.mark.parametrize(
    "cdb",
    [
        "28 00 00000000 3f 0001 00",
        "a8 00 00000000 00000001 3f 00",
        "88 00 0000000000000000 00000001 3f 00",
        "2f 00 00000000 3f 0001 00",
        "34 00 00000000 3f 0001 00",
        "91 00 0000000000000000 00000001 3f 00",
        "93 01 0000000000000000 00000001 3f 00",
        "42 00 00000000 3f 0000 00",
    ],
)
def test_group_number(cdb: str) -> None:
    """A GROUP NUMBER is accepted, though nothing is collected."""
    assert Disk().run(bytes.fromhex(cdb)).status is Status.GOOD


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_hostile_cdbs(row: CommandDescriptor) -> None:
    """A CDB of ones is refused with sense, not with a failure of ours."""
    cdb = bytearray(b"\xff" * row.cdb_length)
    cdb[0] = row.opcode
    if row.opcode == VARIABLE_LENGTH:
        cdb[7:10] = row.usage[7:10]
    elif row.service_action is not None:
        cdb[1] = row.service_action
    assert Disk().refusal(bytes(cdb)).sense in {Sense.INVALID_FIELD_IN_CDB, Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE}
