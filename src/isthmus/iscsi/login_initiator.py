"""The initiator's side of the login phase (RFC 7143 §6.3, §11.12, §11.13).

Without CHAP a login begins in the operational stage. With it, it begins in the security stage, where each response leads
one step on: the method is offered, then the algorithms, then the proof; once authentication is settled the T bit takes it
to the operational stage, and from there to full feature phase. A target that goes on before it has done its part of the
authentication is not trusted, and the login fails.

To test a target, `overrides` and `extra_keys` send what no honest initiator would.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from isthmus.errors import LocalProtocolError, RemoteProtocolError
from isthmus.iscsi.chap import ChapCredentials, ChapInitiator
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.keys import KEYS, Phase
from isthmus.iscsi.login_policy import SessionType
from isthmus.iscsi.negotiation import Negotiation, Received, Role
from isthmus.iscsi.opcodes import VERSION, LoginStatus, Stage
from isthmus.iscsi.parameters import (
    DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH,
    NONE,
    ConnectionParameters,
    Offers,
    SessionParameters,
)
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, Pdu
from isthmus.iscsi.text_format import Pair, TextAssembler, encode_text, parse_list, parse_text, split_text
from isthmus.names import SerialNumber, Tsih

__all__ = [
    "InitiatorLogin",
    "InitiatorLoginCompleted",
    "InitiatorLoginFailed",
    "InitiatorLoginOutcome",
    "InitiatorLoginSettings",
    "InitiatorLoginState",
]

_LATE_KEYS: Final = frozenset({"TaskReporting", "iSCSIProtocolLevel"})
"""Keys that RFC 3720 did not have: offered only by whoever wants other than their defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiatorLoginSettings:
    """What one connection's login says."""

    initiator_name: str
    target_name: str | None = None
    """None: a discovery session."""
    initiator_alias: str = ""
    isid: int
    tsih: int = 0
    """0: a new session, or the reinstatement of one; else the session that this connection is to join."""
    cid: int = 0
    cmd_sn: int = 1
    exp_stat_sn: int = 0
    initiator_task_tag: int = 0
    offers: Offers = field(default_factory=Offers)
    chap: ChapCredentials | None = None
    session_parameters: SessionParameters | None = None
    """Of the session that this connection is to join."""
    overrides: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    """Values to send in place of those that a key would have; None leaves the key out."""
    extra_keys: tuple[Pair, ...] = ()
    """More keys for the first text of the operational stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiatorLoginCompleted:
    """The connection is in full feature phase."""

    tsih: Tsih
    target_portal_group_tag: int | None
    """None: the target did not say."""
    target_alias: str
    session_parameters: SessionParameters
    connection_parameters: ConnectionParameters
    cmd_sn: SerialNumber
    """The next CmdSN of a new session: the login's own, which is immediate (RFC 7143 §11.12.8)."""
    exp_stat_sn: SerialNumber
    exp_cmd_sn: int
    max_cmd_sn: int
    received: tuple[Pair, ...]
    """Every key that the target sent, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiatorLoginFailed:
    """The login is over; the connection is to be closed."""

    status: int | None
    """The target's answer, mostly a `LoginStatus`; None: it is this side that gives up."""
    reason: str
    addresses: tuple[str, ...] = ()
    """Where the target has moved, as its TargetAddress keys say (RFC 7143 §13.8)."""
    received: tuple[Pair, ...] = ()
    """Every key that the target sent, in order."""


InitiatorLoginOutcome = InitiatorLoginCompleted | InitiatorLoginFailed


class InitiatorLoginState(enum.Enum):
    """What the next response has to bring."""

    METHOD_OFFERED = enum.auto()
    """AuthMethod."""
    ALGORITHMS_OFFERED = enum.auto()
    """The target's challenge."""
    PROVED = enum.auto()
    """Leave to go on, and the target's own proof where it was asked for."""
    SETTLED = enum.auto()
    """Leave to go on to the operational stage."""
    OPERATIONAL = enum.auto()
    """Answers, and leave to go on to full feature phase."""
    ENDED = enum.auto()
    """Nothing."""


