import errno
import os

import pytest

from isthmus.backstores.failures import gone, not_writable, shrunk, translated


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EIO, errno.EIO),
        (errno.ENOSPC, errno.ENOSPC),
        (errno.EDQUOT, errno.ENOSPC),
        (errno.EFBIG, errno.ENOSPC),
        (errno.ENXIO, errno.ENODEV),
        (errno.ESTALE, errno.ENODEV),
        (errno.EROFS, errno.EROFS),
        (errno.EPERM, errno.EROFS),
        (errno.EINVAL, errno.EINVAL),
        (None, errno.EIO),
    ],
)
def test_reasons_with_one_meaning_are_one(number: int | None, told: int) -> None:
    """A quota is no room, a stale handle is storage that is gone; the message keeps the system's words."""
    error = OSError(number, "x") if number is not None else OSError("x")
    failure = translated(error, "writing disk", offset=5)
    assert (failure.errno, failure.offset) == (told, 5)
    assert os.strerror(number or errno.EIO) in str(failure)


def test_reasons_that_the_system_does_not_know() -> None:
    """Shrunk is a medium error where bytes are missing, gone is no device, read-only is read-only."""
    assert (shrunk("disk", offset=9).errno, shrunk("disk", offset=9).offset) == (errno.EIO, 9)
    assert gone("disk").errno == errno.ENODEV
    assert not_writable("disk").errno == errno.EROFS
