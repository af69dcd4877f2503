import pytest

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.fast_path_grant import FastPathGrant


@pytest.mark.parametrize(("block_length", "shift"), [(512, 9), (4096, 12)])
def test_a_new_grant_allows_nothing(block_length: int, shift: int) -> None:
    """A grant stands when the logical unit says so, and not before."""
    grant = FastPathGrant(RamdiskBackstore("disk", 1 << 20), block_length=block_length, num_blocks=8)
    assert (grant.reads, grant.writes, grant.in_flight) == (False, False, 0)
    assert grant.block_shift == shift


def test_idle_is_told_after_the_last_access() -> None:
    """Whoever waits hears when the last access is over, and not before."""
    grant = FastPathGrant(RamdiskBackstore("disk", 1 << 20), block_length=512, num_blocks=8)
    told: list[int] = []
    grant.begin()
    grant.end()
    grant.on_idle = lambda: told.append(grant.in_flight)
    grant.begin()
    grant.begin()
    grant.end()
    assert told == []
    grant.end()
    assert told == [0]
