import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.initiator.inquiry import (
    VPD_PAGES,
    BlockDeviceCharacteristics,
    BlockLimits,
    Designator,
    DeviceIdentification,
    ExtendedInquiry,
    LogicalBlockProvisioning,
    SupportedPages,
    UnitSerialNumber,
    decode_standard_inquiry,
    decode_vpd_page,
    vpd_page_of,
)
from isthmus.iscsi.errors import ConnectionViolation

STANDARD = (
    bytes.fromhex("00 80 06 32 5b 19 10 02")
    + b"ISTHMUS VIRTUAL-DISK    0001"
    + bytes(22)
    + bytes.fromhex("00a0 0460 0000 0000 0000 0000 0000 0000")
)


def page(code: int, body: bytes) -> bytes:
    """A whole page."""
    return bytes((0, code)) + len(body).to_bytes(2) + body


def test_standard_data() -> None:
    """Every field comes from its place."""
    data = decode_standard_inquiry(STANDARD)
    assert (data.vendor, data.product, data.revision) == ("ISTHMUS", "VIRTUAL-DISK", "0001")
    assert (data.peripheral_device_type, data.is_connected, data.has_blocks) == (0, True, True)
    assert (data.removable, data.version, data.response_data_format) == (True, 6, 2)
    assert (data.normaca, data.hierarchical_support) == (True, True)
    assert (data.target_port_group_support, data.third_party_copy, data.protect) == (1, True, True)
    assert (data.multi_port, data.command_queuing) == (True, True)
    assert data.version_descriptors == (0x00A0, 0x0460)


def test_nothing_behind_a_lun() -> None:
    """7Fh: qualifier 3, type 1Fh."""
    data = decode_standard_inquiry(b"\x7f" + STANDARD[1:36])
    assert (data.is_connected, data.has_blocks, data.version_descriptors) == (False, False, ())


def test_a_page_is_cut_to_its_length() -> None:
    """What lies behind it is padding."""
    assert vpd_page_of(page(0x80, b"abc") + b"junk", 0x80) == page(0x80, b"abc")


@pytest.mark.parametrize("data", [b"\0\x80\0", page(0x83, b""), page(0x80, b"abcd")[:-1]])
def test_another_page_or_a_piece_is_a_violation(data: bytes) -> None:
    """The page asked for must come whole."""
    with pytest.raises(ConnectionViolation):
        vpd_page_of(data, 0x80)


@pytest.mark.parametrize(
    ("code", "body", "value"),
    [
        (0x00, "00 80 b0", SupportedPages((0x00, 0x80, 0xB0))),
        (0x80, b" 42  ".hex(), UnitSerialNumber("42")),
        (
            0x86,
            "00 27 03 01" + "00" * 56,
            ExtendedInquiry(
                head_of_queue=True,
                ordered=True,
                simple=True,
                volatile_cache=True,
                non_volatile_cache=True,
                uask_sup=True,
                luiclr=True,
            ),
        ),
        (
            0xB0,
            "01 ff 0008 00008000 00000800 00000000 00000100 00000002 00000010 80000003 0000000000010000" + "00" * 20,
            BlockLimits(
                wsnz=True,
                max_compare_and_write_length=255,
                optimal_transfer_length_granularity=8,
                max_transfer_length=0x8000,
                optimal_transfer_length=0x800,
                max_unmap_lba_count=0x100,
                max_unmap_block_descriptor_count=2,
                optimal_unmap_granularity=16,
                unmap_granularity_alignment=3,
                max_write_same_length=0x10000,
            ),
        ),
        (
            0xB0,
            "00 00 0008 00008000 00000800",
            BlockLimits(
                wsnz=False,
                max_compare_and_write_length=0,
                optimal_transfer_length_granularity=8,
                max_transfer_length=0x8000,
                optimal_transfer_length=0x800,
            ),
        ),
        (0xB1, "1c20 00 03" + "00" * 56, BlockDeviceCharacteristics(medium_rotation_rate=7200, nominal_form_factor=3)),
        (
            0xB2,
            "05 e6 02 00",
            LogicalBlockProvisioning(
                threshold_exponent=5,
                unmap=True,
                write_same_16_unmaps=True,
                write_same_10_unmaps=True,
                unmapped_reads_zeros=1,
                anchor_supported=True,
                provisioning_type=2,
            ),
        ),
    ],
)
def test_pages_become_values(code: int, body: str, value: object) -> None:
    """Each page that is known here."""
    assert decode_vpd_page(page(code, bytes.fromhex(body))) == value


def test_designators() -> None:
    """Binary ones print as hex, the others as text."""
    body = bytes.fromhex("0103 0008 6001405000000001") + bytes.fromhex("5398 0008") + b"iqn.a,t\0"
    decoded = decode_vpd_page(page(0x83, body))
    assert decoded == DeviceIdentification(
        (
            Designator(association=0, designator_type=3, code_set=1, value=bytes.fromhex("6001405000000001")),
            Designator(association=1, designator_type=8, code_set=3, value=b"iqn.a,t\0"),
        )
    )
    assert isinstance(decoded, DeviceIdentification)
    assert [each.text for each in decoded.designators] == ["6001405000000001", "iqn.a,t"]


def test_an_unknown_page_is_none() -> None:
    """Its bytes are for the caller to show."""
    assert decode_vpd_page(page(0xC0, b"abc")) is None


@given(st.sampled_from([*VPD_PAGES]), st.binary(max_size=80))
def test_any_bytes_are_a_value_or_a_violation(code: int, body: bytes) -> None:
    """A target's nonsense raises nothing else."""
    with contextlib.suppress(ConnectionViolation):
        assert decode_vpd_page(page(code, body)) is not None
