"""Storage whose every byte is encrypted under a key of its own: AES-256 in XTS mode (IEEE 1619, NIST SP 800-38E).

What lies beneath sees ciphertext. With another key nothing of it can be read: that is what a cryptographic erase is
(SBC-4 §4.11). The cipher is OpenSSL's, through the package `cryptography`.

The tweak is the number of the data unit of 16 KiB, so that neither order nor length of accesses matters. XTS encrypts each
16 bytes for themselves: a write of a part of a data unit changes that part alone, also in a crash.

A sector of zeros beneath is read as zeros, though nobody has encrypted it: so what was discarded, or never written, reads
as zeros here too, and room can be given back. Who sees the storage sees which sectors those are. That any data would come
out as a sector of zeros has a probability of 2**-4096.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Extent, Space
from isthmus.backstores.transfer import as_bytes

__all__ = ["EncryptedBackstore"]

_DATA_UNIT: Final = 16384
"""Bytes. To begin a data unit costs about as much as to encrypt one, and each is begun at its start."""
_SECTOR: Final = 512
"""Bytes: what is written at least."""
_ZEROS: Final = bytes(_SECTOR)
_SOME_ZEROS: Final = bytes(16)


class EncryptedBackstore(Backstore):
    """A backstore over another, which it owns. Accesses are multiples of 512 bytes."""

    def __init__(self, storage: Backstore, key: bytes, renew: Callable[[], bytes]) -> None:
        """`key` is two keys of AES-256, 64 bytes.

        `renew` makes another one, keeps it durably in the place of the old one, and gives it; it raises `BackstoreError`.
        """
        self.kind = storage.kind
        self.size = storage.size
        self.read_only = storage.read_only
        self.write_back = storage.write_back
        self.volatile = storage.volatile
        self.capabilities = replace(storage.capabilities, encrypts=True)
        self._storage = storage
        self._algorithm = algorithms.AES(key)
        self._renew = renew

    @property
    def identity(self) -> str:
        return self._storage.identity

    def change_key(self) -> None:
        self._algorithm = algorithms.AES(self._renew())

    def beneath(self, offset: int, data: Buffer) -> tuple[Backstore, Buffer]:
        return self._storage, self._encrypted(offset, memoryview(data).cast("B"))

    # -- Bytes ---------------------------------------------------------------------------------------------------------

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        ciphertext = bytearray(len(buffer))
        if not self._storage.read_if_cached(offset, memoryview(ciphertext)):
            return False
        self._decrypt(offset, ciphertext, buffer)
        return True

    def read_into(self, offset: int, buffer: memoryview) -> None:
        ciphertext = bytearray(len(buffer))
        self._storage.read_into(offset, memoryview(ciphertext))
        self._decrypt(offset, ciphertext, buffer)

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        views = as_bytes(buffers)
        data = views[0] if len(views) == 1 else memoryview(b"".join(views))
        self._storage.write(offset, (self._encrypted(offset, data),), durable=durable)

    def _encrypted(self, offset: int, data: memoryview) -> bytes:
        return b"".join(
            _run(self._cipher(unit).encryptor(), skipped, data[start:end])
            for unit, skipped, start, end in _data_units(offset, len(data))
        )

    def _decrypt(self, offset: int, ciphertext: bytearray, buffer: memoryview) -> None:
        data = memoryview(ciphertext)
        for unit, skipped, start, end in _data_units(offset, len(ciphertext)):
            buffer[start:end] = _run(self._cipher(unit).decryptor(), skipped, data[start:end])
        if ciphertext.find(_SOME_ZEROS) >= 0:
            for start in range(0, len(ciphertext), _SECTOR):
                if ciphertext.startswith(_ZEROS, start):
                    buffer[start : start + _SECTOR] = _ZEROS

    def _cipher(self, unit: int) -> Cipher[modes.XTS]:
        return Cipher(self._algorithm, modes.XTS(unit.to_bytes(16, "little")))

    # -- What does not look at the bytes -------------------------------------------------------------------------------

    def prefetch(self, offset: int, length: int) -> None:
        self._storage.prefetch(offset, length)

    def flush(self) -> None:
        self._storage.flush()

    def discard(self, offset: int, length: int) -> None:
        self._storage.discard(offset, length)

    def anchor(self, offset: int, length: int) -> None:
        self._storage.anchor(offset, length)

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        self._storage.write_zeroes(offset, length, durable=durable)

    def reserve(self, offset: int, length: int) -> None:
        self._storage.reserve(offset, length)

    def space(self) -> Space | None:
        return self._storage.space()

    def map_status(self, offset: int, length: int) -> Extent:
        return self._storage.map_status(offset, length)

    def resize(self, size: int) -> None:
        self._storage.resize(size)
        self.size = self._storage.size

    def follow_size(self, granularity: int) -> None:
        self._storage.follow_size(granularity)
        self.size = self._storage.size

    def close(self) -> None:
        self._storage.close()

    def withdraw(self) -> None:
        self._storage.withdraw()


def _data_units(offset: int, length: int) -> Iterator[tuple[int, int, int, int]]:
    """The data units of a run of bytes: number, how much of its start is not in the run, and start and end in the run."""
    start = 0
    while start < length:
        unit, skipped = divmod(offset + start, _DATA_UNIT)
        end = min(length, start + _DATA_UNIT - skipped)
        yield unit, skipped, start, end
        start = end


def _run(context: CipherContext, skipped: int, data: memoryview) -> bytes:
    """`data`, which begins `skipped` bytes behind the start of a data unit, through the cipher."""
    return context.update(bytes(skipped) + data)[skipped:] if skipped else context.update(data)
