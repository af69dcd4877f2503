"""What application clients leave in the unit."""

from isthmus.scsi.application_client import PARAMETER_LENGTH, ApplicationClientLog


def test_clear() -> None:
    """There are 64 parameters, and clearing puts each back to zeros."""
    log = ApplicationClientLog()
    assert log.parameters == [bytes(PARAMETER_LENGTH)] * 64
    log.parameters[3] = b"x" * PARAMETER_LENGTH
    log.clear()
    assert log.parameters == [bytes(PARAMETER_LENGTH)] * 64
