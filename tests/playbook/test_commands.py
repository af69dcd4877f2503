"""Traces of SCSI commands in full feature phase (RFC 7143 §4.2.5, §11.3, §11.4, §11.7, §11.8)."""

import pytest

from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RejectReason
from isthmus.iscsi.pdu import DataIn, DataOut, Pdu, ReadyToTransfer, Reject, ScsiResponse
from isthmus.iscsi.task import CommandResult
from isthmus.iscsi.transfer import TransferError
from tests.support.full_feature import FIRST_CMD_SN, FIRST_STAT_SN, SessionUnderTest, command


def length(pdu: Pdu) -> int:
    """The bytes in a data segment."""
    return memoryview(pdu.data_segment).nbytes


def test_a_read_that_fits_one_pdu_ends_with_its_data() -> None:
    """Data-In with F and S carries the status (phase collapse), and opens the window by one."""
    under_test = SessionUnderTest(window_depth=8)
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=4))
    (task,) = under_test.sink.ready
    peer.connection.commands.respond(task, CommandResult(status=0, data_in=b"abcd"))
    answer = peer.gets_one()
    assert isinstance(answer, DataIn)
    assert (answer.final, answer.has_status, answer.status, answer.data_segment) == (True, True, 0, b"abcd")
    assert (answer.stat_sn, answer.exp_cmd_sn, answer.max_cmd_sn) == (FIRST_STAT_SN, 101, 108)
    assert not under_test.session.tasks


def test_a_long_read_is_cut_into_pdus_and_bursts() -> None:
    """DataSN counts, F ends each burst, and only the last PDU has the status."""
    under_test = SessionUnderTest(max_burst_length=1024)
    peer = under_test.connect(max_xmit_data_segment_length=600)
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=2000))
    data = bytes(range(250)) * 8
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_in=data))
    answers = peer.gets()
    data_in = [pdu for pdu in answers if isinstance(pdu, DataIn)]
    assert len(data_in) == len(answers)
    shape = [(pdu.data_sn, pdu.buffer_offset, length(pdu), pdu.final, pdu.has_status) for pdu in data_in]
    assert shape == [
        (0, 0, 600, False, False),
        (1, 600, 424, True, False),
        (2, 1024, 600, False, False),
        (3, 1624, 376, True, True),
    ]
    assert b"".join(bytes(pdu.data_segment) for pdu in answers) == data


@pytest.mark.parametrize(
    ("expected", "given", "flags", "residual"),
    [(10, 4, (False, True), 6), (4, 10, (True, False), 6), (4, 4, (False, False), 0)],
)
def test_the_residual_of_a_read(expected: int, given: int, flags: tuple[bool, bool], residual: int) -> None:
    """What was expected and did not come is underflow, what did not fit overflow (RFC 7143 §11.4.5)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=expected))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_in=bytes(given)))
    answer = peer.gets_one()
    assert isinstance(answer, DataIn)
    assert (answer.residual_overflow, answer.residual_underflow) == flags
    assert answer.residual_count == residual
    assert length(answer) == min(expected, given)


def test_a_read_of_nothing_is_answered_without_data_in() -> None:
    """An expected length of 0 gets a SCSI Response with the whole length as overflow."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=0))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_in=bytes(512)))
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert (answer.residual_overflow, answer.residual_count, answer.status) == (True, 512, 0)


def test_sense_travels_in_the_data_segment_of_the_response() -> None:
    """SenseLength comes before the sense data (RFC 7143 §11.4.7)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=2, sense=b"0123456789"))
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert (answer.status, answer.data_segment) == (2, b"\x00\x0a0123456789")


def test_data_in_before_a_bad_status_is_counted_by_exp_data_sn() -> None:
    """A status other than GOOD has a PDU of its own behind the data."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=4))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=2, data_in=b"abcd", sense=b"sense"))
    data_in, response = peer.gets()
    assert isinstance(data_in, DataIn)
    assert isinstance(response, ScsiResponse)
    assert (data_in.has_status, response.exp_data_sn) == (False, 1)


