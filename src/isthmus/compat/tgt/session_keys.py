"""The session keys that `--mode target --op update` sets and `--op show --tid` prints: one row each, in tgtd's order.

A key leads to a parameter or an attribute of the portal group. Where tgt allows a value that is not done here, it is kept and
shown; what sessions get is the nearest that is done, which the negotiation allows for (RFC 7143 §13: the smaller number wins, or
both must say Yes).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.config.model import PortalGroup
from isthmus.config.settings import Value

__all__ = ["SESSION_KEYS", "SessionKey", "numeral", "session_key"]

_YES, _NO = "Yes", "No"
_CRC32C: Final = "CRC32C"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    """One row."""

    name: str
    default: str
    """tgt's."""
    range: tuple[int, int] | None = None
    """Of a number; None: the value is Yes or No, or a list of digests, or nothing that counts."""
    parameter: str = ""
    """The parameter of the portal group that it is, if it is one."""
    attribute: str = ""
    """Likewise the attribute."""
    done: tuple[str, ...] | tuple[int, int] | None = None
    """The values, or the range, that are really done; None: all."""

    @property
    def option(self) -> str:
        """Where a value is kept that is not done."""
        return f"tgt_{self.name}"

    def parsed(self, text: str) -> str:
        """The value as it is shown; raises `Refused` for one that tgtd refuses."""
        if self.range is not None:
            number = numeral(text)
            if not self.range[0] <= number <= self.range[1] and not (number == 0 and self.default == "0"):
                raise Refused(Status.INVALID_REQUEST, f"{self.name} is from {self.range[0]} to {self.range[1]}")
            return str(number)
        if self.default in {_YES, _NO}:
            if text not in {_YES, _NO}:
                raise Refused(Status.INVALID_REQUEST, f"{self.name} is {_YES} or {_NO}")
            return text
        if self.default == "None":
            return _digest(text)
        return self.default

    def effect(self, value: str) -> Value:
        """What is done for `value`."""
        if self.default == "None":
            return f"{_CRC32C},None" if value == _CRC32C else value
        if self.range is None or self.done is None:
            return value if self.range is None else int(value)
        low, high = self.done
        return min(max(int(value), int(low)), int(high))

    def is_done(self, value: str) -> bool:
        """Whether it is done as it stands."""
        if not self.parameter and not self.attribute:
            return value == self.default
        if self.done is None:
            return True
        if self.range is not None:
            return int(self.done[0]) <= int(value) <= int(self.done[1])
        return value in self.done

    def shown(self, group: PortalGroup, options: Mapping[str, Value]) -> str:
        """What `show` prints."""
        if self.option in options:
            return str(options[self.option])
        if self.parameter:
            value = str(group.parameters.get(self.parameter, self._unset))
            return (_CRC32C if _CRC32C in value else "None") if self.default == "None" else value
        if self.attribute:
            return str(group.attributes.get(self.attribute, self._unset))
        return self.default

    @property
    def _unset(self) -> str:
        """The default here, which is not always tgt's."""
        return {"HeaderDigest": _CRC32C, "DataDigest": _CRC32C, "MaxQueueCmd": "64"}.get(self.name, self.default)


def numeral(text: str) -> int:
    """The number that C's strtol with base 0 reads; what is no number is 0."""
    digits = text.strip()
    for end in range(len(digits), 0, -1):
        try:
            return int(digits[:end], 0)
        except ValueError:
            continue
    return 0


def _digest(text: str) -> str:
    words = text.split(",")
    if not all(word.startswith(("None", _CRC32C)) for word in words):
        raise Refused(Status.INVALID_REQUEST, f"a digest is None or {_CRC32C}")
    return _CRC32C if any(word.startswith(_CRC32C) for word in words) else "None"


_LENGTHS: Final = (512, 16777215)


def _length(name: str, default: int, *, parameter: bool = True) -> SessionKey:
    return SessionKey(name=name, default=str(default), range=_LENGTHS, parameter=name if parameter else "")


def _flag(name: str, default: str, *only: str) -> SessionKey:
    return SessionKey(name=name, default=default, parameter=name, done=only or None)


def _digests(name: str) -> SessionKey:
    return SessionKey(name=name, default="None", parameter=name)


def _number(name: str, default: int, low: int, high: int, **fields: object) -> SessionKey:
    return SessionKey(name=name, default=str(default), range=(low, high), **{"parameter": name, **fields})  # type: ignore[arg-type]  # as they are


SESSION_KEYS: Final = (
    _length("MaxRecvDataSegmentLength", 8192),
    _digests("HeaderDigest"),
    _digests("DataDigest"),
    _flag("InitialR2T", _YES),
    _number("MaxOutstandingR2T", 1, 1, 65535),
    _flag("ImmediateData", _YES),
    _length("FirstBurstLength", 65536),
    _length("MaxBurstLength", 262144),
    _flag("DataPDUInOrder", _YES, _YES),
    _flag("DataSequenceInOrder", _YES, _YES),
    _number("ErrorRecoveryLevel", 0, 0, 2, done=(0, 0)),
    _flag("IFMarker", _NO, _NO),
    _flag("OFMarker", _NO, _NO),
    _number("DefaultTime2Wait", 2, 0, 3600),
    _number("DefaultTime2Retain", 20, 0, 3600),
    SessionKey(name="OFMarkInt", default="Reject"),
    SessionKey(name="IFMarkInt", default="Reject"),
    _number("MaxConnections", 1, 1, 65535, done=(1, 8)),
    SessionKey(name="RDMAExtensions", default=_YES),
    _length("TargetRecvDataSegmentLength", 262144, parameter=False),
    _length("InitiatorRecvDataSegmentLength", 262144, parameter=False),
    _number("MaxOutstandingUnexpectedPDUs", 0, 2, 0xFFFF_FFFF, parameter=""),
    # tgt's default only says what an initiator has not said; ours is a limit, and a low one would cost speed.
    _length("MaxXmitDataSegmentLength", 8192),
    _number("MaxQueueCmd", 128, 1, 512, parameter="", attribute="default_cmdsn_depth"),
)


def session_key(name: str) -> SessionKey | None:
    """The row of `name`, whose case does not count."""
    return next((key for key in SESSION_KEYS if key.name.lower() == name.lower()), None)
