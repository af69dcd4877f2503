"""The saved form both ways: what rtslib saves is taken as it is, and rtslib takes what is saved here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.config.document import dump, load
from isthmus.config.model import (
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.names import IscsiName
from tests.support.rtslib_loader import restore

SAVED = Path(__file__).parent / "saved"
KERNELS_OWN = {
    *("alua_support", "complete_type", "hw_block_size", "hw_max_sectors", "hw_pi_prot_type", "hw_queue_depth"),
    *("pgr_support", "submit_type"),
}
"""Attributes that rtslib saves, cannot set again, and that initiators see nothing of."""


def every_section() -> Configuration:
    """Whatever LIO has a place for, and nothing else."""
    stores = [
        Backstore(
            key=BackstoreKey("fileio", "disk01"),
            path="/srv/iscsi/disk01.img",
            size=1 << 30,
            unit_serial="6ff7f7a7-3e3c-4d5e-8f2b-0a1b2c3d4e5f",
            attributes={"emulate_tpu": 1, "block_size": 4096},
            alua_groups=(
                AluaGroup(name="default_tg_pt_gp", alua_group_id=0),
                AluaGroup(name="second", alua_group_id=1, parameters={"alua_access_state": 1, "preferred": 1}),
            ),
            options={"aio": False},
        ),
        Backstore(key=BackstoreKey("block", "lun01"), path="/dev/vg0/lun01", write_back=False, unit_serial="b1"),
        Backstore(key=BackstoreKey("block", "gold"), path="/dev/vg0/gold", read_only=True, unit_serial="b2"),
        Backstore(key=BackstoreKey("ramdisk", "ram"), size=1 << 20, write_back=False, unit_serial="r1"),
    ]
    acl = NodeAcl(
        name=IscsiName("iqn.2026-01.com.example:db"),
        tag="db",
        attributes={"nopin_timeout": 5},
        mapped_luns=(MappedLun(number=3, tpg_lun=0, write_protect=True, alias="x"),),
        chap=Chap(userid="db", password="secret-of-db1", mutual_userid="us", mutual_password="secret-of-us1"),
    )
    first = PortalGroup(
        tag=1,
        attributes={"authentication": 1, "login_timeout": 20},
        parameters={"MaxConnections": 4, "HeaderDigest": "CRC32C"},
        chap=Chap(userid="all", password="secret-of-all"),
        portals=(Portal("192.0.2.7"), Portal("2001:db8::7", 3261)),
        luns=tuple(Lun(number=number, backstore=store.key) for number, store in enumerate(stores)),
        node_acls=(acl,),
    )
    second = PortalGroup(tag=2, enable=False, portals=(Portal("192.0.2.8"),))
    name = IscsiName("iqn.2026-01.com.example:san")
    return Configuration(
        backstores={store.key: store for store in stores},
        targets={name: Target(name=name, portal_groups=(first, second))},
        discovery=DiscoveryAuthentication(enable=True, chap=Chap(userid="d", password="secret-of-disc")),
    )


def test_rtslib_loads_what_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one complaint, and every value where it belongs."""
    configuration = every_section()
    restored = restore(monkeypatch, json.loads(dump(configuration)))
    assert restored.errors == []
    [file] = restored.of("fileio")
    assert (file["dev"], file["size"], file["write_back"], file["aio"]) == (
        "/srv/iscsi/disk01.img",
        1 << 30,
        True,
        False,
    )
    assert (file["attributes"]["emulate_tpu"], file["attributes"]["block_size"]) == (1, 4096)
    assert [(block["dev"], block["readonly"]) for block in restored.of("block")] == [
        ("/dev/vg0/gold", True),
        ("/dev/vg0/lun01", False),
    ]
    assert [ram["size"] for ram in restored.of("ramdisk")] == [1 << 20]
    [group] = restored.of("ALUATargetPortGroup")
    assert (group["name"], group["tag"], group["alua_access_state"], group["preferred"]) == ("second", 1, 1, 1)
    first, second = restored.of("TPG")
    assert (first["tag"], first["enable"], first["attributes"]["login_timeout"]) == (1, True, 20)
    assert (first["parameters"]["MaxConnections"], first["chap_password"]) == ("4", "secret-of-all")
    assert (second["tag"], second["enable"]) == (2, False)
    portals = [(portal["ip_address"], portal["port"]) for portal in restored.of("NetworkPortal")]
    assert portals == [("192.0.2.7", 3260), ("[2001:db8::7]", 3261), ("192.0.2.8", 3260)]
    assert [lun["lun"] for lun in restored.of("LUN")] == [0, 1, 2, 3]
    [acl] = restored.of("NodeACL")
    assert (acl["node_wwn"], acl["tag"], acl["chap_mutual_password"]) == (
        "iqn.2026-01.com.example:db",
        "db",
        "secret-of-us1",
    )
    assert acl["attributes"]["nopin_timeout"] == 5
    [mapped] = restored.of("MappedLUN")
    assert (mapped["mapped_lun"], mapped["write_protect"]) == (3, True)
    [fabric] = restored.of("ISCSIFabricModule")
    assert (fabric["discovery_userid"], fabric["discovery_enable_auth"]) == ("d", True)


