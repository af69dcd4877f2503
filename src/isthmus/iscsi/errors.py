"""What a peer can do wrong in iSCSI, with the wire answer that it gets."""

from isthmus.errors import RemoteProtocolError
from isthmus.iscsi.opcodes import LoginStatus, RejectReason

__all__ = ["ConnectionViolation", "DigestError", "LoginRefused", "PduRejected"]


class PduRejected(RemoteProtocolError):
    """The PDU is answered with a Reject of this reason (RFC 7143 §11.17); the connection goes on."""

    def __init__(self, reason: RejectReason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class ConnectionViolation(RemoteProtocolError):
    """The connection cannot go on: at ErrorRecoveryLevel 0 it is closed (RFC 7143 §7.1)."""


class DigestError(ConnectionViolation):
    """A header or data digest did not match; at ErrorRecoveryLevel 0 the connection ends (RFC 7143 §7.7, §7.8)."""


class LoginRefused(RemoteProtocolError):
    """The login ends with this status (RFC 7143 §11.13.5); `why` goes to the log only, never to the peer."""

    def __init__(self, status: LoginStatus, why: str, *, address: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.address = address
        """Where the target has moved (`domainname[:port][,tag]`), with the two TARGET_MOVED statuses only."""
