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
        path = sys.argv[-1] + ".part"
        with open(path, "w") as file:
            file.write(str(os.getpid()))
        os.replace(path, sys.argv[-1])
        time.sleep(600)
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


class Clock:
    """Stands still, but while a client hangs: then it leaps."""

    def __init__(self, hanging: Path) -> None:
        """`hanging`: where a client that hangs leaves its number."""
        self._hanging = hanging
        self._now = 0.0

    def __call__(self) -> float:
        if self._hanging.exists() and Path("/proc", self._hanging.read_text()).exists():
            self._now += 1000.0
        return self._now


def test_hang(tool: Sequence[str], tmp_path: Path) -> None:
    """So is a hang."""
    url = str(tmp_path / "hanging")
    client = Client(urls=[url], tool=tool, seconds=100_000.0, quiet_seconds=500.0, clock=Clock(Path(url)))
    assert _outcomes(client, "Hang", "B") == {"Hang": Outcome.UNFINISHED, "B": Outcome.PASSED}


def test_out_of_time(tool: Sequence[str], tmp_path: Path) -> None:
    """When the time is up, the cases that are left count as lost."""
    url = str(tmp_path / "hanging")
    client = Client(urls=[url], tool=tool, seconds=500.0, quiet_seconds=100_000.0, clock=Clock(Path(url)))
    assert _outcomes(client, "Hang", "B") == {"Hang": Outcome.UNFINISHED, "B": Outcome.UNFINISHED}
