"""`isthmus initiator-group`: initiators named by patterns, and what they see."""

from typing import TYPE_CHECKING

import click

from isthmus.cli.output import JSON_OPTION
from isthmus.cli.verbs.common import (
    FORCE,
    LUN,
    ONLY_TARGET,
    SETTINGS,
    TAG,
    TARGET,
    change,
    configuration,
    mapped_luns,
    options_of_a_change,
    show_list,
    with_only,
)
from isthmus.cli.verbs.completion import initiator_group_names

if TYPE_CHECKING:
    from isthmus.names import IscsiName

__all__ = ["initiator_group"]

_NAME = click.argument("name", metavar="GROUP", shell_complete=initiator_group_names)
_PATTERNS = click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)


@click.group("initiator-group", short_help="Say by patterns who may log in, and what they see.")
def initiator_group() -> None:
    """Initiators without a node ACL: the first group that one matches counts."""


@initiator_group.command("list")
@ONLY_TARGET
@JSON_OPTION
def list_(*, target: str | None, as_json: bool) -> None:
    """List them in the order in which they are asked, of TARGET or of all."""
    rows = [
        {
            "target": name,
            "tpg": group.tag,
            "group": one.name,
            "initiators": list(one.initiators),
            "luns": mapped_luns(one),
            "attributes": dict(one.attributes),
        }
        for name, found in sorted(with_only(configuration(), target).targets.items())
        for group in found.portal_groups
        for one in group.initiator_groups
    ]
    columns = ("target", "tpg", "group", "initiators", "luns")
    show_list(rows, columns, nothing="no initiator groups", as_json=as_json)


@initiator_group.command("create")
@TARGET
@_NAME
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@TAG
@options_of_a_change
def create(*, target: "IscsiName", name: str, patterns: tuple[str, ...], tag: int, **options: bool) -> None:
    """Create GROUP, to be asked after the others.

    In a PATTERN * stands for any characters and ? for one; a leading ! matches what the rest does not.
    """
    from isthmus.management.initiator_group_edits import add_initiator_group

    change(options, add_initiator_group, target, tag, name, patterns)


@initiator_group.command("delete")
@TARGET
@_NAME
@TAG
@FORCE
@options_of_a_change
def delete(*, target: "IscsiName", name: str, tag: int, **options: bool) -> None:
    """Delete GROUP; its initiators are put out if nothing else lets them in."""
    from isthmus.management.initiator_group_edits import remove_initiator_group

    change(options, remove_initiator_group, target, tag, name)


@initiator_group.command("add")
@TARGET
@_NAME
@_PATTERNS
@TAG
@options_of_a_change
def add(*, target: "IscsiName", name: str, patterns: tuple[str, ...], tag: int, **options: bool) -> None:
    """Let initiators whose names match belong to GROUP."""
    from isthmus.management.initiator_group_edits import add_initiators

    change(options, add_initiators, target, tag, name, patterns)


@initiator_group.command("remove")
@TARGET
@_NAME
@_PATTERNS
@TAG
@FORCE
@options_of_a_change
def remove(*, target: "IscsiName", name: str, patterns: tuple[str, ...], tag: int, **options: bool) -> None:
    """Take patterns out of GROUP."""
    from isthmus.management.initiator_group_edits import remove_initiators

    change(options, remove_initiators, target, tag, name, patterns)


@initiator_group.command("move")
@TARGET
@_NAME
@click.argument("pattern")
@click.argument("destination", shell_complete=initiator_group_names)
@TAG
@FORCE
@options_of_a_change
def move(*, target: "IscsiName", name: str, pattern: str, destination: str, tag: int, **options: bool) -> None:
    """Move PATTERN from GROUP to DESTINATION; sessions go on, and see what is seen there."""
    from isthmus.management.initiator_group_edits import move_initiator

    change(options, move_initiator, target, tag, name, pattern, destination)


@initiator_group.command("map")
@TARGET
@_NAME
@click.argument("tpg_lun", metavar="LUN", type=LUN)
@click.option("--as", "number", type=LUN, metavar="LUN", help="Under this number.  [default: the same]")
@click.option("--read-only", is_flag=True, help="They only read.")
@TAG
@options_of_a_change
def map_(
    *, target: "IscsiName", name: str, tpg_lun: int, number: int | None, read_only: bool, tag: int, **options: bool
) -> None:
    """Let the initiators of GROUP see a LUN of TARGET."""
    from isthmus.management.initiator_group_edits import add_group_lun

    change(options, add_group_lun, target, tag, name, tpg_lun, number=number, write_protect=read_only)


@initiator_group.command("unmap")
@TARGET
@_NAME
@click.argument("number", metavar="LUN", type=LUN)
@TAG
@FORCE
@options_of_a_change
def unmap(*, target: "IscsiName", name: str, number: int, tag: int, **options: bool) -> None:
    """Take a LUN, by the number that it has there, from the initiators of GROUP."""
    from isthmus.management.initiator_group_edits import remove_group_lun

    change(options, remove_group_lun, target, tag, name, number)


@initiator_group.command("set")
@TARGET
@_NAME
@SETTINGS
@TAG
@options_of_a_change
def set_(*, target: "IscsiName", name: str, settings: tuple[tuple[str, str], ...], tag: int, **options: bool) -> None:
    """Change attributes of GROUP, like max_sessions."""
    from isthmus.management.initiator_group_edits import set_initiator_group_attributes

    change(options, set_initiator_group_attributes, target, tag, name, dict(settings))
