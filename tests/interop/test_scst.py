"""SCST's files, as people have them, read by `isthmus import`, served, and logged in to."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from isthmus.compat.scst.identity import serial_of
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.opcodes import LoginStatus
from tests.support.clients import needs, run_client
from tests.support.daemon import Daemon, StartDaemon, running_daemon
from tests.support.patience import PATIENCE

SAMPLES = Path(__file__).parent / "sessions"
TARGET = "iqn.2026-05.com.example:storage03"
INITIATOR = "iqn.2026-05.com.example:db-server"
USER = "db_server"
SECRETS = {"scst.conf": "db_secret1234", "scst-iscsi-scst.conf": "db_secret"}
DEVICE = "/dev/mapper/iscsi_vg-lun03"
BLOCK, MIB = 512, 1 << 20
pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons on one state directory, one after the other."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running_daemon(tmp_path, *arguments))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """What stands for the logical volume of the samples: 8 MiB."""
    path = tmp_path / "iscsi_vg-lun03"
    with path.open("xb") as file:
        file.truncate(8 * MIB)
    return path


def blocks(disk: Path, lba: int) -> bytes:
    """A block of the file."""
    return disk.read_bytes()[lba * BLOCK :][:BLOCK]


def adapted(sample: str, disk: Path) -> Path:
    """The sample with the path of this machine's disk."""
    text = (SAMPLES / sample).read_text()
    assert DEVICE in text
    path = disk.with_name(f"adapted-{sample}")
    path.write_text(text.replace(DEVICE, str(disk)))
    return path


def isthmus(daemon: Daemon, *words: str | Path, status: int = 0, text: str = "") -> str:
    """What the program says on standard output."""
    ran = subprocess.run(
        [sys.executable, "-m", "isthmus", *map(str, words)],
        check=False,
        capture_output=True,
        input=text,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "ISTHMUS_RUN": str(daemon.socket.parent)},
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout + (ran.stderr if status else "")


def settings(daemon: Daemon, secret: str, *, user: str = USER, initiator: str = INITIATOR) -> LoginSettings:
    """What logs in with CHAP."""
    url = daemon.url(TARGET)
    return LoginSettings(
        host=url.address,
        port=url.port,
        target_name=TARGET,
        initiator_name=initiator,
        credentials=ChapCredentials(user=user, secret=secret.encode()),
    )


async def refusal(wanted: LoginSettings) -> int | None:
    """Why a login fails."""
    with pytest.raises(LoginFailed) as caught:
        await Session.login(wanted)
    return caught.value.status


@pytest.mark.parametrize("sample", SECRETS)
async def test_a_sample_is_served(start: StartDaemon, disk: Path, sample: str) -> None:
    """The right name with the right secret writes and reads; a wrong secret and a wrong name stay out."""
    daemon, secret = start(), SECRETS[sample]
    said = isthmus(daemon, "import", "scst", "--strict", adapted(sample, disk))
    assert "revision" in said.splitlines()[-1]
    assert secret not in said
    async with await Session.login(settings(daemon, secret)) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        assert (await unit.read_capacity()).size == 8 * MIB
        await unit.write(b"x" * BLOCK, lba=3, block_length=BLOCK, fua=True)
        assert await unit.read(lba=3, num_blocks=1, block_length=BLOCK) == b"x" * BLOCK
    assert blocks(disk, 3) == b"x" * BLOCK
    assert await refusal(settings(daemon, "another secret")) == LoginStatus.AUTHENTICATION_FAILURE
    stranger = settings(daemon, secret, initiator="iqn.2026-05.com.example:web-server")
    assert await refusal(stranger) == LoginStatus.AUTHORIZATION_FAILURE


@needs("iscsi-inq")
@pytest.mark.parametrize("sample", SECRETS)
def test_libiscsi_logs_in(start: StartDaemon, disk: Path, sample: str) -> None:
    """Another implementation of CHAP, with the secret and without."""
    daemon = start()
    isthmus(daemon, "import", "scst", adapted(sample, disk))
    url = daemon.url(TARGET)
    right = run_client(["iscsi-inq", "-i", INITIATOR, url.render(credentials=f"{USER}%{SECRETS[sample]}")])
    assert right.returncode == 0, right.stderr
    assert "Peripheral Device Type:DIRECT_ACCESS" in right.stdout
    if sample == "scst.conf":
        page = ["-e", "1", "-c", str(0x83)]
        names = run_client(
            ["iscsi-inq", "-i", INITIATOR, *page, url.render(credentials=f"{USER}%{SECRETS[sample]}")]
        ).stdout
        assert f"SCST_FIO{serial_of('lun03', 0)}-lun03" in names, names
        assert "NAA" not in names
    for wrong in (url.render(credentials=f"{USER}%wrong"), url.render()):
        assert run_client(["iscsi-inq", "-i", INITIATOR, wrong]).returncode != 0


