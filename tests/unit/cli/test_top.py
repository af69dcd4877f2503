import json
import sys
import time
from dataclasses import replace

import pytest

from isthmus.cli import main
from isthmus.cli.top import rate_between
from isthmus.management import client
from isthmus.management.views import BackstoreUsageView, LatencyView, SessionUsageView, UsageView

NOTHING = UsageView(
    read_commands=0,
    write_commands=0,
    bytes_read=0,
    bytes_written=0,
    bytes_verified=0,
    read_errors=0,
    write_errors=0,
    verify_errors=0,
)


def latency(*buckets: tuple[float, int]) -> LatencyView:
    """One with these buckets."""
    return LatencyView(commands=0, mean=0, p50=0, p90=0, p99=0, p99_9=0, longest=0, buckets=buckets)


BEFORE = replace(NOTHING, read_commands=100, bytes_read=1000, read_latency=latency((0.001, 90), (0.002, 10)))
AFTER = replace(
    BEFORE,
    read_commands=300,
    bytes_read=5000,
    read_errors=1,
    read_latency=latency((0.001, 280), (0.002, 10), (0.004, 10)),
)


def test_a_rate_is_what_lies_between() -> None:
    """Latencies too are of that time alone."""
    rate = rate_between("a", BEFORE, AFTER, 2.0)
    assert (rate.reads, rate.writes, rate.bytes_read, rate.errors) == (100, 0, 2000, 1)
    assert (rate.read_p50, rate.read_p99, rate.write_p50) == (0.001, 0.004, None)


def test_what_is_new_or_has_begun_again() -> None:
    """Counts from nothing."""
    assert rate_between("a", None, BEFORE, 1.0).reads == 100
    assert rate_between("a", AFTER, BEFORE, 1.0).reads == 100


class Daemon:
    """Each look finds that more was done."""

    def __init__(self) -> None:
        self.looks = 0

    def backstore_usage(self, *, buckets: bool) -> list[BackstoreUsageView]:
        assert buckets
        self.looks += 1
        return [
            BackstoreUsageView(path="/backstores/fileio/idle", usage=NOTHING),
            BackstoreUsageView(path="/backstores/fileio/busy", usage=BEFORE if self.looks == 1 else AFTER),
        ]

    def session_usage(self, *, buckets: bool) -> list[SessionUsageView]:
        return [SessionUsageView(tsih=3, initiator_name="iqn.a", target_name="", usage=NOTHING, luns=())]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """What the verb speaks to, on a clock that a nap moves."""
    made = Daemon()
    now = [0.0]
    monkeypatch.setattr(client, "Client", lambda: made)
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return made


def test_a_look(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """The busiest first, under the sum of all."""
    assert main.run(["top", "-c", "1", "-d", "2", "-n", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "100 reads/s, 0 writes/s, 1.95 KiB/s read, 0 B/s written",
        "NAME         R/S  W/S  READ/S    WRITTEN/S  ERRORS  READ P50  P99  WRITE P50  P99",
        "fileio/busy  100  0    1.95 KiB  0 B        1       1ms       4ms  -          -",
    ]


def test_as_json(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each look."""
    assert main.run(["top", "-c", "2", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert [rate["reads"] for rate in first["rates"]] == [200, 0]
    assert [rate["reads"] for rate in second["rates"]] == [0, 0]


def test_by_session(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """By handle and name."""
    assert main.run(["top", "-c", "1", "--sessions"]) == 0
    assert "3 iqn.a" in capsys.readouterr().out


def test_live(daemon: Daemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the table stays in its place; Ctrl-C ends it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    assert main.run(["top", "-c", "1"]) == 0
    assert "fileio/busy" in capsys.readouterr().out
    monkeypatch.setattr(time, "sleep", interrupted)
    assert main.run(["top"]) == main.EXIT_INTERRUPTED
