import pytest

from isthmus.initiator.errors import RequestRejected, ScsiError, ServiceDeliveryFailure
from isthmus.initiator.sense import DecodedSense


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RequestRejected(0x04, b""), "the target rejected a PDU: PROTOCOL ERROR"),
        (RequestRejected(0x99, b""), "the target rejected a PDU: reason 0x99"),
        (ScsiError("READ (16)", 0x18, None), "READ (16): RESERVATION CONFLICT"),
        (ScsiError("READ (16)", 0x99, None), "READ (16): status 0x99"),
        (
            ScsiError("READ (16)", 2, DecodedSense(key=5, asc=0x21, ascq=0)),
            "READ (16): ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE (21h/00h)",
        ),
        (ServiceDeliveryFailure(1), "the target failed to run a command: response 0x01"),
    ],
)
def test_errors_say_what_the_target_said(error: Exception, text: str) -> None:
    """By its name where there is one, by its number where not."""
    assert str(error) == text
