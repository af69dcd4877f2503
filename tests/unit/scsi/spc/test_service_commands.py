"""The rows of the commands for the upkeep of a unit."""

from isthmus.scsi.spc.service_commands import ROWS


def test_only_the_self_test_needs_the_medium() -> None:
    """Logs, buffers, time and names are there without it."""
    assert [row.name for row in ROWS if row.needs_medium] == ["SEND DIAGNOSTIC"]
    assert not any(row.writes_medium for row in ROWS)
