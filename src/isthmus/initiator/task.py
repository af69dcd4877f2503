"""Requests in progress at the initiator, each keyed by its initiator task tag until it has its answer (RFC 7143 §4.2.1).

A task turns itself into PDUs, takes the PDUs that answer it, and ends exactly once. It is awaited for its result; a task
whose waiter gave up goes on answering the target until it has ended, since its tag stays in use until then.
"""

import asyncio
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from typing_extensions import Buffer

from isthmus.initiator.data_in import DataInBuffer
from isthmus.initiator.data_out import DataOutLimits, DataOutSource
from isthmus.initiator.errors import ServiceDeliveryFailure
from isthmus.initiator.sense import DecodedSense, decode_sense
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import ServiceResponse
from isthmus.iscsi.pdu import DataIn, DataOut, Pdu, ReadyToTransfer, ResponsePdu, ScsiCommand, ScsiResponse
from isthmus.names import SerialNumber
from isthmus.scsi.status import Status
from isthmus.scsi.task_attribute import TaskAttribute

__all__ = ["CommandTask", "RequestTask", "Residual", "Result", "Task"]

T = TypeVar("T")
R = TypeVar("R", bound=ResponsePdu)


@dataclass(frozen=True, slots=True)
class Residual:
    """Bytes by which a transfer missed its expected length (RFC 7143 §11.4.5)."""

    overflow: int = 0
    """How much more the command would have needed room for."""
    underflow: int = 0
    """How much was not transferred."""


NO_RESIDUAL = Residual()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a command."""

    status: int
    sense: bytes = b""
    """Sense data as it came, without SenseLength."""
    data_in: bytes = field(default=b"", repr=False)
    residual: Residual = NO_RESIDUAL
    data_in_residual: Residual = NO_RESIDUAL
    """Of the data-in of a bidirectional command; `residual` is then that of its data-out."""

    @property
    def decoded_sense(self) -> DecodedSense | None:
        """The sense data as a value, None if there is none."""
        return decode_sense(self.sense)


class Task(Generic[T]):
    """What all requests in progress share."""

    def __init__(self, initiator_task_tag: int) -> None:
        self.initiator_task_tag = initiator_task_tag
        self.cmd_sn: SerialNumber | None = None
        """Set when the request goes out; an immediate one carries it without using it up."""
        self.ended = False
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Generator[Any, None, T]:
        return self._future.__await__()

    async def wait_ended(self) -> None:
        """Wait for the end, however it comes about."""
        await asyncio.wait([self._future])

    @property
    def lun(self) -> int | None:
        """The LUN field that the request names, None if it names none."""
        return None

    def request(self) -> Pdu:
        """The PDU that starts the task, without its sequence numbers."""
        raise NotImplementedError

    def follow_up(self) -> Iterable[Pdu]:
        """What goes out right behind it."""
        return ()

    def receive(self, pdu: ResponsePdu) -> Iterable[Pdu]:
        """Take a PDU with this task's tag; gives the PDUs to send in turn. Raises `ConnectionViolation`."""
        raise NotImplementedError

    def succeed(self, result: T) -> None:
        """End with `result`."""
        self.ended = True
        if not self._future.done():
            self._future.set_result(result)

    def fail(self, error: Exception) -> None:
        """End with `error`."""
        self.ended = True
        if not self._future.done():
            self._future.set_exception(error)
            # Who awaits the task gets the error all the same; that nobody does is not worth asyncio's complaint, as
            # what ends tasks in bulk (a lost connection, a reset) is reported by itself.
            self._future.exception()


class RequestTask(Task[R]):
    """A request that one PDU answers: NOP-Out, task management, logout."""

    def __init__(self, request: Pdu, answer: type[R]) -> None:
        """`answer` is the class of the PDU that ends the task."""
        super().__init__(request.initiator_task_tag)
        self._request = request
        self._answer = answer

    def request(self) -> Pdu:
        return self._request

    def receive(self, pdu: ResponsePdu) -> Iterable[Pdu]:
        if not isinstance(pdu, self._answer):
            raise ConnectionViolation(f"{type(pdu).__name__} came where {self._answer.__name__} was due")
        self.succeed(pdu)
        return ()


