import asyncio
from typing import Any

import pytest

from isthmus.initiator.data_out import DataOutLimits
from isthmus.initiator.errors import ServiceDeliveryFailure, TaskAborted
from isthmus.initiator.task import CommandTask, RequestTask, Residual
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.pdu import DataIn, NopIn, NopOut, ReadyToTransfer, ScsiResponse, TextResponse
from isthmus.scsi.sense import Sense, SenseData

LIMITS = DataOutLimits(
    initial_r2t=True,
    immediate_data=False,
    first_burst_length=512,
    max_burst_length=4096,
    max_data_segment_length=512,
)


def command(**fields: Any) -> CommandTask:
    """A command with tag 5 for LUN 1."""
    return CommandTask(5, lun=1 << 48, cdb=b"\x88", limits=LIMITS, **fields)


async def test_a_read_is_its_data_and_status() -> None:
    """Data-In with the S bit ends a command (phase collapse)."""
    task = command(data_in_length=8)
    request = task.request()
    assert (request.read, request.write, request.final, request.expected_data_transfer_length) == (True, False, True, 8)
    assert request.cdb == b"\x88" + bytes(15)
    task.receive(DataIn(data_sn=0, data_segment=b"abcd"))
    ended = [task.ended]
    task.receive(DataIn(data_sn=1, buffer_offset=4, data_segment=b"efgh", has_status=True))
    result = await task
    assert [*ended, task.ended] == [False, True]
    assert (result.status, result.data_in, result.residual) == (0, b"abcdefgh", Residual())


async def test_a_write_answers_its_r2t() -> None:
    """The data goes out when it is asked for."""
    task = command(data_out=bytes(1024))
    request = task.request()
    assert (request.read, request.write, request.expected_data_transfer_length) == (False, True, 1024)
    assert list(task.follow_up()) == []
    replies = list(task.receive(ReadyToTransfer(desired_data_transfer_length=1024)))
    assert len(replies) == 2
    task.receive(ScsiResponse(exp_data_sn=1))
    assert (await task).status == 0


async def test_a_bidirectional_command_names_both_lengths() -> None:
    """R and W are set and the AHS holds the length of the data-in (RFC 7143 §11.2.2.4)."""
    request = command(data_out=bytes(512), data_in_length=256).request()
    assert (request.read, request.write) == (True, True)
    assert (request.expected_data_transfer_length, request.bidirectional_read_data_length) == (512, 256)


async def test_a_long_cdb_stays_whole() -> None:
    """32 bytes of CDB are the codec's to split."""
    cdb = bytes(range(32))
    assert CommandTask(5, lun=0, cdb=cdb, limits=LIMITS).request().cdb == cdb


async def test_sense_comes_without_its_length() -> None:
    """SenseLength is cut off, and padding with it."""
    sense = SenseData(Sense.INVALID_FIELD_IN_CDB).to_bytes()
    task = command()
    task.receive(ScsiResponse(status=2, data_segment=len(sense).to_bytes(2) + sense + b"\0\0"))
    result = await task
    assert result.sense == sense
    assert result.decoded_sense is not None
    assert result.decoded_sense.sense is Sense.INVALID_FIELD_IN_CDB


@pytest.mark.parametrize(
    ("response", "residual"),
    [
        (ScsiResponse(residual_underflow=True, residual_count=3), Residual(underflow=3)),
        (ScsiResponse(status=2, residual_overflow=True, residual_count=9), Residual(overflow=9)),
    ],
)
async def test_residuals_keep_their_sign(response: ScsiResponse, residual: Residual) -> None:
    """U and O bits give underflow and overflow."""
    task = command(data_in_length=8)
    task.receive(DataIn(data_segment=b"abcde"))
    task.receive(response)
    assert (await task).residual == residual


@pytest.mark.parametrize(
    ("fields", "response", "complaint"),
    [
        ({"data_in_length": 8}, ScsiResponse(), "GOOD with 0 bytes of data-in"),
        ({"data_out": bytes(8)}, ScsiResponse(), "GOOD with 0 bytes of data-out"),
        ({"data_in_length": 8}, ScsiResponse(exp_data_sn=2, status=2), "ExpDataSN is 2"),
        ({}, ScsiResponse(residual_overflow=True, residual_underflow=True), "both the O and the U"),
        ({}, DataIn(acknowledge=True), "A bit"),
        ({}, TextResponse(), "TextResponse answers"),
    ],
)
async def test_refuses_what_would_lose_data_unseen(fields: dict[str, Any], response: Any, complaint: str) -> None:
    """A response that does not account for every byte, or that no target may send, is a violation."""
    task = command(**fields)
    with pytest.raises(ConnectionViolation, match=complaint):
        task.receive(response)


async def test_a_target_failure_is_no_status() -> None:
    """A Response field other than 0 raises, since its status means nothing (RFC 7143 §11.4.3)."""
    task = command()
    task.receive(ScsiResponse(response=1, status=0))
    with pytest.raises(ServiceDeliveryFailure, match="0x01"):
        await task


async def test_ends_once() -> None:
    """A result after an error, or an error after a result, changes nothing."""
    task = command()
    task.fail(TaskAborted("first"))
    task.receive(ScsiResponse())
    with pytest.raises(TaskAborted, match="first"):
        await task


async def test_goes_on_when_its_waiter_gives_up() -> None:
    """A task that nobody awaits any more still answers its R2T and ends."""
    task = command(data_out=bytes(512))
    waiter = asyncio.ensure_future(_wait(task))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not task.ended
    assert len(list(task.receive(ReadyToTransfer(desired_data_transfer_length=512)))) == 1
    task.receive(ScsiResponse(exp_data_sn=1))
    assert task.ended


async def _wait(task: CommandTask) -> None:
    await task


async def test_a_request_takes_only_its_answer() -> None:
    """A NOP-Out is answered by a NOP-In and by nothing else."""
    task = RequestTask(NopOut(initiator_task_tag=3), NopIn)
    assert task.lun is None
    with pytest.raises(ConnectionViolation, match="ScsiResponse came where NopIn"):
        task.receive(ScsiResponse())
    task.receive(NopIn(data_segment=b"x"))
    assert bytes((await task).data_segment) == b"x"
