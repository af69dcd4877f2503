import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.cdb_check import check_cdb
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense, SenseData
from tests.support.scsi import read_10

NACA = 0x04


def refusal(row: CommandDescriptor, cdb: bytes) -> SenseData:
    """The sense with which `cdb` is refused."""
    with pytest.raises(CheckCondition) as raised:
        check_cdb(row, cdb)
    return raised.value.sense_data


def find(cdb: bytes) -> CommandDescriptor:
    """The row for `cdb`."""
    return DISK_COMMANDS.find(cdb)


def test_a_good_cdb_passes() -> None:
    """What the usage mask covers may be anything; what follows the CDB in its field does not count."""
    cdb = b"\x28\x18\xff\xff\xff\xff\x1f\xff\xff\x00"
    check_cdb(find(cdb), cdb)
    check_cdb(find(cdb), cdb + b"\xff" * 6)


def test_short_cdb() -> None:
    """A CDB that ends too early is refused."""
    cdb = read_10(0, 1)
    assert refusal(find(cdb), cdb[:-1]).sense is Sense.INVALID_FIELD_IN_CDB


@pytest.mark.parametrize("row", list(DISK_COMMANDS), ids=lambda row: row.name)
def test_naca_is_accepted(row: CommandDescriptor) -> None:
    """Every command may ask for an auto contingent allegiance."""
    cdb = bytearray(row.cdb_length)
    cdb[0], cdb[1] = row.opcode, row.service_action or 0
    if row.opcode == 0x7F:
        cdb[1] = NACA
        cdb[7:10] = row.usage[7:10]
    else:
        cdb[-1] = NACA
    check_cdb(row, bytes(cdb))


@given(st.sampled_from(list(DISK_COMMANDS)), st.data())
def test_reserved_bits_are_refused(row: CommandDescriptor, data: st.DataObject) -> None:
    """Each reserved bit is refused, and the field pointer names the most significant one that is set."""
    mask = bytearray(row.usage)
    mask[0] = 0xFF
    if row.opcode == 0x7F:
        mask[7:10] = b"\xff" * 3
    elif row.service_action is not None:
        mask[1] |= 0x1F
    reserved = [(byte, bit) for byte in range(row.cdb_length) for bit in range(8) if not mask[byte] >> bit & 1]
    wrong = data.draw(st.sets(st.sampled_from(reserved), min_size=1, max_size=3))
    cdb = bytearray(row.cdb_length)
    cdb[0], cdb[1] = row.opcode, row.service_action or 0
    if row.opcode == 0x7F:
        cdb[1], cdb[7:10] = 0, row.usage[7:10]
    for byte, bit in wrong:
        cdb[byte] |= 1 << bit
    byte, bit = min(wrong, key=lambda place: (place[0], -place[1]))
    expected = SenseData(sense=Sense.INVALID_FIELD_IN_CDB, specific=FieldPointer(byte, bit))
    assert refusal(row, bytes(cdb)) == expected


def test_additional_cdb_length() -> None:
    """A 7Fh CDB says its length itself, and it has to be the right one."""
    usage = bytes([0x7F, NACA, 0, 0, 0, 0, 0, 0x18, 0x00, 0x0B]) + bytes([0xFF] * 22)
    row = dataclasses.replace(find(read_10(0, 1)), service_action=0x000B, usage=usage)
    good = bytearray(usage)
    good[1] = 0
    check_cdb(row, bytes(good))
    good[7] = 0x10
    assert refusal(row, bytes(good)).specific == FieldPointer(7, 7)
    good[7], good[1] = 0x18, NACA
    check_cdb(row, bytes(good))
