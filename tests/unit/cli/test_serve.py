import socket
from pathlib import Path

import pytest

from isthmus.cli.main import run
from isthmus.cli.serve import default_portal, default_target_name
from isthmus.server import app
from isthmus.server.options import (
    ChapCredential,
    DigestMethod,
    FileUnit,
    LogLevel,
    MemoryUnit,
    Portal,
    Secret,
    ServeOptions,
)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """What the server was asked to do, each time the command line started it."""
    asked: list[ServeOptions] = []

    def record(options: ServeOptions) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(app, "run", record)
    monkeypatch.setattr("isthmus.server.logging.configure_logging", lambda _level: None)
    return asked


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with a secret that only its owner reads."""
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_bytes(b"correct horse battery\n")
    return path


def test_the_defaults(served: list[ServeOptions]) -> None:
    """A path alone is served to everyone, everywhere, writable, through the page cache."""
    assert run(["serve", "disk.img"]) == 0
    assert served == [
        ServeOptions(
            units=(FileUnit(path=Path("disk.img")),),
            target_name=default_target_name(),
            portals=(default_portal(),),
            read_only=False,
            write_back=True,
            block_length=512,
            chap=None,
            mutual_chap=None,
            header_digests=(DigestMethod.CRC32C, DigestMethod.NONE),
            data_digests=(DigestMethod.CRC32C, DigestMethod.NONE),
            max_connections=8,
            log_level=LogLevel.INFO,
        )
    ]


def test_every_option(served: list[ServeOptions], secret: Path, tmp_path: Path) -> None:
    """Each option reaches the server."""
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_bytes(b"staple staple staple")
    arguments = (
        "serve a.img /dev/sdz --size 10G --ram 1G --ram 512m --portal 127.0.0.1:0 --portal [::1]:3261"
        " --iqn IQN.2026-01.org.example:Disk --read-only --write-through --block-size 4096"
        f" --chap-user alice --chap-secret-file {secret} --mutual-user target --mutual-secret-file {other}"
        " --header-digest CRC32C --data-digest None,CRC32C --max-connections 2 --log-level debug"
    )
    assert run(arguments.split()) == 0
    (options,) = served
    assert options.units == (
        FileUnit(path=Path("a.img"), size=10 << 30),
        FileUnit(path=Path("/dev/sdz"), size=10 << 30),
        MemoryUnit(size=1 << 30),
        MemoryUnit(size=512 << 20),
    )
    assert options.portals == (Portal("127.0.0.1", 0), Portal("::1", 3261))
    assert options.target_name == "iqn.2026-01.org.example:disk"
    assert options.read_only
    assert not options.write_back
    assert options.block_length == 4096
    assert options.chap == ChapCredential(user="alice", secret=Secret(b"correct horse battery"))
    assert options.mutual_chap == ChapCredential(user="target", secret=Secret(b"staple staple staple"))
    assert options.header_digests == (DigestMethod.CRC32C,)
    assert options.data_digests == (DigestMethod.NONE, DigestMethod.CRC32C)
    assert options.max_connections == 2
    assert options.log_level is LogLevel.DEBUG


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ("", "name a file, a block device, or --ram SIZE"),
        ("d --size big", "like 10G"),
        ("--ram 0", "between 1 byte and 8191P"),
        ("d --portal ::1", "in brackets"),
        ("d --portal nowhere", "an IPv4 address or an IPv6 address in brackets"),
        ("d --portal 127.0.0.1:99999", "use 1 to 65535"),
        ("d --iqn disk1", "use iqn.YYYY-MM.REVERSED.DOMAIN"),
        ("d --iqn iqn.2026-13.org.example:disk", "use iqn.YYYY-MM.REVERSED.DOMAIN"),
        ("d --block-size 520", "'512', '4096'"),
        ("d --header-digest md5", "use None, CRC32C, or both"),
        ("d --max-connections 9", "1<=x<=8"),
        ("d --log-level loud", "'debug', 'info', 'warning', 'error'"),
        ("d --chap-user alice", "give both, or neither"),
        ("d --chap-secret-file f", "give both, or neither"),
        ("d --chap-user alice --chap-secret-file /nowhere", "check its path and permissions"),
        ("d --mutual-user target", "--mutual-secret-file belong together"),
        ("d --nope", "No such option"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_remedy(
    served: list[ServeOptions], capsys: pytest.CaptureFixture[str], arguments: str, remedy: str
) -> None:
    """What cannot be is refused with status 2 and one line, before anything starts."""
    assert run(["serve", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("isthmus: ")
    assert remedy in err
    assert served == []


def test_an_empty_user_is_refused(served: list[ServeOptions], capsys: pytest.CaptureFixture[str], secret: Path) -> None:
    """A CHAP name has at least one character."""
    assert run(["serve", "d", "--chap-user", "", "--chap-secret-file", str(secret)]) == 2
    assert "--chap-user" in capsys.readouterr().err


def test_mutual_chap_needs_the_other_direction(
    served: list[ServeOptions], capsys: pytest.CaptureFixture[str], secret: Path
) -> None:
    """The target proves itself only to initiators that prove themselves."""
    assert run(["serve", "d", "--mutual-user", "target", "--mutual-secret-file", str(secret)]) == 2
    assert "add --chap-user" in capsys.readouterr().err


def test_a_short_secret_is_used_but_warned_of(
    served: list[ServeOptions], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A secret under 96 bits is the operator's decision, and the log says so without showing it."""
    short = tmp_path / "short"
    short.touch(mode=0o600)
    short.write_bytes(b"hunter2")
    assert run(["serve", "d", "--chap-user", "alice", "--chap-secret-file", str(short)]) == 0
    out, err = capsys.readouterr()
    assert "short CHAP secret" in out + err
    assert "hunter2" not in out + err
    assert len(served) == 1


