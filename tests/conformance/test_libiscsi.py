"""The server against libiscsi's conformance suite: what does not pass stands in skips.toml with its reason, or fails here."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.expectations import Ledger, complaints
from tests.conformance.libiscsi_suite import TOOL, Client, all_cases
from tests.support.server import running_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not installed (Debian: libiscsi-bin)"),
]

# Less than the 2**21 blocks that a READ(6) can address, so that its cases at and beyond the end can run.
_CAPACITY_BYTES = 256 * 1024 * 1024
_CASES_OF_1_19 = 615
_NEEDS_WRITE_PROTECTION = frozenset({"ReadOnly.ReadOnlySBC"})
# It supposes that a physical block is one logical block: elsewhere it asks for one LBA and expects another in the answer.
_NEEDS_4096_BYTE_BLOCKS = frozenset({"GetLBAStatus.UnmapSingle"})
# Whether it fails depends on how long it takes to overwrite the unit; this one is quick everywhere.
_NEEDS_A_SMALL_UNIT = frozenset({"Sanitize.Reset"})


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse file to be served."""
    path = tmp_path_factory.mktemp("conformance") / "medium.img"
    with path.open("xb") as file:
        file.truncate(_CAPACITY_BYTES)
    return path


def _serve(directory: Path, *options: str | Path, portals: int = 1) -> Iterator[Client]:
    portal = ["--portal", "127.0.0.1:0"] * portals
    with running_server([*options, *portal], directory, ready_lines=portals) as server:
        yield Client(urls=[str(url) for url in server.urls])


@pytest.fixture(scope="module")
def disk(medium: Path) -> Iterator[Client]:
    """The client, with two paths to a disk."""
    yield from _serve(medium.parent, medium, portals=2)


@pytest.fixture
def write_protected(tmp_path: Path) -> Iterator[Client]:
    """The client, with a disk that is write-protected by SWP in its Control mode page."""
    for client in _serve(tmp_path, tmp_path / "write-protected.img", "--size", "64M"):
        subprocess.run(["iscsi-swp", "-s", "on", *client.urls], check=True, capture_output=True, timeout=30)
        yield client


@pytest.fixture
def large_blocks(tmp_path: Path) -> Iterator[Client]:
    """The client, with a disk whose logical blocks are as large as its physical ones."""
    yield from _serve(tmp_path, tmp_path / "large-blocks.img", "--size", "64M", "--block-size", "4096")


@pytest.fixture
def small_unit(tmp_path: Path) -> Iterator[Client]:
    """The client, with a disk that is overwritten at once."""
    yield from _serve(tmp_path, tmp_path / "small.img", "--size", "8M")


@pytest.mark.parametrize("family", ["ALL", "SCSI", "iSCSI", "LINUX"])
def test_family(family: str, disk: Client, write_protected: Client, large_blocks: Client, small_unit: Client) -> None:
    """Each case of the family has the outcome that the ledger says, a pass if it says nothing."""
    cases = [case for case in all_cases() if case.family == family]
    special = {
        write_protected: _NEEDS_WRITE_PROTECTION,
        large_blocks: _NEEDS_4096_BYTE_BLOCKS,
        small_unit: _NEEDS_A_SMALL_UNIT,
    }
    elsewhere = frozenset().union(*special.values())
    runs = disk.run([case for case in cases if case.name_in_suite not in elsewhere])
    for client, names in special.items():
        runs |= client.run([case for case in cases if case.name_in_suite in names])
    assert set(runs) == set(cases)
    if found := list(complaints(Ledger.load(), runs)):
        pytest.fail("\n".join(found), pytrace=False)


def test_every_case_is_covered() -> None:
    """The four families are the whole suite, and every entry of the ledger names a case of it."""
    cases = all_cases()
    assert len(cases) >= _CASES_OF_1_19
    assert {case.family for case in cases} == {"ALL", "SCSI", "iSCSI", "LINUX"}
    assert not Ledger.load().unknown(cases)
