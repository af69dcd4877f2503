"""The ledger of allowed skips and failures."""

import pytest

from tests.conformance.cunit_output import Case, CaseRun, Outcome
from tests.conformance.expectations import Ledger, LedgerError, complaints

_LEDGER = Ledger.parse('[skipped]\n"A.B" = "not served yet"\n[failed]\n"A.C" = "the case is wrong"\n')


def _complaints(test: str, outcome: Outcome) -> list[str]:
    run = CaseRun(suite="A", test=test, outcome=outcome, reason="why")
    return list(complaints(_LEDGER, {Case("ALL", "A", test): run}))


@pytest.mark.parametrize(
    ("test", "outcome"),
    [("B", Outcome.SKIPPED), ("C", Outcome.FAILED), ("C", Outcome.UNFINISHED), ("D", Outcome.PASSED)],
    ids=str,
)
def test_as_listed(test: str, outcome: Outcome) -> None:
    """An outcome that the ledger foresees is nothing to complain about."""
    assert not _complaints(test, outcome)


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        *(("B", outcome) for outcome in Outcome if outcome is not Outcome.SKIPPED),
        *(("C", outcome) for outcome in (Outcome.PASSED, Outcome.SKIPPED, Outcome.SILENT)),
        *(("D", outcome) for outcome in Outcome if outcome is not Outcome.PASSED),
    ],
    ids=str,
)
def test_anything_else_is_a_complaint(test: str, outcome: Outcome) -> None:
    """Every other outcome is: an unlisted skip or failure, a lost case, and an entry that no longer holds."""
    expected = {"B": "skipped", "C": "failed or unfinished", "D": "passed"}[test]
    assert _complaints(test, outcome) == [f"ALL.A.{test}: {outcome.value}, expected {expected}: why"]


@pytest.mark.parametrize(
    "text",
    [
        '[skipped]\n"A.B" = ""\n',
        '[skipped]\n"A.B" = 3\n',
        "[other]\n",
        '[skipped]\n"A.B" = "x"\n[failed]\n"A.B" = "x"\n',
    ],
    ids=["empty reason", "no text", "unknown table", "twice"],
)
def test_malformed(text: str) -> None:
    """Each entry needs its reason and one place."""
    with pytest.raises(LedgerError):
        Ledger.parse(text)


_GROUPS = """
[skipped]
"A.B" = "never"
[[removable]]
outcome = "failed"
reason = "it looks for a tray"
cases = ["A.C", "A.D"]
[[fixed]]
outcome = "skipped"
reason = "it stays in"
cases = ["A.C"]
"""


@pytest.mark.parametrize(
    ("traits", "allowed"),
    [
        ((), {"A.B": {Outcome.SKIPPED}}),
        (("fixed", "writable"), {"A.B": {Outcome.SKIPPED}, "A.C": {Outcome.SKIPPED}}),
        (
            ("removable",),
            {
                "A.B": {Outcome.SKIPPED},
                "A.C": {Outcome.FAILED, Outcome.UNFINISHED},
                "A.D": {Outcome.FAILED, Outcome.UNFINISHED},
            },
        ),
    ],
)
def test_traits(traits: tuple[str, ...], allowed: dict[str, set[Outcome]]) -> None:
    """A group counts for the units of its trait, beside what counts for all."""
    assert Ledger.parse(_GROUPS, traits).allowed == allowed


@pytest.mark.parametrize(
    "text",
    [
        '[[red]]\noutcome = "failed"\nreason = "x"\ncases = ["A.B"]\n',
        '[[fixed]]\noutcome = "passed"\nreason = "x"\ncases = ["A.B"]\n',
        '[[fixed]]\noutcome = "failed"\ncases = ["A.B"]\n',
        '[[fixed]]\noutcome = "failed"\nreason = " "\ncases = ["A.B"]\n',
        '[fixed]\n"A.B" = "x"\n',
        '[failed]\n"A.B" = "x"\n[[fixed]]\noutcome = "failed"\nreason = "x"\ncases = ["A.B"]\n',
    ],
    ids=["unknown trait", "a pass", "no reason", "empty reason", "no group", "twice"],
)
def test_malformed_groups(text: str) -> None:
    """A group has all its parts, and names no case that stands elsewhere for the same unit."""
    with pytest.raises(LedgerError):
        Ledger.parse(text, ("fixed",))


def test_unknown_names() -> None:
    """An entry for a case that does not exist is found."""
    assert _LEDGER.unknown([Case("ALL", "A", "B")]) == {"A.C"}
