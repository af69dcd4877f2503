"""The data of one command on its way (RFC 7143 §4.2.5, §11.7, §11.8): Data-Out coming in, Data-In going out.

Data-Out comes in three parts, in this order: immediate data in the command itself; unsolicited Data-Out PDUs, if the
command had F = 0; then bursts that the target asks for by R2T. Both DataPDUInOrder and DataSequenceInOrder are always
Yes here (the target offers nothing else, and their result function is OR), so each byte comes right behind the one before
it: the pieces are kept as they came, in a list, and no byte is copied into place.

The states of the incoming side are the rows of `TRANSITIONS`:
  UNSOLICITED  the initiator has promised more without being asked: until a Data-Out with F = 1;
  SOLICITED    bursts are to be asked for, or have been asked for and are under way;
  DISCARDING   a PDU was missing or out of order: at ErrorRecoveryLevel 0 the data is thrown away until the initiator has
               sent all that it owes, and the command then fails (RFC 7143 §7.8, choice b; §7.9);
  COMPLETE     nothing more comes. `error` says whether the data is good.
"""

import enum
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import DataOut

__all__ = [
    "TRANSITIONS",
    "Burst",
    "DataOutBudget",
    "DataOutTransfer",
    "TransferError",
    "TransferInput",
    "TransferState",
    "data_in_segments",
]


class TransferState(enum.Enum):
    """Where the data-out of a command stands."""

    UNSOLICITED = "unsolicited"
    SOLICITED = "solicited"
    DISCARDING = "discarding"
    COMPLETE = "complete"


class TransferInput(enum.Enum):
    """What moves it on."""

    DATA = "a Data-Out PDU that does not end what the state waits for"
    UNSOLICITED_ENDED = "the last unsolicited Data-Out PDU, and more is wanted"
    OUT_OF_ORDER = "a PDU that does not continue what came before, and more is owed"
    ALL_RECEIVED = "the last byte that is wanted, or owed, is here"


class TransferError(enum.Enum):
    """Why the data cannot be used; each has its sense in RFC 7143 §11.4.7.2."""

    OUT_OF_ORDER = "protocol service CRC error: a Data-Out PDU is missing or out of order"
    UNEXPECTED_UNSOLICITED_DATA = "more unsolicited data than was negotiated"
    INCORRECT_AMOUNT_OF_DATA = "less unsolicited data than was announced"


_S = TransferState
_I = TransferInput

TRANSITIONS: Final[dict[tuple[TransferState, TransferInput], TransferState]] = {
    (_S.UNSOLICITED, _I.DATA): _S.UNSOLICITED,
    (_S.UNSOLICITED, _I.UNSOLICITED_ENDED): _S.SOLICITED,
    (_S.UNSOLICITED, _I.OUT_OF_ORDER): _S.DISCARDING,
    (_S.UNSOLICITED, _I.ALL_RECEIVED): _S.COMPLETE,
    (_S.SOLICITED, _I.DATA): _S.SOLICITED,
    (_S.SOLICITED, _I.OUT_OF_ORDER): _S.DISCARDING,
    (_S.SOLICITED, _I.ALL_RECEIVED): _S.COMPLETE,
    (_S.DISCARDING, _I.DATA): _S.DISCARDING,
    (_S.DISCARDING, _I.OUT_OF_ORDER): _S.DISCARDING,
    (_S.DISCARDING, _I.ALL_RECEIVED): _S.COMPLETE,
}


@dataclass(slots=True)
class Burst:
    """What one R2T asked for, and how much of it is here; bytes."""

    target_transfer_tag: int
    r2t_sn: int
    buffer_offset: int
    length: int
    received: int = 0
    next_data_sn: int = 0


