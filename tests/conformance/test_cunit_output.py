"""Reading the output of the conformance suite."""

import pytest

from tests.conformance.cunit_output import Case, CaseRun, Outcome, case_runs, not_started_reason

_HEAD = """\
    Send INQUIRY (Expecting SUCCESS) evpd:0 page_code:00 alloc_len:64
    [OK] INQUIRY returned SUCCESS NO SENSE(0x00) (null)(0x0000)


     CUnit - A unit testing framework for C - Version 2.1-3
     http://cunit.sourceforge.net/


"""
_TAIL = """

Run Summary:    Type  Total    Ran Passed Failed Inactive
              suites      1      1    n/a      0        0

Elapsed time =    0.001 seconds
Tests completed with return value: 0
"""


def _only(text: str) -> CaseRun:
    (run,) = case_runs(_HEAD + text + _TAIL)
    return run


def test_passed() -> None:
    """A verdict at the start of a line, followed by the suite's cleanup, is a pass."""
    run = _only(
        "Suite: Read10\n  Test: Simple ...\n    Test READ10\n    [OK] READ10 returned SUCCESS\npassed    Send PRIN\n"
    )
    assert run == CaseRun(suite="Read10", test="Simple", outcome=Outcome.PASSED)


def test_failed_names_assertions_and_complaint() -> None:
    """A failure carries the places of its assertions and the tool's own complaint."""
    run = _only(
        "Suite: Read10\n  Test: BeyondEol ...\n    Send READ10\n"
        "    [FAILED] READ10 successful but should have failed\nFAILED\n"
        "    1. test_read10_beyond_eol.c:44  - CU_ASSERT_EQUAL(_r,0)\n"
        "    2. test_read10_beyond_eol.c:59  - CU_ASSERT_EQUAL(_r,0)    Send PRIN/READ_KEYS\n"
    )
    assert run.outcome is Outcome.FAILED
    assert run.reason == (
        "test_read10_beyond_eol.c:44 CU_ASSERT_EQUAL(_r,0); test_read10_beyond_eol.c:59 CU_ASSERT_EQUAL(_r,0); "
        "[FAILED] READ10 successful but should have failed"
    )


def test_failed_log_line_is_no_verdict() -> None:
    """A complaint in the log of a case that passes for CUnit does not end the case."""
    run = _only("Suite: A\n  Test: B ...\n    [FAILED] once\n\n    [OK] again\npassed\n")
    assert run.outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "line",
    [
        "[SKIPPED] READ12 is not implemented.",
        "[SKIPPING] No MAXIMUM WRITE SAME LENGTH - skipping MAXIMUM WRITE SAME LENGTH asserts.",
        "LBPRZ is clear. Skip the read and verify zero test",
    ],
)
def test_skipped(line: str) -> None:
    """A pass that says it left something out is a skip."""
    run = _only(f"Suite: A\n  Test: B ...    {line}\npassed\n")
    assert (run.outcome, run.reason) == (Outcome.SKIPPED, line)


def test_silent() -> None:
    """A pass without any log is not taken for one."""
    assert _only("Suite: A\n  Test: B ...passed\n").outcome is Outcome.SILENT


def test_unfinished() -> None:
    """A case in which the output ends has no verdict, and says how far it came."""
    (run,) = case_runs(_HEAD + "Suite: A\n  Test: B ...\n    one\n    two\n    three\n")
    assert (run.outcome, run.reason) == (Outcome.UNFINISHED, "two | three")


def test_order_and_suites() -> None:
    """Cases come in their order, each with its own suite, also when a suite's name comes again."""
    text = (
        "Suite: A\n  Test: B ...\n    x\npassed\n  Test: C ...\n    x\npassed\nSuite: D\n  Test: B ...\n    x\npassed\n"
    )
    assert [(run.suite, run.test) for run in case_runs(text + "Suite: A\n  Test: E ...passed\n")] == [
        ("A", "B"),
        ("A", "C"),
        ("D", "B"),
        ("A", "E"),
    ]


def test_no_case() -> None:
    """A client that could not log in ran nothing, and its last words are the reason."""
    output = "Failed to connect to SCSI device 0\nlogin failed\n"
    assert not list(case_runs(output))
    assert not_started_reason(output) == "Failed to connect to SCSI device 0 | login failed"


def test_case_names() -> None:
    """Only a full name is a case."""
    assert Case.parse("ALL.Read10.Simple\n") == Case("ALL", "Read10", "Simple")
    assert Case.parse("ALL.Read10") is None
    assert str(Case("ALL", "Read10", "Simple")) == "ALL.Read10.Simple"
