"""A disk to try block commands on: a logical unit over memory that notes what is asked of it."""

import struct
from collections.abc import Generator, Sequence

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Capabilities, Extent
from isthmus.backstores.operations import BlockOperation
from isthmus.errors import BackstoreError
from isthmus.scsi.cdb_check import check_cdb
from isthmus.scsi.command_table import CommandTable
from isthmus.scsi.limits import Limits
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sbc.commands import ROWS
from isthmus.scsi.sense import CheckCondition, SenseData
from isthmus.scsi.task import Response, Task

__all__ = ["BLOCK", "LIMITS", "THIN", "Disk", "Memory", "pattern", "six", "sixteen", "ten", "thirty_two", "twelve"]

BLOCK = 512
THIN = Capabilities(discard=True, map_status=True)
LIMITS = Limits(
    max_transfer_blocks=64,
    optimal_transfer_blocks=16,
    max_unmap_blocks=32,
    max_unmap_descriptors=4,
    max_write_same_blocks=48,
    unmap_granularity_blocks=1,
    max_compare_and_write_blocks=8,
)
TABLE = CommandTable(ROWS)


class Memory(Backstore):
    """Bytes in memory; `extents` is what `map_status` tells, one after the other, of the whole."""

    kind = "memory"
    volatile = True

    def __init__(self, size: int, *, write_back: bool, capabilities: Capabilities) -> None:
        self.size = size
        self.write_back = write_back
        self.capabilities = capabilities
        self.content = bytearray(size)
        self.extents: Sequence[Extent] = ()
        self.prefetched: list[tuple[int, int]] = []

    @property
    def identity(self) -> str:
        return "memory"

    def prefetch(self, offset: int, length: int) -> None:
        self.prefetched.append((offset, length))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.content[offset : offset + len(buffer)]

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        for buffer in buffers:
            view = memoryview(buffer)
            self.content[offset : offset + len(view)] = view
            offset += len(view)

    def flush(self) -> None:
        """Nothing gets safer."""

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        self.content[offset : offset + length] = bytes(length)

    def map_status(self, offset: int, length: int) -> Extent:
        start = 0
        for extent in self.extents:
            if start <= offset < start + extent.length:
                rest = min(start + extent.length - offset, length)
                return Extent(length=rest, provisioning=extent.provisioning)
            start += extent.length
        return super().map_status(offset, length)

    def close(self) -> None:
        """Nothing to let go of."""


class Owner:
    """Whom a task belongs to; nothing here ends through it."""

    def task_ended(self, task: Task, response: Response | None) -> None:
        raise AssertionError("the task was run directly")


NEXUS = Nexus(
    initiator_name="iqn.2026-01.org.example:initiator",
    isid=1,
    target_name="iqn.2026-01.org.example:target",
    target_portal_group_tag=1,
    relative_target_port_id=1,
    mappings={},
)


class Disk:
    """Runs commands from CDB and data-out to the response, as a device server does that nothing stands in the way of."""

    def __init__(
        self,
        *,
        num_blocks: int = 256,
        block_length: int = BLOCK,
        write_back: bool = False,
        capabilities: Capabilities = THIN,
        physical_block_length: int | None = None,
        limits: Limits = LIMITS,
        backstore: Backstore | None = None,
    ) -> None:
        size = num_blocks * block_length
        self.memory = Memory(size, write_back=write_back, capabilities=capabilities)
        self.unit = LogicalUnit(
            self.memory if backstore is None else backstore,
            table=TABLE,
            block_length=block_length,
            physical_block_length=physical_block_length,
            limits=limits,
        )
        self.operations: list[BlockOperation] = []
        """What the last command asked of the backstore."""
        self.fails_at: type[BlockOperation] | None = None
        """An operation of this type fails with `error`."""
        self.error = BackstoreError(5, "the disk is broken")

    def run(self, cdb: bytes, data: bytes = b"", *, offered: int | None = None, pieces: int = 1) -> Response:
        """The response to a command that comes with `data`, of which no more is passed on than it asks for."""
        row = self.unit.table.find(cdb)
        check_cdb(row, cdb)
        task = Task(nexus=NEXUS, lun=0, tag=1, cdb=cdb, owner=Owner(), data_out_offered=offered)
        task.command = row.parse(cdb, self.unit)
        task.data_out_wanted = task.command.data_out_length
        task.data_out = _cut(memoryview(data)[: task.data_out_wanted], pieces)
        self.operations = []
        outcome = row.handler(self.unit, task)
        return outcome if isinstance(outcome, Response) else self._drive(outcome)

    def refusal(self, cdb: bytes, data: bytes = b"", *, offered: int | None = None) -> SenseData:
        """The sense data of a command that must fail."""
        try:
            response = self.run(cdb, data, offered=offered)
        except CheckCondition as error:
            return error.sense_data
        raise AssertionError(f"the command was answered with {response.status.name}")

    def data(self, cdb: bytes) -> bytes:
        """The data-in of a command."""
        return bytes(self.run(cdb).data_in)

    def blocks(self, lba: int, num_blocks: int) -> bytes:
        """What the memory holds in a run of blocks."""
        length = self.unit.block_length
        return bytes(self.memory.content[lba * length : (lba + num_blocks) * length])

    def fill(self, lba: int, data: bytes) -> None:
        """Put `data` into the memory, past all commands."""
        start = lba * self.unit.block_length
        self.memory.content[start : start + len(data)] = data

    def _drive(self, steps: Generator[BlockOperation, object, Response]) -> Response:
        result: object = None
        error: BackstoreError | None = None
        try:
            while True:
                operation = steps.send(result) if error is None else steps.throw(error)
                self.operations.append(operation)
                result, error = None, None
                if self.fails_at is not None and isinstance(operation, self.fails_at):
                    error = self.error
                else:
                    result = operation.run(self.unit.backstore)
        except StopIteration as stop:
            response: Response = stop.value
            return response


def _cut(data: memoryview, pieces: int) -> tuple[memoryview, ...]:
    step = -(-len(data) // pieces) or 1
    return tuple(data[start : start + step] for start in range(0, len(data), step))


def pattern(num_bytes: int, seed: int = 1) -> bytes:
    """Bytes that differ from block to block."""
    return bytes((index * 7 + index // BLOCK + seed) % 251 + 1 for index in range(num_bytes))


def six(opcode: int, lba: int, length: int) -> bytes:
    """A six-byte CDB."""
    return bytes((opcode, lba >> 16, lba >> 8 & 0xFF, lba & 0xFF, length, 0))


def ten(opcode: int, lba: int, length: int, flags: int = 0) -> bytes:
    """A ten-byte CDB."""
    return struct.pack(">BBIxHx", opcode, flags, lba, length)


def twelve(opcode: int, lba: int, length: int, flags: int = 0) -> bytes:
    """A twelve-byte CDB."""
    return struct.pack(">BBIIxx", opcode, flags, lba, length)


def thirty_two(service_action: int, lba: int, length: int, flags: int = 0) -> bytes:
    """A 32-byte CDB."""
    return struct.pack(">BxxxxxxBHBxQ8xI", 0x7F, 0x18, service_action, flags, lba, length)


def sixteen(opcode: int, lba: int, length: int, flags: int = 0) -> bytes:
    """A sixteen-byte CDB."""
    return struct.pack(">BBQIxx", opcode, flags, lba, length)
