from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from isthmus import events
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.management.event_log import EventLog
from isthmus.management.views import VersionView
from isthmus.rest import metrics
from isthmus.rest.metrics import Metrics
from tests.support.service import HOST, ONE, Running, disk, running_service, target

VERSION = VersionView(version='1 "beta"', pid=1, started=5.5, state_directory="/x", loaded_from="")
A = (("backstore", "/backstores/ramdisk/a"),)


class Scraper:
    """What Prometheus makes of it."""

    def __init__(self, running: Running) -> None:
        self.events = EventLog()
        self.events.start()
        self._metrics = Metrics(running.service, self.events, VERSION)
        self.kinds: dict[str, str] = {}

    async def scrape(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """The samples by name and labels, none of them twice."""
        text = "".join([piece async for piece in self._metrics.text()])
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation
            self.kinds[family.name] = family.type
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                assert key not in found
                found[key] = sample.value
        return found


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A target with two disks."""
    async with running_service() as made:
        await made.put(target(disk("a"), disk("b")))
        yield made


async def test_what_is_there(running: Running) -> None:
    """In the text format, by the conventions for names."""
    scraper = Scraper(running)
    events.emit(events.PORTAL_CLOSED, portal="a")
    found = await scraper.scrape()
    scraper.events.stop()
    assert found["isthmus_backstore_up", A] == 1
    assert found["isthmus_backstore_size_bytes", A] == 1 << 20
    assert found["isthmus_targets", ()] == 1
    assert found["isthmus_portals", (("state", "listening"),)] == 1
    assert found["isthmus_sessions", (("type", "normal"),)] == 0
    assert found["isthmus_events_total", (("event", "portal closed"),)] == 1
    assert {labels for name, labels in found if name == "isthmus_events_total"} == {
        (("event", name),) for name in events.EVENTS
    }
    assert found["isthmus_info", (("version", '1 "beta"'),)] == 1
    assert found["process_start_time_seconds", ()] == 5.5
    assert found["process_resident_memory_bytes", ()] > 1 << 20
    assert not [name for name, _ in found if name.startswith("isthmus_backstore_command_duration")]
    for name, kind in scraper.kinds.items():
        assert kind == ("counter" if f"{name}_total" in {sample for sample, _ in found} else kind)
        assert name.startswith(("isthmus_", "process_"))


async def test_what_was_done(running: Running) -> None:
    """Commands, bytes, and a histogram whose buckets grow up to the count."""
    scraper = Scraper(running)
    async with await Session.login(running.settings()) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        for _ in range(5):
            await unit.read(lba=0, num_blocks=8, block_length=512)
        found = await scraper.scrape()
    scraper.events.stop()
    reads = (*A, ("direction", "read"))
    assert found["isthmus_backstore_commands_total", reads] == 5
    assert found["isthmus_backstore_bytes_total", reads] == 5 * 4096
    assert found["isthmus_backstore_errors_total", (*A, ("direction", "verify"))] == 0
    name = "isthmus_backstore_command_duration_seconds"
    buckets = [value for (sample, _), value in found.items() if sample == f"{name}_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found[f"{name}_count", reads] == 5
    assert 0 < found[f"{name}_sum", reads] < 10
    assert scraper.kinds[name] == "histogram"
    initiator = (("initiator", HOST), ("target", ONE))
    assert found["isthmus_initiator_sessions", initiator] == 1
    direction = (("direction", "read"), *initiator)
    assert found["isthmus_initiator_commands_total", direction] == 5


async def test_initiators_are_bounded(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond are counted, not named."""
    monkeypatch.setattr(metrics, "MAX_INITIATORS", 1)
    scraper = Scraper(running)
    other = running.settings(initiator_name="iqn.2026-01.com.example:other")
    async with await Session.login(running.settings()), await Session.login(other):
        found = await scraper.scrape()
    scraper.events.stop()
    assert found["isthmus_initiators_left_out", ()] == 1
    assert found["isthmus_sessions", (("type", "normal"),)] == 2
    assert len([name for name, _ in found if name == "isthmus_initiator_sessions"]) == 1


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "ü"])
def test_any_label_is_read_back(text: str) -> None:
    """Whatever somebody has called it."""
    family = metrics._Family("x", "gauge", "About.")
    [found] = text_string_to_metric_families(family.head() + family.sample({"name": text}, 1.5))
    assert found.samples[0].labels == {"name": text}
    assert found.samples[0].value == 1.5
