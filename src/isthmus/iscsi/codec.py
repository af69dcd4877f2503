"""PDUs to bytes and back: framing, additional header segments, padding and digests (RFC 7143 §11.1, §11.2, §13.1).

`PduReader` takes bytes as they come and gives whole PDUs; `encode` makes the bytes of one. The engine has a faster way
for reads and writes and uses these for all the rest; login, discovery and the initiator use nothing else.
"""

import struct
from dataclasses import dataclass
from typing import Final

import crc32c
from typing_extensions import Buffer

from isthmus.iscsi.errors import ConnectionViolation, DigestError
from isthmus.iscsi.opcodes import BHS_LENGTH, padded
from isthmus.iscsi.pdu import PDU_CLASSES, Pdu, ScsiCommand, UnknownPdu

__all__ = ["DIGEST_LENGTH", "PADDING", "Digests", "PduReader", "decode", "digest", "encode"]

DIGEST_LENGTH: Final = 4
MAX_AHS_LENGTH: Final = 255 * 4
"""TotalAHSLength is one byte of 4-byte words (RFC 7143 §11.2.1.5)."""
_AHS_EXTENDED_CDB: Final = 1
_AHS_BIDIRECTIONAL_READ_LENGTH: Final = 2
PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")
"""What fills up a data segment, by its length modulo 4 (RFC 7143 §11.1)."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Which digests a connection uses (RFC 7143 §13.1)."""

    header: bool = False
    data: bool = False


NO_DIGESTS: Final = Digests()


def digest(data: Buffer, previous: int = 0) -> bytes:
    """CRC32C as RFC 7143 §13.1 sends it: the lowest byte of the remainder first."""
    return crc32c.crc32c(data, previous).to_bytes(DIGEST_LENGTH, "little")


def encode(pdu: Pdu, digests: Digests = NO_DIGESTS) -> list[Buffer]:
    """The pieces of `pdu` to send, in order; the data segment is not copied."""
    bhs = pdu.to_bhs()
    ahs = _encode_ahs(pdu)
    data_length = memoryview(pdu.data_segment).nbytes
    bhs[4] = len(ahs) // 4
    bhs[5:8] = data_length.to_bytes(3)
    header = bytes(bhs) + ahs
    pieces: list[Buffer] = [header]
    if digests.header:
        pieces.append(digest(header))
    if data_length:
        padding = PADDING[data_length & 3]
        pieces.append(pdu.data_segment)
        if padding:
            pieces.append(padding)
        if digests.data:
            crc = crc32c.crc32c(padding, crc32c.crc32c(pdu.data_segment))
            pieces.append(crc.to_bytes(DIGEST_LENGTH, "little"))
    return pieces


def _encode_ahs(pdu: Pdu) -> bytes:
    """The additional header segments of a SCSI Command (RFC 7143 §11.2.2)."""
    if not isinstance(pdu, ScsiCommand):
        return b""
    ahs = b""
    if len(pdu.cdb) > 16:
        rest = pdu.cdb[16:]
        # AHSLength counts the bytes after the type field, and one of them is the reserved byte (§11.2.2.1, §11.2.2.3).
        ahs += struct.pack(">HBx", len(rest) + 1, _AHS_EXTENDED_CDB) + rest + bytes(padded(len(rest)) - len(rest))
    if pdu.bidirectional_read_data_length is not None:
        ahs += struct.pack(">HBxI", 5, _AHS_BIDIRECTIONAL_READ_LENGTH, pdu.bidirectional_read_data_length)
    return ahs


def decode(bhs: Buffer, ahs: Buffer = b"", data_segment: Buffer = b"") -> Pdu:
    """The PDU of a header, its additional header segments and its data segment.

    Raises `ConnectionViolation` for additional header segments that overrun their length.
    """
    opcode = memoryview(bhs)[0] & 0x3F
    pdu = PDU_CLASSES.get(opcode, UnknownPdu).from_bhs(bhs)
    pdu.data_segment = data_segment
    if len(memoryview(ahs)) and isinstance(pdu, ScsiCommand):
        _decode_ahs(pdu, bytes(ahs))
    return pdu


def _decode_ahs(pdu: ScsiCommand, ahs: bytes) -> None:
    position = 0
    while position + 4 <= len(ahs):
        length, kind = struct.unpack_from(">HB", ahs, position)
        end = position + 3 + length
        if not length or end > len(ahs):
            raise ConnectionViolation("an additional header segment overruns TotalAHSLength (RFC 7143 §11.2.2)")
        specific = ahs[position + 4 : end]
        if kind == _AHS_EXTENDED_CDB:
            pdu.cdb += specific
        elif kind == _AHS_BIDIRECTIONAL_READ_LENGTH and len(specific) == 4:
            pdu.bidirectional_read_data_length = int.from_bytes(specific)
        position = padded(end)


class PduReader:
    """Cuts a byte stream into PDUs and checks their digests.

    `feed` what was received, then call `next_pdu` until it gives None. The data segment of a PDU is a copy of its own.
    """

    def __init__(self, *, max_data_segment_length: int, digests: Digests = NO_DIGESTS) -> None:
        """`max_data_segment_length` (bytes) is what this side declared; a longer segment is a violation."""
        self.max_data_segment_length = max_data_segment_length
        self.digests = digests
        self._buffer = bytearray()

    def feed(self, data: Buffer) -> None:
        """Append received bytes."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """Give up the bytes that are not part of a PDU taken yet: the next owner of the stream goes on with them."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_pdu(self) -> Pdu | None:
        """The next whole PDU, or None until more bytes come; raises `DigestError` or `ConnectionViolation`."""
        buffer = self._buffer
        if len(buffer) < BHS_LENGTH:
            return None
        ahs_length = buffer[4] * 4
        data_length = int.from_bytes(buffer[5:8])
        if data_length > self.max_data_segment_length:
            raise ConnectionViolation(
                f"a data segment of {data_length} bytes is longer than the {self.max_data_segment_length} declared"
            )
        header_end = BHS_LENGTH + ahs_length
        data_start = header_end + (DIGEST_LENGTH if self.digests.header else 0)
        data_end = data_start + padded(data_length)
        total = data_end + (DIGEST_LENGTH if self.digests.data and data_length else 0)
        if len(buffer) < total:
            return None
        with memoryview(buffer) as view:
            if self.digests.header and digest(view[:header_end]) != view[header_end:data_start]:
                raise DigestError("header digest error")
            if total > data_end and digest(view[data_start:data_end]) != view[data_end:total]:
                raise DigestError("data digest error")
            pdu = decode(
                bytes(view[:BHS_LENGTH]),
                bytes(view[BHS_LENGTH:header_end]),
                bytes(view[data_start : data_start + data_length]),
            )
        del buffer[:total]
        return pdu
