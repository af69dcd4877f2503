from pathlib import Path

import pytest

from isthmus.cli.shell.main import Shell, run
from isthmus.config.model import BackstoreKey, Lun, Portal
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName
from tests.support.fake_daemon import FakeDaemon
from tests.support.typist import Typist

TARGET = IscsiName("iqn.2026-05.com.example:storage01")

# What guides for targetcli tell people to type, line by line.
SESSION = """\
# create a backstore (file-backed), a target, no authentication, a LUN and a portal, then save
backstores/fileio create disk01 {file} 100G
iscsi/ create iqn.2026-05.com.example:storage01
iscsi/iqn.2026-05.com.example:storage01/tpg1/ set attribute authentication=0
iscsi/iqn.2026-05.com.example:storage01/tpg1/ set attribute generate_node_acls=1
iscsi/iqn.2026-05.com.example:storage01/tpg1/luns/ create /backstores/fileio/disk01
iscsi/iqn.2026-05.com.example:storage01/tpg1/portals/ create 0.0.0.0 3260
saveconfig
exit
this is not read any more
"""


def test_the_session_of_every_guide(typist: Typist, tmp_path: Path) -> None:
    """Each line does what it does with targetcli, comment and exit too."""
    said = typist.types(SESSION.format(file=tmp_path / "disk01.img"))
    group = group_of(typist.daemon.running, TARGET, 1)
    disk = BackstoreKey("fileio", "disk01")
    assert group.luns == (Lun(number=0, backstore=disk),)
    assert group.portals == (Portal("0.0.0.0", 3260),)
    assert group.attributes == {"generate_node_acls": 1}
    assert typist.daemon.running.backstores[disk].size == 100 << 30
    for line in (
        "Created fileio disk01 with size 107374182400",
        "Created target iqn.2026-05.com.example:storage01.",
        "Created TPG 1.",
        "Parameter authentication is now '0'.",
        "Created LUN 0.",
        "Created network portal 0.0.0.0:3260.",
        "Configuration saved to /var/lib/isthmus/saveconfig.json",
    ):
        assert line in said


def test_the_tree_looks_as_people_know_it(typist: Typist, tmp_path: Path) -> None:
    """`ls` draws backstores and targets with their summaries."""
    typist.types(SESSION.format(file=tmp_path / "disk01.img"))
    typist.shell._exit = False
    shown = typist.types("ls")
    for part in (
        "o- / ",
        "o- backstores",
        "[Storage Objects: 1]",
        "write-back activated",
        "[Targets: 1]",
        "o- tpg1",
        "[gen-acls, no-auth]",
        "[LUNs: 1]",
        "(default_tg_pt_gp)",
        "o- 0.0.0.0:3260",
    ):
        assert part in shown


def test_one_command_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`isthmus shell /iscsi create NAME`, with exit status 0; a second time with 1."""
    monkeypatch.setenv("TARGETCLI_HOME", str(tmp_path))
    daemon = FakeDaemon()
    assert run(daemon, ["/iscsi", "create", str(TARGET)]) == 0
    assert TARGET in daemon.running.targets
    assert run(daemon, ["/iscsi", "create", str(TARGET)]) == 1
    assert "already" in capsys.readouterr().err


def test_standard_input_stops_at_the_first_error(typist: Typist) -> None:
    """What comes after it might depend on it."""
    said = typist.types("iscsi/ create nonsense\niscsi/ create iqn.2026-05.com.example:a\n", status=1)
    assert "is not an iSCSI name" in said
    assert typist.daemon.running.targets == {}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("backstores/fileio make x", "Command not found make"),
        ("nowhere/ create x", "No such path /nowhere"),
        ("backstores/fileio create", "Missing required parameter"),
        ("backstores/fileio create a /tmp/x 1M yes no 1 2 3", "expected at most 7"),
        ("set nothing a=b", "Unknown configuration group"),
    ],
)
def test_what_is_typed_wrong_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)


def test_no_trace_of_what_is_typed_is_kept(tmp_path: Path) -> None:
    """Secrets are typed here: there is neither a log nor a history file with them."""
    shell = Shell(FakeDaemon(), tmp_path)
    shell.run_line("iscsi/ create iqn.2026-05.com.example:a")
    shell.run_line("iscsi/iqn.2026-05.com.example:a/tpg1 set auth userid=u password=geheimgeheim1")
    for file in tmp_path.rglob("*"):
        assert b"geheim" not in file.read_bytes()


def test_an_edit_that_somebody_overtook_is_done_again(typist: Typist) -> None:
    """Nobody's change is lost."""
    typist.daemon.conflicts = 2
    typist.types("iscsi/ create iqn.2026-05.com.example:a")
    assert list(typist.daemon.running.targets) == ["iqn.2026-05.com.example:a"]


