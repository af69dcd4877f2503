import pytest

from isthmus.scsi.sense import (
    CheckCondition,
    FieldPointer,
    ForwardedSense,
    ProgressIndication,
    SegmentPointer,
    Sense,
    SenseData,
    SenseKey,
)


def test_fixed_format() -> None:
    """Response code 70h, 18 bytes, key, ASC and ASCQ in their places."""
    data = SenseData(sense=Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE).to_bytes()
    assert data.hex(" ") == "70 00 05 00 00 00 00 0a 00 00 00 00 21 00 00 00 00 00"


def test_fixed_format_with_information() -> None:
    """INFORMATION sets VALID."""
    data = SenseData(sense=Sense.UNRECOVERED_READ_ERROR, information=0x12345678).to_bytes()
    assert data.hex(" ") == "f0 00 03 12 34 56 78 0a 00 00 00 00 11 00 00 00 00 00"


def test_fixed_format_leaves_out_what_does_not_fit() -> None:
    """An LBA of more than 32 bits leaves VALID 0 in fixed format, and is whole in descriptor format."""
    data = SenseData(sense=Sense.UNRECOVERED_READ_ERROR, information=1 << 32)
    assert data.to_bytes()[:7].hex(" ") == "70 00 03 00 00 00 00"
    assert data.to_bytes(descriptor=True)[8:].hex(" ") == "00 0a 80 00 00 00 00 01 00 00 00 00"


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        (FieldPointer(1, 3), "cb 00 01"),
        (FieldPointer(0x102), "c0 01 02"),
        (FieldPointer(8, 7, in_cdb=False), "8f 00 08"),
        (FieldPointer(4, 0), "c8 00 04"),
    ],
)
def test_field_pointer(pointer: FieldPointer, expected: str) -> None:
    """SKSV, C/D, BPV, the bit and the byte."""
    data = SenseData(sense=Sense.INVALID_FIELD_IN_CDB, specific=pointer)
    assert data.to_bytes()[15:].hex(" ") == expected
    assert data.to_bytes(descriptor=True).hex(" ") == f"72 05 24 00 00 00 00 08 02 06 00 00 {expected} 00"


def test_progress_indication() -> None:
    """How far a command has come stands in SENSE KEY SPECIFIC."""
    data = SenseData(sense=Sense.NO_ADDITIONAL_SENSE_INFORMATION, specific=ProgressIndication(0x8000))
    assert data.to_bytes()[15:].hex(" ") == "80 80 00"


def test_descriptor_format() -> None:
    """Response code 72h, and no descriptor where there is nothing to describe."""
    data = SenseData(sense=Sense.WRITE_PROTECTED).to_bytes(descriptor=True)
    assert data.hex(" ") == "72 07 27 00 00 00 00 00"


def test_descriptor_format_with_information_and_field() -> None:
    """Two descriptors follow one another, and ADDITIONAL SENSE LENGTH counts both."""
    sense = SenseData(sense=Sense.MISCOMPARE_DURING_VERIFY_OPERATION, specific=FieldPointer(2), information=7)
    data = sense.to_bytes(descriptor=True)
    assert data[7] == len(data) - 8 == 20
    assert data[8:20].hex(" ") == "00 0a 80 00 00 00 00 00 00 00 00 07"
    assert data[20:].hex(" ") == "02 06 00 00 c0 00 02 00"


@pytest.mark.parametrize("sense", Sense)
def test_every_sense_is_well_formed(sense: Sense) -> None:
    """Each constant has a key, an ASC and an ASCQ of one byte each, and both formats agree on them."""
    assert isinstance(sense.key, SenseKey)
    fixed, descriptor = SenseData(sense=sense).to_bytes(), SenseData(sense=sense).to_bytes(descriptor=True)
    assert (fixed[2], fixed[12], fixed[13]) == tuple(descriptor[1:4]) == (sense.key, sense.asc, sense.ascq)


def test_no_code_has_two_names() -> None:
    """An alias would be a slip of the pen."""
    assert len(Sense.__members__) == len(list(Sense))


def test_check_condition_carries_its_sense() -> None:
    """What is raised is what is answered."""
    error = CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(1), information=9)
    assert error.sense_data == SenseData(sense=Sense.INVALID_FIELD_IN_CDB, specific=FieldPointer(1), information=9)


FAILED_COPY = SenseData(
    sense=Sense.THIRD_PARTY_DEVICE_FAILURE,
    specific=SegmentPointer(6),
    segment=0x0102,
    forwarded=ForwardedSense(from_source=False, status=2, sense=SenseData(sense=Sense.WRITE_PROTECTED).to_bytes()),
)


def test_a_copy_that_failed_in_fixed_format() -> None:
    """The segment stands in COMMAND-SPECIFIC INFORMATION, with where the answer of source or destination begins."""
    data = FAILED_COPY.to_bytes()
    assert data[7] == len(data) - 8
    assert data[8:12].hex() == "00120102"
    assert data[15:18].hex() == "a00006"
    assert data[18:] == b"\x02" + SenseData(sense=Sense.WRITE_PROTECTED).to_bytes()
    forwarded = ForwardedSense(from_source=True, status=0x18, sense=b"")
    data = SenseData(sense=Sense.THIRD_PARTY_DEVICE_FAILURE, forwarded=forwarded).to_bytes()
    assert (data[8:12].hex(), data[18:]) == ("12000000", b"\x18")


def test_a_copy_that_failed_in_descriptor_format() -> None:
    """The segment, the pointer and the forwarded sense have descriptors of their own."""
    data = FAILED_COPY.to_bytes(descriptor=True)
    assert data[:8].hex() == "720a0d0100000000"[:14] + f"{len(data) - 8:02x}"
    assert data[8:20].hex() == "010a0000" + "0000000000000102"
    assert data[20:28].hex() == "02060000" + "a0000600"
    assert data[28:32].hex() == "0c160202"
    assert data[32:] == SenseData(sense=Sense.WRITE_PROTECTED).to_bytes() + bytes(2)


@pytest.mark.parametrize(("in_segment", "expected"), [(True, "a00030"), (False, "800030")])
def test_segment_pointer(in_segment: bool, expected: str) -> None:
    """It counts from the start of the segment descriptor (SD), or of the parameter list."""
    assert SegmentPointer(0x30, in_segment=in_segment).to_bytes().hex() == expected


def test_check_condition_of_whole_sense_data() -> None:
    """What cannot be said by a field alone is handed over as it is."""
    assert CheckCondition.of(FAILED_COPY).sense_data is FAILED_COPY
