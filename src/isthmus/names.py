"""Value types for the names and numbers of RFC 7143: what a protocol calls things, validated once, where they enter."""

import re
import unicodedata
from typing import NewType, Self

from isthmus.errors import ConfigurationError

__all__ = [
    "MAX_NAME_BYTES",
    "Cid",
    "IscsiName",
    "Isid",
    "SerialNumber",
    "Tsih",
    "initiator_port_name",
    "target_port_name",
]

Isid = NewType("Isid", int)
"""Initiator session ID: 48 bits, chosen by the initiator (RFC 7143 §11.12.5)."""

Tsih = NewType("Tsih", int)
"""Target session identifying handle: 16 bits, 0 stands for a new session (RFC 7143 §11.12.6)."""

Cid = NewType("Cid", int)
"""Connection ID: 16 bits, unique in its session (RFC 7143 §11.12.7)."""

MAX_NAME_BYTES = 223
"""The longest iSCSI name, in bytes of UTF-8 (RFC 7143 §4.2.7.1)."""

_IQN = re.compile(r"iqn\.(?:[0-9]{4}-(?:0[1-9]|1[0-2])(?:\.[^\s:]+(?::\S+)?|:\S+)|[a-z][^\s:.]*\.[^\s:]+(?::\S+)?)")
"""RFC 7143 §4.2.7.4 wants a date and a domain. Names without one of them are in use: libiscsi's own tests have
`iqn.libiscsi.unittest.target`, tgt's documentation has `iqn.2007-03:virtual-dvd`."""
_EUI = re.compile(r"eui\.[0-9a-f]{16}")
_NAA = re.compile(r"naa\.[0-9a-f]{16}(?:[0-9a-f]{16})?")
_ALLOWED = re.compile(r"[a-z0-9.:\-]|[^\x00-\x7f]")


class IscsiName(str):
    """An iSCSI name (iqn., eui. or naa.), in its normal form (RFC 7143 §4.2.7, RFC 3722).

    Two names that differ only in case or in Unicode composition are equal once they are made.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Normalize and check `text`; raises `ConfigurationError` with the form that a name must have."""
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
            raise ConfigurationError(
                f"the iSCSI name is longer than {MAX_NAME_BYTES} bytes", "shorten it (RFC 7143 §4.2.7.1)"
            )
        bad = _ALLOWED.sub("", name) or any(unicodedata.category(character)[0] in "CZ" for character in name)
        if bad or not any(form.fullmatch(name) for form in (_IQN, _EUI, _NAA)):
            raise ConfigurationError(
                f"{text!r} is not an iSCSI name",
                "use iqn.YYYY-MM.REVERSED.DOMAIN[:NAME], eui.<16 hex digits> or naa.<16 or 32 hex digits>, "
                "with letters, digits, '-', '.' and ':' only",
            )
        return super().__new__(cls, name)


class SerialNumber(int):
    """A 32-bit sequence number whose order wraps around (RFC 7143 §4.2.2.1, RFC 1982 with SERIAL_BITS 32).

    Compare two of these with `<` only through this type: plain integers compare wrongly at the wrap.
    """

    __slots__ = ()
    _HALF = 1 << 31
    _MASK = 0xFFFF_FFFF

    def __new__(cls, value: int) -> Self:
        """Take `value` modulo 2^32."""
        return super().__new__(cls, value & cls._MASK)

    def __add__(self, other: int) -> Self:
        return type(self)(int(self) + other)

    def __sub__(self, other: int) -> int:
        """The signed distance from `other` to here, in [-2^31, 2^31)."""
        return ((int(self) - int(other) + self._HALF) & self._MASK) - self._HALF

    def __lt__(self, other: int) -> bool:
        return self - other < 0

    def __le__(self, other: int) -> bool:
        return self - other <= 0

    def __gt__(self, other: int) -> bool:
        return self - other > 0

    def __ge__(self, other: int) -> bool:
        return self - other >= 0


def initiator_port_name(name: str, isid: int) -> str:
    """The SCSI initiator port name: the iSCSI name and the ISID (RFC 7143 §4.4.2, e.g. `iqn.x,i,0x00023d000001`)."""
    return f"{name},i,0x{isid:012x}"


def target_port_name(name: str, target_portal_group_tag: int) -> str:
    """The SCSI target port name: the iSCSI name and the portal group tag (RFC 7143 §4.4.2, e.g. `iqn.y,t,0x0001`)."""
    return f"{name},t,0x{target_portal_group_tag:04x}"
