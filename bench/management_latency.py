"""Whether management stalls I/O: the latency of 4 KiB reads while the daemon is polled, scraped, and given 1,000 targets.

    python -m bench.management_latency              # three rounds of three times ten seconds
    python -m bench.management_latency --seconds 3 --rounds 1 --targets 100

Each round measures three times: in quiet; with all of that going on in another daemon on this machine, which costs the
processor the same; and with it going on in the daemon that serves the reads. The last against the second is what
management does to I/O; the second against the first is what two programs do to each other on so many cores.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.machine import circumstances
from isthmus.config.model import Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.initiator.benchmark import Measurement, Workload, run_benchmark
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.management.client import Client
from isthmus.management.places import control_socket
from isthmus.names import IscsiName

__all__ = ["main", "table", "thousand"]

MEASURED = IscsiName("iqn.2026-01.org.isthmus:measured")
_SIZE = 64 << 20
_LUNS = 4
_GROUP = PortalGroup(tag=1, attributes={"generate_node_acls": 1, "demo_mode_write_protect": 0})


def thousand(number: int) -> Configuration:
    """`number` targets of four LUNs."""
    stores: dict[BackstoreKey, Backstore] = {}
    targets: dict[IscsiName, Target] = {}
    for target in range(number):
        keys = [BackstoreKey("ramdisk", f"many-{target}-{lun}") for lun in range(_LUNS)]
        for key in keys:
            # Nothing is kept of what is written, so that 4,000 of them take no memory.
            stores[key] = Backstore(
                key=key, size=1 << 20, unit_serial=key.name, write_back=False, options={"nullio": 1}
            )
        name = IscsiName(f"iqn.2026-01.org.isthmus:many-{target}")
        luns = tuple(Lun(number=lun, backstore=key) for lun, key in enumerate(keys))
        targets[name] = Target(name=name, portal_groups=(replace(_GROUP, luns=luns),))
    return Configuration(backstores=stores, targets=targets)


def _measured(image: Path) -> Configuration:
    key = BackstoreKey("fileio", "measured")
    store = Backstore(key=key, path=str(image), size=_SIZE, unit_serial="measured")
    group = replace(_GROUP, luns=(Lun(number=0, backstore=key),))
    return Configuration(backstores={key: store}, targets={MEASURED: Target(name=MEASURED, portal_groups=(group,))})


def _with(one: Configuration, other: Configuration) -> Configuration:
    return replace(one, backstores={**one.backstores, **other.backstores}, targets={**one.targets, **other.targets})


# -- The daemons -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _daemon(directory: Path) -> Iterator[Client]:
    """A daemon in a directory of its own."""
    directory.mkdir(exist_ok=True)
    environment = {**os.environ, "ISTHMUS_STATE": str(directory / "state"), "ISTHMUS_RUN": str(directory / "run")}
    command = [sys.executable, "-m", "isthmus", "daemon", "--portal", "127.0.0.1:0", "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline().startswith("ready: "):
                raise RuntimeError(f"the daemon ended with status {process.wait()}")
            yield Client(control_socket(directory / "run"))
        finally:
            process.terminate()


@contextlib.contextmanager
def _disturbed(directory: Path | None, targets: int) -> Iterator[Callable[[], dict[str, int]]]:
    """A process that keeps the daemon in `directory` busy; gives what tells how often it did what."""
    done: dict[str, int] = {}
    if directory is None:
        yield lambda: done
        return
    command = [sys.executable, "-m", "bench.management_latency", "--disturb", str(directory), "--targets", str(targets)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield lambda: done
        finally:
            out, _ = process.communicate("stop\n")
            done.update(json.loads(out))


def _disturb(directory: Path, targets: int) -> None:
    """Poll, scrape and apply, until standard input says stop."""
    path = control_socket(directory / "run")
    base, _ = Client(path).configuration()
    full = _with(base, thousand(targets))
    stop = threading.Event()
    counts = {"polls": 0, "scrapes": 0, "applied": 0}

    def poll(client: Client) -> None:
        client.sessions()
        client.portals()
        client.backstores()
        client.session_usage()
        counts["polls"] += 1

    def scrape(client: Client) -> None:
        client.metrics()
        counts["scrapes"] += 1

    def apply(client: Client) -> None:
        for wanted in (full, base):
            client.change(lambda _, wanted=wanted: wanted, force=True)  # type: ignore[misc]
            counts["applied"] += wanted is full

    def again(call: Callable[[Client], None], seconds: float) -> None:
        client = Client(path)
        while not stop.wait(seconds):
            call(client)

    threads = [threading.Thread(target=again, args=args) for args in ((poll, 0.1), (scrape, 1.0), (apply, 0.1))]
    for thread in threads:
        thread.start()
    print("busy", flush=True)
    sys.stdin.readline()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


# -- The figures -------------------------------------------------------------------------------------------------------


async def _reads(client: Client, seconds: float, outstanding: int) -> Measurement:
    [portal] = [view.bound for view in client.portals() if view.target_name == MEASURED]
    host, _, port = portal.rpartition(":")
    settings = LoginSettings(host=host, port=int(port), target_name=MEASURED)
    async with await Session.login(settings) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        return await run_benchmark(unit, Workload(outstanding=outstanding, seconds=seconds, is_random=True))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement."""

    what: str
    outstanding: int
    measurement: Measurement
    done: dict[str, int]


