"""What the verbs share: their arguments, how they make a change, and how they show a list."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec

import click

from isthmus.cli.output import JSON_OPTION, print_json, show, show_changes
from isthmus.cli.parameters import ISCSI_NAME, ParsedType
from isthmus.cli.verbs.completion import initiator_names, target_names
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError

if TYPE_CHECKING:
    from isthmus.config.model import BackstoreKey, Configuration, InitiatorGroup, NodeAcl

__all__ = [
    "ADDED",
    "FORCE",
    "INITIATOR",
    "LUN",
    "ONLY_TARGET",
    "SETTING",
    "SETTINGS",
    "TAG",
    "TARGET",
    "backstore_key",
    "change",
    "configuration",
    "mapped_luns",
    "show_list",
    "with_only",
]

P = ParamSpec("P")

TARGET: Final = click.argument("target", type=ISCSI_NAME, shell_complete=target_names)
INITIATOR: Final = click.argument("initiator", type=ISCSI_NAME, shell_complete=initiator_names)
ONLY_TARGET: Final = click.argument("target", required=False, shell_complete=target_names)
LUN: Final = click.IntRange(0, 16383)
TAG: Final = click.option(
    "--tpg", "tag", type=click.IntRange(1, 0xFFFF), default=1, show_default=True, help="Of this portal group."
)
FORCE: Final = click.option("--force", is_flag=True, help="Take away also what is in use.")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(f"{text!r} is not a setting", "write NAME=VALUE")
    return name, value


SETTING: Final = ParsedType("setting", _setting)
SETTINGS: Final = click.argument("settings", metavar="NAME=VALUE...", type=SETTING, nargs=-1, required=True)
ADDED: Final = click.option(
    "--attribute", "attributes", metavar="NAME=VALUE", type=SETTING, multiple=True, help="Repeatable."
)


def configuration() -> "Configuration":
    """What runs, without secrets."""
    from isthmus.management.client import Client

    return Client().configuration()[0]


def with_only(running: "Configuration", target: str | None) -> "Configuration":
    """With that target only; raises `ConfigurationError` if there is none."""
    from isthmus.config.model import Configuration
    from isthmus.management.target_edits import target_of
    from isthmus.names import IscsiName

    if target is None:
        return running
    found = target_of(running, IscsiName(target))
    return Configuration(backstores=running.backstores, targets={found.name: found})


def backstore_key(text: str, running: "Configuration | None" = None) -> "BackstoreKey":
    """The backstore that KIND/NAME names; with `running`, also one that a NAME alone does. Raises `ConfigurationError`."""
    from isthmus.config.model import BackstoreKey

    path = text.strip("/").removeprefix("backstores/")
    if "/" in path:
        return BackstoreKey.parse(f"/backstores/{path}")
    found = [key for key in (running.backstores if running else ()) if key.name == path]
    if len(found) == 1:
        return found[0]
    if found:
        kinds = " or ".join(f"{key.kind}/{key.name}" for key in sorted(found))
        raise ConfigurationError(f"there is more than one {path}", f"say which: {kinds}")
    if running is not None:
        raise NotFoundError(f"there is no backstore {path}", "list them with isthmus backstore list")
    raise ConfigurationError(f"{text!r} does not name a kind", "write KIND/NAME, like fileio/disk01")


def change(
    options: Mapping[str, bool],
    edit: "Callable[Concatenate[Configuration, P], Configuration]",
    *args: P.args,
    **kwargs: P.kwargs,
) -> None:
    """Have the daemon run what `edit` makes of the configuration, and show what that changes.

    `options`: `force`, `dry_run`, `as_json`, each False if it is not there.
    """
    from isthmus.management.client import Client

    report = Client().change(
        lambda running: edit(running, *args, **kwargs),
        force=options.get("force", False),
        dry_run=options.get("dry_run", False),
    )
    if options.get("as_json"):
        print_json(report)
        return
    show_changes(report.changes)
    for warning in report.warnings:
        click.echo(f"isthmus: warning: {warning}", err=True)
    if not report.changes:
        click.echo("nothing to change")


def options_of_a_change(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that each change has."""
    command = click.option("--dry-run", is_flag=True, help="Only print what would be changed.")(command)
    return JSON_OPTION(command)


def show_list(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, nothing: str, as_json: bool) -> None:
    """The rows as JSON, with all that is in them; or as a table of some of it."""
    found = list(rows)
    if as_json:
        print_json(found)
        return
    show(
        [column.upper() for column in columns],
        [[_cell(row[column]) for column in columns] for row in found],
        nothing=nothing,
    )


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def mapped_luns(of: "NodeAcl | InitiatorGroup") -> list[str]:
    """What these initiators see, as a list shows it: NUMBER=LUN, and whether it is only read."""
    return [f"{mapped.number}={mapped.tpg_lun}{' ro' if mapped.write_protect else ''}" for mapped in of.mapped_luns]
