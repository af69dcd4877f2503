"""The target's side of the login phase: one PDU in, one response out, until full feature phase or a refusal.

What the steps are and what leads where is `login_states`; what keys mean is `negotiation` and `chap`; who may log in is the
`LoginPolicy`. This module joins them (RFC 7143 §6.3, §11.12, §11.13).
"""

import dataclasses
from collections.abc import Callable
from typing import Final

from isthmus.errors import ConfigurationError, LocalProtocolError
from isthmus.iscsi.chap import ChapTarget
from isthmus.iscsi.errors import ConnectionViolation, LoginRefused
from isthmus.iscsi.keys import Phase, Text
from isthmus.iscsi.login_policy import (
    Admission,
    Authentication,
    DiscoveryView,
    ExistingSession,
    LoginCompleted,
    LoginFailed,
    LoginOutcome,
    LoginPolicy,
    SessionType,
    TargetView,
)
from isthmus.iscsi.login_states import ENDED, LoginInput, LoginState, next_state
from isthmus.iscsi.negotiation import Negotiation, NegotiationViolation, Role, refuse_repeated_keys
from isthmus.iscsi.opcodes import VERSION, LoginStatus, Stage
from isthmus.iscsi.parameters import DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH, NONE, ConnectionParameters
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, Pdu
from isthmus.iscsi.text_format import Pair, TextAssembler, TextViolation, encode_text, parse_list, split_text
from isthmus.names import MAX_NAME_BYTES, Cid, IscsiName, Isid, SerialNumber, Tsih

__all__ = [
    "MAX_LOGIN_REQUESTS",
    "Admission",
    "Authentication",
    "DiscoveryView",
    "ExistingSession",
    "Login",
    "LoginCompleted",
    "LoginFailed",
    "LoginOutcome",
    "LoginPolicy",
    "SessionType",
    "TargetView",
]

MAX_LOGIN_REQUESTS: Final = 64
"""Requests in one login. CHAP and negotiation take five; the rest is room for texts cut into small pieces."""

_NAME: Final = Text()
"""Names as text: bounded before they are looked at, or quoted in a log."""


