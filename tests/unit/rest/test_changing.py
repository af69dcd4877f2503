import pytest
from fastapi import HTTPException

from isthmus.rest.changing import expected_revision


@pytest.mark.parametrize(("if_match", "revision"), [("*", None), (' "17" ', 17), ('W/"17"', 17)])
def test_the_revision_that_was_edited(if_match: str, revision: int | None) -> None:
    """Its ETag, or any."""
    assert expected_revision(if_match) == revision


@pytest.mark.parametrize("if_match", ["", "17", '"x"', '"-1"', f'"{"9" * 5000}"'])
def test_what_is_no_etag_of_a_configuration(if_match: str) -> None:
    """It cannot be the one that runs (RFC 9110 §13.1.1)."""
    with pytest.raises(HTTPException) as caught:
        expected_revision(if_match)
    assert caught.value.status_code == 412
