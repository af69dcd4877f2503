import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.json_places import nearest, places
from isthmus.config.declaration.errors import DocumentPath, Position

TEXT = '{"a": [1, {"b": [], "c": {}},\n  [2, "x"]],\n\n  "d": null}'


def test_members_begin_with_their_names_and_elements_with_themselves() -> None:
    """By line and column, which count from 1."""
    assert {path: str(position) for path, position in places(TEXT).items()} == {
        (): "1:1",
        ("a",): "1:2",
        ("a", 0): "1:8",
        ("a", 1): "1:11",
        ("a", 1, "b"): "1:12",
        ("a", 1, "c"): "1:21",
        ("a", 2): "2:3",
        ("a", 2, 0): "2:4",
        ("a", 2, 1): "2:7",
        ("d",): "4:3",
    }


def test_what_is_missing_is_where_it_would_be() -> None:
    """At what is around it."""
    known = places(TEXT)
    assert nearest(known, ("a", 2, "wwn", 7)) == Position(2, 3)
    assert nearest(known, ("zzz",)) == Position(1, 1)


def paths(value: Any, path: DocumentPath = ()) -> set[DocumentPath]:
    """Of every value in there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(paths(item, (*path, step)) for step, item in inner))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(_VALUES, st.sampled_from([None, 0, 2]), st.booleans())
def test_every_value_has_its_place(value: Any, indent: int | None, ascii_only: bool) -> None:
    """Whatever it is, and however it is laid out."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert set(places(text)) == paths(value)
