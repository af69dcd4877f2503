"""The page that says what is there must say what is there."""

import re

from scripts import protocol_support


def test_the_page_is_up_to_date() -> None:
    """Its tables are those that the program runs by."""
    present = protocol_support.PAGE.read_text()
    assert protocol_support.generate(present) == present, "run scripts/protocol_support.py"


def test_every_link_leads_somewhere() -> None:
    """Each test that the page names exists."""
    links = re.findall(r"\]\(([^)#]+)\)", protocol_support.PAGE.read_text())
    assert len(links) > 50
    missing = [link for link in links if not (protocol_support.PAGE.parent / link).exists()]
    assert missing == []
