import asyncio

import pytest

from isthmus.initiator.errors import TaskAborted
from isthmus.initiator.task_management import abort_task, logical_unit_reset, manage
from isthmus.iscsi.opcodes import RESERVED_TAG, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import ScsiCommand, ScsiResponse, TaskManagementRequest, TaskManagementResponse
from tests.support.fake_target import FIRST_CMD_SN, FakeTarget, session_pair

TEST_UNIT_READY = bytes(6)


async def answer(target: FakeTarget, response: int = 0) -> TaskManagementRequest:
    """Answer the next function."""
    request = await target.expect(TaskManagementRequest)
    target.send(TaskManagementResponse(initiator_task_tag=request.initiator_task_tag, response=response))
    return request


async def test_abort_task_names_its_task() -> None:
    """Tag, CmdSN and LUN are those of the task, on its own connection; the task then fails."""
    async with session_pair(connections=2) as (session, targets):
        task = session.start(4, TEST_UNIT_READY, connection=session.connections[1])
        await targets[1].expect(ScsiCommand)
        abort = asyncio.ensure_future(abort_task(session, task))
        request = await answer(targets[1])
        assert await abort == TaskManagementResponseCode.FUNCTION_COMPLETE
        assert request.function == TaskManagementFunction.ABORT_TASK
        assert (request.referenced_task_tag, request.ref_cmd_sn) == (task.initiator_task_tag, FIRST_CMD_SN)
        assert (request.lun, request.is_immediate) == (4 << 48, True)
        with pytest.raises(TaskAborted, match="ABORT TASK"):
            await task
        assert session.connections[1].tasks == {}


async def test_a_task_that_ended_first_keeps_its_result() -> None:
    """The response was on its way before the answer to the function."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        command = await target.expect(ScsiCommand)
        abort = asyncio.ensure_future(abort_task(session, task))
        await asyncio.sleep(0)
        target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag, status=8))
        await answer(target, TaskManagementResponseCode.TASK_DOES_NOT_EXIST)
        assert await abort == TaskManagementResponseCode.TASK_DOES_NOT_EXIST
        assert (await task).status == 8


async def test_an_unsent_task_is_taken_back() -> None:
    """Nothing goes over the wire for it."""
    async with session_pair(window=0) as (session, _):
        task = session.start(0, TEST_UNIT_READY)
        assert await abort_task(session, task) == TaskManagementResponseCode.FUNCTION_COMPLETE
        with pytest.raises(TaskAborted, match="before it was sent"):
            await task
        assert session.window.waiting == 0


@pytest.mark.parametrize(
    ("function", "ended"),
    [
        (TaskManagementFunction.ABORT_TASK_SET, {1}),
        (TaskManagementFunction.CLEAR_TASK_SET, {1}),
        (TaskManagementFunction.LOGICAL_UNIT_RESET, {1}),
        (TaskManagementFunction.TARGET_WARM_RESET, {1, 2}),
        (TaskManagementFunction.TARGET_COLD_RESET, {1, 2}),
        (TaskManagementFunction.CLEAR_ACA, set()),
    ],
)
async def test_a_function_ends_the_tasks_of_its_scope(function: TaskManagementFunction, ended: set[int]) -> None:
    """Those of the unit, of all units, or none, on every connection; not those sent after it."""
    async with session_pair(connections=2) as (session, targets):
        tasks = {
            lun: session.start(lun, TEST_UNIT_READY, connection=connection)
            for lun, connection in zip((1, 2), session.connections.values(), strict=True)
        }
        managing = asyncio.ensure_future(manage(session, function, lun=1, connection=session.connections[0]))
        await targets[0].expect(ScsiCommand)
        request = await targets[0].expect(TaskManagementRequest)
        assert (request.referenced_task_tag, request.lun) == (RESERVED_TAG, 1 << 48)
        later = session.start(1, TEST_UNIT_READY)
        targets[0].send(TaskManagementResponse(initiator_task_tag=request.initiator_task_tag))
        assert await managing == TaskManagementResponseCode.FUNCTION_COMPLETE
        assert {lun for lun, task in tasks.items() if task.ended} == ended
        assert not later.ended


async def test_a_refused_function_ends_nothing() -> None:
    """The tasks go on when the target has not done it."""
    async with session_pair() as (session, [target]):
        task = session.start(1, TEST_UNIT_READY)
        reset = asyncio.ensure_future(logical_unit_reset(session, 1))
        await target.expect(ScsiCommand)
        await answer(target, TaskManagementResponseCode.FUNCTION_NOT_SUPPORTED)
        assert await reset == TaskManagementResponseCode.FUNCTION_NOT_SUPPORTED
        assert not task.ended
