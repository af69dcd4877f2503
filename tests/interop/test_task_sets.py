"""ACA conditions and access states through the running server, as two initiators see them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.initiator.task_management import manage
from isthmus.iscsi.opcodes import TaskManagementFunction, TaskManagementResponseCode
from isthmus.scsi.status import Status
from isthmus.scsi.task_attribute import TaskAttribute
from tests.support.server import Server, running_server

TEST_UNIT_READY = bytes(16)
FAILS_WITH_NACA = bytes((0x12, 0, 0x83, 0, 255, 0x04)).ljust(16, b"\0")
"""INQUIRY with a page code and without EVPD."""
BLOCK = 512
STANDBY, ACTIVE = 2, 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a memory disk."""
    directory: Path = tmp_path_factory.mktemp("task-sets")
    with running_server(["--ram", "16M", "--portal", "127.0.0.1:0"], directory, ready_lines=1) as running:
        yield running


async def log_in(server: Server) -> Session:
    """A session that has heard its unit attentions."""
    url = server.url
    session = await Session.login(LoginSettings(host=url.address, port=url.port, target_name=url.iqn))
    await LogicalUnit(session, 0).become_ready()
    return session


async def test_aca(server: Server) -> None:
    """The faulted nexus stops everybody, repairs by ACA tasks, and lets them go on with CLEAR ACA."""
    async with await log_in(server) as session, await log_in(server) as other:
        assert (await session.execute(0, FAILS_WITH_NACA, data_in_length=255)).status == Status.CHECK_CONDITION
        assert (await session.execute(0, TEST_UNIT_READY)).status == Status.ACA_ACTIVE
        assert (await other.execute(0, TEST_UNIT_READY)).status == Status.BUSY
        repair = await session.execute(0, TEST_UNIT_READY, attribute=TaskAttribute.ACA)
        assert repair.status == Status.GOOD
        function = TaskManagementFunction.CLEAR_ACA
        assert await manage(other, function) == TaskManagementResponseCode.FUNCTION_REJECTED
        assert await manage(session, function) == TaskManagementResponseCode.FUNCTION_COMPLETE
        for each in (session, other):
            assert (await each.execute(0, TEST_UNIT_READY)).status == Status.GOOD


async def test_the_end_of_the_session_ends_its_aca(server: Server) -> None:
    """An initiator that goes away without CLEAR ACA stops nobody for ever."""
    async with await log_in(server) as other:
        async with await log_in(server) as session:
            await session.execute(0, FAILS_WITH_NACA, data_in_length=255)
            assert (await other.execute(0, TEST_UNIT_READY)).status == Status.BUSY
        assert (await other.execute(0, TEST_UNIT_READY)).status == Status.GOOD


def set_target_port_groups(state: int) -> tuple[bytes, bytes]:
    """SET TARGET PORT GROUPS of the one group there is: the CDB and the parameter list."""
    return bytes((0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0)).ljust(16, b"\0"), bytes((0, 0, 0, 0, state, 0, 0, 0))


async def test_access_states(server: Server) -> None:
    """In standby READ and WRITE are refused, of the fast path as well; afterwards they run as before."""
    async with await log_in(server) as session, await log_in(server) as other:
        unit, witness = LogicalUnit(session, 0), LogicalUnit(other, 0)
        await unit.write(b"x" * BLOCK, lba=0, block_length=BLOCK)
        cdb, data = set_target_port_groups(STANDBY)
        assert (await session.execute(0, cdb, data_out=data)).status == Status.GOOD
        with pytest.raises(ScsiError) as changed:
            await witness.test_unit_ready()
        assert changed.value.sense is not None
        assert (changed.value.sense.asc, changed.value.sense.ascq) == (0x2A, 0x06)
        for each in (unit, witness):
            with pytest.raises(ScsiError) as refused:
                await each.read(lba=0, num_blocks=1, block_length=BLOCK)
            assert refused.value.sense is not None
            assert (refused.value.sense.asc, refused.value.sense.ascq) == (0x04, 0x0B)
        cdb, data = set_target_port_groups(ACTIVE)
        assert (await session.execute(0, cdb, data_out=data)).status == Status.GOOD
        await witness.become_ready()
        for each in (unit, witness):
            assert await each.read(lba=0, num_blocks=1, block_length=BLOCK) == b"x" * BLOCK
