import json
from pathlib import Path

from isthmus.compat.formats import FORMATS, Format


def test_a_row_finds_its_functions() -> None:
    """They are imported only when they are asked for."""
    row = Format(about="JSON", default_file="/etc/x.json", reads="json:loads", writes="json:dumps")
    assert (id(row.reader()), id(row.writer())) == (id(json.loads), id(json.dumps))


def test_the_usual_file_is_the_one_that_is_there(tmp_path: Path) -> None:
    """Debian has LIO's under the name of its library."""
    first, second = tmp_path / "first", tmp_path / "second"
    row = Format(about="", default_file=str(first), other_file=str(second), reads="json:loads")
    assert row.usual_file() == str(second)
    first.touch()
    assert row.usual_file() == str(first)
    assert Format(about="", default_file="/nowhere", reads="json:loads").usual_file() == "/nowhere"


def test_every_row_leads_to_functions() -> None:
    """A name that leads nowhere would show only at the first use."""
    for row in FORMATS.values():
        assert callable(row.reader())
        assert not row.writes or callable(row.writer())
