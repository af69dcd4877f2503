"""The page of settings must be the tables'."""

from scripts import write_settings


def test_the_page_is_up_to_date() -> None:
    """Nobody has to keep it by hand."""
    assert write_settings.SETTINGS_PAGE.read_text() == write_settings.generate(), "run scripts/write_settings.py"