class DataOutTransfer:
    """Collects the data-out of one command, and says what to ask for next. All lengths are bytes."""

    __slots__ = (
        "_limit",
        "_next_data_sn",
        "_next_r2t_sn",
        "_requested",
        "bursts",
        "error",
        "expected",
        "pieces",
        "received",
        "state",
        "unsolicited_open",
        "wanted",
    )

    def __init__(self, *, expected: int, first_burst_length: int, immediate_data: memoryview, final: bool) -> None:
        """`expected` is the expected data transfer length, `final` the F bit of the command."""
        self.expected = expected
        self.wanted = expected
        self.pieces: list[memoryview] = []
        self.received = 0
        self.bursts: deque[Burst] = deque()
        self.error: TransferError | None = None
        self.unsolicited_open = not final
        """Whether the initiator still owes the end of its unsolicited data."""
        self._limit = min(expected, first_burst_length)
        self._next_data_sn = 0
        self._next_r2t_sn = 0
        self._requested = 0
        self.state = TransferState.SOLICITED if final else TransferState.UNSOLICITED
        self._take(immediate_data)
        if self.received > self._limit:
            self._fail(TransferError.UNEXPECTED_UNSOLICITED_DATA)
        elif final and self.received == expected:
            self._advance(TransferInput.ALL_RECEIVED)

    def want(self, wanted: int) -> None:
        """The CDB asks for `wanted` bytes: no more than that, nor than the initiator expects to send, is asked for."""
        self.wanted = min(wanted, self.expected)
        if self.state is TransferState.SOLICITED and self.received >= self.wanted:
            self._advance(TransferInput.ALL_RECEIVED)

    def cancel(self) -> None:
        """The command has its answer already: what the initiator still owes is thrown away."""
        self.pieces.clear()
        if self.state is not TransferState.COMPLETE:
            self._discard()

    def receive(self, pdu: DataOut) -> Burst | None:
        """Take one Data-Out PDU; gives the burst that it completes, if it does.

        Raises `ConnectionViolation` for one that answers nothing that was asked or promised. One that is merely out
        of order makes the transfer fail instead (`error`).
        """
        if pdu.target_transfer_tag == RESERVED_TAG:
            self._receive_unsolicited(pdu)
            return None
        return self._receive_solicited(pdu)

    def _receive_unsolicited(self, pdu: DataOut) -> None:
        if not self.unsolicited_open:
            raise ConnectionViolation("unsolicited Data-Out for a command that has promised none (RFC 7143 §11.7.4)")
        self.unsolicited_open = not pdu.final
        in_order = self._continues(pdu, self._next_data_sn)
        self._next_data_sn += 1
        if self.state is TransferState.DISCARDING:
            self._discard()
        elif not in_order:
            self._fail(TransferError.OUT_OF_ORDER)
        else:
            self._take(memoryview(pdu.data_segment))
            self._after_unsolicited(final=pdu.final)

    def _after_unsolicited(self, *, final: bool) -> None:
        if self.received > self._limit:
            self._fail(TransferError.UNEXPECTED_UNSOLICITED_DATA)
        elif not final:
            self._advance(TransferInput.DATA)
        elif self.received < self._limit:
            # F = 0 in the command announces FirstBurstLength bytes, or all there is (RFC 7143 §11.3.1, §13.14).
            self._fail(TransferError.INCORRECT_AMOUNT_OF_DATA)
        elif self.received >= self.wanted:
            self._advance(TransferInput.ALL_RECEIVED)
        else:
            self._advance(TransferInput.UNSOLICITED_ENDED)

    def _receive_solicited(self, pdu: DataOut) -> Burst | None:
        burst = next((known for known in self.bursts if known.target_transfer_tag == pdu.target_transfer_tag), None)
        if burst is None:
            raise ConnectionViolation(f"Data-Out for an R2T that was not sent: tag {pdu.target_transfer_tag:#x}")
        length = memoryview(pdu.data_segment).nbytes
        if burst.received + length > burst.length:
            raise ConnectionViolation(f"more data than the {burst.length} bytes that R2T asked for (RFC 7143 §11.8.4)")
        in_order = burst is self.bursts[0] and self._continues(pdu, burst.next_data_sn)
        in_order = in_order and pdu.final == (burst.received + length == burst.length)
        burst.next_data_sn += 1
        burst.received += length
        if pdu.final:
            self.bursts.remove(burst)
        self._after_solicited(memoryview(pdu.data_segment), in_order=in_order)
        return burst if pdu.final else None

    def _after_solicited(self, data: memoryview, *, in_order: bool) -> None:
        if self.state is TransferState.DISCARDING:
            self._discard()
        elif not in_order:
            self._fail(TransferError.OUT_OF_ORDER)
        else:
            self._take(data)
            self._advance(TransferInput.ALL_RECEIVED if self.received >= self.wanted else TransferInput.DATA)

    def next_burst(self, *, max_burst_length: int, max_outstanding: int, new_tag: Callable[[], int]) -> Burst | None:
        """The next R2T to send, if one is due and allowed now."""
        if self.state is not TransferState.SOLICITED or len(self.bursts) >= max_outstanding:
            return None
        start = max(self._requested, self.received)
        length = min(max_burst_length, self.wanted - start)
        if length <= 0:
            return None
        burst = Burst(new_tag(), self._next_r2t_sn, start, length)
        self._requested = start + length
        self._next_r2t_sn += 1
        self.bursts.append(burst)
        return burst

    @property
    def r2ts_sent(self) -> int:
        """How many R2Ts went out; ExpDataSN of the response counts them (RFC 7143 §11.4.8)."""
        return self._next_r2t_sn

    def take_pieces(self) -> list[memoryview]:
        """The data, cut to what was wanted."""
        surplus = self.received - self.wanted
        while surplus > 0:
            last = self.pieces.pop()
            if last.nbytes > surplus:
                self.pieces.append(last[: last.nbytes - surplus])
            surplus -= last.nbytes
        return self.pieces

    def _take(self, data: memoryview) -> None:
        if data.nbytes:
            self.pieces.append(data)
            self.received += data.nbytes

    def _continues(self, pdu: DataOut, data_sn: int) -> bool:
        """Whether `pdu` is the next of its sequence (RFC 7143 §11.7.5, §11.7.6)."""
        return pdu.data_sn == data_sn and pdu.buffer_offset == self.received

    def _fail(self, error: TransferError) -> None:
        self.error = error
        self.pieces.clear()
        self._discard()

    def _discard(self) -> None:
        owed = self.unsolicited_open or bool(self.bursts)
        self._advance(TransferInput.OUT_OF_ORDER if owed else TransferInput.ALL_RECEIVED)

    def _advance(self, happened: TransferInput) -> None:
        try:
            self.state = TRANSITIONS[self.state, happened]
        except KeyError:
            raise LocalProtocolError(f"{happened.name} cannot happen to a transfer in {self.state.name}") from None


