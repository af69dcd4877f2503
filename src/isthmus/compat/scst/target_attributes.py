"""The attributes of SCST's iSCSI targets, and what each becomes here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from isthmus.compat.scst.report import Row, flag, number
from isthmus.config.settings import TPG_ATTRIBUTES, TPG_PARAMETERS, Value
from isthmus.errors import ConfigurationError

__all__ = [
    "ADDRESS_METHOD",
    "DRIVER_ROWS",
    "PARAMETERS",
    "SESSION_DEFAULTS",
    "TARGET_ROWS",
    "DriverDraft",
    "TargetDraft",
    "set_parameter",
]

SESSION_DEFAULTS: Final[Mapping[str, Value]] = {
    "InitialR2T": "No",
    "MaxOutstandingR2T": 32,
    "MaxRecvDataSegmentLength": 1 << 20,
    "MaxXmitDataSegmentLength": 1 << 20,
    "MaxBurstLength": 1 << 20,
    "HeaderDigest": "None",
    "DataDigest": "None",
    "TargetAlias": "",
}
"""What iSCSI-SCST negotiates unless it is told otherwise, where that is not our default."""
COMMANDS: Final = 32
"""QueuedCommands, likewise."""

PARAMETERS: Final = (
    "InitialR2T",
    "ImmediateData",
    "MaxConnections",
    "MaxRecvDataSegmentLength",
    "MaxXmitDataSegmentLength",
    "MaxBurstLength",
    "FirstBurstLength",
    "MaxOutstandingR2T",
    "HeaderDigest",
    "DataDigest",
)
"""Session keys that a file may set. MaxConnections is 1 and no attribute with SCST; here, it is one more of them."""
_REDIRECT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:]+)(?::([0-9]+))?\s+(temp|perm)")


@dataclass(slots=True)
class DriverDraft:
    """`TARGET_DRIVER iscsi` while its attributes are read."""

    enabled: bool = False


@dataclass(slots=True)
class TargetDraft:
    """A target while its attributes are read."""

    enabled: bool = False
    parameters: dict[str, Value] = field(default_factory=lambda: dict(SESSION_DEFAULTS))
    attributes: dict[str, Value] = field(default_factory=lambda: {"default_cmdsn_depth": COMMANDS})


def set_parameter(draft: TargetDraft, name: str, value: str) -> None:
    """Set a session key; raises `ConfigurationError`."""
    draft.parameters[name] = TPG_PARAMETERS.parse(name, value)


def _parameter(name: str) -> Callable[[TargetDraft, str], None]:
    return lambda draft, value: set_parameter(draft, name, value)


def _attribute(name: str) -> Callable[[TargetDraft, str], None]:
    def take(draft: TargetDraft, value: str) -> None:
        draft.attributes[name] = TPG_ATTRIBUTES.parse(name, value)

    return take


def _enabled(draft: TargetDraft | DriverDraft, value: str) -> None:
    draft.enabled = flag(value)


def _commands(draft: TargetDraft, value: str) -> None:
    draft.attributes["default_cmdsn_depth"] = TPG_ATTRIBUTES.parse("default_cmdsn_depth", number(value))


def _number(name: str) -> Callable[[TargetDraft, str], None]:
    def take(draft: TargetDraft, value: str) -> None:
        draft.attributes[name] = TPG_ATTRIBUTES.parse(name, number(value))

    return take


def _nop_interval(draft: TargetDraft, value: str) -> None:
    """0 switches it off."""
    draft.attributes["nop_interval"] = TPG_ATTRIBUTES.parse("nop_interval", number(value) or -1)


def _redirect(draft: TargetDraft, value: str) -> None:
    if not value.strip():
        return
    found = _REDIRECT.fullmatch(value.strip())
    if found is None:
        raise ConfigurationError("it is not ADDRESS[:PORT] and temp or perm")
    wanted: dict[str, Value] = {
        "redirect_address": found[1],
        "redirect_port": found[2] or 3260,
        "redirect_permanent": int(found[3] == "perm"),
    }
    draft.attributes |= {name: TPG_ATTRIBUTES.parse(name, setting) for name, setting in wanted.items()}


_OF_SCST: Final = (
    "cpu_mask",
    "io_grouping_type",
    "comment",
    "tid",
    "HW_TARGET",
    "trace_level",
    "version",
)
"""How SCST does its work."""
ADDRESS_METHOD: Final[Row[Any]] = Row(
    instead="LUNs up to 255 are told by the peripheral device method, others by the flat space method",
    harmless=frozenset({"PERIPHERAL", "Peripheral", ""}),
)
"""It is chosen LUN by LUN here, as SAM-5 §4.7.7 wants it."""

DRIVER_ROWS: Final[Mapping[str, Row[DriverDraft]]] = {
    "enabled": Row(take=_enabled),
    "iSNSServer": Row(instead="targets are not told to an iSNS server"),
    "isns_entity_name": Row(instead="targets are not told to an iSNS server"),
    "internal_portal": Row(instead="CHAP is asked for at every portal"),
    "link_local": Row(instead="discovery tells the addresses of the portals", harmless=frozenset({"0", "1"})),
    **{name: Row() for name in (*_OF_SCST, "open_state")},
}
TARGET_ROWS: Final[Mapping[str, Row[TargetDraft]]] = {
    "enabled": Row(take=_enabled),
    **{name: Row(take=_parameter(name)) for name in PARAMETERS},
    "alias": Row(take=_parameter("TargetAlias")),
    "QueuedCommands": Row(take=_commands),
    "MaxSessions": Row(take=_attribute("max_sessions")),
    "per_portal_acl": Row(take=_attribute("per_portal_acl")),
    "redirect": Row(take=_redirect),
    "NopInInterval": Row(take=_nop_interval),
    "NopInTimeout": Row(take=_number("nop_timeout")),
    "RspTimeout": Row(take=_number("data_timeout")),
    "rel_tgt_id": Row(take=_number("relative_target_port_id")),
    "addr_method": ADDRESS_METHOD,
    "black_hole": Row(instead="commands are answered"),
    "forward_src": Row(instead="commands are not forwarded"),
    "forward_dst": Row(instead="commands are not forwarded"),
    "forwarding": Row(instead="commands are not forwarded"),
    "aen_disabled": Row(instead="initiators are told of changes"),
    "RDMAExtensions": Row(instead="there is no iSER", harmless=frozenset({"No", "0"})),
    **{name: Row() for name in _OF_SCST},
}
