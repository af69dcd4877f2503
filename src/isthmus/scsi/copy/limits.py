"""How much one third-party copy may ask for: what is reported (SPC-4 §7.8.17) is what is enforced."""

from typing import Final

__all__ = [
    "DEFAULT_INACTIVITY_TIMEOUT",
    "MAX_CONCURRENT_COPIES",
    "MAX_CSCD_DESCRIPTORS",
    "MAX_DESCRIPTOR_LIST_LENGTH",
    "MAX_INACTIVITY_TIMEOUT",
    "MAX_INLINE_DATA_LENGTH",
    "MAX_KEPT_OPERATIONS",
    "MAX_RANGE_DESCRIPTORS",
    "MAX_SEGMENT_DESCRIPTORS",
    "MAX_SEGMENT_LENGTH",
    "MAX_TOKENS",
    "MAX_TOKEN_TRANSFER",
    "OPTIMAL_TOKEN_TRANSFER",
    "STEP",
]

MAX_CSCD_DESCRIPTORS: Final = 64
MAX_SEGMENT_DESCRIPTORS: Final = 64
"""As ctld has it; ESXi sends 2 copy sources and destinations and up to 16 segments."""
MAX_DESCRIPTOR_LIST_LENGTH: Final = 8192
"""Bytes of both lists of descriptors: more than the largest number of both take, so that too many are told as such."""
MAX_INLINE_DATA_LENGTH: Final = 0
MAX_SEGMENT_LENGTH: Final = 256 << 20
"""Bytes. No segment in blocks can be longer: its length is 16 bits of blocks, of at most 4096 bytes."""
MAX_CONCURRENT_COPIES: Final = 64
"""Copies in progress at once in one logical unit."""
MAX_KEPT_OPERATIONS: Final = 1024
"""Copies of which the outcome is remembered, for all nexuses together."""

MAX_RANGE_DESCRIPTORS: Final = 64
MAX_TOKEN_TRANSFER: Final = 256 << 20
"""Bytes that one token stands for, which is also what Windows asks for at most: a copy of that much takes seconds."""
OPTIMAL_TOKEN_TRANSFER: Final = 64 << 20
"""Bytes."""
DEFAULT_INACTIVITY_TIMEOUT: Final = 60
MAX_INACTIVITY_TIMEOUT: Final = 600
"""Seconds. While a token of a unit is valid, its writes take the long way, where they revoke the token."""
MAX_TOKENS: Final = 256
"""Valid tokens of one logical unit."""

STEP: Final = 8 << 20
"""Bytes copied between two looks at whether the copy may go on: what others have to wait for, and an abort."""
