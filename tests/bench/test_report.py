"""Medians, ratios and goals."""

import pytest

from bench.clients import Measurement
from bench.report import Goal, Memory, Row, render


def _row(goal: Goal, *, with_peer: bool = True) -> Row:
    ours = [Measurement(iops=iops, cpu_microseconds=cpu) for iops, cpu in ((300, 4), (100, 90), (280, 5))]
    peers = [Measurement(iops=iops, cpu_microseconds=cpu) for iops, cpu in ((100, 20), (140, 10), (90, 11))]
    return Row(title="a load", io_bytes=4096, ours=ours, peers=peers if with_peer else [], goal=goal)


def test_ratios_are_of_medians() -> None:
    """One bad run does not move the result."""
    row = _row(Goal())
    assert row.iops_ratio == pytest.approx(2.8)
    assert row.cpu_ratio == pytest.approx(5 / 11)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal(), None),
        (Goal(iops=2.8), True),
        (Goal(iops=2.81), False),
        (Goal(cpu=0.46), True),
        (Goal(cpu=0.45), False),
        (Goal(iops=2.5, cpu=0.45), False),
        (Goal(iops=2.5, cpu=0.46), True),
    ],
)
def test_goal(goal: Goal, met: bool | None) -> None:
    """Each part of a goal has to be reached."""
    assert _row(goal).is_met is met


def test_no_peer() -> None:
    """Without a peer there is nothing to be held against."""
    row = _row(Goal(iops=2.5, cpu=0.45), with_peer=False)
    assert (row.iops_ratio, row.cpu_ratio, row.is_met) == (None, None, None)
    assert "280" in render({}, [row], [])


def test_text() -> None:
    """The text says where the figures come from, each median, its ratio and whether the goal is met."""
    memory = Memory(name="isthmus", idle_bytes=42 * 1024**2, session_bytes=96 * 1024)
    text = render({"kernel": "6.1"}, [_row(Goal(iops=2.5, cpu=0.45))], [memory])
    assert "kernel: 6.1" in text
    (line,) = [line for line in text.splitlines() if line.startswith("a load")]
    assert line.split("  ")[0] == "a load"
    assert all(part in line for part in ("280", "100", "2.80", "5.0", "11.0", "0.45", "MISSED"))
    assert "isthmus: 42.0 MiB, 96.0 KiB" in text


def test_json_holds_each_run() -> None:
    """The machine-readable form keeps what the median hides."""
    document = _row(Goal(iops=2.5)).as_json()
    assert document["met"] is True
    assert document["isthmus"] == [
        {"iops": 300, "cpu_microseconds": 4},
        {"iops": 100, "cpu_microseconds": 90},
        {"iops": 280, "cpu_microseconds": 5},
    ]
