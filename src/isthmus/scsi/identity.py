"""Who a logical unit is: what INQUIRY and the device identification page say of it, the same after every restart."""

import hashlib
import string
from dataclasses import dataclass
from typing import Final, Self

from isthmus.errors import ConfigurationError

__all__ = ["UnitIdentity"]

_VENDOR_LENGTH: Final = 8
_PRODUCT_LENGTH: Final = 16
_REVISION_LENGTH: Final = 4
_SERIAL_LIMIT: Final = 252
"""Bytes: PRODUCT SERIAL NUMBER has a page length of one byte, and stays readable in 255 bytes of allocation length."""
_NAA_REGISTERED: Final = 0x6001405
"""NAA 6h, IEEE registered extended (SPC-5 §7.7.6.6.5), and the company identifier that LIO signs with: a disk that moves
here from LIO stays the same disk. udev and multipath name disks by this format and think little of NAA 3h."""
_SHORT_TEXT: Final = 20
_NAME_LIMIT: Final = 251
"""With its NUL, a designator of 252 bytes: the most that is a multiple of four and fits (SPC-5 §7.7.6.11)."""
_VENDOR_TEXT_LIMIT: Final = 160
"""To byte 255: ADDITIONAL LENGTH has eight bits."""
_VENDOR_DIGITS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitIdentity:
    """The names of a logical unit (SPC-5 §6.7.2 for the standard data, §7.7.6 for the designators)."""

    serial: str
    """PRODUCT SERIAL NUMBER (SPC-5 §7.7.19): ASCII, at most 252 characters, unique among the units of one target."""
    naa: int
    """An NAA designator: 64 bits, or 128 bits for NAA 6h; its format is its most significant nibble (SPC-5 §7.7.6.6)."""
    vendor: str = "ISTHMUS"
    product: str = "VIRTUAL-DISK"
    revision: str = "0001"
    tells_naa: bool = True
    """Whether page 83h has it. Multipath software names a disk by NAA wherever there is one, so a disk that comes from
    a target without would be another disk."""
    eui64: int | None = None
    """An EUI-64 designator, if the unit has one."""
    product_serial: str = ""
    """What initiators are told for a serial number, if it is not the one that the unit is known by here."""
    t10_id: str = ""
    """The whole T10 vendor ID based designator, if it is not to follow from the other names."""

    device_name: str = ""
    """The SCSI name of the target device, if that is not the target's."""
    vendor_text: str = ""
    """Vendor-specific in the standard INQUIRY data: a short one at byte 36, a longer one at byte 96 (SPC-5 §6.7.2)."""

    def __post_init__(self) -> None:
        _check_text("device name", self.device_name, _NAME_LIMIT)
        _check_text("vendor-specific text", self.vendor_text, _VENDOR_TEXT_LIMIT)
        _check_text("vendor", self.vendor, _VENDOR_LENGTH)
        _check_text("product", self.product, _PRODUCT_LENGTH)
        _check_text("revision", self.revision, _REVISION_LENGTH)
        _check_text("serial number", self.serial, _SERIAL_LIMIT)
        _check_text("serial number", self.product_serial, _SERIAL_LIMIT)
        _check_text("T10 identifier", self.t10_id, _SERIAL_LIMIT)
        if not self.serial:
            raise ConfigurationError("the serial number is empty", "give at least one character")
        if self.naa.bit_length() > 128:
            raise ConfigurationError("the NAA identifier is longer than 128 bits", "use 16 or 32 hex digits")
        if self.eui64 is not None and self.eui64.bit_length() > 64:
            raise ConfigurationError("the EUI-64 identifier is longer than 64 bits", "use 16 hex digits")

    @classmethod
    def derived(
        cls, seed: str, *, product: str = "VIRTUAL-DISK", serial: str | None = None, naa: int | None = None
    ) -> Self:
        """The identity that follows from `seed`, or from `serial` if that is given.

        Initiators take disks of one identity for paths to one disk, so `seed` must not be the same anywhere else:
        `Backstore.identity` is unique on its own machine only, and with the name of the target everywhere. The NAA
        designator takes the first hexadecimal digits of the serial number, as LIO does, or of its hash if there are too
        few.
        """
        if serial is None:
            serial = hashlib.sha256(seed.encode()).hexdigest()[:32]
        if naa is None:
            naa = _NAA_REGISTERED << 4 * _VENDOR_DIGITS | int(_vendor_digits(serial), 16)
        return cls(serial=serial, naa=naa, product=product)

    @property
    def vendor_field(self) -> bytes:
        """T10 VENDOR IDENTIFICATION: 8 bytes, padded with spaces."""
        return self.vendor.encode("ascii").ljust(_VENDOR_LENGTH)

    @property
    def product_field(self) -> bytes:
        """PRODUCT IDENTIFICATION: 16 bytes, padded with spaces."""
        return self.product.encode("ascii").ljust(_PRODUCT_LENGTH)

    @property
    def revision_field(self) -> bytes:
        """PRODUCT REVISION LEVEL: 4 bytes, padded with spaces."""
        return self.revision.encode("ascii").ljust(_REVISION_LENGTH)

    @property
    def serial_field(self) -> bytes:
        """PRODUCT SERIAL NUMBER, as ASCII."""
        return (self.product_serial or self.serial).encode("ascii")

    @property
    def vendor_specific(self) -> tuple[bytes, bytes]:
        """The 20 bytes at byte 36 of the standard INQUIRY data, and those at byte 96."""
        text = self.vendor_text.encode("ascii")
        return (b"", text) if len(text) > _SHORT_TEXT else (text, b"")

    @property
    def naa_designator(self) -> bytes:
        """The NAA designator: 16 bytes for NAA 6h, 8 bytes for the others."""
        return self.naa.to_bytes(8 if self.naa.bit_length() <= 64 else 16)

    @property
    def eui64_designator(self) -> bytes | None:
        """The EUI-64 designator: 8 bytes."""
        return None if self.eui64 is None else self.eui64.to_bytes(8)

    @property
    def t10_vendor_designator(self) -> bytes:
        """The T10 vendor ID based designator: the vendor, then what makes the unit unique (SPC-5 §7.7.6.4)."""
        if self.t10_id:
            return self.t10_id.encode("ascii")
        return self.vendor_field + self.product_field + self.serial_field


def _vendor_digits(serial: str) -> str:
    digits = "".join(char for char in serial if char in string.hexdigits)
    if len(digits) < _VENDOR_DIGITS:
        digits = hashlib.sha256(b"naa\0" + serial.encode()).hexdigest()
    return digits[:_VENDOR_DIGITS]


def _check_text(what: str, text: str, limit: int) -> None:
    """ASCII data fields hold graphic codes only, 20h to 7Eh (SPC-5 §4.3.1)."""
    if len(text) > limit or not all(" " <= character <= "~" for character in text):
        raise ConfigurationError(f"the {what} {text!r} does not fit", f"use at most {limit} printable ASCII characters")
