import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.importer import ImportSyntaxError, Surroundings
from isthmus.compat.tgt.grammar import Block, Directive, Tree, parse, quoted, words
from isthmus.errors import ConfigurationError

FRAGMENTS = st.sampled_from(
    [
        "<target iqn.2026-01.org.example:a>",
        "</target>",
        "<backing-store /srv/a>",
        "</backing-store>",
        "<direct-store /dev/sdz/>",
        "backing-store /srv/a",
        'incominguser alice "se cret#"',
        "include /etc/tgt/*.conf",
        "include b.conf",
        "lun = 5",
        "params <<EOF",
        "EOF",
        "#",
        "/*",
        "*/",
        "\\",
        '"',
        "<",
        ">",
        "\n",
        "\r\n",
        " ",
        "\0",
        "\udcff",
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=5), max_size=30).map("".join)


def surroundings(**files: str) -> Surroundings:
    """Files by the last part of their names."""

    def text_of(path: str) -> str:
        name = path.rpartition("/")[2].replace(".", "_")
        if name not in files:
            raise ConfigurationError(f"{path} cannot be read")
        return files[name]

    def matching(pattern: str) -> list[str]:
        if "*" in pattern:
            return [f"/etc/tgt/{name.replace('_', '.')}" for name in files]
        return [pattern] if pattern.rpartition("/")[2].replace(".", "_") in files else []

    return Surroundings(new_serial=str, read_text=text_of, list_files=matching, kind_of=lambda _: "absent")


def entries(tree: Tree) -> list[object]:
    """Names, values and blocks."""
    return [shape(entry) for entry in tree.root.entries]


def shape(entry: Directive | Block) -> object:
    """One of them."""
    if isinstance(entry, Directive):
        return entry.name, entry.value
    return entry.name, entry.argument, [shape(inner) for inner in entry.entries]


def read(text: str, **files: str) -> list[object]:
    """What a text says."""
    return entries(parse(text, "/etc/tgt/a.conf", surroundings(**files)))


def test_directives_and_blocks() -> None:
    """With blanks or = between name and value, in lines that may end as on other systems."""
    text = (
        "\ufeffa b\r\n\ta=b\n a  =  b c \nempty\n<target iqn.x>\n<backing-store /a>\nlun 5\n</backing-store>\n</target>"
    )
    block = ("target", "iqn.x", [("backing-store", "/a", [("lun", "5")])])
    assert read(text) == [("a", "b"), ("a", "b"), ("a", "b c"), ("empty", ""), block]


def test_comments() -> None:
    """Behind #, unless it is escaped or in quotes; between /* and */."""
    text = (
        '# all\na b # rest\nc d\\#e\nf "g#h" # i\nj k/*.conf\nl /* no */ m\n/* a\n b\n*/ n o\np it\'s#q\nr "a\\"#b"\n'
    )
    assert read(text) == [
        ("a", "b"),
        ("c", "d#e"),
        ("f", "g#h"),
        ("j", "k/*.conf"),
        ("l", "m"),
        ("n", "o"),
        ("p", "it's"),
        ("r", 'a"#b'),
    ]


def test_lines_that_go_on() -> None:
    """A backslash joins them; a here-document goes on to its mark; a block may be empty."""
    text = "a b\\\n   c\nd <<END\n one\n two # no comment\n END\n<direct-store /dev/sdz/>\nlast\\"
    assert read(text) == [
        ("a", "bc"),
        ("d", " one\n two # no comment"),
        ("direct-store", "/dev/sdz", []),
        ("last", ""),
    ]


def test_quotes() -> None:
    """Around a value, around names of blocks, around single words."""
    text = '<"target" "iqn.x">\n"a" "b c"\n</target>\n'
    assert read(text) == [("target", "iqn.x", [('"a"', "b c")])]
    assert words("""alice "a b" 'c"d' e"f \\"g""") == ["alice", "a b", 'c"d', 'e"f', '"g']


def test_other_files() -> None:
    """By name, by wildcards, by braces; each once, and quoted ones, too."""
    tree = parse(
        'include /etc/tgt/{b,c}.conf\nINCLUDE "/etc/tgt/*.conf"\nincludeoptional /x\n',
        "/m",
        surroundings(b_conf="b 1", c_conf="c 2"),
    )
    assert entries(tree) == [("b", "1"), ("c", "2")]
    assert [(note.place.line, note.meaning) for note in tree.notes] == [
        (2, "/etc/tgt/b.conf is included again"),
        (2, "/etc/tgt/c.conf is included again"),
    ]


def test_places_are_known() -> None:
    """Of a line that goes on, where it begins."""
    tree = parse("\n  a b\n<t x>\n    c \\\n d\n</t>\n", "/m", surroundings())
    first, block = tree.root.entries
    assert (first.place.line, first.place.column, block.place.line) == (2, 3, 3)
    assert isinstance(block, Block)
    assert (block.entries[0].place.line, block.directives("c")[0].value, block.blocks("c")) == (4, "d", [])


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("a b\n  <target x>\n", 2, 3, "the block <target> does not end"),
        ("a b\n</target>", 2, 1, "ends a block that has not begun"),
        ("a <<EOF\nb", 1, 1, "does not end"),
        ("\ninclude /absent.conf", 2, 1, "the included file /absent.conf does not exist"),
        ("<>\n", 1, 1, "neither a directive nor a block"),
        ("= b\n", 1, 1, "neither a directive nor a block"),
        ("<a>" * 1 + "\n<a>" * 20, 17, 1, "nested too deeply"),
    ],
)
def test_errors_have_a_place(text: str, line: int, column: int, problem: str) -> None:
    """File, line and column."""
    with pytest.raises(ImportSyntaxError, match=problem) as caught:
        read(text)
    assert (caught.value.file, caught.value.line, caught.value.column) == ("/etc/tgt/a.conf", line, column)


def test_a_block_that_another_name_ends() -> None:
    """Ends all the same, as with Config::General, and it is told."""
    tree = parse("<a>\n</b>\n", "/m", surroundings())
    assert [note.meaning for note in tree.notes] == ["</b> ends <a>"]


@given(st.text(st.characters(exclude_characters="\n\r")))
def test_what_is_quoted_is_read_as_it_was(text: str) -> None:
    """Every character but a line's end."""
    assert read(f"name {quoted(text)}\n") == [("name", text)]
    assert words(f"user {quoted(text)}") == ["user", text]


@given(TEXTS, TEXTS)
def test_any_text_is_a_tree_or_a_located_error(text: str, included: str) -> None:
    """Never anything else."""
    try:
        tree = parse(text, "/etc/tgt/a.conf", surroundings(b_conf=included))
    except ImportSyntaxError as error:
        assert min(error.line, error.column) >= 1  # noqa: PT017  an error is one of the two good ends
        return
    assert isinstance(tree.root, Block)
