"""The leave that the SCSI layer gives the engine to serve READ and WRITE of one logical unit for one nexus alone.

A grant stands only while nothing but the LBA range can stand in the way of such a command: no unit attention pending
for the nexus, no reservation that excludes it, the unit ready, its task set free of ORDERED, HEAD OF QUEUE and ACA
tasks, no exclusive access under way. Whatever changes one of these calls `LogicalUnit.refresh_grants`, and the command
takes the long way, where the device server decides. So policy has one home and speed has one home.
"""

from isthmus.backstores.base import Backstore

__all__ = ["FastPathGrant"]


class FastPathGrant:
    """Mutable on purpose: the engine holds it for the life of the nexus and looks at the two flags for each command."""

    __slots__ = (
        "backstore",
        "block_length",
        "block_shift",
        "num_blocks",
        "read_bytes",
        "read_commands",
        "reads",
        "write_bytes",
        "write_commands",
        "writes",
    )

    def __init__(self, backstore: Backstore, *, block_length: int, num_blocks: int) -> None:
        """`block_length` is bytes and a power of two; `num_blocks` the capacity in blocks."""
        self.backstore = backstore
        self.block_length = block_length
        self.block_shift = block_length.bit_length() - 1
        self.num_blocks = num_blocks
        self.reads = False
        self.writes = False
        self.read_commands = 0
        self.read_bytes = 0
        self.write_commands = 0
        self.write_bytes = 0
