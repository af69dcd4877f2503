"""What the Control mode page says of task sets, as values (SPC-5 §7.5.11)."""

import enum
from dataclasses import dataclass

__all__ = [
    "QueueErrorManagement",
    "TaskSetRules",
    "UnitAttentionInterlock",
]


class QueueErrorManagement(enum.IntEnum):
    """QERR: what becomes of other tasks when one is terminated with CHECK CONDITION."""

    RESUME = 0
    """Nothing; if an ACA condition blocks them, they go on when that is cleared."""
    ABORT_ALL = 1
    """Every other task of the task set is aborted."""
    ABORT_OWN = 3
    """Those of the same nexus are aborted."""


class UnitAttentionInterlock(enum.IntEnum):
    """UA_INTLCK_CTRL: whether a unit attention that was told with CHECK CONDITION stays pending."""

    CLEAR = 0
    KEEP = 2
    """It stays until REQUEST SENSE tells it."""
    KEEP_AND_ESTABLISH = 3
    """Likewise; and BUSY, TASK SET FULL and RESERVATION CONFLICT establish one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSetRules:
    """The fields that rule a task set. The defaults are the plainest, not those of the page."""

    per_nexus: bool = False
    """TST 001b: each nexus has a task set of its own."""
    restricted_reordering: bool = False
    """QUEUE ALGORITHM MODIFIER 0h: the SIMPLE tasks of a nexus take effect in their order."""
    queue_error_management: QueueErrorManagement = QueueErrorManagement.RESUME
    unit_attention_interlock: UnitAttentionInterlock = UnitAttentionInterlock.CLEAR
    task_management_only: bool = False
    """TMF_ONLY: in an ACA condition not even tasks with the ACA attribute are accepted."""
