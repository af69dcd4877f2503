"""The daemon as its users have it: controlled over its socket while initiators are logged in."""

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from isthmus.config.model import (
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
from isthmus.errors import ConfigurationError
from isthmus.initiator import cdb
from isthmus.initiator.discovery import discover
from isthmus.initiator.errors import ConnectionLost, LoginFailed, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.management.client import Client
from isthmus.management.errors import BusyError, DaemonUnreachableError, RevisionConflictError
from isthmus.management.places import control_socket
from isthmus.management.secrets import KEPT
from isthmus.names import IscsiName
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from tests.support.busy import in_use
from tests.support.clients import needs, run_client
from tests.support.daemon import Daemon, StartDaemon, free_port, running_daemon
from tests.support.patience import PATIENCE, eventually, eventually_asked

T = TypeVar("T")
BLOCK = 512
MIB = 1 << 20
ONE = IscsiName("iqn.2026-01.com.example:one")
TWO = IscsiName("iqn.2026-01.com.example:two")
HOST = IscsiName("iqn.2026-01.com.example:host")
OTHER = IscsiName("iqn.2026-01.com.example:other")
SECRET, TARGET_SECRET = "a secret of the host", "another one of the target"
DEMO = {"generate_node_acls": 1, "demo_mode_write_protect": 0}
pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons on one state directory, one after the other."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running_daemon(tmp_path, *arguments))


def disk(directory: Path, name: str, **fields: Any) -> Backstore:
    """A file of 8 MiB."""
    fields = {"path": str(directory / f"{name}.img"), "size": 8 * MIB, "unit_serial": f"serial-of-{name}", **fields}
    return Backstore(key=BackstoreKey("fileio", name), **fields)


def one_target(
    *stores: Backstore, name: IscsiName = ONE, portals: tuple[Portal, ...] = (), **group: Any
) -> Configuration:
    """A target in demo mode with the backstores as LUN 0, 1 and so on."""
    luns = tuple(Lun(number=number, backstore=store.key) for number, store in enumerate(stores))
    fields = {"attributes": DEMO, **group}
    groups = (PortalGroup(tag=1, portals=portals, luns=luns, **fields),)
    return Configuration(
        backstores={store.key: store for store in stores}, targets={name: Target(name=name, portal_groups=groups)}
    )


def both(one: Configuration, other: Configuration) -> Configuration:
    """The two together."""
    return Configuration(backstores={**one.backstores, **other.backstores}, targets={**one.targets, **other.targets})


def with_group(configuration: Configuration, edit: Callable[[PortalGroup], PortalGroup]) -> Configuration:
    """With another first portal group of target ONE."""
    target = configuration.targets[ONE]
    edited = dataclasses.replace(target, portal_groups=(edit(target.portal_groups[0]),))
    return dataclasses.replace(configuration, targets={**configuration.targets, ONE: edited})


def put(daemon: Daemon, configuration: Configuration) -> None:
    """Make it the running one."""
    _, revision = daemon.client.configuration()
    daemon.client.replace(configuration, revision)


def settings(daemon: Daemon, name: IscsiName = ONE, **fields: Any) -> LoginSettings:
    """What logs in to a target of the daemon."""
    url = daemon.url(name)
    return LoginSettings(host=url.address, port=url.port, target_name=name, **{"initiator_name": HOST, **fields})


@contextlib.asynccontextmanager
async def unit_of(daemon: Daemon, lun: int = 0, name: IscsiName = ONE, **fields: Any) -> AsyncIterator[LogicalUnit]:
    """A unit in a session of its own, ready."""
    async with await Session.login(settings(daemon, name, **fields)) as session:
        unit = LogicalUnit(session, lun)
        await unit.become_ready()
        yield unit


async def write_and_read(unit: LogicalUnit, fill: bytes) -> None:
    """A block goes out and comes back."""
    await unit.write(fill * BLOCK, lba=1, block_length=BLOCK, fua=True)
    assert await unit.read(lba=1, num_blocks=1, block_length=BLOCK) == fill * BLOCK


async def refusal(daemon: Daemon, **fields: Any) -> int | None:
    """Why a login fails."""
    with pytest.raises(LoginFailed) as caught:
        await Session.login(settings(daemon, **fields))
    return caught.value.status


# -- From nothing ------------------------------------------------------------------------------------------------------


async def test_an_empty_daemon_gets_a_disk(start: StartDaemon, tmp_path: Path) -> None:
    """A file, a target and a LUN over the socket, and an initiator writes and reads."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    async with unit_of(daemon) as unit:
        await write_and_read(unit, b"a")
        assert (await unit.read_capacity()).size == 8 * MIB


@needs("iscsi-ls")
def test_libiscsi_finds_it(start: StartDaemon, tmp_path: Path) -> None:
    """Discovery, login and REPORT LUNS by another implementation."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a"), disk(tmp_path, "b")))
    listed = run_client(["iscsi-ls", "-s", daemon.url(ONE).portal])
    assert listed.returncode == 0
    assert ONE in listed.stdout
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("Lun")] == ["Lun:0", "Lun:1"]


