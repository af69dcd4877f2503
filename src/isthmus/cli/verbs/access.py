"""`isthmus lun` and `isthmus acl`: what targets have, and who sees it."""

from typing import TYPE_CHECKING, Any

import click

from isthmus.cli.output import JSON_OPTION
from isthmus.cli.verbs.common import (
    FORCE,
    INITIATOR,
    LUN,
    ONLY_TARGET,
    SETTINGS,
    TAG,
    TARGET,
    backstore_key,
    change,
    configuration,
    mapped_luns,
    options_of_a_change,
    show_list,
    with_only,
)
from isthmus.cli.verbs.completion import backstore_names
from isthmus.cli.verbs.credentials import chap_options, chap_values
from isthmus.cli.verbs.target import warn_if_open

if TYPE_CHECKING:
    from isthmus.config.model import Configuration
    from isthmus.names import IscsiName

__all__ = ["acl", "lun"]


@click.group("lun", short_help="Create and delete LUNs.")
def lun() -> None:
    """Backstores under numbers."""


@lun.command("list")
@ONLY_TARGET
@JSON_OPTION
def list_luns(*, target: str | None, as_json: bool) -> None:
    """List them, of TARGET or of all."""
    rows = []
    for found, group, one in with_only(configuration(), target).luns():
        seen = [acl.name for acl in group.node_acls if any(mapped.tpg_lun == one.number for mapped in acl.mapped_luns)]
        rows.append(
            {
                "target": found.name,
                "tpg": group.tag,
                "lun": one.number,
                "backstore": f"{one.backstore.kind}/{one.backstore.name}",
                "alias": one.alias,
                "alua_group": one.alua_group,
                "initiators": seen,
            }
        )
    show_list(rows, ("target", "tpg", "lun", "backstore", "initiators"), nothing="no LUNs", as_json=as_json)


@lun.command("create")
@TARGET
@click.argument("backstore", metavar="KIND/NAME", shell_complete=backstore_names)
@click.option("--lun", "number", type=LUN, help="Its number.  [default: the lowest free one]")
@click.option("--no-map", is_flag=True, help="Do not map it for the initiators that have a node ACL.")
@TAG
@options_of_a_change
def create(*, target: "IscsiName", backstore: str, number: int | None, no_map: bool, tag: int, **options: bool) -> None:
    """Make a backstore a LUN of TARGET."""
    from isthmus.management.lun_edits import add_lun

    key = backstore_key(backstore, configuration())
    change(options, add_lun, target, tag, key, number=number, add_mapped_luns=not no_map)


@lun.command("delete")
@TARGET
@click.argument("number", metavar="LUN", type=LUN)
@TAG
@FORCE
@options_of_a_change
def delete(*, target: "IscsiName", number: int, tag: int, **options: bool) -> None:
    """Delete a LUN of TARGET, and what maps it; the backstore stays."""
    from isthmus.management.lun_edits import remove_lun

    change(options, remove_lun, target, tag, number)


@click.group("acl", short_help="Say who may log in, and what they see.")
def acl() -> None:
    """Initiators that may log in."""


@acl.command("list")
@ONLY_TARGET
@JSON_OPTION
def list_acls(*, target: str | None, as_json: bool) -> None:
    """List them, of TARGET or of all."""
    rows = [
        {
            "target": name,
            "tpg": group.tag,
            "initiator": one.name,
            "tag": one.tag,
            "chap": one.chap.userid,
            "mutual_chap": one.chap.mutual_userid,
            "luns": mapped_luns(one),
            "attributes": dict(one.attributes),
        }
        for name, found in sorted(with_only(configuration(), target).targets.items())
        for group in found.portal_groups
        for one in group.node_acls
    ]
    show_list(rows, ("target", "tpg", "initiator", "tag", "chap", "luns"), nothing="no node ACLs", as_json=as_json)


@acl.command("create")
@TARGET
@INITIATOR
@click.option("--no-luns", is_flag=True, help="Map no LUN for it yet.")
@TAG
@options_of_a_change
def create_acl(*, target: "IscsiName", initiator: "IscsiName", no_luns: bool, tag: int, **options: bool) -> None:
    """Let INITIATOR log in to TARGET, and see its LUNs."""
    from isthmus.management.lun_edits import add_acl

    change(options, add_acl, target, tag, initiator, add_mapped_luns=not no_luns)


@acl.command("delete")
@TARGET
@INITIATOR
@TAG
@FORCE
@options_of_a_change
def delete_acl(*, target: "IscsiName", initiator: "IscsiName", tag: int, **options: bool) -> None:
    """Let INITIATOR log in no more."""
    from isthmus.management.lun_edits import remove_acl

    change(options, remove_acl, target, tag, initiator)


@acl.command("map")
@TARGET
@INITIATOR
@click.argument("tpg_lun", metavar="LUN", type=LUN)
@click.option("--as", "number", type=LUN, metavar="LUN", help="Under this number.  [default: the same]")
@click.option("--read-only", is_flag=True, help="It only reads.")
@TAG
@options_of_a_change
def map_(
    *,
    target: "IscsiName",
    initiator: "IscsiName",
    tpg_lun: int,
    number: int | None,
    read_only: bool,
    tag: int,
    **options: bool,
) -> None:
    """Let INITIATOR see a LUN of TARGET."""
    from isthmus.management.lun_edits import add_mapped_lun

    change(options, add_mapped_lun, target, tag, initiator, tpg_lun, number=number, write_protect=read_only)


@acl.command("unmap")
@TARGET
@INITIATOR
@click.argument("number", metavar="LUN", type=LUN)
@TAG
@FORCE
@options_of_a_change
def unmap(*, target: "IscsiName", initiator: "IscsiName", number: int, tag: int, **options: bool) -> None:
    """Take a LUN, by the number that it has there, from INITIATOR."""
    from isthmus.management.lun_edits import remove_mapped_lun

    change(options, remove_mapped_lun, target, tag, initiator, number)


@acl.command("set")
@TARGET
@INITIATOR
@SETTINGS
@TAG
@options_of_a_change
def set_(
    *, target: "IscsiName", initiator: "IscsiName", settings: tuple[tuple[str, str], ...], tag: int, **options: bool
) -> None:
    """Change attributes of a node ACL, by LIO's names; tag=LABEL gives it a label."""
    from isthmus.management.lun_edits import set_acl_attributes, set_acl_tag

    values = dict(settings)
    label = values.pop("tag", None)

    def edit(running: "Configuration") -> "Configuration":
        if label is not None:
            running = set_acl_tag(running, target, tag, initiator, label)
        return set_acl_attributes(running, target, tag, initiator, values)

    change(options, edit)


@acl.command("chap")
@TARGET
@INITIATOR
@TAG
@chap_options
@options_of_a_change
def chap(*, target: "IscsiName", initiator: "IscsiName", tag: int, **options: Any) -> None:
    """Change what INITIATOR proves, and what is proved to it."""
    from isthmus.management.lun_edits import set_acl_chap
    from isthmus.management.target_edits import group_of

    values = chap_values(options)
    change(options, set_acl_chap, target, tag, initiator, values)
    warn_if_open(group_of(configuration(), target, tag))
