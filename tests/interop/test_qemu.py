"""QEMU's block layer, with libiscsi, against the running server."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.support.clients import needs, qemu_has_iscsi, qemu_image_options, run_client
from tests.support.drive import iso_image
from tests.support.server import Serve, Url, running_server

pytestmark = [
    needs("qemu-img", "qemu-io"),
    pytest.mark.skipif(not qemu_has_iscsi(), reason="not installed: QEMU's iSCSI driver (Debian: qemu-block-extra)"),
    pytest.mark.slow,
]

_MIB = 1024 * 1024
_CAPACITY = 64 * _MIB


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An image with data, holes, and a tail that no write of a round size ends at."""
    path = tmp_path / "source.img"
    generator = random.Random(7143)
    with path.open("xb") as file:
        file.truncate(_CAPACITY)
        for offset, length in ((0, 3 * _MIB), (10 * _MIB + 512, 4096), (_CAPACITY - 1 * _MIB - 512, 1 * _MIB + 512)):
            file.seek(offset)
            file.write(generator.randbytes(length))
    return path


def qemu_io(
    url: Url | str, *commands: str, options: tuple[str, ...] = ("-f", "raw")
) -> subprocess.CompletedProcess[str]:
    """One qemu-io with these commands; it fails on the first pattern that is not found."""
    return run_client(["qemu-io", *options, *(part for command in commands for part in ("-c", command)), url])


def assert_done(done: subprocess.CompletedProcess[str]) -> None:
    """The client ended well, and found what it looked for."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Pattern verification failed" not in done.stdout


def test_info(serve: Serve, medium: Path) -> None:
    """QEMU sees a disk of the file's size."""
    done = run_client(["qemu-img", "info", "--output=json", "-f", "raw", serve(medium).url])
    assert_done(done)
    assert json.loads(done.stdout)["virtual-size"] == _CAPACITY


def test_a_disc_is_read(serve: Serve, tmp_path: Path) -> None:
    """QEMU knows a drive from a disk, and gets the image out of it as it is."""
    image, back = tmp_path / "a.iso", tmp_path / "back.iso"
    image.write_bytes(iso_image("RANDOM.BIN;1", random.Random(6).randbytes(3 * _MIB)))
    assert_done(run_client(["qemu-img", "convert", "-f", "raw", "-O", "raw", serve("--cdrom", image).url, back]))
    assert back.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("options", [[], ["--block-size", "4096"], ["--header-digest", "CRC32C"], ["--write-through"]])
def test_copy_is_identical(serve: Serve, medium: Path, source: Path, tmp_path: Path, options: list[str]) -> None:
    """An image copied to the disk and back is the image, there, on the way back, and in the served file."""
    if "4096" in options:
        with source.open("r+b") as file:  # the tail then has to end with a block
            file.truncate(_CAPACITY)
    url = serve(medium, *options).url
    back = tmp_path / "back.img"
    assert_done(run_client(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, url]))
    compared = run_client(["qemu-img", "compare", "-f", "raw", "-F", "raw", source, url])
    assert (compared.returncode, compared.stdout.strip()) == (0, "Images are identical.")
    assert_done(run_client(["qemu-img", "convert", "-f", "raw", "-O", "raw", url, back]))
    assert back.read_bytes() == source.read_bytes() == medium.read_bytes()


def test_patterns(serve: Serve, medium: Path) -> None:
    """What is written is read, aligned to blocks and not, small and larger than any burst."""
    assert_done(
        qemu_io(
            serve(medium).url,
            "write -P 0x11 0 4k",
            "write -P 0x22 4k 8M",
            "write -P 0x33 1000 3000",
            "write -P 0x44 9M 513",
            "read -P 0x11 0 1000",
            "read -P 0x33 1000 3000",
            "read -P 0x22 4k 8M",
            "read -P 0x44 9M 513",
            "read -P 0 9437697 511",
            "flush",
        )
    )


def test_many_outstanding(serve: Serve, medium: Path) -> None:
    """Requests that are in flight together do not mix."""
    writes = [f"aio_write -P {number} {number}M 1M" for number in range(1, 33)]
    reads = [f"aio_read -P {number} {number}M 1M" for number in range(1, 33)]
    assert_done(qemu_io(serve(medium).url, *writes, "aio_flush", *reads, "aio_flush"))


