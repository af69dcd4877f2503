"""INQUIRY data as values: the standard data and the VPD pages that a disk has (SPC-5 §6.7, §7.7; SBC-4 §6.6)."""

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isthmus.initiator.parameter_data import need
from isthmus.iscsi.errors import ConnectionViolation

__all__ = [
    "VPD_PAGES",
    "BlockDeviceCharacteristics",
    "BlockLimits",
    "Designator",
    "DesignatorType",
    "DeviceIdentification",
    "ExtendedInquiry",
    "LogicalBlockProvisioning",
    "PeripheralDeviceType",
    "StandardInquiry",
    "SupportedPages",
    "UnitSerialNumber",
    "VpdPage",
    "decode_standard_inquiry",
    "decode_vpd_page",
    "vpd_page_of",
]


class PeripheralDeviceType(enum.IntEnum):
    """SPC-5 table 145, those that one meets."""

    DIRECT_ACCESS_BLOCK = 0x00
    SEQUENTIAL_ACCESS = 0x01
    PROCESSOR = 0x03
    CD_DVD = 0x05
    MEDIUM_CHANGER = 0x08
    STORAGE_ARRAY_CONTROLLER = 0x0C
    ENCLOSURE_SERVICES = 0x0D
    OBJECT_BASED_STORAGE = 0x11
    ZONED_BLOCK = 0x14
    WELL_KNOWN_LOGICAL_UNIT = 0x1E
    UNKNOWN = 0x1F


