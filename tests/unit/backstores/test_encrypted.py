import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from isthmus.backstores.base import Provisioning
from isthmus.backstores.encrypted import EncryptedBackstore
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.journal import WriteJournal
from isthmus.backstores.operations import WOULD_BLOCK, ChangeKey
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError
from tests.support.backstore_model import Step, check_against_bytearray, contents, steps

SIZE = 96 << 10
SECTOR = 512
KEY = bytes(range(64))
OTHER_KEY = bytes(range(64, 128))
DATA = b"what nobody else shall read .." * 1024


def disk(
    storage: RamdiskBackstore | None = None, *, key: bytes = KEY, renew: Callable[[], bytes] = lambda: OTHER_KEY
) -> EncryptedBackstore:
    """An encrypted memory disk."""
    return EncryptedBackstore(storage or RamdiskBackstore("x", SIZE), key, renew)


@given(calls=steps(SIZE, SECTOR))
def test_what_is_written_is_read(calls: list[Step]) -> None:
    """Whatever the order and the lengths of accesses: they are whole sectors, and data units begin anywhere in them."""
    check_against_bytearray(disk(), calls, SECTOR)


def test_the_cipher_is_the_standard_one() -> None:
    """IEEE 1619 vector 10: XTS-AES-256, data unit FFh, 512 bytes 00h to FFh twice."""
    key = bytes.fromhex(
        "2718281828459045235360287471352662497757247093699959574966967627"
        "3141592653589793238462643383279502884197169399375105820974944592"
    )
    storage = RamdiskBackstore("x", 0x100 * 16384)
    plain = bytes(range(256)) * 2
    EncryptedBackstore(storage, key, lambda: key).write(0xFF * 16384, [plain])
    ciphertext = contents(storage, 0xFF * 16384, 512)
    assert ciphertext.hex().startswith("1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b")
    assert ciphertext.hex().endswith("c4f36ffda9fcea70b9c6e693e148c151")


def test_what_lies_beneath_tells_nothing() -> None:
    """Neither the data nor that two sectors hold the same."""
    storage = RamdiskBackstore("x", SIZE)
    disk(storage).write(0, [b"same" * 128] * 8)
    sectors = {contents(storage, offset, SECTOR) for offset in range(0, 8 * SECTOR, SECTOR)}
    assert len(sectors) == 8
    assert not any(b"same" in sector for sector in sectors)


@pytest.mark.parametrize("offset", [0, SECTOR, 16384 - SECTOR, 3 * 16384 + 7 * SECTOR])
def test_any_part_of_a_data_unit(offset: int) -> None:
    """It is encrypted as it would be within the whole of it."""
    whole, parts = RamdiskBackstore("x", SIZE), RamdiskBackstore("y", SIZE)
    disk(whole).write(0, [DATA[:16384] * 6])
    pieces = disk(parts)
    for start in range(0, SIZE, SECTOR):
        pieces.write(start, [(DATA[:16384] * 6)[start : start + SECTOR]])
    assert contents(whole, offset, SECTOR) == contents(parts, offset, SECTOR)


def test_what_was_never_written_is_zeros() -> None:
    """And what was discarded, zeroed or anchored becomes so, with its room given back or kept as beneath."""
    storage = RamdiskBackstore("x", SIZE)
    encrypted = disk(storage)
    assert contents(encrypted, 0, SIZE) == bytes(SIZE)
    encrypted.write(0, [DATA[:16384]])
    encrypted.discard(4096, 4096)
    encrypted.write_zeroes(8192, SECTOR)
    assert contents(encrypted, 0, 16384) == DATA[:4096] + bytes(4096 + SECTOR) + DATA[8192 + SECTOR : 16384]
    assert encrypted.map_status(4096, 4096).provisioning is Provisioning.DEALLOCATED
    assert encrypted.space() == storage.space()


def test_zeros_in_the_ciphertext_of_other_data_stay() -> None:
    """Only a whole sector of zeros is one that nobody has written."""
    storage = RamdiskBackstore("x", SIZE)
    storage.write(0, [bytes(SECTOR - 16) + b"x" * 16])
    assert any(contents(disk(storage), 0, SECTOR - 16))


