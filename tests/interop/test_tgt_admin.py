"""The real tgt-admin and tgt-setup-lun, as Debian ships them, on our daemon and beside it on tgtd."""

import contextlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.config.model import Configuration
from isthmus.initiator import cdb
from isthmus.initiator.errors import ConnectionLost, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.names import IscsiName
from tests.support.clients import needs, run_client
from tests.support.daemon import running_daemon
from tests.support.patience import PATIENCE
from tests.support.server import Url
from tests.support.tgt import Answer, Tgt, our_tgt, real_tgt

pytestmark = needs("tgtd", "tgtadm", "tgt-admin")

TARGETS = """\
<target iqn.2026-05.com.example:storage02>
    # File-backed LUN
    backing-store $/disk02.img

    # Optional: CHAP authentication
    incominguser initiator_user secret_password

    # Optional: Restrict by initiator IQN
    initiator-address 127.0.0.1

    # Optional: Read-only LUN
    # write-cache off
</target>

<target iqn.2026-05.com.example:storage03>
    # Block-backed LUN for better performance
    backing-store $/lun02.img

    incominguser db_server db_secret
    initiator-address 127.0.0.50
</target>
"""
"""What our users have, with the paths and addresses of this machine."""
APPLY = "tgtadm --mode target --op update --tid 1 --name State --value ready"
STORAGE_02, STORAGE_03 = "iqn.2026-05.com.example:storage02", "iqn.2026-05.com.example:storage03"
LATER = """\
default-driver iscsi
incomingdiscoveryuser finder finders-secret
<target iqn.2026-05.com.example:storage02>
    <backing-store $/disk02.img>
        lun 5
        vendor_id ACME
        write-cache off
        scsi_sn 0815
        readonly 1
    </backing-store>
    <backing-store $/lun02.img>
        block-size 4096
    </backing-store>
    incominguser initiator_user secret_password
    incominguser second other_password
    outgoinguser target_user target_secret
    MaxRecvDataSegmentLength 65536
    initiator-name iqn.2026-05.com.example:host
</target>
<target iqn.2026-05.com.example:storage04>
    backing-store $/disk04.img
    controller_tid 9
</target>
"""


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Tgt]:
    """Our daemon."""
    with our_tgt(tmp_path / "ours") as tgt:
        yield tgt


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Tgt, Tgt]]:
    """Tgtd and our daemon."""
    with ExitStack() as stack:
        yield stack.enter_context(real_tgt(tmp_path / "tgtd")), stack.enter_context(our_tgt(tmp_path / "ours"))


def configured(tgt: Tgt, text: str = TARGETS) -> Path:
    """A targets.conf with its disks."""
    for name in ("disk02.img", "lun02.img", "disk04.img"):
        if not (tgt.directory / name).exists():
            tgt.disk(name)
    path = tgt.directory / "targets.conf"
    path.write_text(text.replace("$", str(tgt.directory)))
    return path


def url(tgt: Tgt, target: str, lun: int = 1) -> Url:
    """At the daemon's portal."""
    address, _, port = tgt.portal.rpartition(":")
    return Url(address=address, port=int(port), iqn=target, lun=lun)


def logs_in(where: Url, user: str = "", secret: str = "") -> bool:
    """Whether libiscsi gets to the disk."""
    credentials = f"{user}%{secret}@" if user else ""
    text = f"iscsi://{credentials}{where.address}:{where.port}/{where.iqn}/{where.lun}"
    return run_client(["iscsi-inq", text]).returncode == 0


@needs("iscsi-inq")
def test_the_sample_is_applied_and_served(ours: Tgt) -> None:
    """By the real tgt-admin, then tgtadm as the script has it; the right secret gets in, a wrong one or address not."""
    answer = ours.call("tgt-admin", "-e", "-c", str(configured(ours)))
    assert answer == Answer(0, "", "")
    assert ours.call(*APPLY.split()) == Answer(0, "", "")
    disk, elsewhere = url(ours, STORAGE_02), url(ours, STORAGE_03)
    assert logs_in(disk, "initiator_user", "secret_password")
    assert not logs_in(disk, "initiator_user", "another_password")
    assert not logs_in(disk, "db_server", "db_secret")
    assert not logs_in(disk)
    assert not logs_in(elsewhere, "db_server", "db_secret")


