from typing import Any

import pytest

from isthmus.iscsi.command_flow import MAX_IMMEDIATE_TASKS
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason
from isthmus.iscsi.pdu import DataIn, DataOut, ReadyToTransfer, Reject, ScsiResponse
from isthmus.iscsi.task import CommandResult
from tests.support.full_feature import FIRST_CMD_SN, SessionUnderTest, command


@pytest.mark.parametrize("tag", [1, RESERVED_TAG])
def test_a_duplicate_is_ignored(tag: int) -> None:
    """A number outside the window gets no answer, not even a Reject for its tag (RFC 7143 §4.2.2.1)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN), command(tag, FIRST_CMD_SN))
    assert peer.gets() == []
    assert under_test.sink.submitted == [1]


def test_the_reserved_tag_names_no_task() -> None:
    """A command with it is rejected, and takes its number."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(RESERVED_TAG, FIRST_CMD_SN), command(1, FIRST_CMD_SN + 1))
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.TASK_IN_PROGRESS
    assert under_test.sink.submitted == [1]


def test_immediate_commands_that_have_ended_make_room() -> None:
    """The bound is on those in progress."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    for number in range(3 * MAX_IMMEDIATE_TASKS):
        peer.sends(command(number, FIRST_CMD_SN, is_immediate=True))
        peer.connection.commands.respond(under_test.sink.ready[number], CommandResult(status=0))
    assert {type(pdu) for pdu in peer.gets()} == {ScsiResponse}


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"immediate_data": False}, {"write": True, "expected_data_transfer_length": 512, "data_segment": bytes(512)}),
        ({"initial_r2t": True}, {"write": True, "expected_data_transfer_length": 512, "final": False}),
        ({}, {"read": True, "expected_data_transfer_length": 512, "data_segment": bytes(512)}),
        ({"initial_r2t": False}, {"read": True, "expected_data_transfer_length": 512, "final": False}),
    ],
    ids=["immediate data", "unsolicited data", "data with a read", "data announced with a read"],
)
def test_data_that_was_not_negotiated_ends_the_connection(parameters: dict[str, Any], fields: dict[str, Any]) -> None:
    """No task comes to be (RFC 7143 §11.3.1, §13.10, §13.11)."""
    under_test = SessionUnderTest(**parameters)
    peer = under_test.connect()
    with pytest.raises(ConnectionViolation):
        peer.sends(command(1, FIRST_CMD_SN, **fields))
    assert under_test.session.tasks == {}


@pytest.mark.parametrize(
    ("wanted", "status", "flags", "count"),
    [
        (512, 0, (False, False), 0),
        (1024, 0, (True, False), 512),
        (0, 0, (False, True), 512),
        (1024, 2, (True, False), 512),
    ],
)
def test_the_residual_of_a_write(wanted: int, status: int, flags: tuple[bool, bool], count: int) -> None:
    """It is counted against what the CDB asks for, with a bad status too (RFC 7143 §11.4.5)."""
    under_test = SessionUnderTest()
    under_test.sink.wanted = wanted
    peer = under_test.connect()
    peer.sends(
        command(1, FIRST_CMD_SN, write=True, expected_data_transfer_length=512, data_segment=bytes(512)),
    )
    (task,) = under_test.sink.ready
    peer.connection.commands.respond(task, CommandResult(status=status, data_out_wanted=wanted))
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert (answer.residual_overflow, answer.residual_underflow, answer.residual_count) == (*flags, count)


def test_a_command_without_a_direction_expects_nothing() -> None:
    """Whatever its expected data transfer length says: without R and W the field has no meaning (RFC 7143 §11.3.4)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, expected_data_transfer_length=77))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0))
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert (answer.residual_overflow, answer.residual_underflow, answer.residual_count) == (False, False, 0)


def test_data_in_for_a_write_is_not_sent() -> None:
    """A task without the R bit gets a response only."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, write=True, expected_data_transfer_length=0))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_in=b"abcd"))
    assert isinstance(peer.gets_one(), ScsiResponse)


def test_a_task_is_answered_once() -> None:
    """An answer to a task that has ended goes nowhere."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN))
    (task,) = under_test.sink.ready
    for _ in range(2):
        peer.connection.commands.respond(task, CommandResult(status=0))
    peer.connection.commands.end_unseen(task)
    assert len(peer.gets()) == 1
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 8


@pytest.mark.parametrize("length", range(1, 9))
def test_data_in_is_padded_and_framed_with_its_digests(length: int) -> None:
    """Whatever its length (the reader of the peer checks it)."""
    under_test = SessionUnderTest()
    peer = under_test.connect(header_digest=True, data_digest=True)
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=length))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_in=b"abcdefgh"[:length]))
    answer = peer.gets_one()
    assert isinstance(answer, DataIn)
    assert answer.data_segment == b"abcdefgh"[:length]


def test_a_task_that_loses_its_connection_while_it_waits_for_memory() -> None:
    """It gets its share of the budget when nobody is there to send data, and gives it back at once."""
    under_test = SessionUnderTest(budget=1000, max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    for tag, peer in ((1, one), (2, two), (3, one)):
        peer.sends(command(tag, FIRST_CMD_SN + tag - 1, write=True, expected_data_transfer_length=800))
    assert isinstance(one.gets_one(), ReadyToTransfer)
    two.connection.lost()
    one.connection.commands.end_unseen(under_test.session.tasks[1])
    assert [pdu.initiator_task_tag for pdu in one.gets()] == [3]
    assert two.gets() == []
    assert under_test.session.budget.reserved == 800


def test_data_of_a_task_without_data_goes_nowhere() -> None:
    """A Data-Out that names a read is dropped like that of a task that is gone."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, read=True), DataOut(initiator_task_tag=1, data_segment=b"data"))
    assert peer.gets() == []
    assert list(under_test.session.tasks) == [1]
