"""Sources of bytes that never repeat, and are the same at each run."""

import itertools
from collections.abc import Callable

__all__ = ["counting"]


def counting(start: int = 1) -> Callable[[int], bytes]:
    """Gives the bytes of a counter: each call another number, whatever its length."""
    numbers = itertools.count(start)
    return lambda length: next(numbers).to_bytes(max(length, 2))[-length:]