def test_a_write_by_r2t() -> None:
    """Two R2Ts at once, each answered by its burst; then the command runs with all its data."""
    under_test = SessionUnderTest(max_burst_length=1024, max_outstanding_r2t=2)
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, write=True, expected_data_transfer_length=2500))
    first, second = peer.gets()
    assert isinstance(first, ReadyToTransfer)
    assert isinstance(second, ReadyToTransfer)
    assert [(r2t.r2t_sn, r2t.buffer_offset, r2t.desired_data_transfer_length) for r2t in (first, second)] == [
        (0, 0, 1024),
        (1, 1024, 1024),
    ]
    assert first.stat_sn == second.stat_sn == FIRST_STAT_SN
    half = DataOut(
        initiator_task_tag=1, target_transfer_tag=first.target_transfer_tag, data_segment=b"a" * 512, final=False
    )
    rest = DataOut(
        initiator_task_tag=1,
        target_transfer_tag=first.target_transfer_tag,
        data_segment=b"b" * 512,
        data_sn=1,
        buffer_offset=512,
    )
    peer.sends(half, rest)
    third = peer.gets_one()
    assert isinstance(third, ReadyToTransfer)
    assert (third.r2t_sn, third.buffer_offset, third.desired_data_transfer_length) == (2, 2048, 452)
    for r2t, letter in ((second, b"c"), (third, b"d")):
        peer.sends(
            DataOut(
                initiator_task_tag=1,
                target_transfer_tag=r2t.target_transfer_tag,
                data_segment=letter * r2t.desired_data_transfer_length,
                buffer_offset=r2t.buffer_offset,
            )
        )
    (task,) = under_test.sink.ready
    assert under_test.sink.data_of(task) == b"a" * 512 + b"b" * 512 + b"c" * 1024 + b"d" * 452
    peer.connection.commands.respond(task, CommandResult(status=0, data_out_wanted=2500))
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert (answer.exp_data_sn, answer.residual_count) == (3, 0)


def test_a_write_answered_early_waits_for_the_data_that_was_announced() -> None:
    """The response to a bad CDB comes when the unsolicited data is over, and the data goes nowhere."""
    under_test = SessionUnderTest(initial_r2t=False, first_burst_length=1024)
    under_test.sink.answer_at_once = CommandResult(status=2, sense=b"sense")
    peer = under_test.connect()
    peer.sends(command(1, FIRST_CMD_SN, write=True, final=False, expected_data_transfer_length=1024))
    assert peer.gets() == []
    peer.sends(DataOut(initiator_task_tag=1, data_segment=bytes(512), final=False))
    assert peer.gets() == []
    peer.sends(DataOut(initiator_task_tag=1, data_segment=bytes(512), data_sn=1, buffer_offset=512))
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert answer.status == 2
    assert under_test.sink.ready == []


@pytest.mark.parametrize("data_sn", [1, 27, 0xFFFF_FFFF])
def test_data_out_with_a_wrong_data_sn_fails_the_command_alone(data_sn: int) -> None:
    """The command fails once its burst is over; the connection goes on (RFC 7143 §7.8 b, §7.9)."""
    under_test = SessionUnderTest(initial_r2t=False)
    peer = under_test.connect()
    peer.sends(
        command(1, FIRST_CMD_SN, write=True, final=False, expected_data_transfer_length=512),
        DataOut(initiator_task_tag=1, data_segment=bytes(512), data_sn=data_sn),
    )
    assert under_test.sink.failed == [(1, TransferError.OUT_OF_ORDER)]
    assert isinstance(peer.gets_one(), ScsiResponse)
    peer.sends(command(2, FIRST_CMD_SN + 1))
    assert under_test.sink.submitted == [1, 2]