def table(figures: Sequence[Figure]) -> list[str]:
    """Medians of the rounds, as Markdown."""
    lines = [
        "| Reads of 4 KiB | Outstanding | IOPS | p50 µs | p99 µs | longest ms | polls, scrapes, applied |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for what, outstanding in dict.fromkeys((figure.what, figure.outstanding) for figure in figures):
        rows = [figure for figure in figures if (figure.what, figure.outstanding) == (what, outstanding)]

        def median(name: str, rows: Sequence[Figure] = rows) -> float:
            values: list[float] = [getattr(row.measurement, name) for row in rows]
            return statistics.median(values)

        done = ", ".join(str(sum(row.done.get(name, 0) for row in rows)) for name in ("polls", "scrapes", "applied"))
        lines.append(
            f"| {what} | {outstanding} | {median('iops'):,.0f} | {median('latency_p50') * 1e6:.0f} "
            f"| {median('latency_p99') * 1e6:.0f} | {median('latency_max') * 1e3:.1f} | {done} |"
        )
    return lines


def _scale(directory: Path, targets: int) -> list[str]:
    """How long loading so many targets takes, and one change among them."""
    with _daemon(directory) as client:
        began = time.perf_counter()
        client.change(lambda _: thousand(targets))
        applied = time.perf_counter() - began
    began = time.perf_counter()
    with _daemon(directory) as client:
        loaded = time.perf_counter() - began
        client.configuration()
        changes = []
        for number in range(min(11, targets)):
            began = time.perf_counter()
            client.change(lambda configuration, number=number: _edited(configuration, number))  # type: ignore[misc]
            changes.append(time.perf_counter() - began)
    return [
        f"{targets} targets of {_LUNS} LUNs: applied in {applied:.2f} s, loaded in {loaded:.2f} s (from start to ready);",
        f"one change among them: median {statistics.median(changes) * 1e3:.0f} ms, longest {max(changes) * 1e3:.0f} ms.",
    ]


def _edited(configuration: Configuration, number: int) -> Configuration:
    name = list(configuration.targets)[number]
    target = configuration.targets[name]
    group = replace(target.portal_groups[0], attributes={**target.portal_groups[0].attributes, "login_timeout": 20})
    return replace(configuration, targets={**configuration.targets, name: replace(target, portal_groups=(group,))})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--outstanding", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--disturb", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.disturb:
        _disturb(options.disturb, options.targets)
        return 0
    print("\n".join(f"{name}: {value}" for name, value in circumstances().items()))
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        directory = Path(name)
        print("\n".join(_scale(directory / "scale", options.targets)), flush=True)
        print("\n".join(table(_figures(directory, options))))
    return 0


def _figures(directory: Path, options: argparse.Namespace) -> list[Figure]:
    here, elsewhere = directory / "here", directory / "elsewhere"
    figures = []
    with _daemon(here) as client, _daemon(elsewhere):
        client.change(lambda _: _measured(directory / "measured.img"))
        cases = {"in quiet": None, "another daemon managed": elsewhere, "this daemon managed": here}
        for _ in range(options.rounds):
            for outstanding in options.outstanding:
                for what, disturbed in cases.items():
                    with _disturbed(disturbed, options.targets) as done:
                        measurement = asyncio.run(_reads(client, options.seconds, outstanding))
                    figures.append(Figure(what, outstanding, measurement, done()))
    return figures


if __name__ == "__main__":
    sys.exit(main())