def test_a_secret_is_never_an_argument(served: list[ServeOptions], capsys: pytest.CaptureFixture[str]) -> None:
    """There is no option that takes the secret itself."""
    assert run(["serve", "d", "--chap-user", "alice", "--chap-secret", "correct horse battery"]) == 2
    assert served == []
    capsys.readouterr()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("storage1", "storage1"),
        ("Storage1.Example.COM", "storage1.example.com"),
        ("my_host", "my-host"),
        ("größe", "gr-e"),
        ("_", "localhost"),
        ("", "localhost"),
    ],
)
def test_the_default_name_is_the_hosts(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    """The target's name ends in the host's, so that it stays the same and differs from other hosts'."""
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert default_target_name() == f"iqn.2026-01.org.isthmus:{name}"


@pytest.mark.parametrize(("dual_stack", "portal"), [(True, Portal("::")), (False, Portal("0.0.0.0"))])
def test_the_default_portal_is_everywhere(monkeypatch: pytest.MonkeyPatch, dual_stack: bool, portal: Portal) -> None:
    """Both address families where the system has both, else IPv4."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: dual_stack)
    assert default_portal() == portal


def test_removable(served: list[ServeOptions]) -> None:
    """The media can be ejected if the operator says so."""
    assert run(["serve", "--removable", "disk.img"]) == 0
    assert served[0].removable


def test_cdrom(served: list[ServeOptions]) -> None:
    """Discs come behind the disks."""
    assert run(["serve", "--cdrom", "a.iso", "disk.img", "--ram", "1M"]) == 0
    disk, _, disc = served[0].units
    assert (disk, disc) == (FileUnit(path=Path("disk.img")), FileUnit(path=Path("a.iso"), in_drive=True))


def test_physical_block_size(served: list[ServeOptions]) -> None:
    """What the storage says, or what the operator says."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--physical-block-size", "4096", "disk.img"]) == 0
    assert [options.physical_block_length for options in served] == [None, 4096]


def test_replace_lost_reservations(served: list[ServeOptions]) -> None:
    """Damaged reservations are accepted only by one who says so."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--replace-lost-reservations", "disk.img"]) == 0
    assert [options.replace_lost_reservations for options in served] == [False, True]


def test_state_directory(served: list[ServeOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where state is kept comes from the option, else from the environment."""
    monkeypatch.setenv("ISTHMUS_STATE", "/srv/state")
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--state", "here", "disk.img"]) == 0
    assert [options.state_directory for options in served] == [Path("/srv/state"), Path("here")]


def test_erase_rate(served: list[ServeOptions]) -> None:
    """How fast disks are erased has no bound unless the operator sets one."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--erase-rate", "100M", "disk.img"]) == 0
    assert [options.erase_rate for options in served] == [None, 100 << 20]


def test_rotational(served: list[ServeOptions]) -> None:
    """The medium is said to turn only if the operator says so."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--rotational", "disk.img"]) == 0
    assert [options.rotational for options in served] == [False, True]


def test_attributes(served: list[ServeOptions]) -> None:
    """Each comes as the table of the configuration keeps it."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--attribute", "emulate_caw=off", "--attribute", "atomic_alignment=8", "disk.img"]) == 0
    assert [options.attributes for options in served] == [{}, {"emulate_caw": 0, "atomic_alignment": 8}]


def test_nopin_timeout(served: list[ServeOptions]) -> None:
    """How long an initiator may be silent; more than a minute is no answer to anything."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--nopin-timeout", "60", "disk.img"]) == 0
    assert [options.nopin_timeout for options in served] == [15, 60]
    assert run(["serve", "--nopin-timeout", "61", "disk.img"]) != 0


def test_encrypt(served: list[ServeOptions]) -> None:
    """Disks are in the clear unless the operator says otherwise."""
    assert run(["serve", "disk.img"]) == 0
    assert run(["serve", "--encrypt", "disk.img"]) == 0
    assert [options.encrypt for options in served] == [False, True]
