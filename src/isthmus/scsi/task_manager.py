"""The task manager: the functions that act on tasks rather than on data (SAM-5 §7)."""

import enum

__all__ = ["FunctionResult", "SamFunction"]


class SamFunction(enum.Enum):
    """SAM-5 §7.1. TARGET RESET is SAM-2's; iSCSI keeps it as TARGET WARM RESET and TARGET COLD RESET."""

    ABORT_TASK = "ABORT TASK"
    ABORT_TASK_SET = "ABORT TASK SET"
    CLEAR_ACA = "CLEAR ACA"
    CLEAR_TASK_SET = "CLEAR TASK SET"
    LOGICAL_UNIT_RESET = "LOGICAL UNIT RESET"
    I_T_NEXUS_RESET = "I_T NEXUS RESET"
    TARGET_WARM_RESET = "TARGET WARM RESET"
    TARGET_COLD_RESET = "TARGET COLD RESET"


class FunctionResult(enum.Enum):
    """How a function ended (SAM-5 §7.1, RFC 7143 §11.6.1)."""

    COMPLETE = "function complete"
    TASK_DOES_NOT_EXIST = "task does not exist"
    LUN_DOES_NOT_EXIST = "LUN does not exist"
    NOT_SUPPORTED = "function not supported"
    REJECTED = "function rejected"
