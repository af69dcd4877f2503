"""The negotiation of text keys, by the table of `keys`, the same for both sides (RFC 7143 §6.2, §13).

A key is brought up once in a login, by one side, and the other answers it; or it is declared, and nobody answers. What
comes in is therefore either the answer to something this side offered, or an offer or a declaration of the peer. The
value of a key that was rejected, or never came up, is its default.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from isthmus.errors import RemoteProtocolError
from isthmus.iscsi.keys import (
    IRRELEVANT,
    KEYS,
    NOT_UNDERSTOOD,
    REJECT,
    RESERVED_VALUES,
    Irrelevance,
    Phase,
    ResultFunction,
    Scope,
    Senders,
    TextKey,
    Use,
)
from isthmus.iscsi.parameters import CRC32C, ConnectionParameters, Offers, SessionParameters
from isthmus.iscsi.text_format import MAX_KEYS, Pair, TextViolation

__all__ = [
    "ConnectionParameters",
    "Negotiation",
    "NegotiationViolation",
    "Received",
    "Role",
    "SessionParameters",
    "combine",
    "is_admissible",
    "refuse_repeated_keys",
]

_REPEATED_UNCHANGED: Final = frozenset({"InitiatorName", "InitiatorAlias", "TargetName", "SessionType"})
"""Keys that libiscsi says again, unchanged, in the operational stage when the target wanted no authentication. That they
be declared once is a MUST (RFC 7143 §6.3), but the same value again redeclares nothing."""
_OFTEN_UNANSWERED: Final = frozenset({"FirstBurstLength", "ImmediateData", "MaxConnections"})
"""Keys whose offers the boot firmware of some network cards, and gPXE, do not answer (LIO: login_keys_workaround)."""
_LAST: Final = "FirstBurstLength"
"""What it may be depends on the results of other keys, so it is settled after them, wherever in the text it stands."""


class NegotiationViolation(RemoteProtocolError):
    """The peer negotiates against the rules of RFC 7143 §6.2 or §13: a login ends with "initiator error"."""


class Role(enum.Enum):
    """Which end of the connection this side is."""

    INITIATOR = Senders.INITIATOR
    TARGET = Senders.TARGET

    @property
    def peer(self) -> Senders:
        """The other end, as a sender of keys."""
        return Senders.BOTH ^ self.value


@dataclass(frozen=True, slots=True)
class Received:
    """What one text of the peer comes to."""

    answers: list[Pair]
    """To send back, in the order of the offers."""
    requests: dict[str, str]
    """Keys that are not negotiated here: those of authentication, and SendTargets."""


def combine(function: ResultFunction, offered: Any, own: Any) -> Any:
    """The result of an offer and the responder's own wish; None: there is none (RFC 7143 §6.2.1, §6.2.2)."""
    match function:
        case ResultFunction.AND:
            return offered and own
        case ResultFunction.OR:
            return offered or own
        case ResultFunction.MINIMUM:
            return min(offered, own)
        case ResultFunction.MAXIMUM:
            return max(offered, own)
        case ResultFunction.FIRST_IN_LIST:
            return next((value for value in offered if value in own), None)
        case _:
            raise ValueError(f"{function} is not a result function of negotiated keys")


def is_admissible(function: ResultFunction, offered: Any, answer: Any) -> bool:
    """Whether some responder's wish makes `answer` out of `offered`; any other answer is a violation (RFC 7143 §6.2.2)."""
    if function is ResultFunction.FIRST_IN_LIST:
        return len(answer) == 1 and answer[0] in offered
    return bool(combine(function, offered, answer) == answer)


def refuse_repeated_keys(pairs: Iterable[Pair]) -> None:
    """Raise `NegotiationViolation` if one text says the same key twice (RFC 7143 §6.3)."""
    seen = set()
    for name, _ in pairs:
        if name in seen and not (name in KEYS and KEYS[name].may_repeat):
            raise NegotiationViolation(f"{name[:63]} comes twice (RFC 7143 §6.3)")
        seen.add(name)


