"""Sizes as operators write them: `512`, `64k`, `10G`, `1T`. The units are powers of 1024, as in targetcli and qemu-img."""

import re
from typing import Final

from isthmus.errors import ConfigurationError

__all__ = ["format_size", "parse_size"]

_UNITS: Final = ("", "k", "m", "g", "t", "p")
_SIZE: Final = re.compile(r"(\d+) ?([kmgtp]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_MAX_SIZE: Final = (1 << 63) - 1
"""The largest offset that the system's file calls take (off_t)."""


def parse_size(text: str) -> int:
    """The bytes that `text` stands for, at least 1; raises `ConfigurationError`."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ConfigurationError(f"{text!r} is not a size", "write a whole number and k, m, g or t, like 10G")
    size = int(match[1]) << 10 * _UNITS.index(match[2].lower())
    if not 0 < size <= _MAX_SIZE:
        raise ConfigurationError(f"a disk of {text} is not possible", "the size lies between 1 byte and 8191P")
    return size


def format_size(size: int) -> str:
    """`size` bytes in the largest unit that divides it, so that `parse_size` gives it back exactly."""
    power = 0
    while size and size % 1024 == 0 and power + 1 < len(_UNITS):
        size //= 1024
        power += 1
    return f"{size}{_UNITS[power].upper()}" if power else f"{size} bytes"
