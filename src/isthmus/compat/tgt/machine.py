"""What runs, as the answers to tgtadm need it: the use cases of management, and a look at disks and sessions."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.config.model import BackstoreKey, Configuration, Portal
from isthmus.engine.reference import ReferenceEngine
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.management.errors import BusyError, DaemonError
from isthmus.management.service import Service
from isthmus.management.views import SessionView
from isthmus.scsi.counts import Counts
from isthmus.scsi.fast_path_grant import FastPathGrant
from isthmus.scsi.lun import encode_lun
from isthmus.server.disks import Disks
from isthmus.server.login_policy import Directory

__all__ = ["Counted", "DiskState", "Edit", "Machine", "ServiceMachine"]

Edit = Callable[[Configuration], Configuration]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskState:
    """A disk as it is now."""

    size: int = 0
    """Bytes."""
    block_length: int = 512
    medium_present: bool = False
    prevent_removal: bool = False
    write_protected: bool = False
    """By an initiator: SWP of the Control mode page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a session has read and written at a LUN."""

    target: str
    session: int
    lun: int
    reads: int
    read_bytes: int
    writes: int
    written_bytes: int
    errors: int = 0


class Machine(Protocol):
    """What a request can be answered from."""

    ready: bool
    """Off: nobody may log in (tgt's system state)."""

    @property
    def configuration(self) -> Configuration:
        """What runs."""

    @property
    def portals(self) -> tuple[Portal, ...]:
        """Where is listened, or should be."""

    @property
    def sessions(self) -> list[SessionView]:
        """Every session."""

    @property
    def disks(self) -> Mapping[BackstoreKey, DiskState]:
        """Every disk that runs."""

    @property
    def counted(self) -> list[Counted]:
        """For each session, its LUNs in order."""

    async def edit(self, edit: Edit, *, force: bool, busy: Status, caller: Caller) -> None:
        """Change what runs; raises `Refused`: with `busy` if something that would go is in use."""

    def drop_connection(self, session: int, cid: int, caller: Caller) -> None:
        """Close a connection that is there."""


_OFFLINE: Final = "the target system is offline"


class _Running(Mapping[BackstoreKey, DiskState]):
    """Looked at one by one: of thousands, few are asked for."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks

    @override
    def __getitem__(self, key: BackstoreKey) -> DiskState:
        unit = self._disks.unit(key)
        if unit is None:
            raise KeyError(key)
        return DiskState(
            size=unit.backstore.size,
            block_length=unit.block_length,
            medium_present=unit.medium_present,
            prevent_removal=bool(unit.prevent_removal),
            write_protected=unit.mode.software_write_protect,
        )

    @override
    def __iter__(self) -> Iterator[BackstoreKey]:
        return (disk.settings.key for disk in self._disks if disk.unit is not None)

    @override
    def __len__(self) -> int:
        return sum(1 for _ in self)


class ServiceMachine:
    """The daemon."""

    def __init__(self, service: Service, directory: Directory, engine: ReferenceEngine, disks: Disks) -> None:
        self._service = service
        self._directory = directory
        self._engine = engine
        self._disks = disks

    @property
    def ready(self) -> bool:
        """See `Machine`."""
        return not self._directory.closed

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._directory.closed = "" if ready else _OFFLINE

    @property
    def configuration(self) -> Configuration:
        """See `Machine`."""
        return self._service.configuration

    @property
    def portals(self) -> tuple[Portal, ...]:
        """See `Machine`."""
        texts = dict.fromkeys(view.bound or view.portal for view in self._service.portals())
        return tuple(_portal(text) for text in texts)

    @property
    def sessions(self) -> list[SessionView]:
        """See `Machine`."""
        return self._service.sessions.views()

    @property
    def disks(self) -> Mapping[BackstoreKey, DiskState]:
        """See `Machine`."""
        return _Running(self._disks)

    @property
    def counted(self) -> list[Counted]:
        """See `Machine`."""
        rows = []
        for node in self._directory.targets.values():
            for session, nexus in sorted(node.nexuses.items(), key=lambda pair: pair[0].tsih):
                for lun in sorted(nexus.mappings):
                    counts = _counts(nexus.grants.get(encode_lun(lun)))
                    rows.append(
                        Counted(
                            target=node.name,
                            session=session.tsih,
                            lun=lun,
                            reads=counts.read_commands,
                            read_bytes=counts.bytes_read,
                            writes=counts.write_commands,
                            written_bytes=counts.bytes_written,
                            errors=counts.read_errors + counts.write_errors,
                        )
                    )
        return rows

    async def edit(self, edit: Edit, *, force: bool, busy: Status, caller: Caller) -> None:
        """See `Machine`."""
        try:
            await self._service.edit(edit, None, force=force, who=caller)
        except BusyError as error:
            raise Refused(busy, str(error)) from None
        except ConfigurationError as error:
            raise Refused(Status.INVALID_REQUEST, str(error)) from None
        except (DaemonError, TimeoutError) as error:
            raise Refused(Status.UNKNOWN_ERROR, str(error)) from None

    def drop_connection(self, session: int, cid: int, caller: Caller) -> None:
        """See `Machine`."""
        for found in self._engine.sessions:
            if found.tsih == session:
                self._engine.drop_connection(found, cid, f"{caller} closes it")


def _counts(grant: FastPathGrant | None) -> Counts:
    """What went the short way and the long one."""
    return Counts() if grant is None else Counts.of_grants((grant,)) + grant.long_way


def _portal(text: str) -> Portal:
    address, _, port = text.rpartition(":")
    return dataclasses.replace(Portal(address), port=int(port))
