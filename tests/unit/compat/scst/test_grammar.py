import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.scst.grammar import MAX_DEPTH, Statement, is_writable, parse, quote
from isthmus.config.declaration.errors import DocumentError, Position
from isthmus.errors import ConfigurationError


def plain(statements: tuple[Statement, ...]) -> list[object]:
    """Statements as nested lists of texts; a section is a list at the end."""
    return [
        [*(word.text for word in statement.words), *([plain(statement.section)] if statement.opens else [])]
        for statement in statements
    ]


def read(text: str) -> list[object]:
    """What `parse` makes of it."""
    return plain(parse(text)[0])


def test_sections_hold_statements() -> None:
    """A brace at the end of a line opens a section, a brace alone closes it."""
    assert read("setup_id 0x12\nHANDLER h {\n\tDEVICE d {\n filename /x\n\t}\n\tDEVICE e\n}\n") == [
        ["setup_id", "0x12"],
        ["HANDLER", "h", [["DEVICE", "d", [["filename", "/x"]]], ["DEVICE", "e"]]],
    ]


def test_an_empty_section_may_stand_on_one_line() -> None:
    """`{}` and `{ }` open and close."""
    assert read("TARGET a {}\nTARGET b { }\r\nTARGET c{}") == [["TARGET", name, []] for name in "abc"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("# all of it", []),
        ("a b # rest", ["a", "b"]),
        ("a b# rest", ["a"]),
        ("a bc# rest", ["a", "b"]),
        ("  # rest", []),
        (r"a b\#c", ["a", "b#c"]),
        (r"a b\\#c", ["a", r"b\#c"]),
        (r"a b\##c", ["a", "b\\"]),
        (r"a b\\c", ["a", r"b\c"]),
        ("a b\\", ["a", "b\\"]),
        ('a "b c"', ["a", "b c"]),
        ('a ""', ["a", ""]),
        (r'a "b \"c\" \# { }"', ["a", 'b "c" # { }']),
        ('a b"c', ["a", 'b"c']),
        (r"a \"b \{", ["a", '"b', "{"]),
        ("a\tb\fc\r", ["a", "b", "c"]),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    """Comments, with the character that they take along; backslashes; quotes."""
    assert read(line) == ([words] if words else [])


def test_a_comment_that_takes_more_than_a_blank_is_told() -> None:
    """Nobody means that, but it is what the file has meant so far."""
    _, notes = parse("x\nfilename /disk#1")
    assert [note.position for note in notes] == [Position(2, 14)]
    assert parse("a #b\n#c\n")[1] == []


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("a {\nb {\n}\n", 1, 1, "not closed"),
        ("a\n }", 2, 2, "closes no section"),
        ("a { b\n}", 1, 5, "goes on behind {"),
        ("a {\nb }\n}", 2, 3, "does not stand alone"),
        ("a {\n} b\n}", 2, 1, "does not stand alone"),
        ("{\n}", 1, 1, "without a name"),
        ('a  "b', 1, 4, "not closed on this line"),
        ('a "b # c"', 1, 3, "not closed on this line"),
        ('a "b"c', 1, 6, "follows the closing double quote"),
        ("a {\n" * (MAX_DEPTH + 1), MAX_DEPTH + 1, 1, "nested too deeply"),
    ],
)
def test_errors_say_where(text: str, line: int, column: int, problem: str) -> None:
    """What is no statement is refused at its line and column."""
    with pytest.raises(DocumentError, match=problem) as caught:
        parse(text)
    assert caught.value.position == Position(line, column)


def test_errors_do_not_show_values() -> None:
    """A secret on a broken line stays there."""
    with pytest.raises(DocumentError) as caught:
        parse('IncomingUser "joe top-secret')
    assert "secret" not in str(caught.value)


def test_statements_are_found_by_name() -> None:
    """`find` gives those of one name, in order."""
    (group,), _ = parse("GROUP g {\nINITIATOR a\nLUN 0 d\nINITIATOR b\n}")
    assert [str(found.words[1]) for found in group.find("INITIATOR")] == ["a", "b"]


def test_a_line_break_cannot_be_quoted() -> None:
    """No line can hold it."""
    assert not is_writable("a", "a\nb")
    with pytest.raises(ConfigurationError, match="line break"):
        quote("a\nb")


@given(st.text(st.characters(exclude_characters="\n", codec=None)))
def test_any_value_is_quoted_so_that_it_reads_back(value: str) -> None:
    """Blanks, hashes, quotes, braces, backslashes, lone surrogates: all of it comes back."""
    statements, notes = parse(f"name {quote(value)}\n")
    assert plain(statements) == [["name", value]]
    assert notes == []


_LINES = st.lists(st.sampled_from(["a", "TARGET", "{", "}", '"', "\\", "#", " ", "\t", "\n", "é", "\0", "\udcff"]))


@given(st.one_of(_LINES.map("".join), st.text(), st.binary().map(lambda raw: raw.decode(errors="surrogateescape"))))
def test_every_text_is_a_tree_or_a_located_error(text: str) -> None:
    """Nothing else ever comes out."""
    place = Position(1, 1)
    try:
        parse(text)
    except DocumentError as error:
        place = error.position or Position(0, 0)
    assert 1 <= place.line <= text.count("\n") + 1
