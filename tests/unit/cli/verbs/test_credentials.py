from pathlib import Path

import pytest

from isthmus.cli.verbs.credentials import chap_values
from isthmus.errors import ConfigurationError

NOTHING = {"user": None, "secret_file": None, "mutual_user": None, "mutual_secret_file": None, "clear": False}


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    """Secrets from their files, without the end of the line."""
    path = tmp_path / "secret"
    path.write_text("geheimgeheim1\n")
    path.chmod(0o600)
    assert chap_values({**NOTHING, "user": "me", "secret_file": path}) == {"userid": "me", "password": "geheimgeheim1"}


def test_all_can_be_taken_away() -> None:
    """And what is given beside that is set."""
    values = chap_values({**NOTHING, "clear": True, "user": "me"})
    assert values == {"userid": "me", "password": "", "mutual_userid": "", "mutual_password": ""}


def test_nothing_is_refused() -> None:
    """It would look as if something had been done."""
    with pytest.raises(ConfigurationError, match="--user"):
        chap_values(NOTHING)


def test_a_secret_that_is_no_text(tmp_path: Path) -> None:
    """The saved form could not keep it."""
    path = tmp_path / "secret"
    path.write_bytes(b"\xff" * 16)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        chap_values({**NOTHING, "secret_file": path})
