import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.config.declaration.errors import DocumentError, DocumentPath, Position
from isthmus.config.declaration.notation import Notation, locate, parse, write

YAML = """\
# a comment
backstores:
  disk01: {kind: fileio, size: 10X}
targets:
  iqn.2026-01.org.example:db:
    luns:
      - disk01
      - backstore: disk02
"""

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_VALUES = st.recursive(
    st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("name", "notation"),
    [
        ("san.toml", Notation.TOML),
        ("san.yaml", Notation.YAML),
        ("SAN.YML", Notation.YAML),
        ("san.json", Notation.JSON),
        ("san.conf", None),
        ("san", None),
    ],
)
def test_the_name_says_the_notation(name: str, notation: Notation | None) -> None:
    """The end of a file's name says how it is written, or nothing does."""
    assert Notation.of(name) is notation


@given(st.dictionaries(_TEXTS, _VALUES, max_size=4), st.sampled_from(Notation))
def test_what_is_written_is_read(values: dict[str, object], notation: Notation) -> None:
    """Whatever text, number, list or object is written in a notation, it is read as the same."""
    assert parse(write(values, notation), notation) == values


@pytest.mark.parametrize(
    ("notation", "text", "position"),
    [
        (Notation.TOML, "a = 1\nb = = 2\n", Position(2, 5)),
        (Notation.TOML, "a = 1\na = 2\n", Position(2, 6)),
        (Notation.TOML, "a = [1,\n", None),
        (Notation.YAML, "a: 1\nb: [1\n", Position(3, 1)),
        (Notation.YAML, "a: 1\n\tb: 2\n", Position(2, 1)),
        (Notation.YAML, "a: \x01\n", None),
        (Notation.YAML, "a: !!timestamp 2026-99-99\n", None),
        (Notation.JSON, '{"a": 1,\n "b" 2}', Position(2, 6)),
    ],
)
def test_a_slip_is_told_with_its_position(notation: Notation, text: str, position: Position | None) -> None:
    """Text that is not in the notation is refused, with the line and column where the parser gives them."""
    with pytest.raises(DocumentError, match=f"this is not {notation.name}: ") as caught:
        parse(text, notation)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("notation", "text"),
    [
        (Notation.JSON, '{"x": {"a": 1, "b": 2, "a": 3}}'),
        (Notation.YAML, "x:\n  a: 1\n  b: 2\n  a: 3\n"),
        (Notation.TOML, "[x]\na = 1\nb = 2\na = 3\n"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(notation: Notation, text: str) -> None:
    """Of two values for one key none is taken."""
    with pytest.raises(DocumentError):
        parse(text, notation)


def test_yaml_keys_are_texts() -> None:
    """A key that YAML reads as something else (here, true) is refused, not turned back into a text."""
    with pytest.raises(DocumentError, match="put it in quotes"):
        parse("on: 1\n", Notation.YAML)


def test_yaml_makes_no_objects() -> None:
    """A tag cannot make the reader do anything but read."""
    with pytest.raises(DocumentError, match="this is not YAML"):
        parse("a: !!python/object/apply:os.getcwd []\n", Notation.YAML)


def test_yaml_keys_may_be_merged() -> None:
    """Anchors and merge keys work, and a key of one's own goes before a merged one."""
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\n"
    assert parse(text, Notation.YAML)["y"] == {"a": 3, "b": 2}


def test_depth_has_an_end() -> None:
    """A document that is nested beyond all sense is refused, not a crash."""
    with pytest.raises(DocumentError, match="too deeply"):
        parse("[" * 100_000, Notation.JSON)


def test_toml_has_no_null() -> None:
    """A null is refused with its place, since TOML cannot say it."""
    with pytest.raises(DocumentError, match=r"^a\.b\[1\]: TOML has no null"):
        write({"a": {"b": [1, None]}}, Notation.TOML)


@pytest.mark.parametrize(
    ("path", "position"),
    [
        (("backstores", "disk01", "size"), Position(3, 32)),
        (("backstores", "disk01", "missing"), Position(3, 11)),
        (("targets", "iqn.2026-01.org.example:db", "luns", 0), Position(7, 9)),
        (("targets", "iqn.2026-01.org.example:db", "luns", 1, "backstore"), Position(8, 20)),
        (("targets", "iqn.2026-01.org.example:db", "luns", 5), Position(7, 7)),
    ],
)
def test_a_path_is_found_in_yaml(path: DocumentPath, position: Position) -> None:
    """A path leads to the line and column of its value, or else of the nearest around it."""
    assert locate(YAML, Notation.YAML, path) == position


@pytest.mark.parametrize("notation", [Notation.TOML, Notation.JSON])
def test_other_parsers_do_not_tell(notation: Notation) -> None:
    """Those of TOML and JSON forget where a value stood."""
    assert locate("{}", notation, ("a",)) is None