@pytest.mark.parametrize("end", [Daemon.stop, Daemon.kill], ids=["stopped", "killed"])
async def test_a_restart_brings_the_same_back(start: StartDaemon, tmp_path: Path, end: Callable[[Daemon], Any]) -> None:
    """The configuration with its secrets, and the data."""
    daemon = start()
    wanted = one_target(disk(tmp_path, "a"), chap=Chap(userid="host", password=SECRET), attributes=DEMO)
    put(daemon, wanted)
    async with unit_of(daemon) as unit:
        await write_and_read(unit, b"r")
    before, _ = daemon.client.configuration()
    end(daemon)
    daemon = start()
    after, _ = daemon.client.configuration()
    assert after == before
    async with unit_of(daemon) as unit:
        assert await unit.read(lba=1, num_blocks=1, block_length=BLOCK) == b"r" * BLOCK
    assert (
        json.loads((daemon.state / "saveconfig.json").read_text())["targets"][0]["tpgs"][0]["chap_password"] == SECRET
    )


def test_a_damaged_file_is_passed_over(start: StartDaemon, tmp_path: Path) -> None:
    """The newest backup is loaded, and the daemon says so."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    put(daemon, both(one_target(disk(tmp_path, "a")), one_target(disk(tmp_path, "b"), name=TWO)))
    daemon.stop()
    saved = daemon.state / "saveconfig.json"
    saved.write_text(saved.read_text()[:100])
    daemon = start()
    version = daemon.client.version()
    assert list(daemon.client.configuration()[0].targets) == [ONE]
    assert "/backup/" in version.loaded_from
    assert any("saveconfig.json" in remark for remark in version.remarks)


def test_storage_that_is_gone_does_not_stop_the_others(start: StartDaemon, tmp_path: Path) -> None:
    """It is shown so, and an empty file is not made in its place."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a"), disk(tmp_path, "b")))
    daemon.stop()
    (tmp_path / "a.img").rename(tmp_path / "elsewhere.img")
    daemon = start()
    problems = {view.path: view.problem for view in daemon.client.backstores()}
    assert "a.img" in problems["/backstores/fileio/a"]
    assert not problems["/backstores/fileio/b"]
    assert not (tmp_path / "a.img").exists()


# -- Who gets in -------------------------------------------------------------------------------------------------------


