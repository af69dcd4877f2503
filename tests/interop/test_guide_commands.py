"""The guides' commands on the server, as they stand there, in their order."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.test_guides import daemon
from tests.support.clients import needs
from tests.support.guides import GUIDES, RUN, Block, blocks
from tests.support.namespace import Namespace, namespace, namespaces_missing

ADDRESSES = ("192.0.2.10", "198.51.100.10")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(namespaces_missing()), reason=namespaces_missing()),
    needs("qemu-img"),
]


@contextmanager
def server(directory: Path) -> Iterator[Namespace]:
    """The machine of the guides, with a daemon that has nothing to serve yet."""
    environment = {name: str(directory / name) for name in ("ISTHMUS_STATE", "ISTHMUS_RUN", "TARGETCLI_HOME")}
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    with namespace(directory, {**environment, "PATH": path}) as machine:
        for address in ADDRESSES:
            machine.run("ip", "address", "add", f"{address}/32", "dev", "lo", check=True)
        with daemon(machine, directory / "daemon.log"):
            yield machine


def run_block(machine: Namespace, guide: Path, block: Block) -> None:
    """Its commands, up to the first that fails."""
    ran = machine.run("bash", "-e", "-o", "pipefail", "-c", f"cd /srv\n{block.text}")
    assert ran.returncode == 0, f"{guide.name}:{block.line}\n{ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_every_block_says_where_it_runs(guide: Path) -> None:
    """What no test runs is marked so."""
    blocks(guide)


@pytest.mark.parametrize(
    "guide", [guide for guide in GUIDES if any(b.place == RUN for b in blocks(guide))], ids=lambda g: g.stem
)
def test_the_commands_on_the_server_work(guide: Path, tmp_path: Path) -> None:
    """Those of one guide after the other, beginning with nothing."""
    with server(tmp_path) as machine:
        for block in blocks(guide):
            if block.place == RUN:
                run_block(machine, guide, block)
