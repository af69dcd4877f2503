"""tgtd's management protocol: bytes to requests, and answers to bytes. One request and one response a connection.

A request is 120 bytes, native byte order, and the text of its parameters; a response is 8 bytes and the text to print. Texts
end with a NUL that counts. The layout is `struct tgtadm_req` and `struct tgtadm_rsp` of tgt's usr/tgtadm.h.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final, Self

from isthmus.compat.tgt.errors import Status, WireViolation

__all__ = [
    "GLOBAL_TID",
    "HEADER_BYTES",
    "MAX_BODY_BYTES",
    "NO_LUN",
    "RESPONSE_BYTES",
    "AccountDirection",
    "DeviceType",
    "Mode",
    "Operation",
    "Request",
    "RequestReader",
    "Response",
]

_REQUEST: Final = struct.Struct("=II64sIiQQIIIIII")
_RESPONSE: Final = struct.Struct("=II")
HEADER_BYTES: Final = _REQUEST.size
RESPONSE_BYTES: Final = _RESPONSE.size
MAX_BODY_BYTES: Final = 8192
"""tgtd closes the connection of anybody who sends more."""
GLOBAL_TID: Final = -1
"""In the mode ACCOUNT: not a target, but discovery. Elsewhere: none was named."""
NO_LUN: Final = (1 << 64) - 1
_LLD_BYTES: Final = 64


class Mode(enum.IntEnum):
    """What a request is about (`enum tgtadm_mode`)."""

    SYSTEM = 0
    TARGET = 1
    DEVICE = 2
    PORTAL = 3
    LLD = 4
    SESSION = 5
    CONNECTION = 6
    ACCOUNT = 7


class Operation(enum.IntEnum):
    """What is to be done with it (`enum tgtadm_op`)."""

    NEW = 0
    DELETE = 1
    SHOW = 2
    BIND = 3
    UNBIND = 4
    UPDATE = 5
    STATS = 6
    START = 7
    STOP = 8


class AccountDirection(enum.IntEnum):
    """Who proves itself: the initiator (incoming) or the target (outgoing)."""

    INCOMING = 0
    OUTGOING = 1


class DeviceType(enum.IntEnum):
    """Peripheral device types, as SPC-5 §6.7.2 numbers them."""

    DISK = 0x00
    TAPE = 0x01
    CD = 0x05
    CHANGER = 0x08
    CONTROLLER = 0x0C
    OSD = 0x11
    PASSTHROUGH = 0xFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Numbers that mean nothing to the operation are there all the same."""

    mode: int
    """A `Mode`, or a number that is none."""
    operation: int
    """An `Operation`, or a number that is none."""
    lld: str = ""
    """The driver; empty: the first."""
    tid: int = -1
    sid: int = 0
    lun: int = NO_LUN
    cid: int = 0
    host_number: int = 0
    device_type: int = DeviceType.DISK
    direction: int = AccountDirection.INCOMING
    force: bool = False
    text: str | None = None
    """The parameters; None: there are none. Bytes that are not UTF-8 stand in it as lone surrogates (PEP 383)."""

    def encode(self) -> bytes:
        """The bytes on the wire; raises `ValueError` for what has no room there."""
        body = b"" if self.text is None else self.text.encode("utf-8", "surrogateescape") + b"\0"
        lld = self.lld.encode()
        if len(body) > MAX_BODY_BYTES or len(lld) >= _LLD_BYTES:
            raise ValueError("the parameters are too long")
        numbers = (self.cid, self.host_number, self.device_type, self.direction, 0, int(self.force))
        try:
            header = _REQUEST.pack(
                self.mode, self.operation, lld, HEADER_BYTES + len(body), self.tid, self.sid, self.lun, *numbers
            )
        except struct.error as error:
            raise ValueError(f"a number is out of range: {error}") from None
        return header + body

    @classmethod
    def decode(cls, header: bytes, body: bytes) -> Self:
        """The request in these bytes, whose lengths are right."""
        mode, operation, lld, _, tid, sid, lun, cid, host, device_type, direction, _, force = _REQUEST.unpack(header)
        return cls(
            mode=mode,
            operation=operation,
            lld=_text(lld[: _LLD_BYTES - 1]),
            tid=tid,
            sid=sid,
            lun=lun,
            cid=cid,
            host_number=host,
            device_type=device_type,
            direction=direction,
            force=bool(force),
            text=_text(body) if body else None,
        )


def _text(data: bytes) -> str:
    """Up to the first NUL, as C reads it."""
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


class RequestReader:
    """Collects the bytes of one request."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._data = bytearray()

    @property
    def wanted(self) -> int:
        """How many bytes are missing, as far as that is known; 0: the request is complete."""
        return max(0, self._length() - len(self._data))

    def feed(self, data: bytes) -> Request | None:
        """Take bytes; gives the request once it is complete. What comes behind it is dropped.

        Raises `WireViolation` for a length that no request has.
        """
        self._data += data
        length = self._length()
        if len(self._data) < length or len(self._data) < HEADER_BYTES:
            return None
        return Request.decode(bytes(self._data[:HEADER_BYTES]), bytes(self._data[HEADER_BYTES:length]))

    def _length(self) -> int:
        if len(self._data) < HEADER_BYTES:
            return HEADER_BYTES
        length: int = _REQUEST.unpack_from(self._data)[3]
        if not HEADER_BYTES <= length <= HEADER_BYTES + MAX_BODY_BYTES:
            raise WireViolation(f"a request cannot be {length} bytes long")
        return length


@dataclass(frozen=True, slots=True)
class Response:
    """The answer."""

    status: int = Status.SUCCESS
    text: str = ""

    def encode(self) -> bytes:
        """The bytes on the wire. As with tgtd, an error has no text, and no text has no NUL."""
        body = b""
        if self.text and self.status == Status.SUCCESS:
            body = self.text.encode("utf-8", "surrogateescape") + b"\0"
        return _RESPONSE.pack(self.status, RESPONSE_BYTES + len(body)) + body

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The response in all the bytes that came; raises `WireViolation` if they are no whole one."""
        if len(data) < RESPONSE_BYTES:
            raise WireViolation("the response is cut short")
        status, length = _RESPONSE.unpack_from(data)
        if length < RESPONSE_BYTES or (status == Status.SUCCESS and len(data) < length):
            raise WireViolation("the response is cut short")
        return cls(status, _text(data[RESPONSE_BYTES:length]))