class DataOutBudget:
    """Bytes of data-out that all sessions together may have asked for: a bound on memory that no peer can lift.

    A task gets all that it will ask for, or waits: so no two tasks can each hold what the other needs. Those who wait
    are served in the order of asking.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is bytes; a request larger than it is let through when nothing else is out."""
        self.limit = limit
        self.reserved = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def request(self, length: int, granted: Callable[[], None]) -> None:
        """Call `granted` when `length` bytes are there: at once, or later."""
        self._waiting.append((length, granted))
        if len(self._waiting) == 1:
            self._grant()

    def release(self, length: int) -> None:
        """Give back `length` bytes."""
        self.reserved -= length
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            length, granted = self._waiting[0]
            if self.reserved and self.reserved + length > self.limit:
                return
            self._waiting.popleft()
            self.reserved += length
            granted()


def data_in_segments(length: int, *, max_segment: int, max_burst: int) -> Iterator[tuple[int, int, bool]]:
    """Cut data-in into PDUs: (offset, length, last of its sequence), in bytes.

    No PDU is longer than the initiator's MaxRecvDataSegmentLength, no sequence than MaxBurstLength (RFC 7143 §11.7.1).
    """
    offset = 0
    while offset < length:
        burst_end = min(length, offset + max_burst)
        while offset < burst_end:
            size = min(max_segment, burst_end - offset)
            yield offset, size, offset + size == burst_end
            offset += size
