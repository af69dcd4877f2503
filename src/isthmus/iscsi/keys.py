"""The text keys of RFC 7143: one row a key, and the only place that knows what a key is.

Negotiation, login and the text exchange read this table; none of them names a range, a default or a result function again.
"""

import enum
from dataclasses import dataclass
from typing import Final

from isthmus.iscsi.parameters import CRC32C, NONE
from isthmus.iscsi.text_format import TextViolation, encode_boolean, parse_boolean, parse_list, parse_numeric

__all__ = [
    "IRRELEVANT",
    "KEYS",
    "NOT_UNDERSTOOD",
    "REJECT",
    "RESERVED_VALUES",
    "Binary",
    "Boolean",
    "Irrelevance",
    "ListOfValues",
    "Number",
    "Phase",
    "ResultFunction",
    "Scope",
    "Senders",
    "Text",
    "TextKey",
    "Use",
    "Value",
]

IRRELEVANT: Final = "Irrelevant"
"""The answer to a key that means nothing here (RFC 7143 §6.2)."""
NOT_UNDERSTOOD: Final = "NotUnderstood"
"""The answer to a key that this side does not know (RFC 7143 §6.2)."""
REJECT: Final = "Reject"
"""The answer to a value that this side does not take: the key stays as it is (RFC 7143 §6.2)."""
RESERVED_VALUES: Final = frozenset({IRRELEVANT, NOT_UNDERSTOOD, REJECT})
"""Answers only: none of them may be offered (RFC 7143 §6.2)."""


class Use(enum.Enum):
    """When a key may be used (RFC 7143 §13)."""

    LEADING_ONLY = "LO"
    """In the login of a session's leading connection."""
    INITIALIZE_ONLY = "IO"
    """In the login of any connection."""
    ALL = "ALL"
    """In login and in full feature phase."""
    FULL_FEATURE_PHASE_ONLY = "FFPO"
    """In full feature phase."""


class Phase(enum.Flag):
    """Where in the life of a connection a key may appear (RFC 7143 §6.3.2, §6.3.3, §12)."""

    SECURITY = enum.auto()
    OPERATIONAL = enum.auto()
    FULL_FEATURE = enum.auto()
    ANY_STAGE = SECURITY | OPERATIONAL
    """"Any-Stage" of RFC 7143 §13: both stages of login."""


class Scope(enum.Enum):
    """Whom a result binds (RFC 7143 §13)."""

    SESSION_WIDE = "SW"
    CONNECTION_ONLY = "CO"


class Senders(enum.Flag):
    """Who may bring a key up (RFC 7143 §13)."""

    INITIATOR = enum.auto()
    TARGET = enum.auto()
    BOTH = INITIATOR | TARGET


class ResultFunction(enum.Enum):
    """How an offer and the responder's own wish become the result (RFC 7143 §6.2.1, §6.2.2, §13)."""

    DECLARATIVE = enum.auto()
    """The sender's value holds; there is no answer."""
    AND = enum.auto()
    OR = enum.auto()
    MINIMUM = enum.auto()
    MAXIMUM = enum.auto()
    FIRST_IN_LIST = enum.auto()
    """The first of the offered values that the responder takes."""
    REQUEST = enum.auto()
    """Not negotiated: whoever owns the key answers it by itself (SendTargets, the keys of CHAP)."""
    OBSOLETE = enum.auto()
    """Answered Reject, never NotUnderstood (RFC 7143 §13.25)."""


class Irrelevance(enum.Flag):
    """The circumstances in which a key is answered Irrelevant."""

    NEVER = 0
    DISCOVERY_SESSION = enum.auto()
    NO_UNSOLICITED_DATA = enum.auto()
    """InitialR2T=Yes and ImmediateData=No (RFC 7143 §13.14)."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """A boolean-value."""

    def parse(self, text: str) -> bool:
        """The value; raises `TextViolation` for one that the key cannot have."""
        return parse_boolean(text)

    def encode(self, value: object) -> str:
        """The value as text."""
        return encode_boolean(bool(value))


@dataclass(frozen=True, slots=True)
class Number:
    """A numerical-value from `low` to `high`, both included."""

    low: int
    high: int

    def parse(self, text: str) -> int:
        """The value; raises `TextViolation` for one that the key cannot have."""
        number = parse_numeric(text)
        if not self.low <= number <= self.high:
            raise TextViolation(f"{number} is not from {self.low} to {self.high}")
        return number

    def encode(self, value: object) -> str:
        """The value as text."""
        return str(value)


@dataclass(frozen=True, slots=True)
class ListOfValues:
    """A list-of-values; `known` are those that RFC 7143 defines, others may be offered all the same."""

    known: tuple[str, ...]

    def parse(self, text: str) -> list[str]:
        """The values in the order of the list; raises `TextViolation`."""
        return parse_list(text)

    def encode(self, value: object) -> str:
        """The value as text: one, or several with commas between them."""
        return value if isinstance(value, str) else ",".join(value)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Text:
    """A text-value, iSCSI-name-value or iSCSI-local-name-value: `max_bytes` at most (RFC 7143 §6.1)."""

    max_bytes: int = 255

    def parse(self, text: str) -> str:
        """The value; raises `TextViolation` for one that is too long."""
        if len(text.encode()) > self.max_bytes:
            raise TextViolation(f"a value is longer than {self.max_bytes} bytes (RFC 7143 §6.1)")
        return text

    def encode(self, value: object) -> str:
        """The value as text."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Binary(Text):
    """A binary-value, left encoded: whoever owns the key decodes it."""

    max_bytes: int = 2 + 2 * 1024


