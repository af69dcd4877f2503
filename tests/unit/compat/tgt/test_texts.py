"""The expected texts are what tgtd 1.0.85 prints."""

import pytest

from isthmus.compat.tgt.texts import (
    NexusText,
    StatRow,
    SystemText,
    TargetText,
    TrafficRow,
    UnitText,
    accounts_text,
    connections_text,
    drivers_text,
    megabytes,
    parameters_text,
    portals_text,
    stat_text,
    system_text,
    targets_text,
    traffic_text,
)

CONTROLLER = UnitText(lun=0, kind="controller", scsi_id="IET     00010000", scsi_sn="beaf10", size=0, block_length=1)
DISK = UnitText(
    lun=1,
    kind="disk",
    scsi_id="IET     00010001",
    scsi_sn="beaf11",
    size=10 << 20,
    block_length=512,
    store="rdwr",
    path="/srv/d1",
    flags="sync",
    read_only=True,
)
NEXUS = NexusText(session=2, initiator="iqn.2026-05.a:host", alias="", connection=0, address="127.0.0.1")
TARGET = TargetText(
    tid=1,
    name="iqn.2026-05.a:x",
    ready=True,
    nop_interval=5,
    nop_count=6,
    nexuses=(NEXUS,),
    units=(CONTROLLER, DISK),
    incoming=("alice", "bob"),
    outgoing="carol",
    rules=("ALL", "iqn.2026-05.a:host"),
)
SHOWN = """\
Target 1: iqn.2026-05.a:x
    System information:
        Driver: iscsi
        State: ready
        Nop interval: 5
        Nop count: 6
    I_T nexus information:
        I_T nexus: 2
            Initiator: iqn.2026-05.a:host alias: none
            Connection: 0
                IP Address: 127.0.0.1
    LUN information:
        LUN: 0
            Type: controller
            SCSI ID: IET     00010000
            SCSI SN: beaf10
            Size: 0 MB, Block size: 1
            Online: Yes
            Removable media: No
            Prevent removal: No
            Readonly: No
            SWP: No
            Thin-provisioning: No
            Backing store type: null
            Backing store path: None
            Backing store flags: \n\
        LUN: 1
            Type: disk
            SCSI ID: IET     00010001
            SCSI SN: beaf11
            Size: 10 MB, Block size: 512
            Online: Yes
            Removable media: No
            Prevent removal: No
            Readonly: Yes
            SWP: No
            Thin-provisioning: No
            Backing store type: rdwr
            Backing store path: /srv/d1
            Backing store flags: sync
    Account information:
        alice
        bob
        carol (outgoing)
    ACL information:
        ALL
        iqn.2026-05.a:host
"""


def test_a_target() -> None:
    """Every line, with the blank that ends the one of flags that are not set."""
    assert targets_text([TARGET]) == SHOWN
    assert targets_text([]) == ""


def test_a_target_without_anything() -> None:
    """The headings stay; NOP settings are shown only where they are on."""
    shown = targets_text([TargetText(tid=3, name="iqn.2026-05.a:y", ready=False)])
    assert shown == (
        "Target 3: iqn.2026-05.a:y\n    System information:\n        Driver: iscsi\n        State: offline\n"
        "    I_T nexus information:\n    LUN information:\n    Account information:\n    ACL information:\n"
    )


@pytest.mark.parametrize(("size", "shown"), [(0, 0), (512, 0), (10 << 20, 10), (1 << 30, 1074), (1 << 40, 1099512)])
def test_megabytes(size: int, shown: int) -> None:
    """Tgt rounds in a way of its own."""
    assert megabytes(size) == shown


def test_lists() -> None:
    """Of accounts, portals, drivers, connections and parameters."""
    assert accounts_text(["bob", "alice"]) == "Account list:\n    bob\n    alice\n"
    assert accounts_text([]) == ""
    assert portals_text([("127.0.0.1", 3260), ("::", 860)]) == "Portal: 127.0.0.1:3260,1\nPortal: [::]:860,1\n"
    assert drivers_text({"iscsi": "ready", "iser": "error"}, [(1, "iqn.a")]) == (
        "LLDs:\n    iscsi: ready\n        Target 1: iqn.a\n    iser: error\n"
    )
    assert connections_text([NEXUS]) == (
        "Session: 2\n    Connection: 0\n        Initiator: iqn.2026-05.a:host\n        IP Address: 127.0.0.1\n"
    )
    assert parameters_text([("nop_count", 0), ("HeaderDigest", "None")]) == "nop_count=0\nHeaderDigest=None\n"


def test_the_system() -> None:
    """With the empty line that tgtd puts after the heading of discovery's accounts."""
    system = SystemText(
        ready=True,
        debug=False,
        drivers={"iscsi": "ready"},
        stores=("null", "rdwr (bsoflags sync:direct)"),
        device_types=("disk",),
        incoming=("alice",),
        outgoing="bob",
        isns={"iSNS": "Off", "iSNSServerPort": "3205"},
    )
    assert system_text(system) == (
        "System:\n    State: ready\n    debug: off\nLLDs:\n    iscsi: ready\nBacking stores:\n    null\n"
        "    rdwr (bsoflags sync:direct)\nDevice types:\n    disk\n    Account information:\n\n    alice\n"
        "    bob (outgoing)\niSNS:\n    iSNS=Off\n    iSNSServerPort=3205\n"
    )


def test_statistics() -> None:
    """Columns as wide as tgtd's; nothing is submitted that is not done."""
    assert stat_text([StatRow(tid=1, lun=1, session=2, read_bytes=4096, reads=3, written_bytes=512, writes=1)]) == (
        "tgt lun sid rd_subm(bytes,cmds) rd_done(bytes,cmds) wr_subm(bytes,cmds) wr_done(bytes,cmds) errs\n"
        "  1   1   2         4096      3         4096      3          512      1          512      1    0\n"
    )
    assert traffic_text([TrafficRow(session=2, connection=0, received_bytes=100, commands=4)]) == (
        "sid cid rxdata_octets txdata_octets dataout_pdus datain_pdus cmd_pdus rsp_pdus\n"
        "  2   0           100             0            0           0        4        0\n"
    )