async def test_without_a_node_acl_nobody_gets_in(start: StartDaemon, tmp_path: Path) -> None:
    """Unless demo mode lets everybody in: to write as well, unless told otherwise."""
    daemon = start()
    configuration = one_target(disk(tmp_path, "a"), attributes={})
    put(daemon, configuration)
    assert await refusal(daemon) == LoginStatus.AUTHORIZATION_FAILURE
    demo = {"generate_node_acls": 1}
    put(daemon, with_group(configuration, lambda group: dataclasses.replace(group, attributes=demo)))
    async with unit_of(daemon) as unit:
        await unit.write(b"x" * BLOCK, lba=0, block_length=BLOCK)
    protected = {**demo, "demo_mode_write_protect": 1}
    put(daemon, with_group(configuration, lambda group: dataclasses.replace(group, attributes=protected)))
    async with unit_of(daemon) as unit:
        with pytest.raises(ScsiError) as caught:
            await unit.write(b"x" * BLOCK, lba=0, block_length=BLOCK)
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.WRITE_PROTECTED


async def test_each_initiator_has_its_own_credentials(start: StartDaemon, tmp_path: Path) -> None:
    """CHAP by node ACL, in both directions."""
    daemon = start()
    mutual = Chap(userid="host", password=SECRET, mutual_userid="target", mutual_password=TARGET_SECRET)
    acls = (
        NodeAcl(name=HOST, chap=mutual, mapped_luns=(MappedLun(number=0, tpg_lun=0),)),
        NodeAcl(name=OTHER, chap=Chap(userid="other", password="the other's own secret")),
    )
    put(daemon, one_target(disk(tmp_path, "a"), attributes={"authentication": 1}, node_acls=acls))
    assert await refusal(daemon) == LoginStatus.AUTHENTICATION_FAILURE
    wrong = ChapCredentials(user="host", secret=b"not the secret of it")
    assert await refusal(daemon, credentials=wrong) == LoginStatus.AUTHENTICATION_FAILURE
    right = ChapCredentials(user="host", secret=SECRET.encode(), target_secret=TARGET_SECRET.encode())
    assert await refusal(daemon, credentials=right, initiator_name=OTHER) == LoginStatus.AUTHENTICATION_FAILURE
    async with unit_of(daemon, credentials=right) as unit:
        await write_and_read(unit, b"c")
        assert [view.chap_user for view in daemon.client.sessions()] == ["host"]


async def test_discovery_has_credentials_of_its_own(start: StartDaemon, tmp_path: Path) -> None:
    """They are asked for as soon as they are set."""
    daemon = start()
    configuration = one_target(disk(tmp_path, "a"))
    put(daemon, configuration)
    asking = dataclasses.replace(settings(daemon), target_name=None)
    assert [target.name for target in await discover(asking)] == [ONE]
    chap = DiscoveryAuthentication(enable=True, chap=Chap(userid="finder", password=SECRET))
    put(daemon, dataclasses.replace(configuration, discovery=chap))
    with pytest.raises(LoginFailed):
        await discover(asking)
    knowing = dataclasses.replace(asking, credentials=ChapCredentials(user="finder", secret=SECRET.encode()))
    assert [target.name for target in await discover(knowing)] == [ONE]


async def test_a_mapped_lun_has_a_number_and_rights_of_its_own(start: StartDaemon, tmp_path: Path) -> None:
    """One initiator reads at LUN 7 what the other writes at LUN 0."""
    daemon = start()
    acls = (
        NodeAcl(name=HOST, mapped_luns=(MappedLun(number=7, tpg_lun=0, write_protect=True),)),
        NodeAcl(name=OTHER, mapped_luns=(MappedLun(number=0, tpg_lun=0),)),
    )
    put(daemon, one_target(disk(tmp_path, "a"), attributes={}, node_acls=acls))
    async with unit_of(daemon, initiator_name=OTHER) as writer, unit_of(daemon, 7) as reader:
        await writer.write(b"w" * BLOCK, lba=1, block_length=BLOCK, fua=True)
        assert await reader.read(lba=1, num_blocks=1, block_length=BLOCK) == b"w" * BLOCK
        assert await reader.report_luns() == [encode_lun(7)]
        with pytest.raises(ScsiError) as caught:
            await reader.write(b"x" * BLOCK, lba=0, block_length=BLOCK)
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.WRITE_PROTECTED


