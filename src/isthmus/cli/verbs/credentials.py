"""CHAP as the verbs take it: secrets come from files, never from arguments."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from isthmus.cli.secret_file import read_secret
from isthmus.errors import ConfigurationError

__all__ = ["chap_options", "chap_values"]

_FILE = click.Path(path_type=Path, dir_okay=False)


def chap_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every `chap` command."""
    for option in (
        click.option("--clear", is_flag=True, help="Take all of it away first."),
        click.option("--mutual-secret-file", type=_FILE, help="A file with what it proves that with."),
        click.option("--mutual-user", help="Who the target proves to be."),
        click.option("--secret-file", type=_FILE, help="A file with the secret, as its one line."),
        click.option("--user", help="Who the initiator proves to be."),
    ):
        command = option(command)
    return command


def chap_values(options: Mapping[str, Any]) -> dict[str, str]:
    """What the options say, by the names of `config.model.Chap`; raises `ConfigurationError` if they say nothing."""
    names = ("userid", "password", "mutual_userid", "mutual_password")
    values = dict.fromkeys(names, "") if options["clear"] else {}
    for name, option in (("userid", "user"), ("mutual_userid", "mutual_user")):
        if options[option] is not None:
            values[name] = options[option]
    for name, option in (("password", "secret_file"), ("mutual_password", "mutual_secret_file")):
        if options[option] is not None:
            values[name] = _text(options[option])
    if not values:
        raise ConfigurationError("nothing is said about CHAP", "give --user and --secret-file, or --clear")
    return values


def _text(path: Path) -> str:
    try:
        return read_secret(path).reveal().decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"the secret in {path} is not UTF-8 text", "choose another one") from None
