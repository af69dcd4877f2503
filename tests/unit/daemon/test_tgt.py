import os
from pathlib import Path

from isthmus.compat.tgt.client import TgtClient
from isthmus.compat.tgt.server import open_tgt_socket
from isthmus.compat.tgt.wire import Mode, Operation, Request
from isthmus.daemon.tgt import tgt_server
from isthmus.server.blocking import in_thread
from isthmus.server.options import Portal
from tests.support.patience import PATIENCE
from tests.support.service import running_service


def names_of_children() -> list[str]:
    """What pidof would find them by."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0] for pid in children]


async def test_tgtadm_sees_the_daemon(tmp_path: Path) -> None:
    """And the portals that targets would get; as long as it is answered, tgtd is found by its name."""
    prefix = str(tmp_path / "socket")
    async with running_service() as running:
        server = tgt_server(open_tgt_socket(prefix), running.service, running.server, [Portal("192.0.2.1", 860)])
        server.start(lambda: None)
        request = Request(mode=Mode.PORTAL, operation=Operation.SHOW)
        response = await in_thread(lambda: TgtClient(prefix=prefix).ask(request), timeout=PATIENCE)
        assert response.text == "Portal: 192.0.2.1:860,1\n"
        named = [name for name in names_of_children() if name == "tgtd"]
        await server.stop()
        assert (named, "tgtd" in names_of_children()) == (["tgtd"], False)
