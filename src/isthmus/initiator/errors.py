"""What can go wrong at this end: each class names what failed, and carries what the target said about it."""

from isthmus.errors import IsthmusError
from isthmus.initiator.sense import DecodedSense
from isthmus.iscsi.opcodes import LoginStatus, RejectReason
from isthmus.scsi.status import Status

__all__ = [
    "ConnectionLost",
    "InitiatorError",
    "InvalidUrl",
    "LengthMismatch",
    "LoginFailed",
    "RequestRejected",
    "ScsiError",
    "ServiceDeliveryFailure",
    "TaskAborted",
    "Unreachable",
]


class InitiatorError(IsthmusError):
    """The base of what this end reports."""


class InvalidUrl(InitiatorError):
    """The text is no iSCSI URL; the message says what one looks like."""


class Unreachable(InitiatorError):
    """No TCP connection to the portal came about."""


class ConnectionLost(InitiatorError):
    """The connection ended while something was still to come over it."""


class LengthMismatch(InitiatorError):
    """A source held more or less than what was to be written; what fitted has been."""


class LoginFailed(InitiatorError):
    """The login did not succeed; `status` is the target's answer, None if this end gave up."""

    def __init__(self, why: str, status: LoginStatus | int | None = None) -> None:
        super().__init__(why)
        self.status = status


class RequestRejected(InitiatorError):
    """The target answered a PDU with a Reject (RFC 7143 §11.17); `header` is the one it sent back."""

    def __init__(self, reason: int, header: bytes) -> None:
        super().__init__(f"the target rejected a PDU: {_reason_name(reason)}")
        self.reason = reason
        self.header = header


class ServiceDeliveryFailure(InitiatorError):
    """The target could not run the command at all, so it has no status (RFC 7143 §11.4.3)."""

    def __init__(self, response: int) -> None:
        super().__init__(f"the target failed to run a command: response {response:#04x}")
        self.response = response


class TaskAborted(InitiatorError):
    """The task was ended by a task management function or by an asynchronous message: its effect is unknown."""


class ScsiError(InitiatorError):
    """A command ended with a status other than the good ones; `sense` is set if the status came with sense data."""

    def __init__(self, command: str, status: int, sense: DecodedSense | None) -> None:
        super().__init__(f"{command}: {sense if sense is not None else _status_name(status)}")
        self.status = status
        self.sense = sense


def _reason_name(reason: int) -> str:
    try:
        return RejectReason(reason).name.replace("_", " ")
    except ValueError:
        return f"reason {reason:#04x}"


def _status_name(status: int) -> str:
    try:
        return Status(status).name.replace("_", " ")
    except ValueError:
        return f"status {status:#04x}"
