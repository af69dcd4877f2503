"""Every operation on a running daemon, through each of its faces, while an initiator writes and verifies elsewhere."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.names import IscsiName
from tests.support.busy import in_use
from tests.support.daemon import Daemon, free_port, running_daemon
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE, TWO, disk, target

pytestmark = pytest.mark.slow
GUEST = IscsiName("iqn.2026-01.com.example:guest")
BLOCK = 512
TPG, ACL = f"/iscsi/{TWO}/tpg1", f"/iscsi/{TWO}/tpg1/acls/{GUEST}"
GROUP = f"/v1/targets/{TWO}/portal-groups/1"

Face = Callable[["Place", Any], tuple[bool, str]]
"""Does one operation; gives whether that succeeded, and what was said."""


class Place:
    """A daemon, and where its files are."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self.directory = directory
        self.port = free_port()

    def program(self, *words: str, text: str | None = None) -> tuple[bool, str]:
        """Run `isthmus` as people do."""
        environment = {**os.environ, "ISTHMUS_RUN": str(self.directory / "run"), "TARGETCLI_HOME": str(self.directory)}
        command = [sys.executable, "-m", "isthmus", *words]
        ran = subprocess.run(
            command, input=text, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE
        )
        return ran.returncode == 0, ran.stdout + ran.stderr

    def shell(self, line: str) -> tuple[bool, str]:
        """One line for the shell."""
        return self.program("shell", text=line)

    def verb(self, line: str) -> tuple[bool, str]:
        """One command line."""
        return self.program(*line.split())

    def rest(self, request: tuple[str, str, object]) -> tuple[bool, str]:
        """One request."""
        method, path, body = request
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(str(self.daemon.socket))
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status < 300, answer.read().decode()


def shell_operations(place: Place) -> Iterator[str]:
    """As one types them into the shell."""
    yield "/backstores/ramdisk create b 1M"
    yield f"/iscsi create {TWO}"
    yield f"{TPG}/luns create /backstores/ramdisk/b 3"
    yield f"{TPG}/acls create {GUEST} add_mapped_luns=false"
    yield f"{ACL} create 0 3"
    yield "/backstores/ramdisk/b resize 2M"
    yield f"{ACL} set auth userid=guest password=geheimgeheim1"
    yield f"{TPG}/portals create 127.0.0.1 {place.port}"
    yield f"{TPG} disable"
    yield f"{TPG} enable"
    yield "LOG IN"
    yield "/ sessions logout TSIH"
    yield "LOG IN"
    yield "/ sessions drop TSIH"
    yield f"{ACL} delete 0"
    yield f"{TPG}/acls delete {GUEST}"
    yield f"{TPG}/luns delete 3"
    yield f"{TPG}/portals delete 127.0.0.1 {place.port}"
    yield f"/iscsi delete {TWO}"
    yield "/backstores/ramdisk delete b"


def verb_operations(place: Place) -> Iterator[str]:
    """As verbs."""
    secret = place.directory / "secret"
    secret.write_text("geheimgeheim1\n")
    secret.chmod(0o600)
    yield "backstore create ramdisk/b --size 1M"
    yield f"target create {TWO}"
    yield f"lun create {TWO} b --lun 3"
    yield f"acl create {TWO} {GUEST} --no-luns"
    yield f"acl map {TWO} {GUEST} 3 --as 0"
    yield "backstore resize b 2M"
    yield f"acl chap {TWO} {GUEST} --user guest --secret-file {secret}"
    yield f"portal create {TWO} 127.0.0.1:{place.port}"
    yield f"target disable {TWO}"
    yield f"target enable {TWO}"
    yield "LOG IN"
    yield "session logout TSIH"
    yield "LOG IN"
    yield "session logout --drop TSIH"
    yield f"acl unmap {TWO} {GUEST} 0"
    yield f"acl delete {TWO} {GUEST}"
    yield f"lun delete {TWO} 3"
    yield f"portal delete {TWO} 127.0.0.1:{place.port}"
    yield f"target delete {TWO}"
    yield "backstore delete b"


def rest_operations(place: Place) -> Iterator[Any]:
    """As requests."""
    acl = f"{GROUP}/acls/{GUEST}"
    yield "POST", "/v1/backstores", {"kind": "ramdisk", "name": "b", "size": 1 << 20}
    yield "POST", "/v1/targets", {"name": TWO}
    yield "POST", f"{GROUP}/luns", {"backstore": "/backstores/ramdisk/b", "lun": 3}
    yield "POST", f"{GROUP}/acls", {"initiator": GUEST, "map_all": False}
    yield "POST", f"{acl}/luns", {"tpg_lun": 3, "lun": 0}
    yield "PATCH", "/v1/backstores/ramdisk/b", {"size": 2 << 20}
    yield "PATCH", acl, {"chap": {"userid": "guest", "password": "geheimgeheim1"}}
    yield "POST", f"{GROUP}/portals", {"address": "127.0.0.1", "port": place.port}
    yield "PATCH", GROUP, {"enable": False}
    yield "PATCH", GROUP, {"enable": True}
    yield "LOG IN"
    yield "DELETE", "/v1/sessions/TSIH", None
    yield "LOG IN"
    yield "DELETE", "/v1/sessions/TSIH?ask=false", None
    yield "DELETE", f"{acl}/luns/0", None
    yield "DELETE", acl, None
    yield "DELETE", f"{GROUP}/luns/3", None
    yield "DELETE", f"{GROUP}/portals/127.0.0.1/{place.port}", None
    yield "DELETE", f"/v1/targets/{TWO}", None
    yield "DELETE", "/v1/backstores/ramdisk/b", None