async def test_a_disabled_group_lets_nobody_in(start: StartDaemon, tmp_path: Path) -> None:
    """Its sessions end; enabled again, they come back."""
    daemon = start()
    configuration = one_target(disk(tmp_path, "a"))
    put(daemon, configuration)
    session = await Session.login(settings(daemon))
    put(daemon, with_group(configuration, lambda group: dataclasses.replace(group, enable=False)))
    with pytest.raises(ConnectionLost):
        await session.execute(0, cdb.test_unit_ready())
    assert await refusal(daemon) == LoginStatus.SERVICE_UNAVAILABLE
    put(daemon, configuration)
    async with unit_of(daemon) as unit:
        await write_and_read(unit, b"e")


# -- While it runs -----------------------------------------------------------------------------------------------------


async def test_luns_come_and_go_under_a_session(start: StartDaemon, tmp_path: Path) -> None:
    """It goes on, hears of it, and another target's session notices nothing."""
    daemon = start()
    other = one_target(disk(tmp_path, "z"), name=TWO)
    put(daemon, both(one_target(disk(tmp_path, "a")), other))
    async with unit_of(daemon) as unit, unit_of(daemon, name=TWO) as bystander:
        put(daemon, both(one_target(disk(tmp_path, "a"), disk(tmp_path, "b")), other))
        result = await unit.session.execute(0, cdb.test_unit_ready())
        assert result.decoded_sense is not None
        assert result.decoded_sense.sense is Sense.REPORTED_LUNS_DATA_HAS_CHANGED
        assert await unit.report_luns() == [encode_lun(0), encode_lun(1)]
        second = LogicalUnit(unit.session, 1)
        await second.become_ready()
        await write_and_read(second, b"n")
        put(daemon, both(one_target(disk(tmp_path, "a")), other))
        gone = await unit.session.execute(1, cdb.test_unit_ready())
        assert gone.decoded_sense is not None
        assert gone.decoded_sense.sense is Sense.LOGICAL_UNIT_NOT_SUPPORTED
        assert (await bystander.session.execute(0, cdb.test_unit_ready())).status == Status.GOOD


async def test_a_disk_grows_under_a_session(start: StartDaemon, tmp_path: Path) -> None:
    """The initiator hears of it; to shrink it would need force."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    async with unit_of(daemon) as unit:
        put(daemon, one_target(disk(tmp_path, "a", size=16 * MIB)))
        result = await unit.session.execute(0, cdb.test_unit_ready())
        assert result.decoded_sense is not None
        assert result.decoded_sense.sense is Sense.CAPACITY_DATA_HAS_CHANGED
        assert (await unit.read_capacity()).size == 16 * MIB
        with pytest.raises(BusyError, match=HOST):
            put(daemon, one_target(disk(tmp_path, "a", size=4 * MIB)))
        assert (tmp_path / "a.img").stat().st_size == 16 * MIB


async def test_what_is_in_use_goes_only_by_force(start: StartDaemon, tmp_path: Path) -> None:
    """A target with a session, and a disk that is being read: refused with the name of who uses it."""
    daemon = start()
    configuration = one_target(disk(tmp_path, "a"))
    put(daemon, configuration)
    async with unit_of(daemon) as unit:
        with pytest.raises(BusyError, match=HOST) as caught:
            put(daemon, Configuration(backstores=configuration.backstores))
        assert caught.value.holders == (HOST,)
        [key] = configuration.backstores
        async with in_use(daemon.client, key, unit):
            with pytest.raises(BusyError, match=HOST):
                await asyncio.to_thread(put, daemon, one_target())
        await unit.read_capacity()
    _, revision = daemon.client.configuration()
    session = await Session.login(settings(daemon))
    daemon.client.replace(Configuration(), revision, force=True)
    with pytest.raises(ConnectionLost):
        await session.execute(0, cdb.test_unit_ready())
    assert daemon.client.configuration()[0] == Configuration()


async def test_a_change_that_fails_changes_nothing(start: StartDaemon, tmp_path: Path) -> None:
    """One of two backstores cannot be made: neither is, and its file goes again."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    before = daemon.client.configuration()
    bad = disk(tmp_path, "c", path=str(tmp_path / "missing" / "c.img"))
    async with unit_of(daemon) as unit:
        with pytest.raises(ConfigurationError, match="make its directory first"):
            put(daemon, one_target(disk(tmp_path, "a"), disk(tmp_path, "b"), bad))
        assert (await unit.session.execute(0, cdb.test_unit_ready())).status == Status.GOOD
    assert daemon.client.configuration() == before
    assert not (tmp_path / "b.img").exists()


