import json
from pathlib import Path

import pytest

from isthmus.config.document import load
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.management.backstore_edits import create_backstore
from isthmus.management.views import BackstoreView
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
        ("backstores/block create a /dev/null exclusive=false", "exclusive is true"),
        ("backstores/fileio delete nothing save=perhaps", "is not true|false"),
        ("backstores/user:file changemedium nothing 1M /srv/a.img", "there is no /backstores/user/nothing"),
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
    assert "not one of 512, 2048, 4096" in typist.fails("/backstores/ramdisk/r set attribute block_size=1024")
    assert "read-only" in typist.fails("/backstores/ramdisk/r set attribute pi_prot_type=1")


def test_a_backstore_is_started(typist: Typist) -> None:
    """What is to become of damaged reservations is one of three words."""
    typist.types("backstores/ramdisk create a 1M")
    assert "a runs" in typist.types("backstores/ramdisk/a start lost_reservations=replace")
    assert "one of refuse, replace, forget" in typist.fails("backstores/ramdisk/a start perhaps")
    assert typist.daemon.started == [("/backstores/ramdisk/a", "replace")]


def test_what_other_programs_do_for_lio(typist: Typist) -> None:
    """A handler of raw files can be had; those of a saved file are there by their names, as is what nobody knows."""
    typist.types("/backstores/user:file create a 1M /srv/a.img wwn=of-a")
    made = store(typist, "user", "a")
    assert (made.options, made.size) == ({"config": "file//srv/a.img"}, 1 << 20)
    typist.types("/backstores/pscsi create cd /dev/sg0")
    assert store(typist, "pscsi", "cd").path == "/dev/sg0"
    typist.types("/backstores/pscsi create tape 1:0:0:0")
    assert store(typist, "pscsi", "tape").path == "1:0:0:0"
    for key in (BackstoreKey("user", "q"), BackstoreKey("invented", "i")):
        other = Backstore(key=key, unit_serial=key.name, options={"config": "qcow//srv/q.qcow2"})
        typist.daemon.running = create_backstore(typist.daemon.running, other)
    typist.daemon.revision += 1
    tree = typist.types("refresh\nls /backstores")
    for name in ("user:file", "user:qcow", "invented", "file//srv/a.img", "qcow//srv/q.qcow2"):
        assert name in tree
    typist.types("/iscsi create iqn.2026-01.com.example:t")
    typist.types("/iscsi/iqn.2026-01.com.example:t/tpg1/luns create /backstores/user:file/a")
    [lun] = [lun for _, _, lun in typist.daemon.running.luns()]
    assert lun.backstore == BackstoreKey("user", "a")
    typist.types("/backstores/user:qcow delete q")
    assert "user:qcow" not in typist.types("ls /backstores")


def test_a_handler_that_nobody_has_yet(typist: Typist) -> None:
    """Can be asked for; the daemon says what there is to say. What is no handler is no path."""
    typist.types("/backstores/user:qcow create q 1M /srv/q.qcow2")
    assert store(typist, "user", "q").options["config"] == "qcow//srv/q.qcow2"
    assert "No such path" in typist.fails("/backstores/user: ls")
    assert "No such path" in typist.fails("/backstores/qcow ls")


def test_a_drive(typist: Typist, tmp_path: Path) -> None:
    """A file is in it from the start, and another later, or nothing."""
    image = tmp_path / "a.iso"
    image.write_bytes(bytes(4096))
    assert "does not exist" in typist.fails(f"backstores/fileio create a {tmp_path}/no.iso device_type=cd")
    typist.types(f"backstores/fileio create a {image} device_type=cd")
    made = store(typist, "fileio", "a")
    assert (made.is_drive, made.path, made.size) == (True, str(image), None)
    typist.types("backstores/fileio/a eject")
    assert store(typist, "fileio", "a").path == ""
    typist.types(f"backstores/fileio/a insert {image}")
    assert store(typist, "fileio", "a").path == str(image)


def test_a_disk_of_zeros(typist: Typist) -> None:
    """It takes no memory, and the tree says so."""
    typist.types("/backstores/ramdisk create z 1G nullio=true")
    assert store(typist, "ramdisk", "z").options == {"nullio": True}
    assert "[nullio (1.0GiB) deactivated]" in typist.types("ls /backstores/ramdisk")