@needs("iscsi-inq")
def test_several_accounts_and_states(ours: Tgt) -> None:
    """Each of the users gets in by its own secret; nobody while the target, or the whole, is offline."""
    ours.call("tgt-admin", "-e", "-c", str(configured(ours)))
    ours.tgtadm(*["--op", "new", "--mode", "account", "--user", "second", "--password", "other_password"])
    ours.tgtadm(*["--op", "bind", "--mode", "account", "--tid", "1", "--user", "second"])
    disk = url(ours, STORAGE_02)
    assert logs_in(disk, "second", "other_password")
    assert logs_in(disk, "initiator_user", "secret_password")
    assert not logs_in(disk, "second", "secret_password")
    for off, on in (
        (
            "--op update --mode target --tid 1 -n state -v offline",
            "--op update --mode target --tid 1 -n state -v ready",
        ),
        ("--op update --mode sys -n State -v offline", "--op update --mode sys -n State -v ready"),
    ):
        assert ours.tgtadm(*off.split()).status == 0
        assert not logs_in(disk, "second", "other_password")
        assert ours.tgtadm(*on.split()).status == 0
        assert logs_in(disk, "second", "other_password")


def test_a_dump_loads_again(ours: Tgt) -> None:
    """To the same configuration, but for the secrets, which a dump does not have."""
    assert ours.daemon is not None
    ours.call("tgt-admin", "-e", "-c", str(configured(ours)))
    before, _ = ours.daemon.client.configuration()
    dumped = ours.call("tgt-admin", "--dump").output
    assert dumped.count("PLEASE_CORRECT_THE_PASSWORD") == 2
    assert ours.call("tgt-admin", "--delete", "ALL") == Answer(0, "", "")
    assert ours.show() == ""
    path = ours.directory / "dumped.conf"
    path.write_text(dumped)
    assert ours.call("tgt-admin", "-e", "-c", str(path)) == Answer(0, "", "")
    after, _ = ours.daemon.client.configuration()
    # The order in which Perl goes through a hash is another one each time, and the tids follow it.
    assert after.targets.keys() == before.targets.keys()
    for name, target in after.targets.items():
        assert target.portal_groups == before.targets[name].portal_groups
    assert {store.path for store in after.backstores.values()} == {store.path for store in before.backstores.values()}


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """What tgtadm shows is the same: tids, accounts bound and not, rules, settings."""
    with our_tgt(tmp_path / "ours") as tgt:
        tgt.call("tgt-admin", "-e", "-c", str(configured(tgt, LATER)))
        tgt.tgtadm(*["--op", "new", "--mode", "account", "--user", "idle", "--password", "never_bound"])
        tgt.tgtadm(*["--op", "update", "--mode", "target", "--tid", "9", "-n", "MaxConnections", "-v", "16"])
        before = everything(tgt)
        assert tgt.daemon is not None
        tgt.daemon.stop()
    with our_tgt(tmp_path / "ours") as tgt:
        assert everything(tgt) == before


def everything(tgt: Tgt) -> list[str]:
    """All that `show` tells."""
    calls = ("target", "account", "sys", "target --tid 9")
    return [tgt.tgtadm("--op", "show", "--mode", *call.split()).output for call in calls]


def comparable(tgt: Tgt, answer: Answer) -> list[object]:
    """An answer, and what is there afterwards, without what must differ."""
    shown = "\n".join(everything(tgt)[:2])
    texts = (answer.output, answer.errors, shown)
    return [
        answer.status,
        *(re.sub(r"127\.0\.0\.1:\d+", "PORTAL", text.replace(str(tgt.directory), "$")) for text in texts),
    ]


