"""libiscsi's command line tools against the running server."""

import socket
from pathlib import Path

import pytest

from tests.support.clients import needs, run_client
from tests.support.drive import iso_image
from tests.support.server import Serve

pytestmark = [needs("iscsi-ls", "iscsi-inq", "iscsi-readcapacity16", "iscsi-swp"), pytest.mark.slow]

_IQN = "iqn.2026-01.org.isthmus:interop"
_SECRET = "correct horse battery"
_TARGET_SECRET = "staple of the target"


@pytest.fixture
def chap(tmp_path: Path) -> list[str | Path]:
    """Options for one-way CHAP."""
    secret = tmp_path / "secret"
    secret.write_text(f"{_SECRET}\n", encoding="ascii")
    secret.chmod(0o600)
    return ["--chap-user", "alice", "--chap-secret-file", secret]


@pytest.fixture
def mutual_chap(tmp_path: Path, chap: list[str | Path]) -> list[str | Path]:
    """Options for CHAP in both directions."""
    secret = tmp_path / "target-secret"
    secret.write_text(f"{_TARGET_SECRET}\n", encoding="ascii")
    secret.chmod(0o600)
    return [*chap, "--mutual-user", "storage", "--mutual-secret-file", secret]


def test_list_with_luns(serve: Serve, medium: Path) -> None:
    """Discovery gives the target with its portal and tag, and each logical unit with its size."""
    server = serve(medium, "--ram", "32M", "--iqn", _IQN, ready_lines=2)
    listing = run_client(["iscsi-ls", "-s", server.url.portal])
    assert listing.returncode == 0, listing.stderr
    assert listing.stdout.splitlines() == [
        f"Target:{_IQN} Portal:127.0.0.1:{server.url.port},1",
        "Lun:0    Type:DIRECT_ACCESS (Size:63M)",
        "Lun:1    Type:DIRECT_ACCESS (Size:31M)",
    ]


def test_a_drive(serve: Serve, medium: Path, tmp_path: Path) -> None:
    """A drive is listed as one, beside a disk, and tells what it is."""
    image = tmp_path / "a.iso"
    image.write_bytes(iso_image("HELLO.TXT;1", b"Hello"))
    server = serve(medium, "--cdrom", image, "--iqn", _IQN, ready_lines=2)
    listing = run_client(["iscsi-ls", "-s", server.url.portal])
    assert [line.split()[1] for line in listing.stdout.splitlines()[1:]] == ["Type:DIRECT_ACCESS", "Type:MMC"]
    told = run_client(["iscsi-inq", str(server.urls[1])])
    assert told.returncode == 0, told.stderr
    assert {"Peripheral Device Type:MMC", "Removable:1"} <= set(told.stdout.splitlines())
    assert "Product:VIRTUAL-CDROM" in told.stdout


def test_announced_luns_are_those_listed(serve: Serve, medium: Path) -> None:
    """The ready lines name each logical unit once, in order."""
    server = serve(medium, "--ram", "32M", "--iqn", _IQN, ready_lines=2)
    assert [(url.iqn, url.lun) for url in server.urls] == [(_IQN, 0), (_IQN, 1)]


def test_ipv6(serve: Serve, medium: Path) -> None:
    """A portal with an IPv6 address is announced, discovered and used in brackets."""
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    server = serve(medium, "--iqn", _IQN, "--portal", "[::1]:0")
    assert str(server.url).startswith("iscsi://[::1]:")
    listing = run_client(["iscsi-ls", "-s", server.url.portal])
    assert listing.returncode == 0, listing.stderr
    assert listing.stdout.splitlines()[0] == f"Target:{_IQN} Portal:[::1]:{server.url.port},1"
    assert run_client(["iscsi-readcapacity16", "-s", server.url]).stdout.strip() == str(64 * 1024 * 1024)


def test_inquiry(serve: Serve, medium: Path) -> None:
    """The standard inquiry data is that of a disk of this make."""
    inquiry = run_client(["iscsi-inq", serve(medium).url])
    assert inquiry.returncode == 0, inquiry.stderr
    lines = inquiry.stdout.splitlines()
    assert {"Peripheral Qualifier:CONNECTED", "Peripheral Device Type:DIRECT_ACCESS", "CmdQue:1"} <= set(lines)
    assert any(line.startswith("Vendor:ISTHMUS") for line in lines)


@pytest.mark.parametrize("page", [0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2], ids=hex)
def test_vital_product_data(serve: Serve, medium: Path, page: int) -> None:
    """Each page that a disk has can be read."""
    inquiry = run_client(["iscsi-inq", "-e", "1", "-c", str(page), serve(medium).url])
    assert inquiry.returncode == 0, inquiry.stderr
    assert inquiry.stdout.strip()