class Login:
    """One connection's login, from its first PDU to full feature phase or to a refusal.

    It keeps no time: whoever owns the connection gives it up if the login takes too long.
    """

    def __init__(self, policy: LoginPolicy, *, random: Callable[[int], bytes], command_window: int = 32) -> None:
        """`random` gives that many unpredictable bytes; `command_window` is how many commands a new session may send."""
        self._policy = policy
        self._random = random
        self._command_window = command_window
        self._state = LoginState.START
        self._first: LoginRequest | None = None
        self._requests = 0
        self._stat_sn = SerialNumber(0)
        self._text = TextAssembler()
        self._unsent: list[bytes] = []
        self._party: _Party | None = None
        self._names = ("", "")
        self.outcome: LoginOutcome | None = None
        """None until the login has ended; then what the connection becomes."""

    @property
    def state(self) -> LoginState:
        """How far the login has come."""
        return self._state

    def receive(self, pdu: Pdu) -> list[LoginResponse]:
        """Take one PDU; gives the responses to send, in order: one, or none if the connection is to close in silence.

        Once `outcome` is set, nothing more may come; then this raises `LocalProtocolError`.
        """
        if self._state in ENDED:
            raise LocalProtocolError("the login has ended")
        try:
            return [self._receive(pdu)]
        except LoginRefused as refusal:
            return [self._refuse(refusal)]
        except (NegotiationViolation, TextViolation) as error:
            return [self._refuse(LoginRefused(LoginStatus.INITIATOR_ERROR, str(error)))]
        except ConnectionViolation as error:
            self._fail(None, str(error))
            return []

    def _receive(self, pdu: Pdu) -> LoginResponse:
        self._state = next_state(self._state, _input_of(pdu))
        assert isinstance(pdu, LoginRequest)
        self._check_header(pdu)
        if self._unsent:
            _check_fetches_answer(pdu)
        else:
            pairs = self._text.add(pdu.data_segment, more=pdu.continue_)
            # A request with the C bit is answered without text (§6.2).
            answers = [] if pairs is None else self._take_text(pdu, pairs)
            self._unsent = split_text(encode_text(answers), DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH)
        return self._respond(pdu)

    def _check_header(self, request: LoginRequest) -> None:
        self._requests += 1
        if self._requests > MAX_LOGIN_REQUESTS:
            raise LoginRefused(LoginStatus.INITIATOR_ERROR, f"more than {MAX_LOGIN_REQUESTS} login requests")
        if self._first is None:
            self._first = request
            self._stat_sn = SerialNumber(request.exp_stat_sn)
        if request.version_min > VERSION:
            raise LoginRefused(LoginStatus.UNSUPPORTED_VERSION, f"Version-min is {request.version_min}")
        if _identity(request) != _identity(self._first):
            raise LoginRefused(
                LoginStatus.INITIATOR_ERROR, "ISID, TSIH, CID, ITT, CmdSN or version changed in the login"
            )
        if request.transit:
            _check_transit(request)

    # -- the text of a request -----------------------------------------------------------------------------------------

    def _take_text(self, request: LoginRequest, pairs: list[Pair]) -> list[Pair]:
        """The answer to a complete text."""
        answers = []
        if self._party is None:
            self._party = self._meet(request, pairs)
            answers += self._party.greeting()
        if request.current_stage == Stage.SECURITY_NEGOTIATION:
            return answers + self._take_security(self._party, request, pairs)
        return answers + self._take_operational(self._party, request, pairs)

    def _take_security(self, party: "_Party", request: LoginRequest, pairs: list[Pair]) -> list[Pair]:
        received = party.negotiation.receive(pairs, Phase.SECURITY)
        event = party.authentication_input(received.requests)
        self._state = next_state(self._state, event)
        answers = received.answers + party.authenticate(event, received.requests)
        if request.transit and self._state is LoginState.SECURITY:
            self._leave_method_out(party)
        return answers

    def _leave_method_out(self, party: "_Party") -> None:
        """The initiator goes on, or begins, without an AuthMethod (RFC 7143 §6.3.1)."""
        self._state = next_state(self._state, party.method_left_out())
        party.authenticated = True

    def _take_operational(self, party: "_Party", request: LoginRequest, pairs: list[Pair]) -> list[Pair]:
        if not party.authenticated:
            self._leave_method_out(party)
        received = party.negotiation.receive(pairs, Phase.OPERATIONAL)
        party.negotiation.waive_answers()
        answers = received.answers + party.negotiation.own_declarations()
        if request.transit:
            answers += party.negotiation.originate(party.negotiation.needs())
        return answers

    def _meet(self, request: LoginRequest, pairs: list[Pair]) -> "_Party":
        """Who wants what of whom: the names of the first text, and what the policy says to them."""
        refuse_repeated_keys(pairs)
        keys = dict(pairs)
        self._names = (keys.get("InitiatorName", "")[:MAX_NAME_BYTES], keys.get("TargetName", "")[:MAX_NAME_BYTES])
        initiator_name = _initiator_name(keys)
        if _session_type(keys) is SessionType.DISCOVERY:
            if request.tsih:
                why = "a discovery session has one connection (RFC 7143 §4.3)"
                raise LoginRefused(LoginStatus.CANNOT_INCLUDE_IN_SESSION, why)
            return _Party(initiator_name, None, self._policy.discovery(initiator_name), None, self._random)
        target = self._policy.target(initiator_name, _target_name(keys))
        existing = None
        if request.tsih:
            tsih, isid, cid = Tsih(request.tsih), Isid(request.isid), Cid(request.cid)
            existing = self._policy.joining(tsih, isid, initiator_name, target, cid)
        return _Party(initiator_name, target, None, existing, self._random)

    # -- the response --------------------------------------------------------------------------------------------------

    def _respond(self, request: LoginRequest) -> LoginResponse:
        segment = self._unsent.pop(0)
        stat_sn = self._stat_sn
        self._stat_sn += 1
        transit = self._may_transit(request) and self._transit(request)
        exp_cmd_sn, max_cmd_sn = self._window(request)
        return LoginResponse(
            transit=transit,
            continue_=bool(self._unsent),
            current_stage=request.current_stage,
            next_stage=request.next_stage if transit else 0,
            version_max=VERSION,
            version_active=VERSION,
            isid=request.isid,
            tsih=self.outcome.tsih if isinstance(self.outcome, LoginCompleted) else request.tsih,
            initiator_task_tag=request.initiator_task_tag,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            data_segment=segment,
        )

    def _may_transit(self, request: LoginRequest) -> bool:
        """The T bit is granted with the last piece of an answer, when the initiator owes none itself (§11.13.3)."""
        return (
            request.transit and not self._unsent and self._party is not None and not self._party.negotiation.unanswered
        )

    def _transit(self, request: LoginRequest) -> bool:
        """Go to the stage that the initiator wants; whether it was granted."""
        to_full_feature = request.next_stage == Stage.FULL_FEATURE_PHASE
        event = LoginInput.TRANSIT_FULL_FEATURE if to_full_feature else LoginInput.TRANSIT_OPERATIONAL
        before, after = self._state, next_state(self._state, event)
        if after is LoginState.COMPLETED:
            self.outcome = self._admit(request)
        self._state = after
        return after is not before

    def _admit(self, request: LoginRequest) -> LoginCompleted:
        assert self._party is not None
        self._party.negotiation.finish()
        completed = self._party.completed(request, self._stat_sn)
        admission = self._policy.admit(completed)
        return dataclasses.replace(completed, tsih=admission.tsih, session=admission.session)

    def _window(self, request: LoginRequest) -> tuple[int, int]:
        """ExpCmdSN and MaxCmdSN: of a new session from its CmdSN, which a login does not take (§11.12.8)."""
        if request.tsih == 0:
            start = SerialNumber(request.cmd_sn)
            wanted = self._party.command_window if self._party is not None else None
            return start, start + ((wanted or self._command_window) - 1)
        if self._party is not None and self._party.existing is not None:
            return self._party.existing.exp_cmd_sn, self._party.existing.max_cmd_sn
        # The session is not known yet: a MaxCmdSN below ExpCmdSN-1 has the initiator ignore both (§4.2.2.1).
        return request.cmd_sn, SerialNumber(request.cmd_sn - 2)

    # -- refusals ------------------------------------------------------------------------------------------------------

    def _refuse(self, refusal: LoginRefused) -> LoginResponse:
        self._fail(refusal.status, str(refusal), refusal.address)
        first = self._first or LoginRequest()
        return LoginResponse(
            current_stage=first.current_stage,
            version_max=VERSION,
            version_active=VERSION,
            isid=first.isid,
            tsih=first.tsih,
            initiator_task_tag=first.initiator_task_tag,
            stat_sn=self._stat_sn,
            status=refusal.status,
            data_segment=encode_text([("TargetAddress", refusal.address)] if refusal.address else []),
        )

    def _fail(self, status: LoginStatus | None, reason: str, address: str = "") -> None:
        self._state = LoginState.FAILED
        self.outcome = LoginFailed(
            status=status,
            reason=reason,
            initiator_name=self._names[0],
            target_name=self._names[1],
            address=address,
        )


