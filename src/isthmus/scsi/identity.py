"""Who a logical unit is: what INQUIRY and the device identification page say of it, the same after every restart."""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from isthmus.errors import ConfigurationError

__all__ = ["UnitIdentity"]

_VENDOR_LENGTH: Final = 8
_PRODUCT_LENGTH: Final = 16
_REVISION_LENGTH: Final = 4
_SERIAL_LIMIT: Final = 252
"""Bytes: PRODUCT SERIAL NUMBER has a page length of one byte, and stays readable in 255 bytes of allocation length."""
_NAA_LOCALLY_ASSIGNED: Final = 0x3


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
    eui64: int | None = None
    """An EUI-64 designator, if the unit has one."""

    def __post_init__(self) -> None:
        _check_text("vendor", self.vendor, _VENDOR_LENGTH)
        _check_text("product", self.product, _PRODUCT_LENGTH)
        _check_text("revision", self.revision, _REVISION_LENGTH)
        _check_text("serial number", self.serial, _SERIAL_LIMIT)
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
        designator is locally assigned (NAA 3h): nobody gave us an IEEE company identifier to sign with.
        """
        if serial is None:
            serial = hashlib.sha256(seed.encode()).hexdigest()[:32]
        if naa is None:
            digest = hashlib.sha256(b"naa\0" + serial.encode()).digest()
            naa = _NAA_LOCALLY_ASSIGNED << 60 | int.from_bytes(digest[:8]) >> 4
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
        return self.serial.encode("ascii")

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
        return self.vendor_field + self.product_field + self.serial_field


def _check_text(what: str, text: str, limit: int) -> None:
    """ASCII data fields hold graphic codes only, 20h to 7Eh (SPC-5 §4.3.1)."""
    if len(text) > limit or not all(" " <= character <= "~" for character in text):
        raise ConfigurationError(f"the {what} {text!r} does not fit", f"use at most {limit} printable ASCII characters")