def test_data_out_of_an_aborted_task_goes_nowhere() -> None:
    """Data for a tag that is not in progress is dropped, and nothing is answered."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(DataOut(initiator_task_tag=77, target_transfer_tag=5, data_segment=bytes(512)))
    assert peer.gets() == []


def test_data_out_on_another_connection_is_a_violation() -> None:
    """A command and its data stay on one connection (RFC 7143 §4.2.2: allegiance)."""
    under_test = SessionUnderTest(initial_r2t=False, max_connections=2)
    peer, other = under_test.connect(1), under_test.connect(2)
    peer.sends(command(1, FIRST_CMD_SN, write=True, final=False, expected_data_transfer_length=512))
    with pytest.raises(ConnectionViolation, match="another connection"):
        other.sends(DataOut(initiator_task_tag=1, data_segment=bytes(512)))


def test_unsolicited_data_needs_initial_r2t_no() -> None:
    """F = 0 although InitialR2T = Yes was negotiated breaks the protocol."""
    peer = SessionUnderTest(initial_r2t=True).connect()
    with pytest.raises(ConnectionViolation, match="InitialR2T"):
        peer.sends(command(1, FIRST_CMD_SN, write=True, final=False, expected_data_transfer_length=512))


def test_immediate_data_needs_immediate_data_yes() -> None:
    """Immediate data although ImmediateData = No was negotiated breaks the protocol."""
    peer = SessionUnderTest(immediate_data=False).connect()
    with pytest.raises(ConnectionViolation, match="ImmediateData"):
        peer.sends(command(1, FIRST_CMD_SN, write=True, expected_data_transfer_length=4, data_segment=b"abcd"))


def test_a_tag_in_use_is_rejected_and_its_number_counted() -> None:
    """The second command with a tag is rejected with its header; the next CmdSN is the one behind it."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    twice = command(1, FIRST_CMD_SN + 1)
    peer.sends(command(1, FIRST_CMD_SN), twice, command(2, FIRST_CMD_SN + 2))
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.data_segment) == (RejectReason.TASK_IN_PROGRESS, twice.to_bhs())
    assert under_test.sink.submitted == [1, 2]


def test_too_many_immediate_commands_are_rejected() -> None:
    """Immediate commands do not count in the window, so their number has a bound of its own."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(*(command(tag, FIRST_CMD_SN, is_immediate=True) for tag in range(1, 10)))
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.IMMEDIATE_COMMAND_REJECT
    assert under_test.sink.submitted == list(range(1, 9))
    assert under_test.session.window.exp_cmd_sn == FIRST_CMD_SN


def test_r2ts_wait_for_the_memory_budget() -> None:
    """A write that would ask for more than the budget holds gets its R2T when another one has ended."""
    under_test = SessionUnderTest(budget=1000, max_burst_length=1024)
    peer = under_test.connect()
    peer.sends(
        command(1, FIRST_CMD_SN, write=True, expected_data_transfer_length=800),
        command(2, FIRST_CMD_SN + 1, write=True, expected_data_transfer_length=800),
    )
    first = peer.gets_one()
    assert isinstance(first, ReadyToTransfer)
    peer.sends(DataOut(initiator_task_tag=1, target_transfer_tag=first.target_transfer_tag, data_segment=bytes(800)))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_out_wanted=800))
    second = [pdu for pdu in peer.gets() if isinstance(pdu, ReadyToTransfer)]
    assert [r2t.initiator_task_tag for r2t in second] == [2]


def test_digests_frame_every_answer() -> None:
    """With both digests on, Data-In, padding and Response carry them (the peer's reader checks each)."""
    under_test = SessionUnderTest()
    peer = under_test.connect(header_digest=True, data_digest=True)
    peer.sends(command(1, FIRST_CMD_SN, read=True, expected_data_transfer_length=5))
    peer.connection.commands.respond(under_test.sink.ready[0], CommandResult(status=0, data_in=b"abcde"))
    answer = peer.gets_one()
    assert isinstance(answer, DataIn)
    assert answer.data_segment == b"abcde"