class _Party:
    """The initiator that a login is with, once its names are known, and how far it has come with us."""

    def __init__(
        self,
        initiator_name: IscsiName,
        target: TargetView | None,
        discovery: DiscoveryView | None,
        existing: ExistingSession | None,
        random: Callable[[int], bytes],
    ) -> None:
        view = target or discovery
        assert view is not None
        self._initiator_name = initiator_name
        self._target = target
        self._discovery = discovery
        self._authentication = view.authentication
        self._chap = ChapTarget(view.authentication, random)
        self.existing = existing
        self.command_window = target.command_window if target else None
        self.negotiation = Negotiation(
            Role.TARGET,
            view.offers,
            discovery=target is None,
            leading=existing is None,
            session=existing.parameters if existing else None,
        )
        self.authenticated = False
        """Who the initiator is has been settled, be it that it does not matter."""
        self._chap_user: str | None = None

    def greeting(self) -> list[Pair]:
        """What the target declares in answer to the first text that names it (RFC 7143 §13.6, §13.9)."""
        if self._target is None:
            return []
        declarations = [("TargetPortalGroupTag", str(self._target.target_portal_group_tag))]
        if self._target.alias:
            declarations.append(("TargetAlias", self._target.alias))
        return self.negotiation.originate(declarations)

    def method_left_out(self) -> LoginInput:
        """What it means that the initiator settles no AuthMethod."""
        return LoginInput.AUTHENTICATION_LEFT_OUT if self._authentication.required else LoginInput.METHOD_NONE

    def authentication_input(self, keys: dict[str, str]) -> LoginInput:
        """Which step of the authentication these keys are."""
        names = keys.keys()
        if not names:
            return LoginInput.NO_AUTHENTICATION_KEYS
        if names == {"AuthMethod"}:
            return LoginInput.METHOD_CHAP if self._choose_method(keys) == "CHAP" else LoginInput.METHOD_NONE
        if names == {"CHAP_A"}:
            return LoginInput.ALGORITHM_KEYS
        if names <= {"CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"}:
            return LoginInput.RESPONSE_KEYS
        return LoginInput.OTHER_AUTHENTICATION_KEYS

    def _choose_method(self, keys: dict[str, str]) -> str:
        """The first method on offer that is allowed here (RFC 7143 §6.2.1, §12)."""
        allowed = set() if self._authentication.required else {NONE}
        if self._authentication.lookup is not None:
            allowed.add("CHAP")
        method = next((method for method in parse_list(keys["AuthMethod"]) if method in allowed), None)
        if method is None:
            why = f"AuthMethod={keys['AuthMethod'][:63]} has none of {', '.join(sorted(allowed))}"
            raise LoginRefused(LoginStatus.AUTHENTICATION_FAILURE, why)
        return method

    def authenticate(self, event: LoginInput, keys: dict[str, str]) -> list[Pair]:
        """Do the step; gives the keys to answer with."""
        if event is LoginInput.METHOD_NONE:
            self.authenticated = True
            return [("AuthMethod", NONE)]
        if event is LoginInput.METHOD_CHAP:
            return [("AuthMethod", "CHAP")]
        if event is LoginInput.ALGORITHM_KEYS:
            return self._chap.challenge(keys)
        if event is LoginInput.RESPONSE_KEYS:
            self._chap_user, proof = self._chap.verify(keys)
            self.authenticated = True
            return proof
        return []

    def completed(self, request: LoginRequest, stat_sn: SerialNumber) -> LoginCompleted:
        """What the login has come to, before the policy admits it."""
        return LoginCompleted(
            session_type=SessionType.NORMAL if self._target else SessionType.DISCOVERY,
            initiator_name=self._initiator_name,
            initiator_alias=self.negotiation.declared.get("InitiatorAlias", ""),
            target=self._target,
            discovery=self._discovery,
            isid=Isid(request.isid),
            tsih=Tsih(request.tsih),
            cid=Cid(request.cid),
            leading=request.tsih == 0,
            session_parameters=self.negotiation.session_parameters(),
            connection_parameters=self._connection_parameters(),
            exp_cmd_sn=SerialNumber(request.cmd_sn),
            stat_sn=stat_sn,
            chap_user=self._chap_user,
        )

    def _connection_parameters(self) -> ConnectionParameters:
        """What was negotiated, but that the target may want to send less than the initiator takes."""
        negotiated = self.negotiation.connection_parameters()
        if self._target is None:
            return negotiated
        most = min(negotiated.max_xmit_data_segment_length, self._target.max_xmit_data_segment_length)
        return dataclasses.replace(negotiated, max_xmit_data_segment_length=most)


