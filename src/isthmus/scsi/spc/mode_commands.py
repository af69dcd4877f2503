"""MODE SENSE and MODE SELECT, (6) and (10) (SPC-5 §6.12 to §6.15, SBC-4 §6.5)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Barrier, Flush
from isthmus.scsi.background import Background
from isthmus.scsi.cdb import Command
from isthmus.scsi.cdb_options import has_dpo_and_fua
from isthmus.scsi.mmc.mode_pages import with_lock_state, without_lock_state
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.mode_pages import ALL_PAGES, ALL_SUBPAGES, ModePages, PageControl, PageKey
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.spc.saved_mode_pages import save_mode_pages
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ModeSelect",
    "ModeSense",
    "mode_select",
    "mode_sense",
    "parse_mode_select_6",
    "parse_mode_select_10",
    "parse_mode_sense_6",
    "parse_mode_sense_10",
]

_WRITE_PROTECTED: Final = 0x80
_DPO_AND_FUA: Final = 0x10
"""DPOFUA: the DPO and FUA bits of READ and WRITE are looked at (SBC-4 §6.5.1)."""
_LONG_LBA: Final = 0x01
_SHORT_DESCRIPTOR: Final = 8
_LONG_DESCRIPTOR: Final = 16
_NUM_BLOCKS_TOO_LARGE: Final = 0xFFFF_FFFF
_SUBPAGE_FORMAT: Final = 0x40
_REVERT_TO_DEFAULTS: Final = 0x02
_SAVE_PAGES: Final = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSense(Command):
    """MODE SENSE (6) or (10)."""

    ten: bool
    page_control: PageControl
    page_code: int
    subpage: int
    disable_block_descriptors: bool
    long_lba_accepted: bool = False
    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSelect(Command):
    """MODE SELECT (6) or (10)."""

    ten: bool
    page_format: bool
    revert: bool
    """RTD: every page goes back to its defaults."""
    save: bool
    """SP: then all pages are saved."""
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


# MODE SENSE.


def parse_mode_sense_6(cdb: bytes, unit: "LogicalUnit") -> ModeSense:
    """SPC-5 §6.14."""
    return _parse_mode_sense(cdb, unit, ten=False, long_lba_accepted=False, allocation_length=cdb[4])


def parse_mode_sense_10(cdb: bytes, unit: "LogicalUnit") -> ModeSense:
    """SPC-5 §6.15."""
    long_lba_accepted = bool(cdb[1] & 0x10)
    allocation_length = int.from_bytes(cdb[7:9])
    return _parse_mode_sense(
        cdb, unit, ten=True, long_lba_accepted=long_lba_accepted, allocation_length=allocation_length
    )


def _parse_mode_sense(
    cdb: bytes, unit: "LogicalUnit", *, ten: bool, long_lba_accepted: bool, allocation_length: int
) -> ModeSense:
    page_control, page_code, subpage = PageControl(cdb[2] >> 6), cdb[2] & 0x3F, cdb[3]
    if not unit.mode.select(page_code, ALL_SUBPAGES):
        raise invalid_in_cdb(2, 5)
    if page_code == ALL_PAGES and subpage not in (0, ALL_SUBPAGES):
        raise invalid_in_cdb(3)
    if not unit.mode.select(page_code, subpage):
        raise invalid_in_cdb(3)
    return ModeSense(
        ten=ten,
        page_control=page_control,
        page_code=page_code,
        subpage=subpage,
        disable_block_descriptors=bool(cdb[1] & 0x08),
        long_lba_accepted=long_lba_accepted,
        allocation_length=allocation_length,
    )


def mode_sense(unit: "LogicalUnit", task: Task) -> Response:
    """The header, a block descriptor unless that is disabled, and the pages."""
    command = task.command
    assert isinstance(command, ModeSense)
    bare = command.disable_block_descriptors or unit.device_type.is_drive
    descriptor = b"" if bare else _block_descriptor(unit, command)
    keys = unit.mode.select(command.page_code, command.subpage)
    pages = b"".join(_page(unit, key, command.page_control) for key in keys)
    header = _header(command, _device_specific(unit, task), len(descriptor), len(pages))
    return allocated(header + descriptor + pages, command.allocation_length)


def _page(unit: "LogicalUnit", key: PageKey, control: PageControl) -> bytes:
    page = unit.mode.page(key, control)
    return with_lock_state(unit, key, page) if control is PageControl.CURRENT else page


def _device_specific(unit: "LogicalUnit", task: Task) -> int:
    """The DEVICE-SPECIFIC PARAMETER of SBC-4 §6.5.1; MMC-6 has it reserved, and no block descriptor."""
    if unit.device_type.is_drive:
        return 0
    options = _DPO_AND_FUA if has_dpo_and_fua(unit.table) else 0
    return options | (_WRITE_PROTECTED if unit.write_protected(task.nexus, task.lun) else 0)


def _header(command: ModeSense, device_specific: int, descriptor_length: int, pages_length: int) -> bytes:
    """The mode parameter header, with medium type 00h; MODE DATA LENGTH does not count itself (SPC-5 §7.5.6)."""
    if not command.ten:
        return bytes([3 + descriptor_length + pages_length, 0, device_specific, descriptor_length])
    long_lba = _LONG_LBA if descriptor_length == _LONG_DESCRIPTOR else 0
    length = 6 + descriptor_length + pages_length
    return struct.pack(">HBBBxH", length, 0, device_specific, long_lba, descriptor_length)


def _block_descriptor(unit: "LogicalUnit", command: ModeSense) -> bytes:
    """SBC-4 §6.5.2."""
    if command.long_lba_accepted:
        return struct.pack(">QxxxxI", unit.num_blocks, unit.block_length)
    return struct.pack(">II", min(unit.num_blocks, _NUM_BLOCKS_TOO_LARGE), unit.block_length)


# MODE SELECT.


def parse_mode_select_6(cdb: bytes, _unit: "LogicalUnit") -> ModeSelect:
    """SPC-5 §6.12."""
    return _parse_mode_select(cdb, ten=False, parameter_list_length=cdb[4])


def parse_mode_select_10(cdb: bytes, _unit: "LogicalUnit") -> ModeSelect:
    """SPC-5 §6.13."""
    return _parse_mode_select(cdb, ten=True, parameter_list_length=int.from_bytes(cdb[7:9]))


def _parse_mode_select(cdb: bytes, *, ten: bool, parameter_list_length: int) -> ModeSelect:
    revert = bool(cdb[1] & _REVERT_TO_DEFAULTS)
    if revert and parameter_list_length:
        # To revert is to set all pages, so there is nothing that a list could add (SPC-5 §6.12).
        raise invalid_in_cdb(1, 1)
    return ModeSelect(
        ten=ten,
        page_format=bool(cdb[1] & 0x10),
        revert=revert,
        save=bool(cdb[1] & _SAVE_PAGES),
        parameter_list_length=parameter_list_length,
    )


def mode_select(unit: "LogicalUnit", task: Task) -> Steps:
    """Check the whole list, then take it over, and save it if asked to; the other nexuses hear of a change.

    When that clears WCE, what the cache holds is made durable before GOOD: from then on, all that was ever answered
    with GOOD is safe. The flag falls first, and writes that began under it are waited for, so that none can slip in
    behind the flush.
    """
    command = task.command
    assert isinstance(command, ModeSelect)
    pages = _checked_pages(unit, command, parameter_list(task))
    cached_writes = unit.mode.write_cache_enabled
    # Not a generator inside any(): every page is to be changed.
    changed = [unit.mode.revert()] if command.revert else [unit.mode.change(key, data) for key, data in pages]
    if any(changed):
        unit.unit_attentions.establish_for_all(Sense.MODE_PARAMETERS_CHANGED, but=task.nexus)
        unit.power.start_timers()
        unit.refresh_grants()
    if cached_writes and not unit.mode.write_cache_enabled:
        yield Barrier(unit.backstore.size)
        yield Flush()
    if command.save:
        unit.mode.save()
        yield Background(save_mode_pages(unit), awaited=True)
    return GOOD


def _checked_pages(unit: "LogicalUnit", command: ModeSelect, data: bytes) -> list[tuple[PageKey, bytes]]:
    if not data:
        # A parameter list length of zero is no error (SPC-5 §6.12).
        return []
    start = _check_header(unit, command, data)
    if start < len(data) and not command.page_format:
        # PF 0 would mean vendor specific data, of which there is none.
        raise invalid_in_cdb(1, 4)
    pages = [(key, at, without_lock_state(key, page)) for key, at, page in _pages(unit.mode, data, start)]
    for key, offset, page in pages:
        wrong = unit.mode.unchangeable(key, page)
        if wrong is not None:
            raise invalid_in_list(offset + wrong.byte, wrong.bit)
    return [(key, page) for key, _, page in pages]


def _check_header(unit: "LogicalUnit", command: ModeSelect, data: bytes) -> int:
    """Check the header and the block descriptor; gives the offset of the first page.

    MODE DATA LENGTH, WP and DPOFUA are reserved in MODE SELECT, and filled by initiators that send back what they got.
    """
    header_length = 8 if command.ten else 4
    if len(data) < header_length:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    medium_type_byte, length_byte = (2, 6) if command.ten else (1, 3)
    if data[medium_type_byte]:
        raise invalid_in_list(medium_type_byte)
    long_lba = command.ten and bool(data[4] & _LONG_LBA)
    descriptor_length = int.from_bytes(data[length_byte:header_length])
    if descriptor_length not in (0, _LONG_DESCRIPTOR if long_lba else _SHORT_DESCRIPTOR):
        raise invalid_in_list(length_byte)
    start = header_length + descriptor_length
    if len(data) < start:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    if descriptor_length:
        _check_block_descriptor(unit, data, header_length, long_lba=long_lba)
    return start


def _check_block_descriptor(unit: "LogicalUnit", data: bytes, offset: int, *, long_lba: bool) -> None:
    """The medium has one format only. Some values stand for "as it is" (SBC-4 §6.5.2)."""
    # A short descriptor has a reserved byte before a BLOCK LENGTH of three.
    number, length = (slice(0, 8), slice(12, 16)) if long_lba else (slice(0, 4), slice(5, 8))
    descriptor = data[offset:]
    num_blocks = int.from_bytes(descriptor[number])
    if num_blocks not in (0, unit.num_blocks) and set(descriptor[number]) != {0xFF}:
        raise invalid_in_list(offset)
    if int.from_bytes(descriptor[length]) != unit.block_length:
        raise invalid_in_list(offset + length.start)


def _pages(mode: ModePages, data: bytes, offset: int) -> Iterator[tuple[PageKey, int, bytes]]:
    """Each page with its key and its offset in the list."""
    while offset < len(data):
        sub_format = bool(data[offset] & _SUBPAGE_FORMAT)
        header_length = 4 if sub_format else 2
        if len(data) < offset + header_length:
            raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
        key = (data[offset] & 0x3F, data[offset + 1] if sub_format else 0)
        length = _page_length(mode, key, data, offset)
        if len(data) < offset + length:
            raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
        yield key, offset, data[offset : offset + length]
        offset += length


def _page_length(mode: ModePages, key: PageKey, data: bytes, offset: int) -> int:
    """The length of the page, in bytes with its header; the list has to state the very length that MODE SENSE gives."""
    sub_format = bool(data[offset] & _SUBPAGE_FORMAT)
    page = mode.formats.get(key)
    if page is None:
        wrong_code = not mode.select(key[0], ALL_SUBPAGES) or key[0] == ALL_PAGES
        raise invalid_in_list(offset, 5) if wrong_code else invalid_in_list(offset + 1)
    if sub_format != bool(page.subpage):
        raise invalid_in_list(offset, 6)
    header_length, length_field = (
        (4, slice(offset + 2, offset + 4)) if sub_format else (2, slice(offset + 1, offset + 2))
    )
    if header_length + int.from_bytes(data[length_field]) != page.length:
        raise invalid_in_list(length_field.start)
    return page.length
