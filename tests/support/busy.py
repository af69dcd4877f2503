"""A disk in use, however slow the machine is: commands wait there for their turn."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from isthmus.config.model import BackstoreKey
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.management.backstore_edits import set_backstore_attributes
from isthmus.management.client import Client

__all__ = ["in_use"]

_COMMANDS: Final = 60
"""One has its turn in each second."""


@contextlib.asynccontextmanager
async def in_use(client: Client, key: BackstoreKey, unit: LogicalUnit) -> AsyncIterator[None]:
    """While the block runs, reads of `unit` are under way at the disk `key`; all of them come to a good end."""
    limit = partial(set_backstore_attributes, key=key)
    await asyncio.to_thread(client.change, partial(limit, values={"limit_iops": 1, "limit_iops_burst": 1}))
    reads = [asyncio.create_task(unit.read(lba=0, num_blocks=1, block_length=512)) for _ in range(_COMMANDS)]
    await reads[0]
    yield
    await asyncio.to_thread(client.change, partial(limit, values={"limit_iops": 0}))
    await asyncio.gather(*reads)
