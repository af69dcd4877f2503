"""Where the values of a JSON text stand in it: `json` tells that of errors only."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.config.declaration.errors import DocumentPath, Position

__all__ = ["nearest", "places"]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(slots=True)
class _Container:
    """An object or array that is not closed yet; the last step of the path is its key or index, once it has one."""

    is_object: bool
    has_step: bool = False


def places(text: str) -> dict[DocumentPath, Position]:
    """Where each member of an object begins (with its name), and each element of an array. `text` is JSON."""
    found: dict[DocumentPath, Position] = {(): Position(1, 1)}
    path: list[str | int] = []
    open_containers: list[_Container] = []
    line, line_start, done = 1, 0, 0
    for match in _TOKEN.finditer(text):
        breaks = text.count("\n", done, match.start())
        if breaks:
            line, line_start = line + breaks, text.rindex("\n", done, match.start()) + 1
        done = match.start()
        _step(match[0], path, open_containers, found, Position(line, done - line_start + 1))
    return found


def _step(
    sign: str,
    path: list[str | int],
    open_containers: list[_Container],
    found: dict[DocumentPath, Position],
    position: Position,
) -> None:
    """Take one sign in."""
    inner = open_containers[-1] if open_containers else None
    if sign == ":":
        return
    if sign == "," and inner is not None:
        _next_step(inner, path)
    elif sign in {"}", "]"}:
        if open_containers.pop().has_step:
            path.pop()
    else:
        if inner is not None and (not inner.is_object or not inner.has_step):
            if not inner.has_step:
                path.append(json.loads(sign) if inner.is_object else 0)
            inner.has_step = True
            found[tuple(path)] = position
            if inner.is_object:
                return
        if sign in {"{", "["}:
            open_containers.append(_Container(sign == "{"))


def _next_step(container: _Container, path: list[str | int]) -> None:
    last = path[-1]
    if isinstance(last, int) and not container.is_object:
        path[-1] = last + 1
    else:
        path.pop()
        container.has_step = False


def nearest(known: Mapping[DocumentPath, Position], path: DocumentPath) -> Position:
    """Where the value at `path` begins, or the nearest around it that is there."""
    return next(known[path[:length]] for length in range(len(path), -1, -1) if path[:length] in known)
