import asyncio

import pytest

from isthmus.initiator.session import Session
from isthmus.management import sessions
from isthmus.management.errors import NotFoundError
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE, disk, running_service, target


async def test_a_session_is_shown_with_what_it_is() -> None:
    """Names, what was negotiated, what it sees, and where it comes from."""
    async with running_service() as running:
        await running.put(target(disk("a"), disk("b")))
        async with await Session.login(running.settings(initiator_alias="a host")):
            [view] = running.service.sessions.views()
            assert (view.initiator_name, view.initiator_alias, view.target_name) == (HOST, "a host", ONE)
            assert (view.session_type, view.state, view.dynamic, view.luns) == ("Normal", "LOGGED_IN", True, (0, 1))
            assert view.parameters["FirstBurstLength"] == 65536
            [connection] = view.connections
            assert (connection.cid, connection.header_digest) == (0, "None")
            assert connection.local == running.service.portals()[0].bound
        assert running.service.sessions.views() == []


async def test_a_discovery_session_is_one_too() -> None:
    """Without a target."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        settings = running.settings()
        async with await Session.login(type(settings)(host=settings.host, port=settings.port)):
            [view] = running.service.sessions.views()
            assert (view.session_type, view.target_name, view.dynamic) == ("Discovery", "", False)


async def test_an_initiator_that_does_not_log_out_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked, and given its time."""
    monkeypatch.setattr(sessions, "LOGOUT_SECONDS", 0)
    async with running_service() as running:
        await running.put(target(disk("a")))
        session = await Session.login(running.settings())
        [view] = running.service.sessions.views()
        async with asyncio.timeout(PATIENCE):
            await running.service.sessions.end(view.tsih, ask=True, who="a test")
        assert running.service.sessions.views() == []
        await session.close()


async def test_a_session_that_is_not_there() -> None:
    """The error says so."""
    async with running_service() as running:
        with pytest.raises(NotFoundError, match="TSIH 7"):
            await running.service.sessions.end(7, ask=False, who="a test")
