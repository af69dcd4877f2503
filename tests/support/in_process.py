"""A target on a loopback port, in the loop of the test: for storage that only a test can make."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.login_policy import Authentication, LoginCompleted
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.text import TextExchange
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.task import Task
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.listener import Listener, LoginLimiter, bind, route_of
from isthmus.server.login_phase import LoginPhase
from isthmus.server.login_policy import Directory, PortalPolicy
from isthmus.server.options import Portal
from isthmus.server.send_targets import text_exchange
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode
from tests.support.patience import PATIENCE
from tests.support.server import Url

__all__ = ["InProcessServer", "in_process_server"]

TARGET = IscsiName("iqn.2026-01.com.example:in-process")


@dataclass(kw_only=True)
class InProcessServer:
    """What a test needs to know of it."""

    url: Url
    engine: ReferenceEngine
    internal_errors: list[Exception] = field(default_factory=list)


@contextlib.asynccontextmanager
async def in_process_server(*units: LogicalUnit, offers: Offers | None = None) -> AsyncIterator[InProcessServer]:
    """Serve `units` as LUN 0, 1, … until the block ends; then all sessions end, and nothing may be left under way."""
    engine = ReferenceEngine(asyncio.get_running_loop())
    sock = bind(Portal("127.0.0.1", 0))
    address, port = sock.getsockname()[:2]
    server = InProcessServer(url=Url(address=address, port=port, iqn=TARGET, lun=0), engine=engine)

    def note(_: Task, error: Exception) -> None:
        server.internal_errors.append(error)

    node = TargetNode(TARGET, TaskRouter(engine.workers, note), offers=offers or Offers())
    node.mappings.update((lun, LunMapping(unit)) for lun, unit in enumerate(units))
    node.add_portal_group(PortalGroup(target_portal_group_tag=1, relative_target_port_id=1))
    directory = Directory(Authentication(), Offers())
    directory.add(node)

    async def log_in(accepted: socket.socket, peer: str) -> None:
        route = route_of(accepted, peer)

        def text(login: LoginCompleted) -> TextExchange:
            return text_exchange(directory, login, route)

        policy = PortalPolicy(directory, engine, lambda node: node.portal_groups[1], route)
        await LoginPhase(accepted, peer, policy, engine, text).run()

    limiter = LoginLimiter()
    listener = Listener(sock, limiter, log_in)
    listener.start()
    try:
        yield server
    finally:
        listener.stop()
        await limiter.stop()
        engine.end_all("the test is over")
        over = await engine.wait_idle(PATIENCE)
        engine.workers.close()
    assert over, "something is still under way"
