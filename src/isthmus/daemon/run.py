"""One run of the daemon: load, serve, be controlled, and stop in order."""

import asyncio
import fcntl
import gc
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import uvloop

import isthmus
from isthmus.config.store import ConfigurationStore, Loaded
from isthmus.daemon.service_manager import ServiceManager
from isthmus.engine.reference import ReferenceEngine
from isthmus.errors import ConfigurationError, IsthmusError
from isthmus.iscsi.login_policy import Authentication, LoginCompleted
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.text import TextExchange
from isthmus.management.places import control_socket
from isthmus.management.service import Service
from isthmus.management.sessions import Sessions
from isthmus.management.views import ApplyReport, VersionView
from isthmus.rest.app import create_app
from isthmus.rest.unix_server import ControlServer, open_control_socket
from isthmus.server.blocking import in_thread
from isthmus.server.disks import Disks
from isthmus.server.listener import Listener, LoginLimiter, plain_address
from isthmus.server.login_phase import LoginPhase
from isthmus.server.login_policy import Directory, PortalPolicy
from isthmus.server.options import LogLevel, Portal
from isthmus.server.portal_set import PortalSet
from isthmus.server.reconcile import Reconciler
from isthmus.server.send_targets import text_exchange
from isthmus.server.state_directory import StateDirectory
from isthmus.server.stopping import drain, log_internal_error, stop_or_exit
from isthmus.server.unit_watch import UnitWatch
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode

__all__ = ["DaemonOptions", "run"]

_LOAD_SECONDS: Final = 60.0
_LOCK: Final = "daemon.lock"
_UNITS: Final = "units"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonOptions:
    """What one run of the daemon is asked to do."""

    state_directory: Path
    """Where the configuration is kept, and what units remember."""
    run_directory: Path
    """Where the control socket is made."""
    portals: tuple[Portal, ...] = (Portal("::"),)
    """Those of portal groups that name none."""
    control_group: str | None = None
    """The group whose members may control the daemon, beside its own user and root."""
    log_level: LogLevel = field(default=LogLevel.INFO)


def run(options: DaemonOptions) -> int:
    """Serve until SIGTERM or SIGINT; gives the exit status. Raises `ConfigurationError` if it cannot start."""
    with _lock(options.state_directory):
        store = ConfigurationStore(options.state_directory)
        loaded = store.load()
        manager = ServiceManager()
        control = open_control_socket(control_socket(options.run_directory), options.control_group)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_Daemon(options, store, loaded, manager, control).serve())
        finally:
            control.close()
            control_socket(options.run_directory).unlink(missing_ok=True)


def _lock(directory: Path) -> "_Lock":
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _Lock(os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), directory)
    except OSError as error:
        raise ConfigurationError(
            f"the state directory {directory} cannot be used ({error.strerror})", "choose another with --state"
        ) from error