@pytest.mark.parametrize("block_length", [512, 4096])
def test_capacity(serve: Serve, medium: Path, block_length: int) -> None:
    """Capacity comes in blocks of the length asked for."""
    capacity = run_client(["iscsi-readcapacity16", serve(medium, "--block-size", str(block_length)).url])
    assert capacity.returncode == 0, capacity.stderr
    lines = capacity.stdout.splitlines()
    assert f"RETURNED LOGICAL BLOCK ADDRESS:{64 * 1024 * 1024 // block_length - 1}" in lines
    assert f"LOGICAL BLOCK LENGTH IN BYTES:{block_length}" in lines
    assert f"Total size:{64 * 1024 * 1024}" in lines


def test_software_write_protect(serve: Serve, medium: Path) -> None:
    """SWP in the Control mode page can be set and cleared, and is seen by the next session."""
    url = serve(medium).url
    for setting, shown in (("on", "SWP:1"), ("off", "SWP:0")):
        assert run_client(["iscsi-swp", "-s", setting, url]).returncode == 0
        assert run_client(["iscsi-swp", url]).stdout.splitlines()[-1] == shown


def test_header_digest(serve: Serve, medium: Path) -> None:
    """A client that offers both is brought to CRC32C for headers by a server that insists on it, and can work with it."""
    server = serve(medium, "--header-digest", "CRC32C")
    capacity = run_client(["iscsi-readcapacity16", "-s", server.url])
    assert capacity.stdout.strip() == str(64 * 1024 * 1024), capacity.stderr


def test_chap(serve: Serve, medium: Path, chap: list[str | Path]) -> None:
    """The right name and secret open the target, for discovery too."""
    server = serve(medium, *chap)
    credentials = f"alice%{_SECRET}"
    assert run_client(["iscsi-inq", server.url.render(credentials=credentials)]).returncode == 0
    listing = run_client(["iscsi-ls", server.url.portal.replace("://", f"://{credentials}@")])
    assert server.url.iqn in listing.stdout


@pytest.mark.parametrize("credentials", ["", "alice%wrong secret, though long", f"bob%{_SECRET}"])
def test_chap_refused(serve: Serve, medium: Path, chap: list[str | Path], credentials: str) -> None:
    """Neither no secret, nor a wrong one, nor another's name does; and the server goes on."""
    server = serve(medium, *chap)
    refused = run_client(["iscsi-inq", server.url.render(credentials=credentials)])
    assert refused.returncode != 0
    assert "Login" in refused.stderr
    assert run_client(["iscsi-inq", server.url.render(credentials=f"alice%{_SECRET}")]).returncode == 0


def _target_credentials(secret: str) -> dict[str, str]:
    return {"LIBISCSI_CHAP_TARGET_USERNAME": "storage", "LIBISCSI_CHAP_TARGET_PASSWORD": secret}


def test_mutual_chap(serve: Serve, medium: Path, mutual_chap: list[str | Path]) -> None:
    """The target proves itself to a client that asks for it, and serves one that does not."""
    url = serve(medium, *mutual_chap).url.render(credentials=f"alice%{_SECRET}")
    assert run_client(["iscsi-inq", url], _target_credentials(_TARGET_SECRET)).returncode == 0
    assert run_client(["iscsi-inq", url]).returncode == 0


def test_mutual_chap_refused(serve: Serve, medium: Path, mutual_chap: list[str | Path]) -> None:
    """A client that expects another secret of the target does not go on."""
    url = serve(medium, *mutual_chap).url.render(credentials=f"alice%{_SECRET}")
    assert run_client(["iscsi-inq", url], _target_credentials("another target's secret")).returncode != 0


def test_no_such_unit(serve: Serve, medium: Path) -> None:
    """A logical unit number behind which there is nothing is an error to the client, not a hang."""
    url = serve(medium).url
    absent = type(url)(address=url.address, port=url.port, iqn=url.iqn, lun=7)
    assert run_client(["iscsi-readcapacity16", absent]).returncode != 0


def test_no_such_target(serve: Serve, medium: Path) -> None:
    """So is another target's name."""
    url = serve(medium).url
    absent = type(url)(address=url.address, port=url.port, iqn="iqn.2026-01.org.isthmus:another", lun=0)
    refused = run_client(["iscsi-inq", absent])
    assert refused.returncode != 0
    assert "Login" in refused.stderr
