"""The server against libiscsi's conformance suite: what does not pass stands in skips.toml with its reason, or fails here."""

import shutil
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
_WRITE_PROTECTED_SUITES = frozenset({"ReadOnly"})


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse file to be served."""
    path = tmp_path_factory.mktemp("conformance") / "medium.img"
    with path.open("xb") as file:
        file.truncate(_CAPACITY_BYTES)
    return path


@pytest.fixture(scope="module")
def writable(medium: Path) -> Iterator[Client]:
    """The client, with two paths to the file."""
    portals = ["--portal", "127.0.0.1:0"] * 2
    with running_server([medium, *portals], medium.parent, ready_lines=2) as server:
        yield Client(urls=[str(url) for url in server.urls])


@pytest.fixture
def write_protected(tmp_path: Path) -> Iterator[Client]:
    """The client, with one path to a file that may only be read."""
    medium = tmp_path / "medium.img"
    medium.write_bytes(bytes(1024 * 1024))
    with running_server([medium, "--read-only", "--portal", "127.0.0.1:0"], tmp_path) as server:
        yield Client(urls=[str(server.url)])


@pytest.mark.parametrize("family", ["ALL", "SCSI", "iSCSI", "LINUX"])
def test_family(family: str, writable: Client, write_protected: Client) -> None:
    """Each case of the family has the outcome that the ledger says, a pass if it says nothing."""
    cases = [case for case in all_cases() if case.family == family]
    runs = writable.run([case for case in cases if case.suite not in _WRITE_PROTECTED_SUITES])
    runs |= write_protected.run([case for case in cases if case.suite in _WRITE_PROTECTED_SUITES])
    assert set(runs) == set(cases)
    assert not list(complaints(Ledger.load(), runs))


def test_every_case_is_covered() -> None:
    """The four families are the whole suite, and every entry of the ledger names a case of it."""
    cases = all_cases()
    assert len(cases) >= _CASES_OF_1_19
    assert {case.family for case in cases} == {"ALL", "SCSI", "iSCSI", "LINUX"}
    assert not Ledger.load().unknown(cases)
