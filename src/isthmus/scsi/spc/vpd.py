"""The vital product data pages (SPC-5 §7.7, SBC-4 §6.6).

`PAGES` is the only list of them: INQUIRY looks a page up in it, and page 00h is made of its codes.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.accessibility import is_connected
from isthmus.scsi.cdb_options import unmapping_commands
from isthmus.scsi.copy.vpd_page import third_party_copy_page
from isthmus.scsi.thresholds import threshold_exponent

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["PAGES", "THIRD_PARTY_COPY", "VpdPage", "build_page", "has_page", "peripheral_device_type"]

_NOT_CONNECTED: Final = 0x20
"""Peripheral qualifier 001b: the unit is there, but cannot be reached through this target port (SPC-5 §6.7.2)."""
_BLOCK_PAGE_LENGTH: Final = 60
_STANDBY_Y_AND_Z: Final = 0x03
_IDLE_A_B_AND_C: Final = 0x07
_RECOVERY_TIMES: Final = 12
"""Bytes: from stopped, standby_z, standby_y, idle_a, idle_b, idle_c."""
_NON_ROTATING: Final = 0x0001
_WABEREQ_READS_END_WELL: Final = 0x40
_WACEREQ_READS_END_WELL: Final = 0x10
_RTD_SUP: Final = 0x08
_SHARED: Final = 0b00
_T0PS: Final = 0x01
_VBULS: Final = 0x01
_NOMINAL_ROTATION_RATE: Final = 7200
"""What storage that turns is said to turn at: initiators look only at whether it does."""
_LUICLR: Final = 0x01
_WSNZ: Final = 0x01
_UGAVALID: Final = 0x8000_0000
_LBPRZ_ZEROS: Final = 0x04
"""LBPRZ 001b: what is unmapped reads as zeros."""
_ANC_SUP: Final = 0x02
_THIN_PROVISIONED: Final = 2

_UNMAP: Final = 0x42
_COMPARE_AND_WRITE: Final = 0x89
"""Operation codes that a table may lack."""

# Designators (SPC-5 §7.7.6).
_BINARY: Final = 1
_ASCII: Final = 2
_UTF_8: Final = 3
_T10_VENDOR_ID: Final = 1
_EUI_64: Final = 2
_NAA: Final = 3
_RELATIVE_TARGET_PORT: Final = 4
_TARGET_PORT_GROUP: Final = 5
_SCSI_NAME_STRING: Final = 8
_LOGICAL_UNIT: Final = 0
_TARGET_PORT: Final = 1
_TARGET_DEVICE: Final = 2
_PROTOCOL_ISCSI: Final = 5
_PIV: Final = 0x80

THIRD_PARTY_COPY: Final = 0x8F
_OF_DISKS: Final = 0xB0
"""From here on, what a page says depends on the device type; drives have none of these."""

_PageBuilder = Callable[["LogicalUnit", "Nexus"], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class VpdPage:
    """One row."""

    code: int
    name: str
    source: str
    build: _PageBuilder
    """Gives what the page holds behind its header of four bytes."""


def build_page(code: int, unit: "LogicalUnit", nexus: "Nexus") -> bytes:
    """The page `code`, which is one of `PAGES`, as `nexus` sees `unit`."""
    payload = PAGES[code].build(unit, nexus)
    return struct.pack(">BBH", peripheral_device_type(unit, nexus), code, len(payload)) + payload


def peripheral_device_type(unit: "LogicalUnit", nexus: "Nexus") -> int:
    """PERIPHERAL QUALIFIER and PERIPHERAL DEVICE TYPE, the first byte of all that INQUIRY tells."""
    return (0 if is_connected(unit, nexus) else _NOT_CONNECTED) | unit.device_type.code


def has_page(unit: "LogicalUnit", code: int) -> bool:
    """Whether `unit` has the page `code`."""
    if code == THIRD_PARTY_COPY:
        return unit.copy_manager is not None
    return code in PAGES and (code < _OF_DISKS or not unit.device_type.is_drive)


def _supported_pages(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    return bytes(code for code in PAGES if has_page(unit, code))


def _unit_serial_number(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    return unit.identity.serial_field


def _device_identification(unit: "LogicalUnit", nexus: "Nexus") -> bytes:
    """The names of the unit, then those of the target port and of the target device, which depend on the nexus."""
    identity = unit.identity
    port = struct.pack(">xxH", nexus.relative_target_port_id)
    group = struct.pack(">xxH", unit.alua.group_of(nexus.relative_target_port_id).alua_group_id)
    designators = [
        _designator(_LOGICAL_UNIT, _T10_VENDOR_ID, _ASCII, identity.t10_vendor_designator),
        _designator(_TARGET_PORT, _RELATIVE_TARGET_PORT, _BINARY, port),
        _designator(_TARGET_PORT, _TARGET_PORT_GROUP, _BINARY, group),
        _designator(_TARGET_PORT, _SCSI_NAME_STRING, _UTF_8, _name_string(nexus.target_port_name)),
        _designator(_TARGET_DEVICE, _SCSI_NAME_STRING, _UTF_8, _name_string(identity.device_name or nexus.target_name)),
    ]
    if identity.eui64_designator is not None:
        designators.insert(0, _designator(_LOGICAL_UNIT, _EUI_64, _BINARY, identity.eui64_designator))
    if identity.tells_naa:
        designators.insert(0, _designator(_LOGICAL_UNIT, _NAA, _BINARY, identity.naa_designator))
    return b"".join(designators)


def _designator(association: int, designator_type: int, code_set: int, designator: bytes) -> bytes:
    """A designation descriptor; the protocol identifier holds for ports and devices only (SPC-5 §7.7.6.1)."""
    protocol = 0 if association == _LOGICAL_UNIT else _PROTOCOL_ISCSI << 4
    piv = 0 if association == _LOGICAL_UNIT else _PIV
    return bytes([protocol | code_set, piv | association << 4 | designator_type, 0, len(designator)]) + designator


def _name_string(name: str) -> bytes:
    """UTF-8, ended by a null and filled up with nulls to a multiple of four bytes (SPC-5 §7.7.6.11)."""
    text = name.encode() + b"\0"
    return text + bytes(-len(text) % 4)


def _extended_inquiry(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SPC-5 §7.7.7: HEADSUP, ORDSUP, SIMPSUP; V_SUP for a volatile cache; LUICLR; and RTD_SUP. Nothing else is supported."""
    payload = bytearray(_BLOCK_PAGE_LENGTH)
    payload[1] = 0x07
    payload[2] = 0x01 if unit.mode.has_write_cache else 0
    payload[3] = _LUICLR
    payload[4] = _RTD_SUP
    return bytes(payload)


