"""`isthmus apply` and `isthmus export`: a declared configuration goes into the daemon, and comes out of it."""

import socket
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from isthmus.cli.output import print_json
from isthmus.cli.secret_file import read_secret
from isthmus.config.model import BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.management.errors import DaemonError, RevisionConflictError
from isthmus.server.machine import machine_identity

if TYPE_CHECKING:
    from isthmus.config.declaration.notation import Notation
    from isthmus.management.views import ApplyReport

__all__ = ["apply", "export", "machine_serial", "secrets_beside"]

_NOTATIONS: Final = ("toml", "yaml", "json")
_SERIALS: Final = uuid.UUID("7c2b0b0e-0f0a-5a0c-9d3e-2f6f5c1d9a41")
"""The namespace of serial numbers that follow from names (RFC 9562 §5.5)."""
_COLOURS: Final = {"+": "green", "-": "red", "~": "yellow"}
_STANDARD_INPUT: Final = "-"


@click.command("apply", short_help="Make what runs what a document declares.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Only print what would be changed.")
@click.option("--force", is_flag=True, help="Take away also what is in use.")
@click.option("--format", "notation", type=click.Choice(_NOTATIONS), help="Of FILE.  [default: what its name says]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def apply(*, file: Path, dry_run: bool, force: bool, notation: str | None, as_json: bool) -> int:
    """Compare FILE (TOML, YAML or JSON; - is standard input) with what runs, and change only what differs.

    Every change is a line: + what comes, - what goes, ~ what changes. It is all done, or nothing is; what is in use is
    refused without --force. Applied again, a document changes nothing.
    """
    from isthmus.management.client import Client

    client = Client()
    running, revision = client.configuration()
    wanted = _wanted(file, notation, running)
    plan = client.replace(wanted, revision, dry_run=True)
    if not as_json:
        _show_plan(plan)
    report = plan
    if plan.changes and not dry_run:
        try:
            report = client.replace(wanted, revision, force=force)
        except RevisionConflictError:
            raise DaemonError("somebody else has just changed what runs, so nothing was done: apply it again") from None
    if as_json:
        print_json({"applied": not dry_run, **_plain(report)})
    else:
        _show_outcome(report, dry_run=dry_run)
    return 0


@click.command("export", short_help="Print the running configuration as a document.")
@click.option("--format", "notation", type=click.Choice(_NOTATIONS), default="toml", show_default=True)
def export(*, notation: str) -> None:
    """Print the document that, applied, changes nothing. Secrets are not in it: `(kept)` stands for them."""
    from isthmus.config.declaration.declare import declare
    from isthmus.config.declaration.notation import Notation, write
    from isthmus.management.client import Client

    configuration, _ = Client().configuration()
    click.echo(write(declare(configuration).plain(), Notation(notation)), nl=False)


def _wanted(file: Path, notation: str | None, running: Configuration) -> Configuration:
    from isthmus.config.declaration.configure import Surroundings
    from isthmus.config.declaration.loading import load_document

    chosen = _notation(file, notation)
    from_input = str(file) == _STANDARD_INPUT
    directory = Path() if from_input else file.parent
    surroundings = Surroundings(
        running=running,
        absolute_path=lambda path: str((directory / path).absolute()),
        read_secret=secrets_beside(directory),
        new_serial=machine_serial,
    )
    name = "standard input" if from_input else str(file)
    return load_document(_text(file, from_input=from_input), chosen, name=name, surroundings=surroundings)


def _notation(file: Path, chosen: str | None) -> "Notation":
    from isthmus.config.declaration.notation import Notation

    found = Notation(chosen) if chosen else Notation.of(file.name)
    if found is None:
        raise ConfigurationError(f"{file}: its name does not say how it is written", "say it with --format")
    return found


def _text(file: Path, *, from_input: bool) -> str:
    try:
        data = sys.stdin.buffer.read() if from_input else file.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text: byte {error.start} is wrong") from error


def secrets_beside(directory: Path) -> Callable[[str], str]:
    """What reads the secret files that a document in `directory` names."""

    def read(path: str) -> str:
        try:
            return read_secret(directory / path).reveal().decode()
        except UnicodeDecodeError:
            raise ConfigurationError(f"the secret in {path} is not UTF-8 text", "choose another one") from None

    return read


def machine_serial(key: BackstoreKey) -> str:
    """The serial number of a new backstore: always the same on one machine, and another on every other."""
    return str(uuid.uuid5(_SERIALS, f"{machine_identity()} {socket.gethostname()} {key}"))


def _show_plan(plan: "ApplyReport") -> None:
    for change in plan.changes:
        click.secho(change, fg=_COLOURS.get(change[:1]))


def _show_outcome(report: "ApplyReport", *, dry_run: bool) -> None:
    for warning in report.warnings:
        click.echo(f"isthmus: warning: {warning}", err=True)
    count = len(report.changes)
    if not count:
        click.echo("nothing to change")
    elif dry_run:
        click.echo(f"{count} change{'s' if count > 1 else ''} to make")
    else:
        click.echo(f"{count} change{'s' if count > 1 else ''} made, revision {report.revision}")


def _plain(report: "ApplyReport") -> dict[str, object]:
    return {"revision": report.revision, "changes": report.changes, "warnings": report.warnings}
