"""The fast path of WRITE (10) and WRITE (16) with all their data in the command, for which a grant stands.

A write may wait for the disk (for the journal, for dirty pages to go), so it runs on the crew of its backstore; all that one
receive brought are handed over together, and what they have to say comes back together. Writes that follow one another
on the medium become one. As in `read_path`, whatever is out of the ordinary by one bit takes the long way.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import Write
from isthmus.engine.ordinary_command import CDB_16_OFFSET, COMMAND, COMMAND_16, write_16
from isthmus.engine.scsi_bridge import ScsiBridge
from isthmus.engine.workers import Job
from isthmus.errors import BackstoreError
from isthmus.iscsi.connection import Connection
from isthmus.iscsi.opcodes import BHS_LENGTH, RESERVED_TAG
from isthmus.iscsi.pdu import ScsiCommand
from isthmus.iscsi.response import SCSI_GOOD, SCSI_GOOD_HEAD
from isthmus.iscsi.sequencing import SEQUENCE_MASK
from isthmus.iscsi.task import IscsiTask
from isthmus.scsi.fast_path_grant import FastPathGrant

if TYPE_CHECKING:
    from isthmus.engine.stream import Stream

__all__ = ["MAX_RUN", "FastWrite", "WriteRun", "serve_writes"]

_SCSI_WRITE: Final = (0x01A0, 0x01A1)
"""SCSI Command, F and W set, R clear, task attribute untagged or SIMPLE."""
_WRITE_10_HEAD: Final = 0x2A00
_WRITE_16_HEAD: Final = 0x8A00


MAX_RUN: Final = 1 << 20
"""Bytes written with one call: enough to make the call's cost vanish, and little enough to share a disk fairly."""


class FastWrite(IscsiTask):
    """A write under a grant: a task of its session like any other.

    A session is full of these: what is the same for all of them stands in the class and costs nothing to set.
    """

    __slots__ = ()

    cdb = b""
    """Made when it is needed: only a write that fails needs one."""
    is_immediate = False
    abortable = False
    delivered = True
    reserved = 0
    transfer = None
    held_result = None
    context = None

    def __init__(self, connection: Connection, tag: int, lun: int) -> None:
        self.connection = connection
        self.initiator_task_tag = tag
        self.lun = lun
        self.ended = False
        self.on_settled = None


class WriteRun:
    """Writes of one connection that follow one another on the medium: one block operation for a crew, answered together."""

    __slots__ = ("_stream", "began", "data", "end", "grant", "offset", "tasks")

    def __init__(self, stream: "Stream", grant: FastPathGrant, offset: int) -> None:
        self._stream = stream
        self.began = stream.engine.received_at
        self.grant = grant
        self.offset = offset
        self.end = offset
        self.data: list[bytes] = []
        self.tasks: list[FastWrite] = []

    def run(self, backstore: Backstore) -> list[Exception | None] | None:
        """Write; called on a worker, or on the loop if the backstore never blocks.

        Gives the errors of the writes one by one if any but the only one failed.
        """
        try:
            backstore.write(self.offset, self.data)
        except BackstoreError:
            if len(self.data) == 1:
                raise
            return self._run_one_by_one(backstore)
        return None

    def _run_one_by_one(self, backstore: Backstore) -> list[Exception | None]:
        """Which of the writes it is that fails, and whether the others are done, only this tells."""
        errors: list[Exception | None] = []
        offset = self.offset
        for data in self.data:
            try:
                backstore.write(offset, (data,))
            except BackstoreError as error:
                errors.append(error)
            else:
                errors.append(None)
            offset += len(data)
        return errors

    def finished(self, errors: list[Exception | None] | None, error: Exception | None) -> None:
        """The worker is done; called on the loop."""
        if errors is None and error is None:
            self._answer(self.tasks, self.end - self.offset)
        else:
            self._answer_each(errors or repeat(error))
        self.grant.time_writes(perf_counter_ns() - self.began)
        # Whoever waits for the grant to be idle, or for one of the tasks, must find the answers queued.
        self.grant.end(len(self.tasks))
        for task in self.tasks:
            if task.on_settled is not None:
                task.on_settled()

    def _answer(self, tasks: Sequence[FastWrite], length: int) -> None:
        """`tasks` have written `length` bytes."""
        if tasks[0].ended:
            return  # The connection was lost meanwhile, and all of its tasks with it.
        connection = self._stream.connection
        session = connection.session
        window = session.window
        in_progress = session.tasks
        exp_cmd_sn, max_cmd_sn, stat_sn = window.exp_cmd_sn, window.max_cmd_sn, connection.stat_sn
        answers = bytearray(BHS_LENGTH * len(tasks))
        pack = SCSI_GOOD.pack_into
        position = 0
        for task in tasks:
            task.ended = True
            tag = task.initiator_task_tag
            del in_progress[tag]
            max_cmd_sn = (max_cmd_sn + 1) & SEQUENCE_MASK
            pack(answers, position, SCSI_GOOD_HEAD, tag, stat_sn, exp_cmd_sn, max_cmd_sn)
            stat_sn = (stat_sn + 1) & SEQUENCE_MASK
            position += BHS_LENGTH
        window.max_cmd_sn, connection.stat_sn = max_cmd_sn, stat_sn
        self.grant.write_commands += len(tasks)
        self.grant.write_bytes += length
        connection.outbox.append(answers)
        self._stream.output_ready()

    def _answer_each(self, errors: Iterable[Exception | None]) -> None:
        offset = self.offset
        for task, data, error in zip(self.tasks, self.data, errors, strict=False):
            if error is None:
                self._answer((task,), len(data))
            elif not task.ended:
                self._fail(task, Write(offset, (data,), len(data)), error)
            offset += len(data)

    def _fail(self, task: FastWrite, operation: Write, error: Exception) -> None:
        """Let the SCSI layer answer: it knows the sense for what the storage has said."""
        shift = self.grant.block_shift
        connection = self._stream.connection
        taken_over = connection.commands.take_over(
            ScsiCommand(
                write=True,
                lun=task.lun,
                initiator_task_tag=task.initiator_task_tag,
                expected_data_transfer_length=operation.length,
                cdb=write_16(operation.offset >> shift, operation.length >> shift),
                data_segment=operation.data[0],
            )
        )
        sink = connection.session.sink
        assert isinstance(sink, ScsiBridge)
        sink.failed(taken_over, error, operation)


