from isthmus.initiator.discovery import discover
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from tests.support.service import HOST, ONE, disk, running_service, target


async def test_logins_come_to_the_targets_of_the_configuration() -> None:
    """And are given up, like the sockets, when it ends."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        settings = running.settings()
        async with await Session.login(settings):
            [session] = running.server.engine.sessions
            assert session.initiator_name == HOST
        asking = LoginSettings(host=settings.host, port=settings.port)
        assert [found.name for found in await discover(asking)] == [ONE]
        await running.server.refuse_logins()
        assert running.service.portals()[0].listening is False
        await running.server.end_sessions()
        assert running.server.engine.idle
