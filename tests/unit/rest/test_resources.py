"""Single things over HTTP: each request is one edit, and says what it has changed."""

from pathlib import Path

import pytest

from isthmus.config.model import AluaGroup, Backstore, BackstoreKey
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName
from isthmus.scsi.alua import AluaAccessState
from tests.support.api import running_api
from tests.support.service import HOST, ONE, disk, target

GROUP = f"/v1/targets/{ONE}/portal-groups/1"
ACL = f"{GROUP}/acls/{HOST}"
SECRET = "geheimgeheim1"
RAM = {"kind": "ramdisk", "name": "b", "size": 1 << 20, "serial": "of b"}

A_LIFE: list[tuple[str, str, object, list[str]]] = [
    ("POST", "/v1/backstores", RAM, ["+ /backstores/ramdisk/b"]),
    ("PATCH", "/v1/backstores/ramdisk/b", {"size": 2 << 20}, ["~ /backstores/ramdisk/b size"]),
    ("PATCH", "/v1/backstores/ramdisk/b", {"attributes": {"emulate_tpu": 1}}, ["emulate_tpu"]),
    ("PATCH", "/v1/backstores/ramdisk/b", {}, []),
    ("POST", f"{GROUP}/luns", {"backstore": "/backstores/ramdisk/b", "lun": 7}, ["+ ", "lun7"]),
    ("POST", f"{GROUP}/acls", {"initiator": HOST, "map_all": False}, [f"acls/{HOST}"]),
    ("PATCH", ACL, {"chap": {"userid": "host", "password": SECRET}}, [HOST]),
    ("PATCH", ACL, {"tag": "label", "attributes": {"nopin_timeout": 5}}, [HOST]),
    ("POST", f"{GROUP}/acl-tags", {"who": "label", "tag": "hosts"}, [HOST, "hosts"]),
    ("POST", f"{ACL}/luns", {"tpg_lun": 7, "lun": 3, "read_only": True}, ["mapped_lun3"]),
    ("DELETE", f"{ACL}/luns/3", None, ["- ", "mapped_lun3"]),
    ("DELETE", ACL, None, ["- ", HOST]),
    ("POST", f"{GROUP}/initiator-groups", {"name": "web", "initiators": ["*:web*"]}, ["+ web (*:web*)"]),
    ("POST", f"{GROUP}/initiator-groups/web/luns", {"tpg_lun": 7, "lun": 1, "read_only": True}, ["mapped_lun1"]),
    ("PATCH", f"{GROUP}/initiator-groups/web", {"initiators": ["*"], "attributes": {"max_sessions": 2}}, ["~ web (*,"]),
    ("PATCH", f"{GROUP}/initiator-groups/web", {}, []),
    ("DELETE", f"{GROUP}/initiator-groups/web/luns/1", None, ["~ web"]),
    ("DELETE", f"{GROUP}/initiator-groups/web", None, ["- web"]),
    ("DELETE", f"{GROUP}/luns/7", None, ["- ", "lun7"]),
    ("DELETE", "/v1/backstores/ramdisk/b", None, ["- /backstores/ramdisk/b"]),
    ("POST", f"{GROUP}/portals", {"address": "127.0.0.2", "port": 0}, ["+ ", "127.0.0.2:0"]),
    ("DELETE", f"{GROUP}/portals/127.0.0.2/0", None, ["- ", "127.0.0.2:0"]),
    ("POST", f"/v1/targets/{ONE}/portal-groups", {}, ["+ ", "tpg2"]),
    ("DELETE", f"/v1/targets/{ONE}/portal-groups/2", None, ["- ", "tpg2"]),
    ("PATCH", GROUP, {"enable": False}, ["disabled"]),
    ("PATCH", GROUP, {"enable": True, "attributes": {"login_timeout": 20}}, ["login_timeout"]),
    ("PATCH", GROUP, {"parameters": {"MaxConnections": 3}, "chap": {"userid": "x"}}, ["MaxConnections"]),
    ("POST", "/v1/targets", {"name": "iqn.2026-01.com.example:new", "default_portal": False}, ["example:new"]),
    ("DELETE", "/v1/targets/iqn.2026-01.com.example:new", None, ["- ", "example:new"]),
    ("PATCH", "/v1/discovery", {"enable": True, "chap": {"userid": "d", "password": SECRET}}, ["discovery"]),
]


