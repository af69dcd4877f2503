from isthmus.management.errors import BusyError


def test_what_is_busy_names_its_holders() -> None:
    """In a sentence, and as values."""
    error = BusyError("/iscsi/x", ("iqn.a", "iqn.b"))
    assert str(error) == "/iscsi/x is in use by iqn.a, iqn.b: end that first, or force it"
    assert (error.what, error.holders) == ("/iscsi/x", ("iqn.a", "iqn.b"))
