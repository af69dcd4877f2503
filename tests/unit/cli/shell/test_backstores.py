from pathlib import Path

import pytest

from isthmus.config.model import Backstore, BackstoreKey
from tests.support.typist import Typist


def store(typist: Typist, kind: str, name: str) -> Backstore:
    """A backstore of the daemon's configuration."""
    return typist.daemon.running.backstores[BackstoreKey(kind, name)]


def test_a_file_that_is_there_keeps_its_size(typist: Typist, tmp_path: Path) -> None:
    """A size that differs is ignored, and said so."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(8192))
    said = typist.types(f"backstores/fileio create a {image} 1M write_back=false wwn=serial-1")
    assert "using its size (8192 bytes) instead" in said
    made = store(typist, "fileio", "a")
    assert (made.size, made.write_back, made.unit_serial) == (8192, False, "serial-1")


def test_a_missing_file_is_the_daemons_to_make(typist: Typist, tmp_path: Path) -> None:
    """The shell only names it; nothing is made if the daemon refuses."""
    image = tmp_path / "disk.img"
    typist.types(f"backstores/fileio create a {image} 1M")
    assert store(typist, "fileio", "a").size == 1 << 20
    assert not image.exists()


def test_a_file_that_is_not_to_be_sparse_takes_its_room(typist: Typist, tmp_path: Path) -> None:
    """With sparse=false every block is there from the start."""
    image = tmp_path / "disk.img"
    typist.types(f"backstores/fileio create a {image} 1M sparse=false")
    assert image.stat().st_size == 1 << 20
    assert image.stat().st_blocks * 512 >= 1 << 20


def test_memory(typist: Typist) -> None:
    """A size, and nothing else."""
    typist.types("/backstores/ramdisk create r 64M")
    assert store(typist, "ramdisk", "r").size == 64 << 20


def test_attributes_by_their_groups(typist: Typist) -> None:
    """`set` and `get` by name, and the value read back."""
    typist.types("/backstores/ramdisk create r 64M")
    assert "emulate_tpu is now '1'" in typist.types("/backstores/ramdisk/r set attribute emulate_tpu=1")
    assert "emulate_tpu=1" in typist.types("/backstores/ramdisk/r get attribute emulate_tpu")
    assert store(typist, "ramdisk", "r").attributes == {"emulate_tpu": 1}


def test_resize_and_delete(typist: Typist) -> None:
    """A disk grows while it is used; deleting it takes it from the tree."""
    typist.types("/backstores/ramdisk create r 64M\n/backstores/ramdisk/r resize 128M")
    assert store(typist, "ramdisk", "r").size == 128 << 20
    assert "Deleted storage object r." in typist.types("/backstores/ramdisk delete r")
    assert "Storage Objects: 0" in typist.types("/backstores/ramdisk ls")


def test_info_and_completion(typist: Typist) -> None:
    """What it is made of, and its name from its first letters."""
    typist.types("/backstores/ramdisk create ram1 64M wwn=abc")
    assert "wwn: abc" in typist.types("/backstores/ramdisk/ram1 info")
    node = typist.shell._root.get_node("/backstores/ramdisk")
    assert node.ui_complete_delete({}, "ra", "name") == ["ram1 "]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("backstores/fileio create a /nowhere/at/all", "need a size"),
        ("backstores/fileio create a / 1M", "exists but is not a file"),
        ("backstores/fileio create a /nowhere/a ten", "ten"),
        ("backstores/fileio create a/b /nowhere/a 1M", "cannot name a backstore"),
        ("backstores/block create a /etc/passwd", "is not a block device"),
        ("backstores/ramdisk create r 1M nullio=true", "nullio"),
        ("backstores/ramdisk create r 1M nullio=perhaps", "is not true|false"),
        ("backstores/ramdisk delete nothing", "there is no /backstores/ramdisk/nothing"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)


def test_attributes_that_cannot_be_are_refused(typist: Typist) -> None:
    """A value out of range, and one that is only there for LIO's files."""
    typist.types("/backstores/ramdisk create r 64M")
    assert "neither 512 nor 4096" in typist.fails("/backstores/ramdisk/r set attribute block_size=1024")
    assert "read-only" in typist.fails("/backstores/ramdisk/r set attribute pi_prot_type=1")
