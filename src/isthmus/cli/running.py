"""The verbs that look at what the daemon does: `status`, `portals`, `backstores`, `sessions`; and `session logout`."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from isthmus.cli.output import JSON_OPTION, age_text, bytes_text, print_json, show, table_lines
from isthmus.sizes import format_size

if TYPE_CHECKING:
    from isthmus.management.client import Client
    from isthmus.management.views import BackstoreView, PortalView, SessionView

__all__ = ["backstores", "portals", "session", "sessions", "status"]


def _client() -> "Client":
    from isthmus.management.client import Client

    return Client()


@click.command("status", short_help="Say how the daemon is.")
@JSON_OPTION
def status(*, as_json: bool) -> None:
    """Say who serves, since when and how much, and everything that does not run as it should."""
    summary = _summary(_client())
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        if name != "problems":
            click.echo(f"{name.replace('_', ' ') + ':':<17}{_status_text(name, value)}")
    for problem in summary["problems"]:
        click.secho(f"problem: {problem}", fg="red")


def _summary(client: "Client") -> dict[str, Any]:
    version, found_portals, found_backstores = client.version(), client.portals(), client.backstores()
    configuration, revision = client.configuration()
    return {
        "version": version.version,
        "pid": version.pid,
        "started": version.started,
        "state_directory": version.state_directory,
        "loaded_from": version.loaded_from,
        "revision": revision,
        "targets": len(configuration.targets),
        "backstores": len(found_backstores),
        "portals": len(found_portals),
        "sessions": len(client.sessions()),
        "problems": [*_problems(found_portals, found_backstores), *version.remarks],
    }


def _problems(found_portals: "list[PortalView]", found_backstores: "list[BackstoreView]") -> Iterator[str]:
    for portal in found_portals:
        if portal.problem:
            yield f"{portal.target_name} does not listen on {portal.portal}: {portal.problem}"
    for store in found_backstores:
        if store.problem:
            yield f"{store.path} does not run: {store.problem}"


def _status_text(name: str, value: Any) -> str:
    if name == "started":
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        return f"{moment} ({age_text(time.time() - value)} ago)"
    return str(value) or "nothing was saved yet"


@click.command("portals", short_help="List the portals.")
@JSON_OPTION
def portals(*, as_json: bool) -> None:
    """List every portal of every target, and whether it listens."""
    found = _client().portals()
    if as_json:
        print_json(found)
        return
    rows = [(view.portal, view.target_name, str(view.target_portal_group_tag), _portal_state(view)) for view in found]
    show(("PORTAL", "TARGET", "TPG", "STATE"), rows, nothing="no target, so no portal")


def _portal_state(view: "PortalView") -> str:
    state = "listening" if view.listening else view.problem or "not listening"
    if view.bound and view.bound != view.portal:
        state += f" on {view.bound}"
    return f"{state} (default)" if view.is_default else state


@click.command("backstores", short_help="List the backstores.")
@JSON_OPTION
def backstores(*, as_json: bool) -> None:
    """List every backstore as it runs."""
    found = _client().backstores()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            view.path.removeprefix("/backstores/"),
            "" if view.problem else format_size(view.size),
            "" if view.problem else str(view.block_length),
            view.problem or ("in use" if view.active else "no LUN"),
        )
        for view in found
    ]
    show(("BACKSTORE", "SIZE", "BLOCK", "STATE"), rows, nothing="no backstores")


@click.command("sessions", short_help="List the sessions.")
@JSON_OPTION
def sessions(*, as_json: bool) -> None:
    """List who is logged in: every session, those of discovery too."""
    found = _client().sessions()
    if as_json:
        print_json(found)
        return
    header = ("TSIH", "INITIATOR", "ALIAS", "FROM", "TARGET", "TPG", "LUNS", "STATE")
    show(header, [_session_row(view) for view in found], nothing="no sessions")


def _session_row(view: "SessionView") -> tuple[str, ...]:
    return (
        str(view.tsih),
        view.initiator_name,
        view.initiator_alias,
        ", ".join(connection.peer for connection in view.connections),
        view.target_name or view.session_type,
        str(view.target_portal_group_tag) if view.target_name else "",
        ",".join(map(str, view.luns)),
        f"{view.state} (dynamic)" if view.dynamic else view.state,
    )


@click.group("session", short_help="Show or end a session.")
def session() -> None:
    """What can be done to one session."""


@session.command("show")
@click.argument("tsih", type=click.IntRange(1, 0xFFFF))
@JSON_OPTION
def show_session(*, tsih: int, as_json: bool) -> None:
    """Show all that is known of the session TSIH: names, addresses, what was negotiated, what it has done."""
    from isthmus.management.errors import NotFoundError

    view = next((view for view in _client().sessions() if view.tsih == tsih), None)
    if view is None:
        raise NotFoundError(f"there is no session with TSIH {tsih}", "list the sessions")
    if as_json:
        print_json(view)
        return
    first, *others = ((f"{name}:", value) for name, value in _session_details(view))
    for line in table_lines(first, others):
        click.echo(line)


def _known_by(view: "SessionView") -> str:
    if view.dynamic:
        return "demo mode"
    if view.initiator_group:
        return f"initiator group {view.initiator_group}"
    return "its node ACL" if view.target_name else ""


def _session_details(view: "SessionView") -> Iterator[tuple[str, str]]:
    yield "session", f"{view.session_type}, {view.state}, TSIH {view.tsih}, ISID {view.isid}"
    yield "initiator", view.initiator_name
    yield "alias", view.initiator_alias
    yield "target", f"{view.target_name} tpg{view.target_portal_group_tag}" if view.target_name else ""
    yield "known by", _known_by(view)
    yield "CHAP user", view.chap_user
    yield "since", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(view.since))
    yield "LUNs", ", ".join(map(str, view.luns))
    yield "in progress", f"{view.commands_in_progress} commands"
    yield "read", f"{view.read_commands} commands, {bytes_text(view.bytes_read)}"
    yield "written", f"{view.write_commands} commands, {bytes_text(view.bytes_written)}"
    yield "errors", str(view.errors)
    for connection in view.connections:
        yield f"connection {connection.cid}", f"{connection.state}, {connection.peer} to {connection.local}"
        yield "digests", f"header {connection.header_digest}, data {connection.data_digest}"
        receive, transmit = connection.max_recv_data_segment_length, connection.max_xmit_data_segment_length
        yield "data segments", f"{receive} bytes in, {transmit} bytes out"
    for name, value in view.parameters.items():
        yield name, {True: "Yes", False: "No"}.get(value, str(value)) if isinstance(value, bool) else str(value)


@session.command("logout")
@click.argument("tsih", type=click.IntRange(1, 0xFFFF))
@click.option("--drop", is_flag=True, help="Do not ask the initiator first.")
def logout(*, tsih: int, drop: bool) -> None:
    """End the session TSIH (see `isthmus sessions`): its initiator is asked to log out, and dropped if it does not.

    It may log in again; to keep it out, take away its node ACL.
    """
    _client().end_session(tsih, ask=not drop)
    click.echo(f"session {tsih} has ended")
