"""Copy source and copy destination descriptors: which logical unit a segment means (SPC-4 §6.4.5).

Of the many types only the identification descriptor (E4h) is known, the one that initiators send.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.copy.endpoint import Endpoint, reachable
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["CSCD_DESCRIPTOR_LENGTH", "IDENTIFICATION", "CscdDescriptor", "creator_descriptor", "parse_cscd"]

CSCD_DESCRIPTOR_LENGTH: Final = 32
IDENTIFICATION: Final = 0xE4
_DESIGNATOR_LIMIT: Final = 20
_DESIGNATOR: Final = 8
_BINARY: Final = 1
_ASCII: Final = 2
_T10_VENDOR_ID: Final = 1
_EUI_64: Final = 2
_NAA: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CscdDescriptor:
    """An identification descriptor CSCD descriptor."""

    place: int
    """Where it stands in the parameter list."""
    device_type: int
    code_set: int
    designator_type: int
    designator: bytes
    block_length: int
    """DISK BLOCK LENGTH, bytes; 0 says nothing."""

    def resolve(self, nexus: "Nexus") -> Endpoint | None:
        """The unit that it means, if `nexus` reaches it; through a LUN that may be written to, if there is a choice.

        What names two units names none.
        """
        mine = [endpoint for endpoint in reachable(nexus) if self._names(endpoint.unit.identity)]
        if len({endpoint.unit for endpoint in mine}) != 1:
            return None
        return min(mine, key=lambda endpoint: endpoint.read_only)

    def _names(self, identity: UnitIdentity) -> bool:
        return (self.designator_type, self.code_set, self.designator) in _designations(identity)


def _designations(identity: UnitIdentity) -> tuple[tuple[int, int, bytes | None], ...]:
    """What the device identification page calls the unit (SPC-5 §7.7.6)."""
    return (
        (_NAA, _BINARY, identity.naa_designator),
        (_EUI_64, _BINARY, identity.eui64_designator),
        (_T10_VENDOR_ID, _ASCII, identity.t10_vendor_designator),
    )


def parse_cscd(data: bytes, place: int) -> CscdDescriptor:
    """Take the descriptor at `place` of the parameter list apart.

    LU ID TYPE and NUL are obsolete; RELATIVE INITIATOR PORT IDENTIFIER chooses among ports that are not used.
    """
    descriptor = data[place : place + CSCD_DESCRIPTOR_LENGTH]
    if descriptor[0] != IDENTIFICATION:
        pointer = FieldPointer(place, in_cdb=False)
        raise CheckCondition(Sense.UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE, field=pointer)
    if descriptor[5] & 0x30:
        # ASSOCIATION: a target port or a target device has no blocks.
        raise invalid_in_list(place + 5, 5)
    length = descriptor[7]
    if not 0 < length <= _DESIGNATOR_LIMIT:
        raise invalid_in_list(place + 7)
    return CscdDescriptor(
        place=place,
        device_type=descriptor[1] & 0x1F,
        code_set=descriptor[4] & 0x0F,
        designator_type=descriptor[5] & 0x0F,
        designator=descriptor[_DESIGNATOR : _DESIGNATOR + length],
        block_length=int.from_bytes(descriptor[29:32]),
    )


def creator_descriptor(identity: UnitIdentity, block_length: int) -> bytes:
    """The descriptor of the unit that makes a token, which stands in the token."""
    designator = identity.naa_designator
    head = struct.pack(">BxxxBBxB", IDENTIFICATION, _BINARY, _NAA, len(designator))
    return (head + designator).ljust(29, b"\0") + block_length.to_bytes(3)
