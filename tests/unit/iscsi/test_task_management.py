import pytest

from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import DataOut, Reject, TaskManagementRequest, TaskManagementResponse
from isthmus.iscsi.task import CommandResult
from isthmus.iscsi.task_management import MAX_FUNCTIONS
from tests.support.full_feature import FIRST_CMD_SN, SessionUnderTest, command

Function = TaskManagementFunction
Code = TaskManagementResponseCode


def request(function: int, tag: int = 90, **fields: object) -> TaskManagementRequest:
    """An immediate task management request, the next command being FIRST_CMD_SN."""
    fields.setdefault("is_immediate", True)
    fields.setdefault("cmd_sn", FIRST_CMD_SN)
    return TaskManagementRequest(function=function, initiator_task_tag=tag, **fields)  # type: ignore[arg-type]


# -- When a function may start -----------------------------------------------------------------------------------------


def test_a_plugged_hole_lets_functions_start() -> None:
    """A function that waits for a command starts when ABORT TASK says that this command was lost."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(request(Function.ABORT_TASK_SET, 90, cmd_sn=FIRST_CMD_SN + 1))
    assert under_test.sink.functions == []
    peer.sends(
        request(Function.ABORT_TASK, 91, cmd_sn=FIRST_CMD_SN + 1, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN)
    )
    assert [pdu.initiator_task_tag for pdu, _, _ in under_test.sink.functions] == [90]


def test_a_function_that_takes_a_number_lets_others_start() -> None:
    """What waits for the number of a task management request starts when that comes."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(request(Function.ABORT_TASK_SET, 90, cmd_sn=FIRST_CMD_SN + 1))
    two.sends(request(Function.CLEAR_TASK_SET, 91, is_immediate=False))
    assert [pdu.initiator_task_tag for pdu, _, _ in under_test.sink.functions] == [91, 90]
    assert under_test.session.waiting_functions == 0


