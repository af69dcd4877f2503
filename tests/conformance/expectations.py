"""The ledger of cases that are allowed not to pass, skips.toml, and what it says about a run.

What no target can pass stands in the table [nowhere]. What holds only for units of some kind stands in groups under the
name of the trait that makes the difference (`[[removable]]`), with one reason for all cases of a group and what becomes
of them: "skipped", the case runs and says that it leaves something out; "left out", it cannot hold there and is not run.
"""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.cunit_output import Case, CaseRun, Outcome

__all__ = ["LEDGER", "NOWHERE", "TRAITS", "Ledger", "LedgerError", "complaints"]

LEDGER = Path(__file__).with_name("skips.toml")
NOWHERE = "nowhere"
_SKIPPED = "skipped"
_LEFT_OUT = "left out"

TRAITS = frozenset(
    {
        "fixed",
        "removable",
        "writable",
        "write-protected",
        "small-blocks",
        "large-blocks",
        "opaque",
        "plain",
        "bounded-write-same",
        "write-same-to-end",
        "long-cdbs",
        "any-atomic-write",
        "quick",
    }
)
"""What a unit can be: with a medium that stays or not, to be written to or not, with physical blocks larger than its logical
ones or not; on storage that does not tell which blocks it keeps; not encrypted; refusing a WRITE SAME of no blocks,
or taking it for all up to the end; with commands of 32 bytes; free of alignment for atomic writes; overwritten within seconds."""


class LedgerError(Exception):
    """skips.toml holds something other than what the head of this module says."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one unit does not let pass, by `Suite.Test` (the same in every family), with the reasons."""

    skipped: Mapping[str, str]
    left_out: Mapping[str, str]

    @classmethod
    def parse(cls, text: str, traits: Collection[str] = ()) -> "Ledger":
        """Reads the TOML text for a unit of these traits; each entry needs a reason, and stands once."""
        found: dict[str, dict[str, str]] = {_SKIPPED: {}, _LEFT_OUT: {}}
        for entry in _entries(tomllib.loads(text)):
            if not isinstance(entry.reason, str) or not entry.reason.strip():
                raise LedgerError(f"{entry.name} has no reason")
            if entry.trait is not None and entry.trait not in traits:
                continue
            if any(entry.name in names for names in found.values()):
                raise LedgerError(f"{entry.name} stands twice")
            found[entry.becomes][entry.name] = entry.reason
        return cls(found[_SKIPPED], found[_LEFT_OUT])

    @classmethod
    def load(cls, traits: Collection[str] = (), path: Path = LEDGER) -> "Ledger":
        """Reads the file."""
        return cls.parse(path.read_text(encoding="utf-8"), traits)

    def runs(self, case: Case) -> bool:
        """Whether the case is run on the unit at all."""
        return case.name_in_suite not in self.left_out

    def passes(self, case: Case) -> bool:
        """Whether it has to pass there, with nothing left out."""
        return self.runs(case) and case.name_in_suite not in self.skipped

    def unknown(self, cases: Iterable[Case]) -> set[str]:
        """The entries that name no case."""
        return (self.skipped.keys() | self.left_out.keys()) - {case.name_in_suite for case in cases}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One case, as the file has it."""

    name: str
    reason: object
    becomes: str
    trait: str | None = None


def _entries(document: Mapping[str, Any]) -> Iterator[_Entry]:
    for table, content in document.items():
        if table == NOWHERE:
            yield from (_Entry(name, reason, _LEFT_OUT) for name, reason in content.items())
        elif table in TRAITS and isinstance(content, list):
            for group in content:
                yield from _group(table, group)
        else:
            raise LedgerError(f"no table [{table}] and no trait: only {NOWHERE} and {sorted(TRAITS)}")


def _group(trait: str, group: Mapping[str, Any]) -> Iterator[_Entry]:
    if group.keys() != {"outcome", "reason", "cases"} or group["outcome"] not in (_SKIPPED, _LEFT_OUT):
        raise LedgerError(f"a group of [[{trait}]] needs an outcome ({_SKIPPED}, {_LEFT_OUT}), a reason and cases")
    for name in group["cases"]:
        yield _Entry(name, group["reason"], group["outcome"], trait)


def complaints(ledger: Ledger, runs: Mapping[Case, CaseRun]) -> Iterator[str]:
    """The runs that did not end as the ledger says: neither a failure or new skip passes, nor an entry that holds no more."""
    for case, run in runs.items():
        expected = Outcome.PASSED if ledger.passes(case) else Outcome.SKIPPED
        if run.outcome is not expected:
            yield f"{case}: {run.outcome.value}, expected {expected.value}: {run.reason}"
