"""libiscsi's conformance suite against a drive for CDs: it is made for disks, and skips itself most of what it has."""

import shutil
from pathlib import Path

import pytest

from tests.conformance.cunit_output import Outcome
from tests.conformance.libiscsi_suite import TOOL, Client, all_cases
from tests.support.server import running_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not installed (Debian: libiscsi-bin)"),
]

_SUITES = frozenset(
    {
        *("Inquiry", "ModeSense6", "TestUnitReady", "ReportSupportedOpcodes", "StartStopUnit", "PreventAllow"),
        *("ReadCapacity10", "Read10", "Read12", "Mandatory", "NoMedia", "Reserve6"),
        *("PrinReadKeys", "PrinReportCapabilities", "PrinServiceactionRange", "ProutRegister"),
        *("iSCSIcmdsn", "iSCSIResiduals"),
    }
)
"""What does not write; those of reservations that look at a WRITE do not know that a drive has none."""
_RUN_AND_PASS = 20
_SIZE = 8 << 20


def test_no_case_fails(tmp_path: Path) -> None:
    """Each passes, or says that it is for disks."""
    disc = tmp_path / "disc.iso"
    with disc.open("xb") as file:
        file.truncate(_SIZE)
    cases = [case for case in all_cases() if case.family in {"ALL", "iSCSI"} and case.suite in _SUITES]
    assert {case.suite for case in cases} == _SUITES
    # One path: the suite takes two to a disk alone.
    with running_server(["--cdrom", disc, "--portal", "127.0.0.1:0"], tmp_path) as server:
        runs = Client(urls=[str(server.url)]).run(cases)
    wrong = [run for run in runs.values() if run.outcome in {Outcome.FAILED, Outcome.UNFINISHED}]
    assert not wrong, wrong
    assert sum(run.outcome is Outcome.PASSED for run in runs.values()) >= _RUN_AND_PASS
