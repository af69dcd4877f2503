"""Data-Out cut into PDUs: immediate, unsolicited, and what a Ready To Transfer asks for (RFC 7143 §4.2.5.2, §11.7, §11.8)."""

from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import Buffer

from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import DataOut, ReadyToTransfer

__all__ = ["DataOutLimits", "DataOutSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOutLimits:
    """What was negotiated about data-out; lengths in bytes (RFC 7143 §13.10 to §13.14)."""

    initial_r2t: bool
    immediate_data: bool
    first_burst_length: int
    max_burst_length: int
    max_data_segment_length: int
    """The target's MaxRecvDataSegmentLength."""


class DataOutSource:
    """The data of one command, and how much of it has been asked for."""

    def __init__(self, data: Buffer, *, lun: int, initiator_task_tag: int, limits: DataOutLimits) -> None:
        """`lun` is the 8-byte LUN field."""
        self._data = memoryview(data).cast("B")
        self._lun = lun
        self._tag = initiator_task_tag
        self._limits = limits
        self._next_r2t_sn = 0
        self.sent = 0
        """Bytes that the target has been given, or is being given."""

    @property
    def immediate(self) -> memoryview:
        """What goes into the command's own data segment."""
        limits = self._limits
        if not limits.immediate_data:
            return self._data[:0]
        return self._data[: min(limits.first_burst_length, limits.max_data_segment_length)]

    @property
    def has_unsolicited(self) -> bool:
        """Whether Data-Out follows without being asked for: the command is then not final (RFC 7143 §11.3.1)."""
        return len(self._unsolicited_range) > 0

    @property
    def _unsolicited_range(self) -> range:
        end = 0 if self._limits.initial_r2t else min(len(self._data), self._limits.first_burst_length)
        return range(len(self.immediate), end)

    def unsolicited(self) -> Iterator[DataOut]:
        """The PDUs that follow the command at once."""
        part = self._unsolicited_range
        self.sent = max(part.stop, len(self.immediate))
        return self._sequence(part.start, part.stop, RESERVED_TAG)

    def answer(self, r2t: ReadyToTransfer) -> Iterator[DataOut]:
        """The PDUs that `r2t` asks for; raises `ConnectionViolation` for one that no target may send."""
        end = r2t.buffer_offset + r2t.desired_data_transfer_length
        if r2t.r2t_sn != self._next_r2t_sn:
            raise ConnectionViolation(f"R2TSN {r2t.r2t_sn} came where {self._next_r2t_sn} was due (RFC 7143 §11.8.3)")
        if not 0 < r2t.desired_data_transfer_length <= self._limits.max_burst_length:
            raise ConnectionViolation(
                f"R2T for {r2t.desired_data_transfer_length} bytes, the burst limit is {self._limits.max_burst_length}"
                " (RFC 7143 §11.8.4)"
            )
        if end > len(self._data):
            raise ConnectionViolation(f"R2T reaches byte {end} of a transfer of {len(self._data)} (RFC 7143 §11.8.4)")
        if r2t.target_transfer_tag == RESERVED_TAG:
            raise ConnectionViolation("R2T with the reserved target transfer tag (RFC 7143 §11.8.5)")
        self._next_r2t_sn += 1
        self.sent += r2t.desired_data_transfer_length
        return self._sequence(r2t.buffer_offset, end, r2t.target_transfer_tag)

    @property
    def num_r2ts(self) -> int:
        """How many R2Ts have been answered."""
        return self._next_r2t_sn

    def _sequence(self, start: int, end: int, target_transfer_tag: int) -> Iterator[DataOut]:
        step = self._limits.max_data_segment_length
        for data_sn, offset in enumerate(range(start, end, step)):
            stop = min(offset + step, end)
            yield DataOut(
                final=stop == end,
                lun=self._lun,
                initiator_task_tag=self._tag,
                target_transfer_tag=target_transfer_tag,
                data_sn=data_sn,
                buffer_offset=offset,
                data_segment=self._data[offset:stop],
            )
