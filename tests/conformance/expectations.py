"""The ledger of cases that are allowed not to pass, skips.toml, and what it says about a run."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.cunit_output import Case, CaseRun, Outcome

__all__ = ["LEDGER", "Ledger", "LedgerError", "complaints"]

LEDGER = Path(__file__).with_name("skips.toml")

_TABLES = {
    "skipped": frozenset({Outcome.SKIPPED}),
    # A case that goes wrong may take the client down with it, or not, from one run to the next.
    "failed": frozenset({Outcome.FAILED, Outcome.UNFINISHED}),
}
_PASS = frozenset({Outcome.PASSED})


class LedgerError(Exception):
    """skips.toml holds something other than `"Suite.Test" = "reason"` lines under [skipped] and [failed]."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The allowed outcomes other than a pass, by `Suite.Test` (the same in every family), each with its reason."""

    allowed: Mapping[str, frozenset[Outcome]]

    @classmethod
    def parse(cls, text: str) -> "Ledger":
        """Reads the TOML text; each entry needs a reason, and stands once."""
        allowed: dict[str, frozenset[Outcome]] = {}
        for table, entries in tomllib.loads(text).items():
            if table not in _TABLES:
                raise LedgerError(f"no table [{table}]: only {sorted(_TABLES)}")
            for name, reason in entries.items():
                if not isinstance(reason, str) or not reason.strip():
                    raise LedgerError(f"{name} has no reason")
                if name in allowed:
                    raise LedgerError(f"{name} stands twice")
                allowed[name] = _TABLES[table]
        return cls(allowed)

    @classmethod
    def load(cls, path: Path = LEDGER) -> "Ledger":
        """Reads the file."""
        return cls.parse(path.read_text(encoding="utf-8"))

    def unknown(self, cases: Iterable[Case]) -> set[str]:
        """The entries that name no case."""
        return set(self.allowed) - {case.name_in_suite for case in cases}


def complaints(ledger: Ledger, runs: Mapping[Case, CaseRun]) -> Iterator[str]:
    """The runs that did not end as the ledger says: neither a new failure or skip passes, nor an entry that holds no more."""
    for case, run in runs.items():
        allowed = ledger.allowed.get(case.name_in_suite, _PASS)
        if run.outcome not in allowed:
            expected = " or ".join(sorted(outcome.value for outcome in allowed))
            yield f"{case}: {run.outcome.value}, expected {expected}: {run.reason}"
