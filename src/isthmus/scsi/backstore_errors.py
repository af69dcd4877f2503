"""What an initiator is told when the storage fails: from the errno of a `BackstoreError` to sense."""

import errno
from typing import Final

from isthmus.backstores.operations import BlockOperation, MapStatus, MeasureSpace, Read
from isthmus.errors import BackstoreError
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.state_store import SaveState

__all__ = ["sense_for"]

_BY_ERRNO: Final = {
    # No room: SBC-4 §4.7.3.6 asks for this code where a thin unit cannot map another block.
    errno.ENOSPC: Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT,
    errno.EDQUOT: Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT,
    # Storage that cannot be written.
    errno.EROFS: Sense.WRITE_PROTECTED,
    errno.EPERM: Sense.WRITE_PROTECTED,
    errno.EACCES: Sense.WRITE_PROTECTED,
    # Storage that is gone.
    errno.ENODEV: Sense.LOGICAL_UNIT_FAILURE,
    errno.ENXIO: Sense.LOGICAL_UNIT_FAILURE,
    errno.EBADF: Sense.LOGICAL_UNIT_FAILURE,
    errno.ENOENT: Sense.LOGICAL_UNIT_FAILURE,
    errno.ESTALE: Sense.LOGICAL_UNIT_FAILURE,
}

_READS: Final = (Read, MapStatus, MeasureSpace)


def sense_for(error: BackstoreError, operation: BlockOperation | None, block_length: int) -> SenseData:
    """The sense for `error`, which came of `operation`, on a unit with blocks of `block_length` bytes.

    A medium error says where: INFORMATION is the first LBA that failed, or the first of the operation if the storage
    does not know better (SBC-4 §4.18.1).
    """
    if isinstance(operation, SaveState):
        # It is not the medium that cannot be written.
        return SenseData(sense=Sense.INTERNAL_TARGET_FAILURE)
    if error.errno == errno.EIO:
        sense = Sense.UNRECOVERED_READ_ERROR if isinstance(operation, _READS) else Sense.WRITE_ERROR
        return SenseData(sense=sense, information=_failed_lba(error, operation, block_length))
    return SenseData(sense=_BY_ERRNO.get(error.errno, Sense.INTERNAL_TARGET_FAILURE))


def _failed_lba(error: BackstoreError, operation: BlockOperation | None, block_length: int) -> int | None:
    if error.offset is not None:
        return error.offset // block_length
    if operation is None:
        return None
    offset, length = operation.extent
    # An operation without an extent (a flush) can tell nothing of the place.
    return offset // block_length if length else None