async def test_the_same_again_changes_nothing(start: StartDaemon, tmp_path: Path) -> None:
    """Neither the revision nor the file."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    configuration, revision = daemon.client.configuration()
    stamp = (daemon.state / "saveconfig.json").stat().st_mtime_ns
    report = daemon.client.replace(one_target(disk(tmp_path, "a")), revision)
    assert (report.changes, report.revision) == ((), revision)
    assert (daemon.state / "saveconfig.json").stat().st_mtime_ns == stamp
    plan = daemon.client.replace(Configuration(), revision, dry_run=True)
    assert plan.changes[-1] == "- /backstores/fileio/a"
    assert daemon.client.configuration() == (configuration, revision)


async def test_an_operator_ends_a_session(start: StartDaemon, tmp_path: Path) -> None:
    """Dropped at once, or asked first."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    session = await Session.login(settings(daemon, initiator_alias="a host"))
    [view] = daemon.client.sessions()
    assert (view.initiator_name, view.initiator_alias, view.target_name, view.dynamic) == (HOST, "a host", ONE, True)
    assert view.luns == (0,)
    assert view.parameters["MaxConnections"] == 1
    assert view.connections[0].local == str(daemon.url(ONE).portal.removeprefix("iscsi://"))
    daemon.client.end_session(view.tsih, ask=False)
    with pytest.raises(ConnectionLost):
        await session.execute(0, cdb.test_unit_ready())
    assert daemon.client.sessions() == []
    with pytest.raises(ConfigurationError, match="there is no session"):
        daemon.client.end_session(view.tsih)


# -- Portals -----------------------------------------------------------------------------------------------------------


async def test_targets_share_an_address(start: StartDaemon, tmp_path: Path) -> None:
    """One socket for two targets; one leaves, the other stays; a target is found at its own portals only."""
    daemon = start()
    shared, own = Portal("127.0.0.1", free_port()), Portal("127.0.0.1", free_port())
    two = one_target(disk(tmp_path, "b"), name=TWO, portals=(shared, own))
    put(daemon, both(one_target(disk(tmp_path, "a"), portals=(shared,)), two))
    asking = LoginSettings(host="127.0.0.1", port=shared.port, initiator_name=HOST)
    assert {target.name for target in await discover(asking)} == {ONE, TWO}
    here = dataclasses.replace(asking, target_name=ONE)
    async with await Session.login(here):
        pass
    with pytest.raises(LoginFailed) as caught:
        await Session.login(dataclasses.replace(here, port=own.port))
    assert caught.value.status == LoginStatus.NOT_FOUND
    put(daemon, two)
    assert {target.name for target in await discover(asking)} == {TWO}


async def test_a_wide_portal_gives_way_to_a_narrow_one(start: StartDaemon, tmp_path: Path) -> None:
    """From every address to one and back, with a session that goes on through all of it."""
    daemon = start()
    port = free_port()
    put(daemon, one_target(disk(tmp_path, "a"), portals=(Portal("::", port),)))
    there = LoginSettings(host="127.0.0.1", port=port, initiator_name=HOST, target_name=ONE)
    async with await Session.login(there) as session:
        for address in ("0.0.0.0", "127.0.0.1", "::"):
            put(daemon, one_target(disk(tmp_path, "a"), portals=(Portal(address, port),)))
            assert daemon.portal_of(ONE).listening
            async with await Session.login(there):
                pass
        unit = LogicalUnit(session, 0)
        await unit.become_ready()


