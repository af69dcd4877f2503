from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.tgt.parameters import assignments, named_parameters


def test_parameters_by_name() -> None:
    """As tgtadm joins them; nothing is there if there is no text."""
    text = "path=/srv/a,bstype=rdwr,bsoflags=sync:direct"
    assert named_parameters(text, "path", "bstype", "bsoflags") == {
        "path": "/srv/a",
        "bstype": "rdwr",
        "bsoflags": "sync:direct",
    }
    assert named_parameters(None, "path") == {}


def test_a_comma_belongs_to_the_value_unless_a_name_follows() -> None:
    """Tgtd cuts paths at their commas."""
    found = named_parameters("path=/srv/a,b=c,bstype=aio", "path", "bstype")
    assert found == {"path": "/srv/a,b=c", "bstype": "aio"}


@given(st.text(), st.text(st.characters(exclude_characters=",")))
def test_a_secret_may_be_anything(password: str, user: str) -> None:
    """Commas, and what looks like other parameters, belong to it."""
    found = named_parameters(f"user={user},password={password}", "user", "password")
    assert found == {"user": user, "password": password}


def test_assignments() -> None:
    """Of -P, which tgtadm wraps, and of --name and --value."""
    assert list(assignments("targetOps vendor_id=A,removable=1,,online,")) == [
        ("vendor_id", "A"),
        ("removable", "1"),
        ("online", ""),
    ]
    assert list(assignments("debug=on")) == [("debug", "on")]
    assert list(assignments(None)) == []
