import gc
from collections.abc import Iterator

import pytest

from isthmus.config.changes import Change, CreateBackstore, DeleteBackstore
from isthmus.management.collector import MANY, Collector
from tests.support.service import disk


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests have their collector as it was."""
    yield
    gc.unfreeze()
    assert gc.isenabled()


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


def test_what_a_large_change_has_made_is_out_of_sight() -> None:
    """Until as much has gone."""
    collector = Collector()
    collector.changed(created(MANY - 1))
    assert gc.get_freeze_count() == 0
    collector.changed(created(MANY))
    assert gc.get_freeze_count() > 0
    collector.changed(deleted(MANY - 1))
    assert gc.get_freeze_count() > 0
    collector.changed(deleted(1))
    assert gc.get_freeze_count() == 0