async def test_a_portal_that_cannot_be_bound_is_shown(start: StartDaemon, tmp_path: Path) -> None:
    """The daemon runs, says why, and listens once the port is free."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        portal = Portal("127.0.0.1", taken.getsockname()[1])
        daemon = start()
        _, revision = daemon.client.configuration()
        report = daemon.client.replace(one_target(disk(tmp_path, "a"), portals=(portal,)), revision)
        assert any("another program has this port" in warning for warning in report.warnings)
        assert not daemon.portal_of(ONE).listening
    await eventually(lambda: daemon.portal_of(ONE).listening)


# -- The socket --------------------------------------------------------------------------------------------------------


def test_secrets_do_not_come_out(start: StartDaemon, tmp_path: Path) -> None:
    """Not in answers, not in the log; put back as they were read, they stay."""
    daemon = start()
    chap = Chap(userid="host", password=SECRET, mutual_userid="target", mutual_password=TARGET_SECRET)
    put(daemon, one_target(disk(tmp_path, "a"), chap=chap))
    configuration, revision = daemon.client.configuration()
    assert configuration.targets[ONE].portal_groups[0].chap.password == KEPT
    report = daemon.client.replace(
        with_group(configuration, lambda group: dataclasses.replace(group, attributes={"authentication": 1})), revision
    )
    saved = (daemon.state / "saveconfig.json").read_text()
    assert SECRET in saved
    assert TARGET_SECRET in saved
    shown = daemon.log_text() + repr(report) + "".join(map(str, raw(daemon, "GET", "/v1/configuration")))
    assert SECRET not in shown
    assert TARGET_SECRET not in shown


def test_the_socket_is_the_owners_alone(start: StartDaemon) -> None:
    """Its mode, and that of what is kept."""
    daemon = start()
    put(daemon, Configuration(discovery=DiscoveryAuthentication(enable=True)))
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE((daemon.state / "saveconfig.json").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_turned_away(start: StartDaemon) -> None:
    """Even if the mode of the socket has been opened."""
    daemon = start()
    daemon.socket.chmod(0o666)
    for directory in daemon.socket.parents:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if mode & 0o005 != 0o005:
            directory.chmod(mode | 0o055)
    script = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/version HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(4096).decode())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, daemon.socket], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert ran.stdout.startswith("HTTP/1.1 403")
    assert daemon.client.version().pid == daemon.process.pid


def test_an_edit_of_an_old_revision_is_refused(start: StartDaemon, tmp_path: Path) -> None:
    """Two operators at once: the second one looks again."""
    daemon = start()
    _, revision = daemon.client.configuration()
    put(daemon, one_target(disk(tmp_path, "a")))
    with pytest.raises(RevisionConflictError):
        daemon.client.replace(Configuration(), revision)
    assert ONE in daemon.client.configuration()[0].targets


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/v1/nothing", None, {}, 404),
        ("DELETE", "/v1/configuration", None, {}, 405),
        ("PUT", "/v1/configuration", b"{}", {}, 428),
        ("PUT", "/v1/configuration", b"{}", {"If-Match": '"1"'}, 412),
        ("PUT", "/v1/configuration", b"{]", {"If-Match": "*"}, 400),
        ("PUT", "/v1/configuration", b"[]", {"If-Match": "*"}, 422),
        ("PUT", "/v1/configuration", b'{"targets": 3}', {"If-Match": "*"}, 422),
        ("PATCH", "/v1/configuration", b'{"removed": []}', {"If-Match": "*"}, 422),
        ("DELETE", "/v1/sessions/7", None, {}, 404),
        ("DELETE", "/v1/sessions/none", None, {}, 422),
    ],
)
def test_errors_are_problem_details(
    start: StartDaemon, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    """Each with its status, and a line of what is wrong (RFC 9457)."""
    found, kind, answer = raw(start(), method, path, body, headers)
    problem = json.loads(answer)
    assert (found, problem["status"], kind) == (status, status, "application/problem+json")
    assert problem["detail"]


def raw(
    daemon: Daemon, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Status, content type and body of an answer."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE)
    connection.sock.connect(str(daemon.socket))
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read().decode()


# -- The process -------------------------------------------------------------------------------------------------------


def test_a_hang_up_reads_the_file_again(start: StartDaemon, tmp_path: Path) -> None:
    """What somebody has written there runs from then on."""
    daemon = start()
    put(daemon, both(one_target(disk(tmp_path, "a")), one_target(disk(tmp_path, "b"), name=TWO)))
    saved = daemon.state / "saveconfig.json"
    document = json.loads(saved.read_text())
    document["targets"] = [target for target in document["targets"] if target["wwn"] == TWO]
    saved.write_text(json.dumps(document))
    daemon.process.send_signal(signal.SIGHUP)
    eventually_asked(lambda: ONE not in daemon.client.configuration()[0].targets)
    assert TWO in daemon.client.configuration()[0].targets


def test_a_hang_up_with_a_damaged_file_changes_nothing(start: StartDaemon, tmp_path: Path) -> None:
    """What runs stays, the log says why, and the next change is saved beside a copy of the damaged file."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    put(daemon, both(one_target(disk(tmp_path, "a")), one_target(disk(tmp_path, "b"), name=TWO)))
    saved = daemon.state / "saveconfig.json"
    saved.write_text(saved.read_text()[:-10])
    daemon.process.send_signal(signal.SIGHUP)
    eventually_asked(lambda: "configuration not read again" in daemon.log_text())
    assert set(daemon.client.configuration()[0].targets) == {ONE, TWO}
    put(daemon, one_target(disk(tmp_path, "a")))
    assert [target["wwn"] for target in json.loads(saved.read_text())["targets"]] == [ONE]
    assert (daemon.state / "saveconfig.json.damaged.1").exists()