class _Lock:
    """Keeps a second daemon from the state directory."""

    def __init__(self, descriptor: int, directory: Path) -> None:
        self._descriptor = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise ConfigurationError(
                f"another daemon uses {directory}", "stop it, or choose another directory with --state"
            ) from None

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class _Daemon:
    def __init__(
        self,
        options: DaemonOptions,
        store: ConfigurationStore,
        loaded: Loaded,
        manager: ServiceManager,
        control: socket.socket,
    ) -> None:
        self._options = options
        self._store = store
        self._loaded = loaded
        self._manager = manager
        self._control_socket = control

    async def serve(self) -> int:
        """Serve until a signal says stop, then stop; gives the exit status."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop_or_exit, stop, number)
        self._engine = ReferenceEngine(loop)
        self._directory = Directory(Authentication(), Offers())
        self._limiter = LoginLimiter()
        portals = PortalSet(self._listener, self._manager.sockets)
        disks = Disks(StateDirectory(self._options.state_directory / _UNITS), self._engine.workers)
        service = self._service = self._make_service(portals, disks)
        watch = UnitWatch(disks.units, self._engine.workers, loop)
        await self._load(service)
        control = ControlServer(
            create_app(service, self._version(), self._reload), self._control_socket, self._options.control_group
        )
        control.start()
        watch.start()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._on_hang_up(watch))
        self._announce_ready(loop)
        await stop.wait()
        _log.info("stopping")
        self._manager.stopping()
        watch.stop()
        portals.stop()
        await self._limiter.stop()
        await control.stop()
        for unit in disks.units:
            unit.stop_background()
        await drain(self._engine)
        problems = await service.close()
        for problem in problems:
            _log.error("storage not closed in order", reason=problem)
        return 1 if problems else 0

    def _make_service(self, portals: PortalSet, disks: Disks) -> Service:
        reconciler = Reconciler(
            self._engine,
            self._directory,
            disks,
            portals,
            default_portals=self._options.portals,
            on_internal_error=log_internal_error,
        )
        sessions = Sessions(self._engine, self._directory)
        # Milliseconds since 1970: no revision of this run is one that a client remembers from an earlier one.
        first = time.time_ns() // 1_000_000
        return Service(reconciler, disks, portals, sessions, self._store, first_revision=first)

    async def _load(self, service: Service) -> None:
        loaded = self._loaded
        for problem in loaded.problems:
            _log.error("saved configuration passed over", reason=problem)
        for remark in loaded.remarks:
            _log.warning("saved configuration not done as it says", where=remark.where, what=remark.what)
        await service.load(loaded.configuration)
        # What was loaded stays: the collector need not look at it again and again, with all sessions waiting.
        gc.collect()
        gc.freeze()
        _log.info(
            "configuration loaded",
            source=str(loaded.source or "none: it starts empty"),
            targets=len(loaded.configuration.targets),
            backstores=len(loaded.configuration.backstores),
        )

    def _version(self) -> VersionView:
        loaded = self._loaded
        return VersionView(
            version=isthmus.__version__,
            pid=os.getpid(),
            started=time.time(),
            state_directory=str(self._options.state_directory),
            loaded_from=str(loaded.source or ""),
            remarks=(*loaded.problems, *map(str, loaded.remarks)),
        )

    def _announce_ready(self, loop: asyncio.AbstractEventLoop) -> None:
        sys.stdout.write(f"ready: {control_socket(self._options.run_directory)}\n")
        sys.stdout.flush()
        self._manager.ready()
        if self._manager.watchdog_seconds is not None:
            self._watchdog(loop, self._manager.watchdog_seconds / 2)

    def _watchdog(self, loop: asyncio.AbstractEventLoop, period: float) -> None:
        """A loop that stands still does not come here any more, and is ended by the service manager."""
        self._manager.alive()
        loop.call_later(period, self._watchdog, loop, period)

    # -- Connections ---------------------------------------------------------------------------------------------------

    def _listener(self, sock: socket.socket, bound: Portal) -> Listener:
        async def log_in(accepted: socket.socket, peer: str) -> None:
            local_address = plain_address(accepted.getsockname()[0])

            def reach(node: TargetNode) -> PortalGroup | None:
                return node.reached_at(local_address, bound.port)

            def text(login: LoginCompleted) -> TextExchange:
                return text_exchange(self._directory, login, local_address)

            policy = PortalPolicy(self._directory, self._engine, reach)
            await LoginPhase(accepted, peer, policy, self._engine, text).run()

        return Listener(sock, self._limiter, log_in)

    # -- Reading the file again ----------------------------------------------------------------------------------------

    def _on_hang_up(self, watch: UnitWatch) -> None:
        watch.follow_sizes()
        task = asyncio.get_running_loop().create_task(self._reload_by_signal())
        self._reloading = task

    async def _reload_by_signal(self) -> None:
        self._manager.reloading(time.monotonic_ns() // 1000)
        try:
            report = await self._reload("SIGHUP")
            _log.info("configuration read again", changes=len(report.changes))
        except (IsthmusError, TimeoutError) as error:
            _log.error("configuration not read again", reason=str(error))
        self._manager.ready()

    async def _reload(self, who: str) -> ApplyReport:
        """Make the saved file the running configuration; raises `ConfigurationError` if it is damaged."""
        loaded = await in_thread(self._store.load, timeout=_LOAD_SECONDS)
        if loaded.problems:
            raise ConfigurationError(loaded.problems[0], "what runs stays as it is")
        if loaded.source is None:
            raise ConfigurationError("there is no saved configuration", "what runs stays as it is")
        return await self._service.replace(loaded.configuration, None, who=who)
