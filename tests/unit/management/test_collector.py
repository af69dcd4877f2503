import gc
from collections.abc import Iterator

import pytest

from isthmus.config.changes import Change, CreateBackstore, DeleteBackstore
from isthmus.management.collector import MANY_BACKSTORES, MANY_OBJECTS, Collector
from tests.support.service import disk


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Nothing is out of sight at first; other tests have their collector as it was."""
    threshold = gc.get_threshold()
    gc.unfreeze()
    yield
    assert gc.isenabled()
    gc.set_threshold(*threshold)
    gc.freeze()


def created(number: int) -> list[Change]:
    """So many new disks."""
    return [CreateBackstore(key=store.key, backstore=store) for store in map(disk, map(str, range(number)))]


def deleted(number: int) -> list[Change]:
    """So many that go."""
    return [DeleteBackstore(key=disk(str(name)).key) for name in range(number)]


def test_it_rests_while_something_is_made() -> None:
    """And goes on afterwards, whatever happens; one that did not run stays as it is."""
    collector = Collector()
    with pytest.raises(RuntimeError), collector.rests():
        assert not gc.isenabled()
        raise RuntimeError
    assert gc.isenabled()
    gc.disable()
    with collector.rests():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_two_make_something_at_once() -> None:
    """It goes on when both are done, whoever began."""
    collector = Collector()
    first, second = collector.rests(), collector.rests()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_what_is_large_is_out_of_sight() -> None:
    """It would be looked at as soon as the collector goes on, and everybody would wait. What was made before does not count."""
    collector = Collector()
    gc.set_threshold(MANY_OBJECTS * 10)
    before: list[list[int]] = [[] for _ in range(MANY_OBJECTS)]
    with collector.rests():
        small: list[list[int]] = [[] for _ in range(MANY_OBJECTS // 10)]
    assert gc.get_freeze_count() == 0
    with collector.rests():
        large: list[list[int]] = [[] for _ in range(MANY_OBJECTS)]
    assert gc.get_freeze_count() >= len(large) + len(small) + len(before)


def test_what_many_changes_have_made_is_out_of_sight() -> None:
    """And stays there, whatever is deleted."""
    collector = Collector()
    collector.changed(created(MANY_BACKSTORES - 1))
    assert gc.get_freeze_count() == 0
    collector.changed(created(1))
    assert gc.get_freeze_count() > 0
    collector.changed(deleted(MANY_BACKSTORES))
    assert gc.get_freeze_count() > 0