Value = Boolean | Number | ListOfValues | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TextKey:
    """One row of the table."""

    name: str
    section: str
    """The section of RFC 7143 that defines the key."""
    value: Value
    default: str | None
    """The value that holds when nothing was said, as text; None: there is none."""
    result: ResultFunction
    scope: Scope
    use: Use
    phases: Phase
    senders: Senders
    irrelevant: Irrelevance = Irrelevance.NEVER
    may_repeat: bool = False
    """One text may hold it more than once (RFC 7143 §6.3, §13.8)."""

    @property
    def parameter(self) -> str:
        """What the key is called in `Offers`, `SessionParameters` and `ConnectionParameters`."""
        return _PARAMETER_NAMES.get(self.name, "")

    @property
    def is_negotiated(self) -> bool:
        """An offer of it is answered with a result."""
        return self.result in _NEGOTIATED


_NEGOTIATED: Final = frozenset(
    {
        ResultFunction.AND,
        ResultFunction.OR,
        ResultFunction.MINIMUM,
        ResultFunction.MAXIMUM,
        ResultFunction.FIRST_IN_LIST,
    }
)

_PARAMETER_NAMES: Final = {
    "HeaderDigest": "header_digest",
    "DataDigest": "data_digest",
    "MaxConnections": "max_connections",
    "InitialR2T": "initial_r2t",
    "ImmediateData": "immediate_data",
    "MaxRecvDataSegmentLength": "max_recv_data_segment_length",
    "MaxBurstLength": "max_burst_length",
    "FirstBurstLength": "first_burst_length",
    "DefaultTime2Wait": "default_time2wait",
    "DefaultTime2Retain": "default_time2retain",
    "MaxOutstandingR2T": "max_outstanding_r2t",
    "DataPDUInOrder": "data_pdu_in_order",
    "DataSequenceInOrder": "data_sequence_in_order",
    "ErrorRecoveryLevel": "error_recovery_level",
    "TaskReporting": "task_reporting",
    "iSCSIProtocolLevel": "iscsi_protocol_level",
}

_SEGMENT_LENGTH: Final = Number(512, (1 << 24) - 1)
"""512 to 2^24-1 bytes: what a DataSegmentLength field can say (RFC 7143 §13.12, §13.13, §13.14)."""
_DIGESTS: Final = ListOfValues((CRC32C, NONE))


def _digest(name: str) -> TextKey:
    return TextKey(
        name=name,
        section="13.1",
        value=_DIGESTS,
        default=NONE,
        result=ResultFunction.FIRST_IN_LIST,
        scope=Scope.CONNECTION_ONLY,
        use=Use.INITIALIZE_ONLY,
        phases=Phase.OPERATIONAL,
        senders=Senders.BOTH,
    )


def _session_wide(
    name: str,
    section: str,
    value: Value,
    default: str,
    result: ResultFunction,
    irrelevant: Irrelevance = Irrelevance.DISCOVERY_SESSION,
) -> TextKey:
    """A key that the leading login settles for the whole session."""
    return TextKey(
        name=name,
        section=section,
        value=value,
        default=default,
        result=result,
        scope=Scope.SESSION_WIDE,
        use=Use.LEADING_ONLY,
        phases=Phase.OPERATIONAL,
        senders=Senders.BOTH,
        irrelevant=irrelevant,
    )


def _declaration(
    name: str,
    section: str,
    senders: Senders,
    use: Use,
    phases: Phase = Phase.ANY_STAGE,
    *,
    value: Value | None = None,
    default: str | None = None,
    scope: Scope = Scope.SESSION_WIDE,
    may_repeat: bool = False,
) -> TextKey:
    return TextKey(
        name=name,
        section=section,
        value=value or Text(),
        default=default,
        result=ResultFunction.DECLARATIVE,
        scope=scope,
        use=use,
        phases=phases,
        senders=senders,
        may_repeat=may_repeat,
    )


def _authentication(name: str, section: str, value: Value) -> TextKey:
    return TextKey(
        name=name,
        section=section,
        value=value,
        default=None,
        result=ResultFunction.REQUEST,
        scope=Scope.CONNECTION_ONLY,
        use=Use.INITIALIZE_ONLY,
        phases=Phase.SECURITY,
        senders=Senders.BOTH,
    )


