"""How the verbs print what the daemon tells them: a table for people, or JSON that says the same."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["JSON_OPTION", "age_text", "bytes_text", "print_json", "show", "show_changes", "table_lines"]

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
_SECONDS_IN_MINUTE = 60
_SECONDS_IN_HOUR = 3600
_SECONDS_IN_DAY = 86400


def print_json(value: Any) -> None:
    """One JSON document on standard output; views are objects."""
    click.echo(json.dumps(value, indent=2, default=dataclasses.asdict))


def show(header: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """A table on standard output; without rows one line says `nothing`."""
    found = list(rows)
    for line in table_lines(header, found) if found else [nothing]:
        click.echo(line)


def show_changes(changes: Iterable[str]) -> None:
    """A line for each change: + what comes, - what goes, ~ what changes."""
    for change in changes:
        click.secho(change, fg=_COLOURS.get(change[:1]))


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The table in lines, each column as wide as its widest cell; an empty cell is a dash.

    Control characters in a cell, which an initiator may have sent, are escaped: they never get to a terminal.
    """
    cells = [list(header), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(text: str) -> str:
    printable = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
    return printable or "-"


def age_text(seconds: float) -> str:
    """A length of time by its two largest units: `3d 4h`, `5m 2s`."""
    left = int(max(seconds, 0))
    days, left = divmod(left, _SECONDS_IN_DAY)
    hours, left = divmod(left, _SECONDS_IN_HOUR)
    minutes, left = divmod(left, _SECONDS_IN_MINUTE)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (left, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2])


def bytes_text(size: float) -> str:
    """An amount for people, with three digits: `512 B`, `1.50 MiB`; `sizes.format_size` is for what is to be exact."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} PiB"
