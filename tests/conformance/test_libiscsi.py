"""The server against libiscsi's conformance suite: nothing fails, and what is left out stands in skips.toml with its reason."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.conformance.cunit_output import Case, CaseRun, Outcome
from tests.conformance.expectations import TRAITS, Ledger, complaints
from tests.conformance.libiscsi_suite import QUIET_SECONDS, TOOL, Client, all_cases
from tests.conformance.plan import UNITS, Medium, Unit, ledgers, plan
from tests.support.real_storage import loop_device
from tests.support.server import running_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1300),
    pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not installed (Debian: libiscsi-bin)"),
]

_CASES_OF_1_19 = 615
_FAMILIES = ("ALL", "SCSI", "iSCSI", "LINUX")
_PATIENT = "slow"
# Some cases are silent for a minute, and then look whether their unit has become ready.
_PATIENT_QUIET_SECONDS = 90.0
_AT_ONCE = 2

Runs = Mapping[Case, CaseRun]


@contextmanager
def _serve(directory: Path, unit: Unit, quiet_seconds: float = QUIET_SECONDS) -> Iterator[Client]:
    """The client, with two paths to a unit."""
    portals = ("--portal", "127.0.0.1:0") * 2
    with (
        _medium(directory, unit) as medium,
        running_server([*medium, *unit.options, *portals], directory, ready_lines=2) as server,
    ):
        yield Client(urls=[str(url) for url in server.urls], quiet_seconds=quiet_seconds)


@contextmanager
def _medium(directory: Path, unit: Unit) -> Iterator[Sequence[str | Path]]:
    """What to tell the server to serve."""
    if unit.medium is Medium.MEMORY:
        yield ("--ram", str(unit.size))
        return
    path = directory / "medium.img"
    with path.open("xb") as file:
        file.truncate(unit.size)
    if unit.medium is Medium.FILE:
        yield (path,)
        return
    with loop_device(path) as device:
        yield (device,)


def _run(directory: Path, unit: Unit, cases: Sequence[Case]) -> Runs:
    directory.mkdir()
    with _serve(directory, unit) as client:
        return client.run(cases)


def _run_patiently(directory: Path, unit: Unit, cases: Sequence[Case]) -> Runs:
    """The cases that mostly sleep, side by side: each has a unit of its own."""
    with ExitStack() as servers:
        clients = []
        for case in cases:
            place = directory / case.family
            place.mkdir(parents=True)
            clients.append(servers.enter_context(_serve(place, unit, _PATIENT_QUIET_SECONDS)))
        with ThreadPoolExecutor(len(cases)) as threads:
            runs = threads.map(lambda client, case: client.run([case]), clients, cases)
            return {case: run for each in runs for case, run in each.items()}


@pytest.fixture(scope="module")
def runs_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Runs]]:
    """The runs of each unit, which are made side by side: a client and its server mostly wait, for each other or a disk."""
    directory, planned = tmp_path_factory.mktemp("units"), plan(all_cases())
    asked = [str(item.callspec.params["name"]) for item in request.session.items if _asks_for_runs(item)]
    with ThreadPoolExecutor(_AT_ONCE) as threads, ThreadPoolExecutor(1) as patient:
        futures = {
            name: patient.submit(_run_patiently, directory / name, UNITS[name], planned[name])
            if name == _PATIENT
            else threads.submit(_run, directory / name, UNITS[name], planned[name])
            for name in asked
        }
        yield lambda name: futures[name].result()


def _asks_for_runs(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and item.function is test_unit


@pytest.mark.parametrize("name", UNITS)
def test_unit(name: str, runs_of: Callable[[str], Runs]) -> None:
    """Each case has the outcome that the ledger says for the unit, a pass if it says nothing."""
    runs = runs_of(name)
    assert list(runs) == plan(all_cases())[name]
    if found := list(complaints(UNITS[name].ledger(), runs)):
        pytest.fail("\n".join(found), pytrace=False)


def test_the_ledger_is_about_the_suite() -> None:
    """The families are the whole suite, every entry of the ledger names a case of it, and every trait is that of a unit."""
    cases = all_cases()
    assert len(cases) >= _CASES_OF_1_19
    assert {case.family for case in cases} == set(_FAMILIES)
    assert {trait for unit in UNITS.values() for trait in unit.traits} == TRAITS
    assert not {name for ledger in ledgers().values() for name in ledger.unknown(cases)}


def test_every_case_really_runs_on_some_unit() -> None:
    """But for those that no target can pass: on one unit at least, each case has to pass with nothing left out."""
    of_unit = ledgers()
    passing = {case for name, planned in plan(all_cases()).items() for case in planned if of_unit[name].passes(case)}
    assert {case.name_in_suite for case in all_cases() if case not in passing} == Ledger.load().left_out.keys()


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in UNITS if name != _PATIENT])
def test_what_is_left_out_cannot_hold(name: str, tmp_path: Path) -> None:
    """An entry of the ledger goes when its reason does: no case that is left out would pass."""
    unit = UNITS[name]
    cases = [case for case in all_cases() if case.family == "ALL" and not unit.ledger().runs(case)]
    with _serve(tmp_path, unit) as client:
        runs = client.run(cases)
    assert [str(case) for case, run in runs.items() if run.outcome is Outcome.PASSED] == []
