"""Servers for the tests with real initiators."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.server import Serve, Server, running_server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with the arguments given, on a free loopback port unless they name a portal; stopped at the end."""
    with ExitStack() as stack:

        def start(*arguments: str | Path, ready_lines: int = 1) -> Server:
            portal = [] if "--portal" in arguments else ["--portal", "127.0.0.1:0"]
            return stack.enter_context(running_server([*arguments, *portal], tmp_path, ready_lines=ready_lines))

        yield start


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A file of 64 MiB to be served, sparse."""
    path = tmp_path / "medium.img"
    with path.open("xb") as file:
        file.truncate(64 * 1024 * 1024)
    return path
