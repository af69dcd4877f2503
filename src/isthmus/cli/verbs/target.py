"""`isthmus target`, `isthmus portal` and `isthmus discovery`."""

from typing import TYPE_CHECKING, Any

import click

from isthmus.cli.output import JSON_OPTION
from isthmus.cli.parameters import PORTAL
from isthmus.cli.running import portals
from isthmus.cli.verbs.common import FORCE, SETTINGS, TAG, TARGET, change, configuration, options_of_a_change, show_list
from isthmus.cli.verbs.credentials import chap_options, chap_values

if TYPE_CHECKING:
    from isthmus.config.model import Configuration, PortalGroup
    from isthmus.config.settings import Value
    from isthmus.names import IscsiName
    from isthmus.server.options import Portal

__all__ = ["discovery", "portal", "target"]


@click.group("target", short_help="Create, set, enable, disable and delete targets.")
def target() -> None:
    """Targets and their portal groups."""


@target.command("list")
@JSON_OPTION
def list_(*, as_json: bool) -> None:
    """List them, a line for each portal group."""
    from isthmus.config.settings import TPG_ATTRIBUTES
    from isthmus.management.client import Client

    client = Client()
    sessions = client.sessions()
    rows = []
    for name, found in sorted(client.configuration()[0].targets.items()):
        for group in found.portal_groups:
            attributes = TPG_ATTRIBUTES.with_defaults(group.attributes)
            rows.append(
                {
                    "target": name,
                    "tpg": group.tag,
                    "enabled": "yes" if group.enable else "no",
                    "authentication": "CHAP" if attributes["authentication"] else "none",
                    "portals": [str(known) for known in group.portals],
                    "luns": [lun.number for lun in group.luns],
                    "acls": len(group.node_acls),
                    "sessions": sum(
                        (one.target_name, one.target_portal_group_tag) == (name, group.tag) for one in sessions
                    ),
                    "attributes": dict(group.attributes),
                    "parameters": dict(group.parameters),
                }
            )
    columns = ("target", "tpg", "enabled", "authentication", "portals", "luns", "acls", "sessions")
    show_list(rows, columns, nothing="no targets", as_json=as_json)


@target.command("create")
@TARGET
@click.option(
    "--portal", "addresses", type=PORTAL, metavar="ADDR[:PORT]", multiple=True, help="Listen here. Repeatable."
)
@options_of_a_change
def create(*, target: "IscsiName", addresses: "tuple[Portal, ...]", **options: bool) -> None:
    """Create a target, with portal group 1. Without --portal it listens where the daemon says."""
    from isthmus.config.model import Portal
    from isthmus.management.target_edits import add_portal, create_target

    def edit(running: "Configuration") -> "Configuration":
        running = create_target(running, target, default_portal=None)
        for address in addresses:
            running = add_portal(running, target, 1, Portal(address.address, address.port))
        return running

    change(options, edit)


@target.command("delete")
@TARGET
@FORCE
@options_of_a_change
def delete(*, target: "IscsiName", **options: bool) -> None:
    """Delete a target and all in it; its backstores stay."""
    from isthmus.management.target_edits import delete_target

    change(options, delete_target, target)


@target.command("add-group")
@TARGET
@click.option("--tpg", "tag", type=click.IntRange(1, 0xFFFF), help="Its tag.  [default: the next free one]")
@options_of_a_change
def add_group(*, target: "IscsiName", tag: int | None, **options: bool) -> None:
    """Give a target one more portal group."""
    from isthmus.management.target_edits import create_portal_group

    change(options, create_portal_group, target, tag)


@target.command("remove-group")
@TARGET
@click.option("--tpg", "tag", type=click.IntRange(1, 0xFFFF), required=True, help="Its tag.")
@FORCE
@options_of_a_change
def remove_group(*, target: "IscsiName", tag: int, **options: bool) -> None:
    """Delete a portal group and all in it."""
    from isthmus.management.target_edits import delete_portal_group

    change(options, delete_portal_group, target, tag)


