"""Data-In PDUs put together again, and checked (RFC 7143 §11.7, §11.7.5)."""

import bisect
from operator import itemgetter

from typing_extensions import Buffer

from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.pdu import DataIn

__all__ = ["DataInBuffer"]


class DataInBuffer:
    """What one command has received so far.

    With `in_order` (DataPDUInOrder and DataSequenceInOrder both Yes) each PDU must continue where the last one ended;
    without it the pieces may come in any order.
    """

    def __init__(self, length: int, *, in_order: bool = True) -> None:
        """`length` is the expected data transfer length in bytes."""
        self.length = length
        self.in_order = in_order
        self.num_pdus = 0
        self.received = 0
        """Bytes so far."""
        self._pieces: list[tuple[int, Buffer]] = []
        """(offset, data), sorted by offset."""

    def add(self, pdu: DataIn) -> None:
        """Take over one PDU; raises `ConnectionViolation` for one that is out of sequence or out of bounds."""
        if pdu.data_sn != self.num_pdus:
            raise ConnectionViolation(f"DataSN {pdu.data_sn} came where {self.num_pdus} was due (RFC 7143 §11.7.5)")
        length = memoryview(pdu.data_segment).nbytes
        end = pdu.buffer_offset + length
        if end > self.length:
            raise ConnectionViolation(f"Data-In reaches byte {end} of a transfer of {self.length} (RFC 7143 §11.7.6)")
        if self.in_order and pdu.buffer_offset != self.received:
            raise ConnectionViolation(
                f"Data-In at offset {pdu.buffer_offset} came where {self.received} was due (RFC 7143 §13.18, §13.19)"
            )
        if length:
            bisect.insort(self._pieces, (pdu.buffer_offset, pdu.data_segment), key=itemgetter(0))
        self.num_pdus += 1
        self.received += length

    def take(self) -> bytes:
        """The data, from its first byte; raises `ConnectionViolation` if pieces overlap or one never came."""
        due = 0
        for offset, data in self._pieces:
            if offset != due:
                raise ConnectionViolation(f"Data-In at offset {offset} where {due} was due: a gap or an overlap")
            due += memoryview(data).nbytes
        return b"".join(data for _, data in self._pieces)