def _mode_page_policy(_unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SPC-5 §7.7.9: one policy for all pages and subpages, shared; MLUS 0, as each unit has its own."""
    return bytes((0x3F, 0xFF, _SHARED, 0))


def _scsi_ports(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SPC-5 §7.7.15: every target port through which the unit can be reached, with its name. None is an initiator."""
    descriptors = []
    for relative_port, name in sorted(unit.ports.items()):
        designator = _designator(_TARGET_PORT, _SCSI_NAME_STRING, _UTF_8, _name_string(name))
        descriptors.append(struct.pack(">xxHxxHxxH", relative_port, 0, len(designator)) + designator)
    return b"".join(descriptors)


def _power_condition(_unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SPC-5 §7.7.10: every condition is there, and none takes a millisecond to recover from."""
    return bytes((_STANDBY_Y_AND_Z, _IDLE_A_B_AND_C)) + bytes(_RECOVERY_TIMES)


def _supported_block_lengths(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SBC-4 §6.6.7: the unit can be formatted with the block length that it has, and without protection information."""
    return struct.pack(">IBBxx", unit.block_length, 0, _T0PS)


def _block_limits(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SBC-4 §6.6.4; everything in logical blocks. A unit reports no limits for a command that it does not have."""
    limits = unit.limits
    discard = unit.backstore.capabilities.discard
    unmap = unit.table.lookup(_UNMAP) is not None
    payload = struct.pack(
        ">BBHIIIIIIIQ",
        _WSNZ if limits.write_same_non_zero else 0,
        limits.max_compare_and_write_blocks if unit.table.lookup(_COMPARE_AND_WRITE) else 0,
        limits.optimal_granularity_blocks or unit.physical_block_length // unit.block_length,
        limits.max_transfer_blocks,
        limits.optimal_transfer_blocks,
        0,  # MAXIMUM PREFETCH LENGTH: any
        limits.max_unmap_blocks if unmap else 0,
        limits.max_unmap_descriptors if unmap else 0,
        limits.unmap_granularity_blocks if discard else 0,
        _UGAVALID | limits.unmap_alignment_blocks if discard else 0,
        limits.max_write_same_blocks,
    )
    if unit.writes_atomically:
        # Boundaries change nothing: the journal keeps the promise for any run of blocks, with a boundary or without.
        longest, alignment, granularity = (
            limits.max_atomic_blocks,
            limits.atomic_alignment_blocks,
            limits.atomic_granularity_blocks,
        )
        payload += struct.pack(">IIIII", longest, alignment, granularity, longest, longest)
    return payload.ljust(_BLOCK_PAGE_LENGTH, b"\0")


def _block_device_characteristics(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SBC-4 §6.6.2; the nominal form factor is not reported, as there is none.

    WABEREQ: after a block erase, which a unit has that can give room back, reads end without an error (§4.11.5). WACEREQ:
    so they do after a cryptographic erase, which a unit has that is encrypted.
    VBULS: VERIFY compares unmapped blocks like any others (§5.36), they read as zeros.
    """
    rotates = unit.backstore.capabilities.rotational
    rotation_rate = (unit.rotation_rate or _NOMINAL_ROTATION_RATE) if rotates else _NON_ROTATING
    wabereq = _WABEREQ_READS_END_WELL if unit.backstore.capabilities.discard else 0
    wacereq = _WACEREQ_READS_END_WELL if unit.backstore.capabilities.encrypts else 0
    return struct.pack(">HxBB", rotation_rate, wabereq | wacereq, _VBULS).ljust(_BLOCK_PAGE_LENGTH, b"\0")


def _logical_block_provisioning(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """SBC-4 §6.6.6: thin if the storage takes room back; fully provisioned otherwise. No thresholds are percentages."""
    capabilities = unit.backstore.capabilities
    if not capabilities.discard:
        return bytes(4)
    exponent = threshold_exponent(unit) if capabilities.measures_space else 0
    anchors = _ANC_SUP if capabilities.anchor else 0
    zeros = _LBPRZ_ZEROS if capabilities.reports_zeroes else 0
    return bytes([exponent, unmapping_commands(unit.table) | zeros | anchors, _THIN_PROVISIONED, 0])


_ROWS: Final = (
    VpdPage(code=0x00, name="Supported VPD Pages", source="SPC-5 §7.7.17", build=_supported_pages),
    VpdPage(code=0x80, name="Unit Serial Number", source="SPC-5 §7.7.19", build=_unit_serial_number),
    VpdPage(code=0x83, name="Device Identification", source="SPC-5 §7.7.6", build=_device_identification),
    VpdPage(code=0x86, name="Extended INQUIRY Data", source="SPC-5 §7.7.7", build=_extended_inquiry),
    VpdPage(code=0x87, name="Mode Page Policy", source="SPC-5 §7.7.9", build=_mode_page_policy),
    VpdPage(code=0x88, name="SCSI Ports", source="SPC-5 §7.7.15", build=_scsi_ports),
    VpdPage(code=0x8A, name="Power Condition", source="SPC-5 §7.7.10", build=_power_condition),
    VpdPage(code=THIRD_PARTY_COPY, name="Third-party Copy", source="SPC-5 §7.7.18", build=third_party_copy_page),
    VpdPage(code=0xB0, name="Block Limits", source="SBC-4 §6.6.4", build=_block_limits),
    VpdPage(code=0xB1, name="Block Device Characteristics", source="SBC-4 §6.6.2", build=_block_device_characteristics),
    VpdPage(code=0xB2, name="Logical Block Provisioning", source="SBC-4 §6.6.6", build=_logical_block_provisioning),
    VpdPage(
        code=0xB4,
        name="Supported Block Lengths and Protection Types",
        source="SBC-4 §6.6.7",
        build=_supported_block_lengths,
    ),
)

PAGES: Final[Mapping[int, VpdPage]] = {page.code: page for page in _ROWS}
"""By page code, in that order; that of third-party copy is there where copies are."""
