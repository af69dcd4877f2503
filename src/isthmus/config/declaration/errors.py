"""What is wrong with a document, and where in it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from isthmus.errors import ConfigurationError

__all__ = ["DocumentError", "DocumentPath", "Position", "at", "path_text"]

DocumentPath = tuple[str | int, ...]
"""The keys and list indexes that lead to a place in a document."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class DocumentError(ConfigurationError):
    """A document cannot be understood or done; `path` and `position` say where, as far as that is known."""

    def __init__(
        self, problem: str, remedy: str = "", *, path: DocumentPath = (), position: Position | None = None
    ) -> None:
        super().__init__(f"{path_text(path)}: {problem}" if path else problem, remedy)
        self.bare_problem = problem
        self.path = path
        self.position = position


@contextmanager
def at(*steps: str | int) -> Iterator[None]:
    """What goes wrong inside is told as `DocumentError` with `steps` before its path."""
    try:
        yield
    except DocumentError as error:
        raise DocumentError(
            error.bare_problem, error.remedy, path=(*steps, *error.path), position=error.position
        ) from error.__cause__
    except ConfigurationError as error:
        raise DocumentError(error.problem, error.remedy, path=steps) from error


def path_text(path: DocumentPath) -> str:
    """`path` as people write it: `targets."iqn.2026-01.org.example:db".luns[0].lun`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if _BARE_KEY.fullmatch(step) else json.dumps(step, ensure_ascii=False)
            text += f".{key}" if text else key
    return text
