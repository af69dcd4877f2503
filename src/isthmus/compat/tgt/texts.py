"""What `show` and `stat` print, to the blank: tgt-admin and years of scripts read it with regular expressions.

The layouts are those of tgt's usr/target.c and usr/iscsi/target.c.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = [
    "NexusText",
    "StatRow",
    "SystemText",
    "TargetText",
    "TrafficRow",
    "UnitText",
    "accounts_text",
    "connections_text",
    "drivers_text",
    "megabytes",
    "parameters_text",
    "portals_text",
    "stat_text",
    "system_text",
    "targets_text",
    "traffic_text",
]

_STAT_HEADER: Final = (
    "tgt lun sid rd_subm(bytes,cmds) rd_done(bytes,cmds) wr_subm(bytes,cmds) wr_done(bytes,cmds) errs\n"
)
_TRAFFIC_HEADER: Final = "sid cid rxdata_octets txdata_octets dataout_pdus datain_pdus cmd_pdus rsp_pdus\n"
_MAX_U64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NexusText:
    """A session, at one of its connections."""

    session: int
    initiator: str
    alias: str
    connection: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitText:
    """A logical unit."""

    lun: int
    kind: str
    """disk, controller, …"""
    scsi_id: str
    scsi_sn: str
    size: int
    """Bytes."""
    block_length: int
    """Bytes; 1 for what has no blocks."""
    online: bool = True
    removable: bool = False
    prevent_removal: bool = False
    read_only: bool = False
    write_protect: bool = False
    thin: bool = False
    store: str = "null"
    path: str = ""
    flags: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetText:
    """A target."""

    tid: int
    name: str
    ready: bool
    nop_interval: int = 0
    nop_count: int = 0
    nexuses: tuple[NexusText, ...] = ()
    units: tuple[UnitText, ...] = ()
    incoming: tuple[str, ...] = ()
    outgoing: str = ""
    rules: tuple[str, ...] = ()
    """Addresses, then initiator names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemText:
    """The daemon."""

    ready: bool
    debug: bool
    drivers: Mapping[str, str]
    stores: tuple[str, ...]
    device_types: tuple[str, ...]
    incoming: tuple[str, ...]
    outgoing: str
    isns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """What went through one LUN of a session. Bytes and commands; nothing waits that is not done."""

    tid: int
    lun: int
    session: int
    read_bytes: int = 0
    reads: int = 0
    written_bytes: int = 0
    writes: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRow:
    """What went over one connection."""

    session: int
    connection: int
    received_bytes: int = 0
    sent_bytes: int = 0
    data_out: int = 0
    data_in: int = 0
    commands: int = 0
    responses: int = 0