def _input_of(pdu: Pdu) -> LoginInput:
    if not isinstance(pdu, LoginRequest):
        return LoginInput.OTHER_PDU
    if pdu.current_stage == Stage.SECURITY_NEGOTIATION:
        return LoginInput.SECURITY_REQUEST
    if pdu.current_stage == Stage.LOGIN_OPERATIONAL_NEGOTIATION:
        return LoginInput.OPERATIONAL_REQUEST
    return LoginInput.STRAY_REQUEST


def _identity(request: LoginRequest) -> tuple[int, ...]:
    """What all requests of one login have in common (RFC 7143 §11.12)."""
    return (
        request.isid,
        request.tsih,
        request.cid,
        request.initiator_task_tag,
        request.cmd_sn,
        request.version_max,
        request.version_min,
    )


def _check_transit(request: LoginRequest) -> None:
    """With the T bit the text is complete, and NSG is a stage that one can go to (RFC 7143 §11.12.2, §11.12.3)."""
    if request.continue_:
        raise LoginRefused(LoginStatus.INITIATOR_ERROR, "T bit and C bit together (RFC 7143 §11.12.2)")
    if request.next_stage not in {Stage.LOGIN_OPERATIONAL_NEGOTIATION, Stage.FULL_FEATURE_PHASE}:
        raise LoginRefused(LoginStatus.INITIATOR_ERROR, f"NSG is {request.next_stage}")


def _check_fetches_answer(request: LoginRequest) -> None:
    """While our answer has the C bit, the initiator's requests are empty (RFC 7143 §6.2)."""
    if memoryview(request.data_segment).nbytes or request.continue_:
        raise LoginRefused(LoginStatus.INITIATOR_ERROR, "text in the middle of our answer (RFC 7143 §6.2)")


def _initiator_name(keys: dict[str, str]) -> IscsiName:
    if "InitiatorName" not in keys:
        raise LoginRefused(LoginStatus.MISSING_PARAMETER, "no InitiatorName in the first request (RFC 7143 §6.3.1)")
    try:
        return IscsiName(_NAME.parse(keys["InitiatorName"]))
    except ConfigurationError as error:
        raise LoginRefused(LoginStatus.INITIATOR_ERROR, f"InitiatorName: {error}") from error


def _target_name(keys: dict[str, str]) -> IscsiName:
    if "TargetName" not in keys:
        raise LoginRefused(LoginStatus.MISSING_PARAMETER, "no TargetName in the first request (RFC 7143 §13.4)")
    try:
        return IscsiName(_NAME.parse(keys["TargetName"]))
    except ConfigurationError as error:
        # What is no iSCSI name is nobody's name either.
        raise LoginRefused(LoginStatus.NOT_FOUND, f"TargetName: {error}") from error


def _session_type(keys: dict[str, str]) -> SessionType:
    try:
        return SessionType(keys.get("SessionType", SessionType.NORMAL.value))
    except ValueError as error:
        status = LoginStatus.SESSION_TYPE_NOT_SUPPORTED
        raise LoginRefused(status, f"SessionType={keys['SessionType'][:63]}") from error
