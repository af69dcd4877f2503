"""`isthmus top`: who is busy now. Two looks at the counters, some time apart, and what lies between them."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import click

from isthmus.cli.figures import duration_text
from isthmus.cli.output import JSON_OPTION, bytes_text, table_lines

if TYPE_CHECKING:
    from isthmus.management.client import Client
    from isthmus.management.views import LatencyView, UsageView

__all__ = ["Rate", "rate_between", "top"]

_HEADER: Final = ("R/S", "W/S", "READ/S", "WRITTEN/S", "ERRORS", "READ P50", "P99", "WRITE P50", "P99")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What was done between two looks, for each second."""

    name: str
    reads: float
    writes: float
    bytes_read: float
    bytes_written: float
    errors: int
    """In all of the time."""
    read_p50: float | None
    """Seconds; None: there was no read."""
    read_p99: float | None
    write_p50: float | None
    write_p99: float | None


def rate_between(name: str, before: "UsageView | None", after: "UsageView", seconds: float) -> Rate:
    """What lies between; `before` None: it is new. Counters that went back have begun again."""

    def difference(field: str) -> int:
        now: int = getattr(after, field)
        then: int = getattr(before, field) if before else 0
        return now - then if now >= then else now

    reads = _between(before.read_latency if before else None, after.read_latency)
    writes = _between(before.write_latency if before else None, after.write_latency)
    return Rate(
        name=name,
        reads=difference("read_commands") / seconds,
        writes=difference("write_commands") / seconds,
        bytes_read=difference("bytes_read") / seconds,
        bytes_written=difference("bytes_written") / seconds,
        errors=sum(map(difference, ("read_errors", "write_errors", "verify_errors"))),
        read_p50=_quantile(reads, 0.5),
        read_p99=_quantile(reads, 0.99),
        write_p50=_quantile(writes, 0.5),
        write_p99=_quantile(writes, 0.99),
    )


def _between(before: "LatencyView | None", after: "LatencyView | None") -> list[tuple[float, int]]:
    known: dict[float, int] = dict(before.buckets) if before else {}
    found = [(bound, count - known.get(bound, 0)) for bound, count in after.buckets] if after else []
    return [(bound, count) for bound, count in found if count > 0]


def _quantile(buckets: Sequence[tuple[float, int]], share: float) -> float | None:
    wanted = sum(count for _, count in buckets) * share
    for bound, count in buckets:
        wanted -= count
        if wanted <= 0:
            return bound
    return None


@click.command("top", short_help="Show who is busy now.")
@click.option("--interval", "-d", type=click.FloatRange(0.1, 3600), default=1.0, show_default=True, help="Seconds.")
@click.option("--count", "-c", type=click.IntRange(1), help="Look that often, then end.")
@click.option("--sessions", "by_session", is_flag=True, help="By session instead of by backstore.")
@click.option("--lines", "-n", "lines", type=click.IntRange(1), default=20, show_default=True, help="The busiest.")
@JSON_OPTION
def top(*, interval: float, count: int | None, by_session: bool, lines: int, as_json: bool) -> None:
    """Show what is done each second, the busiest first, until Ctrl-C.

    P50 and P99 are of the commands of the last interval. With --json, each look is an object on a line of its own.
    """
    from isthmus.management.client import Client

    client = Client()
    looks = _looks(_by_session if by_session else _by_backstore, client, interval, count)
    try:
        if as_json:
            for rates in looks:
                click.echo(json.dumps({"time": time.time(), "rates": [asdict(rate) for rate in rates]}))
        elif sys.stdout.isatty():
            _show_live(looks, lines)
        else:
            for rates in looks:
                click.echo("\n".join(_table(rates, lines)))
    except KeyboardInterrupt:
        raise click.Abort from None


def _by_backstore(client: "Client") -> "dict[str, UsageView]":
    return {view.path.removeprefix("/backstores/"): view.usage for view in client.backstore_usage(buckets=True)}


def _by_session(client: "Client") -> "dict[str, UsageView]":
    return {f"{view.tsih} {view.initiator_name}": view.usage for view in client.session_usage(buckets=True)}


def _looks(
    look: "Callable[[Client], Mapping[str, UsageView]]", client: "Client", interval: float, count: int | None
) -> Iterator[list[Rate]]:
    before, began = look(client), time.monotonic()
    done = 0
    while count is None or done < count:
        time.sleep(interval)
        after, now = look(client), time.monotonic()
        rates = [rate_between(name, before.get(name), usage, now - began) for name, usage in after.items()]
        yield sorted(rates, key=lambda rate: (-rate.reads - rate.writes, rate.name))
        before, began = after, now
        done += 1


def _table(rates: Sequence[Rate], lines: int) -> list[str]:
    everything = (
        f"{sum(rate.reads for rate in rates):.0f} reads/s, {sum(rate.writes for rate in rates):.0f} writes/s, "
        f"{bytes_text(sum(rate.bytes_read for rate in rates))}/s read, "
        f"{bytes_text(sum(rate.bytes_written for rate in rates))}/s written"
    )
    return [everything, *table_lines(("NAME", *_HEADER), [_cells(rate) for rate in rates[:lines]])]


def _cells(rate: Rate) -> tuple[str, ...]:
    latencies = (rate.read_p50, rate.read_p99, rate.write_p50, rate.write_p99)
    return (
        rate.name,
        f"{rate.reads:.0f}",
        f"{rate.writes:.0f}",
        bytes_text(rate.bytes_read),
        bytes_text(rate.bytes_written),
        str(rate.errors),
        *("" if value is None else duration_text(value) for value in latencies),
    )


def _show_live(looks: Iterator[list[Rate]], lines: int) -> None:
    """In its place on the terminal's other screen (ECMA-48, and xterm's mode 1049), which goes away at the end."""
    click.echo("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2Jlooking …")
    try:
        for rates in looks:
            width, height = shutil.get_terminal_size()
            table = _table(rates, max(min(lines, height - 3), 1))
            click.echo("\x1b[H\x1b[2J" + "\n".join(line[:width] for line in table[: height - 1]))
    finally:
        click.echo("\x1b[?25h\x1b[?1049l", nl=False)
