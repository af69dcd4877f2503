"""`isthmus import`, and the kinds of `isthmus export`: other targets' files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isthmus.cli.apply import carry_out
from isthmus.compat.formats import FORMATS
from isthmus.errors import ConfigurationError
from isthmus.server.machine import machine_serial

if TYPE_CHECKING:
    from isthmus.compat.importer import Imported
    from isthmus.config.model import Configuration

__all__ = ["export_as", "import_"]


@click.command("import", short_help="Make what runs what another target's file says.")
@click.argument("kind", metavar="KIND", type=click.Choice(list(FORMATS)))
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--dry-run", is_flag=True, help="Only print what would be changed.")
@click.option("--strict", is_flag=True, help="Refuse a file of which anything cannot be done as it says.")
@click.option("--replace", "alone", is_flag=True, help="Take away all that is not in FILE.")
@click.option("--force", is_flag=True, help="Take away also what is in use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_(
    *, kind: str, file: str | None, dry_run: bool, strict: bool, alone: bool, force: bool, as_json: bool
) -> int:
    """Read FILE, a configuration of another target, show what would change, and do that.

    FILE is where KIND's own program keeps it, if none is given; - is standard input. Targets in
    FILE take the place of those of their names, and all others stay. What FILE says and cannot be done here is told line by
    line: FILE:LINE: what it means: what happens instead.
    """
    from isthmus.compat.merging import merge
    from isthmus.management.client import Client

    client = Client()
    running, revision = client.configuration()
    imported = _read(kind, file or FORMATS[kind].usual_file(), running)
    for finding in imported.findings:
        click.echo(f"isthmus: {finding}", err=True)
    if imported.findings and strict:
        count = len(imported.findings)
        raise ConfigurationError(
            f"{count} thing{'s' if count > 1 else ''} cannot be done as the file says, so nothing was changed",
            "leave out --strict to have the rest done",
        )
    wanted = imported.configuration if alone else merge(running, imported.configuration)
    return carry_out(client, wanted, revision, dry_run=dry_run, force=force, as_json=as_json)


def _read(kind: str, file: str, running: "Configuration") -> "Imported":
    from isthmus.compat.importer import Surroundings, decoded, file_text

    surroundings = Surroundings(running=running, new_serial=machine_serial)
    if file == "-":
        text = decoded(sys.stdin.buffer.read())
        return FORMATS[kind].reader()(text, "standard input", surroundings)
    name = str(Path(file).absolute())
    return FORMATS[kind].reader()(file_text(name), name, surroundings)


def export_as(kind: str) -> None:
    """Print the running configuration in the format `kind`; what has no place in it is told on standard error."""
    from isthmus.management.client import Client

    written = [known for known, row in FORMATS.items() if row.writes]
    if kind not in written:
        raise ConfigurationError(f"there is no format {kind!r} to export", f"there is {', '.join(written) or 'none'}")
    configuration, _ = Client().configuration()
    exported = FORMATS[kind].writer()(configuration)
    sys.stdout.buffer.write(exported.text.encode("utf-8", "surrogateescape"))
    for remark in exported.remarks:
        click.echo(f"isthmus: {remark}", err=True)
