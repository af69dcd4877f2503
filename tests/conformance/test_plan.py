"""Which case runs where."""

from tests.conformance.cunit_output import Case
from tests.conformance.plan import UNITS, plan

_READ_ONLY = ("ReadOnly", "ReadOnlySBC")
_WRITE = ("Write10", "Simple")


def _units_of(family: str, case: tuple[str, str]) -> set[str]:
    wanted = Case(family, *case)
    return {name for name, cases in plan([wanted]).items() if wanted in cases}


def test_the_family_of_all_runs_on_all_units() -> None:
    """But where a case cannot hold; one that only leaves something out runs."""
    everywhere = {name for name, unit in UNITS.items() if unit.only is None}
    assert _units_of("ALL", _WRITE) == everywhere - {"write-protected"}
    assert _units_of("ALL", _READ_ONLY) == everywhere


def test_other_families_run_where_they_pass() -> None:
    """Once is enough."""
    assert _units_of("SCSI", _WRITE) == {next(iter(UNITS))}
    assert _units_of("SCSI", _READ_ONLY) == {"write-protected"}


def test_a_unit_for_one_purpose() -> None:
    """It runs what it is there for, and nothing else."""
    assert _units_of("ALL", ("Sanitize", "Reset")) == {"slow"}
    assert _units_of("SCSI", ("Sanitize", "Reset")) == {"slow"}


def test_what_no_target_passes() -> None:
    """It runs nowhere."""
    assert _units_of("ALL", ("iSCSITMF", "LUNResetSimpleAsync")) == set()
