"""ROD tokens as bytes."""

import random

from isthmus.scsi.copy.rod_token import TOKEN_LENGTH, RodType, encode_token, rod_token_length, rod_type


def token(target_descriptor: bytes = b"target") -> bytes:
    """A token whose parts can be told apart."""
    return encode_token(
        kind=RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE,
        identifier=0x1122334455667788,
        creator=b"c" * 32,
        num_bytes=0x99,
        device_specific=b"d" * 32,
        target_descriptor=target_descriptor,
        randomness=random.Random(1).randbytes,
    )


def test_layout() -> None:
    """Type, length, identifier, creator, number of bytes, device type specific data, target, key."""
    made = token()
    assert len(made) == TOKEN_LENGTH
    assert made[:16].hex() == "00800001" + "0000" + "01f8" + "1122334455667788"
    assert made[16:48] == b"c" * 32
    assert int.from_bytes(made[48:64]) == 0x99
    assert made[64:96] == bytes(32)
    assert made[96:128] == b"d" * 32
    assert made[128:134] == b"target"
    assert made[134:] == random.Random(1).randbytes(512 - 134)


def test_the_key_has_its_room() -> None:
    """However long the name of the target is, 64 random bytes are left."""
    made = token(b"t" * 1000)
    assert len(made) == TOKEN_LENGTH
    assert made[-64:] == random.Random(1).randbytes(64)


def test_fields() -> None:
    """Type and length can be read back; a length that is not that of a token is none."""
    made = token()
    assert rod_type(made) == RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE
    assert rod_token_length(made) == 504
    assert rod_token_length(made[:6] + b"\x01\xf9" + made[8:]) is None