def test_a_function_waits_for_a_full_window_too() -> None:
    """When every number is used, an immediate request carries the one behind the window (RFC 7143 §4.2.2.1)."""
    under_test = SessionUnderTest(window_depth=2, max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(request(Function.ABORT_TASK_SET, cmd_sn=FIRST_CMD_SN + 2))
    assert under_test.sink.functions == []
    two.sends(command(1, FIRST_CMD_SN), command(2, FIRST_CMD_SN + 1))
    assert len(under_test.sink.functions) == 1


def test_a_function_with_an_impossible_number_does_not_wait() -> None:
    """No command will ever make the window reach it."""
    under_test = SessionUnderTest(window_depth=2)
    under_test.connect().sends(request(Function.ABORT_TASK_SET, cmd_sn=FIRST_CMD_SN + 4))
    assert len(under_test.sink.functions) == 1


@pytest.mark.parametrize("tag", [1, 90, RESERVED_TAG])
def test_a_duplicate_is_ignored(tag: int) -> None:
    """Whatever its tag, a number outside the window gets no answer, not even a Reject (RFC 7143 §4.2.2.1)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN), request(Function.ABORT_TASK_SET, cmd_sn=FIRST_CMD_SN + 1))
    peer.sends(request(Function.ABORT_TASK_SET, tag, is_immediate=False, cmd_sn=FIRST_CMD_SN))
    assert peer.gets() == []
    assert len(under_test.sink.functions) == 1


def test_immediate_functions_have_a_bound() -> None:
    """The window does not count them, so a peer could fill the memory with them."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(*(request(Function.ABORT_TASK_SET, tag) for tag in range(MAX_FUNCTIONS)))
    assert peer.gets() == []
    peer.sends(request(Function.ABORT_TASK_SET, 1000))
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.IMMEDIATE_COMMAND_REJECT
    under_test.sink.functions[0][2](Code.FUNCTION_COMPLETE)
    peer.gets()
    peer.sends(request(Function.ABORT_TASK_SET, 1000))
    assert peer.gets() == []


# -- ABORT TASK --------------------------------------------------------------------------------------------------------


def test_every_abort_of_a_task_that_cannot_be_stopped_is_answered() -> None:
    """Two requests for one task each get their answer when it has ended."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN))
    (task,) = under_test.sink.ready
    task.abortable = False
    peer.sends(
        *(
            request(Function.ABORT_TASK, tag, cmd_sn=FIRST_CMD_SN + 1, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN)
            for tag in (90, 91, 92)
        )
    )
    assert peer.gets() == []
    peer.connection.commands.respond(task, CommandResult(status=0))
    assert task.on_settled is not None
    task.on_settled()
    answers = peer.gets()
    assert [pdu.initiator_task_tag for pdu in answers] == [1, 90, 91, 92]
    codes = [pdu.response for pdu in answers if isinstance(pdu, TaskManagementResponse)]
    assert codes == [Code.TASK_DOES_NOT_EXIST] * 3


def test_abort_of_a_task_whose_answer_waits_for_data() -> None:
    """The answer that was held back is never sent, and the data that still comes goes nowhere."""
    under_test = SessionUnderTest(initial_r2t=False, first_burst_length=1024)
    under_test.sink.answer_at_once = CommandResult(status=2, sense=b"sense")
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, write=True, final=False, expected_data_transfer_length=1024))
    peer.sends(request(Function.ABORT_TASK, cmd_sn=FIRST_CMD_SN + 1, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN))
    answer = peer.gets_one()
    assert isinstance(answer, TaskManagementResponse)
    assert answer.response == Code.FUNCTION_COMPLETE
    peer.sends(DataOut(initiator_task_tag=1, data_segment=bytes(1024)))
    assert peer.gets() == []
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 8


@pytest.mark.parametrize(
    ("function", "lun", "code", "answered"),
    [
        (Function.ABORT_TASK_SET, 0, Code.FUNCTION_COMPLETE, False),
        (Function.CLEAR_TASK_SET, 0, Code.FUNCTION_COMPLETE, False),
        (Function.LOGICAL_UNIT_RESET, 0, Code.FUNCTION_COMPLETE, False),
        (Function.TARGET_WARM_RESET, 7, Code.FUNCTION_COMPLETE, False),
        (Function.ABORT_TASK_SET, 1, Code.FUNCTION_COMPLETE, True),
        (Function.CLEAR_ACA, 0, Code.FUNCTION_COMPLETE, True),
        (Function.CLEAR_TASK_SET, 0, Code.FUNCTION_REJECTED, True),
    ],
)
def test_answers_that_wait_for_data_go_with_the_task_set(
    function: Function, lun: int, code: Code, answered: bool
) -> None:
    """Of tasks that the function ends nothing is heard behind its answer (RFC 7143 §4.2.3.3), of all others it is."""
    under_test = SessionUnderTest(initial_r2t=False, first_burst_length=1024)
    under_test.sink.answer_at_once = CommandResult(status=2, sense=b"sense")
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, write=True, final=False, expected_data_transfer_length=1024))
    peer.sends(request(function, cmd_sn=FIRST_CMD_SN + 1, lun=lun << 48))
    peer.sends(command(2, FIRST_CMD_SN + 1, write=True, final=False, expected_data_transfer_length=1024))
    under_test.sink.functions[0][2](code)
    assert isinstance(peer.gets_one(), TaskManagementResponse)
    peer.sends(DataOut(initiator_task_tag=1, data_segment=bytes(1024)))
    peer.sends(DataOut(initiator_task_tag=2, data_segment=bytes(1024)))
    assert [pdu.initiator_task_tag for pdu in peer.gets()] == ([1, 2] if answered else [2])
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 9


# -- A connection that is lost -----------------------------------------------------------------------------------------


def test_a_function_gives_its_place_back_although_nobody_hears_the_answer() -> None:
    """The window of the session is as wide as before when a connection is lost amid a function."""
    under_test = SessionUnderTest(window_depth=8, max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(request(Function.ABORT_TASK_SET, is_immediate=False))
    one.connection.lost()
    under_test.sink.functions[0][2](Code.FUNCTION_COMPLETE)
    assert (one.gets(), two.gets()) == ([], [])
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 8


def test_a_function_whose_connection_is_lost_before_its_turn_is_not_done() -> None:
    """Its number counts all the same."""
    under_test = SessionUnderTest(window_depth=8, max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(request(Function.LOGICAL_UNIT_RESET, is_immediate=False, cmd_sn=FIRST_CMD_SN + 1))
    one.connection.lost()
    two.sends(command(1, FIRST_CMD_SN), command(2, FIRST_CMD_SN + 2))
    assert under_test.sink.functions == []
    assert under_test.sink.submitted == [1, 2]
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 8


def test_functions_that_wait_go_with_their_connection() -> None:
    """They do not start later, and the session does not count on them."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    one.sends(request(Function.LOGICAL_UNIT_RESET, cmd_sn=FIRST_CMD_SN + 1))
    one.connection.lost()
    two.sends(command(1, FIRST_CMD_SN))
    assert (under_test.sink.functions, under_test.session.waiting_functions) == ([], 0)