def serve_writes(stream: "Stream", position: int, end: int) -> int:
    """Hand over the ordinary writes in the receive buffer from `position`; gives the position of the first other PDU."""
    connection = stream.connection
    session = connection.session
    digests = connection.digests
    if digests.header or digests.data or session.early or session.waiting_functions or stream.closing:
        return position
    window = session.window
    exp_cmd_sn, max_cmd_sn = window.exp_cmd_sn, window.max_cmd_sn
    immediate_limit = connection.max_write_length
    received = stream.engine.receive_view
    grants, tasks = stream.grants, session.tasks
    unpack, unpack_16 = COMMAND.unpack_from, COMMAND_16.unpack_from
    jobs: list[Job] = []
    run: WriteRun | None = None
    backstore: Backstore | None = None
    while end - position >= BHS_LENGTH:
        kind, length, lun, tag, expected, cmd_sn, ack, head, lba, _, blocks, control = unpack(received, position)
        # `length` has TotalAHSLength in its high byte: with any AHS it cannot be what is expected.
        if kind not in _SCSI_WRITE or length != expected or cmd_sn != exp_cmd_sn:
            break
        if head == _WRITE_16_HEAD:
            lba, blocks, _, control = unpack_16(received, position + CDB_16_OFFSET)
        elif head != _WRITE_10_HEAD:
            break
        grant = grants.get(lun)
        data_end = position + BHS_LENGTH + length
        if (
            grant is None
            or not grant.writes
            or control
            or not 0 < length <= immediate_limit
            or data_end > end
            or blocks << grant.block_shift != length
            or lba + blocks > grant.num_blocks
            or blocks > grant.max_transfer_blocks
            or tag in tasks
            or tag == RESERVED_TAG
            or (max_cmd_sn - cmd_sn) & SEQUENCE_MASK == SEQUENCE_MASK
            or (backstore is not None and backstore is not grant.backstore)
        ):
            break
        offset = lba << grant.block_shift
        if run is None or offset != run.end or grant is not run.grant or offset - run.offset >= MAX_RUN:
            backstore = grant.backstore
            run = WriteRun(stream, grant, offset)
            jobs.append((run, run.finished))
        task = tasks[tag] = FastWrite(connection, tag, lun)
        run.tasks.append(task)
        run.data.append(bytes(received[position + BHS_LENGTH : data_end]))
        run.end += length
        grant.in_flight += 1
        exp_cmd_sn = (exp_cmd_sn + 1) & SEQUENCE_MASK
        connection.exp_stat_sn = ack
        position = data_end
    if backstore is not None:
        several = exp_cmd_sn != (window.exp_cmd_sn + 1) & SEQUENCE_MASK
        window.exp_cmd_sn = exp_cmd_sn
        if stream.engine.workers.submit_many(backstore, jobs) and several:
            stream.hold()
    return position
