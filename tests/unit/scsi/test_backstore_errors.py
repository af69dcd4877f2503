import errno

import pytest

from isthmus.backstores.operations import BlockOperation, CompareAndWrite, Discard, Flush, MapStatus, Read, Write
from isthmus.errors import BackstoreError
from isthmus.scsi.backstore_errors import sense_for
from isthmus.scsi.sense import Sense, SenseData

READ = Read(8192, 4096)
WRITE = Write(8192, (bytes(4096),), 4096)


@pytest.mark.parametrize(
    ("number", "sense"),
    [
        (errno.ENOSPC, Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
        (errno.EDQUOT, Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
        (errno.EIO, Sense.WRITE_ERROR),
        (errno.EROFS, Sense.WRITE_PROTECTED),
        (errno.EPERM, Sense.WRITE_PROTECTED),
        (errno.EACCES, Sense.WRITE_PROTECTED),
        (errno.ENODEV, Sense.LOGICAL_UNIT_FAILURE),
        (errno.ENXIO, Sense.LOGICAL_UNIT_FAILURE),
        (errno.EBADF, Sense.LOGICAL_UNIT_FAILURE),
        (errno.ENOENT, Sense.LOGICAL_UNIT_FAILURE),
        (errno.ESTALE, Sense.LOGICAL_UNIT_FAILURE),
        (errno.EINVAL, Sense.INTERNAL_TARGET_FAILURE),
        (0, Sense.INTERNAL_TARGET_FAILURE),
    ],
)
def test_sense_of_a_failed_write(number: int, sense: Sense) -> None:
    """Each reason of the system has its sense."""
    assert sense_for(BackstoreError(number, "failed"), WRITE, 512).sense is sense


@pytest.mark.parametrize("operation", [READ, MapStatus(8192, 4096, 1)])
def test_medium_error_of_a_read(operation: BlockOperation) -> None:
    """What could not be read is UNRECOVERED READ ERROR, with the first LBA of the operation."""
    expected = SenseData(sense=Sense.UNRECOVERED_READ_ERROR, information=16)
    assert sense_for(BackstoreError(errno.EIO, "failed"), operation, 512) == expected


def test_the_place_that_failed_is_told_if_it_is_known() -> None:
    """INFORMATION is the LBA of the first byte that failed, in blocks of the unit."""
    error = BackstoreError(errno.EIO, "failed", offset=8192 + 4096 + 100)
    assert sense_for(error, READ, 512).information == 24
    assert sense_for(error, READ, 4096).information == 3


@pytest.mark.parametrize(
    ("operation", "lba"),
    [
        (WRITE, 16),
        (Discard(((8192, 512), (512, 512))), 1),
        (CompareAndWrite(offset=1024, expected=memoryview(bytes(512)), data=memoryview(bytes(512))), 2),
        (Flush(), None),
        (None, None),
    ],
)
def test_medium_error_of_a_write(operation: BlockOperation | None, lba: int | None) -> None:
    """A flush cannot say which blocks were lost, so it says nothing of the place."""
    expected = SenseData(sense=Sense.WRITE_ERROR, information=lba)
    assert sense_for(BackstoreError(errno.EIO, "failed"), operation, 512) == expected
