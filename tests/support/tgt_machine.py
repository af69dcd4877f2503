"""A daemon for tgtadm's requests to be answered from: it keeps the configuration, and what a test says of the rest."""

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.compat.tgt.arguments import parse_arguments
from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.face import Face
from isthmus.compat.tgt.machine import Counted, DiskState, Edit
from isthmus.compat.tgt.places import Surroundings
from isthmus.compat.tgt.wire import Request
from isthmus.config.model import Backstore, BackstoreKey, Configuration, Portal, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.management.views import SessionView
from isthmus.names import IscsiName
from tests.support.session_views import CONNECTION, SESSION

__all__ = ["IQN", "FakeMachine", "TgtBench", "session_view"]

IQN = IscsiName("iqn.2026-01.org.example:one")


@dataclass
class FakeMachine:
    """Stands in for `compat.tgt.machine.ServiceMachine`."""

    configuration: Configuration = field(default_factory=Configuration)
    ready: bool = True
    portals: tuple[Portal, ...] = ()
    sessions: list[SessionView] = field(default_factory=list)
    states: dict[BackstoreKey, DiskState] = field(default_factory=dict)
    counted: list[Counted] = field(default_factory=list)
    is_busy: bool = False
    dropped: list[tuple[int, int]] = field(default_factory=list)

    @property
    def disks(self) -> Mapping[BackstoreKey, DiskState]:
        """As they were opened, unless the test says otherwise."""
        found = {
            key: DiskState(
                size=store.size or 10 << 20,
                block_length=int(store.attribute("block_size")),
                medium_present=bool(store.attribute("medium_present")),
            )
            for key, store in self.configuration.backstores.items()
        }
        return {**found, **self.states}

    async def edit(self, edit: Edit, *, force: bool, busy: Status, caller: Caller) -> None:
        """Nothing but the value."""
        new = edit(self.configuration)
        if self.is_busy and not force:
            raise Refused(busy)
        try:
            new.check()
        except ConfigurationError as error:
            raise Refused(Status.INVALID_REQUEST, str(error)) from None
        self.configuration = new

    def drop_connection(self, session: int, cid: int, caller: Caller) -> None:
        """Remember it."""
        self.dropped.append((session, cid))


class TgtBench:
    """What answers tgtadm, without a socket."""

    def __init__(self, *, kinds: Mapping[str, str] | None = None) -> None:
        """`kinds`: of paths that are no files."""
        self.machine = FakeMachine()
        self.around = Surroundings(
            new_serial=lambda key: f"serial-of-{key.name}",
            default_portals=(Portal("127.0.0.1", 3260),),
            kind_of=lambda path: (kinds or {}).get(path, "file"),
        )
        self.face = Face(self.machine, self.around)

    async def tgtadm(self, line: str) -> str:
        """What tgtadm prints; raises `Refused`."""
        return await self.ask(parse_arguments(shlex.split(line)).request)

    async def ask(self, request: Request) -> str:
        """Likewise."""
        response = await self.face.answer(request, Caller(face="tgtadm", uid=0))
        if response.status != Status.SUCCESS:
            raise Refused(Status(response.status))
        return response.text

    async def status(self, line: str) -> Status:
        """The error number."""
        try:
            await self.tgtadm(line)
        except Refused as refused:
            return refused.status
        return Status.SUCCESS

    async def set_up(self, *lines: str) -> None:
        """Target 1, with a disk, that everybody may log in to; then `lines`."""
        for line in (
            f"--op new --mode target --tid 1 -T {IQN}",
            "--op new --mode lu --tid 1 --lun 1 -b /srv/one.img",
            "--op bind --mode target --tid 1 -I ALL",
            *lines,
        ):
            await self.tgtadm(line)

    @property
    def target(self) -> Target:
        """The one of tid 1."""
        return self.machine.configuration.targets[IQN]

    @property
    def group(self) -> PortalGroup:
        """Its portal group."""
        return self.target.portal_groups[0]

    def store(self, lun: int = 1) -> Backstore:
        """The disk at one of its LUNs."""
        key = next(entry.backstore for entry in self.group.luns if entry.number == lun)
        return self.machine.configuration.backstores[key]


def session_view(tsih: int = 2, *, target: str = IQN, cids: tuple[int, ...] = (0,)) -> SessionView:
    """Somebody is logged in."""
    connections = tuple(
        dataclasses.replace(
            CONNECTION,
            cid=cid,
            peer="[fe80::1]:4711",
            received_octets=1000 + cid,
            sent_octets=2000,
            scsi_commands=9,
            scsi_responses=4,
            data_in_pdus=6,
            data_out_pdus=3,
        )
        for cid in cids
    )
    return dataclasses.replace(SESSION, tsih=tsih, target_name=target, luns=(1,), connections=connections)
