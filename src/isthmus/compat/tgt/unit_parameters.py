"""The parameters of `--mode logicalunit --op update -P`: one row each, and the attributes of a backstore that they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.session_keys import numeral
from isthmus.config.settings import Value

__all__ = ["UNIT_PARAMETERS", "UnitParameter", "attributes_of", "tgt_naa"]

_Attributes = dict[str, Value]


@dataclass(frozen=True, slots=True)
class UnitParameter:
    """One row."""

    name: str
    attributes: Callable[[str], _Attributes]
    """The attributes for a value; raises `Refused`."""
    about: str


def attributes_of(name: str, value: str) -> _Attributes:
    """What a parameter means; raises `Refused` for one that there is not."""
    row = UNIT_PARAMETERS.get(name)
    if row is None or not value:
        raise Refused(Status.INVALID_REQUEST, f"there is no parameter {name!r}")
    return row.attributes(value)


def _text(attribute: str, longest: int) -> Callable[[str], _Attributes]:
    """As tgtd, cut where the field ends."""
    return lambda value: {attribute: value[:longest]}


def tgt_naa(scsi_id: str) -> str:
    """The NAA designator that tgt makes of a SCSI ID: its characters as hexadecimal digits, 0 for those that are none."""
    digits = "".join(character if character in "0123456789abcdefABCDEF" else "0" for character in scsi_id)
    return f"6{digits.lower()[-31:].rjust(31, '0')}"


def _scsi_id(value: str) -> _Attributes:
    """Whoever names a disk means the name that initiators know it by, too."""
    return {"t10_id": value[:_SCSI_ID_LENGTH], "naa_id": tgt_naa(value[:_SCSI_ID_LENGTH])}


def _number(attribute: str) -> Callable[[str], _Attributes]:
    return lambda value: {attribute: numeral(value)}


def _flag(*attributes: str) -> Callable[[str], _Attributes]:
    return lambda value: dict.fromkeys(attributes, int(numeral(value) != 0))


def _rotation(value: str) -> _Attributes:
    """1 is a medium that does not rotate (SBC-4 §6.6.2)."""
    rate = numeral(value)
    return {"is_nonrot": int(rate <= 1), "rotation_rate": rate if rate > 1 else 0}


_SCSI_ID_LENGTH: Final = 35
_MODE_PAGE_PREFIX: Final = 3
_CACHING, _CONTROL = 0x08, 0x0A
_WCE, _D_SENSE, _TAS = 0x04, 0x04, 0x40


def _mode_page(value: str) -> _Attributes:
    """PAGE:SUBPAGE:LENGTH:BYTE:…, without the two bytes that begin a page.

    Of a page that is there, the fields count that attributes stand for; the others keep their defaults. As with tgtd, it
    need not have as many bytes as it says.
    """
    numbers = [numeral(part) for part in value.split(":")]
    if len(numbers) < _MODE_PAGE_PREFIX:
        raise Refused(Status.INVALID_REQUEST, "a mode page begins with its code, its subpage and its length")
    page, subpage, _, *data = numbers
    if subpage == 0 and page == _CACHING and data:
        return {"emulate_write_cache": int(bool(data[0] & _WCE))}
    if subpage == 0 and page == _CONTROL and len(data) > 3:
        return {"descriptor_sense": int(bool(data[0] & _D_SENSE)), "emulate_tas": int(bool(data[3] & _TAS))}
    return {}


UNIT_PARAMETERS: Final[Mapping[str, UnitParameter]] = {
    row.name: row
    for row in (
        UnitParameter("scsi_id", _scsi_id, "the T10 vendor ID designator, and the NAA designator made of it"),
        UnitParameter("scsi_sn", _text("product_serial", 35), "the serial number that initiators are told"),
        UnitParameter("vendor_id", _text("vendor_id", 8), "what INQUIRY tells"),
        UnitParameter("product_id", _text("product_id", 16), "what INQUIRY tells"),
        UnitParameter("product_rev", _text("revision", 4), "what INQUIRY tells"),
        UnitParameter("sense_format", _flag("descriptor_sense"), "1: sense in descriptor format"),
        UnitParameter(
            "lbppbe", _number("physical_block_exponent"), "logical blocks per physical block, as a power of 2"
        ),
        UnitParameter("la_lba", _number("lowest_aligned_lba"), "the first aligned block"),
        UnitParameter("optimal_xfer_gran", _number("optimal_granularity"), "blocks"),
        UnitParameter("optimal_xfer_len", _number("optimal_sectors"), "blocks"),
        UnitParameter("removable", _flag("removable"), "1: the medium can be ejected"),
        UnitParameter("readonly", _flag("write_protect"), "1: nobody writes"),
        UnitParameter("online", _flag("medium_present"), "0: there is no medium"),
        UnitParameter("thin_provisioning", _flag("emulate_tpu", "emulate_tpws"), "1: UNMAP gives room back"),
        UnitParameter("rotation_rate", _rotation, "rotations a minute; 1: it does not rotate"),
        UnitParameter("mode_page", _mode_page, "the write cache, the sense format and TAS out of a mode page"),
    )
}
"""`path` is not among them: it changes the backstore itself."""
