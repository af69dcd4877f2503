import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.engine import socket_options
from isthmus.engine.socket_options import BUFFER_LENGTH, octets, prepare


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """A TCP socket."""
    with socket.socket() as made:
        yield made


class Recorder:
    """A socket that remembers what it was asked, and may forbid the forced options."""

    def __init__(self, *, may_force: bool) -> None:
        self.may_force = may_force
        self.set: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if option in {32, 33} and not self.may_force:
            raise PermissionError(1, "Operation not permitted")
        self.set.append((level, option, value))


def options(recorder: Recorder) -> set[int]:
    """Which buffer options were set."""
    return {option for level, option, value in recorder.set if level == socket.SOL_SOCKET and value == BUFFER_LENGTH}


def test_a_real_socket_sends_small_pdus_at_once(sock: socket.socket) -> None:
    """Nagle's algorithm would hold a response back until the one before is acknowledged."""
    prepare(sock)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_with_the_right_to_it_the_limits_do_not_count() -> None:
    """CAP_NET_ADMIN gets what it asks for."""
    recorder = Recorder(may_force=True)
    prepare(recorder)  # type: ignore[arg-type]
    assert options(recorder) == {32, 33}


@pytest.mark.parametrize(("limit", "asked"), [(BUFFER_LENGTH, True), (BUFFER_LENGTH - 1, False)])
def test_without_it_only_what_would_not_be_cut_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, asked: bool
) -> None:
    """Asking ends the kernel's own tuning, which may give more than a small limit."""
    for name in ("wmem_max", "rmem_max"):
        (tmp_path / name).write_text(f"{limit}\n")
    monkeypatch.setattr(socket_options, "_LIMITS", tmp_path)
    recorder = Recorder(may_force=False)
    prepare(recorder)  # type: ignore[arg-type]
    assert options(recorder) == ({socket.SO_SNDBUF, socket.SO_RCVBUF} if asked else set())


def test_a_system_that_does_not_tell_its_limits_keeps_its_tuning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No /proc, no request."""
    monkeypatch.setattr(socket_options, "_LIMITS", tmp_path / "nowhere")
    recorder = Recorder(may_force=False)
    prepare(recorder)  # type: ignore[arg-type]
    assert options(recorder) == set()


def test_the_kernel_counts_what_comes_and_goes() -> None:
    """Each byte once; nothing of a socket that is closed, or not TCP's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as one, server.accept()[0] as other:
            one.sendall(bytes(1000))
            other.sendall(bytes(70))
            assert len(other.recv(1000, socket.MSG_WAITALL)) == 1000
            assert len(one.recv(70, socket.MSG_WAITALL)) == 70
            assert octets(other) == (1000, 70)
        assert octets(other) == (0, 0)
    left, right = socket.socketpair()
    with left, right:
        assert octets(left) == (0, 0)
