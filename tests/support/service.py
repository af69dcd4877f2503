"""The use cases over a server in this process, on the loop of the test, with a configuration kept in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from isthmus.config.model import Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.initiator.settings import LoginSettings
from isthmus.management.service import Service
from isthmus.management.sessions import Sessions
from isthmus.names import IscsiName
from isthmus.scsi.state_store import MemoryStateStore
from isthmus.server.configured_server import ConfiguredServer
from isthmus.server.options import Portal
from tests.support.patience import PATIENCE

__all__ = ["HOST", "ONE", "TWO", "Keeper", "Running", "disk", "running_service", "target"]

ONE = IscsiName("iqn.2026-01.com.example:one")
TWO = IscsiName("iqn.2026-01.com.example:two")
HOST = IscsiName("iqn.2026-01.com.example:host")
MIB = 1 << 20


@dataclass(slots=True)
class Keeper:
    """Keeps in memory what was saved, or fails."""

    saved: list[Configuration] = field(default_factory=list)
    error: OSError | None = None

    def save(self, configuration: Configuration) -> None:
        """See `ConfigurationKeeper.save`."""
        if self.error is not None:
            raise self.error
        self.saved.append(configuration)

    def compress_backups(self) -> None:
        """There are none."""


@dataclass(slots=True)
class Running:
    """A service and what is under it."""

    service: Service
    server: ConfiguredServer
    keeper: Keeper

    async def put(self, configuration: Configuration, *, force: bool = False) -> tuple[str, ...]:
        """Make it the running one; gives the changes."""
        report = await self.service.replace(configuration, None, force=force, who="a test")
        return report.changes

    def settings(self, name: IscsiName = ONE, **fields: Any) -> LoginSettings:
        """What logs in to a target."""
        [portal] = {view.bound for view in self.service.portals() if view.target_name == name}
        host, _, port = portal.rpartition(":")
        return LoginSettings(host=host, port=int(port), target_name=name, **{"initiator_name": HOST, **fields})


@contextlib.asynccontextmanager
async def running_service() -> AsyncIterator[Running]:
    """A service with nothing in it, that listens on a free port of 127.0.0.1."""
    server = ConfiguredServer(asyncio.get_running_loop(), MemoryStateStore(), (Portal("127.0.0.1", 0),))
    keeper = Keeper()
    sessions = Sessions(server.engine, server.directory)
    service = Service(server.reconciler, server.disks, server.portals, sessions, keeper)
    try:
        yield Running(service, server, keeper)
    finally:
        await server.refuse_logins()
        server.engine.end_all("the test ends")
        assert await server.engine.wait_idle(PATIENCE)
        assert await service.close() == []


def disk(name: str, **fields: Any) -> Backstore:
    """A memory disk of 1 MiB."""
    return Backstore(
        key=BackstoreKey("ramdisk", name),
        **{"size": MIB, "unit_serial": f"serial-of-{name}", "write_back": False, **fields},
    )


def target(*stores: Backstore, name: IscsiName = ONE, **group: Any) -> Configuration:
    """A target whose LUN 0, 1 and so on are these; everybody gets in and may write."""
    luns = tuple(Lun(number=number, backstore=store.key) for number, store in enumerate(stores))
    fields = {"attributes": {"generate_node_acls": 1, "demo_mode_write_protect": 0}, **group}
    groups = (PortalGroup(tag=1, luns=luns, **fields),)
    return Configuration(
        backstores={store.key: store for store in stores}, targets={name: Target(name=name, portal_groups=groups)}
    )
