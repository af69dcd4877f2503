"""The server against libiscsi's conformance suite: what does not pass stands in skips.toml with its reason, or fails here."""

import enum
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.cunit_output import Case
from tests.conformance.expectations import TRAITS, Ledger, complaints
from tests.conformance.libiscsi_suite import TOOL, Client, all_cases
from tests.support.real_storage import loop_device
from tests.support.server import running_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not installed (Debian: libiscsi-bin)"),
]

# Less than the 2**21 blocks that a READ(6) can address, so that its cases at and beyond the end can run.
_CAPACITY_BYTES = 256 * 1024 * 1024
_SMALL_CAPACITY_BYTES = 8 * 1024 * 1024
_CASES_OF_1_19 = 615
# Whether it fails depends on how long it takes to overwrite the unit; a small one is quick everywhere.
_NEEDS_A_SMALL_UNIT = frozenset({"Sanitize.Reset"})
_FAMILIES = ("ALL", "SCSI", "iSCSI", "LINUX")


class Medium(enum.Enum):
    """Where the blocks lie."""

    FILE = "a sparse file"
    DEVICE = "a block device, over such a file"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A kind of unit: how it is served, and what it is to the ledger."""

    medium: Medium = Medium.FILE
    options: Sequence[str] = ()
    traits: Collection[str]


UNITS = {
    "disk": Unit(traits=("fixed", "writable", "small-blocks")),
    "removable": Unit(options=("--removable",), traits=("removable", "writable", "small-blocks")),
    "write-protected": Unit(options=("--read-only",), traits=("fixed", "write-protected", "small-blocks")),
    "device": Unit(
        medium=Medium.DEVICE,
        options=("--physical-block-size", "4096"),
        traits=("fixed", "writable", "small-blocks", "opaque"),
    ),
    "memory": Unit(medium=Medium.MEMORY, traits=("fixed", "writable", "small-blocks")),
    "large-blocks": Unit(options=("--block-size", "4096"), traits=("fixed", "writable", "large-blocks")),
}


@contextmanager
def _serve(directory: Path, size: int, unit: Unit) -> Iterator[Client]:
    """The client, with two paths to a unit of so many bytes."""
    portals = ("--portal", "127.0.0.1:0") * 2
    with (
        _medium(directory, size, unit.medium) as medium,
        running_server([*medium, *unit.options, *portals], directory, ready_lines=2) as server,
    ):
        yield Client(urls=[str(url) for url in server.urls])


@contextmanager
def _medium(directory: Path, size: int, medium: Medium) -> Iterator[Sequence[str | Path]]:
    """What to tell the server to serve."""
    if medium is Medium.MEMORY:
        yield ("--ram", str(size))
        return
    path = directory / "medium.img"
    with path.open("xb") as file:
        file.truncate(size)
    if medium is Medium.FILE:
        yield (path,)
        return
    with loop_device(path) as device:
        yield (device,)


@pytest.fixture(
    params=[("disk", family) for family in _FAMILIES] + [(name, "ALL") for name in UNITS if name != "disk"],
    ids="-".join,
)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Unit, Client, list[Case]]]:
    """A unit, a client that has two paths to it, and the cases to run: the families name the same ones again and again."""
    name, family = request.param
    cases = [case for case in all_cases() if case.family == family and case.name_in_suite not in _NEEDS_A_SMALL_UNIT]
    with _serve(tmp_path, _CAPACITY_BYTES, UNITS[name]) as client:
        yield UNITS[name], client, cases


def test_family(run: tuple[Unit, Client, list[Case]]) -> None:
    """Each case of the family has the outcome that the ledger says for the unit, a pass if it says nothing."""
    unit, client, cases = run
    runs = client.run(cases)
    assert set(runs) == set(cases)
    if found := list(complaints(Ledger.load(unit.traits), runs)):
        pytest.fail("\n".join(found), pytrace=False)


def test_small_unit(tmp_path: Path) -> None:
    """Likewise for the cases that need a unit that is overwritten at once."""
    cases = [case for case in all_cases() if case.family == "ALL" and case.name_in_suite in _NEEDS_A_SMALL_UNIT]
    with _serve(tmp_path, _SMALL_CAPACITY_BYTES, UNITS["disk"]) as client:
        assert not list(complaints(Ledger.load(UNITS["disk"].traits), client.run(cases)))


def test_every_case_is_covered() -> None:
    """The four families are the whole suite, and every entry of the ledger names a case of it."""
    cases = all_cases()
    assert len(cases) >= _CASES_OF_1_19
    assert {case.family for case in cases} == set(_FAMILIES)
    assert {trait for unit in UNITS.values() for trait in unit.traits} == TRAITS
    assert not {name for unit in UNITS.values() for name in Ledger.load(unit.traits).unknown(cases)}


def test_every_case_passes_somewhere() -> None:
    """But for those that no unit can let pass, each case has a unit that has to let it pass."""
    nowhere = Ledger.load().allowed.keys()
    expected = [Ledger.load(unit.traits).allowed for unit in UNITS.values()]
    assert {name for name in expected[0] if all(name in allowed for allowed in expected)} == nowhere
