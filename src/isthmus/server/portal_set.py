"""The listening sockets of all portals: one for each address and port, however many targets share it.

A portal may be covered by the socket of a wider one: while some target listens on every address of a port, that one
socket takes all connections of the port, and the address that a connection came in on tells the portals apart. A socket
that cannot be had is tried again; nothing else waits for it.
"""

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from isthmus import events
from isthmus.errors import ConfigurationError
from isthmus.server.listener import Listener, bind
from isthmus.server.options import Portal

__all__ = ["RETRY_SECONDS", "PortalSet", "Serve", "plan"]

RETRY_SECONDS: Final = 5.0
_EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104  compared with, and bound to only if the operator says so
_EVERY: Final = "::"
_NO_PATIENCE: Final[Mapping[Portal, float]] = MappingProxyType({})

Serve = Callable[[socket.socket, Portal], Listener]
"""Makes the listener of a bound socket; the portal is what the socket is bound to."""


def plan(portals: Collection[Portal], *, dual_stack: bool | None = None) -> set[Portal]:
    """The sockets that together cover `portals`, none of which overlap: the system would refuse the second of two that do.

    `dual_stack`: `::` takes IPv4 connections as well; None asks the system.
    """
    dual_stack = socket.has_dualstack_ipv6() if dual_stack is None else dual_stack
    wanted = {portal if dual_stack else _without_ipv6(portal) for portal in portals}
    return {portal for portal in wanted if not any(_covers(other, portal) for other in wanted - {portal})}


def _without_ipv6(portal: Portal) -> Portal:
    """Every address of a machine that has IPv4 only."""
    return Portal(_EVERY_IPV4, portal.port) if portal.address == _EVERY else portal


def _covers(wide: Portal, portal: Portal) -> bool:
    """Whether the socket of `wide` takes the connections of `portal`, another one. Any free port is a port of its own."""
    if wide.port != portal.port or not wide.port:
        return False
    return wide.address == _EVERY or (wide.address == _EVERY_IPV4 and not portal.is_ipv6)


@dataclass(frozen=True, slots=True)
class _Open:
    listener: Listener
    bound: Portal


class PortalSet:
    """Keeps open what is wanted, as far as that is possible."""

    def __init__(self, serve: Serve, inherited: Iterable[socket.socket] = ()) -> None:
        """Nothing is open yet. Everything is called on the running loop.

        `inherited`: bound sockets that the service manager has given us, to be used before any is made.
        """
        self._serve = serve
        self._inherited = {Portal(*sock.getsockname()[:2]): sock for sock in inherited}
        self._wanted: set[Portal] = set()
        self._patience: Mapping[Portal, float] = {}
        self._open: dict[Portal, _Open] = {}
        self._problems: dict[Portal, str] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when a portal that was missing has come to listen."""

    def want(self, portals: Collection[Portal], patience: Mapping[Portal, float] = _NO_PATIENCE) -> None:
        """Listen on `portals` and on nothing else. Sockets that go are closed before others are opened.

        `patience` says after how many seconds a portal that cannot be had is tried again, if not `RETRY_SECONDS`.
        """
        self._patience = patience
        self._wanted = plan(portals)
        for portal in self._open.keys() - self._wanted:
            closed = self._open.pop(portal)
            closed.listener.stop()
            events.emit(events.PORTAL_CLOSED, portal=str(closed.bound))
        self._open_missing()

    def bound(self, portal: Portal) -> Portal | None:
        """Where `portal` listens, with the port that was picked if it wanted any; None: it does not."""
        opened = self._open.get(self._socket_of(portal))
        return None if opened is None else Portal(portal.address, opened.bound.port)

    def problem(self, portal: Portal) -> str:
        """Why `portal` does not listen; empty if it does."""
        return self._problems.get(self._socket_of(portal), "")

    @property
    def has_problems(self) -> bool:
        """Whether something that is wanted does not listen."""
        return bool(self._problems)

    def stop(self) -> None:
        """Close all of them."""
        self.want(())

    def _socket_of(self, portal: Portal) -> Portal:
        """The planned socket that stands for `portal`."""
        for known in (portal, _without_ipv6(portal)):
            if known in self._wanted:
                return known
        return next((wide for wide in self._wanted if _covers(wide, portal)), portal)

    def _open_missing(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._problems = {portal: known for portal, known in self._problems.items() if portal in self._wanted}
        for portal in sorted(self._wanted - self._open.keys(), key=str):
            self._try(portal)
        if self._problems:
            seconds = min(
                (seconds for portal, seconds in self._patience.items() if self._socket_of(portal) in self._problems),
                default=RETRY_SECONDS,
            )
            self._retry = asyncio.get_running_loop().call_later(seconds, self._try_again)

    def _try_again(self) -> None:
        before = len(self._open)
        self._open_missing()
        if len(self._open) > before:
            self.on_change()

    def _try(self, portal: Portal) -> None:
        try:
            sock = self._inherited.pop(portal, None) or bind(portal)
        except ConfigurationError as error:
            if portal not in self._problems:
                events.emit(events.PORTAL_TROUBLE, portal=str(portal), reason=error.remedy)
            self._problems[portal] = error.remedy
            return
        self._problems.pop(portal, None)
        bound = Portal(*sock.getsockname()[:2])
        listener = self._serve(sock, bound)
        listener.start()
        self._open[portal] = _Open(listener, bound)
        events.emit(events.PORTAL_OPENED, portal=str(bound))
