import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.scst.sections import Section, is_ini, parse
from isthmus.config.declaration.errors import DocumentError, Position


def plain(sections: tuple[Section, ...]) -> list[object]:
    """Sections as lists."""
    return [
        [section.kind, section.name, {entry.name: entry.value for entry in section.entries}] for section in sections
    ]


def test_sections_have_settings_in_both_spellings() -> None:
    """`name=value`, `name value` and the two words of CHAP's names."""
    text = (
        "[DEFAULT]\nMaxConnections 4\n\n[Target  iqn.x ]\n[LUN 0]\n  path = /a b\n; no\n#no\n CHAP  Password a=b #c\n"
    )
    assert plain(parse(text)) == [
        ["default", "", {"maxconnections": "4"}],
        ["target", "iqn.x", {}],
        ["lun", "0", {"path": "/a b", "chap password": "a=b #c"}],
    ]


def test_a_quoted_value_may_hold_anything() -> None:
    """Blanks at its ends, quotes and backslashes too."""
    assert plain(parse('[a]\nx=" \\"b\\\\c\\d "')) == [["a", "", {"x": ' "b\\c\\d '}]]


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("\n a b", 2, 2, "before the first section"),
        ("[a", 1, 1, "not closed"),
        ("[ ]", 1, 1, "empty"),
        ("[a]\n secret", 2, 2, "has no value"),
        ("[a]\n =b", 2, 2, "no name"),
        ('[a]\nb="c', 2, 1, "do not fit together"),
        ('[a]\nb="c"d', 2, 1, "do not fit together"),
    ],
)
def test_errors_say_where(text: str, line: int, column: int, problem: str) -> None:
    """What is neither headline nor setting is refused at its line and column."""
    with pytest.raises(DocumentError, match=problem) as caught:
        parse(text)
    assert caught.value.position == Position(line, column)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("# [a]\n\n [DEFAULT]", True), ("HANDLER h {\n[x]\n}", False), ("; x\n[Target a]", True)],
)
def test_the_first_line_tells_the_format(text: str, expected: bool) -> None:
    """A headline comes first here, and never in scst.conf."""
    assert is_ini(text) is expected


_PIECES = st.lists(st.sampled_from(["[", "]", "a", "CHAP", "=", '"', "\\", "#", ";", " ", "\n", "\0", "\udcff"]))


@given(st.one_of(_PIECES.map("".join), _PIECES.map(lambda pieces: "[a]\n" + "".join(pieces)), st.text()))
def test_every_text_is_sections_or_a_located_error(text: str) -> None:
    """Nothing else ever comes out."""
    place = Position(1, 1)
    try:
        parse(text)
    except DocumentError as error:
        place = error.position or Position(0, 0)
    assert 1 <= place.line <= text.count("\n") + 1
