import enum

import pytest

from isthmus.iscsi import opcodes
from isthmus.iscsi.opcodes import LoginStatus, Opcode, padded


def test_padding_rounds_up_to_words() -> None:
    """Segments end on a 4-byte boundary (RFC 7143 §11.1)."""
    assert [padded(length) for length in (0, 1, 3, 4, 5, 48)] == [0, 4, 4, 4, 8, 48]


def test_target_opcodes_have_the_bit_that_initiator_opcodes_lack() -> None:
    """Bit 5 tells the direction (RFC 7143 §11.2.1.2)."""
    from_target = {opcode for opcode in Opcode if opcode & 0x20}
    assert {opcode.name for opcode in from_target} == {
        "NOP_IN",
        "SCSI_RESPONSE",
        "TASK_MANAGEMENT_RESPONSE",
        "LOGIN_RESPONSE",
        "TEXT_RESPONSE",
        "DATA_IN",
        "LOGOUT_RESPONSE",
        "READY_TO_TRANSFER",
        "ASYNC_MESSAGE",
        "REJECT",
    }


def test_login_status_is_class_and_detail() -> None:
    """The classes are success, redirection, initiator error and target error (RFC 7143 §11.13.5)."""
    assert {status >> 8 for status in LoginStatus} == {0, 1, 2, 3}
    assert sorted(status & 0xFF for status in LoginStatus if status >> 8 == 2) == list(range(12))


@pytest.mark.parametrize("name", [name for name in opcodes.__all__ if isinstance(getattr(opcodes, name), type)])
def test_no_code_has_two_names(name: str) -> None:
    """An alias in an enumeration would be a slip of the keyboard."""
    codes: type[enum.IntEnum] = getattr(opcodes, name)
    assert len(codes.__members__) == len(list(codes))
