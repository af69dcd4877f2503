"""INQUIRY and the standard INQUIRY data (SPC-5 §6.7). The vital product data pages are in `vpd`."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.spc import vpd
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["Inquiry", "inquiry", "inquiry_without_unit", "parse_inquiry"]

_STANDARD_LENGTH: Final = 96
_VERSION_SPC_4: Final = 0x06
"""The VERSION that is claimed; every initiator in use knows it, and RESERVE and RELEASE (CRH) went with SPC-5."""
_RMB: Final = 0x80
_3PC: Final = 0x08
_NORM_ACA: Final = 0x20
_HISUP: Final = 0x10
_RESPONSE_DATA_FORMAT: Final = 0x02
_CMDQUE: Final = 0x02
_NO_UNIT_HERE: Final = 0x7F
"""Peripheral qualifier 011b and device type 1Fh: no logical unit can be at this LUN (SPC-5 §6.7.2)."""
_VERSION_DESCRIPTORS: Final = (
    0x00A0,  # SAM-5
    0x0960,  # iSCSI
    0x0460,  # SPC-4
)
"""Standards without a revision, in the order that SPC-5 §6.7.2 asks for: architecture, transport, primary; then the type's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry(Command):
    """INQUIRY."""

    page_code: int | None
    """The vital product data page that is asked for; None for the standard data."""
    allocation_length: int


def parse_inquiry(cdb: bytes, unit: "LogicalUnit") -> Inquiry:
    """Take an INQUIRY CDB apart."""
    vital_product_data = bool(cdb[1] & 0x01)
    if vital_product_data and not vpd.has_page(unit, cdb[2]):
        raise invalid_in_cdb(2)
    if not vital_product_data and cdb[2]:
        raise invalid_in_cdb(2)
    return Inquiry(page_code=cdb[2] if vital_product_data else None, allocation_length=int.from_bytes(cdb[3:5]))


def inquiry(unit: "LogicalUnit", task: Task) -> Response:
    """The standard data or a page; either is there even if the unit is not ready."""
    command = task.command
    assert isinstance(command, Inquiry)
    page = command.page_code
    data = _standard_data(unit, task.nexus) if page is None else vpd.build_page(page, unit, task.nexus)
    return allocated(data, command.allocation_length)


def inquiry_without_unit(cdb: bytes) -> Response:
    """The answer to an INQUIRY for a LUN at which there is no logical unit (SPC-5 §6.7.2, SAM-5 §4.7.1).

    Raises `CheckCondition` for a page: a unit that is not there has none.
    """
    if cdb[1] & 0x01:
        raise invalid_in_cdb(1, 0)
    if cdb[2]:
        raise invalid_in_cdb(2)
    header = bytes([_NO_UNIT_HERE, 0, _VERSION_SPC_4, _RESPONSE_DATA_FORMAT, _STANDARD_LENGTH - 5])
    # Blanks in place of names: there is nobody to name.
    data = header.ljust(8, b"\0") + b" " * 28
    return allocated(data.ljust(_STANDARD_LENGTH, b"\0"), int.from_bytes(cdb[3:5]))


def _standard_data(unit: "LogicalUnit", nexus: "Nexus") -> bytes:
    """No protection; TPGS as the group of the target port has it; 3PC if it copies."""
    target_port_group_support = unit.alua.group_of(nexus.relative_target_port_id).access_type << 4
    third_party_copy = 0 if unit.copy_manager is None else _3PC
    rmb = _RMB if unit.removable else 0
    short_text, long_text = unit.identity.vendor_specific
    data_format = _NORM_ACA | _HISUP | _RESPONSE_DATA_FORMAT
    flags = bytes(
        (
            vpd.peripheral_device_type(unit, nexus),
            rmb,
            _VERSION_SPC_4,
            data_format,
            _STANDARD_LENGTH + len(long_text) - 5,
            target_port_group_support | third_party_copy,
            0,
            _CMDQUE,
        )
    )
    names = unit.identity.vendor_field + unit.identity.product_field + unit.identity.revision_field
    standards = (*_VERSION_DESCRIPTORS, unit.device_type.version_descriptor)
    versions = struct.pack(f">{len(standards)}H", *standards)
    return (flags + names + short_text).ljust(58, b"\0") + versions.ljust(_STANDARD_LENGTH - 58, b"\0") + long_text
