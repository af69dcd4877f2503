"""TransportIDs: how SCSI parameter data name an iSCSI initiator (SPC-5 §7.6.4.6).

Format 01b names an initiator port, by iSCSI name and ISID; format 00b an initiator device, which stands for all of its
ports that the device server knows.
"""

import enum
import re
import struct
from dataclasses import dataclass
from typing import Final

from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName, Isid, initiator_port_name
from isthmus.scsi.spc.parameter_data import invalid_in_list

__all__ = ["TransportId", "parse_transport_ids", "transport_id"]

_ISCSI: Final = 0x5
"""PROTOCOL IDENTIFIER."""
_HEADER: Final = struct.Struct(">BxH")
_SHORTEST_ADDITIONAL_LENGTH: Final = 20
_SEPARATOR: Final = b",i,0x"
_ISID: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")


class _FormatCode(enum.IntEnum):
    """The FORMAT CODE field, TPID FORMAT since SPC-5."""

    INITIATOR_DEVICE = 0
    INITIATOR_PORT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportId:
    """An iSCSI initiator as a parameter list names it."""

    iscsi_name: IscsiName
    isid: Isid | None
    """None for an initiator device."""
    offset: int
    """Bytes: where in the parameter list it stands, for a field pointer."""

    @property
    def initiator_port_name(self) -> str | None:
        """The name of the initiator port, if it is one."""
        return None if self.isid is None else initiator_port_name(self.iscsi_name, self.isid)


def transport_id(initiator_port_name: str) -> bytes:
    """The TransportID of an initiator port: its name, ended by a null, filled up with nulls."""
    name = initiator_port_name.encode() + b"\0"
    name = (name + bytes(-len(name) % 4)).ljust(_SHORTEST_ADDITIONAL_LENGTH, b"\0")
    return _HEADER.pack(_FormatCode.INITIATOR_PORT << 6 | _ISCSI, len(name)) + name


def parse_transport_ids(data: bytes, start: int) -> tuple[TransportId, ...]:
    """Every TransportID in `data`, a parameter list, from byte `start` to its end.

    Raises `CheckCondition`, pointing at the field, for one that is cut off or is no TransportID of iSCSI.
    """
    found: list[TransportId] = []
    offset = start
    while offset < len(data):
        found.append(_parse(data, offset))
        offset += _HEADER.size + _additional_length(data, offset)
    return tuple(found)


def _parse(data: bytes, offset: int) -> TransportId:
    name_offset = offset + _HEADER.size
    text, terminator, _ = data[name_offset : name_offset + _additional_length(data, offset)].partition(b"\0")
    if not terminator:
        raise invalid_in_list(name_offset)
    if data[offset] & 0x0F != _ISCSI:
        raise invalid_in_list(offset, 3)
    match data[offset] >> 6:
        case _FormatCode.INITIATOR_DEVICE:
            return TransportId(iscsi_name=_name(text, name_offset), isid=None, offset=offset)
        case _FormatCode.INITIATOR_PORT:
            name, separator, isid = text.partition(_SEPARATOR)
            if not separator or not _ISID.fullmatch(isid):
                raise invalid_in_list(name_offset + len(name))
            return TransportId(iscsi_name=_name(name, name_offset), isid=Isid(int(isid, 16)), offset=offset)
        case _:
            raise invalid_in_list(offset, 7)


def _additional_length(data: bytes, offset: int) -> int:
    if offset + _HEADER.size > len(data):
        raise invalid_in_list(offset)
    length: int = _HEADER.unpack_from(data, offset)[1]
    end = offset + _HEADER.size + length
    if length < _SHORTEST_ADDITIONAL_LENGTH or length % 4 or end > len(data):
        raise invalid_in_list(offset + 2)
    return length


def _name(text: bytes, offset: int) -> IscsiName:
    try:
        return IscsiName(text.decode())
    except (UnicodeDecodeError, ConfigurationError):
        raise invalid_in_list(offset) from None
