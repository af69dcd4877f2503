import pytest

from isthmus.backstores.base import Capabilities
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.limits import Limits


@pytest.mark.parametrize("block_length", [512, 4096])
def test_limits_are_the_same_bytes_for_every_block_length(block_length: int) -> None:
    """What a command may hold in memory does not depend on how it is cut into blocks."""
    limits = Limits.for_backstore(RamdiskBackstore("disk", 1 << 20), block_length)
    assert limits.max_transfer_blocks * block_length == 16 << 20
    assert limits.optimal_transfer_blocks < limits.max_transfer_blocks
    assert limits.max_compare_and_write_blocks == 255


@pytest.mark.parametrize(
    ("granularity", "block_length", "blocks"), [(1, 512, 1), (4096, 512, 8), (65536, 4096, 16), (512, 4096, 1)]
)
def test_unmap_granularity(granularity: int, block_length: int, blocks: int) -> None:
    """The granularity of discards is told in blocks, and is never less than one."""
    backstore = RamdiskBackstore("disk", 1 << 20)
    backstore.capabilities = Capabilities(discard=True, discard_granularity=granularity)
    assert Limits.for_backstore(backstore, block_length).unmap_granularity_blocks == blocks
