"""Run libiscsi's `iscsi-test-cu` so that every case gets a verdict, also when the client crashes or hangs in one.

Each case is its own CUnit suite, by a list file: so each logs in anew, and none depends on what the one before left behind
(a case that ends by dropping its session makes those after it in the suite skip without a word). When the client ends
early, the case in which it ended is a failure, and a new client goes on behind it.
"""

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.cunit_output import Case, CaseRun, Outcome, case_runs, not_started_reason

__all__ = ["QUIET_SECONDS", "TOOL", "Client", "all_cases"]

TOOL = "iscsi-test-cu"

QUIET_SECONDS = 25.0
_POLL_SECONDS = 0.1
# What a client that crashes has not flushed would be lost, and with it the name of the case.
_LINE_BUFFERED = ("stdbuf", "--output=L")
_NORMAL_ENDS = ("the client exited with status 0", "the client exited with status 1")


def all_cases() -> list[Case]:
    """Every case that the installed tool knows, in its order (615 in libiscsi 1.19)."""
    listing = subprocess.run([TOOL, "--list"], check=True, capture_output=True, text=True).stdout
    return [case for case in map(Case.parse, listing.splitlines()) if case is not None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Client:
    """The tool, pointed at one logical unit through one or two portals, with a bound in seconds for a list of cases."""

    urls: Sequence[str]
    seconds: float = 1200.0
    quiet_seconds: float = QUIET_SECONDS
    """The longest time without a line of output: the cases wait at most 5 s for an answer, and some wait twice."""
    tool: Sequence[str] = (TOOL,)
    clock: Callable[[], float] = time.monotonic

    def run(self, cases: Sequence[Case]) -> dict[Case, CaseRun]:
        """A run of each case; never fewer than were asked for."""
        deadline = self.clock() + self.seconds
        runs: dict[Case, CaseRun] = {}
        while len(runs) < len(cases):
            remaining = cases[len(runs) :]
            if self.clock() >= deadline:
                runs |= {case: _lost(case, f"not run within {self.seconds} s") for case in remaining}
            else:
                runs |= self._run_once(remaining, deadline)
        return runs

    def _run_once(self, cases: Sequence[Case], deadline: float) -> dict[Case, CaseRun]:
        """One client for these cases: the runs of those that it began, the last of them lost if it did not end by itself."""
        output, end = self._client_output(cases, deadline)
        runs = dict(zip(cases, case_runs(output), strict=False))
        for case, run in runs.items():
            if (case.suite, case.test) != (run.suite, run.test):
                raise AssertionError(f"{case} was asked for, {run.suite}.{run.test} was run")
        if not runs:
            return {case: _lost(case, f"no case was run, {end}: {not_started_reason(output)}") for case in cases}
        last, run = next(reversed(runs.items()))
        if run.outcome is Outcome.UNFINISHED or end not in _NORMAL_ENDS:
            runs[last] = _lost(last, f"{end}: {run.outcome.value}: {run.reason}")
        return runs

    def _client_output(self, cases: Sequence[Case], deadline: float) -> tuple[str, str]:
        """What the client printed for these cases, and how it ended."""
        with tempfile.TemporaryDirectory() as name:
            listing, output = Path(name, "cases"), Path(name, "output")
            listing.write_text("".join(f"{case}\n" for case in cases), encoding="ascii")
            with (
                output.open("wb") as sink,
                subprocess.Popen(
                    [
                        *_LINE_BUFFERED,
                        *self.tool,
                        "--dataloss",
                        "--allow-sanitize",
                        "-V",
                        "-t",
                        str(listing),
                        *self.urls,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                ) as process,
            ):
                end = self._await_end(process, output, deadline)
            return output.read_text(encoding="utf-8", errors="replace"), end

    def _await_end(self, process: subprocess.Popen[bytes], output: Path, deadline: float) -> str:
        size, quiet_since = 0, self.clock()
        while process.poll() is None:
            now = self.clock()
            if (grown := output.stat().st_size) != size:
                size, quiet_since = grown, now
            if now >= deadline or now - quiet_since >= self.quiet_seconds:
                process.kill()
                process.wait()
                return "the client hung" if now < deadline else "the client ran out of time"
            time.sleep(_POLL_SECONDS)
        if process.returncode < 0:
            return f"the client crashed with {signal.Signals(-process.returncode).name}"
        return f"the client exited with status {process.returncode}"


def _lost(case: Case, reason: str) -> CaseRun:
    return CaseRun(suite=case.suite, test=case.test, outcome=Outcome.UNFINISHED, reason=reason)
