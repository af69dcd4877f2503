"""What all commands of `isthmus initiator` share: the options of a login, and how an error becomes an exit status."""

import errno
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from isthmus.cli.parameters import ISCSI_NAME
from isthmus.cli.secret_file import read_secret
from isthmus.errors import ConfigurationError
from isthmus.initiator.errors import InvalidUrl, LoginFailed, Unreachable
from isthmus.initiator.settings import LoginSettings, default_initiator_name, digest_offer
from isthmus.initiator.url import IscsiUrl, parse_url
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.parameters import Offers
from isthmus.names import IscsiName

__all__ = ["EXIT_FAILED", "EXIT_REFUSED", "REFUSALS", "Place", "login_options", "run"]

EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2
REFUSALS: Final = (Unreachable, LoginFailed)
"""Errors before which nothing has been done."""
_DIGESTS: Final = {"none": False, "crc32c": True}


class Refused(click.ClickException):
    """Nothing was done: there is no such place, nobody answers there, or the login was refused."""

    exit_code = EXIT_REFUSED


class Failed(click.ClickException):
    """Something else went wrong on the way."""

    exit_code = EXIT_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command works, and what it logs in with."""

    url: IscsiUrl
    settings: LoginSettings
    """With the target of the URL; without one they are those of a discovery session."""

    def lun(self) -> int:
        """The LUN that the URL must name here."""
        if self.url.target is None or self.url.lun is None:
            raise click.UsageError("this command needs the URL of one LUN: iscsi://HOST[:PORT]/TARGET/LUN")
        return self.url.lun


def login_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the URL argument and the login options to a command; it gets them as one `Place`."""

    @functools.wraps(command)
    def with_place(
        *,
        url: str,
        initiator_name: IscsiName | None,
        chap_user: str | None,
        chap_secret_file: Path | None,
        mutual_user: str | None,
        mutual_secret_file: Path | None,
        header_digest: str | None,
        data_digest: str | None,
        timeout: float,
        **others: Any,
    ) -> Any:
        parsed = read_url(url)
        settings = LoginSettings(
            host=parsed.host,
            port=parsed.port,
            target_name=parsed.target,
            initiator_name=initiator_name or default_initiator_name(),
            credentials=credentials(chap_user or parsed.user, chap_secret_file, mutual_user, mutual_secret_file),
            offers=_offers(header_digest, data_digest, parsed),
            timeout=timeout,
        )
        return command(place=Place(url=parsed, settings=settings), **others)

    for option in reversed(_OPTIONS):
        with_place = option(with_place)
    return with_place


_DIGEST_CHOICE: Final = click.Choice(list(_DIGESTS), case_sensitive=False)
_SECRET_PATH: Final = click.Path(path_type=Path)
_OPTIONS: Final = (
    click.argument("url"),
    click.option("--initiator-name", type=ISCSI_NAME, metavar="IQN", help="Log in under this name."),
    click.option("--chap-user", metavar="NAME", help="Log in with CHAP as this user (or USER@ in the URL)."),
    click.option("--chap-secret-file", type=_SECRET_PATH, metavar="FILE", help="Holds the user's secret."),
    click.option("--mutual-user", metavar="NAME", help="The name that the target must give; any if left out."),
    click.option("--mutual-secret-file", type=_SECRET_PATH, metavar="FILE", help="The target must prove this secret."),
    click.option("--header-digest", type=_DIGEST_CHOICE, help="Insist on this; the target chooses if left out."),
    click.option("--data-digest", type=_DIGEST_CHOICE, help="Insist on this; the target chooses if left out."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=15.0,
        show_default=True,
        help="For the login.",
    ),
)


def read_url(text: str) -> IscsiUrl:
    """The URL; raises `click.UsageError`, also for one that holds a secret."""
    try:
        url = parse_url(text)
    except InvalidUrl as error:
        raise click.UsageError(str(error)) from error
    if url.holds_secret:
        raise click.UsageError(
            "the URL holds a secret, and arguments are there for every user of the machine to see: "
            "write it into a file and name that with --chap-secret-file or --mutual-secret-file"
        )
    return url


def credentials(
    user: str | None, secret_file: Path | None, mutual_user: str | None, mutual_secret_file: Path | None
) -> ChapCredentials | None:
    """What the CHAP options say; raises `ConfigurationError` where they do not go together."""
    if mutual_user is not None and mutual_secret_file is None:
        raise ConfigurationError("--mutual-user has no secret to go with it", "add --mutual-secret-file")
    if user is None and secret_file is None and mutual_secret_file is None:
        return None
    if not user or secret_file is None:
        raise ConfigurationError(
            "CHAP takes a user and the file of its secret", "give both --chap-user and --chap-secret-file"
        )
    return ChapCredentials(
        user=user,
        secret=read_secret(secret_file).reveal(),
        target_user=mutual_user,
        target_secret=None if mutual_secret_file is None else read_secret(mutual_secret_file).reveal(),
    )


def _offers(header_digest: str | None, data_digest: str | None, url: IscsiUrl) -> Offers:
    header = url.header_digest if header_digest is None else _DIGESTS[header_digest]
    data = url.data_digest if data_digest is None else _DIGESTS[data_digest]
    return replace(Offers(), header_digest=digest_offer(header), data_digest=digest_offer(data))


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine and give its exit status."""
    import uvloop

    try:
        return uvloop.run(work)
    except REFUSALS as error:
        raise Refused(str(error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Whoever read our output has had enough; click ends the program quietly then.
            raise
        raise Failed(f"{error.filename or 'input or output'}: {error.strerror}") from error