async def test_a_drive(tmp_path: Path) -> None:
    """A file goes in and out while the drive is there; what is not there does not."""
    (tmp_path / "a.iso").write_bytes(bytes(4096))
    place = "/v1/backstores/fileio/cd0"
    async with running_api() as api:
        new = {"kind": "fileio", "name": "cd0", "attributes": {"device_type": "cd"}}
        assert (await api.ask("POST", "/v1/backstores", new)).status == 200
        for path, status in ((f"{tmp_path}/a.iso", 200), (f"{tmp_path}/b.iso", 422), ("", 200)):
            answer = await api.ask("PATCH", place, {"path": path})
            assert answer.status == status, answer.text
            if status == 200:
                assert f"medium: {'none' if path else f'{tmp_path}/a.iso'} -> {path or 'none'}" in str(answer.value)


async def test_the_life_of_everything() -> None:
    """Created, changed and deleted, by one request each; what nobody named is the same afterwards."""
    async with running_api() as api:
        before = api.configuration.targets[ONE].portal_groups[0].luns
        for method, path, body, parts in A_LIFE:
            answer = await api.ask(method, path, body)
            assert answer.status == 200, (method, path, answer.text)
            said = " ".join(answer.value["changes"])
            assert bool(said) == bool(parts)
            assert [part for part in parts if part not in said] == [], (path, said)
            assert SECRET not in answer.text
        assert api.configuration.targets[ONE].portal_groups[0].luns == before
        assert api.configuration.discovery.chap.password == SECRET


async def test_targets_are_shown_without_their_secrets() -> None:
    """All of them, and each one, as in saveconfig.json."""
    async with running_api() as api:
        await api.ask("PATCH", GROUP, {"chap": {"userid": "x", "password": SECRET}})
        everything = await api.ask("GET", "/v1/targets")
        one = await api.ask("GET", f"/v1/targets/{ONE}")
        assert everything.value == [one.value]
        assert (one.value["wwn"], one.value["tpgs"][0]["chap_userid"]) == (ONE, "x")
        assert SECRET not in everything.text + one.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/targets/iqn.2026-01.com.example:nothing", None, 404),
        ("GET", "/v1/targets/nonsense", None, 422),
        ("POST", "/v1/targets", {"name": str(ONE)}, 422),
        ("POST", "/v1/targets", {"name": "nonsense"}, 422),
        ("POST", "/v1/targets", {}, 422),
        ("POST", "/v1/targets", {"name": str(ONE), "nothing": 1}, 422),
        ("DELETE", "/v1/targets/iqn.2026-01.com.example:nothing", None, 404),
        ("POST", "/v1/backstores", {**RAM, "kind": "tape"}, 422),
        ("POST", "/v1/backstores", {**RAM, "name": "a/b"}, 422),
        ("POST", "/v1/backstores", {**RAM, "size": -1}, 422),
        ("POST", "/v1/backstores", {**RAM, "attributes": {"nothing": 1}}, 422),
        ("PATCH", "/v1/backstores/ramdisk/a", {"attributes": {"emulate_tpu": 7}}, 422),
        ("PATCH", "/v1/backstores/ramdisk/nothing", {"size": 512}, 404),
        ("DELETE", "/v1/backstores/ramdisk/nothing", None, 404),
        ("POST", f"/v1/targets/{ONE}/portal-groups", {"tag": 1}, 422),
        ("POST", f"/v1/targets/{ONE}/portal-groups", {"tag": 65536}, 422),
        ("PATCH", f"/v1/targets/{ONE}/portal-groups/2", {"enable": True}, 404),
        ("PATCH", GROUP, {"enable": True, "parameters": {"MaxConnections": 0}}, 422),
        ("PATCH", GROUP, {"chap": {"secret": SECRET}}, 422),
        ("PATCH", GROUP, {"chap": {"password": SECRET * 30}}, 422),
        ("DELETE", f"/v1/targets/{ONE}/portal-groups/2", None, 404),
        ("POST", f"{GROUP}/portals", {"address": "somewhere"}, 422),
        ("POST", f"{GROUP}/portals", {"address": "192.0.2.1", "port": 65536}, 422),
        ("DELETE", f"{GROUP}/portals/192.0.2.1/3260", None, 404),
        ("POST", f"{GROUP}/luns", {"backstore": "/backstores/ramdisk/nothing"}, 422),
        ("POST", f"{GROUP}/luns", {"backstore": "a"}, 422),
        ("DELETE", f"{GROUP}/luns/77", None, 404),
        ("POST", f"{GROUP}/acls", {"initiator": "nobody"}, 422),
        ("PATCH", ACL, {"tag": "label"}, 404),
        ("DELETE", ACL, None, 404),
        ("POST", f"{ACL}/luns", {"tpg_lun": 0}, 404),
        ("DELETE", f"{ACL}/luns/0", None, 404),
        ("PATCH", "/v1/discovery", {"chap": {"userid": "x" * 256}}, 422),
        ("POST", f"{GROUP}/initiator-groups", {"name": "a/b"}, 422),
        ("POST", f"{GROUP}/initiator-groups", {"name": "a", "initiators": ["a b"]}, 422),
        ("PATCH", f"{GROUP}/initiator-groups/nothing", {"initiators": []}, 404),
        ("DELETE", f"{GROUP}/initiator-groups/nothing", None, 404),
        ("POST", f"{GROUP}/initiator-groups/nothing/luns", {"tpg_lun": 0}, 404),
        ("DELETE", f"{GROUP}/initiator-groups/nothing/luns/0", None, 404),
    ],
)
async def test_what_cannot_be_is_a_problem(method: str, path: str, body: object, status: int) -> None:
    """With its status and a line of what is wrong, that shows no secret; and nothing is changed."""
    async with running_api() as api:
        before = api.configuration
        answer = await api.ask(method, path, body)
        assert (answer.status, answer.value["status"]) == (status, status), answer.text
        assert answer.value["detail"]
        assert SECRET not in answer.text
        assert api.configuration == before


