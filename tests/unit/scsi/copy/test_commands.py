"""The rows of third-party copy."""

from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.copy.commands import ROWS
from isthmus.scsi.opcodes import ReservationClass


def test_the_rows_make_a_table() -> None:
    """Each usage mask fits its row, and none is there twice."""
    assert len(CommandTable(ROWS)) == 12


def test_only_a_unit_that_copies_has_them() -> None:
    """They are the very rows that go where there is no copy manager."""
    without = set(DISK_COMMANDS.without_copies())
    assert {row for row in DISK_COMMANDS if row not in without} == set(ROWS)


def test_what_writes_to_the_medium_that_it_is_sent_to() -> None:
    """EXTENDED COPY is sent to a copy manager, whose medium it may not touch at all."""
    assert [row.name for row in ROWS if row.writes_medium] == ["WRITE USING TOKEN"]
    assert {row.name for row in ROWS if row.needs_medium} == {"POPULATE TOKEN", "WRITE USING TOKEN"}


def test_reservation_classes() -> None:
    """Making a token reads, telling of copies is always allowed, all else writes (SPC-5 table 65, SBC-4 table 13)."""
    classes = {row.name: row.reservation for row in ROWS}
    assert classes.pop("POPULATE TOKEN") is ReservationClass.READ
    for name, reservation in classes.items():
        tells = name.startswith(("RECEIVE", "REPORT"))
        assert reservation is (ReservationClass.ALWAYS if tells else ReservationClass.WRITE)
