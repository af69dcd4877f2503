import pytest

from isthmus.scsi.cdb_options import DPO, FUA, has_dpo_and_fua, unmapping_commands, without_options, without_unmap
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable


def test_a_disk_offers_all_of_them() -> None:
    """DPOFUA, and all three commands that give room back."""
    assert has_dpo_and_fua(DISK_COMMANDS)
    assert unmapping_commands(DISK_COMMANDS) == 0xE0


@pytest.mark.parametrize("bits", [DPO, FUA])
@pytest.mark.parametrize(("opcode", "action", "flags"), [(0x28, None, 1), (0x8A, None, 1), (0x7F, 0x09, 10)])
def test_a_bit_is_taken_from_the_usage_mask(opcode: int, action: int | None, flags: int, bits: int) -> None:
    """Of READ and WRITE, be the CDB of 32 bytes."""
    row = DISK_COMMANDS.lookup(opcode, action)
    assert row is not None
    without = without_options(row, bits)
    assert row.usage[flags] & ~without.usage[flags] == bits
    assert not has_dpo_and_fua(CommandTable([without]))


def test_other_commands_keep_bits_that_mean_something_else() -> None:
    """ANCHOR and UNMAP of WRITE SAME, LLBAA of MODE SENSE (10), WRITE (6) with the number of VERIFY (32)."""
    for opcode in (0x93, 0x5A, 0x0A):
        row = DISK_COMMANDS.lookup(opcode)
        assert row is not None
        assert without_options(row, DPO | FUA) is row


def test_write_same_without_unmap() -> None:
    """LBPWS and LBPWS10 go, LBPU stays; NDOB stays, too."""
    rows = CommandTable(map(without_unmap, DISK_COMMANDS))
    assert unmapping_commands(rows) == 0x80
    row = rows.lookup(0x93)
    assert row is not None
    assert row.usage[1] == 0x01
    assert unmapping_commands(rows.without_discard()) == 0
