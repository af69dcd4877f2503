"""How the parts of a whole call it back without keeping it."""

from collections.abc import Callable
from types import MethodType
from typing import TypeVar, cast
from weakref import ref

__all__ = ["weakly"]

C = TypeVar("C", bound=Callable[..., None])


def weakly(method: C) -> C:
    """`method`, to be kept by what its object is made of: once nobody else has the object, calling does nothing.

    So the object goes when the last one that uses it does, and nobody has to look for rings of things that keep each
    other: with thousands of disks, everybody would wait for that.
    """
    bound = cast("MethodType", method)
    owner, function = ref(bound.__self__), bound.__func__

    def call(*args: object, **named: object) -> None:
        present = owner()
        if present is not None:
            function(present, *args, **named)

    return cast("C", call)
