"""The directives of targets.conf: one row each, for the three levels at which they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.compat.tgt.session_keys import SESSION_KEYS

__all__ = ["GLOBAL", "LUN", "LUN_PARAMETERS", "STORES", "TARGET", "DirectiveRow", "target_keys"]


@dataclass(frozen=True, slots=True)
class DirectiveRow:
    """One row."""

    name: str
    about: str
    repeats: bool = False
    """It may be there more than once."""


def _table(*rows: DirectiveRow) -> Mapping[str, DirectiveRow]:
    return {row.name: row for row in rows}


STORES: Final = ("backing-store", "direct-store")
"""In the order in which tgt-admin numbers their LUNs."""
LUN_PARAMETERS: Final = (
    "scsi_id",
    "sense_format",
    "removable",
    "online",
    "path",
    "readonly",
    "vendor_id",
    "product_id",
    "product_rev",
    "scsi_sn",
    "lbppbe",
    "la_lba",
    "optimal_xfer_gran",
    "optimal_xfer_len",
)
"""Those that are parameters of tgtadm by the same name, in tgt-admin's order."""

GLOBAL: Final = _table(
    DirectiveRow("default-driver", "the driver of targets that name none: iscsi"),
    DirectiveRow("ignore-errors", "yes: tgt-admin goes on after an error"),
    DirectiveRow("control-port", "which tgtd is meant"),
    DirectiveRow("iSNSServerIP", "kept and shown"),
    DirectiveRow("iSNSServerPort", "kept and shown"),
    DirectiveRow("iSNSAccessControl", "kept and shown"),
    DirectiveRow("iSNS", "On cannot be done"),
    DirectiveRow("incomingdiscoveryuser", "a user and a secret that discovery asks for"),
    DirectiveRow("outgoingdiscoveryuser", "a user and a secret that discovery shows"),
)
LUN: Final = _table(
    DirectiveRow("lun", "its number"),
    DirectiveRow("write-cache", "on or off"),
    DirectiveRow("device-type", "disk; cd; pt for a device behind /dev/sgN"),
    DirectiveRow("bs-type", "rdwr, aio, null, sg, mmc"),
    DirectiveRow("bsopts", "options of the backing store"),
    DirectiveRow("bsoflags", "sync, direct"),
    DirectiveRow("block-size", "512 or 4096"),
    DirectiveRow("allow-in-use", "yes: tgt-admin does not look whether the device is in use"),
    DirectiveRow("mode_page", "a mode page", repeats=True),
    DirectiveRow("params", "parameters for tgtadm, with ${tid} and ${lun}", repeats=True),
    *(DirectiveRow(name, "a parameter of the logical unit") for name in LUN_PARAMETERS),
)
TARGET: Final = _table(
    *(DirectiveRow(name, "a logical unit: a path, or a block", repeats=True) for name in STORES),
    DirectiveRow("driver", "iscsi"),
    DirectiveRow("controller_tid", "the tid"),
    DirectiveRow("initiator-address", "who may log in: an address, a network, ALL", repeats=True),
    DirectiveRow("initiator-name", "who may log in, by name", repeats=True),
    DirectiveRow("incominguser", "a user and a secret that initiators prove", repeats=True),
    DirectiveRow("outgoinguser", "a user and a secret that the target proves"),
    DirectiveRow("state", "ready or offline"),
    *(
        DirectiveRow(key.name, "a session key")
        for key in SESSION_KEYS
        if key.name not in {"MaxQueueCmd", "RDMAExtensions"}
    ),
    *LUN.values(),
)


def target_keys() -> list[str]:
    """The session keys and `state`: what tgt-admin hands to `--op update` of the target."""
    return [*(key.name for key in SESSION_KEYS if key.name in TARGET), "state"]
