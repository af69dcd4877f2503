import os
from pathlib import Path

import pytest

from isthmus.backstores.device import BlockDeviceProperties
from tests.support.real_storage import loop_device


@pytest.mark.parametrize("sector_length", [512, 4096])
def test_a_loop_device_has_the_sectors_it_was_given(tmp_path: Path, sector_length: int) -> None:
    """By ioctl; a loop device over a file with holes deallocates, in whole sectors at least."""
    sectors = tmp_path / "sectors.img"
    sectors.write_bytes(b"x" * (1 << 20))
    with loop_device(sectors, sector_length=sector_length) as device:
        descriptor = os.open(device, os.O_RDONLY)
        properties = BlockDeviceProperties.of(descriptor)
        os.close(descriptor)
    assert properties.logical_sector_length == sector_length
    assert properties.physical_sector_length >= sector_length
    assert properties.deallocation_granularity >= sector_length
    assert properties.can_deallocate


def test_what_a_device_can_do_is_what_its_queue_says() -> None:
    """Whoever may write to it."""
    properties = BlockDeviceProperties(
        logical_sector_length=512,
        physical_sector_length=4096,
        can_deallocate=True,
        deallocation_granularity=8192,
    )
    capabilities = properties.capabilities()
    assert (capabilities.discard, capabilities.discard_granularity) == (True, 8192)
    assert capabilities.physical_block_length == 4096
    assert not capabilities.map_status
