"""What is told of a file while it is read: findings for what is not done as it says, errors for what makes no sense."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from isthmus.compat.importer import Finding, ImportSyntaxError
from isthmus.compat.scst.grammar import Statement, Word
from isthmus.config.declaration.errors import Position
from isthmus.errors import ConfigurationError

__all__ = ["Attribute", "Report", "Row", "apply", "attributes", "flag", "number"]

_Draft = TypeVar("_Draft")
_NUMBER: Final = re.compile("0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19}")
_OFF: Final = frozenset({"0", ""})


@dataclass(slots=True)
class Report:
    """What is told of one file."""

    file: str
    findings: list[Finding] = field(default_factory=list)

    def say(self, place: Position, meaning: str, instead: str) -> None:
        """Something is not done as the file says."""
        self.findings.append(Finding(self.file, place.line, meaning, instead))

    def error(self, place: Position, problem: str, remedy: str = "") -> ImportSyntaxError:
        """What to raise for something that cannot be understood."""
        return ImportSyntaxError(self.file, place.line, place.column, problem, remedy)

    @contextmanager
    def at(self, place: Position) -> Iterator[None]:
        """What cannot be, in here, is an error at `place`."""
        try:
            yield
        except ConfigurationError as error:
            raise self.error(place, error.problem, error.remedy) from None
        except ValueError as error:
            raise self.error(place, str(error)) from None

    def in_order(self) -> tuple[Finding, ...]:
        """The findings by their lines."""
        return tuple(sorted(self.findings, key=lambda finding: finding.line))

    def operand(self, statement: Statement, index: int, what: str) -> Word:
        """A word that `statement` must have; `what` it is."""
        if len(statement.words) <= index:
            raise self.error(statement.position, f"{statement.name} does not say {what}")
        return statement.words[index]

    def no_more(self, statement: Statement, count: int) -> None:
        """Refuse words beyond the first `count`: a value with blanks that lacks its quotes would lose its end."""
        if len(statement.words) > count:
            raise self.error(
                statement.words[count].position,
                f"{statement.name} has a word too many",
                "a value with blanks stands in double quotes",
            )


@dataclass(frozen=True, slots=True)
class Attribute:
    """A setting of SCST; the value of one without a value is empty."""

    name: str
    value: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[_Draft]):
    """What becomes of an attribute."""

    take: Callable[[_Draft, str], None] | None = None
    """Puts its value where it belongs. Raises `ConfigurationError` for one that cannot be had here, and `ValueError` for
    one that SCST would refuse, too. None: it is not honoured."""
    instead: str = ""
    """What happens instead of honouring it; empty if it means nothing to initiators."""
    harmless: frozenset[str] = _OFF
    """Values that ask for nothing."""


def attributes(statement: Statement, inner: frozenset[str], report: Report) -> Iterator[Attribute]:
    """The attributes in the section of `statement`; `inner` are the names of what else it may hold."""
    for found in statement.section:
        if found.name not in inner:
            report.no_more(found, 2)
            if found.opens:
                raise report.error(found.position, f"there is no section {found.name!r} in {statement.name}")
            yield Attribute(found.name, found.words[1].text if len(found.words) > 1 else "", found.position)


def apply(found: Attribute, rows: Mapping[str, Row[_Draft]], draft: _Draft, owner: str, report: Report) -> None:
    """Put an attribute into `draft`, or tell what happens instead; `owner` is whose it is."""
    row = rows.get(found.name)
    # The value of something unknown may be a secret that has lost its way.
    meaning = f"{found.name} {'' if row is None else found.value}".rstrip() + f" of {owner}"
    if row is None and not found.value:
        report.say(found.position, f"a word without a value in {owner}", "it is left out")
    elif row is None:
        report.say(found.position, meaning, "there is no such setting here; it is left out")
    elif row.take is None:
        if row.instead and found.value not in row.harmless:
            report.say(found.position, meaning, row.instead)
    else:
        try:
            row.take(draft, found.value)
        except ConfigurationError as error:
            report.say(found.position, meaning, f"{error}; it is left out")
        except ValueError as error:
            raise report.error(found.position, f"{meaning}: {error}") from None


def flag(value: str) -> bool:
    """0 or 1; raises `ValueError`."""
    if value not in {"0", "1"}:
        raise ValueError("it is neither 0 nor 1")
    return value == "1"


def number(value: str) -> int:
    """A number above or equal to 0, as C writes it; raises `ValueError`."""
    if not _NUMBER.fullmatch(value):
        raise ValueError("it is not a number")
    return int(value, 16) if value[:2] in {"0x", "0X"} else int(value)
