"""Traces of CmdSN order and of several connections in one session (RFC 7143 §4.2.2)."""

from isthmus.iscsi.pdu import NopIn, NopOut
from isthmus.iscsi.task import CommandResult
from tests.support.full_feature import FIRST_CMD_SN, SessionUnderTest, command


def test_commands_are_delivered_in_order_across_connections() -> None:
    """What overtakes on another connection waits for what comes before it."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    two.sends(command(12, FIRST_CMD_SN + 2), command(11, FIRST_CMD_SN + 1))
    assert under_test.sink.submitted == []
    one.sends(command(10, FIRST_CMD_SN))
    assert under_test.sink.submitted == [10, 11, 12]


def test_each_answer_goes_to_the_connection_of_its_command() -> None:
    """A response travels on the connection that its command came on (allegiance)."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(command(1, FIRST_CMD_SN))
    two.sends(command(2, FIRST_CMD_SN + 1))
    for task in under_test.sink.ready:
        task.connection.commands.respond(task, CommandResult(status=0))
    assert [pdu.initiator_task_tag for pdu in one.gets()] == [1]
    assert [pdu.initiator_task_tag for pdu in two.gets()] == [2]


def test_a_cmd_sn_beyond_the_window_is_ignored() -> None:
    """No answer, no close, and ExpCmdSN stays (RFC 7143 §4.2.2.1)."""
    under_test = SessionUnderTest(window_depth=4)
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN + 4), command(2, FIRST_CMD_SN - 1))
    assert (peer.gets(), under_test.sink.submitted) == ([], [])
    peer.sends(command(3, FIRST_CMD_SN))
    assert under_test.sink.submitted == [3]
    assert list(under_test.session.tasks) == [3]


def test_an_immediate_command_does_not_wait_for_its_turn() -> None:
    """It is delivered at once and takes no number."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN + 5, is_immediate=True))
    assert under_test.sink.submitted == [1]
    assert under_test.session.window.exp_cmd_sn == FIRST_CMD_SN


def test_the_window_closes_and_opens_with_the_tasks_in_progress() -> None:
    """As many commands as the depth are in progress; one that ends makes room for one."""
    under_test = SessionUnderTest(window_depth=2)
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN), command(2, FIRST_CMD_SN + 1), command(3, FIRST_CMD_SN + 2))
    assert under_test.sink.submitted == [1, 2]
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0))
    peer.sends(command(3, FIRST_CMD_SN + 2))
    assert under_test.sink.submitted == [1, 2, 3]


def test_a_ping_waits_for_its_turn_and_echoes_its_data() -> None:
    """NOP-Out is answered with its data in CmdSN order (RFC 7143 §11.18)."""
    under_test = SessionUnderTest()
    peer = under_test.connect(max_xmit_data_segment_length=3)
    peer.sends(NopOut(initiator_task_tag=9, cmd_sn=FIRST_CMD_SN + 1, data_segment=b"hello"))
    assert peer.gets() == []
    peer.sends(command(1, FIRST_CMD_SN))
    echo = peer.gets_one()
    assert isinstance(echo, NopIn)
    assert (echo.initiator_task_tag, echo.data_segment) == (9, b"hel")
    assert echo.exp_cmd_sn == FIRST_CMD_SN + 2


def test_a_lost_connection_takes_its_tasks_with_it() -> None:
    """At ErrorRecoveryLevel 0 the tasks of a lost connection are aborted, those of others go on."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(command(1, FIRST_CMD_SN))
    two.sends(command(2, FIRST_CMD_SN + 1))
    one.connection.lost()
    assert under_test.sink.lost == [1]
    assert list(under_test.session.tasks) == [2]
    assert list(under_test.session.connections) == [2]
