"""What can be said of a CDB by its row of the command table alone: its length, and bits that have to be zero."""

from functools import cache

from isthmus.scsi.opcodes import VARIABLE_LENGTH, CommandDescriptor
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense

__all__ = ["check_cdb"]


def check_cdb(row: CommandDescriptor, cdb: bytes) -> None:
    """Raise `CheckCondition` for a CDB that is too short for `row`, or sets reserved bits.

    The field pointer names the most significant of the bits that are wrong.
    """
    if len(cdb) < row.cdb_length:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(0))
    if row.opcode == VARIABLE_LENGTH and cdb[7] != row.cdb_length - 8:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(7, 7))
    used = cdb[: row.cdb_length]
    wrong = int.from_bytes(used) & _reserved_bits(row.usage, row.service_action is not None)
    if wrong:
        position = row.cdb_length * 8 - wrong.bit_length()
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(position // 8, 7 - position % 8))


@cache
def _reserved_bits(usage: bytes, has_service_action: bool) -> int:
    """The bits of the CDB, as one big-endian integer, that have to be zero."""
    mask = bytearray(usage)
    # Here the usage map holds the numbers themselves, which the look-up has compared (SPC-5 §6.34.3).
    mask[0] = 0xFF
    if usage[0] == VARIABLE_LENGTH:
        mask[7:10] = b"\xff\xff\xff"
    elif has_service_action:
        mask[1] |= 0x1F
    return ~int.from_bytes(mask) & ((1 << len(mask) * 8) - 1)
