from isthmus.errors import RemoteProtocolError
from isthmus.iscsi.errors import ConnectionViolation, DigestError, LoginRefused, PduRejected
from isthmus.iscsi.opcodes import LoginStatus, RejectReason


def test_each_error_carries_its_wire_answer() -> None:
    """A peer's fault is answered with what the error holds; the reason is for the log."""
    rejected = PduRejected(RejectReason.PROTOCOL_ERROR, "why")
    assert (rejected.reason, str(rejected)) == (RejectReason.PROTOCOL_ERROR, "why")
    refused = LoginRefused(LoginStatus.TARGET_MOVED_TEMPORARILY, "why", address="192.0.2.1:3260,1")
    assert (refused.status, refused.address) == (LoginStatus.TARGET_MOVED_TEMPORARILY, "192.0.2.1:3260,1")
    assert LoginRefused(LoginStatus.NOT_FOUND, "why").address == ""


def test_all_of_them_are_the_peers_fault() -> None:
    """A digest error ends the connection like any other violation at ErrorRecoveryLevel 0."""
    assert issubclass(DigestError, ConnectionViolation)
    assert all(issubclass(error, RemoteProtocolError) for error in (ConnectionViolation, LoginRefused, PduRejected))
