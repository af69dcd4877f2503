import pytest

from isthmus.initiator.parameter_data import (
    Capacity,
    LbaStatus,
    decode_capacity_10,
    decode_capacity_16,
    decode_lba_status,
    decode_report_luns,
    encode_unmap,
)
from isthmus.iscsi.errors import ConnectionViolation


def test_capacity_10() -> None:
    """The last LBA and the block length."""
    capacity = decode_capacity_10(bytes.fromhex("000007ff 00000200"))
    assert (capacity.num_blocks, capacity.block_length, capacity.size) == (2048, 512, 1 << 20)


def test_capacity_16() -> None:
    """Physical block exponent, LBPME and LBPRZ."""
    data = bytes.fromhex("0000000000ffffff 00001000 00 03 c000") + bytes(16)
    assert decode_capacity_16(data) == Capacity(
        num_blocks=1 << 24,
        block_length=4096,
        physical_block_length=32768,
        provisions_thinly=True,
        unmapped_reads_zeros=True,
    )


def test_report_luns() -> None:
    """The fields that LUN LIST LENGTH covers."""
    data = bytes.fromhex("00000010 00000000 0000000000000000 0001000000000000 ffff")
    assert decode_report_luns(data) == [0, 1 << 48]


def test_lba_status() -> None:
    """The descriptors behind the header."""
    data = bytes.fromhex("00000024 00000000") + b"".join(
        lba.to_bytes(8) + (8).to_bytes(4) + bytes((status, 0, 0, 0)) for lba, status in ((0, 0), (8, 1))
    )
    assert decode_lba_status(data) == [
        LbaStatus(lba=0, num_blocks=8, provisioning_status=0),
        LbaStatus(lba=8, num_blocks=8, provisioning_status=1),
    ]


def test_unmap() -> None:
    """Lengths that count themselves as SBC-4 §5.35.2 has it."""
    assert encode_unmap([(1, 2)]).hex(" ", 4) == "00160010 00000000 00000000 00000001 00000002 00000000"


@pytest.mark.parametrize(
    "decode", [decode_capacity_10, decode_capacity_16, decode_report_luns, decode_lba_status], ids=lambda f: f.__name__
)
def test_short_data_is_a_violation(decode: object) -> None:
    """A target that answers GOOD with too little is at fault."""
    with pytest.raises(ConnectionViolation, match="at least"):
        decode(b"\0" * 4)  # type: ignore[operator]


def test_a_cut_lun_list_is_a_violation() -> None:
    """The list must be as long as it says: the allocation length had room."""
    with pytest.raises(ConnectionViolation):
        decode_report_luns(bytes.fromhex("00000010 00000000 0000000000000000"))


def test_blocks_without_bytes_are_a_violation() -> None:
    """Nobody could divide by such a length."""
    with pytest.raises(ConnectionViolation, match="no bytes"):
        decode_capacity_10(bytes.fromhex("000007ff 00000000"))
