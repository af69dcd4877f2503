"""How fast the server is beside tgt on this machine: `make bench`, or `python -m bench.compare --help`.

Both serve equal files out of the page cache. The runs of one load alternate between them, so that whatever else the machine
does meets both; the medians of three are compared, and the daemons' processor time with them.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import daemons
from bench.clients import Load, Measurement, Reads, Writes
from bench.daemons import Daemon
from bench.idle_sessions import idle_sessions
from bench.machine import circumstances
from bench.processes import resident_bytes
from bench.report import Goal, Memory, Row, render

__all__ = ["main"]

_IMAGE_BYTES = 2 * 1024**3
_CHUNK_BYTES = 4 * 1024**2
_ROUNDS = 3
_READ_SECONDS = 5
_IDLE_SESSIONS = 64


def reads(seconds: int) -> list[tuple[Load, Goal]]:
    """The loads that only read."""
    return [
        (
            Reads(
                title="4 KiB random read, 32 outstanding", io_bytes=4096, outstanding=32, random=True, seconds=seconds
            ),
            Goal(iops=2.5, cpu=0.45),
        ),
        (
            Reads(title="4 KiB random read, 1 outstanding", io_bytes=4096, outstanding=1, random=True, seconds=seconds),
            Goal(iops=1.5),
        ),
        (
            Reads(
                title="128 KiB sequential read, 32 outstanding",
                io_bytes=131072,
                outstanding=32,
                random=False,
                seconds=seconds,
            ),
            Goal(iops=1.8),
        ),
    ]


def writes(scale: float) -> list[tuple[Load, Goal]]:
    """The loads that write; `scale` 1 is some seconds each."""
    return [
        (
            Writes(
                title=f"{io_bytes // 1024} KiB sequential write, {outstanding} outstanding",
                io_bytes=io_bytes,
                outstanding=outstanding,
                count=round(count * scale),
            ),
            Goal(iops=1.0),
        )
        for io_bytes, outstanding, count in (
            (4096, 32, 120_000),
            (4096, 1, 30_000),
            (65536, 32, 20_000),
            (131072, 32, 12_000),
        )
    ]


def digest_reads(seconds: int) -> list[tuple[Load, Goal]]:
    """Reads with HeaderDigest=CRC32C; the client does not have data digests."""
    return [
        (
            Reads(
                title="4 KiB random read, 32 outstanding, header digest",
                io_bytes=4096,
                outstanding=32,
                random=True,
                seconds=seconds,
            ),
            Goal(),
        )
    ]


def write_image(path: Path, size: int) -> None:
    """A file without holes, all of it in the page cache."""
    chunk = bytes(range(256)) * (_CHUNK_BYTES // 256)
    with path.open("wb") as file:
        for _ in range(size // _CHUNK_BYTES):
            file.write(chunk)
    with path.open("rb") as file:
        while file.read(_CHUNK_BYTES):
            pass


def measure(load: Load, goal: Goal, ours: Daemon, peer: Daemon | None, rounds: int) -> Row:
    """The runs of one load, alternating, each round begun by the other."""
    runs: dict[str, list[Measurement]] = {ours.name: [], "tgt": []}
    order = [daemon for daemon in (peer, ours) if daemon is not None]
    for number in range(rounds):
        for daemon in order if number % 2 == 0 else reversed(order):
            run = load.run(daemon)
            runs[daemon.name].append(run)
            print(f"{load.title}: {daemon.name} {run.iops:,.0f} IOPS, {run.cpu_microseconds:.1f} µs", file=sys.stderr)
    return Row(title=load.title, io_bytes=load.io_bytes, ours=runs[ours.name], peers=runs["tgt"], goal=goal)


def measure_memory(daemon: Daemon) -> Memory:
    """Before any session, and the growth from one session to many."""
    idle = resident_bytes(daemon.pid)
    with idle_sessions(daemon.url, range(1)):
        first = resident_bytes(daemon.pid)
        with idle_sessions(daemon.url, range(1, 1 + _IDLE_SESSIONS)):
            grown = resident_bytes(daemon.pid) - first
    return Memory(name=daemon.name, idle_bytes=idle, session_bytes=grown / _IDLE_SESSIONS)


@contextlib.contextmanager
def served(directory: Path, *, digest: bool) -> Iterator[tuple[Daemon, Daemon | None]]:
    """Both daemons, us first; the peer only where it is installed."""
    with contextlib.ExitStack() as stack:
        options = ["--header-digest", "CRC32C"] if digest else []
        ours = stack.enter_context(daemons.isthmus(directory / "isthmus.img", directory / "isthmus.log", options))
        if not daemons.tgt_is_installed():
            yield ours, None
            return
        parameters = [("HeaderDigest", "CRC32C")] if digest else []
        yield ours, stack.enter_context(daemons.tgt(directory / "tgt.img", directory / "tgt.log", parameters))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="short runs, small files: a first impression, not a result"
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="runs of each load (%(default)s)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only the loads whose title has this text")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there too; - for standard output")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the files lie (%(default)s)")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a goal is missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print the report, and give the exit status."""
    options = _arguments(arguments)
    facts = circumstances()
    seconds, scale, size = (2, 0.1, _IMAGE_BYTES // 8) if options.quick else (_READ_SECONDS, 1.0, _IMAGE_BYTES)
    plain, digest = _chosen([*reads(seconds), *writes(scale)], options), _chosen(digest_reads(seconds), options)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-", dir=options.directory) as name:
        directory = Path(name)
        write_image(directory / "isthmus.img", size)
        write_image(directory / "tgt.img", size)
        with served(directory, digest=False) as (ours, peer):
            memory = [measure_memory(daemon) for daemon in (ours, peer) if daemon is not None]
            rows += [measure(load, goal, ours, peer, options.rounds) for load, goal in plain]
        if digest:
            with served(directory, digest=True) as (ours, peer):
                rows += [measure(load, goal, ours, peer, options.rounds) for load, goal in digest]
    _publish(facts, rows, memory, options.json)
    return 1 if options.check and any(row.is_met is False for row in rows) else 0


def _chosen(loads: Sequence[tuple[Load, Goal]], options: argparse.Namespace) -> list[tuple[Load, Goal]]:
    needed = {Reads: "iscsi-perf", Writes: "qemu-img"}
    return [pair for pair in loads if options.only in pair[0].title and shutil.which(needed[type(pair[0])])]


def _publish(facts: dict[str, str], rows: Sequence[Row], memory: Sequence[Memory], path: Path | None) -> None:
    document = {
        "circumstances": facts,
        "rows": [row.as_json() for row in rows],
        "memory": [of.as_json() for of in memory],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if path == Path("-"):
        print(text)
        return
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")
    print(render(facts, rows, memory))


if __name__ == "__main__":
    sys.exit(main())
