import dataclasses
from typing import Any

from isthmus.compat.importer import Surroundings
from isthmus.compat.tgt.reading import read
from isthmus.compat.tgt.writing import write
from isthmus.config.model import Backstore, BackstoreKey, Chap, Configuration, Lun, NodeAcl, Portal, PortalGroup, Target
from isthmus.names import IscsiName
from tests.support.tgt_machine import IQN, TgtBench

SURROUNDINGS = Surroundings(
    new_serial=lambda key: f"serial-of-{key.name}", kind_of=lambda path: "block" if path.startswith("/dev") else "file"
)


async def test_what_tgtadm_made_is_read_again() -> None:
    """To the very same configuration."""
    bench = TgtBench(kinds={"/dev/sdz": "block"})
    await bench.set_up(
        "--op new --mode lu --tid 1 --lun 4 -b '/srv/my disk#2.img' -f sync -y 4096",
        "--op new --mode lu --tid 1 --lun 5 -b /dev/sdz -E aio",
        "--op new --mode lu --tid 1 --lun 6 -b /nowhere -E null",
        "--op new --mode lu --tid 1 --lun 7 -b /srv/a.iso -Y cd",
        "--op new --mode lu --tid 1 --lun 8 -Y cd",
        "--op update --mode lu --tid 1 --lun 1 -P vendor_id=ACME,scsi_sn=47,readonly=1,removable=1,online=0",
        "--op update --mode lu --tid 1 --lun 5 -P thin_provisioning=1,lbppbe=3,optimal_xfer_len=2048",
        "--op update --mode lu --tid 1 --lun 5 -P mode_page=8:0:1:0",
        "--op update --mode target --tid 1 -n MaxConnections -v 16",
        "--op update --mode target --tid 1 -n HeaderDigest -v CRC32C",
        "--op new --mode account --user alice --password 'a secret, #1'",
        "--op bind --mode account --tid 1 --user alice",
        "--op new --mode account --user bob --password bobs",
        "--op bind --mode account --tid 1 --user bob --outgoing",
        "--op new --mode account --user carol --password carols",
        "--op bind --mode account --user carol",
        "--op bind --mode target --tid 1 -Q iqn.2026-01.org.example:host",
        "--op update --mode target --tid 1 -n state -v offline",
        "--op new --mode target --tid 3 -T iqn.2026-01.org.example:two",
        "--op bind --mode target --tid 3 -I 192.0.2.1",
        "--op update --mode sys -n iSNSServerIP -v 192.0.2.9",
    )
    exported = write(bench.machine.configuration)
    assert exported.remarks == ()
    surroundings = dataclasses.replace(SURROUNDINGS, running=bench.machine.configuration)
    imported = read(exported.text, "/t", surroundings)
    assert [str(finding) for finding in imported.findings] == []
    again, before = imported.configuration, bench.machine.configuration
    for name, target in again.targets.items():
        assert target.portal_groups[0].luns == before.targets[name].portal_groups[0].luns
    assert again.targets == before.targets
    assert again.backstores == before.backstores
    for store in read(exported.text, "/t", SURROUNDINGS).configuration.backstores.values():
        if not store.path:
            continue  # there is nothing that anybody would know again
        assert str(store.attribute("naa_id")).startswith(
            "60000000000000000e"
        )  # it is the disk that tgt's initiators know
    assert again.discovery == before.discovery
    assert sorted(again.accounts) == sorted(before.accounts)
    assert again.options == before.options


def store(kind: str, name: str, **fields: Any) -> Backstore:
    """A backstore."""
    return Backstore(key=BackstoreKey(kind, name), unit_serial=name, **fields)


def test_what_has_no_place_is_told() -> None:
    """Line by line, so that nobody believes that it is there."""
    disk, memory = store("fileio", "a", path="/a", attributes={"limit_iops": 7}), store("ramdisk", "m", size=512)
    group = PortalGroup(
        tag=1,
        attributes={"generate_node_acls": 1, "max_sessions": 3, "nop_interval": 5},
        portals=(Portal("192.0.2.1"),),
        luns=(Lun(number=0, backstore=disk.key), Lun(number=1, backstore=memory.key)),
        node_acls=(NodeAcl(name=IscsiName("iqn.2026-01.org.example:h"), chap=Chap(userid="u", password="p")),),
    )
    target = Target(name=IQN, portal_groups=(group, PortalGroup(tag=2)))
    exported = write(
        Configuration(
            backstores={disk.key: disk, memory.key: memory},
            targets={IQN: target},
            options={"tgt_portals": "127.0.0.1:3260"},
        )
    )
    told = "\n".join(exported.remarks)
    for words in (
        "LUN 0 is tgt's controller",
        "limit_iops 7",
        "no disks in memory",
        "max_sessions 3",
        "nop_interval 5",
        "its portals",
        "single initiators",
        "portal group 2",
        "portals 127.0.0.1:3260",
    ):
        assert words in told
