"""One run of the server: open the storage, listen, serve, and stop in order."""

import asyncio
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

import uvloop

from isthmus import events
from isthmus.backstores.base import Backstore
from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.login_policy import Authentication, LoginCompleted
from isthmus.iscsi.parameters import Keepalive, Offers
from isthmus.iscsi.text import TextExchange
from isthmus.scsi.copy.manager import CopyServices
from isthmus.scsi.device_type import CD_DVD, DISK
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.descriptors import raise_descriptor_limit
from isthmus.server.listener import Listener, LoginLimiter, bind, route_of
from isthmus.server.login_phase import LoginPhase
from isthmus.server.login_policy import Directory, PortalPolicy
from isthmus.server.machine import machine_identity
from isthmus.server.media_keys import keyed
from isthmus.server.options import NOPIN_RESPONSE_TIMEOUT, Portal, ServeOptions
from isthmus.server.resuming import resume
from isthmus.server.send_targets import text_exchange
from isthmus.server.serve_settings import apply_attributes, copies
from isthmus.server.state_directory import StateDirectory, default_state_directory
from isthmus.server.stopping import drain, log_internal_error, stop_or_exit
from isthmus.server.unit_watch import UnitWatch
from isthmus.server.units import close_units, is_in_drive, open_units, withdraw_units
from isthmus.target import portal_group
from isthmus.target.target_node import TargetNode

__all__ = ["Server", "run"]

_TAG: Final = 1
"""The one portal group of a target served from the command line."""


def run(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; gives the exit status. SIGHUP: look at the sizes of files and devices again.

    Raises `ConfigurationError` if it cannot start.
    """
    raise_descriptor_limit()
    backstores = open_units(options)
    try:
        units = make_units(options, backstores)
        sockets = _bind_all(options.portals)
    except BaseException:
        withdraw_units(backstores)
        raise
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Server(options, units, sockets).serve())
    close_units(backstores)
    return 0


def make_units(options: ServeOptions, backstores: Sequence[Backstore]) -> list[LogicalUnit]:
    """A logical unit over each backstore, as it was left; raises `ConfigurationError` if its state cannot be read."""
    store = StateDirectory(options.state_directory or default_state_directory())
    services = CopyServices(randomness=secrets.token_bytes, clock=time.monotonic)
    identities = [
        UnitIdentity.derived(
            f"{machine_identity()} {options.target_name} {backstore.identity}",
            product=(CD_DVD if is_in_drive(unit) else DISK).product,
        )
        for unit, backstore in zip(options.units, backstores, strict=True)
    ]
    units = [
        LogicalUnit(
            keyed(backstore, store, identity.serial, encrypt=options.encrypt and not is_in_drive(unit)),
            device_type=CD_DVD if is_in_drive(unit) else DISK,
            block_length=None if is_in_drive(unit) else options.block_length,
            physical_block_length=options.physical_block_length,
            read_only=options.read_only,
            removable=options.removable,
            identity=identity,
            state=store,
            third_party_copy=services if copies(options.attributes) else None,
            clock=_clock,
            call_later=_call_later,
            erase_rate=options.erase_rate,
            accept_lost_reservations=options.replace_lost_reservations,
        )
        for unit, backstore, identity in zip(options.units, backstores, identities, strict=True)
    ]
    for made in units:
        apply_attributes(made, options.attributes)
    return units


def _bind_all(portals: Sequence[Portal]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        sockets.extend(bind(portal) for portal in portals)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


class Server:
    """One target with its units, on its portals."""

    def __init__(self, options: ServeOptions, units: Sequence[LogicalUnit], sockets: Sequence[socket.socket]) -> None:
        """`units` are LUN 0, 1, … in order; `sockets` are bound to the portals in order."""
        self._options = options
        self._units = units
        self._portals = [Portal(*sock.getsockname()[:2]) for sock in sockets]
        self._sockets = sockets

    async def serve(self) -> None:
        """Serve until a signal says stop, then stop."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop_or_exit, stop, number)
        engine = ReferenceEngine(loop)
        directory = self._directory(engine)
        limiter = LoginLimiter()
        listeners = [self._listener(sock, engine, directory, limiter) for sock in self._sockets]
        for unit in self._units:
            resume(unit, engine.workers)
        for listener in listeners:
            listener.start()
        watch = UnitWatch(self._units, engine.workers, loop)
        watch.start()
        loop.add_signal_handler(signal.SIGHUP, watch.follow_sizes)
        self._announce()
        await stop.wait()
        events.emit(events.STOPPING)
        for listener in listeners:
            listener.stop()
        await limiter.stop()
        watch.stop()
        for unit in self._units:
            unit.stop_background()
        await drain(engine)

    def _directory(self, engine: ReferenceEngine) -> Directory:
        options = self._options
        authentication = _authentication(options)
        offers = Offers(
            header_digest=tuple(options.header_digests),
            data_digest=tuple(options.data_digests),
            max_connections=options.max_connections,
        )
        directory = Directory(authentication, offers)
        node = TargetNode(
            options.target_name,
            TaskRouter(engine.workers, log_internal_error),
            authentication=authentication,
            offers=offers,
            keepalive=Keepalive(
                ping_after=options.nopin_timeout, lost_after=options.nopin_timeout + NOPIN_RESPONSE_TIMEOUT
            ),
        )
        group = portal_group.PortalGroup(
            target_portal_group_tag=_TAG,
            relative_target_port_id=1,
            portals=[portal_group.Portal(portal.address, portal.port) for portal in self._portals],
        )
        node.mappings.update((lun, LunMapping(unit)) for lun, unit in enumerate(self._units))
        node.add_portal_group(group)
        directory.add(node)
        return directory

    def _listener(
        self, sock: socket.socket, engine: ReferenceEngine, directory: Directory, limiter: LoginLimiter
    ) -> Listener:
        async def log_in(accepted: socket.socket, peer: str) -> None:
            route = route_of(accepted, peer)

            def text(login: LoginCompleted) -> TextExchange:
                return text_exchange(directory, login, route)

            policy = PortalPolicy(directory, engine, lambda node: node.portal_groups.get(_TAG), route)
            await LoginPhase(accepted, peer, policy, engine, text).run()

        return Listener(sock, limiter, log_in)

    def _announce(self) -> None:
        for portal in self._portals:
            for lun in range(len(self._units)):
                sys.stdout.write(f"ready: {portal.url(self._options.target_name, lun)}\n")
        sys.stdout.flush()


def _call_later(seconds: float, callback: Callable[[], None]) -> None:
    """Units are made before the main loop runs, and ask for its timer when they need one."""
    asyncio.get_running_loop().call_later(seconds, callback)


def _clock() -> int:
    """Milliseconds since 1970-01-01 00:00 UTC."""
    return time.time_ns() // 1_000_000


def _authentication(options: ServeOptions) -> Authentication:
    chap, mutual = options.chap, options.mutual_chap
    if chap is None:
        return Authentication()
    known = {chap.user: chap.secret}

    def lookup(user: str) -> bytes | None:
        secret = known.get(user)
        return None if secret is None else secret.reveal()

    return Authentication(
        required=True,
        lookup=lookup,
        mutual_user=mutual.user if mutual else "",
        mutual_secret=mutual.secret.reveal() if mutual else None,
    )