def test_a_second_daemon_is_refused(start: StartDaemon, tmp_path: Path) -> None:
    """It would write over what the first one keeps."""
    start()
    with pytest.raises(Exception, match="another daemon uses"):
        start()


def test_it_ends_in_order(start: StartDaemon, tmp_path: Path) -> None:
    """Exit status 0, and nobody answers any more."""
    daemon = start()
    put(daemon, one_target(disk(tmp_path, "a")))
    assert daemon.stop() == 0
    assert not daemon.socket.exists()
    with pytest.raises(DaemonUnreachableError, match="start it with isthmus daemon"):
        daemon.client.version()


def test_the_service_manager_hears_of_it(start: StartDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY=1 when it serves, and WATCHDOG=1 from then on."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        start()
        assert [manager.recv(64) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]


@needs("systemd-socket-activate")
def test_the_service_manager_may_have_the_port_already(tmp_path: Path) -> None:
    """Started by the first connection, the daemon takes over the socket that is bound, and answers there."""
    port = free_port()
    environment = {"ISTHMUS_STATE": str(tmp_path / "state"), "ISTHMUS_RUN": str(tmp_path / "run")}
    settings = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    command = [sys.executable, "-m", "isthmus", "daemon", "--portal", f"127.0.0.1:{port}"]
    path = control_socket(tmp_path / "run")
    with subprocess.Popen(
        ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *settings, "-E", "PYTHONPATH", *command],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            first = wait_for(lambda: socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            client = wait_for(lambda: connected(Client(path)))
            client.change(lambda _: one_target(disk(tmp_path, "a")))
            [portal] = client.portals()
            assert (portal.listening, portal.bound, portal.problem) == (True, f"127.0.0.1:{port}", "")
            first.close()
        finally:
            process.terminate()


def connected(client: Client) -> Client:
    """A client whose daemon answers; raises `DaemonUnreachableError`."""
    client.version()
    return client


def wait_for(attempt: Callable[[], T]) -> T:
    """What `attempt` gives as soon as it succeeds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except (OSError, DaemonUnreachableError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
