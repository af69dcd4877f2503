"""Sessions that log in and then do nothing, to see what each costs the daemon."""

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

__all__ = ["idle_sessions", "login_request"]

_BHS_BYTES = 48
_SECONDS = 10.0
_ROUNDS = 5


def login_request(number: int, keys: Sequence[tuple[str, str]], exp_stat_sn: int = 0) -> bytes:
    """A Login Request from LOGIN OPERATIONAL NEGOTIATION straight to FULL FEATURE PHASE (RFC 7143 §11.12)."""
    text = b"".join(f"{key}={value}\0".encode() for key, value in keys)
    isid = b"\x80" + number.to_bytes(5, "big")
    length = len(text).to_bytes(3, "big")
    header = struct.pack(">BBBBB3s6sHIHHII16x", 0x43, 0x87, 0, 0, 0, length, isid, 0, 1, 0, 0, 1, exp_stat_sn)
    return header + text + bytes(-len(text) % 4)


@contextlib.contextmanager
def idle_sessions(url: str, numbers: range) -> Iterator[None]:
    """Hold one logged-in session open for each of `numbers` until the block ends."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with contextlib.ExitStack() as stack:
        for number in numbers:
            connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port), _SECONDS))
            _log_in(connection, parts.path.split("/")[1], number)
        yield


def _log_in(connection: socket.socket, target_name: str, number: int) -> None:
    """`number` makes the initiator's name, and so the session, its own. A target may want more than one round."""
    initiator_name = f"iqn.2026-01.org.isthmus:idle-{number}"
    keys = [("InitiatorName", initiator_name), ("TargetName", target_name), ("SessionType", "Normal")]
    stat_sn = 0
    for _ in range(_ROUNDS):
        connection.sendall(login_request(number, keys, stat_sn + 1))
        header = _login_response(connection)
        if header[1] & 0x83 == 0x83:  # T, and NSG is FULL FEATURE PHASE (RFC 7143 §11.13.3)
            return
        stat_sn, keys = int.from_bytes(header[24:28], "big"), []
    raise ConnectionError(f"the login did not end in {_ROUNDS} rounds")


def _login_response(connection: socket.socket) -> bytes:
    header = connection.recv(_BHS_BYTES, socket.MSG_WAITALL)
    length = int.from_bytes(header[5:8], "big")
    connection.recv(length + -length % 4, socket.MSG_WAITALL)
    if len(header) < _BHS_BYTES or header[0] != 0x23 or header[36] != 0:  # the opcode, and Status-Class
        raise ConnectionError(f"the login was not accepted: {header.hex(' ', 4)}")
    return header
