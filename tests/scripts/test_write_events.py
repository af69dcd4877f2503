"""The page of events must be the table's."""

from scripts import write_events


def test_the_page_is_up_to_date() -> None:
    """Nobody has to keep it by hand."""
    assert write_events.EVENTS_PAGE.read_text() == write_events.generate(), "run scripts/write_events.py"