def test_warnings_of_the_daemon_are_shown(typist: Typist) -> None:
    """A portal that cannot be bound is no error, and not hidden."""
    typist.daemon.warnings = ("the portal is taken",)
    assert "the portal is taken" in typist.types("iscsi/ create iqn.2026-05.com.example:a")


T = "/iscsi/iqn.2026-05.com.example:storage01"
TARGETCLI = {
    "/": [
        "saveconfig savefile",
        "restoreconfig savefile clear_existing target storage_object",
        "clearconfig confirm",
        "version",
        "sessions action sid",
        "refresh",
        "status",
        "exit",
        "ls path depth",
        "cd path",
        "pwd",
        "bookmarks action bookmark",
        "help topic",
        "set group",
        "get group",
    ],
    "/backstores/fileio": ["create name file_or_dev size write_back sparse wwn", "delete name save"],
    "/backstores/block": ["create name dev readonly wwn exclusive", "delete name save"],
    "/backstores/pscsi": ["create name dev", "delete name save"],
    "/backstores/ramdisk": ["create name size nullio wwn", "delete name save"],
    "/backstores/user:file": [
        "create name size cfgstring wwn hw_max_sectors control",
        "delete name save",
        "changemedium name size cfgstring",
    ],
    "/backstores/ramdisk/r": ["info", "version", "saveconfig savefile"],
    "/backstores/ramdisk/r/alua": ["create name tag", "delete name"],
    "/backstores/ramdisk/r/alua/default_tg_pt_gp": ["info"],
    "/iscsi": ["create wwn", "delete wwn", "info", "version"],
    T: ["create tag", "delete tag", "info"],
    f"{T}/tpg1": ["enable", "disable", "info"],
    f"{T}/tpg1/acls": ["create wwn add_mapped_luns", "delete wwn", "tag wwn_or_tag new_tag", "untag wwn_or_tag"],
    f"{T}/tpg1/acls/iqn.2026-05.com.example:db": [
        "create mapped_lun tpg_lun_or_backstore write_protect",
        "delete mapped_lun",
        "info",
    ],
    f"{T}/tpg1/acls/iqn.2026-05.com.example:db/mapped_lun0": ["info"],
    f"{T}/tpg1/luns": ["create storage_object lun add_mapped_luns", "delete lun"],
    f"{T}/tpg1/luns/lun0": ["info"],
    f"{T}/tpg1/portals": ["create ip_address ip_port", "delete ip_address ip_port"],
    f"{T}/tpg1/portals/[::]:3260": ["enable_iser boolean", "enable_offload boolean", "info"],
}
"""Its commands by their places, with their parameters in the order in which they can be given without their names."""
GROUPS = {
    "/": {"global": 9},
    "/iscsi": {"discovery_auth": 5},
    "/backstores/ramdisk/r": {"attribute": 30},
    "/backstores/ramdisk/r/alua/default_tg_pt_gp": {"alua": 17},
    f"{T}/tpg1": {"attribute": 13, "parameter": 21, "auth": 4},
    f"{T}/tpg1/acls/iqn.2026-05.com.example:db": {"attribute": 8, "auth": 4},
    f"{T}/tpg1/luns/lun0": {"alua": 1},
}
"""Its configuration groups, and how many parameters are in each at least."""


def test_every_command_of_targetcli(typist: Typist) -> None:
    """With its parameters in its order; ours come behind them."""
    typist.types(f"/backstores/ramdisk create r 1M\n/iscsi create {TARGET}\n{T}/tpg1/luns create /backstores/ramdisk/r")
    typist.types(f"{T}/tpg1/acls create iqn.2026-05.com.example:db")
    for path, commands in TARGETCLI.items():
        node = typist.shell._root.get_node(path)
        for command in commands:
            name, *parameters = command.split()
            assert name in node.list_commands(), f"{path} {name}"
            assert node.get_command_signature(name)[0][: len(parameters)] == parameters, f"{path} {name}"
    for path, groups in GROUPS.items():
        node = typist.shell._root.get_node(path)
        for group, count in groups.items():
            assert len(node.list_group_params(group)) >= count, f"{path} {group}"
