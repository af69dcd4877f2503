import dataclasses
import errno
from pathlib import Path

import pytest

from isthmus.backstores.base import Backstore
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.names import IscsiName
from isthmus.server.options import FileUnit, MemoryUnit, Portal, ServeOptions, Unit
from isthmus.server.units import close_units, open_units, withdraw_units

MIB = 1 << 20


def options(*units: Unit, read_only: bool = False, block_length: int = 512) -> ServeOptions:
    """Options that serve `units` and are otherwise of no interest here."""
    return ServeOptions(
        units=units,
        target_name=IscsiName("iqn.2026-01.org.example:disk"),
        portals=(Portal("127.0.0.1", 0),),
        read_only=read_only,
        block_length=block_length,
    )


def disk(directory: Path, name: str, content: bytes = bytes(MIB)) -> Path:
    """A file with `content`."""
    path = directory / name
    path.write_bytes(content)
    return path


def test_units_open_in_order(tmp_path: Path) -> None:
    """Files and memory become backstores in the order of their LUNs."""
    first = disk(tmp_path, "first", bytes(2 * MIB))
    backstores = open_units(
        options(FileUnit(path=first), FileUnit(path=tmp_path / "second", size=MIB), MemoryUnit(size=512))
    )
    assert [(backstore.kind, backstore.size) for backstore in backstores] == [
        ("fileio", 2 * MIB),
        ("fileio", MIB),
        ("ramdisk", 512),
    ]
    close_units(backstores)
    assert (tmp_path / "second").stat().st_size == MIB


def test_a_made_file_is_sparse_and_private(tmp_path: Path) -> None:
    """A new disk takes no room yet, and nobody else can read it."""
    path = tmp_path / "new"
    close_units(open_units(options(FileUnit(path=path, size=1 << 30))))
    status = path.stat()
    assert status.st_size == 1 << 30
    assert status.st_blocks * 512 < MIB
    assert status.st_mode & 0o077 == 0


@pytest.mark.parametrize("rotational", [False, True])
def test_a_medium_turns_if_the_operator_says_so(tmp_path: Path, rotational: bool) -> None:
    """Whatever the system says of the device under a file."""
    chosen = dataclasses.replace(options(FileUnit(path=disk(tmp_path, "disk"))), rotational=rotational)
    (backstore,) = backstores = open_units(chosen)
    assert backstore.capabilities.rotational == rotational
    close_units(backstores)


def test_memory_units_differ(tmp_path: Path) -> None:
    """Two memory disks of one target do not pass for one and the same."""
    one, two = backstores = open_units(options(MemoryUnit(size=512), MemoryUnit(size=512)))
    assert one.identity != two.identity
    close_units(backstores)


def test_withdrawing_removes_what_was_made(tmp_path: Path) -> None:
    """A start that fails later leaves the directory as it was: made files go, others stay."""
    old = disk(tmp_path, "old")
    backstores = open_units(options(FileUnit(path=old), FileUnit(path=tmp_path / "new", size=MIB)))
    withdraw_units(backstores)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.stat().st_size == MIB


@pytest.mark.parametrize(
    ("unit", "problem"),
    [
        ("missing", "does not exist"),
        (".", "is a directory"),
        ("empty", "is empty"),
        ("odd", "make them 1024 first"),
        ("no/where", "make its directory first|does not exist"),
        ("new", "named twice"),
        ("./new", "named twice"),
        ("link", "named twice"),
        ("/dev/null", "neither a regular file nor a block device"),
    ],
)
def test_one_bad_unit_undoes_all(tmp_path: Path, unit: str, problem: str) -> None:
    """If one path cannot be served, none is, and nothing was made for the others."""
    disk(tmp_path, "empty", b"")
    disk(tmp_path, "odd", bytes(1000))
    (tmp_path / "link").symlink_to("new")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match=problem):
        open_units(options(FileUnit(path=tmp_path / "new", size=MIB), FileUnit(path=tmp_path / unit)))
    assert sorted(tmp_path.iterdir()) == before


def test_a_size_must_fit_what_is_there(tmp_path: Path) -> None:
    """A size given for a present file is checked and never changes it."""
    path = disk(tmp_path, "disk")
    close_units(open_units(options(FileUnit(path=path, size=MIB))))
    with pytest.raises(ConfigurationError, match=f"is {MIB} bytes long, not {2 * MIB}"):
        open_units(options(FileUnit(path=path, size=2 * MIB)))
    assert path.stat().st_size == MIB


def test_a_size_must_be_whole_blocks(tmp_path: Path) -> None:
    """A new disk of half a block is refused before it is made."""
    with pytest.raises(ConfigurationError, match="not a whole number of 4096-byte blocks: make them 4096 first"):
        open_units(options(FileUnit(path=tmp_path / "new", size=512), block_length=4096))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    """Two servers cannot write one file, but both may read it."""
    path = disk(tmp_path, "disk")
    backstores = open_units(options(FileUnit(path=path)))
    with pytest.raises(ConfigurationError, match="is in use"):
        open_units(options(FileUnit(path=path)))
    close_units(backstores)
    readers = [open_units(options(FileUnit(path=path), read_only=True)) for _ in range(2)]
    for reader in readers:
        close_units(reader)


def test_read_only_units_make_nothing(tmp_path: Path) -> None:
    """A disk that nobody may write is not created."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_units(options(FileUnit(path=tmp_path / "new", size=MIB), read_only=True))
    assert list(tmp_path.iterdir()) == []


def test_closing_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backstore that cannot flush does not keep the others from it, and is not passed over in silence."""
    first, second, third = backstores = open_units(options(*[MemoryUnit(size=512)] * 3))
    closed: list[Backstore] = []

    def fail() -> None:
        raise BackstoreError(errno.EIO, "the disk is on fire")

    monkeypatch.setattr(first, "close", fail)
    monkeypatch.setattr(second, "close", lambda: closed.append(second))
    monkeypatch.setattr(third, "close", fail)
    with pytest.raises(BackstoreError, match="durable: the disk is on fire; the disk is on fire") as failed:
        close_units(backstores)
    assert closed == [second]
    assert failed.value.errno == errno.EIO


def test_a_disc_is_only_read(tmp_path: Path) -> None:
    """Nor has it to be a whole number of blocks."""
    path = disk(tmp_path, "a.iso", bytes(2048 * 3 + 512))
    (disc,) = open_units(options(FileUnit(path=path, in_drive=True)))
    assert disc.read_only
    close_units([disc])
