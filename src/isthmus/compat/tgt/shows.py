"""What tgtadm shows and counts: from what runs to texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from isthmus.compat.tgt.accounts import account_names
from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.machine import Counted, DiskState, Machine
from isthmus.compat.tgt.places import Surroundings, group_of, target_by_tid
from isthmus.compat.tgt.portals import tgt_portals
from isthmus.compat.tgt.session_keys import SESSION_KEYS
from isthmus.compat.tgt.system import isns_settings
from isthmus.compat.tgt.targets import NOP_COUNT, NOP_INTERVAL, rules_of
from isthmus.compat.tgt.texts import (
    NexusText,
    StatRow,
    SystemText,
    TargetText,
    TrafficRow,
    UnitText,
    accounts_text,
    connections_text,
    drivers_text,
    parameters_text,
    portals_text,
    stat_text,
    system_text,
    targets_text,
    traffic_text,
)
from isthmus.compat.tgt.units import BSOFLAGS, BSTYPE, PATH, STORES
from isthmus.compat.tgt.wire import Request
from isthmus.config.model import Backstore, BackstoreKey, Configuration, PortalGroup, Target
from isthmus.management.views import SessionView
from isthmus.names import IscsiName

__all__ = [
    "DRIVER",
    "show_accounts",
    "show_connections",
    "show_drivers",
    "show_portals",
    "show_system",
    "show_targets",
    "stat_connection",
    "stat_session",
    "stat_system",
    "stat_target",
    "stat_unit",
]

DRIVER: Final = "iscsi"
_DEVICE_TYPES: Final = ("disk", "cd/dvd", "controller", "passthrough")
_PARAMETERS_OF_NOPS: Final = (NOP_INTERVAL, NOP_COUNT)


T = TypeVar("T")


# -- Targets -----------------------------------------------------------------------------------------------------------


def show_targets(machine: Machine, request: Request, around: Surroundings) -> str | Iterator[str]:
    """All targets, one after the other, or the settings of one."""
    if request.tid >= 0:
        return _settings_text(target_by_tid(machine.configuration, request.tid, around.tids))
    return _targets(machine, around)


def _targets(machine: Machine, around: Surroundings) -> Iterator[str]:
    """As they were when the first was told: the configuration may change until the last is."""
    configuration, disks = machine.configuration, machine.disks
    sessions = _by_target(machine.sessions, lambda view: view.target_name)
    for tid, name in around.tids.tids(configuration).items():
        yield targets_text([_target(configuration, tid, name, disks, sessions.get(name, []))])


def _by_target(rows: Iterable[T], name: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return found


def _settings_text(target: Target) -> str:
    """The redirection, if there is one; else the session keys."""
    options = target.options
    if "tgt_redirect_address" in options:
        return parameters_text(
            (
                ("RedirectAddress", options["tgt_redirect_address"]),
                ("RedirectPort", options.get("tgt_redirect_port", "")),
                ("RedirectReason", options.get("tgt_redirect_reason", "Unknown")),
            )
        )
    group = group_of(target)
    nops = [(name, group.attributes.get(name, 0)) for name in _PARAMETERS_OF_NOPS]
    return parameters_text((*nops, *((key.name, key.shown(group, options)) for key in SESSION_KEYS)))


def _target(
    configuration: Configuration,
    tid: int,
    name: IscsiName,
    disks: Mapping[BackstoreKey, DiskState],
    sessions: Iterable[SessionView],
) -> TargetText:
    target = configuration.targets[name]
    group = target.portal_groups[0] if target.portal_groups else PortalGroup(tag=1, enable=False)
    nop_interval, nop_count = (int(group.attributes.get(key, 0)) for key in _PARAMETERS_OF_NOPS)
    return TargetText(
        tid=tid,
        name=name,
        ready=group.enable,
        nop_interval=max(nop_interval, 0),
        nop_count=nop_count,
        nexuses=tuple(nexus for view in sessions for nexus in _nexuses(view)[:1]),
        units=tuple(_units(configuration, tid, group, disks)),
        incoming=tuple(account.userid for account in group.chap.incoming),
        outgoing=group.chap.mutual_userid,
        rules=rules_of(group),
    )


def _nexuses(view: SessionView) -> list[NexusText]:
    """A session at each of its connections."""
    return [
        NexusText(
            session=view.tsih,
            initiator=view.initiator_name,
            alias=view.initiator_alias,
            connection=connection.cid,
            address=connection.peer.rpartition(":")[0].strip("[]"),
        )
        for connection in view.connections
    ]


def _units(
    configuration: Configuration, tid: int, group: PortalGroup, disks: Mapping[BackstoreKey, DiskState]
) -> Iterator[UnitText]:
    """The logical units; LUN 0 is a controller where it is nothing else."""
    if not any(lun.number == 0 for lun in group.luns):
        scsi_id, scsi_sn = f"IET     {tid:04x}0000", f"beaf{tid}0"
        yield UnitText(lun=0, kind="controller", scsi_id=scsi_id, scsi_sn=scsi_sn, size=0, block_length=1)
    for lun in group.luns:
        store = configuration.backstores[lun.backstore]
        yield _unit(lun.number, store, disks.get(lun.backstore) or DiskState())


def _unit(number: int, store: Backstore, state: DiskState) -> UnitText:
    path = str(store.options.get(PATH, store.path))
    return UnitText(
        lun=number,
        kind=_kind(store),
        scsi_id=str(store.attribute("t10_id") or store.unit_serial),
        scsi_sn=str(store.attribute("product_serial") or store.unit_serial),
        size=state.size if path else 0,
        block_length=state.block_length,
        online=state.medium_present,
        removable=store.is_drive or bool(store.attribute("removable")),
        prevent_removal=state.prevent_removal,
        read_only=bool(store.read_only or store.attribute("write_protect")),
        write_protect=state.write_protected,
        thin=bool(store.attribute("emulate_tpu")),
        store=str(store.options.get(BSTYPE, "rdwr")),
        path=path,
        flags=str(store.options.get(BSOFLAGS, "")),
    )


def _kind(store: Backstore) -> str:
    if store.is_drive:
        return "cd/dvd"
    return "passthrough" if store.options.get(BSTYPE) == "sg" else "disk"


# -- The others --------------------------------------------------------------------------------------------------------


def show_accounts(machine: Machine, _request: Request, _around: Surroundings) -> str:
    """Every account."""
    return accounts_text(account_names(machine.configuration))


def show_portals(machine: Machine, _request: Request, around: Surroundings) -> str:
    """Every portal; before there is a target, those that it would get."""
    wanted = tgt_portals(machine.configuration) or around.default_portals
    portals = sorted(
        machine.portals or wanted, key=lambda portal: wanted.index(portal) if portal in wanted else len(wanted)
    )
    return portals_text((portal.address, portal.port) for portal in portals)


def show_drivers(machine: Machine, _request: Request, around: Surroundings) -> str:
    """The one driver, with all targets."""
    return drivers_text({DRIVER: "ready"}, around.tids.tids(machine.configuration).items())


def show_system(machine: Machine, _request: Request, around: Surroundings) -> str:
    """The whole."""
    discovery = machine.configuration.discovery.chap
    stores = (f"{name} (bsoflags {':'.join(flags)})" if flags else name for name, flags in STORES.items())
    return system_text(
        SystemText(
            ready=machine.ready,
            debug=around.debug.on,
            drivers={DRIVER: "ready"},
            stores=tuple(stores),
            device_types=_DEVICE_TYPES,
            incoming=tuple(account.userid for account in discovery.incoming),
            outgoing=discovery.mutual_userid,
            isns=isns_settings(machine.configuration),
        )
    )


def show_connections(machine: Machine, request: Request, around: Surroundings) -> str:
    """The connections of a target."""
    target = target_by_tid(machine.configuration, request.tid, around.tids)
    return connections_text(
        nexus for view in machine.sessions if view.target_name == target.name for nexus in _nexuses(view)
    )


# -- Counters ----------------------------------------------------------------------------------------------------------


def stat_system(machine: Machine, _request: Request, around: Surroundings) -> str:
    """All targets."""
    sessions = _by_target(machine.sessions, lambda view: view.target_name)
    counted = _by_target(machine.counted, lambda row: row.target)
    return stat_text(
        row
        for tid, name in around.tids.tids(machine.configuration).items()
        for row in _rows_of(tid, sessions.get(name, []), counted.get(name, []))
    )


def stat_target(machine: Machine, request: Request, around: Surroundings) -> str:
    """One target: its LUNs in order, and for each its sessions."""
    target = target_by_tid(machine.configuration, request.tid, around.tids)
    return stat_text(_rows(machine, request.tid, target.name))


def stat_unit(machine: Machine, request: Request, around: Surroundings) -> str:
    """One logical unit; with a session, all of that session."""
    if request.sid:
        return stat_session(machine, request, around)
    target = target_by_tid(machine.configuration, request.tid, around.tids)
    if request.lun and request.lun not in {lun.number for lun in group_of(target).luns}:
        raise Refused(Status.NO_LOGICAL_UNIT)
    return stat_text(row for row in _rows(machine, request.tid, target.name) if row.lun == request.lun)


def stat_session(machine: Machine, request: Request, around: Surroundings) -> str:
    """One session: its LUNs, the last first, and its connections."""
    view = _session(machine, request.sid)
    tid = _tid(machine.configuration, view, around)
    rows = [row for row in _rows(machine, tid, view.target_name) if row.session == view.tsih]
    traffic = _traffic(view)
    return stat_text(reversed(rows)) + (f"\n{traffic_text(traffic)}" if traffic else "")


def stat_connection(machine: Machine, request: Request, _around: Surroundings) -> str:
    """One connection."""
    view = _session(machine, request.sid)
    found = [row for row in _traffic(view) if row.connection == request.cid]
    if not found:
        raise Refused(Status.NO_CONNECTION)
    return traffic_text(found)


def _traffic(view: SessionView) -> list[TrafficRow]:
    return [
        TrafficRow(
            session=view.tsih,
            connection=connection.cid,
            received_bytes=connection.received_octets,
            sent_bytes=connection.sent_octets,
            data_out=connection.data_out_pdus,
            data_in=connection.data_in_pdus,
            commands=connection.scsi_commands,
            responses=connection.scsi_responses,
        )
        for connection in view.connections
    ]


def _session(machine: Machine, sid: int) -> SessionView:
    for view in machine.sessions:
        if view.tsih == sid & 0xFFFF and view.target_name:
            return view
    raise Refused(Status.NO_SESSION)


def _tid(configuration: Configuration, view: SessionView, around: Surroundings) -> int:
    return next(tid for tid, name in around.tids.tids(configuration).items() if name == view.target_name)


def _rows(machine: Machine, tid: int, name: str) -> Iterator[StatRow]:
    sessions = [view for view in machine.sessions if view.target_name == name]
    return _rows_of(tid, sessions, [row for row in machine.counted if row.target == name])


def _rows_of(tid: int, sessions: Iterable[SessionView], counted: Sequence[Counted]) -> Iterator[StatRow]:
    """By LUN; that of the controller, where nothing is counted, too."""
    if not any(row.lun == 0 for row in counted):
        yield from (StatRow(tid=tid, lun=0, session=view.tsih) for view in sessions)
    for row in sorted(counted, key=lambda row: (row.lun, row.session)):
        yield _row(tid, row)


def _row(tid: int, row: Counted) -> StatRow:
    return StatRow(
        tid=tid,
        lun=row.lun,
        session=row.session,
        read_bytes=row.read_bytes,
        reads=row.reads,
        written_bytes=row.written_bytes,
        writes=row.writes,
        errors=row.errors,
    )
