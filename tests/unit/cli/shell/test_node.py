import pytest
from configshell_fb import ExecutionError

from isthmus.cli.shell.node import completed, number
from isthmus.config.model import Configuration, PortalGroup, Target
from isthmus.names import IscsiName
from tests.support.typist import Typist


def test_a_large_tree_is_not_made_for_one_leaf(typist: Typist) -> None:
    """With 2000 targets, one command touches the nodes on its way and the targets' names, not what is in them."""
    names = [IscsiName(f"iqn.2026-05.com.example:t{number}") for number in range(2000)]
    typist.daemon.running = Configuration(
        targets={name: Target(name=name, portal_groups=(PortalGroup(tag=1),)) for name in names}
    )
    typist.shell.editor.refresh()
    typist.types(f"/iscsi/{names[77]}/tpg1 status")
    iscsi = typist.shell._root.get_child("iscsi")
    assert sum(child._made for child in iscsi._own) == 1


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("lun3", 3), ("0", 0)])
def test_numbers_with_and_without_their_prefix(text: str, value: int) -> None:
    """lun3 is as good as 3."""
    assert number(text, "lun") == value


@pytest.mark.parametrize("text", ["", "-1", "lun", "3x", "٣"])
def test_what_is_no_number(text: str) -> None:
    """Said so, in one line."""
    with pytest.raises(ExecutionError, match="is not a number"):
        number(text, "lun")


def test_what_is_in_use_goes_by_force_only(typist: Typist) -> None:
    """The refusal says who uses it."""
    typist.types("iscsi/ create iqn.2026-05.com.example:a")
    typist.daemon.holders = ("iqn.2026-05.com.example:host",)
    assert "in use by iqn.2026-05.com.example:host" in typist.fails("iscsi/ delete iqn.2026-05.com.example:a")
    typist.types("iscsi/ delete iqn.2026-05.com.example:a force=true")
    assert typist.daemon.running.targets == {}


def test_several_parameters_are_one_edit(typist: Typist) -> None:
    """All of them are set, or none."""
    typist.types("/backstores/ramdisk create r 1M")
    before = typist.daemon.revision
    said = typist.types("/backstores/ramdisk/r set attribute emulate_tpu=1 emulate_tas=0")
    assert said == "Parameter emulate_tpu is now '1'.\nParameter emulate_tas is now '0'.\n"
    assert typist.daemon.revision == before + 1


def test_what_was_created_is_the_last_bookmark(typist: Typist) -> None:
    """The shell goes there if that is preferred."""
    typist.types("/backstores/ramdisk create r 1M")
    assert typist.shell._current_node.path == "/"
    assert "wwn:" in typist.types("@last info")
    typist.types("/iscsi set global auto_cd_after_create=true\n/iscsi create iqn.2026-05.com.example:a")
    assert typist.shell._current_node.path == "/iscsi/iqn.2026-05.com.example:a/tpg1"
    typist.types("luns/ create /backstores/ramdisk/r")
    assert typist.shell._current_node.path == "/iscsi/iqn.2026-05.com.example:a/tpg1/luns/lun0"


def test_preferences_of_targetcli(typist: Typist) -> None:
    """Each can be asked for anywhere; what has no meaning can be set, and what the daemon rules only to what it is."""
    for name in ("auto_save_on_exit", "auto_use_daemon", "daemon_use_batch_mode", "auto_enable_tpgt"):
        assert f"{name} is now 'false'" in typist.types(f"/backstores/fileio set global {name}=0")
    assert "max_backup_files is now '10'" in typist.types("set global max_backup_files=10")
    assert "The daemon keeps 10" in typist.fails("set global max_backup_files=5")


def test_truth_in_numbers(typist: Typist) -> None:
    """1 and 0 are as good as true and false, as targetcli's guides have it."""
    typist.types("/iscsi set discovery_auth enable=1")
    assert typist.daemon.running.discovery.enable
    typist.types("/iscsi set discovery_auth enable=0")
    assert not typist.daemon.running.discovery.enable


def test_words_are_completed() -> None:
    """A blank follows the only one, unless it goes on from there."""
    assert completed(["one", "other", "two"], "o") == ["one", "other"]
    assert completed(["one", "two"], "o") == ["one "]
    assert completed(["/srv/"], "/s") == ["/srv/"]