def _obsolete(name: str) -> TextKey:
    return TextKey(
        name=name,
        section="13.25",
        value=Text(),
        default=None,
        result=ResultFunction.OBSOLETE,
        scope=Scope.CONNECTION_ONLY,
        use=Use.INITIALIZE_ONLY,
        phases=Phase.OPERATIONAL,
        senders=Senders.BOTH,
    )


_I, _T, _BOTH = Senders.INITIATOR, Senders.TARGET, Senders.BOTH
_EVERYWHERE = Phase.ANY_STAGE | Phase.FULL_FEATURE
_RESULT = ResultFunction

# RFC 7143 §12 and §13, in their order.
_ROWS: Final = (
    _authentication("AuthMethod", "12", ListOfValues(("KRB5", "SRP", "CHAP", NONE))),
    _authentication("CHAP_A", "12.1.3", ListOfValues(("5", "6", "7", "8"))),
    _authentication("CHAP_I", "12.1.3", Number(0, 255)),
    _authentication("CHAP_C", "12.1.3", Binary()),
    _authentication("CHAP_N", "12.1.3", Text()),
    _authentication("CHAP_R", "12.1.3", Binary()),
    _digest("HeaderDigest"),
    _digest("DataDigest"),
    _session_wide("MaxConnections", "13.2", Number(1, 65_535), "1", _RESULT.MINIMUM),
    TextKey(
        name="SendTargets",
        section="13.3",
        value=Text(),
        default=None,
        result=ResultFunction.REQUEST,
        scope=Scope.SESSION_WIDE,
        use=Use.FULL_FEATURE_PHASE_ONLY,
        phases=Phase.FULL_FEATURE,
        senders=Senders.INITIATOR,
    ),
    # The target names itself only in answer to SendTargets, which is not a negotiation.
    _declaration("TargetName", "13.4", _I, Use.INITIALIZE_ONLY),
    _declaration("InitiatorName", "13.5", _I, Use.INITIALIZE_ONLY),
    _declaration("TargetAlias", "13.6", _T, Use.ALL, _EVERYWHERE),
    _declaration("InitiatorAlias", "13.7", _I, Use.ALL, _EVERYWHERE),
    _declaration("TargetAddress", "13.8", _T, Use.ALL, _EVERYWHERE, may_repeat=True),
    _declaration("TargetPortalGroupTag", "13.9", _T, Use.INITIALIZE_ONLY, value=Number(0, 65_535)),
    _session_wide("InitialR2T", "13.10", Boolean(), "Yes", _RESULT.OR),
    _session_wide("ImmediateData", "13.11", Boolean(), "Yes", _RESULT.AND),
    _declaration(
        "MaxRecvDataSegmentLength",
        "13.12",
        _BOTH,
        Use.ALL,
        Phase.OPERATIONAL | Phase.FULL_FEATURE,
        value=_SEGMENT_LENGTH,
        default="8192",
        scope=Scope.CONNECTION_ONLY,
    ),
    _session_wide("MaxBurstLength", "13.13", _SEGMENT_LENGTH, "262144", _RESULT.MINIMUM),
    _session_wide(
        "FirstBurstLength",
        "13.14",
        _SEGMENT_LENGTH,
        "65536",
        _RESULT.MINIMUM,
        Irrelevance.DISCOVERY_SESSION | Irrelevance.NO_UNSOLICITED_DATA,
    ),
    _session_wide("DefaultTime2Wait", "13.15", Number(0, 3600), "2", _RESULT.MAXIMUM, Irrelevance.NEVER),
    _session_wide("DefaultTime2Retain", "13.16", Number(0, 3600), "20", _RESULT.MINIMUM, Irrelevance.NEVER),
    _session_wide("MaxOutstandingR2T", "13.17", Number(1, 65_535), "1", _RESULT.MINIMUM),
    _session_wide("DataPDUInOrder", "13.18", Boolean(), "Yes", _RESULT.OR),
    _session_wide("DataSequenceInOrder", "13.19", Boolean(), "Yes", _RESULT.OR),
    _session_wide("ErrorRecoveryLevel", "13.20", Number(0, 2), "0", _RESULT.MINIMUM, Irrelevance.NEVER),
    _declaration("SessionType", "13.21", _I, Use.LEADING_ONLY, default="Normal"),
    _session_wide(
        "TaskReporting",
        "13.23",
        ListOfValues(("RFC3720", "ResponseFence", "FastAbort")),
        "RFC3720",
        _RESULT.FIRST_IN_LIST,
    ),
    _session_wide("iSCSIProtocolLevel", "13.24", Number(0, 31), "1", _RESULT.MINIMUM),
    _obsolete("IFMarker"),
    _obsolete("OFMarker"),
    _obsolete("IFMarkInt"),
    _obsolete("OFMarkInt"),
    # Informational; the RFC names no stage for it.
    _declaration("X-NodeArchitecture", "13.26", _BOTH, Use.LEADING_ONLY),
)

KEYS: Final[dict[str, TextKey]] = {row.name: row for row in _ROWS}
"""Every key of RFC 7143 by its name; a key that is not here is answered NotUnderstood."""
