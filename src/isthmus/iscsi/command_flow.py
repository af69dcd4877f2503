"""SCSI commands on one connection: from the Command PDU through its data to its response (RFC 7143 §11.3, §11.4, §11.7, §11.8)."""

from functools import partial
from typing import TYPE_CHECKING, Final

from isthmus.iscsi.codec import PADDING, digest
from isthmus.iscsi.errors import ConnectionViolation, PduRejected
from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason
from isthmus.iscsi.pdu import DataOut, ReadyToTransfer, ScsiCommand
from isthmus.iscsi.response import DATA_IN_WITH_STATUS, data_in_header, residual, scsi_response_header
from isthmus.iscsi.sequencing import SEQUENCE_MASK
from isthmus.iscsi.task import CommandResult, IscsiTask
from isthmus.iscsi.transfer import DataOutTransfer, TransferState, data_in_segments

if TYPE_CHECKING:
    from isthmus.iscsi.connection import Connection

__all__ = ["MAX_IMMEDIATE_TASKS", "CommandFlow"]

MAX_IMMEDIATE_TASKS: Final = 8
"""Immediate commands in progress on a connection: the window does not count them, so something must (RFC 7143 §4.2.2.1)."""
_FINAL: Final = 0x80
_GOOD: Final = 0


class CommandFlow:
    """The tasks of one connection."""

    __slots__ = ("_connection", "_immediate_tasks", "_session")

    def __init__(self, connection: "Connection") -> None:
        """The flow of `connection`."""
        self._connection = connection
        self._session = connection.session
        self._immediate_tasks = 0

    # -- In ------------------------------------------------------------------------------------------------------------

    def receive_command(self, pdu: ScsiCommand) -> None:
        """A SCSI Command: make its task, and hand it on when its turn comes."""
        tasks = self._session.tasks
        if pdu.initiator_task_tag in tasks or pdu.initiator_task_tag == RESERVED_TAG:
            if not self._connection.consume(pdu):
                return
            raise PduRejected(RejectReason.TASK_IN_PROGRESS, "the tag of a task in progress, or the reserved one")
        if pdu.is_immediate and self._immediate_tasks >= MAX_IMMEDIATE_TASKS:
            raise PduRejected(RejectReason.IMMEDIATE_COMMAND_REJECT, "too many immediate commands (§4.2.2.1)")
        task = self._new_task(pdu)
        tasks[task.initiator_task_tag] = task
        self._immediate_tasks += pdu.is_immediate
        if not self._connection.sequenced(pdu, partial(self._deliver, task)):
            del tasks[task.initiator_task_tag]

    def take_over(self, pdu: ScsiCommand) -> IscsiTask:
        """The task of a command of the fast path, which has counted its CmdSN and run it, and needs it answered."""
        task = self._new_task(pdu)
        task.delivered = True
        self._session.tasks[task.initiator_task_tag] = task
        return task

    def _new_task(self, pdu: ScsiCommand) -> IscsiTask:
        task = IscsiTask(self._connection, pdu)
        data = memoryview(pdu.data_segment)
        negotiated = self._session.parameters
        if not pdu.final and negotiated.initial_r2t:
            raise ConnectionViolation("unsolicited data announced although InitialR2T = Yes (§13.10)")
        if data.nbytes and not negotiated.immediate_data:
            raise ConnectionViolation("immediate data although ImmediateData = No (§13.11)")
        if pdu.write:
            task.transfer = DataOutTransfer(
                expected=pdu.expected_data_transfer_length,
                first_burst_length=negotiated.first_burst_length,
                immediate_data=data,
                final=pdu.final,
            )
        elif data.nbytes or not pdu.final:
            raise ConnectionViolation("data with a command whose W bit is 0 (§11.3.1)")
        return task

    def _deliver(self, task: IscsiTask) -> None:
        if task.ended:
            return
        task.delivered = True
        self._session.sink.submit(task)
        if task.held_result is None and not task.ended:
            self._advance(task)

    def receive_data_out(self, pdu: DataOut) -> None:
        """A Data-Out PDU: part of what its command announced, or of what an R2T asked for."""
        self._connection.counts.data_out += 1
        task = self._session.tasks.get(pdu.initiator_task_tag)
        if task is None or task.transfer is None:
            return  # Data of a task that has been aborted meanwhile may still be on its way: it goes nowhere.
        if task.connection is not self._connection:
            raise ConnectionViolation("Data-Out on another connection than its command (§4.2.2)")
        task.transfer.receive(pdu)
        if task.held_result is not None:
            self.respond(task, task.held_result)
        elif task.delivered:
            self._advance(task)

    def _advance(self, task: IscsiTask) -> None:
        """Run the task if its data is complete, else ask for what may be asked for now."""
        transfer = task.transfer
        if transfer is not None and transfer.state is not TransferState.COMPLETE:
            self._solicit(task, transfer)
        elif transfer is not None and transfer.error is not None:
            self._session.sink.fail(task, transfer.error)
        else:
            self._session.sink.data_out_complete(task)

    def _solicit(self, task: IscsiTask, transfer: DataOutTransfer) -> None:
        """Send R2Ts (§11.8), once the budget has room for all the data of the task."""
        if transfer.state is not TransferState.SOLICITED:
            return
        if not task.reserved:
            needed = transfer.wanted - transfer.received
            self._session.budget.request(needed, partial(self._granted, task, needed))
            return
        negotiated = self._session.parameters
        while burst := transfer.next_burst(
            max_burst_length=negotiated.max_burst_length,
            max_outstanding=negotiated.max_outstanding_r2t,
            new_tag=self._session.new_target_transfer_tag,
        ):
            r2t = ReadyToTransfer(
                lun=task.lun,
                initiator_task_tag=task.initiator_task_tag,
                target_transfer_tag=burst.target_transfer_tag,
                r2t_sn=burst.r2t_sn,
                buffer_offset=burst.buffer_offset,
                desired_data_transfer_length=burst.length,
            )
            self._connection.send(r2t, advance_stat_sn=False)

    def _granted(self, task: IscsiTask, length: int) -> None:
        if task.ended or task.transfer is None:
            self._session.budget.release(length)
            return
        task.reserved = length
        self._solicit(task, task.transfer)

    # -- Out -----------------------------------------------------------------------------------------------------------

    def respond(self, task: IscsiTask, result: CommandResult) -> None:
        """End the task with `result`, as soon as the initiator has sent the unsolicited data that it announced.

        Answering earlier would be legal, but the rest of that data would then arrive for a tag that may be in use again.
        """
        if task.ended:
            return
        transfer = task.transfer
        if transfer is not None and transfer.unsolicited_open:
            if task.held_result is None:
                transfer.cancel()
            task.held_result = result
            return
        self.forget(task)
        # An initiator that expects no data-in, or another amount, learns so by the residual (§11.4.5).
        data_in = memoryview(result.data_in)
        expected = task.expected_data_transfer_length if task.read or task.write else 0
        sendable = min(data_in.nbytes, expected) if task.read else 0
        flag, count = residual(expected, data_in.nbytes if task.read or not task.write else result.data_out_wanted)
        data_sn = 0
        if sendable:
            collapse = result.status == _GOOD
            data_sn = self._send_data_in(task, data_in[:sendable], (flag, count) if collapse else None)
            counts = self._connection.counts
            counts.data_in += data_sn
            if collapse:
                counts.statuses_in_data_in += 1
                return
        self._send_response(task, result, flag, count, data_sn)

    def end_unseen(self, task: IscsiTask) -> None:
        """The task was aborted and nothing is answered."""
        self.forget(task)

    def forget(self, task: IscsiTask) -> None:
        """Take the task off the books."""
        if not task.ended:
            self._immediate_tasks -= task.is_immediate
            self._session.forget(task)

    def _send_data_in(self, task: IscsiTask, data: memoryview, final_status: tuple[int, int] | None) -> int:
        """Send Data-In PDUs, the last with GOOD status and the residual if `final_status` is given; gives how many."""
        connection = self._connection
        window = self._session.window
        data_sn = 0
        for offset, size, ends_sequence in data_in_segments(
            data.nbytes,
            max_segment=connection.parameters.max_xmit_data_segment_length,
            max_burst=self._session.parameters.max_burst_length,
        ):
            flags, stat_sn, residual_count = (_FINAL if ends_sequence else 0), 0, 0
            if final_status is not None and offset + size == data.nbytes:
                flags = DATA_IN_WITH_STATUS | final_status[0]
                residual_count = final_status[1]
                stat_sn = connection.next_stat_sn()
            header = data_in_header(
                flags=flags,
                status=_GOOD,
                length=size,
                initiator_task_tag=task.initiator_task_tag,
                stat_sn=stat_sn,
                exp_cmd_sn=window.exp_cmd_sn,
                max_cmd_sn=window.max_cmd_sn,
                data_sn=data_sn,
                buffer_offset=offset,
                residual_count=residual_count,
            )
            self._put(header, data[offset : offset + size])
            data_sn += 1
        return data_sn

    def _send_response(self, task: IscsiTask, result: CommandResult, flag: int, count: int, data_sn: int) -> None:
        window = self._session.window
        segment = b""
        if result.sense:
            segment = len(result.sense).to_bytes(2) + result.sense  # SenseLength, §11.4.7
        r2ts = task.transfer.r2ts_sent if task.transfer is not None else 0
        header = scsi_response_header(
            residual_flag=flag,
            status=result.status,
            length=len(segment),
            initiator_task_tag=task.initiator_task_tag,
            stat_sn=self._connection.next_stat_sn(),
            exp_cmd_sn=window.exp_cmd_sn,
            max_cmd_sn=window.max_cmd_sn,
            exp_data_sn=(data_sn + r2ts) & SEQUENCE_MASK,
            residual_count=count,
        )
        self._put(header, memoryview(segment))

    def _put(self, header: bytes, data: memoryview) -> None:
        """Queue one PDU, with its digests and padding."""
        connection = self._connection
        outbox = connection.outbox
        outbox.append(header)
        if connection.digests.header:
            outbox.append(digest(header))
        if data.nbytes:
            outbox.append(data)
            padding = PADDING[data.nbytes & 3]
            if padding:
                outbox.append(padding)
            if connection.digests.data:
                outbox.append(digest(padding, int.from_bytes(digest(data), "little")))
        connection.on_output()
