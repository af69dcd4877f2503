"""The leave that the SCSI layer gives the engine to serve READ and WRITE of one logical unit for one nexus alone.

A grant stands only while nothing but the LBA range can stand in the way of such a command: no unit attention pending
for the nexus, no reservation that excludes it, its target port active, the unit ready and (for `writes`) writable, its
task set free of ORDERED and HEAD OF QUEUE tasks and of ACA conditions, no rule of the Control mode page that tasks must
be seen for (QERR, restricted reordering), no exclusive access under way or waiting. Whatever changes one of these calls
`LogicalUnit.refresh_grants`, and the command takes the long way, where the device server decides. So policy has one
home and speed has one home.

What the engine owes in return:

* It looks at `reads` or `writes` at the moment at which it starts the block access, not when the command comes in. A
  command whose flag has fallen by then goes to `TaskRouter.submit` (and `data_out_complete`) as if it had just come.
* A command of more than `max_transfer_blocks`, or beyond `num_blocks`, goes to the task router: it has the sense.
* `writes` says that GOOD may be answered when `Backstore.write` returns; only FUA asks for `durable=True`.
* An access that ends before the engine gives control back needs nothing more. For one that does not (a worker thread
  has it), it calls `begin` when it hands it over, and `end` once it is over.
* A WRITE whose data-out is not all here goes to the task router at once: only there can it be aborted while it waits.

The SCSI layer, for its part, waits until the grants of the unit are idle before it starts what must not overlap with
the engine's accesses: an exclusive operation, an ORDERED task, and the end of a function that aborts tasks.
"""

from collections.abc import Callable

from isthmus.backstores.base import Backstore
from isthmus.scsi.counts import Counts
from isthmus.scsi.latency import LatencyHistogram

__all__ = ["FastPathGrant"]


class FastPathGrant:
    """Mutable on purpose: the engine holds it for the life of the nexus and looks at the two flags for each command."""

    __slots__ = (
        "backstore",
        "block_length",
        "block_shift",
        "in_flight",
        "long_way",
        "max_transfer_blocks",
        "num_blocks",
        "on_idle",
        "read_bytes",
        "read_commands",
        "read_latency",
        "reads",
        "timed_reads",
        "timed_writes",
        "write_bytes",
        "write_commands",
        "write_latency",
        "writes",
    )

    def __init__(
        self, backstore: Backstore, *, block_length: int, num_blocks: int, max_transfer_blocks: int = 0xFFFF_FFFF
    ) -> None:
        """`block_length` is bytes and a power of two; `num_blocks` the capacity in blocks."""
        self.backstore = backstore
        self.block_length = block_length
        self.block_shift = block_length.bit_length() - 1
        self.num_blocks = num_blocks
        self.max_transfer_blocks = max_transfer_blocks
        """The longest transfer of one command, in blocks (SBC-4 §6.6.4, MAXIMUM TRANSFER LENGTH)."""
        self.reads = False
        self.writes = False
        self.in_flight = 0
        """Accesses begun under this grant that are not over."""
        self.on_idle: Callable[[], None] | None = None
        """Called by `end` when `in_flight` is 0 again; set by the logical unit while something waits for that."""
        self.read_commands = 0
        self.read_bytes = 0
        self.write_commands = 0
        self.write_bytes = 0
        self.timed_reads = 0
        """How many of `read_commands` are in `read_latency`."""
        self.timed_writes = 0
        self.read_latency: LatencyHistogram | None = None
        """From the receipt of a command to its answer, whoever has served it; None as long as there was none."""
        self.write_latency: LatencyHistogram | None = None
        self.long_way = Counts()
        """What the device server has served for the same LUN of the same nexus."""

    def time_reads(self, nanoseconds: int) -> None:
        """The reads that the engine has counted since the last call took `nanoseconds` each."""
        commands = self.read_commands - self.timed_reads
        self.timed_reads = self.read_commands
        if self.read_latency is None:
            self.read_latency = LatencyHistogram()
        self.read_latency.record(nanoseconds, commands)

    def time_writes(self, nanoseconds: int) -> None:
        """The writes that the engine has counted since the last call took `nanoseconds` each."""
        commands = self.write_commands - self.timed_writes
        self.timed_writes = self.write_commands
        if self.write_latency is None:
            self.write_latency = LatencyHistogram()
        self.write_latency.record(nanoseconds, commands)

    def time_one(self, nanoseconds: int, *, is_read: bool) -> None:
        """A command that took the long way, and `nanoseconds`."""
        if is_read:
            self.read_latency = self.read_latency or LatencyHistogram()
            self.read_latency.record(nanoseconds)
        else:
            self.write_latency = self.write_latency or LatencyHistogram()
            self.write_latency.record(nanoseconds)

    def begin(self) -> None:
        """An access that outlives the current call of the engine starts."""
        self.in_flight += 1

    def end(self, count: int = 1) -> None:
        """So many such accesses are over. Call it on the main loop."""
        self.in_flight -= count
        if not self.in_flight and self.on_idle is not None:
            self.on_idle()
