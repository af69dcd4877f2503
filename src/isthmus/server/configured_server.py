"""A server whose targets, disks and portals come from a configuration and change with it."""

import socket
from asyncio import AbstractEventLoop
from collections.abc import Iterable

from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.login_policy import Authentication, LoginCompleted
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.text import TextExchange
from isthmus.scsi.state_store import UnitStateStore
from isthmus.server.disks import Disks
from isthmus.server.listener import Listener, LoginLimiter, route_of
from isthmus.server.login_phase import LoginPhase
from isthmus.server.login_policy import Directory, PortalPolicy
from isthmus.server.options import Portal
from isthmus.server.port_identifiers import PortIdentifiers
from isthmus.server.portal_set import PortalSet
from isthmus.server.reconcile import Reconciler
from isthmus.server.send_targets import text_exchange
from isthmus.server.stopping import drain, log_internal_error
from isthmus.server.unit_watch import UnitWatch
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode

__all__ = ["ConfiguredServer"]


class ConfiguredServer:
    """All parts of it; `reconciler` changes them."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        state: UnitStateStore,
        default_portals: tuple[Portal, ...],
        inherited: Iterable[socket.socket] = (),
    ) -> None:
        """Nothing is served yet. `state` keeps what units remember; `inherited`: see `PortalSet`."""
        self.engine = ReferenceEngine(loop)
        self.directory = Directory(Authentication(), Offers())
        self.limiter = LoginLimiter()
        self.portals = PortalSet(self._listener, inherited)
        self.disks = Disks(state, self.engine.workers)
        self.watch = UnitWatch(self.disks.units, self.engine.workers, loop)
        self.reconciler = Reconciler(
            self.engine,
            self.directory,
            self.disks,
            self.portals,
            PortIdentifiers(state),
            default_portals=default_portals,
            on_internal_error=log_internal_error,
        )

    async def refuse_logins(self) -> None:
        """Listen no more, and give up the logins under way."""
        self.watch.stop()
        self.portals.stop()
        await self.limiter.stop()

    async def end_sessions(self) -> None:
        """Ask the initiators to log out, and end what is left in time."""
        for unit in self.disks.units:
            unit.stop_background()
        await drain(self.engine)

    def _listener(self, sock: socket.socket, bound: Portal) -> Listener:
        async def log_in(accepted: socket.socket, peer: str) -> None:
            route = route_of(accepted, peer)

            def reach(node: TargetNode) -> PortalGroup | None:
                return node.reached_at(route.portal_address, bound.port)

            def text(login: LoginCompleted) -> TextExchange:
                return text_exchange(self.directory, login, route)

            policy = PortalPolicy(self.directory, self.engine, reach, route)
            await LoginPhase(accepted, peer, policy, self.engine, text).run()

        return Listener(sock, self.limiter, log_in)