STEPS: tuple[tuple[str, str], ...] = (
    (TARGETS, "-e -c $/targets.conf"),
    (TARGETS, "-e -c $/targets.conf -v"),
    (TARGETS, "--offline ALL"),
    (TARGETS, "--ready tid=1"),
    (TARGETS, f"--ready {STORAGE_03}"),
    (TARGETS, f"--offline {STORAGE_02}"),
    (TARGETS, "--ready iqn.2026-05.com.example:absent"),
    (LATER, "--update ALL -c $/targets.conf"),
    (LATER, "--update tid=9 -c $/targets.conf -v"),
    (LATER, "--update iqn.2026-05.com.example:storage04 -c $/targets.conf -p"),
    (TARGETS, "--update ALL -c $/targets.conf"),
    (TARGETS, "-s"),
    (TARGETS, f"--delete {STORAGE_03}"),
    (TARGETS, "--delete tid=77"),
    (TARGETS, "--delete ALL"),
    (LATER, "-e -c $/targets.conf"),
    (TARGETS, "-e -c $/targets.conf"),
)
"""What is in the file, and what tgt-admin is asked for."""


def test_it_behaves_as_with_tgtd(both: tuple[Tgt, Tgt]) -> None:
    """Execute, offline, ready, update, delete, pretend, show: the same output, the same status, the same targets."""
    for text, step in STEPS:
        answers = []
        for tgt in both:
            configured(tgt, text)
            answer = tgt.call("tgt-admin", *step.replace("$", str(tgt.directory)).split())
            answers.append(comparable(tgt, answer))
        assert answers[0] == answers[1], step