class InitiatorLogin:
    """One connection's login: `start`, then `receive` each response and send what it gives, until `outcome` is set."""

    def __init__(self, settings: InitiatorLoginSettings, *, random: Callable[[int], bytes]) -> None:
        """`random` gives that many unpredictable bytes."""
        self._settings = settings
        self._chap = ChapInitiator(settings.chap, random) if settings.chap else None
        self._negotiation = Negotiation(
            Role.INITIATOR,
            settings.offers,
            discovery=settings.target_name is None,
            leading=settings.tsih == 0,
            session=settings.session_parameters,
        )
        self._with_security = settings.chap is not None or "AuthMethod" in settings.overrides
        first = InitiatorLoginState.METHOD_OFFERED if self._with_security else InitiatorLoginState.OPERATIONAL
        self._state = first
        self._text = TextAssembler()
        self._unsent: list[bytes] = []
        self._transit = False
        self._exp_stat_sn = SerialNumber(settings.exp_stat_sn)
        self._received: list[Pair] = []
        self.outcome: InitiatorLoginOutcome | None = None

    @property
    def state(self) -> InitiatorLoginState:
        """What the next response has to bring."""
        return self._state

    def start(self) -> LoginRequest:
        """The first request."""
        names = self._negotiation.originate(self._names())
        if not self._with_security:
            return self._request([*names, *self._operational_keys()], transit=True)
        methods = self._override([("AuthMethod", self._methods())])
        may_be_none = any(NONE in parse_list(value) for _, value in methods if value)
        return self._request([*names, *methods], transit=may_be_none)

    def _names(self) -> list[Pair]:
        settings = self._settings
        discovery = settings.target_name is None
        names = [("InitiatorName", settings.initiator_name)]
        if settings.initiator_alias:
            names.append(("InitiatorAlias", settings.initiator_alias))
        if settings.target_name is not None:
            names.append(("TargetName", settings.target_name))
        if not settings.tsih:
            names.append(("SessionType", (SessionType.DISCOVERY if discovery else SessionType.NORMAL).value))
        return self._override(names)

    def _methods(self) -> str:
        """A target that has to prove itself may not answer None."""
        return "CHAP" if self._settings.chap and self._settings.chap.mutual else f"CHAP,{NONE}"

    def _operational_keys(self) -> list[Pair]:
        wishes = [
            (name, text)
            for name, text in self._negotiation.wishes()
            if name not in _LATE_KEYS or text != KEYS[name].default
        ]
        return self._negotiation.originate([*self._override(wishes), *self._settings.extra_keys])

    def _override(self, pairs: list[Pair]) -> list[Pair]:
        overrides = self._settings.overrides
        replaced = [(name, overrides.get(name, text)) for name, text in pairs]
        return [(name, text) for name, text in replaced if text is not None]

    # -- requests ------------------------------------------------------------------------------------------------------

    def _request(self, pairs: list[Pair], *, transit: bool) -> LoginRequest:
        """The first request that carries `pairs`; the rest of a long text follows with `_next_piece`."""
        self._unsent = split_text(encode_text(pairs), DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH)
        self._transit = transit
        return self._next_piece()

    def _next_piece(self) -> LoginRequest:
        segment = self._unsent.pop(0) if self._unsent else b""
        transit = self._transit and not self._unsent
        return LoginRequest(
            transit=transit,
            continue_=bool(self._unsent),
            current_stage=self._stage,
            next_stage=self._next_stage if transit else 0,
            version_max=VERSION,
            version_min=VERSION,
            isid=self._settings.isid,
            tsih=self._settings.tsih,
            initiator_task_tag=self._settings.initiator_task_tag,
            cid=self._settings.cid,
            cmd_sn=self._settings.cmd_sn,
            exp_stat_sn=self._exp_stat_sn,
            data_segment=segment,
        )

    @property
    def _stage(self) -> Stage:
        in_operational = self._state is InitiatorLoginState.OPERATIONAL
        return Stage.LOGIN_OPERATIONAL_NEGOTIATION if in_operational else Stage.SECURITY_NEGOTIATION

    @property
    def _next_stage(self) -> Stage:
        in_operational = self._state is InitiatorLoginState.OPERATIONAL
        return Stage.FULL_FEATURE_PHASE if in_operational else Stage.LOGIN_OPERATIONAL_NEGOTIATION

    # -- responses -----------------------------------------------------------------------------------------------------

    def receive(self, pdu: Pdu) -> LoginRequest | None:
        """Take the target's response; gives the next request, or None once `outcome` is set."""
        if self._state is InitiatorLoginState.ENDED:
            raise LocalProtocolError("the login has ended")
        try:
            return self._receive(pdu)
        except RemoteProtocolError as error:
            self._end(InitiatorLoginFailed(status=None, reason=str(error), received=tuple(self._received)))
            return None

    def _receive(self, pdu: Pdu) -> LoginRequest | None:
        if not isinstance(pdu, LoginResponse):
            raise ConnectionViolation("the answer to a login request is not a Login Response")
        if pdu.status:
            self._end(self._refused(pdu))
            return None
        self._check_header(pdu)
        self._exp_stat_sn = SerialNumber(pdu.stat_sn + 1)
        if self._unsent:
            return self._continue(pdu)
        pairs = self._text.add(pdu.data_segment, more=pdu.continue_)
        if pairs is None:
            return self._next_piece()
        self._received += pairs
        return self._take_text(pdu, pairs)

    def _refused(self, response: LoginResponse) -> InitiatorLoginFailed:
        status = response.status
        name = LoginStatus(status).name if status in set(LoginStatus) else "unknown status"
        addresses = tuple(text for key, text in parse_text(response.data_segment) if key == "TargetAddress")
        return InitiatorLoginFailed(
            status=status,
            reason=f"the target refuses the login: {name} ({status:04x}h)",
            addresses=addresses,
            received=tuple(self._received),
        )

    def _check_header(self, response: LoginResponse) -> None:
        settings = self._settings
        if (response.initiator_task_tag, response.isid) != (settings.initiator_task_tag, settings.isid):
            raise ConnectionViolation("a Login Response for another login")
        if response.current_stage != self._stage:
            raise ConnectionViolation(f"a Login Response in stage {response.current_stage} (RFC 7143 §11.13.3)")
        if response.version_active != VERSION:
            raise ConnectionViolation(f"the target speaks version {response.version_active}")
        if response.transit and (not self._transit or response.continue_ or response.next_stage != self._next_stage):
            raise ConnectionViolation("the target goes on where it was not asked to (RFC 7143 §11.13.3)")

    def _continue(self, response: LoginResponse) -> LoginRequest:
        """The target has taken one piece of our text, and has nothing to say yet (RFC 7143 §6.2)."""
        if memoryview(response.data_segment).nbytes or response.transit:
            raise ConnectionViolation("the target answers a text that is not complete (RFC 7143 §6.2)")
        return self._next_piece()

    def _take_text(self, response: LoginResponse, pairs: list[Pair]) -> LoginRequest | None:
        if self._state is InitiatorLoginState.OPERATIONAL:
            received = self._negotiation.receive(pairs, Phase.OPERATIONAL)
            if response.transit:
                self._end(self._completed(response))
                return None
            return self._request(received.answers, transit=True)
        received = self._negotiation.receive(pairs, Phase.SECURITY)
        reply = self._authenticate(received)
        if not response.transit:
            return self._request(self._override(reply), transit=self._ends_security())
        if self._state is not InitiatorLoginState.SETTLED or reply:
            raise ConnectionViolation("the target ends the security stage before authentication is complete")
        self._state = InitiatorLoginState.OPERATIONAL
        return self._request(self._operational_keys(), transit=True)

    def _ends_security(self) -> bool:
        """The request that is about to be made is the last of the security stage, as far as this side goes."""
        return self._state in {InitiatorLoginState.PROVED, InitiatorLoginState.SETTLED}

    def _authenticate(self, received: Received) -> list[Pair]:
        """Take one step of the authentication; gives the keys of the next."""
        keys = received.requests
        if self._state is InitiatorLoginState.METHOD_OFFERED:
            return received.answers + self._take_method(keys)
        if self._state is InitiatorLoginState.ALGORITHMS_OFFERED:
            assert self._chap is not None
            self._state = InitiatorLoginState.PROVED
            return received.answers + self._chap.respond(keys)
        if self._state is InitiatorLoginState.PROVED:
            self._take_proof(keys)
        elif keys:
            raise ConnectionViolation("the target goes on authenticating when all is settled")
        return received.answers

    def _take_method(self, keys: dict[str, str]) -> list[Pair]:
        method = keys.get("AuthMethod")
        if keys.keys() != {"AuthMethod"} or method not in self._offered_methods():
            raise ConnectionViolation(f"the target answers AuthMethod with {method}")
        if method == NONE:
            self._state = InitiatorLoginState.SETTLED
            return []
        if self._chap is None:
            raise ConnectionViolation(f"the target wants {method}, and there are no credentials")
        self._state = InitiatorLoginState.ALGORITHMS_OFFERED
        return self._chap.offer()

    def _offered_methods(self) -> list[str]:
        return [name for _, value in self._override([("AuthMethod", self._methods())]) for name in parse_list(value)]

    def _take_proof(self, keys: dict[str, str]) -> None:
        if self._chap is not None and self._settings.chap is not None and self._settings.chap.mutual:
            self._chap.verify(keys)
        elif keys:
            raise ConnectionViolation("the target proves itself unasked")
        self._state = InitiatorLoginState.SETTLED

    # -- the end -------------------------------------------------------------------------------------------------------

    def _completed(self, response: LoginResponse) -> InitiatorLoginCompleted:
        self._negotiation.finish()
        if response.tsih == 0:
            raise ConnectionViolation("the target gave no TSIH (RFC 7143 §11.13.4)")
        declared = self._negotiation.declared
        tag = declared.get("TargetPortalGroupTag")
        return InitiatorLoginCompleted(
            tsih=Tsih(response.tsih),
            target_portal_group_tag=None if tag is None else int(tag, 0),
            target_alias=declared.get("TargetAlias", ""),
            session_parameters=self._negotiation.session_parameters(),
            connection_parameters=self._negotiation.connection_parameters(),
            cmd_sn=SerialNumber(self._settings.cmd_sn),
            exp_stat_sn=self._exp_stat_sn,
            exp_cmd_sn=response.exp_cmd_sn,
            max_cmd_sn=response.max_cmd_sn,
            received=tuple(self._received),
        )

    def _end(self, outcome: InitiatorLoginOutcome) -> None:
        self._state = InitiatorLoginState.ENDED
        self.outcome = outcome
