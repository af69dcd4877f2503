import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.config.document import dump, load
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.config.store import MAX_BACKUPS, ConfigurationStore
from isthmus.errors import ConfigurationError


def configuration(number: int) -> Configuration:
    """One that differs from all with another number."""
    key = BackstoreKey("ramdisk", f"ram{number}")
    return Configuration(backstores={key: Backstore(key=key, size=1 << 20, write_back=False, unit_serial=f"s{number}")})


def test_nothing_saved_is_an_empty_start(tmp_path: Path) -> None:
    """A new installation begins with no targets, and says that there was no file."""
    loaded = ConfigurationStore(tmp_path).load()
    assert (loaded.configuration, loaded.source) == (Configuration(), None)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """After a restart it is all there, from the file itself."""
    store = ConfigurationStore(tmp_path / "state")
    store.save(configuration(1))
    loaded = ConfigurationStore(tmp_path / "state").load()
    assert (loaded.configuration, loaded.source, loaded.problems) == (configuration(1), store.path, ())


def test_the_files_are_private(tmp_path: Path) -> None:
    """Secrets are in there: file, backups and directories are the owner's alone."""
    store = ConfigurationStore(tmp_path / "state")
    for number in (1, 2):
        store.save(configuration(number))
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    (backup,) = store.backups()
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


def test_the_temporary_file_is_private_from_birth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a moment can others open it, whatever the umask."""
    modes: list[int] = []
    really_open = os.open

    def watched(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        descriptor = really_open(path, flags, mode, **options)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(0)
    try:
        ConfigurationStore(tmp_path).save(configuration(1))
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_only_so_many_backups_are_kept(tmp_path: Path) -> None:
    """The oldest go; each is the configuration that it was."""
    store = ConfigurationStore(tmp_path)
    for number in range(MAX_BACKUPS + 5):
        store.save(configuration(number))
        os.utime(store.path, (number, number))
    backups = store.backups()
    assert len(backups) == MAX_BACKUPS
    assert f"ram{MAX_BACKUPS + 3}" in backups[0].read_text()


def test_saving_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """No new file and no backup."""
    store = ConfigurationStore(tmp_path)
    store.save(configuration(1))
    before = store.path.stat().st_mtime_ns
    store.save(configuration(1))
    assert (store.path.stat().st_mtime_ns, store.backups()) == (before, [])


@pytest.mark.parametrize("damage", [b"", b'{"targets": [', b"\xff\xfe", b"[]"], ids=["empty", "cut", "binary", "list"])
def test_a_damaged_file_gives_way_to_the_last_backup(tmp_path: Path, damage: bytes) -> None:
    """The start tells which file it took and why, and keeps the damaged one for a look."""
    store = ConfigurationStore(tmp_path)
    for number in (1, 2):
        store.save(configuration(number))
    store.path.write_bytes(damage)
    loaded = store.load()
    assert loaded.configuration == configuration(1)
    assert loaded.source == store.backups()[0]
    assert str(store.path) in loaded.problems[0]
    assert (tmp_path / "saveconfig.json.damaged.1").read_bytes() == damage


def test_a_damaged_backup_is_passed_over(tmp_path: Path) -> None:
    """The next older one is taken."""
    store = ConfigurationStore(tmp_path)
    for number in (1, 2, 3):
        store.save(configuration(number))
        os.utime(store.path, (number, number))
    store.path.write_bytes(b"")
    store.backups()[0].write_bytes(b"\x1f\x8b\x08broken")
    assert store.load().configuration == configuration(1)


def test_with_nothing_good_left_the_start_is_refused(tmp_path: Path) -> None:
    """An empty configuration instead would be saved over the damaged one."""
    store = ConfigurationStore(tmp_path)
    store.path.write_bytes(b"{")
    with pytest.raises(ConfigurationError, match="no saved configuration can be used"):
        store.load()


def test_a_damaged_file_never_becomes_a_backup(tmp_path: Path) -> None:
    """Only what can be loaded again is worth keeping."""
    store = ConfigurationStore(tmp_path)
    store.save(configuration(1))
    store.path.write_bytes(b"{")
    store.save(configuration(2))
    assert store.backups() == []
    assert store.load().configuration == configuration(2)


def test_a_failing_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new file cannot be made durable, the old one stays, and nothing is left beside it."""
    store = ConfigurationStore(tmp_path)
    store.save(configuration(1))

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        store.save(configuration(2))
    monkeypatch.undo()
    assert store.load().configuration == configuration(1)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".new")]


def test_what_a_crash_left_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A half-written file of an earlier run is replaced."""
    (tmp_path / ".saveconfig.json.new").write_bytes(b"half")
    store = ConfigurationStore(tmp_path)
    store.save(configuration(1))
    assert store.load().configuration == configuration(1)


def test_backups_are_made_small_later(tmp_path: Path) -> None:
    """They stay what they were, in the same order, and can be loaded."""
    store = ConfigurationStore(tmp_path)
    for number in range(4):
        store.save(configuration(number))
        os.utime(store.path, (number, number))
    before = [path.name for path in store.backups()]
    store.compress_backups()
    assert [path.name for path in store.backups()] == [f"{name}.gz" for name in before]
    store.path.write_text("damaged")
    assert store.load().configuration == configuration(2)


def test_what_somebody_else_wrote_is_kept_as_a_backup(tmp_path: Path) -> None:
    """Although the store remembers what it has written itself."""
    store = ConfigurationStore(tmp_path)
    store.save(configuration(1))
    store.path.write_text(dump(configuration(2)))
    store.save(configuration(3))
    assert load(store.backups()[0].read_text())[0] == configuration(2)


STEPS = ["open", "fsync", "link", "rename", "unlink", "close"]


@pytest.mark.parametrize("survivor", range(40))
def test_a_crash_between_any_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survivor: int) -> None:
    """After it there is the old configuration, whole, or the new one; and the next save works."""
    store = ConfigurationStore(tmp_path)
    for number in (1, 2):
        store.save(configuration(number))
    left = survivor

    class Crash(BaseException):
        pass

    def dying(function: Any) -> Any:
        def step(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash  # From here on nothing is done any more, not even what would tidy up.
            return function(*args, **options)

        return step

    for name in STEPS:
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    died = False
    try:
        store.save(configuration(3))
        store.compress_backups()
    except Crash:
        died = True
    monkeypatch.undo()
    loaded = ConfigurationStore(tmp_path).load()
    assert loaded.configuration in (configuration(2), configuration(3))
    assert (loaded.source, loaded.problems) == (store.path, ())
    again = ConfigurationStore(tmp_path)
    again.save(configuration(4))
    again.compress_backups()
    assert again.load().configuration == configuration(4)
    assert again.backups()
    assert died or survivor > 10, "the steps are not those of the store any more"


@given(st.integers(0, 10_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_file_cut_anywhere_is_not_taken(tmp_path: Path, length: int) -> None:
    """Not even if what is left of it is JSON: what is cut off at its end is never missing in silence."""
    directory = tmp_path / str(length)
    store = ConfigurationStore(directory)
    for number in (1, 2):
        store.save(configuration(number))
    whole = store.path.read_bytes()
    cut = whole[: length % (len(whole) - 1)]
    store.path.write_bytes(cut)
    loaded = store.load()
    assert loaded.configuration == configuration(1)
    assert loaded.problems
    store.save(configuration(3))
    assert load(store.backups()[0].read_text())[0] == configuration(1)
    assert (directory / "saveconfig.json.damaged.1").read_bytes() == cut