def test_our_own_tgt_admin_does_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a daemon of its own: the same exit status, and the same targets and accounts after each step."""
    with ExitStack() as stack:
        theirs, ours = (stack.enter_context(our_tgt(tmp_path / name)) for name in ("theirs", "ours"))
        monkeypatch.setenv("TGT_IPC_SOCKET", str(ours.prefix))
        for text, step in STEPS:
            configured(theirs, text)
            configured(ours, text)
            answer = theirs.call("tgt-admin", *step.replace("$", str(theirs.directory)).split())
            status = main.run(["tgt-admin", *step.replace("$", str(ours.directory)).split()])
            capfd.readouterr()
            found = comparable(ours, Answer(status, "", ""))
            expected = comparable(theirs, Answer(answer.status, "", ""))
            assert found == expected, step


@needs("tgt-setup-lun")
def test_a_lun_is_set_up_in_one_go(both: tuple[Tgt, Tgt]) -> None:
    """tgt-setup-lun makes a target, a LUN and its rules, and adds another LUN to it. It asks for a running tgtd, which is there."""
    answers = []
    for tgt in both:
        disks = [tgt.disk(f"disk{number}.img") for number in range(2)]
        name = "iqn.2026-05.com.example:set-up"
        calls = [
            tgt.call("tgt-setup-lun", "-n", name, "-d", str(disks[0]), "127.0.0.1", "192.0.2.7"),
            tgt.call("tgt-setup-lun", "-n", name, "-d", str(disks[1]), "-b", "aio", stdin="yes\n"),
            tgt.call("tgt-setup-lun", "-n", name, "-d", str(tgt.directory / "absent.img")),
        ]
        answers.append([comparable(tgt, call) for call in calls])
    assert answers[0] == answers[1]


@needs("iscsi-inq")
def test_the_setup_of_libiscsis_own_tests(ours: Tgt) -> None:
    """Whose names have no date: a target with CHAP and two LUNs, made without naming the driver."""
    name, initiator = "iqn.libiscsi.unittest.target", "iqn.libiscsi.unittest.initiator"
    for call in (
        f"--op new --mode target --tid 1 -T {name}",
        f"--op new --mode logicalunit --tid 1 --lun 1 -b {ours.disk('LUN', 100 << 20)} --blocksize=4096",
        "--op bind --mode target --tid 1 -I ALL",
        "--op new --mode account --user libiscsi --password libiscsipassword",
        "--op bind --mode account --tid 1 --user libiscsi",
    ):
        assert ours.tgtadm(*call.split()) == Answer(0, "", "")
    where = url(ours, name)
    text = f"iscsi://libiscsi%libiscsipassword@{where.address}:{where.port}/{name}/1"
    assert run_client(["iscsi-inq", "-i", initiator, text]).returncode == 0
    assert run_client(["iscsi-inq", "-i", initiator, text.replace("password@", "nonsense@")]).returncode != 0


async def test_sessions_are_shown_counted_and_closed(ours: Tgt) -> None:
    """And a target that somebody is logged in to is deleted only by force."""
    ours.call("tgt-admin", "-e", "-c", str(configured(ours, TARGETS.replace("incominguser", "# incominguser"))))
    assert ours.tgtadm(*["--op", "show", "--mode", "conn", "--tid", "1"]) == Answer(0, "", "")
    where = url(ours, STORAGE_02)
    host = IscsiName("iqn.2026-05.com.example:host")
    there = LoginSettings(host=where.address, port=where.port, target_name=STORAGE_02, initiator_name=host)
    async with await Session.login(there) as session:
        unit = LogicalUnit(session, 1)
        await unit.become_ready()
        await unit.read(lba=0, num_blocks=8, block_length=512)
        shown = ours.tgtadm(*["--op", "show", "--mode", "conn", "--tid", "1"]).output
        assert re.fullmatch(
            rf"Session: \d+\n    Connection: 0\n        Initiator: {host}\n        IP Address: 127.0.0.1\n", shown
        )
        sid = shown.split()[1]
        assert f"        I_T nexus: {sid}\n            Initiator: {host} alias: none\n" in ours.show()
        counted = ours.tgtadm(*f"--op stat --mode sess --sid {sid}".split()).output.splitlines()
        assert counted[1].split()[:5] == ["1", "1", sid, "4096", "1"]
        assert counted[2].split()[:3] == ["1", "0", sid]
        assert (
            ours.tgtadm(*["--op", "delete", "--mode", "target", "--tid", "1"]).errors
            == "tgtadm: this target is still active\n"
        )
        assert (
            ours.tgtadm(*["--op", "delete", "--mode", "conn", "--tid", "1", "--sid", "999", "--cid", "0"]).status == 22
        )
        assert ours.tgtadm(*f"--op delete --mode conn --tid 1 --sid {sid} --cid 7".split()).status == 22
        assert ours.tgtadm(*f"--op delete --mode conn --tid 1 --sid {sid} --cid 0".split()).status == 0
        with pytest.raises(ConnectionLost):
            await unit.become_ready()
    with contextlib.suppress(ConnectionLost):
        async with await Session.login(there):
            assert "is in use" not in ours.call("tgt-admin", "--delete", STORAGE_02).output
            assert ours.tgtadm(*["--op", "delete", "--force", "--mode", "target", "--tid", "1"]).status == 0
    assert STORAGE_02 not in ours.show()


@needs("tgtd", "tgtadm")
async def test_pdus_are_counted_as_tgtd_counts_them(tmp_path: Path) -> None:
    """Octets and PDUs, for the same commands: reads and writes short and long, one that fails, a ping.

    Data-In and SCSI Response PDUs tgtd looks for by the opcode of the request, so that it finds none.
    """
    found = []
    for name, start in (("tgtd", real_tgt), ("ours", our_tgt)):
        with start(tmp_path / name) as side:
            found.append(await counted_pdus(side))
    (theirs, their_stats), (ours, our_stats) = found
    assert our_stats == their_stats
    assert (theirs[5], theirs[7]) == (0, 0)
    assert ours == [*theirs[:5], 3, theirs[6], 4]


async def counted_pdus(side: Tgt) -> tuple[list[int], dict[str, list[list[str]]]]:
    """What a session's commands add to the counters of its connection; and what is told of units, by mode."""
    disk = side.disk("counted.img")
    for line in (
        f"--op new --mode target --tid 1 -T {STORAGE_02}",
        f"--op new --mode lu --tid 1 --lun 1 -b {disk}",
        "--op bind --mode target --tid 1 -I ALL",
        *(f"--op update --mode target --tid 1 -n {key}" for key in ("HeaderDigest -v None", "DataDigest -v None")),
    ):
        assert side.tgtadm(*line.split()) == Answer(0, "", "")
    where = url(side, STORAGE_02)
    host = IscsiName("iqn.2026-05.com.example:host")
    there = LoginSettings(host=where.address, port=where.port, target_name=STORAGE_02, initiator_name=host)
    async with await Session.login(there) as session:
        unit = LogicalUnit(session, 1)
        await unit.become_ready()
        sid = side.tgtadm(*["--op", "show", "--mode", "conn", "--tid", "1"]).output.split()[1]

        def counters() -> list[int]:
            answer = side.tgtadm(*f"--op stat --mode conn --tid 1 --sid {sid} --cid 0".split())
            return [int(word) for word in answer.output.splitlines()[1].split()]

        before = counters()
        for count in (1, 3, 512):
            await unit.write(bytes(512 * count), lba=0, block_length=512)
            await unit.read(lba=0, num_blocks=count, block_length=512)
        stats = {
            mode: rows_of(side.tgtadm(*f"--op stat --mode {mode}".split()).output)
            for mode in (
                "sys",
                "target --tid 1",
                "lu --tid 1 --lun 1",
                f"lu --tid 1 --lun 1 --sid {sid}",
                f"sess --sid {sid}",
            )
        }
        with pytest.raises(ScsiError):
            await unit.command("READ beyond the end", cdb.read_16(lba=1 << 40, num_blocks=1), data_in_length=512)
        await session.ping(b"are you there")
        added = [after - old for after, old in zip(counters(), before, strict=True)]
        return added, stats