def test_another_key_reads_nothing() -> None:
    """That is the erase; and with the new key the disk is as good as before."""
    storage = RamdiskBackstore("x", SIZE)
    encrypted = disk(storage)
    encrypted.write(0, [DATA[:4096]])
    assert ChangeKey().run_inline(encrypted) is WOULD_BLOCK
    ChangeKey().run(encrypted)
    changed = contents(encrypted, 0, 4096)
    assert changed != DATA[:4096]
    assert contents(disk(storage, key=OTHER_KEY), 0, 4096) == changed
    encrypted.write(0, [DATA[:4096]])
    assert contents(encrypted, 0, 4096) == DATA[:4096]


def test_a_key_that_cannot_be_kept_is_not_used() -> None:
    """What is there stays readable."""

    def fail() -> bytes:
        raise BackstoreError(errno.ENOSPC, "no room for the key")

    encrypted = disk(renew=fail)
    encrypted.write(0, [DATA[:4096]])
    with pytest.raises(BackstoreError):
        ChangeKey().run(encrypted)
    assert contents(encrypted, 0, 4096) == DATA[:4096]


def test_changing_the_key_changes_everything() -> None:
    """Nothing that stands for the bytes as they were may go on."""
    ((offset, length),) = ChangeKey().changes
    assert offset == 0
    assert length > 1 << 70


def test_it_is_what_the_storage_is() -> None:
    """But that it encrypts."""
    storage = RamdiskBackstore("x", SIZE, read_only=True)
    encrypted = disk(storage)
    assert (encrypted.identity, encrypted.kind, encrypted.size) == (storage.identity, "ramdisk", SIZE)
    assert encrypted.read_only
    assert encrypted.volatile
    assert not storage.capabilities.encrypts
    assert encrypted.capabilities.encrypts
    with pytest.raises(BackstoreError):
        encrypted.write(0, [bytes(SECTOR)])


def test_sizes() -> None:
    """They are those of the storage, and what is new is zeros."""
    encrypted = disk()
    encrypted.resize(2 * SIZE)
    assert contents(encrypted, SIZE, SIZE) == bytes(SIZE)
    encrypted.follow_size(SECTOR)
    assert encrypted.size == 2 * SIZE


def test_a_file_keeps_what_was_written(tmp_path: Path) -> None:
    """Through the page cache, durably, and over a restart; copying between files is left to who has the key."""
    spec = BackstoreSpec(kind="fileio", path=str(tmp_path / "a.img"), size=SIZE, create=True)
    file = FileBackstore.open(spec)
    encrypted = EncryptedBackstore(file, KEY, lambda: KEY)
    encrypted.write(SECTOR, [DATA[:4096]], durable=True)
    buffer = bytearray(4096)
    assert encrypted.read_if_cached(SECTOR, memoryview(buffer))
    assert buffer == DATA[:4096]
    assert file.copy_from(encrypted, 0, 0, SECTOR) == 0
    assert encrypted.copy_from(file, 0, 0, SECTOR) == 0
    encrypted.reserve(0, SIZE)
    encrypted.prefetch(0, SIZE)
    encrypted.anchor(0, SECTOR)
    encrypted.flush()
    encrypted.close()
    assert DATA[:64] not in (tmp_path / "a.img").read_bytes()
    again = EncryptedBackstore(FileBackstore.open(spec), KEY, lambda: KEY)
    assert contents(again, SECTOR, 4096) == DATA[:4096]
    again.withdraw()


def test_the_journal_of_an_atomic_write_is_encrypted_too() -> None:
    """Its record is kept elsewhere, and would outlive an erase; and it is made whole without the cipher."""
    records: list[bytes | None] = []
    storage = RamdiskBackstore("x", SIZE)
    encrypted = disk(storage)
    encrypted.write(0, [DATA[:4096]])
    WriteJournal(lambda: None, records.append).write(encrypted, 0, memoryview(DATA)[4096:8192])
    assert contents(encrypted, 0, 4096) == DATA[4096:8192]
    record, removed = records
    assert record is not None
    assert removed is None
    assert DATA[4096:4112] not in record
    assert DATA[:16] not in record
    # The crash comes after the first half.
    encrypted.write(2048, [DATA[2048:4096]])
    assert WriteJournal(lambda: record, records.append).recover(encrypted)
    assert contents(encrypted, 0, 4096) == DATA[4096:8192]