def megabytes(size: int) -> int:
    """Tgt's figure for `size` bytes, which is neither 10^6 nor 2^20 of them."""
    blocks = size // 512
    return ((blocks - (blocks // 625 - 974)) & _MAX_U64) // 1950


def _yes(value: bool) -> str:
    return "Yes" if value else "No"


def targets_text(targets: Iterable[TargetText]) -> str:
    """`--mode target --op show`."""
    return "".join(line + "\n" for target in targets for line in _target_lines(target))


def _target_lines(target: TargetText) -> Iterator[str]:
    yield f"Target {target.tid}: {target.name}"
    yield "    System information:"
    yield "        Driver: iscsi"
    yield f"        State: {'ready' if target.ready else 'offline'}"
    if target.nop_interval:
        yield f"        Nop interval: {target.nop_interval}"
        yield f"        Nop count: {target.nop_count}"
    yield "    I_T nexus information:"
    for nexus in target.nexuses:
        yield f"        I_T nexus: {nexus.session}"
        yield f"            Initiator: {nexus.initiator} alias: {nexus.alias or 'none'}"
        yield f"            Connection: {nexus.connection}"
        yield f"                IP Address: {nexus.address}"
    yield "    LUN information:"
    for unit in target.units:
        yield from _unit_lines(unit)
    yield "    Account information:"
    for user in target.incoming:
        yield f"        {user}"
    if target.outgoing:
        yield f"        {target.outgoing} (outgoing)"
    yield "    ACL information:"
    for rule in target.rules:
        yield f"        {rule}"


def _unit_lines(unit: UnitText) -> Iterator[str]:
    yield f"        LUN: {unit.lun}"
    for line in (
        f"Type: {unit.kind}",
        f"SCSI ID: {unit.scsi_id}",
        f"SCSI SN: {unit.scsi_sn}",
        f"Size: {megabytes(unit.size)} MB, Block size: {unit.block_length}",
        f"Online: {_yes(unit.online)}",
        f"Removable media: {_yes(unit.removable)}",
        f"Prevent removal: {_yes(unit.prevent_removal)}",
        f"Readonly: {_yes(unit.read_only)}",
        f"SWP: {_yes(unit.write_protect)}",
        f"Thin-provisioning: {_yes(unit.thin)}",
        f"Backing store type: {unit.store}",
        f"Backing store path: {unit.path or 'None'}",
        f"Backing store flags: {unit.flags}",
    ):
        yield f"            {line}"


def parameters_text(values: Iterable[tuple[str, object]]) -> str:
    """`--mode target --op show --tid N`, and a session's."""
    return "".join(f"{name}={value}\n" for name, value in values)


def connections_text(nexuses: Iterable[NexusText]) -> str:
    """`--mode conn --op show`."""
    return "".join(
        f"Session: {nexus.session}\n"
        f"    Connection: {nexus.connection}\n"
        f"        Initiator: {nexus.initiator}\n"
        f"        IP Address: {nexus.address}\n"
        for nexus in nexuses
    )


def portals_text(portals: Iterable[tuple[str, int]]) -> str:
    """`--mode portal --op show`: addresses and ports."""
    return "".join(f"Portal: {f'[{address}]' if ':' in address else address}:{port},1\n" for address, port in portals)


def accounts_text(users: Iterable[str]) -> str:
    """`--mode account --op show`."""
    lines = "".join(f"    {user}\n" for user in users)
    return f"Account list:\n{lines}" if lines else ""


def drivers_text(drivers: Mapping[str, str], targets: Iterable[tuple[int, str]]) -> str:
    """`--mode lld --op show`; all targets are the first driver's."""
    lines = ["LLDs:"]
    owned = [f"        Target {tid}: {name}" for tid, name in targets]
    for name, state in drivers.items():
        lines += [f"    {name}: {state}", *owned]
        owned = []
    return "\n".join(lines) + "\n"


def system_text(system: SystemText) -> str:
    """`--mode sys --op show`."""
    lines = ["System:", f"    State: {'ready' if system.ready else 'offline'}"]
    lines += [f"    debug: {'on' if system.debug else 'off'}"]
    lines += ["LLDs:", *(f"    {name}: {state}" for name, state in system.drivers.items())]
    lines += ["Backing stores:", *(f"    {store}" for store in system.stores)]
    lines += ["Device types:", *(f"    {kind}" for kind in system.device_types)]
    if system.incoming:
        # The empty line is tgtd's.
        lines += ["    Account information:", "", *(f"    {user}" for user in system.incoming)]
        lines += [f"    {system.outgoing} (outgoing)"] if system.outgoing else []
    lines += ["iSNS:", *(f"    {name}={value}" for name, value in system.isns.items())]
    return "\n".join(lines) + "\n"


def stat_text(rows: Iterable[StatRow]) -> str:
    """`--op stat` of a system, a target, a logical unit."""
    return _STAT_HEADER + "".join(
        f"{row.tid:3d} {row.lun:3d} {row.session:3d} "
        f"{row.read_bytes:12d} {row.reads:6d} {row.read_bytes:12d} {row.reads:6d} "
        f"{row.written_bytes:12d} {row.writes:6d} {row.written_bytes:12d} {row.writes:6d} {row.errors:4d}\n"
        for row in rows
    )


def traffic_text(rows: Iterable[TrafficRow]) -> str:
    """`--mode conn --op stat`, and the second part of a session's."""
    return _TRAFFIC_HEADER + "".join(
        f"{row.session:3d} {row.connection:3d} {row.received_bytes:13d} {row.sent_bytes:13d} "
        f"{row.data_out:12d} {row.data_in:11d} {row.commands:8d} {row.responses:8d}\n"
        for row in rows
    )
