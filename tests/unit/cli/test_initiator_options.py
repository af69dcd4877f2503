from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from isthmus.cli.initiator_options import Place, credentials, login_options, read_url, run
from isthmus.errors import ConfigurationError
from isthmus.initiator.errors import ConnectionLost, LoginFailed, Unreachable

URL = "iscsi://192.0.2.1:3261/iqn.2025-01.org.example:disk/3"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with a secret that only its owner reads."""
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_bytes(b"correct horse battery\n")
    return path


def place(*arguments: str | Path) -> Place:
    """What a command with these arguments gets."""
    got: list[Place] = []

    @click.command()
    @login_options
    def command(*, place: Place) -> None:
        got.append(place)

    result = CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return got[0]


def refusal(*arguments: str | Path) -> str:
    """What a command with these arguments answers."""

    @click.command()
    @login_options
    def command(*, place: Place) -> None:
        raise AssertionError("the command ran")

    result = CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 2
    return result.output


def test_the_url_says_where() -> None:
    """Host, port, target and LUN."""
    found = place(URL)
    assert (found.settings.host, found.settings.port) == ("192.0.2.1", 3261)
    assert found.settings.target_name == "iqn.2025-01.org.example:disk"
    assert found.lun() == 3
    assert found.settings.credentials is None


def test_options_say_as_whom(secret: Path) -> None:
    """Names and secrets of both sides."""
    found = place(
        *(URL, "--initiator-name", "iqn.2025-01.org.example:me", "--timeout", "3"),
        *("--chap-user", "me", "--chap-secret-file", secret),
        *("--mutual-user", "it", "--mutual-secret-file", secret),
    )
    assert found.settings.initiator_name == "iqn.2025-01.org.example:me"
    assert found.settings.timeout == 3
    chap = found.settings.credentials
    assert chap is not None
    assert (chap.user, chap.secret) == ("me", b"correct horse battery")
    assert (chap.target_user, chap.target_secret) == ("it", b"correct horse battery")
    assert "horse" not in repr(found)


def test_the_url_may_name_the_user(secret: Path) -> None:
    """As libiscsi's do; the option wins."""
    url = URL.replace("//", "//you@")
    chap = place(url, "--chap-secret-file", secret).settings.credentials
    assert chap is not None
    assert chap.user == "you"
    chap = place(url, "--chap-user", "me", "--chap-secret-file", secret).settings.credentials
    assert chap is not None
    assert chap.user == "me"


@pytest.mark.parametrize(
    ("arguments", "header", "data"),
    [
        ([URL], ("None", "CRC32C"), ("None", "CRC32C")),
        ([URL, "--header-digest", "crc32c", "--data-digest", "NONE"], ("CRC32C",), ("None",)),
        ([f"{URL}?header_digest=crc32c"], ("CRC32C",), ("None", "CRC32C")),
        ([f"{URL}?data_digest=crc32c", "--data-digest", "none"], ("None", "CRC32C"), ("None",)),
    ],
)
def test_digests_come_from_options_or_url(arguments: list[str], header: Any, data: Any) -> None:
    """The option wins; without either the target chooses."""
    offers = place(*arguments).settings.offers
    assert (offers.header_digest, offers.data_digest) == (header, data)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["iscsi://"], "no host"),
        ([URL.replace("//", "//u%s@")], "--chap-secret-file"),
        ([f"{URL}?target_user=t&target_password=p"], "--mutual-secret-file"),
        ([URL, "--initiator-name", "me"], "not an iSCSI name"),
        ([URL, "--timeout", "0"], "timeout"),
        ([URL, "--header-digest", "md5"], "md5"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], complaint: str) -> None:
    """Exit status 2, with the way out; above all for a secret on the command line."""
    assert complaint in refusal(*arguments)


@pytest.mark.parametrize(
    ("user", "mutual_user", "with_secret"), [("u", None, False), (None, None, True), (None, "t", False)]
)
def test_credentials_come_whole(secret: Path, user: str | None, mutual_user: str | None, with_secret: bool) -> None:
    """Half of them is an error that names the other half."""
    with pytest.raises(ConfigurationError, match="secret"):
        credentials(user, secret if with_secret else None, mutual_user, None)


def test_mutual_chap_needs_one_way_chap(secret: Path) -> None:
    """The target's secret alone authenticates nobody (RFC 7143 §12.1.3)."""
    with pytest.raises(ConfigurationError, match="--chap-user"):
        credentials(None, None, None, secret)


@pytest.mark.parametrize("url", ["iscsi://h", "iscsi://h/iqn.2025-01.org.example:disk"])
def test_some_commands_need_a_lun(url: str) -> None:
    """A portal or a target is not enough for them."""
    with pytest.raises(click.UsageError, match="URL of one LUN"):
        place(url).lun()


def test_a_plain_url_reads() -> None:
    """Nothing is asked beyond what the URL has."""
    assert read_url("iscsi://h").target is None


async def _raise(error: Exception) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unreachable("nobody"), 2),
        (LoginFailed("no"), 2),
        (OSError(28, "No space left on device", "out.img"), 1),
    ],
)
def test_errors_become_exit_statuses(error: Exception, status: int) -> None:
    """2 before anything was done, 1 after."""
    with pytest.raises(click.ClickException) as caught:
        run(_raise(error))
    assert caught.value.exit_code == status


def test_a_file_error_names_the_file() -> None:
    """With the system's reason."""
    with pytest.raises(click.ClickException, match=r"out\.img: No space left"):
        run(_raise(OSError(28, "No space left on device", "out.img")))


@pytest.mark.parametrize("error", [ConnectionLost("gone"), BrokenPipeError(32, "Broken pipe")])
def test_other_errors_pass(error: Exception) -> None:
    """`isthmus` itself knows what they mean."""
    with pytest.raises(type(error)):
        run(_raise(error))


async def _done() -> int:
    return 0


def test_a_command_that_succeeds() -> None:
    """Its own status counts."""
    assert run(_done()) == 0