async def test_four_connections_in_a_session_and_no_fifth(start: StartDaemon, disk: Path) -> None:
    """MaxConnections 4 of the ini-style file; commands go over each of the four."""
    sample = "scst-iscsi-scst.conf"
    daemon = start()
    isthmus(daemon, "import", "scst", adapted(sample, disk))
    async with await Session.login(settings(daemon, SECRETS[sample])) as session:
        others = [await session.add_connection() for _ in range(3)]
        assert session.parameters is not None
        assert session.parameters.max_connections == 4
        with pytest.raises(LoginFailed) as caught:
            await session.add_connection()
        assert caught.value.status == LoginStatus.TOO_MANY_CONNECTIONS
        for connection in [session.connections[0], *others]:
            assert await session.ping(b"x", connection=connection) == b"x"
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        block = b"4" * BLOCK
        await asyncio.gather(*(unit.write(block, lba=lba, block_length=BLOCK) for lba in range(16)))
        assert await unit.read(lba=0, num_blocks=16, block_length=BLOCK) == block * 16


def test_an_export_imports_to_the_same(start: StartDaemon, disk: Path, tmp_path: Path) -> None:
    """Nothing is to change; the secret is not in it, and stays."""
    daemon = start()
    isthmus(daemon, "import", "scst", adapted("scst.conf", disk))
    exported = isthmus(daemon, "export", "scst")
    assert SECRETS["scst.conf"] not in exported
    assert f'IncomingUser "{USER} (kept)"' in exported
    again = tmp_path / "exported.conf"
    again.write_text(exported)
    assert isthmus(daemon, "import", "scst", "--strict", again) == "nothing to change\n"


def test_what_cannot_be_done_is_told_by_line(start: StartDaemon, disk: Path, tmp_path: Path) -> None:
    """Done all the same; refused with --strict; a syntax error names its column."""
    daemon = start()
    file = tmp_path / "x.conf"
    file.write_text(f"HANDLER vdisk_fileio {{\n\tDEVICE d {{\n\t\tfilename {disk}\n\t\tnv_cache 1\n\t}}\n}}\n")
    said = isthmus(daemon, "import", "scst", "--strict", file, status=2)
    told = f"{file}:4: nv_cache 1 of DEVICE d: what initiators ask to be flushed is flushed all the same"
    assert said.splitlines()[0] == f"isthmus: {told}"
    assert daemon.client.configuration()[0].backstores == {}
    assert isthmus(daemon, "import", "scst", file, "--dry-run").splitlines()[-1] == "1 change to make"
    isthmus(daemon, "import", "scst", file)
    assert [store.path for store in daemon.client.backstores()] == ["/backstores/fileio/d"]
    file.write_text("HANDLER vdisk_fileio {\n")
    said = isthmus(daemon, "import", "scst", file, status=2)
    assert said == f"isthmus: {file}:1:1: the section 'HANDLER' is not closed: its end is a line with }} alone\n"


async def test_a_secret_may_hold_any_byte(start: StartDaemon, disk: Path, tmp_path: Path) -> None:
    """Quotes, hashes, backslashes, dollars, backquotes and bytes that are no UTF-8: nothing passes through a shell."""
    daemon = start()
    secret = bytes([*range(0x20, 0x7F), 0x01, 0xE9, 0xFF]).strip()
    quoted = secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"#", b"\\#")
    file = tmp_path / "x.conf"
    text = (SAMPLES / "scst.conf").read_bytes().replace(DEVICE.encode(), os.fsencode(disk))
    file.write_bytes(text.replace(b"db_secret1234", quoted))
    isthmus(daemon, "import", "scst", "--strict", file)
    wanted = settings(daemon, "")
    with contextlib.suppress(LoginFailed):
        await Session.login(wanted)
        pytest.fail("an empty secret gets in")
    right = LoginSettings(
        host=wanted.host,
        port=wanted.port,
        target_name=TARGET,
        initiator_name=INITIATOR,
        credentials=ChapCredentials(user=USER, secret=secret),
    )
    async with await Session.login(right) as session:
        assert await session.ping(b"x") == b"x"


