"""Wrong input for every command of every node: one line, exit status 1, and nothing is changed."""

import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main as program
from isthmus.cli.shell import access, acls, alua, backstores, initiator_groups, root, targets
from isthmus.cli.shell import main as shell_main
from isthmus.cli.shell.main import Shell
from isthmus.config.model import (
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.names import IscsiName
from tests.support.fake_daemon import FakeDaemon

TARGET = IscsiName("iqn.2026-05.com.example:storage01")
INITIATOR = IscsiName("iqn.2026-05.com.example:host")
TPG = f"/iscsi/{TARGET}/tpg1"
ACL = f"{TPG}/acls/{INITIATOR}"
GROUP = f"{TPG}/initiator_groups/hosts"
SECRET = "geheimgeheim1"


def configuration() -> Configuration:
    """One of each thing."""
    stores = [
        Backstore(key=BackstoreKey("fileio", "disk"), path="/nowhere/disk.img", size=1 << 20, unit_serial="1"),
        Backstore(key=BackstoreKey("block", "volume"), path="/dev/nowhere", unit_serial="2", write_back=False),
        Backstore(
            key=BackstoreKey("ramdisk", "memory"),
            size=1 << 20,
            unit_serial="3",
            write_back=False,
            alua_groups=(AluaGroup(name="second", alua_group_id=1),),
        ),
    ]
    group = PortalGroup(
        tag=1,
        portals=(Portal("192.0.2.7", 3260),),
        luns=tuple(Lun(number=number, backstore=store.key) for number, store in enumerate(stores[:2])),
        node_acls=(
            NodeAcl(
                name=INITIATOR,
                mapped_luns=(MappedLun(number=0, tpg_lun=0),),
                chap=Chap(userid="host", password=SECRET),
            ),
        ),
        initiator_groups=(
            InitiatorGroup(name="hosts", initiators=("*:host*",), mapped_luns=(MappedLun(number=0, tpg_lun=0),)),
        ),
    )
    return Configuration(
        backstores={store.key: store for store in stores}, targets={TARGET: Target(name=TARGET, portal_groups=(group,))}
    )


def nodes(node: Any) -> Iterator[Any]:
    """A node and everything under it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def malformed() -> Iterator[str]:
    """For each command of each node, the ways in which its parameters cannot be."""
    shell = Shell(FakeDaemon(configuration()))
    for node in nodes(shell._root):
        yield f"{node.path} no_such_command"
        for command in node.list_commands():
            yield from (f"{node.path} {command}{parameters}" for parameters in _malformed(node, command))


def _malformed(node: Any, command: str) -> Iterator[str]:
    spec = inspect.getfullargspec(node.get_command_method(command))
    required = len(spec.args) - 1 - len(spec.defaults or ())
    if required:
        yield ""
    if spec.varargs is None and spec.varkw is None:
        yield " x" * (len(spec.args))
    if spec.varkw is None:
        yield f"{' x' * required} no_such_parameter=1"
    if spec.args[1:]:
        yield f" {spec.args[1]}=x {spec.args[1]}=y{' x' * (required - 1)}"


NEW = "iqn.2026-05.com.example:new"
WRONG_VALUES = [
    "/nowhere ls",
    "cd /nowhere",
    "ls /nowhere",
    "ls / depth",
    "/ saveconfig /nowhere/elsewhere.json",
    "/ saveconfig /dev/null",
    "/ saveconfig /",
    "/backstores/ramdisk/memory saveconfig /nowhere/elsewhere.json",
    "/backstores/ramdisk/memory saveconfig /etc/hostname",
    "/ restoreconfig /nowhere.json",
    "/ restoreconfig /etc/hostname",
    "/ restoreconfig /bin/true",
    "/ restoreconfig /",
    "/ restoreconfig",
    "/ restoreconfig /nowhere.json clear_existing=perhaps",
    "/ clearconfig",
    "/ clearconfig perhaps",
    "/ sessions fold",
    "/ sessions list 17",
    "/ sessions detail x",
    "/ sessions logout",
    "/ sessions logout 17",
    "/ sessions drop 17",
    "/ sessions drop x",
    "/ bookmarks go nowhere",
    "/ bookmarks fold x",
    "/ help no_such_command",
    "/ get nothing",
    "/ get global nothing",
    "/ set nothing",
    "/ set nothing a=1",
    "/ set a=1",
    "/ set global nothing=1",
    "/ set global auto_add_mapped_luns=perhaps",
    "/ set global auto_add_mapped_luns=false auto_add_default_portal=perhaps",
    "/ set global loglevel_console=loud",
    "/ set global max_backup_files=3",
    "/ set global max_backup_files=many",
    "/iscsi set global auto_enable_tpgt=perhaps",
    "/iscsi get global nothing",
    "/backstores create x",
    "/backstores/fileio create a /nowhere/a.img",
    "/backstores/fileio create a /nowhere/a.img ten",
    "/backstores/fileio create a /nowhere/a.img 0",
    "/backstores/fileio create a /nowhere/a.img -1M",
    "/backstores/fileio create a / 1M",
    "/backstores/fileio create a /dev/null 1M",
    "/backstores/fileio create a/b /nowhere/a.img 1M",
    "/backstores/fileio create disk /nowhere/a.img 1M",
    "/backstores/fileio create a /nowhere/disk.img 1M",
    "/backstores/fileio create a /nowhere/a.img 1M perhaps",
    "/backstores/fileio create a /nowhere/a.img 1M true perhaps",
    "/backstores/fileio create a /nowhere/a.img 1M true false",
    "/backstores/fileio create a /nowhere/a.img 1M true true 1",
    "/backstores/fileio delete nothing",
    "/backstores/fileio delete disk force=perhaps",
    "/backstores/block create a /etc/hostname",
    "/backstores/block create a /nowhere",
    "/backstores/block create volume /dev/null",
    "/backstores/block create a /etc/hostname readonly=perhaps",
    "/backstores/block delete disk",
    "/backstores/ramdisk create a",
    "/backstores/ramdisk create a ten",
    "/backstores/ramdisk create a 0",
    "/backstores/ramdisk create memory 1M",
    "/backstores/ramdisk create a 1M perhaps",
    "/backstores/block create a /dev/null exclusive=perhaps",
    "/backstores/fileio delete disk save=perhaps",
    "/backstores/user:file changemedium a 1M b",
    "/backstores/ramdisk/memory/alua create",
    "/backstores/ramdisk/memory/alua create a",
    "/backstores/ramdisk/memory/alua create a one",
    "/backstores/ramdisk/memory/alua create a 0",
    "/backstores/ramdisk/memory/alua create a 65536",
    "/backstores/ramdisk/memory/alua create a/b 1",
    "/backstores/ramdisk/memory/alua create default_tg_pt_gp 1",
    "/backstores/ramdisk/memory/alua create second 2",
    "/backstores/ramdisk/memory/alua create third 1",
    "/backstores/ramdisk/memory/alua delete default_tg_pt_gp",
    "/backstores/ramdisk/memory/alua delete nothing",
    "/backstores/ramdisk/memory/alua/nothing info",
    "/backstores/ramdisk/memory/alua/second set alua alua_access_state=5",
    "/backstores/ramdisk/memory/alua/second set alua alua_access_state=active",
    "/backstores/ramdisk/memory/alua/second set alua preferred=1 nonop_delay_msecs=-1",
    "/backstores/ramdisk/memory/alua/second set alua tg_pt_gp_id=7",
    "/backstores/ramdisk/memory/alua/second set alua members=x",
    "/backstores/ramdisk/memory/alua/second set alua alua_support_lba_dependent=1",
    "/backstores/ramdisk/memory/alua/second set alua nothing=1",
    "/backstores/ramdisk/memory/alua/second set attribute preferred=1",
    "/backstores/ramdisk/memory/alua/second get alua nothing",
    "/backstores/ramdisk create a 1M wwn=1",
    "/backstores/ramdisk delete nothing",
    "/backstores/ramdisk/memory resize ten",
    "/backstores/ramdisk/memory resize 0",
    "/backstores/ramdisk/memory set attribute block_size=1000",
    "/backstores/ramdisk/memory set attribute emulate_tpu=1 emulate_tas=7",
    "/backstores/ramdisk/memory set attribute emulate_tpu=1 nothing=1",
    "/backstores/ramdisk/memory set attribute nothing=1",
    "/backstores/ramdisk/memory set attribute emulate_tpu",
    "/backstores/ramdisk/memory get attribute nothing",
    "/iscsi create nonsense",
    "/iscsi create iqn.2026-05.com.example:UPPER_CASE",
    f"/iscsi create {TARGET}",
    f"/iscsi delete {NEW}",
    f"/iscsi delete {TARGET} perhaps",
    "/iscsi delete nonsense",
    "/iscsi set discovery_auth enable=perhaps",
    "/iscsi set discovery_auth nothing=1",
    f"/iscsi set discovery_auth userid=a password={SECRET} nothing=1",
    f"/iscsi/{TARGET} create 1",
    f"/iscsi/{TARGET} create tpg1",
    f"/iscsi/{TARGET} create 0",
    f"/iscsi/{TARGET} create 65536",
    f"/iscsi/{TARGET} create two",
    f"/iscsi/{TARGET} delete 2",
    f"/iscsi/{TARGET} delete two",
    f"{TPG} set attribute authentication=maybe",
    f"{TPG} set attribute login_timeout=1",
    f"{TPG} set attribute authentication=1 login_timeout=1",
    f"{TPG} set parameter MaxConnections=0",
    f"{TPG} set parameter HeaderDigest=MD5",
    f"{TPG} set parameter MaxBurstLength=1 ",
    f"{TPG} set parameter MaxConnections=2 ErrorRecoveryLevel=2",
    f"{TPG} set auth nothing=1",
    f"{TPG} set auth userid=a nothing=1",
    f"{TPG} set auth userid={'a' * 256}",
    f"{TPG} set auth password={SECRET * 30}",
    f"{TPG}/portals create somewhere",
    f"{TPG}/portals create 192.0.2.7 3260",
    f"{TPG}/portals create 192.0.2.8 65536",
    f"{TPG}/portals create 192.0.2.8 iscsi",
    f"{TPG}/portals create 192.0.2.8 -1",
    f"{TPG}/portals delete 192.0.2.8 3260",
    f"{TPG}/portals delete somewhere 3260",
    f"{TPG}/portals delete 192.0.2.7 iscsi",
    f"{TPG}/luns create /backstores/fileio/nothing",
    f"{TPG}/luns create /backstores/fileio",
    f"{TPG}/luns create /nowhere",
    f"{TPG}/luns create /etc",
    f"{TPG}/luns create /etc/hostname lun0",
    f"{TPG}/luns create /backstores/fileio/disk",
    f"{TPG}/luns create /backstores/ramdisk/memory 1",
    f"{TPG}/luns create /backstores/ramdisk/memory 16384",
    f"{TPG}/luns create /backstores/ramdisk/memory -1",
    f"{TPG}/luns create /backstores/ramdisk/memory lunar",
    f"{TPG}/luns create /backstores/ramdisk/memory 5 perhaps",
    f"{TPG}/portals/192.0.2.7:3260 enable_iser true",
    f"{TPG}/portals/192.0.2.7:3260 enable_offload true",
    f"{TPG}/portals/192.0.2.7:3260 enable_iser perhaps",
    f"{TPG}/luns/lun0 set alua alua_tg_pt_gp_name=nothing",
    f"{TPG}/luns/lun0 set alua alua_tg_pt_gp_name=",
    f"{TPG}/luns/lun0 set alua nothing=1",
    f"{TPG}/luns/lun0 get alua nothing",
    f"{TPG}/luns delete 7",
    f"{TPG}/luns delete lunar",
    f"{TPG}/luns delete 0 perhaps",
    f"{TPG}/acls create nonsense",
    f"{TPG}/acls create {INITIATOR}",
    f"{TPG}/acls create {NEW} perhaps",
    f"{TPG}/acls delete {NEW}",
    f"{TPG}/acls delete nonsense",
    f"{TPG}/acls tag {NEW} label",
    f"{TPG}/acls tag {INITIATOR} a.b",
    f"{TPG}/acls tag {INITIATOR} a/b",
    f"{TPG}/acls tag {INITIATOR} a perhaps",
    f"{TPG}/acls delete a_tag",
    f"{TPG}/acls untag nonsense",
    f"{ACL} create 0 0",
    f"{ACL} create 1 7",
    f"{ACL} create 16384 1",
    f"{ACL} create one 1",
    f"{ACL} create 1 /nowhere",
    f"{ACL} create 0 /backstores/ramdisk/memory",
    f"{ACL} create 0 /etc/hostname",
    f"{ACL} create 1 1 perhaps",
    f"{ACL} delete 7",
    f"{ACL} delete one",
    f"{ACL} set attribute nopin_timeout=1000",
    f"{ACL} set attribute nopin_timeout=5 nothing=1",
    f"{ACL} set auth nothing=1",
    f"{ACL} set auth userid=a password={SECRET * 30}",
    f"{TPG}/initiator_groups create hosts",
    f"{TPG}/initiator_groups create a/b",
    f"{TPG}/initiator_groups delete nothing",
    f"{GROUP} remove nobody",
    f"{GROUP} move nobody hosts",
    f"{GROUP} move *:host* nowhere",
    f"{GROUP} create 0 0",
    f"{GROUP} create 1 7",
    f"{GROUP} create one 1",
    f"{GROUP} create 1 1 perhaps",
    f"{GROUP} delete 7",
    f"{GROUP} set attribute nothing=1",
    "no_such_command",
    "'unbalanced",
    "/iscsi create 'unbalanced",
    f'/iscsi create {NEW} "',
    f"/iscsi delete {TARGET} , ;",
]


class Place:
    """A daemon with one of each thing, and the ways in which a line reaches its shell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path) -> None:
        self.daemon = FakeDaemon(configuration())
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._home = home
        monkeypatch.setenv("TARGETCLI_HOME", str(home))
        monkeypatch.setattr("isthmus.management.client.Client", lambda: self.daemon)

    def on_input(self, line: str) -> int:
        """As a line on standard input."""
        return shell_main.run_lines(Shell(self.daemon, self._home), [line])

    def on_the_command_line(self, line: str) -> int:
        """As words after `isthmus shell`."""
        return program.run(["shell", *line.split()])

    def as_targetcli(self, line: str) -> int:
        """As words after `targetcli`."""
        self._monkeypatch.setattr("sys.argv", ["/usr/bin/targetcli", *line.split()])
        with pytest.raises(SystemExit) as ended:
            program.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    def said(self) -> str:
        """What was said on standard error."""
        return self._capsys.readouterr().err

    def kept(self) -> object:
        """All that a command could change."""
        return self.daemon.running, self.daemon.revision, self.daemon.ended, self._preferences()

    def _preferences(self) -> dict[str, object]:
        """But for the places that were visited."""
        found = pickle.loads((self._home / "prefs.bin").read_bytes())
        return {name: value for name, value in found.items() if not name.startswith("path_history")}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Place:
    """Where lines are typed."""
    return Place(monkeypatch, capsys, tmp_path)


