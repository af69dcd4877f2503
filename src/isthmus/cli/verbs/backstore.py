"""`isthmus backstore`: files, devices and memory."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isthmus.cli.output import JSON_OPTION
from isthmus.cli.parameters import SIZE
from isthmus.cli.verbs.common import (
    ADDED,
    FORCE,
    SETTING,
    SETTINGS,
    backstore_key,
    change,
    configuration,
    options_of_a_change,
    show_list,
)
from isthmus.cli.verbs.completion import backstore_names
from isthmus.errors import ConfigurationError
from isthmus.sizes import format_size

if TYPE_CHECKING:
    from isthmus.config.model import Backstore

__all__ = ["backstore"]

_BACKSTORE = click.argument("name", metavar="KIND/NAME", shell_complete=backstore_names)


@click.group("backstore", short_help="Create, resize, set and delete backstores.")
def backstore() -> None:
    """Files, block devices and memory that LUNs are made of."""


@backstore.command("list")
@JSON_OPTION
def list_(*, as_json: bool) -> None:
    """List them, with the LUNs that they are."""
    from isthmus.management.client import Client

    client = Client()
    running = {view.path: view for view in client.backstores()}
    wanted = client.configuration()[0]
    rows = []
    for key, store in sorted(wanted.backstores.items()):
        view = running.get(str(key))
        luns = [
            f"{target.name}/tpg{group.tag}/lun{lun.number}"
            for target, group, lun in wanted.luns()
            if lun.backstore == key
        ]
        rows.append(
            {
                "backstore": f"{key.kind}/{key.name}",
                "path": store.path,
                "size": view.size if view and not view.problem else store.size,
                "luns": luns,
                "state": "not running" if view is None else view.problem or ("in use" if luns else "no LUN"),
                "read_only": store.read_only,
                "write_back": store.write_back,
                "serial": store.unit_serial,
                "attributes": dict(store.attributes),
            }
        )
    if not as_json:
        rows = [{**row, "size": format_size(row["size"]) if row["size"] else ""} for row in rows]  # type: ignore[arg-type]
    show_list(rows, ("backstore", "path", "size", "luns", "state"), nothing="no backstores", as_json=as_json)


@backstore.command("create")
@_BACKSTORE
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--size", type=SIZE, help="Of a missing file, or of memory.")
@click.option("--preallocate", is_flag=True, help="Take all the room of a missing file now.")
@click.option(
    "--from", "source", type=click.Path(path_type=Path, dir_okay=False), help="Copy this raw image or device into it."
)
@click.option("--cdrom", is_flag=True, help="A drive with the file as a CD or DVD in it; without a PATH an empty one.")
@click.option("--read-only", is_flag=True, help="Nobody writes.")
@click.option("--write-through", is_flag=True, help="Each write is durable before it is acknowledged.")
@click.option("--serial", metavar="TEXT", help="The serial number (LIO's wwn).  [default: one is made up]")
@ADDED
@click.option(
    "--option", "own", metavar="NAME=VALUE", type=SETTING, multiple=True, help="What only this kind has. Repeatable."
)
@options_of_a_change
def create(
    *,
    name: str,
    path: Path | None,
    size: int | None,
    preallocate: bool,
    source: Path | None,
    cdrom: bool,
    read_only: bool,
    write_through: bool,
    serial: str | None,
    attributes: tuple[tuple[str, str], ...],
    own: tuple[tuple[str, str], ...],
    **options: bool,
) -> None:
    """Create a backstore: fileio/NAME PATH, block/NAME DEVICE, pscsi/NAME DEVICE, ramdisk/NAME --size SIZE.

    A file that is missing is made, with --size or --from; one that is there keeps its size. It is no disk before it is whole.
    """
    from isthmus.config.model import Backstore
    from isthmus.management.backstore_edits import create_backstore, scsi_device_name

    key = backstore_key(name)
    absolute = None if path is None else path.expanduser().absolute()
    is_new_file = absolute is not None and key.kind == "fileio" and not absolute.exists()
    if source is not None:
        size = _size_for(source, size)
    if (preallocate or source is not None) and not is_new_file:
        raise ConfigurationError(
            f"{name} is not a file that could be made", "give fileio/NAME and the path of a new file"
        )
    handler = name.partition("/")[0].partition(":")[2]
    wanted = Backstore(
        key=key,
        path="" if path is None or handler else scsi_device_name(str(path)) if key.kind == "pscsi" else str(absolute),
        size=absolute.stat().st_size if absolute is not None and absolute.is_file() else size,
        write_back=key.kind == "fileio" and not write_through,
        read_only=read_only,
        unit_serial=serial or key.new_serial(),
        attributes={**({"device_type": "cd"} if cdrom else {}), **dict(attributes)},
        options={**({"config": f"{handler}/{path or ''}"} if handler else {}), **dict(own)},
    )
    create_backstore(configuration(), wanted)  # A long copy should not end with what can be known before.
    makes_file = is_new_file and (preallocate or source is not None) and not options.get("dry_run")
    with _image(wanted, source, preallocate=preallocate) if makes_file else contextlib.nullcontext():
        change(options, create_backstore, wanted)


def _image(wanted: "Backstore", source: Path | None, *, preallocate: bool) -> contextlib.AbstractContextManager[None]:
    from isthmus.cli.image_files import allocated, copied

    if wanted.size is None:
        raise ConfigurationError(f"{wanted.path} does not exist", "give it a size")
    path = Path(wanted.path)
    if source is None:
        return allocated(path, wanted.size)
    return copied(path, wanted.size, source, preallocate=preallocate)


def _size_for(source: Path, size: int | None) -> int:
    from isthmus.cli.image_files import image_size

    needed = image_size(source)
    if size is not None and size < needed:
        raise ConfigurationError(f"{source} does not fit into {format_size(size)}", f"it takes {needed} bytes")
    return size or needed


@backstore.command("resize")
@_BACKSTORE
@click.argument("size", type=SIZE)
@FORCE
@options_of_a_change
def resize(*, name: str, size: int, **options: bool) -> None:
    """Give a backstore another size while it is used: initiators are told. To shrink it under them takes --force."""
    from isthmus.management.backstore_edits import set_backstore_size

    change(options, set_backstore_size, backstore_key(name, configuration()), size)


@backstore.command("insert")
@_BACKSTORE
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options_of_a_change
def insert(*, name: str, path: Path, **options: bool) -> None:
    """Put another file into a drive; initiators are told that the medium has changed."""
    from isthmus.management.backstore_edits import set_backstore_medium

    change(options, set_backstore_medium, backstore_key(name, configuration()), str(path.expanduser().absolute()))


@backstore.command("eject")
@_BACKSTORE
@options_of_a_change
def eject(*, name: str, **options: bool) -> None:
    """Take out what is in a drive. Refused while an initiator has locked it in, which is asked to let it go."""
    from isthmus.management.backstore_edits import set_backstore_medium

    change(options, set_backstore_medium, backstore_key(name, configuration()), "")


@backstore.command("start")
@_BACKSTORE
@click.option(
    "--lost-reservations",
    type=click.Choice(["refuse", "replace", "forget"]),
    default="refuse",
    show_default=True,
    help="Where the record of persistent reservations is damaged: refuse to start; let nobody in before an initiator "
    "has replaced them; or forget them.",
)
def start(*, name: str, lost_reservations: str) -> None:
    """Start a backstore that does not run, when what kept it from that is mended."""
    from isthmus.management.client import Client

    client = Client()
    key = backstore_key(name, client.configuration()[0])
    client.start_backstore(key, lost_reservations)
    click.echo(f"{key} runs")


@backstore.command("set")
@_BACKSTORE
@SETTINGS
@options_of_a_change
def set_(*, name: str, settings: tuple[tuple[str, str], ...], **options: bool) -> None:
    """Change attributes, by LIO's names."""
    from isthmus.management.backstore_edits import set_backstore_attributes

    change(options, set_backstore_attributes, backstore_key(name, configuration()), dict(settings))


@backstore.command("delete")
@_BACKSTORE
@FORCE
@options_of_a_change
def delete(*, name: str, **options: bool) -> None:
    """Delete a backstore and the LUNs that are it. What the storage holds stays where it is."""
    from isthmus.management.backstore_edits import delete_backstore

    change(options, delete_backstore, backstore_key(name, configuration()))
