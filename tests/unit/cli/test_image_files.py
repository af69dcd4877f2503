import errno
import os
from pathlib import Path

import pytest

from isthmus.cli.image_files import allocated, copied, image_size, new_image
from isthmus.errors import ConfigurationError

MIB = 1 << 20


class Meter:
    """Counts what is done."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self, length: int) -> None:
        self.done += length


def test_all_its_room_is_taken(tmp_path: Path) -> None:
    """And it is the owner's alone."""
    path, meter = tmp_path / "a.img", Meter()
    with new_image(path, 3 * MIB, source=None, preallocate=True, owner=None, progress=meter):
        pass
    status = path.stat()
    assert (status.st_size, status.st_mode & 0o777, meter.done) == (3 * MIB, 0o600, 3 * MIB)
    assert status.st_blocks * 512 >= 3 * MIB


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Data, a hole, data, a hole at its end; not whole blocks."""
    path = tmp_path / "source.img"
    with path.open("wb") as file:
        file.write(b"a" * MIB)
        file.seek(5 * MIB)
        file.write(b"b" * MIB)
        file.truncate(8 * MIB + 100)
    return path


def test_an_image_is_copied_with_its_holes(tmp_path: Path, source: Path) -> None:
    """The rest of the file is zeros."""
    path, meter = tmp_path / "a.img", Meter()
    size = image_size(source)
    assert size == 8 * MIB + 512
    with new_image(path, size, source=source, preallocate=False, owner=None, progress=meter):
        pass
    assert path.read_bytes() == source.read_bytes() + bytes(412)
    assert meter.done == 8 * MIB + 100
    assert path.stat().st_blocks * 512 < 4 * MIB


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS])
def test_where_the_kernel_does_not_copy(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Between file systems, it goes through memory."""

    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refused)
    path = tmp_path / "a.img"
    with new_image(path, 9 * MIB, source=source, preallocate=False, owner=None, progress=Meter()):
        pass
    assert path.read_bytes()[: 8 * MIB + 100] == source.read_bytes()


def test_nothing_stays_of_one_that_is_not_wanted(tmp_path: Path) -> None:
    """What comes after it may fail."""
    path = tmp_path / "a.img"
    with (
        pytest.raises(ConfigurationError, match="taken"),
        new_image(path, MIB, source=None, preallocate=True, owner=None, progress=Meter()),
    ):
        raise ConfigurationError("the name is taken")
    assert not path.exists()


def test_a_full_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said in one line, and nothing stays."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    path = tmp_path / "a.img"
    with (
        pytest.raises(ConfigurationError, match="No space left"),
        new_image(path, MIB, source=None, preallocate=True, owner=None, progress=Meter()),
    ):
        raise AssertionError
    assert not path.exists()


def test_what_is_there_stays(tmp_path: Path) -> None:
    """It may be somebody's disk."""
    path = tmp_path / "a.img"
    path.write_text("data")
    with (
        pytest.raises(ConfigurationError, match="cannot be made"),
        new_image(path, MIB, source=None, preallocate=True, owner=None, progress=Meter()),
    ):
        raise AssertionError
    assert path.read_text() == "data"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_it_is_given_to_the_daemon(tmp_path: Path) -> None:
    """Whose user is another."""
    path = tmp_path / "a.img"
    with new_image(path, MIB, source=None, preallocate=False, owner=(65534, 65534), progress=Meter()):
        pass
    assert path.stat().st_uid == 65534


def test_it_goes_again_if_the_daemon_does_not_take_it(tmp_path: Path, source: Path) -> None:
    """Allocated or copied."""
    path = tmp_path / "a.img"
    for made in (allocated(path, MIB), copied(path, 9 * MIB, source, preallocate=True)):
        with pytest.raises(ConfigurationError, match="refused"), made:
            assert path.exists()
            raise ConfigurationError("refused")
        assert not path.exists()