def test_another_medium(typist: Typist) -> None:
    """What a handler serves changes under the same name and serial number."""
    typist.types("/backstores/user:file create a 1M /srv/a.img wwn=of-a")
    assert "Medium Changed." in typist.types("/backstores/user:file changemedium a 2M /srv/b.img")
    changed = store(typist, "user", "a")
    assert (changed.size, changed.options["config"], changed.unit_serial) == (2 << 20, "file//srv/b.img", "of-a")


def test_what_does_not_run_is_not_shown_as_if_it_did(typist: Typist) -> None:
    """Its storage object and its LUN are red, and say why; the size of what runs is the one that it has."""
    typist.types(
        "/backstores/ramdisk create a 1M\n/backstores/ramdisk create b 1M\n/iscsi create iqn.2026-05.com.example:t"
    )
    typist.types("/iscsi/iqn.2026-05.com.example:t/tpg1/luns create /backstores/ramdisk/a")
    assert "(1.0MiB) activated" in typist.types("/backstores/ramdisk/a status")
    typist.daemon.known_backstores = (
        BackstoreView(path="/backstores/ramdisk/a", size=0, block_length=0, active=True, problem="it is gone"),
        BackstoreView(path="/backstores/ramdisk/b", size=2 << 20, block_length=512, active=False),
    )
    tree = typist.types("ls")
    for part in ("(1.0MiB) does not run: it is gone", "(2.0MiB) deactivated", "(default_tg_pt_gp) does not run"):
        assert part in tree
    root = typist.shell._root
    for path in ("/backstores/ramdisk/a", "/iscsi/iqn.2026-05.com.example:t/tpg1/luns/lun0"):
        assert root.get_node(path).summary()[1] is False
    assert "status: does not run: it is gone" in typist.types("/backstores/ramdisk/a info")


def test_the_name_as_product_identification_is_a_preference(typist: Typist) -> None:
    """Off, new disks are named by their kind."""
    typist.types("set global export_backstore_name_as_model=false\n/backstores/ramdisk create r 1M")
    assert store(typist, "ramdisk", "r").attributes == {"emulate_model_alias": 0}


def test_one_storage_object_is_saved_beside_others(typist: Typist, tmp_path: Path) -> None:
    """With the target that it is a LUN of, and what else that needs."""
    file = tmp_path / "some.json"
    typist.types("/backstores/ramdisk create other 1M")
    typist.types(f"/backstores/ramdisk/other saveconfig {file}")
    typist.types(
        "/backstores/ramdisk create a 1M\n/backstores/ramdisk create b 1M\n/iscsi create iqn.2026-05.com.example:t"
    )
    for name in "ab":
        typist.types(f"/iscsi/iqn.2026-05.com.example:t/tpg1/luns create /backstores/ramdisk/{name}")
    assert "'ramdisk:a' config saved" in typist.types(f"/backstores/ramdisk/a saveconfig {file}")
    saved, _ = load(file.read_text())
    assert saved == typist.daemon.running
    document = json.loads(file.read_text())
    document["targets"].append({"wwn": "naa.1", "fabric": "loopback", "tpgs": []})
    file.write_text(json.dumps(document))
    assert "would lose something" in typist.fails(f"/backstores/ramdisk/a saveconfig {file}")
    assert json.loads(file.read_text()) == document


def test_paths_are_completed(typist: Typist, tmp_path: Path) -> None:
    """Of files and directories, where one is wanted."""
    (tmp_path / "disk.img").touch()
    (tmp_path / "images").mkdir()
    root = typist.shell._root
    node = root.get_node("/backstores/fileio")
    assert node.ui_complete_create({}, f"{tmp_path}/d", "file_or_dev") == [f"{tmp_path}/disk.img "]
    assert node.ui_complete_create({}, f"{tmp_path}/i", "file_or_dev") == [f"{tmp_path}/images/"]
    assert node.ui_complete_create({}, f"{tmp_path}/", "name") == []
    assert root.get_node("/backstores/block").ui_complete_create({}, f"{tmp_path}/nowhere/x", "dev") == []
