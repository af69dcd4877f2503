from isthmus.iscsi.pdu import ScsiCommand
from isthmus.iscsi.task import IscsiTask
from tests.support.full_feature import SessionUnderTest


def test_a_task_takes_over_what_its_command_says() -> None:
    """And begins undelivered, abortable, with nothing reserved."""
    connection = SessionUnderTest().connect().connection
    command = ScsiCommand(
        initiator_task_tag=7,
        lun=3 << 48,
        cdb=b"\x2a" + bytes(15),
        cmd_sn=100,
        attribute=2,
        is_immediate=True,
        write=True,
        expected_data_transfer_length=512,
    )
    task = IscsiTask(connection, command)
    taken = ("initiator_task_tag", "lun", "cdb", "cmd_sn", "attribute", "is_immediate", "read", "write")
    assert [getattr(task, name) for name in taken] == [getattr(command, name) for name in taken]
    assert task.expected_data_transfer_length == 512
    assert (task.delivered, task.ended, task.abortable, task.reserved) == (False, False, True, 0)
    assert (task.transfer, task.held_result, task.on_settled, task.context) == (None, None, None, None)