_BLOCK_DEVICES: Final = (
    PeripheralDeviceType.DIRECT_ACCESS_BLOCK,
    PeripheralDeviceType.CD_DVD,
    PeripheralDeviceType.ZONED_BLOCK,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardInquiry:
    """Standard INQUIRY data (SPC-5 §6.7.2)."""

    peripheral_qualifier: int
    peripheral_device_type: int
    removable: bool
    version: int
    response_data_format: int
    normaca: bool
    hierarchical_support: bool
    target_port_group_support: int
    third_party_copy: bool
    protect: bool
    multi_port: bool
    command_queuing: bool
    vendor: str
    product: str
    revision: str
    version_descriptors: tuple[int, ...]

    @property
    def is_connected(self) -> bool:
        """Whether a logical unit stands behind this LUN (PERIPHERAL QUALIFIER 000b)."""
        return self.peripheral_qualifier == 0

    @property
    def has_blocks(self) -> bool:
        """Whether it is a device of blocks, which has a capacity."""
        return self.peripheral_device_type in _BLOCK_DEVICES


def _text(field: bytes) -> str:
    return field.decode("ascii", "replace").strip(" \0")


def decode_standard_inquiry(data: bytes) -> StandardInquiry:
    """Read it; raises `ConnectionViolation` if it is shorter than 36 bytes."""
    need(data, 36, "standard INQUIRY data")
    descriptors = data[58:74]
    return StandardInquiry(
        peripheral_qualifier=data[0] >> 5,
        peripheral_device_type=data[0] & 0x1F,
        removable=bool(data[1] & 0x80),
        version=data[2],
        response_data_format=data[3] & 0x0F,
        normaca=bool(data[3] & 0x20),
        hierarchical_support=bool(data[3] & 0x10),
        target_port_group_support=data[5] >> 4 & 0x03,
        third_party_copy=bool(data[5] & 0x08),
        protect=bool(data[5] & 0x01),
        multi_port=bool(data[6] & 0x10),
        command_queuing=bool(data[7] & 0x02),
        vendor=_text(data[8:16]),
        product=_text(data[16:32]),
        revision=_text(data[32:36]),
        version_descriptors=tuple(
            code for (code,) in struct.iter_unpack(">H", descriptors[: len(descriptors) & ~1]) if code
        ),
    )


def vpd_page_of(data: bytes, page: int) -> bytes:
    """The page in `data` with its header, cut to its length; raises `ConnectionViolation` for another page or a piece."""
    need(data, 4, f"VPD page {page:02X}h")
    if data[1] != page:
        raise ConnectionViolation(f"VPD page {data[1]:02X}h came where {page:02X}h was asked for")
    length = 4 + int.from_bytes(data[2:4])
    return need(data, length, f"VPD page {page:02X}h")[:length]


@dataclass(frozen=True, slots=True)
class SupportedPages:
    """VPD page 00h (SPC-5 §7.7.17)."""

    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnitSerialNumber:
    """VPD page 80h (SPC-5 §7.7.19)."""

    serial_number: str


class DesignatorType(enum.IntEnum):
    """SPC-5 table 587."""

    VENDOR_SPECIFIC = 0
    T10_VENDOR_ID = 1
    EUI64 = 2
    NAA = 3
    RELATIVE_TARGET_PORT = 4
    TARGET_PORT_GROUP = 5
    LOGICAL_UNIT_GROUP = 6
    MD5_LOGICAL_UNIT = 7
    SCSI_NAME = 8
    PROTOCOL_SPECIFIC_PORT = 9
    UUID = 10


_TEXT_CODE_SETS: Final = (2, 3)
"""ASCII and UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Designator:
    """One name of the unit, its port or its device (SPC-5 §7.7.6.1)."""

    association: int
    """0 the logical unit, 1 the target port, 2 the target device."""
    designator_type: int
    code_set: int
    value: bytes

    @property
    def text(self) -> str:
        """The name as people read it: text as it is, binary as hex."""
        is_text = self.code_set in _TEXT_CODE_SETS
        return self.value.decode("utf-8", "replace").rstrip(" \0") if is_text else self.value.hex()


@dataclass(frozen=True, slots=True)
class DeviceIdentification:
    """VPD page 83h (SPC-5 §7.7.6)."""

    designators: tuple[Designator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedInquiry:
    """VPD page 86h (SPC-5 §7.7.7), the parts that concern a disk without protection information."""

    head_of_queue: bool
    ordered: bool
    simple: bool
    volatile_cache: bool
    non_volatile_cache: bool
    uask_sup: bool
    """Unit attentions come with sense key specific data."""
    luiclr: bool
    """Clearing an I_T nexus clears its unit attentions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimits:
    """VPD page B0h (SBC-4 §6.6.4); blocks, and 0 where the unit states no limit."""

    wsnz: bool
    max_compare_and_write_length: int
    optimal_transfer_length_granularity: int
    max_transfer_length: int
    optimal_transfer_length: int
    max_unmap_lba_count: int = 0
    max_unmap_block_descriptor_count: int = 0
    optimal_unmap_granularity: int = 0
    unmap_granularity_alignment: int | None = None
    max_write_same_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDeviceCharacteristics:
    """VPD page B1h (SBC-4 §6.6.2)."""

    medium_rotation_rate: int
    """0 not reported, 1 solid state, else revolutions per minute."""
    nominal_form_factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalBlockProvisioning:
    """VPD page B2h (SBC-4 §6.6.7)."""

    threshold_exponent: int
    unmap: bool
    write_same_16_unmaps: bool
    write_same_10_unmaps: bool
    unmapped_reads_zeros: int
    anchor_supported: bool
    provisioning_type: int
    """0 fully provisioned or unknown, 1 resource, 2 thin."""


VpdPage = (
    SupportedPages
    | UnitSerialNumber
    | DeviceIdentification
    | ExtendedInquiry
    | BlockLimits
    | BlockDeviceCharacteristics
    | LogicalBlockProvisioning
)


def _supported_pages(page: bytes) -> SupportedPages:
    return SupportedPages(tuple(page[4:]))


def _unit_serial_number(page: bytes) -> UnitSerialNumber:
    return UnitSerialNumber(_text(page[4:]))


def _device_identification(page: bytes) -> DeviceIdentification:
    found = []
    position = 4
    while position + 4 <= len(page):
        first, second, _, length = page[position : position + 4]
        value = need(page, position + 4 + length, "VPD page 83h")[position + 4 : position + 4 + length]
        found.append(
            Designator(
                association=second >> 4 & 0x03,
                designator_type=second & 0x0F,
                code_set=first & 0x0F,
                value=value,
            )
        )
        position += 4 + length
    return DeviceIdentification(tuple(found))


def _extended_inquiry(page: bytes) -> ExtendedInquiry:
    data = need(page, 8, "VPD page 86h")
    return ExtendedInquiry(
        head_of_queue=bool(data[5] & 0x04),
        ordered=bool(data[5] & 0x02),
        simple=bool(data[5] & 0x01),
        volatile_cache=bool(data[6] & 0x01),
        non_volatile_cache=bool(data[6] & 0x02),
        uask_sup=bool(data[5] & 0x20),
        luiclr=bool(data[7] & 0x01),
    )


def _block_limits(page: bytes) -> BlockLimits:
    # SBC-2 ended the page after 16 bytes; what a unit leaves out it does not limit.
    data = need(page, 16, "VPD page B0h").ljust(64, b"\0")
    wsnz, compare_and_write, granularity, maximum, optimal = struct.unpack_from(">BBHII", data, 4)
    unmap_count, unmap_descriptors, unmap_granularity, alignment, write_same = struct.unpack_from(">IIIIQ", data, 20)
    return BlockLimits(
        wsnz=bool(wsnz & 0x01),
        max_compare_and_write_length=compare_and_write,
        optimal_transfer_length_granularity=granularity,
        max_transfer_length=maximum,
        optimal_transfer_length=optimal,
        max_unmap_lba_count=unmap_count,
        max_unmap_block_descriptor_count=unmap_descriptors,
        optimal_unmap_granularity=unmap_granularity,
        unmap_granularity_alignment=alignment & 0x7FFF_FFFF if alignment & 0x8000_0000 else None,
        max_write_same_length=write_same,
    )


def _block_device_characteristics(page: bytes) -> BlockDeviceCharacteristics:
    data = need(page, 8, "VPD page B1h")
    return BlockDeviceCharacteristics(
        medium_rotation_rate=int.from_bytes(data[4:6]), nominal_form_factor=data[7] & 0x0F
    )


def _logical_block_provisioning(page: bytes) -> LogicalBlockProvisioning:
    data = need(page, 8, "VPD page B2h")
    return LogicalBlockProvisioning(
        threshold_exponent=data[4],
        unmap=bool(data[5] & 0x80),
        write_same_16_unmaps=bool(data[5] & 0x40),
        write_same_10_unmaps=bool(data[5] & 0x20),
        unmapped_reads_zeros=data[5] >> 2 & 0x07,
        anchor_supported=bool(data[5] & 0x02),
        provisioning_type=data[6] & 0x07,
    )


VPD_PAGES: Final[dict[int, tuple[str, Callable[[bytes], VpdPage]]]] = {
    0x00: ("supported VPD pages", _supported_pages),
    0x80: ("unit serial number", _unit_serial_number),
    0x83: ("device identification", _device_identification),
    0x86: ("extended INQUIRY data", _extended_inquiry),
    0xB0: ("block limits", _block_limits),
    0xB1: ("block device characteristics", _block_device_characteristics),
    0xB2: ("logical block provisioning", _logical_block_provisioning),
}
"""From the page code to its name and decoder."""


def decode_vpd_page(page: bytes) -> VpdPage | None:
    """The page, header included, as a value; None for a page that is not known here."""
    row = VPD_PAGES.get(page[1])
    return row[1](page) if row is not None else None
