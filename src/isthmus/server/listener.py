"""A listening socket: accepts connections and starts their logins, within limits that no stranger can lift."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from isthmus import events
from isthmus.errors import ConfigurationError
from isthmus.server.options import Portal
from isthmus.target.access import Route

__all__ = [
    "MAX_LOGINS",
    "MAX_LOGINS_OF_ADDRESS",
    "Listener",
    "LoginLimiter",
    "bare_address",
    "bind",
    "format_address",
    "plain_address",
    "route_of",
]

MAX_LOGINS: Final = 512
"""Connections in login at once, of all addresses together."""
MAX_LOGINS_OF_ADDRESS: Final = 64
"""Connections in login at once from one address: enough for a host that comes back with all its paths."""
_BACKLOG: Final = 128
_AT_ONCE: Final = 16
"""Connections accepted in one turn of the loop: the limiter gives up only logins that have begun, and close themselves."""

_log = structlog.get_logger()

StartLogin = Callable[[socket.socket, str], Coroutine[Any, Any, None]]
"""Runs the login of an accepted socket from a peer (as text)."""


class LoginLimiter:
    """Bounds the connections that are in login.

    When one more comes, the one of its address that has been at it for longest is given up (beyond `MAX_LOGINS`, the
    longest of all): whoever logs in properly is done in milliseconds, whoever holds connections open loses them.
    """

    def __init__(self) -> None:
        """Nothing in login."""
        self._of_address: dict[str, dict[asyncio.Task[None], None]] = {}
        """The logins of each address, the oldest first."""
        self._all: dict[asyncio.Task[None], str] = {}
        """Every login with its address, the oldest first."""

    def start(self, address: str, login: Coroutine[Any, Any, None]) -> None:
        """Run `login`."""
        of_address = self._of_address.get(address, {})
        if len(of_address) >= MAX_LOGINS_OF_ADDRESS:
            self._give_up(next(iter(of_address)))
        elif len(self._all) >= MAX_LOGINS:
            self._give_up(next(iter(self._all)))
        task = asyncio.get_running_loop().create_task(login)
        self._all[task] = address
        self._of_address.setdefault(address, {})[task] = None
        task.add_done_callback(self._ended)

    def _give_up(self, task: asyncio.Task[None]) -> None:
        """Cancel a login; from now on it does not count, though it ends only in the next turn of the loop."""
        events.emit(events.LOGIN_GIVEN_UP, address=self._all[task], reason="too many connections are in login")
        self._forget(task)
        task.cancel()

    def _forget(self, task: asyncio.Task[None]) -> str | None:
        address = self._all.pop(task, None)
        if address is not None:
            of_address = self._of_address[address]
            del of_address[task]
            if not of_address:
                del self._of_address[address]
        return address

    def _ended(self, task: asyncio.Task[None]) -> None:
        address = self._forget(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("internal error in login", address=address, exc_info=error)

    async def stop(self) -> None:
        """Give up all of them."""
        tasks = list(self._all)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Listener:
    """One listening socket on the loop."""

    def __init__(self, sock: socket.socket, limiter: LoginLimiter, start_login: StartLogin) -> None:
        """`sock` is bound (see `bind`); connections are accepted once `start` is called."""
        self._socket = sock
        self._limiter = limiter
        self._start_login = start_login

    def start(self) -> None:
        """Accept from now on."""
        self._socket.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def stop(self) -> None:
        """Accept no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of descriptors: they wait in the backlog until some are free again.
                events.emit(
                    events.ACCEPT_FAILED,
                    portal=format_address(*self._socket.getsockname()[:2]),
                    reason=os.strerror(error.errno or 0),
                )
                self._pause()
                return
            accepted.setblocking(False)
            self._limiter.start(address[0], self._start_login(accepted, format_address(*address[:2])))

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.call_later(1.0, self._unpause)

    def _unpause(self) -> None:
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)


def bind(portal: Portal) -> socket.socket:
    """A socket bound to `portal`; raises `ConfigurationError` with the remedy if the address cannot be had."""
    family = socket.AF_INET6 if portal.is_ipv6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if portal.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if portal.is_wildcard else 1)
        sock.bind((portal.address, portal.port))
        sock.listen(0)
    except OSError as error:
        sock.close()
        raise ConfigurationError(f"cannot listen on {portal}", _remedy(error)) from error
    return sock


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has this port; stop it, or choose another with --portal ADDR:PORT"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has this address; choose one that it has"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "ports below 1024 are for root; choose another"
    return os.strerror(error.errno or 0)


def format_address(host: str, port: int) -> str:
    """As people write it, IPv6 in brackets."""
    host = plain_address(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plain_address(host: str) -> str:
    """The address as the peer knows it: IPv4 on a dual-stack socket looks like ::ffff:192.0.2.1."""
    return host.removeprefix("::ffff:") if "." in host else host


def route_of(accepted: socket.socket, peer: str) -> Route:
    """How the connection of an accepted socket has come; `peer` is what `format_address` made."""
    address, port = accepted.getsockname()[:2]
    return Route(address=bare_address(peer), portal_address=plain_address(address), portal_port=port)


def bare_address(formatted: str) -> str:
    """The address in what `format_address` made."""
    return formatted.rpartition(":")[0].removeprefix("[").removesuffix("]")