def rows_of(stat: str) -> list[list[str]]:
    """What is counted for each LUN. The errors of tgtd are every CHECK CONDITION, ours what the storage cannot do."""
    return [line.split()[:-1] for line in stat.partition("\n\n")[0].splitlines()]


@needs("iscsi-inq")
def test_networks_let_in_who_is_in_them(ours: Tgt) -> None:
    """Beside them, names do."""
    ours.call("tgt-admin", "-e", "-c", str(configured(ours, TARGETS.replace("incominguser", "# incominguser"))))
    bind, unbind = (
        ("--op", "bind", "--mode", "target", "--tid", "2"),
        ("--op", "unbind", "--mode", "target", "--tid", "2"),
    )
    disk = url(ours, STORAGE_03)
    assert not logs_in(disk)
    for option, rule in (
        ("-I", "127.0.0.0/8"),
        ("-Q", "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-inq"),
        ("-I", "ALL"),
    ):
        assert ours.tgtadm(*bind, option, rule) == Answer(0, "", "")
        assert logs_in(disk), rule
        assert ours.tgtadm(*unbind, option, rule) == Answer(0, "", "")
        assert not logs_in(disk), rule


def test_only_the_owner_is_answered(ours: Tgt) -> None:
    """The socket is the owner's alone, and stays there after the daemon has ended by a system delete."""
    path = Path(f"{ours.prefix}.0")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ours.tgtadm(*["--op", "delete", "--mode", "sys"]) == Answer(0, "", "")
    assert ours.daemon is not None
    assert ours.daemon.process.wait(PATIENCE) == 0
    assert path.is_socket()


def test_the_configuration_can_ask_for_the_socket(tmp_path: Path) -> None:
    """By its option `tgt_socket`, from the next start on."""
    directory = tmp_path / "ours"
    directory.mkdir()
    with running_daemon(directory) as daemon:
        daemon.client.change(lambda _: Configuration(options={"tgt_socket": str(directory / "tgt")}))
        daemon.stop()
    with running_daemon(directory):
        assert Tgt(directory).tgtadm("--op", "show", "--mode", "sys").output.startswith("System:\n")