def scstadmin(daemon: Daemon, program: Path, *words: str) -> str:
    """What the program called `scstadmin` says."""
    ran = subprocess.run(
        [str(program), *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "ISTHMUS_RUN": str(daemon.socket.parent)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


async def test_scstadmin_sets_up_a_target(start: StartDaemon, disk: Path, tmp_path: Path) -> None:
    """The steps of SCST's guides, typed to the program by its own name; then a LUN comes and goes while it is in use."""
    daemon = start()
    program = tmp_path / "scstadmin"
    program.symlink_to(Path(sys.executable).with_name("isthmus"))
    where = ("-driver", "iscsi", "-target", TARGET)
    for words in (
        ("-open_dev", "disk01", "-handler", "vdisk_fileio", "-attributes", f"filename={disk}"),
        ("-open_dev", "null", "-handler", "vdisk_nullio", "-attributes", "size=1048576"),
        ("-add_target", TARGET, "-driver", "iscsi"),
        ("-add_group", "db", *where),
        ("-add_init", f"{INITIATOR[:-3]}*", *where, "-group", "db"),
        ("-add_lun", "0", *where, "-group", "db", "-device", "disk01"),
        ("-add_tgt_attr", TARGET, "-driver", "iscsi", "-attributes", f"IncomingUser={USER} db_secret1234"),
        ("-enable_target", TARGET, "-driver", "iscsi"),
    ):
        scstadmin(daemon, program, *words)
    async with await Session.login(settings(daemon, "db_secret1234")) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        assert INITIATOR in scstadmin(daemon, program, "-list_sessions")
        scstadmin(daemon, program, "-add_lun", "1", *where, "-group", "db", "-device", "null")
        other = LogicalUnit(session, 1)
        await other.become_ready()
        assert (await other.read_capacity()).size == MIB
        scstadmin(daemon, program, "-rem_lun", "1", *where, "-group", "db", "-force", "-noprompt")
        await unit.become_ready()
        await unit.write(b"s" * BLOCK, lba=0, block_length=BLOCK, fua=True)
    stranger = settings(daemon, "db_secret1234", initiator="iqn.2026-05.com.example:web-server")
    assert await refusal(stranger) == LoginStatus.AUTHORIZATION_FAILURE
    assert blocks(disk, 0) == b"s" * BLOCK


async def test_scstadmin_tells_initiators_of_a_pair_of_servers(start: StartDaemon, disk: Path, tmp_path: Path) -> None:
    """Device and target groups made step by step, while an initiator is logged in: it sees its own port and the other."""
    daemon = start()
    source = tmp_path / "scst.conf"
    source.write_text(
        f"HANDLER vdisk_fileio {{\nDEVICE disk01 {{\nfilename {disk}\n}}\n}}\n"
        f"TARGET_DRIVER iscsi {{\nenabled 1\nTARGET {TARGET} {{\nenabled 1\nLUN 0 disk01\n}}\n}}\n"
    )
    isthmus(daemon, "scstadmin", "-config", source)
    url = daemon.url(TARGET)
    open_to_all = LoginSettings(host=url.address, port=url.port, target_name=TARGET, initiator_name=INITIATOR)
    async with await Session.login(open_to_all) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        assert [group[2] for group in await target_port_groups(unit)] == [0]
        remote = ("-dev_group", "pair", "-tgt_group", "remote")
        for words in (
            ("-add_dgrp", "pair"),
            ("-add_tgrp", "local", "-dev_group", "pair"),
            ("-add_tgrp", "remote", "-dev_group", "pair"),
            ("-add_tgrp_tgt", TARGET, "-dev_group", "pair", "-tgt_group", "local"),
            ("-add_tgrp_tgt", "iqn.2026-05.com.example:other-node", *remote),
            (
                "-set_ttgt_attr",
                "iqn.2026-05.com.example:other-node",
                *remote,
                "-attributes",
                "rel_tgt_id=9",
                "-noprompt",
            ),
            ("-set_tgrp_attr", "remote", "-dev_group", "pair", "-attributes", "state=standby", "-noprompt"),
            ("-add_dgrp_dev", "disk01", "-dev_group", "pair"),
        ):
            isthmus(daemon, "scstadmin", *words)
        await unit.become_ready()
        [local, other] = await target_port_groups(unit)
        assert (local[0], local[2], other) == (0, 1, (2, [9], 2))
        isthmus(daemon, "scstadmin", "-rem_dgrp", "pair")
        await unit.become_ready()
        assert [group[2] for group in await target_port_groups(unit)] == [0]


async def target_port_groups(unit: LogicalUnit) -> list[tuple[int, list[int], int]]:
    """REPORT TARGET PORT GROUPS (SPC-5 §6.36): of each group its state, its ports and its identifier."""
    cdb = bytes([0xA3, 0x0A, *bytes(4), *(255).to_bytes(4), 0, 0])
    data = bytes((await unit.command("REPORT TARGET PORT GROUPS", cdb, data_in_length=255)).data_in)[4:]
    found = []
    while data:
        ports = [int.from_bytes(data[place + 2 : place + 4]) for place in range(8, 8 + 4 * data[7], 4)]
        found.append((data[0], ports, int.from_bytes(data[2:4])))
        data = data[8 + 4 * data[7] :]
    return found
