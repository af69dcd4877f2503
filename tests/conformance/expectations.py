"""The ledger of cases that are allowed not to pass, skips.toml, and what it says about a run.

What holds for every unit stands in the tables [skipped] and [failed]. What holds only for units of some kind stands in
groups under the name of the trait that makes the difference (`[[removable]]`), with one reason for all cases of a group.
"""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.cunit_output import Case, CaseRun, Outcome

__all__ = ["LEDGER", "TRAITS", "Ledger", "LedgerError", "complaints"]

LEDGER = Path(__file__).with_name("skips.toml")

_TABLES = {
    "skipped": frozenset({Outcome.SKIPPED}),
    # A case that goes wrong may take the client down with it, or not, from one run to the next.
    "failed": frozenset({Outcome.FAILED, Outcome.UNFINISHED}),
}
_PASS = frozenset({Outcome.PASSED})

TRAITS = frozenset({"fixed", "removable", "writable", "write-protected", "small-blocks", "large-blocks", "opaque"})
"""What a unit can be: with a medium that stays or not, to be written to or not, with physical blocks larger than its logical
ones or not; on storage that does not tell which blocks it keeps."""


class LedgerError(Exception):
    """skips.toml holds something other than what the head of this module says."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The outcomes other than a pass that one unit may have, by `Suite.Test` (the same in every family)."""

    allowed: Mapping[str, frozenset[Outcome]]

    @classmethod
    def parse(cls, text: str, traits: Collection[str] = ()) -> "Ledger":
        """Reads the TOML text for a unit of these traits; each entry needs a reason, and stands once."""
        allowed: dict[str, frozenset[Outcome]] = {}
        for entry in _entries(tomllib.loads(text)):
            if not isinstance(entry.reason, str) or not entry.reason.strip():
                raise LedgerError(f"{entry.name} has no reason")
            if entry.trait is not None and entry.trait not in traits:
                continue
            if entry.name in allowed:
                raise LedgerError(f"{entry.name} stands twice")
            allowed[entry.name] = entry.outcomes
        return cls(allowed)

    @classmethod
    def load(cls, traits: Collection[str] = (), path: Path = LEDGER) -> "Ledger":
        """Reads the file."""
        return cls.parse(path.read_text(encoding="utf-8"), traits)

    def unknown(self, cases: Iterable[Case]) -> set[str]:
        """The entries that name no case."""
        return set(self.allowed) - {case.name_in_suite for case in cases}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One case, as the file has it."""

    name: str
    reason: object
    outcomes: frozenset[Outcome]
    trait: str | None = None


def _entries(document: Mapping[str, Any]) -> Iterator[_Entry]:
    for table, content in document.items():
        if table in _TABLES:
            yield from (_Entry(name, reason, _TABLES[table]) for name, reason in content.items())
        elif table in TRAITS and isinstance(content, list):
            for group in content:
                yield from _group(table, group)
        else:
            raise LedgerError(f"no table [{table}] and no trait: only {sorted(_TABLES)} and {sorted(TRAITS)}")


def _group(trait: str, group: Mapping[str, Any]) -> Iterator[_Entry]:
    if group.keys() != {"outcome", "reason", "cases"} or group["outcome"] not in _TABLES:
        raise LedgerError(f"a group of [[{trait}]] needs an outcome ({', '.join(_TABLES)}), a reason and cases")
    for name in group["cases"]:
        yield _Entry(name, group["reason"], _TABLES[group["outcome"]], trait)


def complaints(ledger: Ledger, runs: Mapping[Case, CaseRun]) -> Iterator[str]:
    """The runs that did not end as the ledger says: neither a new failure or skip passes, nor an entry that holds no more."""
    for case, run in runs.items():
        allowed = ledger.allowed.get(case.name_in_suite, _PASS)
        if run.outcome not in allowed:
            expected = " or ".join(sorted(outcome.value for outcome in allowed))
            yield f"{case}: {run.outcome.value}, expected {expected}: {run.reason}"
