"""`isthmus initiator` as a user types it, against the running server."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.server import Server, running_server

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with two memory disks for all tests here."""
    directory = tmp_path_factory.mktemp("initiator-cli")
    arguments = ["--ram", "8M", "--ram", "1M", "--portal", "127.0.0.1:0"]
    with running_server(arguments, directory, ready_lines=2) as running:
        yield running


def isthmus(*arguments: object, data: bytes = b"", status: int = 0) -> tuple[bytes, str]:
    """Standard output and standard error of `isthmus initiator …`, which must end with `status`."""
    command = [sys.executable, "-m", "isthmus", "initiator", *map(str, arguments)]
    ended = subprocess.run(command, input=data, capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == status, ended.stderr.decode()
    return ended.stdout, ended.stderr.decode()


def test_discover(server: Server) -> None:
    """A line for each portal, and the same as JSON."""
    address = f"{server.url.host}:{server.url.port}"
    assert isthmus("discover", server.url.portal)[0].decode() == f"{address},1 {server.url.iqn}\n"
    [target] = json.loads(isthmus("discover", server.url.portal, "--json")[0])
    assert target["name"] == server.url.iqn
    assert target["addresses"][0]["port"] == server.url.port


def test_ls(server: Server) -> None:
    """The LUNs of all targets of a portal, under the very URLs that the server announced."""
    lines = isthmus("ls", server.url.portal)[0].decode().splitlines()
    assert lines == [
        f"{server.urls[0]}  8M  disk  ISTHMUS VIRTUAL-DISK",
        f"{server.urls[1]}  1M  disk  ISTHMUS VIRTUAL-DISK",
    ]
    units = json.loads(isthmus("ls", server.url.portal, "--json")[0])[server.url.iqn]
    assert [unit["size"] for unit in units] == [8 * MIB, MIB]


def test_inquiry(server: Server) -> None:
    """The standard data and every VPD page; one page by its code; nothing behind a LUN is an error."""
    text = isthmus("inquiry", server.url)[0].decode()
    assert "vendor: ISTHMUS" in text
    assert "VPD page 83h, device identification" in text
    page = json.loads(isthmus("inquiry", server.url, "--page", "b2", "--json")[0])
    assert page["VPD page B2h, logical block provisioning"]["unmap"] is True
    url = f"{server.url.portal}/{server.url.iqn}/7"
    assert "no logical unit at LUN 7" in isthmus("inquiry", url, status=1)[1]
    assert "INVALID FIELD IN CDB" in isthmus("inquiry", server.url, "--page", "c5", status=1)[1]


@pytest.mark.parametrize("digest", ["none", "crc32c"])
def test_write_and_read_at_odd_places(server: Server, tmp_path: Path, digest: str) -> None:
    """Through files and through pipes, what comes out is what went in."""
    data = random.Random(digest).randbytes(3 * MIB + 77)
    source, sink = tmp_path / "source", tmp_path / "sink"
    source.write_bytes(data)
    digests = ("--header-digest", digest, "--data-digest", digest)
    isthmus("write", server.url, source, "--offset", "1001", *digests, "--outstanding", "32")
    isthmus("read", server.url, sink, "--offset", "1001", "--length", len(data), *digests)
    assert sink.read_bytes() == data
    isthmus("write", server.url, "--offset", "2M", "--length", "5", data=b"tiny change")
    assert isthmus("read", server.url, "--offset", 2 * MIB - 1, "--length", "7")[0] == (
        data[2 * MIB - 1002 : 2 * MIB - 1001] + b"tiny " + data[2 * MIB - 996 : 2 * MIB - 995]
    )


def test_reading_all_is_the_whole_unit(server: Server) -> None:
    """Without offset and length it is a copy."""
    assert len(isthmus("read", server.urls[1])[0]) == MIB


def test_a_range_beyond_the_unit(server: Server, tmp_path: Path) -> None:
    """It is refused before a byte is written, on either side."""
    sink = tmp_path / "sink"
    assert "ends at byte" in isthmus("read", server.urls[1], sink, "--offset", "1M", "--length", "1", status=2)[1]
    assert not sink.exists()
    source = tmp_path / "source"
    source.write_bytes(bytes(MIB + 1))
    assert "ends at byte" in isthmus("write", server.urls[1], source, status=2)[1]
    assert "has 1048577 bytes" in isthmus("write", server.urls[1], source, "--length", "2M", status=2)[1]


def test_a_pipe_that_goes_on_too_long(server: Server) -> None:
    """Only its end tells: what fits is written, and the exit status says that the rest is not."""
    assert "after the end" in isthmus("write", server.urls[1], data=b"x" * (MIB + 1), status=1)[1]
    assert isthmus("read", server.urls[1])[0] == b"x" * MIB


def test_bench(server: Server) -> None:
    """A line with IOPS and percentiles; JSON has the figures."""
    text = isthmus("bench", server.url, "--seconds", "0.2", "--random", "--connections", "2")[0].decode()
    assert "random read, 4K, 32 outstanding, 2 connections:" in text
    arguments = ("bench", server.url, "--seconds", "0.2", "--write", "--yes", "--block-size", "64k", "--json")
    result = json.loads(isthmus(*arguments)[0])
    assert result["result"]["iops"] > 0
    assert result["workload"]["writes"] is True


def test_a_refused_login_says_why(server: Server) -> None:
    """The status's name, and exit status 2."""
    url = f"{server.url.portal}/iqn.2025-01.org.example:absent/0"
    assert "NOT_FOUND" in isthmus("read", url, "/dev/null", status=2)[1]


def test_a_closed_pipe_is_no_traceback(server: Server) -> None:
    """`read … | head -c 1` ends quietly."""
    command = f"{sys.executable} -m isthmus initiator read {server.url} | head -c 1 | wc -c"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, timeout=PATIENCE, check=True)
    assert (ended.stdout.strip(), ended.stderr) == (b"1", b"")
