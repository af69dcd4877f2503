import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from isthmus.compat.tgt import server as module
from isthmus.compat.tgt.errors import Status
from isthmus.compat.tgt.server import TgtServer, open_tgt_socket
from isthmus.compat.tgt.wire import Mode, Operation, Request, Response
from isthmus.errors import ConfigurationError
from tests.support.tgt_machine import TgtBench

SHOW = Request(mode=Mode.SYSTEM, operation=Operation.SHOW).encode()


class Bench:
    """A server on a socket."""

    def __init__(self, directory: Path) -> None:
        self.prefix = str(directory / "socket")
        self.tgt = TgtBench()
        self.ended = asyncio.Event()
        self.server = TgtServer(open_tgt_socket(self.prefix), self.tgt.face)
        self.server.start(self.ended.set)

    async def ask(self, data: bytes) -> bytes:
        """All that comes back."""
        reader, writer = await asyncio.open_unix_connection(f"{self.prefix}.0")
        writer.write(data)
        if len(data) < len(SHOW):
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """It answers."""
    bench = Bench(tmp_path)
    yield bench
    await bench.server.stop()


async def test_a_question_is_answered(bench: Bench) -> None:
    """One a connection, at a socket that is the owner's alone."""
    assert Response.decode(await bench.ask(SHOW)).text.startswith("System:\n")
    assert stat.S_IMODE(os.stat(f"{bench.prefix}.0").st_mode) == 0o600  # noqa: PTH116  a moment


@pytest.mark.parametrize("data", [b"", SHOW[:50], SHOW[:72] + b"\xff\xff\xff\xff" + SHOW[76:]])
async def test_nonsense_is_not_answered(bench: Bench, data: bytes) -> None:
    """The next one is."""
    assert await bench.ask(data) == b""
    assert await bench.ask(SHOW)


async def test_a_failure_of_ours_costs_an_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the daemon."""
    monkeypatch.setattr(bench.tgt.face, "answer", lambda *_: 1 / 0)
    assert Response.decode(await bench.ask(SHOW)).status == Status.UNKNOWN_ERROR


async def test_others_are_not_answered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is neither the daemon's user nor root."""
    monkeypatch.setattr(module, "_CREDENTIALS", Stranger())
    with contextlib.suppress(ConnectionResetError):  # closed with the question unread
        assert await bench.ask(SHOW) == b""


class Stranger:
    """struct ucred of somebody else."""

    size = 12

    def unpack(self, _: bytes) -> tuple[int, int, int]:
        return 1, os.geteuid() + 4711, 0


async def test_a_system_delete_ends_the_daemon_and_leaves_the_socket(bench: Bench) -> None:
    """Nobody is taken any more when the answer comes."""
    request = Request(mode=Mode.SYSTEM, operation=Operation.DELETE)
    assert Response.decode(await bench.ask(request.encode())) == Response()
    await bench.ended.wait()
    assert stat.S_ISSOCK(os.stat(f"{bench.prefix}.0").st_mode)  # noqa: PTH116  likewise
    with pytest.raises(ConnectionRefusedError):
        await bench.ask(SHOW)


def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    """One that somebody does is not, and neither is what is no socket."""
    prefix = str(tmp_path / "deep" / "socket")
    open_tgt_socket(prefix).close()
    with open_tgt_socket(prefix), pytest.raises(ConfigurationError, match="something answers at"):
        open_tgt_socket(prefix)
    (tmp_path / "file.0").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        open_tgt_socket(str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match="cannot be"):
        open_tgt_socket(str(tmp_path / ("x" * 200)))
