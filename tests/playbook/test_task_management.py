"""Traces of task management (RFC 7143 §4.2.3, §11.5, §11.6)."""

import pytest

from isthmus.iscsi.opcodes import RejectReason, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import Reject, TaskManagementRequest, TaskManagementResponse
from isthmus.iscsi.task import CommandResult
from tests.support.full_feature import FIRST_CMD_SN, Peer, SessionUnderTest, command

Function = TaskManagementFunction
Code = TaskManagementResponseCode


def request(function: int, tag: int = 90, **fields: object) -> TaskManagementRequest:
    """An immediate task management request."""
    fields.setdefault("is_immediate", True)
    fields.setdefault("cmd_sn", FIRST_CMD_SN + 1)
    return TaskManagementRequest(function=function, initiator_task_tag=tag, **fields)  # type: ignore[arg-type]


def code_of(peer: Peer) -> int:
    """The response code in the one PDU that is queued."""
    answer = peer.gets_one()
    assert isinstance(answer, TaskManagementResponse)
    return answer.response


def test_abort_task_goes_to_the_task_and_is_answered_when_it_is_over() -> None:
    """The response comes when the function is complete, and not before."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN))
    peer.sends(request(Function.ABORT_TASK, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN))
    ((_, referenced, done),) = under_test.sink.functions
    assert referenced is under_test.sink.ready[0]
    assert peer.gets() == []
    peer.connection.commands.end_unseen(referenced)
    done(Code.FUNCTION_COMPLETE)
    assert code_of(peer) == Code.FUNCTION_COMPLETE


def test_abort_of_an_ended_task_finds_none() -> None:
    """Its CmdSN is behind the window (RFC 7143 §11.6.1)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0))
    peer.gets()
    peer.sends(request(Function.ABORT_TASK, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN))
    assert code_of(peer) == Code.TASK_DOES_NOT_EXIST


def test_abort_of_a_command_that_never_came_plugs_the_hole() -> None:
    """A lost command counts as received and aborted; if it comes after all, it is ignored."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(2, FIRST_CMD_SN + 1))
    peer.sends(request(Function.ABORT_TASK, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN, cmd_sn=FIRST_CMD_SN + 2))
    assert code_of(peer) == Code.FUNCTION_COMPLETE
    assert under_test.sink.submitted == [2]
    peer.sends(command(1, FIRST_CMD_SN))
    assert under_test.sink.submitted == [2]
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 8


def test_abort_of_a_command_that_waits_for_its_turn() -> None:
    """It is aborted although the SCSI layer has not seen it, and leaves no hole."""
    under_test = SessionUnderTest(max_connections=2)
    peer = under_test.connect()
    peer.sends(command(2, FIRST_CMD_SN + 1))
    peer.sends(
        request(Function.ABORT_TASK, referenced_task_tag=2, ref_cmd_sn=FIRST_CMD_SN + 1, cmd_sn=FIRST_CMD_SN + 2)
    )
    assert code_of(peer) == Code.FUNCTION_COMPLETE
    peer.sends(command(1, FIRST_CMD_SN), command(3, FIRST_CMD_SN + 2))
    assert under_test.sink.submitted == [1, 3]


def test_abort_with_the_wrong_lun_finds_no_task() -> None:
    """The tag alone does not name a task: the LUN must be its own (RFC 7143 §11.5.3)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, lun=0))
    peer.sends(request(Function.ABORT_TASK, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN, lun=1 << 48))
    assert code_of(peer) == Code.TASK_DOES_NOT_EXIST
    assert under_test.sink.functions == []


@pytest.mark.parametrize(
    "function", [Function.ABORT_TASK_SET, Function.CLEAR_TASK_SET, Function.LOGICAL_UNIT_RESET, Function.CLEAR_ACA]
)
def test_a_function_waits_for_the_commands_before_it(function: TaskManagementFunction) -> None:
    """An immediate function acts on all commands with a lower CmdSN, so it waits for them (RFC 7143 §4.2.3.2)."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(request(function, cmd_sn=FIRST_CMD_SN + 2))
    two.sends(command(1, FIRST_CMD_SN))
    assert under_test.sink.functions == []
    two.sends(command(2, FIRST_CMD_SN + 1))
    assert len(under_test.sink.functions) == 1
    assert under_test.session.waiting_functions == 0


def test_a_function_in_its_turn_starts_at_once() -> None:
    """With nothing missing before it, it is passed on with its LUN."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(request(Function.LOGICAL_UNIT_RESET, cmd_sn=FIRST_CMD_SN, lun=3 << 48))
    ((passed_on, referenced, done),) = under_test.sink.functions
    assert (passed_on.lun, referenced) == (3 << 48, None)
    done(Code.LUN_DOES_NOT_EXIST)
    assert code_of(peer) == Code.LUN_DOES_NOT_EXIST


def test_a_function_that_is_not_immediate_takes_its_number() -> None:
    """It holds a place in the window until it is answered."""
    under_test = SessionUnderTest(window_depth=8)
    peer = under_test.connect()
    peer.sends(request(Function.ABORT_TASK_SET, is_immediate=False, cmd_sn=FIRST_CMD_SN))
    assert under_test.session.window.exp_cmd_sn == FIRST_CMD_SN + 1
    under_test.sink.functions[0][2](Code.FUNCTION_COMPLETE)
    answer = peer.gets_one()
    assert isinstance(answer, TaskManagementResponse)
    assert answer.max_cmd_sn == FIRST_CMD_SN + 8


def test_task_reassign_is_for_error_recovery_level_2() -> None:
    """At level 0 it is answered, not rejected (RFC 7143 §11.6.1)."""
    peer = SessionUnderTest().connect()
    peer.sends(request(Function.TASK_REASSIGN, referenced_task_tag=1))
    assert code_of(peer) == Code.TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED


def test_a_tag_in_use_is_rejected() -> None:
    """A task management request has a tag of its own like any task."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN), request(Function.ABORT_TASK_SET, tag=1))
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.TASK_IN_PROGRESS
    assert under_test.sink.functions == []
