from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from isthmus.backstores import registry
from isthmus.backstores.null import NullBackstore
from isthmus.backstores.registry import ENTRY_POINT_GROUP, BackstoreSpec, kinds, open_backstore
from isthmus.errors import ConfigurationError


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points of other packages; a test fills the list."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda **selection: EntryPoints(points).select(**selection))
    return points


def entry_point(name: str, value: str) -> EntryPoint:
    """One of another package."""
    return EntryPoint(name, value, ENTRY_POINT_GROUP)


@pytest.mark.parametrize("kind", ["fileio", "ramdisk", "null"])
def test_each_kind_opens_by_its_name(tmp_path: Path, kind: str) -> None:
    """What comes of it says the same name; `block`, which needs a device, has it in its own tests."""
    spec = BackstoreSpec(kind=kind, path=str(tmp_path / "disk"), size=1 << 20, create=True)
    backstore = open_backstore(spec)
    assert (backstore.kind, backstore.size) == (kind, 1 << 20)
    backstore.close()


def test_our_kinds_come_first(others: list[EntryPoint]) -> None:
    """Then those of others, by name."""
    others += [entry_point("zfs", "x:y"), entry_point("rbd", "x:y")]
    assert kinds() == ("fileio", "block", "ramdisk", "null", "pscsi", "user", "rbd", "zfs")


def test_another_package_adds_a_kind(others: list[EntryPoint]) -> None:
    """Its entry point is the constructor."""
    others.append(entry_point("theirs", "isthmus.backstores.null:NullBackstore.open"))
    assert isinstance(open_backstore(BackstoreSpec(kind="theirs", size=512)), NullBackstore)


def test_our_kinds_cannot_be_replaced(others: list[EntryPoint], tmp_path: Path) -> None:
    """A package that is installed does not get at data that was not given to it."""
    others.append(entry_point("null", "missing:constructor"))
    assert isinstance(open_backstore(BackstoreSpec(kind="null", size=512)), NullBackstore)
    assert kinds().count("null") == 1


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    """A misspelled name shows its right form."""
    with pytest.raises(ConfigurationError, match="fileio, block, ramdisk, null"):
        open_backstore(BackstoreSpec(kind="file"))


def test_a_package_that_does_not_load_is_named(others: list[EntryPoint]) -> None:
    """Its fault is not ours, and costs only its own kind."""
    others.append(entry_point("theirs", "missing_package.module:constructor"))
    with pytest.raises(ConfigurationError, match=r"missing_package.module:constructor cannot be loaded"):
        open_backstore(BackstoreSpec(kind="theirs"))
