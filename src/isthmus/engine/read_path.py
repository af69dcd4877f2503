"""The fast path: READ (10) and READ (16) of a unit for which a grant stands, answered from the page cache.

One call serves every such command at the front of what one receive brought, and sends all the answers with one send.
Whatever is out of the ordinary, by one bit, stays where it is and takes the long way through `iscsi.connection`, which
gives the same answer: this module decides nothing. All that it skips is the making of objects.

A command is ordinary when: it is not immediate and is the next by CmdSN; F and R are set, SIMPLE or untagged; no AHS, no
data; READ (10/16) with no bit set in byte 1 and CONTROL 0; the LBA range is in the unit; the expected data transfer
length is exactly the transfer length and fits one Data-In PDU; its tag is free; a grant stands; and the bytes are in
the page cache.
"""

import struct
from collections.abc import Iterable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

import crc32c

from isthmus.engine.ordinary_command import CDB_16_OFFSET, COMMAND, COMMAND_16
from isthmus.iscsi.opcodes import BHS_LENGTH, RESERVED_TAG, Opcode
from isthmus.iscsi.response import DATA_IN_WITH_STATUS
from isthmus.iscsi.sequencing import SEQUENCE_MASK
from isthmus.scsi.fast_path_grant import FastPathGrant

if TYPE_CHECKING:
    from isthmus.engine.stream import Stream

__all__ = ["ARENA_LENGTH", "serve_reads"]

ARENA_LENGTH: Final = (1 << 20) + 64
"""Bytes of answers gathered for one send: a Data-In PDU of 1 MiB with its header and digests just fits."""

_SCSI_READ: Final = (0x01C0, 0x01C1)
"""SCSI Command, F and R set, W clear, task attribute untagged or SIMPLE."""
_READ_10_HEAD: Final = 0x2800
_READ_16_HEAD: Final = 0x8800
_DATA_IN: Final = struct.Struct(">II8xIIIII12x")
"""Data-In (RFC 7143 §11.7) where LUN, DataSN, buffer offset and residual are 0: opcode and flags with status, length, ITT,
TTT, StatSN, ExpCmdSN, MaxCmdSN."""
_DATA_IN_HEAD: Final = Opcode.DATA_IN << 24 | DATA_IN_WITH_STATUS << 16
_DIGEST: Final = struct.Struct("<I")


def serve_reads(stream: "Stream", position: int, end: int) -> int:
    """Serve the ordinary reads in the receive buffer from `position`; gives the position of the first other PDU.

    `end` is where the received bytes end. Leaves early when the socket takes no more.
    """
    connection = stream.connection
    session = connection.session
    window = session.window
    if connection.outbox or session.early or session.waiting_functions or stream.closing:
        return position
    exp_cmd_sn, max_cmd_sn = window.exp_cmd_sn, window.max_cmd_sn
    if (max_cmd_sn - exp_cmd_sn) & SEQUENCE_MASK == SEQUENCE_MASK:
        return position  # The window is closed.
    received = stream.engine.receive_view
    arena, arena_view = stream.engine.arena, stream.engine.arena_view
    grants, tasks = stream.grants, session.tasks
    max_segment = connection.max_read_length
    header_digest, data_digest = connection.digests.header, connection.digests.data
    header_length = BHS_LENGTH + 4 if header_digest else BHS_LENGTH
    stat_sn = connection.stat_sn
    exp_stat_sn = connection.exp_stat_sn
    unpack, unpack_16, pack = COMMAND.unpack_from, COMMAND_16.unpack_from, _DATA_IN.pack_into
    used = 0
    first, served = exp_cmd_sn, None
    while end - position >= header_length:
        kind, lengths, lun, tag, expected, cmd_sn, ack, head, lba, _, blocks, control = unpack(received, position)
        if kind not in _SCSI_READ or lengths or cmd_sn != exp_cmd_sn:
            break
        if head == _READ_16_HEAD:
            lba, blocks, _, control = unpack_16(received, position + CDB_16_OFFSET)
        elif head != _READ_10_HEAD:
            break
        grant = grants.get(lun)
        if grant is None or not grant.reads or control:
            break
        shift = grant.block_shift
        length = blocks << shift
        if (
            length != expected
            or not 0 < length <= max_segment
            or lba + blocks > grant.num_blocks
            or blocks > grant.max_transfer_blocks
            or tag in tasks
            or tag == RESERVED_TAG
        ):
            break
        if header_digest and not _header_intact(received, position):
            break
        start = used + header_length
        if start + length + 4 > ARENA_LENGTH:
            window.exp_cmd_sn, window.max_cmd_sn = exp_cmd_sn, max_cmd_sn
            connection.stat_sn = stat_sn
            sent_all = stream.send_arena(used)
            used = 0
            start = header_length
            if not sent_all or start + length + 4 > ARENA_LENGTH:
                break
        if not grant.backstore.read_if_cached(lba << shift, arena_view[start : start + length]):
            break
        exp_cmd_sn = (exp_cmd_sn + 1) & SEQUENCE_MASK
        max_cmd_sn = (max_cmd_sn + 1) & SEQUENCE_MASK
        pack(arena, used, _DATA_IN_HEAD, length, tag, RESERVED_TAG, stat_sn, exp_cmd_sn, max_cmd_sn)
        if header_digest:
            _DIGEST.pack_into(arena, used + BHS_LENGTH, crc32c.crc32c(arena_view[used : used + BHS_LENGTH]))
        used = start + length
        if data_digest:
            _DIGEST.pack_into(arena, used, crc32c.crc32c(arena_view[start:used]))
            used += 4
        stat_sn = (stat_sn + 1) & SEQUENCE_MASK
        exp_stat_sn = ack
        grant.read_commands += 1
        grant.read_bytes += length
        served = grant
        position += header_length
    window.exp_cmd_sn, window.max_cmd_sn = exp_cmd_sn, max_cmd_sn
    connection.stat_sn = stat_sn
    connection.exp_stat_sn = exp_stat_sn
    if used:
        stream.send_arena(used)
    if served is not None:
        # All came together, and have gone together: the time is told once for all of them.
        nanoseconds = perf_counter_ns() - stream.engine.received_at
        count = (exp_cmd_sn - first) & SEQUENCE_MASK
        connection.counts.reads_in_one += count
        if served.read_commands - served.timed_reads == count:
            served.time_reads(nanoseconds)
        else:
            _time_each(grants.values(), nanoseconds)
    return position


def _time_each(grants: Iterable[FastPathGrant], nanoseconds: int) -> None:
    """The reads of a batch were for several units."""
    for grant in grants:
        if grant.read_commands != grant.timed_reads:
            grant.time_reads(nanoseconds)


def _header_intact(received: memoryview, position: int) -> bool:
    """Whether the header digest matches; if not, the long way says so to the peer."""
    end = position + BHS_LENGTH
    return crc32c.crc32c(received[position:end]) == int.from_bytes(received[end : end + 4], "little")
