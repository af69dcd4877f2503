import json

import pytest

from isthmus.cli import main
from isthmus.cli.figures import duration_text
from isthmus.management import client
from isthmus.management.views import BackstoreUsageView, LatencyView, LunUsageView, SessionUsageView, UsageView

LATENCY = LatencyView(
    commands=3, mean=0.001, p50=0.0009, p90=0.002, p99=0.0021, p99_9=0.0021, longest=0.0021, buckets=((0.0009, 3),)
)
BUSY = UsageView(
    read_commands=3,
    write_commands=0,
    bytes_read=12288,
    bytes_written=0,
    bytes_verified=0,
    read_errors=1,
    write_errors=2,
    verify_errors=4,
    read_latency=LATENCY,
)


class Daemon:
    """One disk, one session."""

    asked: list[bool]

    def __init__(self) -> None:
        self.asked = []

    def backstore_usage(self, *, buckets: bool = False) -> list[BackstoreUsageView]:
        self.asked.append(buckets)
        return [BackstoreUsageView(path="/backstores/fileio/db", usage=BUSY)]

    def session_usage(self, *, buckets: bool = False) -> list[SessionUsageView]:
        luns = (LunUsageView(lun=7, backstore="/backstores/fileio/db", usage=BUSY),)
        return [SessionUsageView(tsih=3, initiator_name="iqn.a", target_name="iqn.b", usage=BUSY, luns=luns)]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """What the verb speaks to."""
    made = Daemon()
    monkeypatch.setattr(client, "Client", lambda: made)
    return made


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the verb prints."""
    assert main.run(["stats", *arguments]) == 0
    return capsys.readouterr().out


def test_by_backstore(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """What there is nothing of is a dash."""
    assert printed(capsys).splitlines() == [
        "BACKSTORE  READS  WRITES  READ    WRITTEN  ERRORS  READ P50  P99    WRITE P50  P99",
        "fileio/db  3      0       12 KiB  0 B      7       900us     2.1ms  -          -",
    ]


def test_by_session(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each LUN."""
    assert "3     iqn.a      7    /backstores/fileio/db  3      0 " in printed(capsys, "--sessions")


def test_as_json(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it."""
    [backstore] = json.loads(printed(capsys, "--json", "--buckets"))
    assert backstore["usage"]["read_latency"]["buckets"] == [[0.0009, 3]]
    assert daemon.asked == [True]
    [session] = json.loads(printed(capsys, "--json", "--sessions"))
    assert session["luns"][0]["lun"] == 7


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.000000128, "0.128us"), (0.0000871, "87.1us"), (0.00123, "1.23ms"), (2.5, "2.5s")]
)
def test_durations(seconds: float, text: str) -> None:
    """Three digits are enough."""
    assert duration_text(seconds) == text