@target.command("set")
@TARGET
@SETTINGS
@TAG
@options_of_a_change
def set_(*, target: "IscsiName", settings: tuple[tuple[str, str], ...], tag: int, **options: bool) -> None:
    """Change attributes and parameters of a portal group, by LIO's names."""
    change(options, _with_settings, target, tag, dict(settings))


def _with_settings(
    running: "Configuration", name: "IscsiName", tag: int, values: "dict[str, Value]"
) -> "Configuration":
    from isthmus.config.settings import TPG_PARAMETERS
    from isthmus.management.target_edits import set_group_attributes, set_group_parameters

    parameters = {key: value for key, value in values.items() if key in TPG_PARAMETERS}
    attributes = {key: value for key, value in values.items() if key not in TPG_PARAMETERS}
    return set_group_parameters(set_group_attributes(running, name, tag, attributes), name, tag, parameters)


@target.command("enable")
@TARGET
@TAG
@options_of_a_change
def enable(*, target: "IscsiName", tag: int, **options: bool) -> None:
    """Let initiators log in."""
    from isthmus.management.target_edits import set_group_enabled

    change(options, set_group_enabled, target, tag, enabled=True)


@target.command("disable")
@TARGET
@TAG
@options_of_a_change
def disable(*, target: "IscsiName", tag: int, **options: bool) -> None:
    """Let nobody log in; who is logged in is logged out."""
    from isthmus.management.target_edits import set_group_enabled

    change(options, set_group_enabled, target, tag, enabled=False)


@target.command("chap")
@TARGET
@TAG
@chap_options
@options_of_a_change
def chap(*, target: "IscsiName", tag: int, **options: Any) -> None:
    """Change what initiators without a node ACL of their own prove, and what is proved to them."""
    from isthmus.management.target_edits import group_of, set_group_chap

    values = chap_values(options)
    change(options, set_group_chap, target, tag, values)
    warn_if_open(group_of(configuration(), target, tag))


def warn_if_open(group: "PortalGroup") -> None:
    """Credentials alone keep nobody out."""
    if not group.attributes.get("authentication", 0):
        said = f"tpg{group.tag} asks nobody for CHAP: set authentication=1"
        click.echo(f"isthmus: warning: {said}", err=True)


@click.group("portal", short_help="Create and delete portals.")
def portal() -> None:
    """The addresses that targets listen on."""


portal.add_command(portals, "list")


@portal.command("create")
@TARGET
@click.argument("address", metavar="ADDR[:PORT]", type=PORTAL)
@TAG
@options_of_a_change
def create_portal(*, target: "IscsiName", address: "Portal", tag: int, **options: bool) -> None:
    """Listen on one more address."""
    from isthmus.config.model import Portal
    from isthmus.management.target_edits import add_portal

    change(options, add_portal, target, tag, Portal(address.address, address.port))


@portal.command("delete")
@TARGET
@click.argument("address", metavar="ADDR[:PORT]", type=PORTAL)
@TAG
@options_of_a_change
def delete_portal(*, target: "IscsiName", address: "Portal", tag: int, **options: bool) -> None:
    """Listen there no more; sessions that came in through it stay."""
    from isthmus.management.target_edits import remove_portal

    change(options, remove_portal, target, tag, address.address, address.port)


@click.group("discovery", short_help="Say what discovery asks for.")
def discovery() -> None:
    """What initiators have to prove before they are told of targets."""


@discovery.command("chap")
@click.option("--enable/--disable", "enable", default=None, help="Ask for it, or not.")
@chap_options
@options_of_a_change
def discovery_chap(*, enable: bool | None, **options: Any) -> None:
    """Change the CHAP of discovery sessions."""
    from isthmus.management.target_edits import set_discovery_authentication

    says_more = any(options[name] for name in ("clear", "user", "secret_file", "mutual_user", "mutual_secret_file"))
    values = chap_values(options) if says_more or enable is None else {}
    change(options, set_discovery_authentication, values, enable=enable)
