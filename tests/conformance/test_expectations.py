"""The ledger of what is allowed not to pass."""

import pytest

from tests.conformance.cunit_output import Case, CaseRun, Outcome
from tests.conformance.expectations import Ledger, LedgerError, complaints

_TEXT = """
[nowhere]
"A.B" = "the case is wrong"
[[removable]]
outcome = "left out"
reason = "it looks for a tray"
cases = ["A.C", "A.D"]
[[fixed]]
outcome = "skipped"
reason = "it stays in"
cases = ["A.C"]
"""
_FIXED = Ledger.parse(_TEXT, ("fixed", "writable"))


def _case(test: str) -> Case:
    return Case("ALL", "A", test)


def _complaints(test: str, outcome: Outcome) -> list[str]:
    run = CaseRun(suite="A", test=test, outcome=outcome, reason="why")
    return list(complaints(_FIXED, {_case(test): run}))


@pytest.mark.parametrize(("test", "outcome"), [("C", Outcome.SKIPPED), ("D", Outcome.PASSED)], ids=str)
def test_as_listed(test: str, outcome: Outcome) -> None:
    """An outcome that the ledger foresees is nothing to complain about."""
    assert not _complaints(test, outcome)


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        *(("C", outcome) for outcome in Outcome if outcome is not Outcome.SKIPPED),
        *(("D", outcome) for outcome in Outcome if outcome is not Outcome.PASSED),
    ],
    ids=str,
)
def test_anything_else_is_a_complaint(test: str, outcome: Outcome) -> None:
    """Every failure, a skip that is not listed, a lost case, and an entry that no longer holds."""
    expected = {"C": "skipped", "D": "passed"}[test]
    assert _complaints(test, outcome) == [f"ALL.A.{test}: {outcome.value}, expected {expected}: why"]


@pytest.mark.parametrize(
    ("traits", "running", "passing"),
    [((), "CD", "CD"), (("fixed", "writable"), "CD", "D"), (("removable",), "", "")],
)
def test_traits(traits: tuple[str, ...], running: str, passing: str) -> None:
    """A group counts for the units of its trait; what no target can pass runs on none."""
    ledger = Ledger.parse(_TEXT, traits)
    assert [test for test in "BCD" if ledger.runs(_case(test))] == list(running)
    assert [test for test in "BCD" if ledger.passes(_case(test))] == list(passing)


@pytest.mark.parametrize(
    "text",
    [
        '[nowhere]\n"A.B" = ""\n',
        '[nowhere]\n"A.B" = 3\n',
        "[other]\n",
        '[[red]]\noutcome = "skipped"\nreason = "x"\ncases = ["A.B"]\n',
        '[[fixed]]\noutcome = "failed"\nreason = "x"\ncases = ["A.B"]\n',
        '[[fixed]]\noutcome = "skipped"\ncases = ["A.B"]\n',
        '[[fixed]]\noutcome = "skipped"\nreason = " "\ncases = ["A.B"]\n',
        '[fixed]\n"A.B" = "x"\n',
        '[nowhere]\n"A.B" = "x"\n[[fixed]]\noutcome = "skipped"\nreason = "x"\ncases = ["A.B"]\n',
    ],
    ids=[
        "empty reason",
        "no text",
        "unknown table",
        "unknown trait",
        "a failure",
        "no reason",
        "empty reason of a group",
        "no group",
        "twice",
    ],
)
def test_malformed(text: str) -> None:
    """Each entry needs its reason, and one place; nothing may fail."""
    with pytest.raises(LedgerError):
        Ledger.parse(text, ("fixed",))


def test_unknown_names() -> None:
    """An entry for a case that does not exist is found."""
    assert _FIXED.unknown([_case("B")]) == {"A.C"}