async def test_what_is_in_use_goes_by_force_only() -> None:
    """A LUN that is read, and a target with a session: by whom is said."""
    async with running_api() as api:
        async with await Session.login(api.running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()
            refused = await api.ask("DELETE", f"/v1/targets/{ONE}")
            assert (refused.status, refused.value["holders"]) == (409, [HOST])
            assert ONE in api.configuration.targets
            assert (await api.ask("DELETE", f"/v1/targets/{ONE}?force=true")).status == 200
        assert ONE not in api.configuration.targets


async def test_a_dry_run_and_another_revision_change_nothing() -> None:
    """What would be done is told; and who edited something else is."""
    async with running_api() as api:
        before = api.configuration
        told = await api.ask("PATCH", f"{GROUP}?dry_run=true", {"enable": False})
        assert (told.status, len(told.value["changes"])) == (200, 1)
        assert (await api.ask("PATCH", GROUP, {"enable": False}, If_Match='"1"')).status == 412
        assert (await api.ask("PATCH", GROUP, {"enable": False}, If_Match="nonsense")).status == 412
        assert api.configuration == before
        assert (await api.ask("PATCH", GROUP, {"enable": False}, If_Match='"2"')).status == 200
        assert not group_of(api.configuration, IscsiName(ONE), 1).enable


async def test_a_backstore_is_started(tmp_path: Path) -> None:
    """Once its file is there; before, and when it runs, it is said why not. The trail has who did it."""
    store = Backstore(key=BackstoreKey("fileio", "f"), path=str(tmp_path / "f.img"), size=1 << 20, unit_serial="f")
    path = "/v1/backstores/fileio/f/start"
    async with running_api() as api:
        await api.running.service.load(target(disk("a"), store))
        assert (await api.ask("POST", path, {})).status == 422
        (tmp_path / "f.img").write_bytes(bytes(1 << 20))
        assert (await api.ask("POST", path, {"lost_reservations": "whatever"})).status == 422
        assert (await api.ask("POST", path, {"lost_reservations": "forget"})).status == 204
        refused = await api.ask("POST", path, {})
        assert (refused.status, "runs already" in refused.value["detail"]) == (422, True)
        [view] = [view for view in api.running.service.backstores() if view.path == str(store.key)]
        assert (view.problem, view.size) == ("", 1 << 20)


async def test_an_alua_state_is_taken_back() -> None:
    """The view has the one that is, and what has brought it about; the trail has who wanted it otherwise."""
    path = "/v1/backstores/ramdisk/a/alua-groups"
    async with running_api() as api:
        group = AluaGroup(name="second", alua_group_id=7, parameters={"alua_access_state": 1})
        await api.running.put(target(disk("a", alua_groups=(group,))))
        unit = api.running.server.disks.unit(BackstoreKey("ramdisk", "a"))
        assert unit is not None
        unit.alua.set_state(7, AluaAccessState.UNAVAILABLE)
        [view] = (await api.ask("GET", "/v1/backstores")).value
        assert view["alua_groups"] == [
            {"name": "default_tg_pt_gp", "alua_group_id": 0, "state": 0, "status_code": 0},
            {"name": "second", "alua_group_id": 7, "state": 3, "status_code": 2},
        ]
        assert (await api.ask("POST", f"{path}/second/restore")).status == 204
        assert [group.state for group in api.running.service.backstores()[0].alua_groups] == [0, 1]
        assert (await api.ask("POST", f"{path}/default_tg_pt_gp/restore")).status == 204
        assert (await api.ask("POST", f"{path}/third/restore")).status == 404
        assert (await api.ask("POST", "/v1/backstores/ramdisk/b/alua-groups/second/restore")).status == 404
