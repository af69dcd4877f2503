import pytest

from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sbc.commands import ROWS
from isthmus.scsi.sbc.variable_length import VARIABLE_LENGTH_ROWS
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.status import Status
from tests.support.disk import BLOCK, Disk, pattern, thirty_two

TAGS = slice(20, 28)


def test_every_one_has_a_shorter_form_with_the_same_effects() -> None:
    """A reservation, a write-protected unit and a unit that is not ready treat both alike."""
    shorter = {row.name: row for row in ROWS}
    for row in VARIABLE_LENGTH_ROWS:
        short = shorter[row.name.replace("(32)", "(16)")]
        assert row.handler is short.handler
        for effect in ("reservation", "writes_medium", "needs_medium", "needs_atomic_writes", "access"):
            assert getattr(row, effect) == getattr(short, effect)


@pytest.mark.parametrize("row", VARIABLE_LENGTH_ROWS, ids=lambda row: row.name)
def test_usage_mask(row: CommandDescriptor) -> None:
    """CONTROL, GROUP NUMBER and the fields from byte 10 on are where SPC-5 §4.2.3 has them; the rest is reserved."""
    atomic_boundary = b"\xff\xff" if row.needs_atomic_writes else bytes(2)
    assert row.usage[:8] == b"\x7f\x04\0\0" + atomic_boundary + b"\x3f\x18"
    assert row.usage[11:] == b"\0" + b"\xff" * 20


@pytest.mark.parametrize("row", VARIABLE_LENGTH_ROWS, ids=lambda row: row.name)
def test_the_tags_of_type_2_protection_are_passed_over(row: CommandDescriptor) -> None:
    """They mean nothing to a unit without protection information."""
    assert row.service_action is not None
    cdb = bytearray(thirty_two(row.service_action, 1, 1))
    cdb[TAGS] = b"\xa5" * 8
    assert Disk().run(bytes(cdb), pattern(BLOCK)).status is Status.GOOD


@pytest.mark.parametrize("row", VARIABLE_LENGTH_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("length", [0, 0x14, 0x17, 0x19, 0xFF])
def test_another_additional_length(row: CommandDescriptor, length: int) -> None:
    """ADDITIONAL CDB LENGTH has one right value."""
    assert row.service_action is not None
    cdb = bytearray(thirty_two(row.service_action, 0, 1))
    cdb[7] = length
    sense = Disk().refusal(bytes(cdb), bytes(BLOCK))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(7, 7))


@pytest.mark.parametrize("row", VARIABLE_LENGTH_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("length", [16, 31])
def test_a_cdb_that_is_cut_off(row: CommandDescriptor, length: int) -> None:
    """Without its additional header segment, or with one too short, there is no whole CDB."""
    assert row.service_action is not None
    sense = Disk().refusal(thirty_two(row.service_action, 0, 1)[:length], bytes(BLOCK))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(0))


@pytest.mark.parametrize("row", VARIABLE_LENGTH_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("byte", [2, 3, 11])
def test_reserved_bytes(row: CommandDescriptor, byte: int) -> None:
    """They are 0."""
    assert row.service_action is not None
    cdb = bytearray(thirty_two(row.service_action, 0, 1))
    cdb[byte] = 0x10
    sense = Disk().refusal(bytes(cdb), bytes(BLOCK))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(byte, 4))


@pytest.mark.parametrize("action", [0x0000, 0x0003, 0x0008, 0x000E, 0x0010, 0x0109, 0xFFFF])
def test_other_service_actions(action: int) -> None:
    """What is in no row is INVALID FIELD IN CDB, and the field is that of the service action."""
    sense = Disk().refusal(thirty_two(action, 0, 1))
    assert (sense.sense, sense.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(8, 7))
