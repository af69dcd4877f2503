import pytest

from isthmus.management.errors import BusyError, some_of


def test_what_is_busy_names_its_holders() -> None:
    """In a sentence, and as values."""
    error = BusyError("/iscsi/x", ("iqn.a", "iqn.b"))
    assert str(error) == "/iscsi/x is in use by iqn.a, iqn.b: end that first, or force it"
    assert (error.what, error.holders) == ("/iscsi/x", ("iqn.a", "iqn.b"))


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "none"), (2, "0, 1"), (8, "0, 1, 2, 3, 4, 5, 6, 7"), (1000, "0, 1, 2, 3, 4, 5, 6, 7 and 992 more")],
)
def test_what_is_there_is_named_in_one_line(count: int, said: str) -> None:
    """However much it is."""
    assert some_of(range(count)) == said
