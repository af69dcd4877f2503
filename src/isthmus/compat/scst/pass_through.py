"""SCST's pass-through handlers: SCSI devices of this machine, by their addresses H:C:T:L, which say themselves what they are."""

import re
from typing import Final

from isthmus.compat.importer import Surroundings
from isthmus.compat.scst.grammar import Statement
from isthmus.compat.scst.report import Report
from isthmus.config.model import Backstore, BackstoreKey

__all__ = ["ADDRESS", "KIND", "LEFT_OUT", "PASS_THROUGH", "read_pass_through"]

KIND: Final = "pscsi"
PASS_THROUGH: Final = frozenset(
    {"dev_disk", "dev_cdrom", "dev_tape", "dev_changer", "dev_modisk", "dev_processor", "dev_raid"}
)
"""The handlers that hand commands on."""
ADDRESS: Final = re.compile(r"[0-9]+:[0-9]+:[0-9]+:[0-9]+")
LEFT_OUT: Final = "it is left out, with its LUNs"


def read_pass_through(statement: Statement, surroundings: Surroundings, report: Report) -> Backstore | None:
    """The backstore of `DEVICE H:C:T:L`; None, with a finding, if this machine has no such device."""
    name = statement.words[1]
    if not ADDRESS.fullmatch(name.text) or not surroundings.list_files(f"/sys/bus/scsi/devices/{name}/type"):
        report.say(
            statement.position, f"DEVICE {name} is a SCSI device", f"this machine has none of that address; {LEFT_OUT}"
        )
        return None
    key = BackstoreKey(KIND, name.text)
    return Backstore(key=key, path=name.text, write_back=False, unit_serial=key.derived_serial)