FACES = [
    pytest.param(Place.shell, shell_operations, id="shell"),
    pytest.param(Place.verb, verb_operations, id="verbs"),
    pytest.param(Place.rest, rest_operations, id="rest"),
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A daemon with one target, whose LUN is in memory."""
    with running_daemon(tmp_path) as daemon:
        daemon.client.change(lambda _: target(disk("a")))
        yield Place(daemon, tmp_path)


def settings(place: Place) -> LoginSettings:
    """What logs the host in to target ONE."""
    url = place.daemon.url(ONE)
    return LoginSettings(host=url.address, port=url.port, target_name=ONE, initiator_name=HOST)


@contextlib.asynccontextmanager
async def load(place: Place) -> AsyncIterator[Session]:
    """An initiator that writes, reads and compares on target ONE all the while; its session must be the same at the end."""
    async with await Session.login(settings(place)) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        stopping = asyncio.Event()
        running = asyncio.create_task(write_and_verify(unit, stopping))
        try:
            yield session
        finally:
            stopping.set()
            assert await asyncio.wait_for(running, PATIENCE) > 0


async def write_and_verify(unit: LogicalUnit, stopping: asyncio.Event) -> int:
    """Blocks that nobody else writes; gives how many came back as they went."""
    done = 0
    while not stopping.is_set():
        lba, data = done % 2000, done.to_bytes(8, "big") * (BLOCK // 8)
        await unit.write(data, lba=lba, block_length=BLOCK)
        assert await unit.read(lba=lba, num_blocks=1, block_length=BLOCK) == data
        done += 1
        await asyncio.sleep(0)
    return done


async def log_in(place: Place) -> tuple[Session, int]:
    """A session of the guest with target TWO, and its TSIH."""
    session = await Session.login(
        LoginSettings(host="127.0.0.1", port=place.port, target_name=TWO, initiator_name=GUEST)
    )
    await LogicalUnit(session, 0).become_ready()
    return session, tsih_of(place, GUEST)


def tsih_of(place: Place, initiator: str) -> int:
    """Of the one session of an initiator."""
    [tsih] = [view.tsih for view in place.daemon.client.sessions() if view.initiator_name == initiator]
    return tsih


def with_tsih(operation: Any, tsih: int) -> Any:
    """The operation on that session."""
    if isinstance(operation, str):
        return operation.replace("TSIH", str(tsih))
    method, path, body = operation
    return method, path.replace("TSIH", str(tsih)), body


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("face", "operations"), FACES)
async def test_every_operation_while_others_work(place: Place, face: Face, operations: Any) -> None:
    """Each is done within its bound, and the session that none of them names goes on, with every byte right."""
    before, _ = place.daemon.client.configuration()
    async with load(place):
        working, tsih = tsih_of(place, HOST), 0
        for operation in operations(place):
            if operation == "LOG IN":
                _, tsih = await log_in(place)
                continue
            started = time.monotonic()
            succeeded, said = await asyncio.to_thread(face, place, with_tsih(operation, tsih))
            assert succeeded, (operation, said)
            assert time.monotonic() - started < PATIENCE, operation
            assert tsih_of(place, HOST) == working, operation
            assert "geheim" not in said
    after, _ = place.daemon.client.configuration()
    assert after == before


TAKING = [
    pytest.param(
        Place.shell, f"/iscsi/{ONE}/tpg1/luns delete 0", f"/iscsi/{ONE}/tpg1/luns delete 0 force=true", id="shell"
    ),
    pytest.param(Place.verb, f"lun delete {ONE} 0", f"lun delete {ONE} 0 --force", id="verbs"),
    pytest.param(
        Place.rest,
        ("DELETE", f"/v1/targets/{ONE}/portal-groups/1/luns/0", None),
        ("DELETE", f"/v1/targets/{ONE}/portal-groups/1/luns/0?force=true", None),
        id="rest",
    ),
]


@pytest.mark.parametrize(("face", "asked", "forced"), TAKING)
async def test_a_busy_lun_goes_by_force_only(place: Place, face: Face, asked: Any, forced: Any) -> None:
    """Without it, who holds it is named, and the work goes on."""
    async with await Session.login(settings(place)) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        async with in_use(place.daemon.client, disk("a").key, unit):
            succeeded, said = await asyncio.to_thread(face, place, asked)
            assert not succeeded
            assert HOST in said
        running = asyncio.create_task(write_and_verify(unit, asyncio.Event()))
        succeeded, said = await asyncio.to_thread(face, place, forced)
        assert succeeded, said
        with pytest.raises(Exception, match=r"LOGICAL UNIT NOT SUPPORTED|LUNS DATA HAS CHANGED"):
            await asyncio.wait_for(running, PATIENCE)
