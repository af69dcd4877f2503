import pytest
from pydantic import ValidationError

from isthmus.rest.bodies import ChapEdit


def test_only_what_is_given_changes() -> None:
    """An empty text takes something away, and nothing leaves it."""
    assert ChapEdit(userid="me", password="").values() == {"userid": "me", "password": ""}
    assert ChapEdit().values() == {}


def test_what_nobody_knows_is_refused() -> None:
    """A word that is spelled wrong is not ignored."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        ChapEdit.model_validate({"passwort": "x"})


def test_secrets_only_go_in() -> None:
    """The schema says so."""
    properties = ChapEdit.model_json_schema()["properties"]
    assert [name for name, field in properties.items() if field.get("writeOnly")] == ["password", "mutual_password"]
