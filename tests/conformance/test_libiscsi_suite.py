"""The runner of the conformance suite, with a stand-in for the tool."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conformance.cunit_output import Case, Outcome
from tests.conformance.libiscsi_suite import Client

_STAND_IN = """
import os, signal, sys, time
listing = sys.argv[sys.argv.index("-t") + 1]
for name in open(listing).read().split():
    family, suite, test = name.split(".")
    print(f"Suite: {suite}")
    print(f"  Test: {test} ...")
    print("    log", flush=True)
    if test == "Crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if test == "Hang":
        time.sleep(60)
    print("FAILED" if test == "Fail" else "passed", flush=True)
    if test == "CrashAfter":
        os.abort()
"""


@pytest.fixture
def tool(tmp_path: Path) -> Sequence[str]:
    """A client that behaves as each case is named."""
    path = tmp_path / "tool.py"
    path.write_text(_STAND_IN, encoding="ascii")
    return [sys.executable, str(path)]


def _outcomes(client: Client, *tests: str) -> dict[str, Outcome]:
    cases = [Case("ALL", "Suite", test) for test in tests]
    runs = client.run(cases)
    assert list(runs) == cases
    return {case.test: run.outcome for case, run in runs.items()}


def test_all_run(tool: Sequence[str]) -> None:
    """A client that runs all gives a verdict for each."""
    assert _outcomes(Client(urls=["url"], tool=tool), "A", "Fail", "B") == {
        "A": Outcome.PASSED,
        "Fail": Outcome.FAILED,
        "B": Outcome.PASSED,
    }


@pytest.mark.parametrize("crash", ["Crash", "CrashAfter"])
def test_crash(tool: Sequence[str], crash: str) -> None:
    """A crash is the failure of the case in which it came, and the others are run all the same."""
    client = Client(urls=["url"], tool=tool)
    assert _outcomes(client, "A", crash, "B") == {"A": Outcome.PASSED, crash: Outcome.UNFINISHED, "B": Outcome.PASSED}


def test_hang(tool: Sequence[str]) -> None:
    """So is a hang."""
    client = Client(urls=["url"], tool=tool, quiet_seconds=0.5)
    assert _outcomes(client, "Hang", "B") == {"Hang": Outcome.UNFINISHED, "B": Outcome.PASSED}


def test_out_of_time(tool: Sequence[str]) -> None:
    """When the time is up, the cases that are left count as lost."""
    client = Client(urls=["url"], tool=tool, seconds=0.5)
    assert _outcomes(client, "Hang", "B") == {"Hang": Outcome.UNFINISHED, "B": Outcome.UNFINISHED}


def test_no_login(tmp_path: Path) -> None:
    """A client that runs nothing loses every case, once, with its last words."""
    path = tmp_path / "tool.py"
    path.write_text("import sys\nprint('login failed')\nsys.exit(255)\n", encoding="ascii")
    runs = Client(urls=["url"], tool=[sys.executable, str(path)]).run([Case("ALL", "A", "B"), Case("ALL", "A", "C")])
    assert {run.reason for run in runs.values()} == {"no case was run, the client exited with status 255: login failed"}