WAYS = [Place.on_input, Place.on_the_command_line, Place.as_targetcli]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("line", WRONG_VALUES)
def test_a_wrong_value(place: Place, way: Any, line: str) -> None:
    """It is refused in one line, that shows no secret, and in exit status 1."""
    place.on_input("/ set global loglevel_console=info")
    before, _ = place.kept(), place.said()
    assert way(place, line) == 1
    complaint = place.said()
    assert complaint.count("\n") == 1, complaint
    assert complaint.strip()
    assert "Traceback" not in complaint
    assert SECRET not in complaint
    assert place.kept() == before


def test_wrong_parameters_of_every_command(place: Place) -> None:
    """Too few of them, too many, unknown ones, the same one twice: each is refused likewise."""
    place.on_input("/ set global loglevel_console=info")
    before, lines = place.kept(), list(malformed())
    assert len(lines) > 300
    shell = Shell(place.daemon)
    for line in lines:
        place.said()
        assert shell_main.run_lines(shell, [line]) == 1, line
        complaint = place.said()
        assert complaint.strip(), line
        assert complaint.count("\n") == 1, (line, complaint)
        assert place.kept() == before, line


def test_every_kind_of_node_is_tried(place: Place) -> None:
    """The tree of the tests has all kinds that there are."""
    kinds = {
        kind
        for module in (access, acls, alua, backstores, initiator_groups, root, targets)
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and kind.__name__.endswith(("Node", "Kind"))
    } - {backstores.KindNode}
    assert {type(node) for node in nodes(Shell(place.daemon)._root)} == kinds
