import json

import pytest

from isthmus.cli.output import age_text, bytes_text, print_json, show, table_lines
from isthmus.management.views import PortalView


def test_columns_are_as_wide_as_they_must() -> None:
    """Columns stand under each other, without blanks at the end of a line; an empty cell is a dash."""
    assert table_lines(("A", "LONG", "C"), [("1", "2", ""), ("wide", "", "3")]) == [
        "A     LONG  C",
        "1     2     -",
        "wide  -     3",
    ]


def test_what_an_initiator_sent_is_escaped() -> None:
    """Control characters never get to the terminal."""
    assert table_lines(("A",), [("\x1b[2Jé\n",)])[1] == "\\x1b[2Jé\\n"


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Without rows there is one line, and no header."""
    show(("A",), [], nothing="no rows")
    assert capsys.readouterr().out == "no rows\n"


def test_a_table_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    """With rows the header stands above them; they may come one by one."""
    show(("A",), iter([("1",)]), nothing="no rows")
    assert capsys.readouterr().out == "A\n1\n"


def test_views_are_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """A view is printed as the object that it is, inside of others too."""
    view = PortalView(target_name="iqn.x", target_portal_group_tag=1, portal="192.0.2.7:3260", listening=True)
    print_json({"portals": [view]})
    assert json.loads(capsys.readouterr().out)["portals"][0]["portal"] == "192.0.2.7:3260"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m 0s"),
        (3725, "1h 2m"),
        (86400 * 400 + 3600, "400d 1h"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    """A length of time has its two largest units; a clock that went back makes it nothing."""
    assert age_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1000, "0.977 KiB"),
        (1536, "1.5 KiB"),
        (10 << 20, "10 MiB"),
        (1.5e12, "1.36 TiB"),
        (1 << 60, "1.02e+03 PiB"),
    ],
)
def test_amounts(size: float, text: str) -> None:
    """Three digits are enough to see how much it is."""
    assert bytes_text(size) == text
