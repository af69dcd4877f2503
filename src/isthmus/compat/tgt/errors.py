"""What tgtd answers with, and what tgtadm says of it."""

import enum
from collections.abc import Mapping
from typing import Final

from isthmus.errors import IsthmusError, RemoteProtocolError

__all__ = ["MESSAGES", "Refused", "Status", "WireViolation"]


class Status(enum.IntEnum):
    """The error number of a response; its name is what went wrong."""

    SUCCESS = 0
    UNKNOWN_ERROR = 1
    OUT_OF_MEMORY = 2
    NO_DRIVER = 3
    NO_TARGET = 4
    NO_LOGICAL_UNIT = 5
    NO_SESSION = 6
    NO_CONNECTION = 7
    NO_BINDING = 8
    TARGET_EXISTS = 9
    LOGICAL_UNIT_EXISTS = 10
    BINDING_EXISTS = 11
    ACCESS_RULE_EXISTS = 12
    NO_ACCESS_RULE = 13
    ACCOUNT_EXISTS = 14
    NO_ACCOUNT = 15
    TOO_MANY_ACCOUNTS = 16
    INVALID_REQUEST = 17
    OUTGOING_ACCOUNT_EXISTS = 18
    TARGET_ACTIVE = 19
    LOGICAL_UNIT_ACTIVE = 20
    DRIVER_ACTIVE = 21
    UNSUPPORTED_OPERATION = 22
    UNKNOWN_PARAMETER = 23
    PREVENT_REMOVAL = 24


MESSAGES: Final[Mapping[int, str]] = {
    Status.SUCCESS: "success",
    Status.UNKNOWN_ERROR: "unknown error",
    Status.OUT_OF_MEMORY: "out of memory",
    Status.NO_DRIVER: "can't find the driver",
    Status.NO_TARGET: "can't find the target",
    Status.NO_LOGICAL_UNIT: "can't find the logical unit",
    Status.NO_SESSION: "can't find the session",
    Status.NO_CONNECTION: "can't find the connection",
    Status.NO_BINDING: "can't find the binding",
    Status.TARGET_EXISTS: "this target already exists",
    Status.LOGICAL_UNIT_EXISTS: "this logical unit number already exists",
    Status.BINDING_EXISTS: "this binding already exists",
    Status.ACCESS_RULE_EXISTS: "this access control rule already exists",
    Status.NO_ACCESS_RULE: "this access control rule does not exist",
    Status.ACCOUNT_EXISTS: "this account already exists",
    Status.NO_ACCOUNT: "can't find the account",
    Status.TOO_MANY_ACCOUNTS: "too many accounts",
    Status.INVALID_REQUEST: "invalid request",
    Status.OUTGOING_ACCOUNT_EXISTS: "this target already has an outgoing account",
    Status.TARGET_ACTIVE: "this target is still active",
    Status.LOGICAL_UNIT_ACTIVE: "this logical unit is still active",
    Status.DRIVER_ACTIVE: "this driver is busy",
    Status.UNSUPPORTED_OPERATION: "this operation isn't supported",
    Status.UNKNOWN_PARAMETER: "unknown parameter",
    Status.PREVENT_REMOVAL: "this device has Prevent Removal set",
}
"""tgtadm's words, which scripts look for."""


class Refused(IsthmusError):
    """A request that is answered with an error; `reason` is for the log, where there is room to say more."""

    def __init__(self, status: Status, reason: str = "") -> None:
        super().__init__(reason or MESSAGES[status])
        self.status = status


class WireViolation(RemoteProtocolError):
    """A peer's bytes are no request. Its connection is closed without an answer, as tgtd does."""
