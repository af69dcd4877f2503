"""Numbers of target ports that are different, and stay."""

import errno

import pytest
from structlog.testing import capture_logs

from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.names import IscsiName
from isthmus.scsi.state_store import MemoryStateStore
from isthmus.server import port_identifiers
from isthmus.server.port_identifiers import PortIdentifiers

ONE, TWO, THREE = (IscsiName(f"iqn.2026-01.com.example:{name}") for name in ("one", "two", "three"))


@pytest.fixture
def collide(monkeypatch: pytest.MonkeyPatch) -> None:
    """All groups come to the same number."""
    monkeypatch.setattr(port_identifiers, "_first_choice", lambda _: 0xFFFF)


def test_numbers_follow_from_the_names() -> None:
    """Whatever the order, and nothing has to be kept."""
    store = MemoryStateStore()
    first, second = PortIdentifiers(store), PortIdentifiers(store)
    numbers = {(name, tag): first.take(name, tag) for name in (ONE, TWO) for tag in (1, 2)}
    assert {key: second.take(*key) for key in reversed(numbers)} == numbers
    assert len(set(numbers.values())) == 4
    assert all(1 <= number <= 0xFFFF for number in numbers.values())
    assert store.load("server", "target-ports") is None


@pytest.mark.usefixtures("collide")
def test_two_of_the_same_number() -> None:
    """The second has another one, also when it is there alone, and when others have come between."""
    store = MemoryStateStore()
    identifiers = PortIdentifiers(store)
    assert [identifiers.take(name, 1) for name in (ONE, TWO)] == [0xFFFF, 1]
    identifiers.release(ONE, 1)
    identifiers.save()
    again = PortIdentifiers(store)
    assert again.take(THREE, 1) == 0xFFFF
    assert again.take(TWO, 1) == 1
    assert again.take(ONE, 1) == 2


@pytest.mark.usefixtures("collide")
def test_a_number_that_is_kept_for_a_group_is_no_other_groups() -> None:
    """Though that group is not there yet."""
    store = MemoryStateStore()
    identifiers = PortIdentifiers(store)
    for name in (ONE, TWO):
        identifiers.take(name, 1)
    identifiers.save()
    again = PortIdentifiers(store)
    assert [again.take(name, 1) for name in (ONE, THREE, TWO)] == [0xFFFF, 2, 1]


@pytest.mark.usefixtures("collide")
def test_a_group_that_is_deleted_leaves_nothing() -> None:
    """Its number is free, and nothing is kept of it."""
    store = MemoryStateStore()
    identifiers = PortIdentifiers(store)
    for name in (ONE, TWO):
        identifiers.take(name, 1)
    identifiers.save()
    identifiers.release(TWO, 1)
    assert identifiers.take(THREE, 1) == 1
    identifiers.release(THREE, 1)
    identifiers.save()
    assert store.load("server", "target-ports") is None


@pytest.mark.parametrize(
    "record", [b"no JSON", b"[1]", b'{"a": 0}', b'{"a": 1, "b": 1}', b'{"a": 65536}', b'{"a": "1"}']
)
def test_a_damaged_record_is_refused(record: bytes) -> None:
    """Nobody can say what the numbers were."""
    store = MemoryStateStore()
    store.save("server", "target-ports", record)
    with pytest.raises(ConfigurationError):
        PortIdentifiers(store)


@pytest.mark.usefixtures("collide")
def test_what_has_to_be_kept_is_known() -> None:
    """So that whoever may block can keep it: taking and giving back a number never does."""
    store = MemoryStateStore()
    identifiers = PortIdentifiers(store)
    identifiers.take(ONE, 1)
    assert identifiers.is_saved
    identifiers.take(TWO, 1)
    assert (identifiers.is_saved, store.load("server", "target-ports")) == (False, None)
    identifiers.save()
    assert identifiers.is_saved
    identifiers.release(ONE, 1)
    assert identifiers.is_saved
    identifiers.release(TWO, 1)
    assert not identifiers.is_saved


@pytest.mark.usefixtures("collide")
def test_what_cannot_be_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group is served all the same."""
    store = MemoryStateStore()

    def fail(*_: object) -> None:
        raise BackstoreError(errno.ENOSPC, "full")

    monkeypatch.setattr(store, "save", fail)
    identifiers = PortIdentifiers(store)
    with capture_logs() as logs:
        assert [identifiers.take(name, 1) for name in (ONE, TWO)] == [0xFFFF, 1]
        identifiers.save()
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_no_number_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk has no room for more target ports."""
    monkeypatch.setattr(port_identifiers, "_MOST", 1)
    identifiers = PortIdentifiers(MemoryStateStore())
    identifiers.take(ONE, 1)
    with pytest.raises(OverflowError):
        identifiers.take(TWO, 1)


@pytest.mark.usefixtures("collide")
def test_a_number_that_is_claimed_is_nobody_elses() -> None:
    """Not even of the group that had it first, which takes another and keeps that."""
    store = MemoryStateStore()
    identifiers = PortIdentifiers(store)
    assert [identifiers.take(name, 1) for name in (ONE, TWO)] == [0xFFFF, 1]
    identifiers.claim(THREE, 1, 1)
    identifiers.claim(THREE, 1, 0xFFFF)
    assert [identifiers.take(name, 1) for name in (ONE, TWO)] == [1, 2]
    identifiers.save()
    again = PortIdentifiers(store)
    assert [again.take(name, 1) for name in (ONE, TWO)] == [1, 2]
    identifiers.release(THREE, 1)
    identifiers.release(ONE, 1)
    assert identifiers.take(ONE, 1) == 0xFFFF
