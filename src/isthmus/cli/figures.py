"""`isthmus stats`: what was read and written since the daemon has started, and how long it took."""

from typing import TYPE_CHECKING

import click

from isthmus.cli.output import JSON_OPTION, bytes_text, print_json, show

if TYPE_CHECKING:
    from isthmus.management.views import LatencyView, UsageView

__all__ = ["duration_text", "stats"]

_FIGURES = ("READS", "WRITES", "READ", "WRITTEN", "ERRORS", "READ P50", "P99", "WRITE P50", "P99")


@click.command("stats", short_help="Say what was read and written, and how long it took.")
@click.option("--sessions", "by_session", is_flag=True, help="By session and LUN instead of by backstore.")
@click.option("--buckets", is_flag=True, help="With --json: the buckets of the latencies, too.")
@JSON_OPTION
def stats(*, by_session: bool, buckets: bool, as_json: bool) -> None:
    """Say how many commands, bytes and errors there were since the daemon has started, and how long commands took.

    P50 and P99: half of the commands, and 99 in 100, were answered within that time of their receipt.
    """
    from isthmus.management.client import Client

    client = Client()
    if by_session:
        sessions = client.session_usage(buckets=buckets)
        if as_json:
            print_json(sessions)
            return
        rows = [
            (str(view.tsih), view.initiator_name, str(lun.lun), lun.backstore, *_cells(lun.usage))
            for view in sessions
            for lun in view.luns
        ]
        show(("TSIH", "INITIATOR", "LUN", "BACKSTORE", *_FIGURES), rows, nothing="no sessions")
        return
    backstores = client.backstore_usage(buckets=buckets)
    if as_json:
        print_json(backstores)
        return
    rows = [(view.path.removeprefix("/backstores/"), *_cells(view.usage)) for view in backstores]
    show(("BACKSTORE", *_FIGURES), rows, nothing="no backstores")


def _cells(usage: "UsageView") -> tuple[str, ...]:
    return (
        str(usage.read_commands),
        str(usage.write_commands),
        bytes_text(usage.bytes_read),
        bytes_text(usage.bytes_written),
        str(usage.read_errors + usage.write_errors + usage.verify_errors),
        *_latency(usage.read_latency),
        *_latency(usage.write_latency),
    )


def _latency(view: "LatencyView | None") -> tuple[str, str]:
    return ("", "") if view is None else (duration_text(view.p50), duration_text(view.p99))


def duration_text(seconds: float) -> str:
    """With three digits: `87.0us`, `1.23ms`, `2.50s`."""
    for factor, unit in ((1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g}{unit}"
    return f"{seconds:.3g}s"