def test_rtslib_is_told_nothing_of_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that it does not know would be a complaint of its loader: the stand-ins do complain."""
    document = json.loads(dump(every_section()))
    document["storage_objects"][0]["invented"] = 1
    document["targets"][0]["tpgs"][0]["invented"] = 1
    errors = restore(monkeypatch, document).errors
    assert len(errors) >= 2
    assert "invented" in " ".join(errors)


# -- The other way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SAVED.glob("*.json")), ids=lambda path: path.stem)
def test_what_rtslib_saves_comes_back(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Loaded and saved, the file says the same; what does not come back was told, and rtslib loads it still."""
    document = json.loads(path.read_text())
    configuration, remarks = load(path.read_text())
    saved = json.loads(dump(configuration))
    told = {remark.path for remark in remarks}
    lost = [
        place
        for place, value in leaves(document)
        if not is_told(place, told) and value_at(saved, document, place) != value
    ]
    assert lost == []
    assert load(dump(configuration))[0] == configuration
    assert restore(monkeypatch, saved).errors == []


@pytest.mark.parametrize("path", sorted(SAVED.glob("*.json")), ids=lambda path: path.stem)
def test_rtslib_loads_these_files_itself(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """So they are of its form."""
    errors = restore(monkeypatch, json.loads(path.read_text())).errors
    assert [error for error in errors if "fabric" not in error] == []


def test_what_cannot_be_is_named() -> None:
    """Each with its place: a fabric, a setting, a value, a part of an object."""
    _, remarks = load((SAVED / "every-section.json").read_text())
    told = "\n".join(map(str, remarks))
    assert "the fabric 'loopback' is left out" in told
    assert "ErrorRecoveryLevel" in told
    assert "'future'" in told
    assert "iSER" in told


def leaves(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value that says something and is no object and no list, with the way to it."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*place, name))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*place, index))
    elif place[-1] not in KERNELS_OWN and plain(value):
        yield place, plain(value)


def is_told(place: tuple[str | int, ...], told: set[tuple[str | int, ...]]) -> bool:
    """Whether a remark is about it, or about something that it is in."""
    return any(place[: len(path)] == path for path in told)


def plain(value: Any) -> Any:
    """Numbers, texts and truths that mean the same are the same; so are nothing and what is empty."""
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return str(value).replace("[::0]", "[::]")


NAMES = ("wwn", "name", "tag", "index", "node_wwn", "ip_address")


def value_at(saved: Any, document: Any, place: tuple[str | int, ...]) -> Any:
    """What `saved` has at `place`; entries of lists are found by their names, as their order means nothing."""
    for step in place:
        document = document[step]
        if isinstance(step, int) and isinstance(saved, list):
            if isinstance(document, dict):
                saved = next((entry for entry in saved if is_same(entry, document)), None)
            else:
                saved = saved[step] if step < len(saved) else None
        else:
            saved = saved.get(step) if isinstance(saved, dict) else None
        if saved is None:
            return ""
    return plain(saved)


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two entries of a list are of one thing."""
    names = [name for name in NAMES if name in one and name in other]
    return bool(names) and all(canonical(one[name]) == canonical(other[name]) for name in names)


def canonical(value: Any) -> str:
    """Two ways to write the address of every IPv6 portal are one."""
    return str(value).replace("[::0]", "[::]")
