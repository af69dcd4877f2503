"""The I_T nexus: one initiator port talking to one target port; in iSCSI, one normal session (RFC 7143 §4.4.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.names import initiator_port_name, target_port_name
from isthmus.scsi.fast_path_grant import FastPathGrant
from isthmus.scsi.lun import decode_lun
from isthmus.scsi.sense import SenseData

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["LunMapping", "Nexus"]


@dataclass(slots=True)
class LunMapping:
    """What one LUN means to one nexus."""

    logical_unit: "LogicalUnit"
    read_only: bool = False


class Nexus:
    """What the SCSI layer knows of a session. Unit attentions wait in the logical units, keyed by nexus.

    Registrations do not live here: they outlive the nexus, keyed by `initiator_port_name` and
    `relative_target_port_id`.
    """

    __slots__ = (
        "command_window",
        "grants",
        "initiator_name",
        "initiator_port_name",
        "isid",
        "mappings",
        "on_event",
        "relative_target_port_id",
        "target_name",
        "target_port_name",
        "target_portal_group_tag",
    )

    def __init__(
        self,
        *,
        initiator_name: str,
        isid: int,
        target_name: str,
        target_portal_group_tag: int,
        relative_target_port_id: int,
        mappings: dict[int, LunMapping],
    ) -> None:
        """`mappings` goes from the number of a LUN (not its encoded field) to what it means."""
        self.initiator_name = initiator_name
        self.isid = isid
        self.target_name = target_name
        self.target_portal_group_tag = target_portal_group_tag
        self.relative_target_port_id = relative_target_port_id
        self.initiator_port_name = initiator_port_name(initiator_name, isid)
        self.target_port_name = target_port_name(target_name, target_portal_group_tag)
        self.mappings = mappings
        self.command_window = 0
        """Commands that can be under way at once; set by whoever opens the session. 0: nobody says."""
        self.grants: dict[int, FastPathGrant] = {}
        """By the encoded LUN field; kept up to date by the logical units, read by the engine."""

        self.on_event: Callable[[int, SenseData], None] = _nobody_listens
        """Told of events for which no command waits, as the LUN field and the sense; set by the transport."""

    def mapping(self, lun_field: int) -> LunMapping | None:
        """What the 8-byte LUN field means to this nexus."""
        number = decode_lun(lun_field)
        return None if number is None else self.mappings.get(number)

    @property
    def logical_units(self) -> "tuple[LogicalUnit, ...]":
        """The logical units that this nexus can reach, each once."""
        return tuple({mapping.logical_unit: None for mapping in self.mappings.values()})

    def let_go(self) -> None:
        """Keep no logical unit any more: nothing comes through this nexus again, whoever still has it."""
        self.mappings.clear()
        self.grants.clear()
        self.on_event = _nobody_listens


def _nobody_listens(_lun: int, _event: SenseData) -> None:
    """A transport without a way to tell of events: the unit attentions do."""