def test_zeroes_and_discard(serve: Serve, medium: Path) -> None:
    """Zeroed and discarded ranges read as zeroes, their neighbours as before, and the file gives the space back."""
    url = serve(medium).url
    assert_done(qemu_io(url, "write -P 0x77 0 32M", "flush"))
    before = medium.stat().st_blocks
    assert_done(
        qemu_io(
            url,
            "write -z 1M 1M",
            "write -z -u 2M 8M",
            "discard 16M 8M",
            "read -P 0x77 0 1M",
            "read -P 0 1M 9M",
            "read -P 0x77 10M 6M",
            "read -P 0 16M 8M",
            "read -P 0x77 24M 8M",
            options=("-f", "raw", "-d", "unmap"),
        )
    )
    assert medium.stat().st_blocks <= before - 15 * _MIB // 512


def test_allocation_is_seen(serve: Serve, medium: Path) -> None:
    """The map of an image on the disk is that of the served file: GET LBA STATUS tells the truth."""
    url = serve(medium).url
    assert_done(qemu_io(url, "write -P 1 8M 4M", "flush"))
    mapped = run_client(["qemu-img", "map", "--output=json", "-f", "raw", url])
    assert_done(mapped)
    data = [(extent["start"], extent["length"]) for extent in json.loads(mapped.stdout) if extent["data"]]
    assert data == [(8 * _MIB, 4 * _MIB)]


def test_header_digest(serve: Serve, medium: Path) -> None:
    """Patterns hold with header digests too."""
    image = qemu_image_options(serve(medium, "--header-digest", "CRC32C").url, header_digest="crc32c")
    assert_done(qemu_io(image, "write -P 0x51 0 3M", "read -P 0x51 0 3M", "flush", options=("--image-opts",)))


def test_header_digest_demanded(serve: Serve, medium: Path) -> None:
    """A server that insists on CRC32C does not take a client that will not have it."""
    image = qemu_image_options(serve(medium, "--header-digest", "CRC32C").url, header_digest="none")
    refused = qemu_io(image, "read 0 512", options=("--image-opts",))
    assert refused.returncode != 0
    assert "Failed to log in to target" in refused.stderr


def test_chap(serve: Serve, medium: Path, tmp_path: Path) -> None:
    """QEMU logs in with a secret from the URL."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery\n", encoding="ascii")
    secret.chmod(0o600)
    url = serve(medium, "--chap-user", "alice", "--chap-secret-file", secret).url
    assert_done(qemu_io(url.render(credentials="alice%correct horse battery"), "write -P 1 0 1M", "read -P 1 0 1M"))
    assert qemu_io(url, "read 0 512").returncode != 0


def test_read_only(serve: Serve, medium: Path) -> None:
    """A disk that nobody may write can be read, and says so to one who would write."""
    medium.write_bytes(b"\x5a" * _MIB)
    url = serve(medium, "--read-only").url
    assert_done(qemu_io(url, "read -P 0x5a 0 1M", options=("-r", "-f", "raw")))
    refused = qemu_io(url, "write -P 1 0 4k")
    assert refused.returncode != 0
    assert "write protected" in refused.stderr
    assert medium.read_bytes() == b"\x5a" * _MIB


def test_units_are_apart(serve: Serve, tmp_path: Path) -> None:
    """Each path is a unit of its own, and memory disks come behind them."""
    paths = [tmp_path / f"{number}.img" for number in range(3)]
    server = serve(*paths, "--size", "16M", "--ram", "16M", ready_lines=4)
    for number, url in enumerate(server.urls):
        assert_done(qemu_io(url, f"write -P {number + 1} 0 16M", "flush"))
    for number, url in enumerate(server.urls):
        assert_done(qemu_io(url, f"read -P {number + 1} 0 16M"))
    assert [path.read_bytes() for path in paths] == [bytes([number + 1]) * 16 * _MIB for number in range(3)]


def test_data_outlives_the_server(tmp_path: Path) -> None:
    """What was written is served again after a stop and a start, from the file alone."""
    medium = tmp_path / "medium.img"
    for command in ("write -P 0x99 0 16M", "read -P 0x99 0 16M"):
        with running_server([medium, "--size", "16M", "--portal", "127.0.0.1:0"], tmp_path) as server:
            assert_done(qemu_io(server.url, command))
