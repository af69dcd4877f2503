import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.initiator.sense import DecodedSense, decode_sense
from isthmus.scsi.sense import FieldPointer, ProgressIndication, Sense, SenseData, SenseKey


@pytest.mark.parametrize("descriptor", [False, True])
@pytest.mark.parametrize("sense", list(Sense))
def test_reads_what_the_target_side_writes(sense: Sense, descriptor: bool) -> None:
    """Every sense of the table comes back with its name in both formats."""
    decoded = decode_sense(SenseData(sense).to_bytes(descriptor=descriptor))
    assert decoded == DecodedSense(key=sense.key, asc=sense.asc, ascq=sense.ascq)
    assert decoded.sense is sense


@pytest.mark.parametrize("descriptor", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        SenseData(Sense.INVALID_FIELD_IN_CDB, FieldPointer(byte=2, bit=5)),
        SenseData(Sense.INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(byte=0x1234, in_cdb=False)),
        SenseData(Sense.LOGICAL_UNIT_IS_IN_PROCESS_OF_BECOMING_READY, ProgressIndication(progress=0x8000)),
        SenseData(Sense.UNRECOVERED_READ_ERROR, information=0xFFFF_FFFF),
    ],
)
def test_keeps_the_details(data: SenseData, descriptor: bool) -> None:
    """Field pointer, progress and information survive in both formats."""
    decoded = decode_sense(data.to_bytes(descriptor=descriptor))
    assert decoded is not None
    assert (decoded.specific, decoded.information) == (data.specific, data.information)


def test_descriptor_format_holds_a_long_lba() -> None:
    """An INFORMATION over 32 bits comes through descriptor format."""
    data = SenseData(Sense.UNRECOVERED_READ_ERROR, information=1 << 40).to_bytes(descriptor=True)
    assert decode_sense(data) == DecodedSense(key=SenseKey.MEDIUM_ERROR, asc=0x11, ascq=0, information=1 << 40)


def test_tells_deferred_errors() -> None:
    """Response codes 71h and 73h tell of an earlier command."""
    fixed = b"\x71" + SenseData(Sense.WRITE_ERROR).to_bytes()[1:]
    descriptor = b"\x73" + SenseData(Sense.WRITE_ERROR).to_bytes(descriptor=True)[1:]
    for data in (fixed, descriptor):
        decoded = decode_sense(data)
        assert decoded is not None
        assert decoded.deferred
        assert "deferred" in str(decoded)


def test_short_fixed_sense_reads_as_zeros() -> None:
    """What a short report leaves out is zero."""
    assert decode_sense(b"\x70\x00\x06") == DecodedSense(key=6, asc=0, ascq=0)


@pytest.mark.parametrize("data", [b"", b"\x70\x00", b"\x7f" + bytes(17), b"\x00" * 18])
def test_what_is_no_sense_is_none(data: bytes) -> None:
    """Empty, too short and vendor specific data give None."""
    assert decode_sense(data) is None


@given(st.binary(max_size=64))
def test_never_fails(data: bytes) -> None:
    """Any bytes decode or give None."""
    decoded = decode_sense(data)
    assert decoded is None or str(decoded)


def test_prints_name_codes_and_place() -> None:
    """The text names the key, the sense, its codes and the byte at fault."""
    data = SenseData(Sense.INVALID_FIELD_IN_CDB, FieldPointer(byte=2, bit=5)).to_bytes()
    assert str(decode_sense(data)) == "ILLEGAL REQUEST, INVALID FIELD IN CDB (24h/00h), CDB byte 2 bit 5"


def test_prints_codes_that_it_does_not_know() -> None:
    """A code without a name still shows its numbers."""
    assert str(DecodedSense(key=0xC, asc=0xEE, ascq=0x01)) == "SENSE KEY Ch, (EEh/01h)"
