"""The verbs that tell what has happened, and what happens: `events` and `audit`."""

import dataclasses
import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from isthmus.cli.output import JSON_OPTION, print_json, show

if TYPE_CHECKING:
    from isthmus.management.views import EventView

__all__ = ["audit", "events"]

_COLORS: Final = {"warning": "yellow", "error": "red"}


@click.command("events", short_help="Tell what has happened, and what happens.")
@click.option("--follow", "-f", is_flag=True, help="Stay, and tell of each event as it happens.")
@click.option(
    "--lines", "-n", "recent", type=click.IntRange(0, 1000), default=20, show_default=True, help="How many of the last."
)
@JSON_OPTION
def events(*, follow: bool, recent: int, as_json: bool) -> None:
    """Tell what has happened: logins and their ends, refusals with their reasons, resets, changes, trouble.

    With --json each event is an object on a line of its own.
    """
    from isthmus.management.client import Client

    client = Client()
    found: Iterable[EventView] = client.follow_events(recent) if follow else client.events(recent)
    try:
        for view in found:
            _print_event(view, as_json=as_json)
    except KeyboardInterrupt:
        raise click.Abort from None


def _print_event(view: "EventView", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(view)))
        return
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(view.time))
    values = " ".join(f"{name}={_text(value)}" for name, value in view.values.items() if value not in {"", None})
    click.secho(f"{moment}  {view.event:<20} {values}".rstrip(), fg=_COLORS.get(view.level))


def _text(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if " " in text else text


@click.command("audit", short_help="Tell who has changed what.")
@click.option(
    "--lines", "-n", "limit", type=click.IntRange(0, 10000), default=20, show_default=True, help="How many of the last."
)
@JSON_OPTION
def audit(*, limit: int, as_json: bool) -> None:
    """Tell who has changed the configuration, or ended a session, and when. Secrets are never in it."""
    from isthmus.management.client import Client

    found = Client().audit(limit)
    if as_json:
        print_json(found)
        return
    show(
        ("TIME", "WHO", "WHAT"), [row for entry in found for row in _audit_rows(entry)], nothing="nothing was done yet"
    )


def _audit_rows(entry: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """A line for each change, the first with who and when."""
    changes = [str(change) for change in entry.get("changes", ())]
    left = int(entry.get("count", 0)) - len(changes)
    lines = [*changes, *([f"and {left} more"] if left > 0 else [])] or [_action(entry)]
    first = (str(entry.get("time", "")), _who(entry), lines[0])
    return [first, *((" ", " ", line) for line in lines[1:])]


def _action(entry: Mapping[str, Any]) -> str:
    known = {"time", "action", "who", "uid", "gid", "pid", "address"}
    values = [f"{name}={value}" for name, value in entry.items() if name not in known]
    return " ".join((str(entry.get("action", "")), *values))


def _who(entry: Mapping[str, Any]) -> str:
    parts = [str(entry.get("who", ""))]
    parts += [f"{name} {entry[name]}" for name in ("uid", "pid") if name in entry]
    parts += [str(entry["address"])] if "address" in entry else []
    return " ".join(parts)
