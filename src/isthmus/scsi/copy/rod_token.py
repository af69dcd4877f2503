"""ROD tokens, as bytes: 512 of them, which stand for data (SPC-4 §5.17.6).

A token says who made it and for how many bytes; what makes it a key are the random bytes at its end.
"""

import enum
import struct
from collections.abc import Callable
from typing import Final

__all__ = ["MANAGEMENT_LENGTH", "TOKEN_LENGTH", "RodType", "encode_token", "rod_token_length", "rod_type"]

TOKEN_LENGTH: Final = 512
MANAGEMENT_LENGTH: Final = 96
"""Bytes of the ROD management token: the part that tells of the token, and is no key to the data."""
_HEAD: Final = struct.Struct(">IxxH")
_ROD_TOKEN_LENGTH: Final = TOKEN_LENGTH - _HEAD.size
_BODY: Final = struct.Struct(">Q32s8xQ32x32s")
_KEY_MINIMUM: Final = 64
"""Bytes: 512 bits are more than anybody can guess."""


class RodType(enum.IntEnum):
    """What a ROD is (SPC-4 §5.17.6)."""

    COPY_MANAGER_INTERNAL = 0x0000_0000
    ACCESS_UPON_REFERENCE = 0x0001_0000
    """What is there when the token is used."""
    POINT_IN_TIME_COPY_DEFAULT = 0x0080_0000
    POINT_IN_TIME_COPY_CHANGE_VULNERABLE = 0x0080_0001
    """What was there when the token was made; if that changes, the token is revoked."""
    POINT_IN_TIME_COPY_PERSISTENT = 0x0080_0002
    """What was there when the token was made, whatever is written since."""
    POINT_IN_TIME_COPY_ANY = 0x0080_FFFF
    BLOCK_DEVICE_ZERO = 0xFFFF_0001
    """Zeros, as many as are asked for (SBC-4)."""


def rod_type(token: bytes) -> int:
    """The ROD TYPE field."""
    return int.from_bytes(token[:4])


def rod_token_length(token: bytes) -> int | None:
    """The ROD TOKEN LENGTH field; None if it is not that of a token of `TOKEN_LENGTH` bytes."""
    length = int.from_bytes(token[6:8])
    return length if length == _ROD_TOKEN_LENGTH else None


def encode_token(
    *,
    kind: RodType,
    identifier: int,
    creator: bytes,
    num_bytes: int,
    device_specific: bytes,
    target_descriptor: bytes,
    randomness: Callable[[int], bytes],
) -> bytes:
    """A token: `creator` is a CSCD descriptor (32 bytes), `device_specific` what SBC-4 defines (32 bytes).

    `randomness` gives as many unpredictable bytes as it is asked for.
    """
    head = _HEAD.pack(kind, _ROD_TOKEN_LENGTH) + _BODY.pack(identifier, creator, num_bytes, device_specific)
    target_descriptor = target_descriptor[: TOKEN_LENGTH - len(head) - _KEY_MINIMUM]
    head += target_descriptor
    return head + randomness(TOKEN_LENGTH - len(head))