class Negotiation:
    """The keys of one connection's login, seen from one side."""

    def __init__(
        self,
        role: Role,
        offers: Offers,
        *,
        discovery: bool = False,
        leading: bool = True,
        session: SessionParameters | None = None,
    ) -> None:
        """`session` holds what the leading connection settled, when this is a further one."""
        self._role = role
        self._offers = offers
        self._discovery = discovery
        self._leading = leading
        self._received: dict[str, str] = {}
        self._sent: set[str] = set()
        self._unanswered: dict[str, str] = {}
        self._results = _initial_results(session or SessionParameters())
        self._own_max_recv = KEYS["MaxRecvDataSegmentLength"].default or ""
        self.declared: dict[str, str] = {}
        """The peer's declarations, as text."""

    def receive(self, pairs: Sequence[Pair], phase: Phase) -> Received:
        """Take a complete text of the peer in this stage of login.

        Raises `NegotiationViolation`, or `TextViolation` for a declaration that cannot be.
        """
        refuse_repeated_keys(pairs)
        received = Received([], {})
        answers: dict[str, str] = {}
        for name, text in sorted(pairs, key=lambda pair: pair[0] == _LAST):
            answer = self._receive_one(name, text, phase, received)
            if answer is not None:
                answers[name] = answer
        received.answers.extend((name, answers[name]) for name, _ in pairs if name in answers)
        return received

    def _receive_one(self, name: str, text: str, phase: Phase, received: Received) -> str | None:
        """The answer to one key, None for one that takes no answer."""
        if name in self._unanswered:
            self._accept(name, text)
            return None
        if text in RESERVED_VALUES:
            self._receive_reserved(name, text)
            return None
        key = KEYS.get(name)
        if self._is_repeated(name, text, key):
            return None
        if key is None:
            return NOT_UNDERSTOOD
        if not key.senders & self._role.peer:
            raise NegotiationViolation(f"{name} is not the {self._role.peer.name}'s to send (RFC 7143 §{key.section})")
        if not key.phases & phase:
            raise NegotiationViolation(f"{name} is not used in the {phase.name} stage (RFC 7143 §{key.section})")
        if key.result is ResultFunction.REQUEST:
            received.requests[name] = text
            return None
        return self._answer(key, text)

    def _receive_reserved(self, name: str, text: str) -> None:
        """A reserved value may answer what was declared here; offered, it is a violation (RFC 7143 §6.2)."""
        if name not in self._sent:
            raise NegotiationViolation(f"{name[:63]}={text} answers nothing (RFC 7143 §6.2)")

    def _is_repeated(self, name: str, text: str, key: TextKey | None) -> bool:
        """Whether the key came before, unchanged and harmless; one that is negotiated again is a violation."""
        before = self._received.get(name)
        if name in self._sent and key is not None and key.is_negotiated:
            before = ""
        if before is not None and not (key is not None and key.may_repeat):
            if name in _REPEATED_UNCHANGED and text == before:
                return True
            raise NegotiationViolation(f"{name[:63]} is negotiated again (RFC 7143 §6.3)")
        if len(self._received) >= MAX_KEYS:
            raise NegotiationViolation(f"more than {MAX_KEYS} keys in one negotiation")
        self._received[name] = text
        return False

    def _answer(self, key: TextKey, text: str) -> str | None:
        if key.result is ResultFunction.OBSOLETE:
            return REJECT
        if key.result is ResultFunction.DECLARATIVE:
            self._take_declaration(key, text)
            return None
        if key.use is Use.LEADING_ONLY and not self._leading:
            # What the leading connection settled binds the session; Reject says that it stays as it is (§6.2).
            return REJECT
        if self._is_irrelevant(key):
            return IRRELEVANT
        return self._negotiate(key, text)

    def _take_declaration(self, key: TextKey, text: str) -> None:
        value = key.value.parse(text)
        self.declared[key.name] = text
        if key.parameter:
            self._results[key.name] = value

    def _is_irrelevant(self, key: TextKey) -> bool:
        if self._discovery and Irrelevance.DISCOVERY_SESSION in key.irrelevant:
            return True
        return (
            Irrelevance.NO_UNSOLICITED_DATA in key.irrelevant
            and bool(self._results["InitialR2T"])
            and not self._results["ImmediateData"]
        )

    def _negotiate(self, key: TextKey, text: str) -> str:
        """The result of an offer as text, or Reject for a value that the key cannot have (RFC 7143 §6.2.2)."""
        try:
            offered = key.value.parse(text)
        except TextViolation:
            return REJECT
        result = combine(key.result, offered, self._wish(key))
        if result is None:
            return REJECT
        self._results[key.name] = result
        return key.value.encode(result)

    def _wish(self, key: TextKey) -> Any:
        wish = getattr(self._offers, key.parameter)
        return min(wish, self._results["MaxBurstLength"]) if key.name == _LAST else wish

    def _accept(self, name: str, text: str) -> None:
        """Take the answer to an offer of this side."""
        offered = self._unanswered.pop(name)
        key = KEYS.get(name)
        if text in RESERVED_VALUES or key is None or not key.is_negotiated:
            return
        try:
            answer = key.value.parse(text)
        except TextViolation as error:
            raise NegotiationViolation(f"the answer to {name}: {error}") from error
        if not is_admissible(key.result, _parse_offer(key, offered, answer), answer):
            raise NegotiationViolation(f"{name}={text[:63]} does not follow from {offered[:63]} (RFC 7143 §6.2)")
        self._results[name] = answer[0] if isinstance(answer, list) else answer

    # What this side brings up

    def originate(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Note that `pairs` are being sent as offers and declarations of this side; gives them back."""
        pairs = list(pairs)
        for name, text in pairs:
            key = KEYS.get(name)
            self._sent.add(name)
            if key is None or key.is_negotiated or key.result is ResultFunction.OBSOLETE:
                self._unanswered[name] = text
            elif name == "MaxRecvDataSegmentLength":
                self._own_max_recv = text
        return pairs

    def wishes(self) -> list[Pair]:
        """Everything that this side may bring up in the operational stage of this connection, by its `Offers`."""
        return [(key.name, self._offer(key)) for key in KEYS.values() if key.parameter and self._may_bring_up(key)]

    def _offer(self, key: TextKey) -> str:
        wish = getattr(self._offers, key.parameter)
        return key.value.encode(min(wish, self._offers.max_burst_length) if key.name == _LAST else wish)

    def _may_bring_up(self, key: TextKey) -> bool:
        if key.use is Use.LEADING_ONLY and not self._leading:
            return False
        return not (self._discovery and Irrelevance.DISCOVERY_SESSION in key.irrelevant)

    def needs(self) -> list[Pair]:
        """The keys that the peer left at defaults which this side's wishes do not allow: it has to bring them up itself."""
        return [
            (key.name, self._offer(key))
            for key in KEYS.values()
            if key.is_negotiated
            and key.name not in self._received
            and key.name not in self._sent
            and self._may_bring_up(key)
            and not self._is_irrelevant(key)
            and not self._is_content(key)
        ]

    def _is_content(self, key: TextKey) -> bool:
        """The value that `key` has now is one that this side's wishes allow."""
        value, wish = self._results[key.name], getattr(self._offers, key.parameter)
        if key.result is ResultFunction.FIRST_IN_LIST:
            return value in wish
        return bool(combine(key.result, value, wish) == value)

    def own_declarations(self) -> list[Pair]:
        """What this side declares in its first text of the operational stage: how long a data segment it takes."""
        return self._once([("MaxRecvDataSegmentLength", str(self._offers.max_recv_data_segment_length))])

    def _once(self, pairs: Iterable[Pair]) -> list[Pair]:
        return self.originate(pair for pair in pairs if pair[0] not in self._sent)

    # What came out

    @property
    def unanswered(self) -> bool:
        """The peer still owes an answer. To a boolean that decides alone the answer is optional (RFC 7143 §6.2.2)."""
        return any(not _decides_alone(name, text) for name, text in self._unanswered.items())

    def waive_answers(self) -> None:
        """Wait no longer for answers that are known to be forgotten, if this side can do without: defaults then hold."""
        if self._offers.keys_workaround:
            for name in _OFTEN_UNANSWERED & self._unanswered.keys():
                if not _decides_alone(name, self._unanswered[name]):
                    del self._unanswered[name]

    def finish(self) -> None:
        """End the negotiation; raises `NegotiationViolation` for a missing answer or a result that this side refuses."""
        for name, text in self._unanswered.items():
            if not _decides_alone(name, text):
                raise NegotiationViolation(f"{name[:63]} was not answered (RFC 7143 §6.2)")
            self._results[name] = KEYS[name].value.parse(text)
        self._unanswered.clear()
        for key in KEYS.values():
            if key.scope is Scope.CONNECTION_ONLY and key.result is ResultFunction.FIRST_IN_LIST:
                self._insist(key)

    def _insist(self, key: TextKey) -> None:
        """A digest that this side requires must be the result: leaving it out is not the peer's choice."""
        if not self._is_content(key):
            raise NegotiationViolation(f"{key.name}={self._results[key.name]} is not allowed here")

    def session_parameters(self) -> SessionParameters:
        """The session-wide results."""
        values: dict[str, Any] = {
            key.parameter: self._results[key.name]
            for key in KEYS.values()
            if key.parameter and key.scope is Scope.SESSION_WIDE
        }
        # Whoever negotiated MaxBurstLength below a FirstBurstLength settled before: no sequence is longer (§13.13).
        values["first_burst_length"] = min(values["first_burst_length"], values["max_burst_length"])
        return SessionParameters(**values)

    def connection_parameters(self) -> ConnectionParameters:
        """The results for this connection."""
        return ConnectionParameters(
            header_digest=self._results["HeaderDigest"] == CRC32C,
            data_digest=self._results["DataDigest"] == CRC32C,
            max_recv_data_segment_length=KEYS["MaxRecvDataSegmentLength"].value.parse(self._own_max_recv),  # type: ignore[arg-type]
            max_xmit_data_segment_length=self._results["MaxRecvDataSegmentLength"],
        )


def _initial_results(session: SessionParameters) -> dict[str, Any]:
    """The values that hold before anything is negotiated."""
    settled: Mapping[str, Any] = dataclasses.asdict(session)
    results = {}
    for key in KEYS.values():
        if key.parameter and key.default is not None:
            default = key.value.parse(key.default)
            results[key.name] = settled.get(key.parameter, default[0] if isinstance(default, list) else default)
    return results


def _parse_offer(key: TextKey, offered: str, answer: Any) -> Any:
    """The value of this side's offer. One that the key cannot have, sent on purpose, allows any answer."""
    try:
        return key.value.parse(offered)
    except TextViolation:
        return answer


def _decides_alone(name: str, text: str) -> bool:
    """An offer of No to an AND, or of Yes to an OR: whatever the peer wishes, the result is that (RFC 7143 §6.2.2)."""
    key = KEYS.get(name)
    if key is None:
        return False
    return (key.result, text) in {(ResultFunction.AND, "No"), (ResultFunction.OR, "Yes")}
