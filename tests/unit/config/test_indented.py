import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.config.indented import indented
from isthmus.names import IscsiName

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@given(VALUES)
def test_it_is_what_json_writes(value: Any) -> None:
    """Whatever the value."""
    assert indented(value) == json.dumps(value, indent=2, sort_keys=True)


def test_inside_something_else() -> None:
    """All lines but the first are indented by what it stands behind."""
    assert (
        indented({"a": [1, {}], "b": []}, "    ")
        == '{\n      "a": [\n        1,\n        {}\n      ],\n      "b": []\n    }'
    )


def test_kinds_of_texts_and_lists() -> None:
    """A name is a text, and a tuple is a list."""
    name = "iqn.2026-01.com.example:one"
    assert indented((IscsiName(name),)) == json.dumps([name], indent=2)


def test_what_is_no_json() -> None:
    """It is refused, as by the standard library."""
    with pytest.raises(TypeError):
        indented(object())
