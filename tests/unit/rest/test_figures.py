from isthmus.initiator.session import Session
from isthmus.management.callers import Caller
from isthmus.management.views import ApplyReport, BackstoreUsageView, SessionUsageView, VersionView
from isthmus.rest.app import create_app
from tests.support.asgi import ask
from tests.support.service import HOST, disk, running_service, target

VERSION = VersionView(version="1", pid=1, started=0.0, state_directory="/x", loaded_from="")


async def reload(_: Caller) -> ApplyReport:
    """Nobody asks for it."""
    raise AssertionError


async def test_figures() -> None:
    """By backstore, by session, and for Prometheus."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        app = create_app(running.service, VERSION, reload)
        async with await Session.login(running.settings()):
            backstores = await ask(app, "GET", "/v1/statistics/backstores", None, {})
            sessions = await ask(app, "GET", "/v1/statistics/sessions?buckets=true", None, {})
            metrics = await ask(app, "GET", "/metrics", None, {})
        [backstore] = map(BackstoreUsageView.read, backstores.value)
        assert (backstore.path, backstore.usage.read_commands) == ("/backstores/ramdisk/a", 0)
        [session] = map(SessionUsageView.read, sessions.value)
        assert session.initiator_name == HOST
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'isthmus_backstore_up{backstore="/backstores/ramdisk/a"} 1\n' in metrics.text
        assert metrics.text.endswith("\n")
