from isthmus.engine.ordinary_command import CDB_16_OFFSET, COMMAND, COMMAND_16
from isthmus.iscsi.pdu import ScsiCommand


def test_the_layouts_are_those_of_the_pdu() -> None:
    """What the fast paths read is what the codec writes, field by field."""
    pdu = ScsiCommand(
        read=True, lun=7 << 48, initiator_task_tag=1, expected_data_transfer_length=2, cmd_sn=3, exp_stat_sn=4
    )
    pdu.cdb = b"\x28\x10" + (5).to_bytes(4) + b"\x06" + (8).to_bytes(2) + b"\x09" + bytes(6)
    fields = COMMAND.unpack_from(pdu.to_bhs())
    assert fields == (0x01C1, 0, 7 << 48, 1, 2, 3, 4, 0x2810, 5, 6, 8, 9)
    pdu.cdb = b"\x88\0" + (5).to_bytes(8) + (6).to_bytes(4) + b"\x07\x08"
    assert COMMAND_16.unpack_from(pdu.to_bhs(), CDB_16_OFFSET) == (5, 6, 7, 8)
