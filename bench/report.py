"""Medians, ratios, and the goals that they are held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.clients import Measurement

__all__ = ["Goal", "Memory", "Row", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a row should reach, as ratios to the peer: at least so many times its I/Os, at most so much of its CPU per I/O."""

    iops: float | None = None
    cpu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The runs of one load against us and, if it is there, the peer, in the order in which they were made."""

    title: str
    io_bytes: int
    ours: Sequence[Measurement]
    peers: Sequence[Measurement]
    goal: Goal

    @property
    def iops_ratio(self) -> float | None:
        """Our median I/Os a second over the peer's; None without a peer."""
        return _median_iops(self.ours) / _median_iops(self.peers) if self.peers else None

    @property
    def cpu_ratio(self) -> float | None:
        """Our median processor time for an I/O over the peer's; None without a peer."""
        if not self.peers or not _median_cpu(self.peers):
            return None
        return _median_cpu(self.ours) / _median_cpu(self.peers)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None if there is none, or no peer to compare with."""
        parts = [
            ratio >= goal if more_is_better else ratio <= goal
            for ratio, goal, more_is_better in (
                (self.iops_ratio, self.goal.iops, True),
                (self.cpu_ratio, self.goal.cpu, False),
            )
            if ratio is not None and goal is not None
        ]
        return all(parts) if parts else None

    def as_json(self) -> dict[str, object]:
        """All that is known of the row, each run too."""
        return {
            "title": self.title,
            "io_bytes": self.io_bytes,
            "isthmus": [_as_json(run) for run in self.ours],
            "tgt": [_as_json(run) for run in self.peers],
            "iops_ratio": self.iops_ratio,
            "cpu_ratio": self.cpu_ratio,
            "goal": {"iops_ratio_at_least": self.goal.iops, "cpu_ratio_at_most": self.goal.cpu},
            "met": self.is_met,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of a daemon: idle after its start, and what each further idle session adds, in bytes."""

    name: str
    idle_bytes: int
    session_bytes: float

    def as_json(self) -> dict[str, object]:
        """The figures with their units in the names."""
        return {"name": self.name, "idle_bytes": self.idle_bytes, "session_bytes": self.session_bytes}


def _as_json(run: Measurement) -> dict[str, float]:
    return {"iops": run.iops, "cpu_microseconds": run.cpu_microseconds}


def _median_iops(runs: Sequence[Measurement]) -> float:
    return median(run.iops for run in runs)


def _median_cpu(runs: Sequence[Measurement]) -> float:
    return median(run.cpu_microseconds for run in runs)


_HEADINGS = ("load", "isthmus IOPS", "MiB/s", "tgt IOPS", "ratio", "isthmus µs/IO", "tgt µs/IO", "ratio", "goal", "")


def _cells(row: Row) -> tuple[str, ...]:
    ours = _median_iops(row.ours)
    return (
        row.title,
        f"{ours:,.0f}",
        f"{ours * row.io_bytes / 2**20:,.0f}",
        f"{_median_iops(row.peers):,.0f}" if row.peers else "-",
        _ratio(row.iops_ratio),
        f"{_median_cpu(row.ours):.1f}",
        f"{_median_cpu(row.peers):.1f}" if row.peers else "-",
        _ratio(row.cpu_ratio),
        ", ".join(
            [*([f"≥ {row.goal.iops}"] if row.goal.iops else []), *([f"µs ≤ {row.goal.cpu}"] if row.goal.cpu else [])]
        ),
        {None: "", True: "met", False: "MISSED"}[row.is_met],
    )


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def render(circumstances: dict[str, str], rows: Sequence[Row], memory: Sequence[Memory]) -> str:
    """The report as text: where it was taken, one line for each load, and memory."""
    table = [_HEADINGS, *map(_cells, rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(_HEADINGS))]
    lines = [f"{key}: {value}" for key, value in circumstances.items()]
    lines += ["", "Medians; CPU is the daemon's own, user and system, for each I/O.", ""]
    lines += ["  ".join(_aligned(cells, widths)).rstrip() for cells in table]
    if memory:
        lines += ["", "Resident memory: idle daemon, and each further idle session"]
        lines += [f"{of.name}: {of.idle_bytes / 2**20:.1f} MiB, {of.session_bytes / 2**10:.1f} KiB" for of in memory]
    return "\n".join(lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = (
        cell.ljust(width) if column in (0, 8) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return [first, *others]
