"""One run of the daemon: load, serve, be controlled, and stop in order."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

import isthmus
from isthmus import events
from isthmus.compat.tgt.server import open_tgt_socket
from isthmus.config.store import ConfigurationStore, Loaded
from isthmus.daemon.service_manager import ServiceManager
from isthmus.daemon.tgt import tgt_server
from isthmus.errors import ConfigurationError, IsthmusError
from isthmus.management.audit import AuditFile
from isthmus.management.callers import Caller
from isthmus.management.collector import Collector
from isthmus.management.event_log import EventLog
from isthmus.management.places import control_socket
from isthmus.management.service import Service
from isthmus.management.sessions import Sessions
from isthmus.management.views import ApplyReport, VersionView
from isthmus.rest.late_app import LateApp
from isthmus.rest.network_server import NetworkOptions, NetworkServer
from isthmus.rest.unix_server import ControlServer, open_control_socket
from isthmus.server.blocking import in_thread
from isthmus.server.configured_server import ConfiguredServer
from isthmus.server.descriptors import raise_descriptor_limit
from isthmus.server.options import LogLevel, Portal
from isthmus.server.state_directory import StateDirectory
from isthmus.server.stopping import stop_or_exit

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["TGT_SOCKET", "DaemonOptions", "run"]

_LOAD_SECONDS: Final = 60.0
TGT_SOCKET: Final = "tgt_socket"
"""The option of the configuration that stands in for --tgt-socket."""
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
    advertised: tuple[Portal, ...] = ()
    """What discovery tells of portals on every address; empty: the address that the initiator came to."""
    tgt_socket: str = ""
    """Where tgtadm finds the daemon (PREFIX of PREFIX.0); empty: what the saved configuration says, or nowhere."""
    control_group: str | None = None
    """The group whose members may control the daemon, beside its own user and root."""
    api: NetworkOptions | None = None
    """Where the same is offered on the network; None: nowhere."""
    log_level: LogLevel = field(default=LogLevel.INFO)


def run(options: DaemonOptions) -> int:
    """Serve until SIGTERM or SIGINT; gives the exit status. Raises `ConfigurationError` if it cannot start."""
    raise_descriptor_limit()
    with _lock(options.state_directory):
        store = ConfigurationStore(options.state_directory)
        with Collector().rests():
            loaded = store.load()
        manager = ServiceManager()
        control = open_control_socket(control_socket(options.run_directory), options.control_group)
        try:
            tgt = _open_tgt_socket(options, loaded)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(options, store, loaded, manager, control, tgt))
        finally:
            control.close()
            control_socket(options.run_directory).unlink(missing_ok=True)


def _open_tgt_socket(options: DaemonOptions, loaded: Loaded) -> socket.socket | None:
    prefix = options.tgt_socket or str(loaded.configuration.options.get(TGT_SOCKET, ""))
    return open_tgt_socket(prefix) if prefix else None


async def _serve(
    options: DaemonOptions,
    store: ConfigurationStore,
    loaded: Loaded,
    manager: ServiceManager,
    control: socket.socket,
    tgt: socket.socket | None,
) -> int:
    return await _Daemon(options, store, loaded, manager, control, tgt).serve()


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
        tgt: socket.socket | None,
    ) -> None:
        """To be made on the running loop."""
        self._options = options
        self._store = store
        self._loaded = loaded
        self._manager = manager
        self._started = time.time()
        self._reloading: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        state = StateDirectory(options.state_directory / _UNITS)
        audit = AuditFile(options.state_directory)
        self._server = ConfiguredServer(loop, state, options.portals, manager.sockets)
        self._server.directory.advertised = options.advertised
        self._service = Service(
            self._server.reconciler,
            self._server.disks,
            self._server.portals,
            Sessions(self._server.engine, self._server.directory, audit),
            store,
            # Milliseconds since 1970: no revision of this run is one that a client remembers from an earlier one.
            first_revision=time.time_ns() // 1_000_000,
            audit=audit,
        )
        self._events = EventLog()
        self._events.start()
        app = LateApp(self._make_app, self._service.collector)
        self._control = ControlServer(app, control, options.control_group)
        self._network = None if options.api is None else NetworkServer(app, options.api)
        self._tgt = None if tgt is None else tgt_server(tgt, self._service, self._server, options.portals)

    async def serve(self) -> int:
        """Serve until a signal says stop, then stop; gives the exit status."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop_or_exit, stop, number)
        await self._load()
        self._control.start()
        if self._network is not None:
            self._network.start()
            _log.info("API opened", address=str(self._network.address))
        if self._tgt is not None:
            self._tgt.start(stop.set)
        self._server.watch.start()
        loop.add_signal_handler(signal.SIGHUP, self._on_hang_up)
        self._announce_ready(loop)
        await stop.wait()
        return await self._stop()

    async def _stop(self) -> int:
        events.emit(events.STOPPING)
        self._manager.stopping()
        await self._server.refuse_logins()
        self._events.stop()
        await self._control.stop()
        if self._network is not None:
            await self._network.stop()
        if self._tgt is not None:
            await self._tgt.stop()
        await self._server.end_sessions()
        problems = await self._service.close()
        for problem in problems:
            _log.error("storage not closed in order", reason=problem)
        return 1 if problems else 0

    async def _load(self) -> None:
        loaded = self._loaded
        for problem in loaded.problems:
            _log.error("saved configuration passed over", reason=problem)
        for remark in loaded.remarks:
            _log.warning("saved configuration not done as it says", where=remark.where, what=remark.what)
        await self._service.load(loaded.configuration)
        self._service.collector.spare()
        events.emit(
            events.CONFIGURATION_LOADED,
            source=str(loaded.source or "none: it starts empty"),
            targets=len(loaded.configuration.targets),
            backstores=len(loaded.configuration.backstores),
        )

    def _make_app(self) -> "FastAPI":
        """Runs on a thread."""
        from isthmus.rest.app import create_app

        return create_app(self._service, self._version(), self._reload, self._events)

    def _version(self) -> VersionView:
        loaded = self._loaded
        return VersionView(
            version=isthmus.__version__,
            pid=os.getpid(),
            started=self._started,
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

    # -- Reading the file again ----------------------------------------------------------------------------------------

    def _on_hang_up(self) -> None:
        self._server.watch.follow_sizes()
        self._reloading = asyncio.get_running_loop().create_task(self._reload_by_signal())

    async def _reload_by_signal(self) -> None:
        self._manager.reloading(time.monotonic_ns() // 1000)
        try:
            if self._network is not None:
                self._network.reload()
            report = await self._reload("SIGHUP")
            _log.info("configuration read again", changes=len(report.changes))
        except (IsthmusError, TimeoutError) as error:
            _log.error("configuration not read again", reason=str(error))
        self._manager.ready()

    async def _reload(self, who: Caller | str) -> ApplyReport:
        """Make the saved file the running configuration; raises `ConfigurationError` if it is damaged."""
        with self._service.collector.rests():
            loaded = await in_thread(self._store.load, timeout=_LOAD_SECONDS)
        if loaded.problems:
            raise ConfigurationError(loaded.problems[0], "what runs stays as it is")
        if loaded.source is None:
            raise ConfigurationError("there is no saved configuration", "what runs stays as it is")
        return await self._service.replace(loaded.configuration, None, who=who)
