"""Copying bytes from one backstore to another, or within one.

What the source does not hold is not copied: the destination gives its room back as well, or is zeroed. The rest is
copied inside the system where that is possible (`Backstore.copy_from`), and through a bounded buffer otherwise.
"""

from collections.abc import Iterator
from typing import Final

from isthmus.backstores.base import Backstore, Provisioning
from isthmus.errors import BackstoreError

__all__ = ["CHUNK", "copy_bytes"]

CHUNK: Final = 1 << 20
"""Bytes that are in memory at once."""


def copy_bytes(
    source: Backstore, source_offset: int, destination: Backstore, offset: int, length: int
) -> BackstoreError | None:
    """Copy `length` bytes; gives the failure of `source`, if it failed; raises the `BackstoreError` of `destination`.

    Ranges of one backstore may overlap: the copy is what the source was before.
    """
    shift = offset - source_offset
    if source is destination and abs(shift) < length:
        return _copy_chunks(source, source_offset, destination, offset, length, backwards=shift > 0) if shift else None
    done = 0
    while done < length:
        try:
            extent = source.map_status(source_offset + done, length - done)
        except BackstoreError as error:
            return error
        if extent.provisioning is Provisioning.MAPPED:
            failure = _copy_mapped(source, source_offset + done, destination, offset + done, extent.length)
            if failure is not None:
                return failure
        elif extent.provisioning is Provisioning.DEALLOCATED and destination.capabilities.discard:
            destination.discard(offset + done, extent.length)
        else:
            destination.write_zeroes(offset + done, extent.length)
        done += extent.length
    return None


def _copy_mapped(
    source: Backstore, source_offset: int, destination: Backstore, offset: int, length: int
) -> BackstoreError | None:
    done = destination.copy_from(source, source_offset, offset, length)
    return _copy_chunks(source, source_offset + done, destination, offset + done, length - done)


def _copy_chunks(
    source: Backstore, source_offset: int, destination: Backstore, offset: int, length: int, *, backwards: bool = False
) -> BackstoreError | None:
    buffer = memoryview(bytearray(min(length, CHUNK)))
    for start in _starts(length, backwards=backwards):
        part = buffer[: length - start]
        try:
            source.read_into(source_offset + start, part)
        except BackstoreError as error:
            return error
        destination.write(offset + start, (part,))
    return None


def _starts(length: int, *, backwards: bool) -> Iterator[int]:
    starts = range(0, length, CHUNK)
    return reversed(starts) if backwards else iter(starts)
