"""A logical unit on memory, nexuses that reach it, and executors and owners that note what happens."""

import inspect
import random
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import BlockExecutor, Done, ImmediateExecutor
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.copy.manager import CopyServices
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task, TaskAttribute
from isthmus.scsi.task_router import TaskRouter

__all__ = [
    "COPY_SERVICES",
    "Bench",
    "HeldExecutor",
    "Owner",
    "limited_stack",
    "make_nexus",
    "make_unit",
    "read_10",
    "sense_of",
    "write_10",
]

TEST_UNIT_READY = bytes(6)
COPY_SERVICES = CopyServices(randomness=random.Random(1).randbytes, clock=lambda: 0.0)
"""A copy manager whose tokens are the same in each run, and never expire."""


class Owner:
    """Notes how tasks end, and that none ends twice."""

    def __init__(self) -> None:
        self.ends: dict[Task, Response | None] = {}

    def task_ended(self, task: Task, response: Response | None) -> None:
        assert task not in self.ends
        self.ends[task] = response

    def status(self, task: Task) -> Status | None:
        """The status that `task` ended with; None for one that was aborted unseen."""
        response = self.ends[task]
        return None if response is None else response.status


class HeldExecutor:
    """Keeps operations under way until told to let them end."""

    def __init__(self) -> None:
        self.under_way: deque[tuple[Backstore, BlockOperation, Done]] = deque()

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        self.under_way.append((backstore, operation, done))

    @property
    def operations(self) -> list[BlockOperation]:
        """What is under way, oldest first."""
        return [operation for _, operation, _ in self.under_way]

    def finish(self, index: int = 0, error: BackstoreError | None = None) -> None:
        """Let one end, with the result of doing it or with `error`."""
        backstore, operation, done = self.under_way[index]
        del self.under_way[index]
        if error is not None:
            done(None, error)
        else:
            ImmediateExecutor().submit(backstore, operation, done)

    def finish_all(self) -> None:
        """Let all end, with what they bring with them."""
        while self.under_way:
            self.finish()


def make_unit(
    size: int = 1 << 20, *, table: CommandTable = DISK_COMMANDS, block_length: int = 512, **options: Any
) -> LogicalUnit:
    """A disk of `size` bytes of memory."""
    options = {"third_party_copy": COPY_SERVICES, **options}
    return LogicalUnit(RamdiskBackstore("disk", size), table=table, block_length=block_length, **options)


def make_nexus(*units: LogicalUnit, isid: int = 1, read_only: bool = False) -> Nexus:
    """A nexus that reaches `units` at LUN 0, LUN 1 and so on."""
    return Nexus(
        initiator_name="iqn.2026-01.com.example:host",
        isid=isid,
        target_name="iqn.2026-01.com.example:disks",
        target_portal_group_tag=1,
        relative_target_port_id=1,
        mappings={number: LunMapping(unit, read_only) for number, unit in enumerate(units)},
    )


@dataclass(kw_only=True)
class Bench:
    """A target with one unit, and initiators that have seen their power-on unit attention."""

    unit: LogicalUnit = field(default_factory=make_unit)
    executor: BlockExecutor = field(default_factory=ImmediateExecutor)
    owner: Owner = field(default_factory=Owner)
    internal_errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.router = TaskRouter(self.executor, lambda task, error: self.internal_errors.append(error))
        self.nexus = self.connect(isid=1)
        self._tag = 0

    def connect(self, *, isid: int, read_only: bool = False, quiet: bool = True) -> Nexus:
        """One more nexus; with `quiet`, one that has heard its unit attention."""
        nexus = make_nexus(self.unit, isid=isid, read_only=read_only)
        self.router.nexus_established(nexus)
        if quiet:
            self.unit.unit_attentions.clear(nexus)
        return nexus

    def task(
        self,
        cdb: bytes,
        *,
        nexus: Nexus | None = None,
        lun: int = 0,
        attribute: TaskAttribute = TaskAttribute.SIMPLE,
    ) -> Task:
        """A task that is submitted, and whose data-out is still to come."""
        self._tag += 1
        task = Task(
            nexus=nexus or self.nexus,
            lun=encode_lun(lun),
            tag=self._tag,
            cdb=cdb.ljust(16, b"\0"),
            owner=self.owner,
            attribute=attribute,
        )
        self.router.submit(task)
        return task

    def start(self, cdb: bytes, data: bytes | Sequence[bytes] = b"", **how: Any) -> Task:
        """A task that is submitted with all its data-out."""
        task = self.task(cdb, **how)
        if task not in self.owner.ends:
            pieces = (data,) if isinstance(data, bytes) else data
            task.data_out = tuple(memoryview(piece) for piece in pieces if piece)
            self.router.data_out_complete(task)
        return task

    def run(self, cdb: bytes, data: bytes | Sequence[bytes] = b"", **how: Any) -> Response:
        """The response to a command that ends at once."""
        response = self.owner.ends[self.start(cdb, data, **how)]
        assert response is not None
        return response


def read_10(lba: int, num_blocks: int) -> bytes:
    """A READ (10) CDB."""
    return b"\x28\0" + lba.to_bytes(4) + b"\0" + num_blocks.to_bytes(2) + b"\0"


def write_10(lba: int, num_blocks: int, *, fua: bool = False) -> bytes:
    """A WRITE (10) CDB."""
    return bytes((0x2A, 0x08 if fua else 0)) + lba.to_bytes(4) + b"\0" + num_blocks.to_bytes(2) + b"\0"


def sense_of(response: Response | None) -> tuple[int, int, int]:
    """(sense key, ASC, ASCQ) of a response with fixed format sense."""
    assert response is not None
    assert response.status is Status.CHECK_CONDITION
    assert response.sense[0] & 0x7F == 0x70
    return response.sense[2], response.sense[12], response.sense[13]


@contextmanager
def limited_stack(frames: int) -> Iterator[None]:
    """Allow the block only so many frames more than there are: what nests fails."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
