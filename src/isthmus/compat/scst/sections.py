r"""The ini-style file that iSCSI-SCST appliances keep, as a list of sections: `[KIND NAME]`, and settings below.

A setting is `name=value` or `name value`; the names of CHAP's are two words (`CHAP Username joe`). A value in double quotes
may hold anything, `\"` and `\\` standing for the two characters that cannot stand for themselves; another one goes to the
end of its line, and a `#` in it is nothing but a `#`. A line that starts with `#` or `;` is a comment.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from isthmus.config.declaration.errors import DocumentError, Position

__all__ = ["Entry", "Section", "is_ini", "parse"]

_BLANKS: Final = " \t\r\f\v"
_COMMENTS: Final = ("#", ";")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z0-9_]+[ \t]*=")
_PAIR: Final = re.compile(r"(?:CHAP[ \t]+)?[^\s=]+", re.IGNORECASE)
_ESCAPED: Final = re.compile(r'\\(["\\])')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting; `name` is in small letters, with one blank between its words."""

    name: str
    value: str
    position: Position


@dataclass(frozen=True, slots=True)
class Section:
    """A headline and what stands below it; `kind` is in small letters."""

    kind: str
    name: str
    position: Position
    entries: list[Entry] = field(default_factory=list)


def is_ini(text: str) -> bool:
    """Whether the first line that says something is a headline, which none of scst.conf is."""
    for raw in text.split("\n"):
        line = raw.strip(_BLANKS)
        if line and not line.startswith(_COMMENTS):
            return line.startswith("[")
    return False


def parse(text: str) -> tuple[Section, ...]:
    """The sections of `text`, in its order; raises `DocumentError` with the position of what is none of them."""
    sections: list[Section] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(_BLANKS)
        if not line or line.startswith(_COMMENTS):
            continue
        position = Position(number, len(raw) - len(raw.lstrip(_BLANKS)) + 1)
        if line.startswith("["):
            sections.append(_headline(line, position))
        elif sections:
            sections[-1].entries.append(_entry(line, position))
        else:
            raise DocumentError(
                "this setting stands before the first section", "begin with [DEFAULT]", position=position
            )
    return tuple(sections)


def _headline(line: str, position: Position) -> Section:
    if not line.endswith("]"):
        raise DocumentError("the headline is not closed", "its line ends with ]", position=position)
    kind, _, name = line[1:-1].strip(_BLANKS).partition(" ")
    if not kind:
        raise DocumentError("the headline is empty", "like [Target iqn.2026-01.org.example:disk]", position=position)
    return Section(kind.lower(), name.strip(_BLANKS), position)


def _entry(line: str, position: Position) -> Entry:
    found = _ASSIGNMENT.match(line) or _PAIR.match(line)
    if found is None:
        raise DocumentError("this setting has no name", "write NAME=VALUE", position=position)
    name = " ".join(found[0].rstrip("=").split()).lower()
    value = line[found.end() :].strip(_BLANKS)
    if not value and not found[0].endswith("="):
        # Its one word is not told: it may be a secret that has lost its name.
        raise DocumentError("this setting has no value", "write NAME=VALUE", position=position)
    return Entry(name, _value(value, position), position)


def _value(text: str, position: Position) -> str:
    if not text.startswith('"'):
        return text
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        raise DocumentError(
            "the value's double quotes do not fit together", 'a double quote in it is written \\"', position=position
        )
    return _ESCAPED.sub(r"\1", quoted[1])
