import pytest

from isthmus.compat.scst.grammar import parse
from isthmus.compat.scst.layout import Block, layout
from isthmus.errors import ConfigurationError


def test_sections_are_indented_by_tabs() -> None:
    """As scstadmin writes them, with a blank line before each at the top."""
    handler = Block(("HANDLER", "h"))
    handler.add("DEVICE", "d").add("filename", "/a b#c")
    handler.add("DEVICE", "e")
    text = '\nHANDLER h {\n\tDEVICE d {\n\t\tfilename "/a b\\#c"\n\t}\n\tDEVICE e\n}\n'
    assert layout([handler]) == text
    assert len(parse(text)[0]) == 1


def test_a_line_break_cannot_be_written() -> None:
    """A line is all that a value has."""
    with pytest.raises(ConfigurationError, match="line break"):
        layout([Block(("a", "b\nc"))])
