"""JSON as saveconfig.json has it: what `json.dumps` writes with an indentation of two and sorted names.

That is written in Python, takes several times as long, and leaves behind rings of functions for the garbage collector:
thirty objects for each backstore and target, each time that the configuration is saved.
"""

import json
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final

__all__ = ["indented"]

_STEP: Final = "  "
_WRITERS: Final[Mapping[type, Callable[[Any], str]]] = {
    str: encode_basestring_ascii,
    int: int.__repr__,
    bool: lambda value: "true" if value else "false",
}


def indented(value: object, indent: str = "") -> str:
    """The text of `value`, whose first line is indented already; names are texts."""
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    inner = indent + _STEP
    if isinstance(value, Mapping):
        members = []
        for name in sorted(value):
            member = value[name]
            write = _WRITERS.get(type(member))
            text = indented(member, inner) if write is None else write(member)
            members.append(f"{inner}{encode_basestring_ascii(name)}: {text}")
        return _between("{}", members, indent)
    if isinstance(value, list | tuple):
        return _between("[]", [inner + indented(member, inner) for member in value], indent)
    return json.dumps(value)


def _between(brackets: str, members: list[str], indent: str) -> str:
    if not members:
        return brackets
    return f"{brackets[0]}\n" + ",\n".join(members) + f"\n{indent}{brackets[1]}"
