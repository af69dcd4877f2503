"""The fast path of WRITE (10) and WRITE (16) with all their data in the command, for which a grant stands.

A write may wait for the disk (for the journal, for dirty pages to go), so it runs on the crew of its backstore; all that one
receive brought are handed over together, and what they have to say comes back together. Writes that follow one another
on the medium become one. As in `read_path`, whatever is out of the ordinary by one bit takes the long way.
"""

from itertools import repeat
from typing import TYPE_CHECKING, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import Write
from isthmus.engine.ordinary_command import CDB_16_OFFSET, COMMAND, COMMAND_16, WITHOUT_DPO
from isthmus.engine.scsi_bridge import ScsiBridge
from isthmus.engine.workers import Job
from isthmus.errors import BackstoreError
from isthmus.iscsi.codec import digest
from isthmus.iscsi.opcodes import BHS_LENGTH, RESERVED_TAG
from isthmus.iscsi.pdu import ScsiCommand
from isthmus.iscsi.response import scsi_good
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


class WriteRun:
    """Writes that follow one another on the medium: one block operation for a crew."""

    __slots__ = ("data", "end", "offset", "tasks")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.end = offset
        self.data: list[bytes] = []
        self.tasks: list[FastWrite] = []

    def add(self, task: "FastWrite", data: bytes) -> None:
        """Append the write of `task`, which begins where the run ends."""
        self.tasks.append(task)
        self.data.append(data)
        self.end += len(data)

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
        offset = self.offset
        for task, data, own in zip(self.tasks, self.data, errors or repeat(error), strict=False):
            task.finished(data, offset, own)
            offset += len(data)


class FastWrite(IscsiTask):
    """A write under a grant: a task of its session like any other."""

    __slots__ = ("_grant", "_stream")

    def __init__(self, stream: "Stream", grant: FastPathGrant, *, tag: int, lun: int, cdb: bytes) -> None:
        # What a session looks at, set at once: there is no ScsiCommand to take it from.
        self.connection = stream.connection
        self.initiator_task_tag = tag
        self.lun = lun
        self.cdb = cdb
        self.is_immediate = False
        self.abortable = False
        self.delivered = True
        self.ended = False
        self.reserved = 0
        self.transfer = None
        self.held_result = None
        self.context = None
        self.on_settled = None
        self._stream = stream
        self._grant = grant

    def finished(self, data: bytes, offset: int, error: Exception | None) -> None:
        """`data` is written at `offset`, or failed with `error`."""
        grant = self._grant
        if self.ended:
            pass  # Its connection was lost meanwhile.
        elif error is not None:
            self._fail(error, Write(offset, (data,), len(data)))
        else:
            connection = self.connection
            session = connection.session
            window = session.window
            self.ended = True
            del session.tasks[self.initiator_task_tag]
            window.max_cmd_sn = (window.max_cmd_sn + 1) & SEQUENCE_MASK
            stat_sn = connection.stat_sn
            connection.stat_sn = (stat_sn + 1) & SEQUENCE_MASK
            grant.write_commands += 1
            grant.write_bytes += len(data)
            header = scsi_good(self.initiator_task_tag, stat_sn, window.exp_cmd_sn, window.max_cmd_sn)
            connection.outbox.append(header)
            if connection.digests.header:
                connection.outbox.append(digest(header))
            self._stream.output_ready()
        # Whoever waits for the grant to be idle must find the answer to this write queued.
        grant.end()
        if self.on_settled is not None:
            self.on_settled()

    def _fail(self, error: Exception, operation: Write) -> None:
        """Let the SCSI layer answer: it knows the sense for what the storage has said."""
        connection = self.connection
        task = connection.commands.take_over(
            ScsiCommand(
                write=True,
                lun=self.lun,
                initiator_task_tag=self.initiator_task_tag,
                expected_data_transfer_length=operation.length,
                cdb=self.cdb,
                data_segment=operation.data[0],
            )
        )
        sink = connection.session.sink
        assert isinstance(sink, ScsiBridge)
        sink.failed(task, error, operation)


def serve_writes(stream: "Stream", position: int, end: int) -> int:
    """Hand over the ordinary writes in the receive buffer from `position`; gives the position of the first other PDU."""
    connection = stream.connection
    session = connection.session
    digests = connection.digests
    if digests.header or digests.data or session.early or session.waiting_functions or stream.closing:
        return position
    window = session.window
    immediate_limit = connection.max_write_length
    received = stream.engine.receive_view
    tasks = session.tasks
    jobs: list[Job] = []
    run: WriteRun | None = None
    backstore: Backstore | None = None
    while end - position >= BHS_LENGTH:
        kind, length, lun, tag, expected, cmd_sn, ack, head, lba, _, blocks, control = COMMAND.unpack_from(
            received, position
        )
        # `length` has TotalAHSLength in its high byte: with any AHS it cannot be what is expected.
        if kind not in _SCSI_WRITE or length != expected or cmd_sn != window.exp_cmd_sn:
            break
        head &= WITHOUT_DPO
        if head == _WRITE_16_HEAD:
            lba, blocks, _, control = COMMAND_16.unpack_from(received, position + CDB_16_OFFSET)
        elif head != _WRITE_10_HEAD:
            break
        grant = stream.grants.get(lun)
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
            or (window.max_cmd_sn - cmd_sn) & SEQUENCE_MASK == SEQUENCE_MASK
            or (backstore is not None and backstore is not grant.backstore)
        ):
            break
        backstore = grant.backstore
        offset = lba << grant.block_shift
        if run is None or offset != run.end or run.end - run.offset >= MAX_RUN:
            run = WriteRun(offset)
            jobs.append((run, run.finished))
        data = bytes(received[position + BHS_LENGTH : data_end])
        cdb = bytes(received[position + 32 : position + 48])
        task = FastWrite(stream, grant, tag=tag, lun=lun, cdb=cdb)
        run.add(task, data)
        grant.in_flight += 1
        tasks[tag] = task
        window.exp_cmd_sn = (cmd_sn + 1) & SEQUENCE_MASK
        connection.exp_stat_sn = ack
        position = data_end
    if backstore is not None:
        stream.engine.workers.submit_many(backstore, jobs)
    return position
