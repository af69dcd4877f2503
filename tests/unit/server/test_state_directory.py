"""Records in files."""

import os
from pathlib import Path

import pytest

from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.state_store import MEDIA_KEY
from isthmus.server.state_directory import StateDirectory, default_state_directory


@pytest.fixture
def store(tmp_path: Path) -> StateDirectory:
    """A store whose directory is not there yet."""
    return StateDirectory(tmp_path / "var" / "state")


def _only_file(store: StateDirectory) -> Path:
    (path,) = store.path.iterdir()
    return path


def test_round_trip(store: StateDirectory) -> None:
    """A record comes back as it was saved last, also from another run."""
    assert store.load("serial", "record") is None
    store.save("serial", "record", b"first")
    store.save("serial", "record", b"second")
    assert StateDirectory(store.path).load("serial", "record") == b"second"
    assert store.load("serial", "other") is None
    assert store.load("other", "record") is None


def test_empty_record(store: StateDirectory) -> None:
    """A record of no bytes is a record."""
    store.save("serial", "record", b"")
    assert store.load("serial", "record") == b""


def test_remove(store: StateDirectory) -> None:
    """A record that is removed is gone, and one that never was can be removed."""
    store.save("serial", "record", None)
    store.save("serial", "record", b"data")
    store.save("serial", "record", None)
    assert store.load("serial", "record") is None
    assert list(store.path.iterdir()) == []


@pytest.mark.parametrize("serial", ["a/b", "..", "with space", "x" * 252, "%2F", "/" * 252])
def test_any_serial(store: StateDirectory, serial: str) -> None:
    """Any serial number makes a file name inside the directory."""
    store.save(serial, "record", b"data")
    assert store.load(serial, "record") == b"data"
    assert _only_file(store).parent == store.path


def test_private(store: StateDirectory) -> None:
    """Nobody else can read the state, whatever the umask."""
    before = os.umask(0)
    try:
        store.save("serial", "record", b"data")
    finally:
        os.umask(before)
    assert _only_file(store).stat().st_mode & 0o777 == 0o600
    assert store.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("position", [0, 20, -1])
def test_damaged(store: StateDirectory, position: int) -> None:
    """A flipped bit anywhere is refused, with the way out."""
    store.save("serial", "record", b"data")
    path = _only_file(store)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"is damaged: .*remove it"):
        store.load("serial", "record")


@pytest.mark.parametrize("length", [0, 10, 80])
def test_truncated(store: StateDirectory, length: int) -> None:
    """So is a file that is cut short."""
    store.save("serial", "record", b"data")
    os.truncate(_only_file(store), length)
    with pytest.raises(ConfigurationError, match="is damaged"):
        store.load("serial", "record")


def test_left_over_temporary(store: StateDirectory) -> None:
    """What a crash has left of an earlier attempt does no harm."""
    store.save("serial", "record", b"old")
    path = _only_file(store)
    path.with_name(path.name + ".new").write_bytes(b"half a rec")
    assert store.load("serial", "record") == b"old"
    store.save("serial", "record", b"new")
    assert store.load("serial", "record") == b"new"
    assert _only_file(store) == path


def test_everything_is_durable(store: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content, its name, and the names of the directories that had to be made are synchronized, in that order."""
    synchronized: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synchronized.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.save("serial", "record", b"data")
    above = store.path.parent
    file = str(store.path / "serial.record.new")
    assert synchronized == [str(above.parent), str(above), file, str(store.path)]
    synchronized.clear()
    store.save("serial", "record", None)
    assert synchronized == [str(store.path)]


def test_failure_keeps_the_old_record(store: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new file cannot be made durable the old record stands, and the caller hears the system's reason."""
    store.save("serial", "record", b"old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BackstoreError, match="No space left") as caught:
        store.save("serial", "record", b"new")
    assert caught.value.errno == 28
    assert store.load("serial", "record") == b"old"
    _only_file(store)


def test_unreadable(store: StateDirectory) -> None:
    """What cannot be read is no absent record."""
    store.save("serial", "record", b"data")
    path = _only_file(store)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        store.load("serial", "record")


@pytest.mark.parametrize(
    ("uid", "home", "expected"),
    [(0, "/x", "/var/lib/isthmus"), (1000, "/x", "/x/isthmus"), (1000, "", "~/.local/state/isthmus")],
)
def test_default(uid: int, home: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's place for a service, the user's for everybody else."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("XDG_STATE_HOME", home)
    assert default_state_directory() == Path(expected).expanduser()


@pytest.mark.parametrize("after", [b"another key", None])
def test_nothing_is_left_of_a_secret(store: StateDirectory, tmp_path: Path, after: bytes | None) -> None:
    """When a key is replaced or removed, what its file held is overwritten where it lies."""
    kept = tmp_path / "kept"
    for record, rest in ((MEDIA_KEY, False), ("record", True)):
        store.save("serial", record, b"the key")
        kept.unlink(missing_ok=True)
        kept.hardlink_to(_file_of(store, record))
        store.save("serial", record, after)
        assert store.load("serial", record) == after
        assert (b"the key" in kept.read_bytes()) == rest


def _file_of(store: StateDirectory, record: str) -> Path:
    (path,) = store.path.glob(f"*.{record}")
    return path