class CommandTask(Task[Result]):
    """A SCSI command with its data."""

    def __init__(
        self,
        initiator_task_tag: int,
        *,
        lun: int,
        cdb: bytes,
        limits: DataOutLimits,
        data_out: Buffer = b"",
        data_in_length: int = 0,
        attribute: int = TaskAttribute.SIMPLE,
        is_immediate: bool = False,
        data_in_order: bool = True,
    ) -> None:
        """`lun` is the 8-byte LUN field; `data_in_length` the bytes that the caller has room for."""
        super().__init__(initiator_task_tag)
        self.cdb = cdb
        self.attribute = attribute
        self.is_immediate = is_immediate
        self._lun = lun
        self.data_out_length = memoryview(data_out).nbytes
        self.data_in_length = data_in_length
        self._data_out = DataOutSource(data_out, lun=lun, initiator_task_tag=initiator_task_tag, limits=limits)
        self._data_in = DataInBuffer(data_in_length, in_order=data_in_order)

    @property
    def lun(self) -> int:
        return self._lun

    def request(self) -> ScsiCommand:
        writes, reads = self.data_out_length > 0, self.data_in_length > 0
        return ScsiCommand(
            is_immediate=self.is_immediate,
            final=not self._data_out.has_unsolicited,
            read=reads,
            write=writes,
            attribute=self.attribute,
            lun=self._lun,
            initiator_task_tag=self.initiator_task_tag,
            expected_data_transfer_length=self.data_out_length if writes else self.data_in_length,
            cdb=self.cdb.ljust(16, b"\0"),
            bidirectional_read_data_length=self.data_in_length if writes and reads else None,
            data_segment=self._data_out.immediate,
        )

    def follow_up(self) -> Iterable[DataOut]:
        return self._data_out.unsolicited()

    def receive(self, pdu: ResponsePdu) -> Iterable[Pdu]:
        if isinstance(pdu, DataIn):
            self._receive_data_in(pdu)
        elif isinstance(pdu, ReadyToTransfer):
            return self._data_out.answer(pdu)
        elif isinstance(pdu, ScsiResponse):
            self._receive_response(pdu)
        else:
            raise ConnectionViolation(f"{type(pdu).__name__} answers a SCSI Command")
        return ()

    def _receive_data_in(self, pdu: DataIn) -> None:
        self._data_in.add(pdu)
        if pdu.acknowledge:
            raise ConnectionViolation("the A bit is for ErrorRecoveryLevel 1 and up (RFC 7143 §11.7.2)")
        if pdu.has_status:
            residual = _residual(pdu.residual_overflow, pdu.residual_underflow, pdu.residual_count)
            self._end(Result(status=pdu.status, data_in=self._data_in.take(), residual=residual))

    def _receive_response(self, pdu: ScsiResponse) -> None:
        if pdu.response != ServiceResponse.COMMAND_COMPLETED:
            self.fail(ServiceDeliveryFailure(pdu.response))
            return
        self._check_nothing_is_missing(pdu.exp_data_sn)
        residual = _residual(pdu.residual_overflow, pdu.residual_underflow, pdu.residual_count)
        data_in_residual = _residual(
            pdu.bidirectional_overflow, pdu.bidirectional_underflow, pdu.bidirectional_residual_count
        )
        self._end(
            Result(
                status=pdu.status,
                sense=_sense(bytes(pdu.data_segment)),
                data_in=self._data_in.take(),
                residual=residual,
                data_in_residual=data_in_residual,
            )
        )

    def _check_nothing_is_missing(self, exp_data_sn: int) -> None:
        seen = self._data_in.num_pdus + self._data_out.num_r2ts
        if exp_data_sn > seen:
            raise ConnectionViolation(f"ExpDataSN is {exp_data_sn} but {seen} PDUs came (RFC 7143 §11.4.8)")

    def _end(self, result: Result) -> None:
        if result.status == Status.GOOD:
            self._check_transferred(result)
        self.succeed(result)

    def _check_transferred(self, result: Result) -> None:
        """GOOD with bytes that neither went over nor are in the residual would be data lost unseen."""
        is_bidirectional = self.data_in_length > 0 and self.data_out_length > 0
        in_residual = result.data_in_residual if is_bidirectional else result.residual
        if self.data_in_length and self._data_in.received + in_residual.underflow != self.data_in_length:
            raise ConnectionViolation(
                f"GOOD with {self._data_in.received} bytes of data-in and a residual of {in_residual.underflow}, "
                f"where {self.data_in_length} were expected (RFC 7143 §11.4.5)"
            )
        if self.data_out_length and self._data_out.sent + result.residual.underflow < self.data_out_length:
            raise ConnectionViolation(
                f"GOOD with {self._data_out.sent} bytes of data-out and a residual of {result.residual.underflow}, "
                f"where {self.data_out_length} were expected (RFC 7143 §11.4.5)"
            )


def _residual(overflow: bool, underflow: bool, count: int) -> Residual:
    if overflow and underflow:
        raise ConnectionViolation("a response with both the O and the U bit (RFC 7143 §11.4.1)")
    if not overflow and not underflow:
        return NO_RESIDUAL
    return Residual(overflow=count if overflow else 0, underflow=count if underflow else 0)


def _sense(data_segment: bytes) -> bytes:
    """The sense data behind its length (RFC 7143 §11.4.7)."""
    return data_segment[2 : 2 + int.from_bytes(data_segment[:2])]
