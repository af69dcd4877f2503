import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.compat.tgt.client import TgtClient
from isthmus.compat.tgt.errors import Status
from isthmus.compat.tgt.wire import Mode, Operation, Request, Response
from isthmus.errors import ConfigurationError
from isthmus.management.errors import DaemonError, DaemonUnreachableError

SHOW = Request(mode=Mode.TARGET, operation=Operation.SHOW)


def answering(path: Path, answer: bytes) -> Callable[[], None]:
    """One that answers one question; gives what waits for its end."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()

    def serve() -> None:
        with sock:
            peer, _ = sock.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread.join


@pytest.mark.parametrize("response", [Response(text="Target 1: iqn.a\n"), Response(Status.NO_TARGET), Response()])
def test_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, response: Response) -> None:
    """From where TGT_IPC_SOCKET says, at the control port."""
    monkeypatch.setenv("TGT_IPC_SOCKET", str(tmp_path / "socket"))
    done = answering(tmp_path / "socket.3", response.encode())
    assert TgtClient(3).ask(SHOW) == response
    done()


@pytest.mark.parametrize("answer", [b"", b"\0\0\0", Response(text="cut").encode()[:-2]])
def test_an_answer_that_is_none(tmp_path: Path, answer: bytes) -> None:
    """Is the daemon's fault."""
    done = answering(tmp_path / "socket.0", answer)
    with pytest.raises(DaemonError):
        TgtClient(prefix=str(tmp_path / "socket")).ask(SHOW)
    done()


def test_nobody_answers(tmp_path: Path) -> None:
    """The error says what to start; too long a request is not even sent."""
    client = TgtClient(prefix=str(tmp_path / "socket"))
    with pytest.raises(DaemonUnreachableError, match="start isthmus daemon --tgt-socket"):
        client.ask(SHOW)
    with pytest.raises(ConfigurationError, match="too long"):
        client.ask(Request(mode=0, operation=0, text="x" * 9000))


def test_a_system_delete_waits_until_nobody_listens(tmp_path: Path) -> None:
    """As tgtadm does."""
    done = answering(tmp_path / "socket.0", Response().encode())
    request = Request(mode=Mode.SYSTEM, operation=Operation.DELETE)
    assert TgtClient(prefix=str(tmp_path / "socket")).ask(request).status == Status.SUCCESS
    done()
