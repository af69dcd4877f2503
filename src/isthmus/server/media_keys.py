"""The media encryption keys of disks: one for each, made by us, kept in the state directory and nowhere else."""

import secrets
from typing import Final

from isthmus.backstores.base import Backstore
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.state_store import MEDIA_KEY, UnitStateStore

__all__ = ["keyed"]

_KEY_LENGTH: Final = 64
"""Bytes: two keys of AES-256, as XTS wants them."""
_LOOKED_AT: Final = 1 << 20
"""Bytes at both ends of a disk, where every partition table and file system keeps something."""


def keyed(storage: Backstore, store: UnitStateStore, unit_serial: str, *, encrypt: bool) -> Backstore:
    """`storage` as its disk shall have it: encrypted with the key of that disk, which a blank one gets now, or plain.

    Raises `ConfigurationError` if the key is lost, damaged or cannot be kept, and for a plain disk that has one.
    """
    key = None if storage.volatile else store.load(unit_serial, MEDIA_KEY)
    if not encrypt:
        if key is not None:
            raise ConfigurationError(
                f"the disk with serial number {unit_serial} is encrypted",
                f"serve it encrypted, or give up what it holds and remove its record {MEDIA_KEY} from the state directory",
            )
        return storage
    # Imported here, as most disks do without: the cipher's library takes its time.
    from isthmus.backstores.encrypted import EncryptedBackstore

    if storage.volatile:
        return EncryptedBackstore(storage, _new_key(), _new_key)

    def renew() -> bytes:
        new = _new_key()
        store.save(unit_serial, MEDIA_KEY, new)
        return new

    if key is not None and len(key) != _KEY_LENGTH:
        raise ConfigurationError(
            f"the media encryption key of the disk with serial number {unit_serial} is of an unknown form",
            "serve it with the version of Isthmus that has written it",
        )
    try:
        if key is None:
            _check_blank(storage)
            key = renew()
        return EncryptedBackstore(storage, key, renew)
    except BackstoreError as error:
        raise ConfigurationError(f"{storage.identity} cannot be encrypted: {error}") from error


def _new_key() -> bytes:
    return secrets.token_bytes(_KEY_LENGTH)


def _check_blank(storage: Backstore) -> None:
    """What holds data in the clear, or under a key that is gone, is not taken for a new disk."""
    length = min(_LOOKED_AT, storage.size)
    for offset in (0, storage.size - length):
        buffer = bytearray(length)
        storage.read_into(offset, memoryview(buffer))
        if any(buffer):
            raise ConfigurationError(
                f"{storage.identity} holds data, and there is no media encryption key for it",
                "bring back the state directory that has the key, or encrypt a new disk and copy the data there",
            )
