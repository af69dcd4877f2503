"""CDBs of the primary commands, a backstore with a cache, and what a refusal says."""

import struct

from isthmus.backstores.base import Capabilities
from isthmus.errors import BackstoreError
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import FieldPointer, Sense, SenseKey
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response
from tests.support.disk import Memory

__all__ = [
    "CachedMemory",
    "cached_unit",
    "data_of",
    "in_cdb",
    "in_list",
    "inquiry",
    "mode_select_6",
    "mode_select_10",
    "mode_sense_6",
    "mode_sense_10",
    "refusal",
    "reserve_in",
    "reserve_out",
    "reserve_out_list",
]


class CachedMemory(Memory):
    """Memory with a volatile cache that counts its flushes."""

    def __init__(self, size: int = 1 << 20) -> None:
        super().__init__(size, write_back=True, capabilities=Capabilities(discard=True))
        self.flushes = 0
        self.flush_error: BackstoreError | None = None

    def flush(self) -> None:
        self.flushes += 1
        if self.flush_error is not None:
            raise self.flush_error


def cached_unit(memory: CachedMemory) -> LogicalUnit:
    """A disk that has a write cache."""
    return LogicalUnit(memory, table=DISK_COMMANDS)


def data_of(response: Response) -> bytes:
    """The data-in of a response that must be GOOD."""
    assert response.status is Status.GOOD, refusal(response) if response.sense else response.status
    return bytes(response.data_in)


def refusal(response: Response) -> tuple[Sense, FieldPointer | None]:
    """The sense of a CHECK CONDITION in fixed format, and the field that it points at."""
    assert response.status is Status.CHECK_CONDITION, response.status
    sense = response.sense
    assert sense[0] & 0x7F == 0x70
    field = None
    if sense[15] & 0x80:
        bit = sense[15] & 0x07 if sense[15] & 0x08 else None
        field = FieldPointer(int.from_bytes(sense[16:18]), bit, in_cdb=bool(sense[15] & 0x40))
    return Sense((SenseKey(sense[2]), sense[12], sense[13])), field


def in_cdb(byte: int, bit: int | None = None) -> tuple[Sense, FieldPointer | None]:
    """The refusal of a CDB field."""
    return Sense.INVALID_FIELD_IN_CDB, FieldPointer(byte, bit)


def in_list(byte: int, bit: int | None = None) -> tuple[Sense, FieldPointer | None]:
    """The refusal of a field of the parameter list."""
    return Sense.INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(byte, bit, in_cdb=False)


def inquiry(page: int | None = None, allocation_length: int = 255) -> bytes:
    """INQUIRY of the standard data, or of a page."""
    return struct.pack(">BBBHB", 0x12, page is not None, page or 0, allocation_length, 0)


def mode_sense_6(
    page: int = 0x3F, subpage: int = 0, *, control: int = 0, no_descriptor: bool = False, allocation_length: int = 255
) -> bytes:
    """MODE SENSE (6)."""
    return bytes((0x1A, 0x08 if no_descriptor else 0, control << 6 | page, subpage, allocation_length, 0))


def mode_sense_10(
    page: int = 0x3F,
    subpage: int = 0,
    *,
    control: int = 0,
    no_descriptor: bool = False,
    long_lba_accepted: bool = False,
    allocation_length: int = 0xFFFF,
) -> bytes:
    """MODE SENSE (10)."""
    flags = (0x08 if no_descriptor else 0) | (0x10 if long_lba_accepted else 0)
    return struct.pack(">BBBBxxxHx", 0x5A, flags, control << 6 | page, subpage, allocation_length)


def mode_select_6(length: int, *, page_format: bool = True, save: bool = False) -> bytes:
    """MODE SELECT (6)."""
    return bytes((0x15, (0x10 if page_format else 0) | save, 0, 0, length, 0))


def mode_select_10(length: int, *, page_format: bool = True, save: bool = False) -> bytes:
    """MODE SELECT (10)."""
    return struct.pack(">BBxxxxxHx", 0x55, (0x10 if page_format else 0) | save, length)


def reserve_in(action: int, allocation_length: int = 0xFFFF) -> bytes:
    """PERSISTENT RESERVE IN."""
    return struct.pack(">BBxxxxxHx", 0x5E, action, allocation_length)


def reserve_out(
    action: ReserveOutAction, reservation_type: ReservationType | int = 0, *, scope: int = 0, length: int = 24
) -> bytes:
    """PERSISTENT RESERVE OUT."""
    return struct.pack(">BBBxxIx", 0x5F, action, scope << 4 | reservation_type, length)


def reserve_out_list(key: int = 0, action_key: int = 0, flags: int = 0) -> bytes:
    """The parameter list of PERSISTENT RESERVE OUT."""
    return struct.pack(">QQxxxxBxxx", key, action_key, flags)
