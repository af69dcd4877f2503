"""`isthmus apply` and `isthmus export`: a declared configuration goes into the daemon, and comes out of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from isthmus.cli.output import print_json, show_changes
from isthmus.cli.secret_file import read_secret
from isthmus.config.model import Configuration
from isthmus.errors import ConfigurationError
from isthmus.management.errors import DaemonError, RevisionConflictError
from isthmus.server.machine import machine_serial

if TYPE_CHECKING:
    from isthmus.config.declaration.notation import Notation
    from isthmus.management.client import Client
    from isthmus.management.views import ApplyReport

__all__ = ["apply", "carry_out", "export", "secrets_beside"]

_NOTATIONS: Final = ("toml", "yaml", "json")
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
    return carry_out(client, wanted, revision, dry_run=dry_run, force=force, as_json=as_json)


def carry_out(
    client: "Client", wanted: Configuration, revision: int, *, dry_run: bool, force: bool, as_json: bool
) -> int:
    """Show what leads from what runs to `wanted`, and do it unless it is a dry run; gives the exit status."""
    plan = client.replace(wanted, revision, dry_run=True)
    if not as_json:
        show_changes(plan.changes)
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
@click.argument("kind", metavar="[KIND]", required=False)
@click.option("--format", "notation", type=click.Choice(_NOTATIONS), default="toml", show_default=True)
def export(*, kind: str | None, notation: str) -> None:
    """Print the document that, applied, changes nothing. Secrets are not in it: `(kept)` stands for them.

    With KIND, it is another target's configuration file: tgt's targets.conf.
    """
    if kind is not None:
        from isthmus.cli.importing import export_as

        export_as(kind)
        return
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
