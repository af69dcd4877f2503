import errno
from collections.abc import AsyncIterator

import pytest

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.machine import Counted, ServiceMachine
from isthmus.config.model import Configuration, Portal
from isthmus.errors import ConfigurationError
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.management.callers import Caller
from tests.support.service import ONE, Running, disk, running_service, target

CALLER = Caller(face="tgtadm", uid=0)
STORE = disk("a")


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """With a target."""
    async with running_service() as running:
        await running.put(target(STORE))
        yield running


def machine(running: Running) -> ServiceMachine:
    """What tgtadm sees of it."""
    server = running.server
    return ServiceMachine(running.service, server.directory, server.engine, server.disks)


async def test_what_runs_is_seen(running: Running) -> None:
    """The disk as it is, where it is listened, and who has read how much."""
    seen = machine(running)
    state = seen.disks[STORE.key]
    assert (state.size, state.block_length, state.medium_present) == (1 << 20, 512, True)
    settings = running.settings()
    assert seen.portals == (Portal("127.0.0.1", settings.port),)
    assert (seen.sessions, seen.counted) == ([], [])
    async with await Session.login(settings) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        await unit.read(lba=0, num_blocks=4, block_length=512)
        (view,) = seen.sessions
        expected = Counted(target=ONE, session=view.tsih, lun=0, reads=1, read_bytes=2048, writes=0, written_bytes=0)
        assert seen.counted == [expected]
        seen.drop_connection(view.tsih, view.connections[0].cid, CALLER)
        assert seen.sessions[0].connections == ()


async def test_the_whole_can_be_closed(running: Running) -> None:
    """And opened again."""
    seen = machine(running)
    seen.ready = False
    with pytest.raises(LoginFailed) as caught:
        await Session.login(running.settings())
    assert caught.value.status == LoginStatus.SERVICE_UNAVAILABLE
    seen.ready = True
    async with await Session.login(running.settings()):
        assert seen.ready


async def test_errors_have_their_numbers(running: Running) -> None:
    """What is in use, what cannot be, what cannot be saved."""
    seen = machine(running)

    def wrong(_: Configuration) -> Configuration:
        raise ConfigurationError("it cannot be")

    async with await Session.login(running.settings()):
        with pytest.raises(Refused) as caught:
            await seen.edit(lambda _: Configuration(), force=False, busy=Status.TARGET_ACTIVE, caller=CALLER)
        assert caught.value.status == Status.TARGET_ACTIVE
    with pytest.raises(Refused) as caught:
        await seen.edit(wrong, force=False, busy=Status.TARGET_ACTIVE, caller=CALLER)
    assert caught.value.status == Status.INVALID_REQUEST
    running.keeper.error = OSError(errno.ENOSPC, "no space left")
    with pytest.raises(Refused) as caught:
        await seen.edit(lambda _: Configuration(), force=True, busy=Status.TARGET_ACTIVE, caller=CALLER)
    assert caught.value.status == Status.UNKNOWN_ERROR
    assert ONE in seen.configuration.targets


async def test_disks_are_looked_at_when_asked_for(running: Running) -> None:
    """As they are then: a list of thousands of targets asks for each of its disks once."""
    disks = machine(running).disks
    assert list(disks) == [STORE.key]
    await running.put(target(disk("a", size=2 << 20)))
    assert disks[STORE.key].size == 2 << 20
    await running.put(Configuration())
    assert (len(disks), disks.get(STORE.key)) == (0, None)
