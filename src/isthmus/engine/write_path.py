"""The fast path of WRITE (10) and WRITE (16) with all their data in the command, for which a grant stands.

A write may wait for the disk (for the journal, for dirty pages to go), so it runs on the crew of its backstore; all that one
receive brought are handed over together, and what they have to say comes back together. As in `read_path`, whatever is
out of the ordinary by one bit takes the long way.
"""

import struct
from typing import TYPE_CHECKING, Final

from isthmus.backstores.base import Backstore
from isthmus.engine.workers import Job
from isthmus.iscsi.codec import digest
from isthmus.iscsi.opcodes import BHS_LENGTH, RESERVED_TAG
from isthmus.iscsi.pdu import ScsiCommand
from isthmus.iscsi.response import scsi_good
from isthmus.iscsi.sequencing import SEQUENCE_MASK
from isthmus.iscsi.task import IscsiTask
from isthmus.scsi.fast_path_grant import FastPathGrant

if TYPE_CHECKING:
    from isthmus.engine.stream import Stream

__all__ = ["FastWrite", "serve_writes"]

_COMMAND: Final = struct.Struct(">HxxIQIIIIHIBHB")
"""As in `read_path`."""
_WRITE_16: Final = struct.Struct(">QIBB")
_SCSI_WRITE: Final = (0x01A0, 0x01A1)
"""SCSI Command, F and W set, R clear, task attribute untagged or SIMPLE."""
_WITHOUT_DPO: Final = 0xFFEF
_WRITE_10_HEAD: Final = 0x2A00
_WRITE_16_HEAD: Final = 0x8A00


class FastWrite(IscsiTask):
    """A write under a grant: a task of its session like any other, and a block operation for a crew."""

    __slots__ = ("_data", "_grant", "_offset", "_stream")

    def __init__(
        self, stream: "Stream", grant: FastPathGrant, *, tag: int, lun: int, cdb: bytes, offset: int, data: bytes
    ) -> None:
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
        self._offset = offset
        self._data = data

    def run(self, backstore: Backstore) -> None:
        """Write; called on a worker, or on the loop if the backstore never blocks."""
        backstore.write(self._offset, (self._data,))

    def finished(self, _: object, error: Exception | None) -> None:
        """The worker is done; called on the loop."""
        grant = self._grant
        if self.ended:  # Its connection was lost meanwhile.
            grant.end()
            return
        if error is not None:
            grant.end()
            self._take_the_long_way()
            return
        connection = self.connection
        session = connection.session
        window = session.window
        self.ended = True
        del session.tasks[self.initiator_task_tag]
        window.max_cmd_sn = (window.max_cmd_sn + 1) & SEQUENCE_MASK
        stat_sn = connection.stat_sn
        connection.stat_sn = (stat_sn + 1) & SEQUENCE_MASK
        grant.write_commands += 1
        grant.write_bytes += len(self._data)
        header = scsi_good(self.initiator_task_tag, stat_sn, window.exp_cmd_sn, window.max_cmd_sn)
        connection.outbox.append(header)
        if connection.digests.header:
            connection.outbox.append(digest(header))
        self._stream.output_ready()
        grant.end()
        if self.on_settled is not None:
            self.on_settled()

    def _take_the_long_way(self) -> None:
        """The device server tries again: it knows the sense for what it meets."""
        command = ScsiCommand(
            write=True,
            lun=self.lun,
            initiator_task_tag=self.initiator_task_tag,
            expected_data_transfer_length=len(self._data),
            cdb=self.cdb,
            data_segment=memoryview(self._data),
        )
        self.connection.commands.run_again(command)
        if self.on_settled is not None:
            self.on_settled()


def serve_writes(stream: "Stream", position: int, end: int) -> int:
    """Hand over the ordinary writes in the receive buffer from `position`; gives the position of the first other PDU."""
    connection = stream.connection
    session = connection.session
    digests = connection.digests
    if digests.header or digests.data or session.early or session.waiting_functions or stream.closing:
        return position
    window = session.window
    immediate_limit = session.parameters.first_burst_length if session.parameters.immediate_data else 0
    received = stream.engine.receive_view
    tasks = session.tasks
    jobs: list[Job] = []
    backstore: Backstore | None = None
    while end - position >= BHS_LENGTH:
        kind, length, lun, tag, expected, cmd_sn, ack, head, lba, _, blocks, control = _COMMAND.unpack_from(
            received, position
        )
        # `length` has TotalAHSLength in its high byte: with any AHS it cannot be what is expected.
        if kind not in _SCSI_WRITE or length != expected or cmd_sn != window.exp_cmd_sn:
            break
        head &= _WITHOUT_DPO
        if head == _WRITE_16_HEAD:
            lba, blocks, _, control = _WRITE_16.unpack_from(received, position + 34)
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
        task = FastWrite(
            stream,
            grant,
            tag=tag,
            lun=lun,
            cdb=bytes(received[position + 32 : position + 48]),
            offset=lba << grant.block_shift,
            data=bytes(received[position + BHS_LENGTH : data_end]),
        )
        grant.in_flight += 1
        tasks[tag] = task
        window.exp_cmd_sn = (cmd_sn + 1) & SEQUENCE_MASK
        connection.exp_stat_sn = ack
        jobs.append((task, task.finished))
        position = data_end
    if backstore is not None:
        stream.engine.workers.submit_many(backstore, jobs)
    return position
