"""What `iscsi-test-cu --Verbose-scsi` prints, as one value for each test case.

The output is made for people (CUnit 2.1 basic.c, verbose mode, mixed with the tool's own log):

    Suite: Read10
      Test: Simple ...
        Send READ10 (Expecting SUCCESS) LBA:0 blocks:1 ...
        [OK] READ10 returned SUCCESS ...
    passed
      Test: BeyondEol ...
        [FAILED] READ10 successful but should have failed ...
    FAILED
        1. test_read10_beyond_eol.c:44  - CU_ASSERT_EQUAL(...)

The log is indented; a verdict starts a line, or follows the dots when the case logged nothing. A case without verdict is the
one in which the client ended or was ended.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

__all__ = ["Case", "CaseRun", "Outcome", "case_runs", "not_started_reason"]


class Outcome(Enum):
    """What became of a test case."""

    PASSED = "passed"
    SKIPPED = "skipped"
    """It passed for CUnit, but says that it left something out."""
    SILENT = "silent"
    """It passed for CUnit, and did nothing that it logged: some skips are not announced."""
    FAILED = "failed"
    UNFINISHED = "unfinished"
    """No verdict: the client crashed, hung or was ended in it."""


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """A test case as the tool names it; the same suite and test stand in several families."""

    family: str
    suite: str
    test: str

    @classmethod
    def parse(cls, name: str) -> "Case | None":
        """A line of `iscsi-test-cu --list`; None for the name of a family or a suite."""
        parts = name.strip().split(".")
        return cls(*parts) if len(parts) == 3 else None

    @property
    def name_in_suite(self) -> str:
        """`Suite.Test`: the same check, whatever the family."""
        return f"{self.suite}.{self.test}"

    def __str__(self) -> str:
        return f"{self.family}.{self.suite}.{self.test}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRun:
    """One run of one case: its outcome, and the lines that say why it is not simply passed."""

    suite: str
    test: str
    outcome: Outcome
    reason: str = ""


_SUITE = re.compile(r"^Suite: (\S+)$", re.MULTILINE)
_TEST = re.compile(r"^  Test: (\S+) \.\.\.", re.MULTILINE)
_VERDICT = re.compile(r"^(passed|FAILED)", re.MULTILINE)
_ASSERTION = re.compile(r"^ {4}\d+\. (\S+?:\d+) +- (.+?)(?: {4}Send .*)?$", re.MULTILINE)
_SKIP = re.compile(r"\bskip(?:s|ped|ping)?\b", re.IGNORECASE)
_LOG_CONTEXT_LINES = 2


def case_runs(output: str) -> Iterator[CaseRun]:
    """The cases of the output, in their order; the last may be UNFINISHED."""
    for suite, suite_end in _sections(_SUITE, output, 0, len(output)):
        for test, test_end in _sections(_TEST, output, suite.end(), suite_end):
            outcome, reason = _judge(output[test.end() : test_end])
            yield CaseRun(suite=suite[1], test=test[1], outcome=outcome, reason=reason)


def _sections(heading: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[re.Match[str], int]]:
    """Each heading with the place where its section ends: at the next heading, or the end."""
    found = list(heading.finditer(text, start, end))
    ends = [following.start() for following in found[1:]]
    return zip(found, [*ends, end], strict=False)


def _judge(body: str) -> tuple[Outcome, str]:
    verdicts = list(_VERDICT.finditer(body))
    log = [line.strip() for line in (body[: verdicts[-1].start()] if verdicts else body).splitlines() if line.strip()]
    if not verdicts:
        return Outcome.UNFINISHED, _last(log)
    if verdicts[-1][1] == "FAILED":
        return Outcome.FAILED, _failure(log, body[verdicts[-1].end() :])
    skips = [line for line in log if _SKIP.search(line)]
    if skips:
        return Outcome.SKIPPED, skips[0]
    return (Outcome.PASSED, "") if log else (Outcome.SILENT, "")


def _failure(log: list[str], after: str) -> str:
    assertions = [f"{place} {what}" for place, what in _ASSERTION.findall(after)]
    complaints = [line for line in log if line.startswith("[FAILED]")]
    return "; ".join([*assertions[:3], *(complaints[:2] or [_last(log)])])


def _last(log: list[str]) -> str:
    return " | ".join(log[-_LOG_CONTEXT_LINES:])


def not_started_reason(output: str) -> str:
    """Why a client that ran no case at all did not: what it printed last."""
    return _last([line.strip() for line in output.splitlines() if line.strip()])
