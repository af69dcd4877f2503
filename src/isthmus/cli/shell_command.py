"""`isthmus shell`: the way into `cli.shell`; also what runs when the program is called `targetcli`."""

from typing import Final

import click

from isthmus import __version__

__all__ = ["shell"]

_VERSION: Final = (("--version",), ("-v",))
_DISABLE: Final = (("disable-daemon",), ("--disable-daemon",))
_WITHOUT_DAEMON: Final = ("set", "global", "auto_use_daemon=false")
"""What targetcli does when it is told so."""


@click.command(
    short_help="Look at and change what the daemon serves, as with targetcli.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, metavar="[PATH] [COMMAND] [ARGUMENTS]...", type=click.UNPROCESSED)
def shell(words: tuple[str, ...]) -> int:
    """Run one shell command, or those on standard input, or talk with a person.

    The tree and the commands are targetcli's: `isthmus shell /backstores/fileio create disk01 /srv/disk01.img 10G`,
    `isthmus shell ls`, `isthmus shell help`. The exit status is 1 if a command fails.
    """
    if words in _VERSION:
        click.echo(f"isthmus version {__version__}")
        return 0
    from isthmus.cli.shell.main import run
    from isthmus.management.client import Client

    return run(Client(), _WITHOUT_DAEMON if words in _DISABLE else words)
