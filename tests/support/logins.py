"""Logins in memory: a target with a policy of its own, and traces that read like the examples of the RFC."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from isthmus.iscsi.codec import PduReader, encode
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login import (
    Admission,
    Authentication,
    DiscoveryView,
    ExistingSession,
    Login,
    LoginCompleted,
    LoginFailed,
    LoginOutcome,
    TargetView,
)
from isthmus.iscsi.login_initiator import InitiatorLogin, InitiatorLoginOutcome, InitiatorLoginSettings
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Offers, SessionParameters
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, Pdu
from isthmus.iscsi.text_format import parse_text
from isthmus.names import Cid, IscsiName, Isid, Tsih
from tests.support.randomness import counting

__all__ = ["INITIATOR", "ISID", "TARGET", "Policy", "Trace", "joined", "on_the_wire", "settings"]

INITIATOR = IscsiName("iqn.2001-04.com.example:host")
TARGET = IscsiName("iqn.2001-04.com.example:disk")
ISID = 0x8012_3456_0001
ITT, CMD_SN, EXP_STAT_SN = 0x0A0B_0C0D, 100, 500
NEW_TSIH = Tsih(7)


@dataclass(slots=True)
class Policy:
    """A policy that knows one target and one session, or refuses at the step that a test names."""

    authentication: Authentication = field(default_factory=Authentication)
    offers: Offers = field(default_factory=Offers)
    alias: str = ""
    refusals: dict[str, LoginRefused] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """The steps, in the order in which they were asked for."""

    def _step(self, name: str) -> None:
        self.asked.append(name)
        if name in self.refusals:
            raise self.refusals[name]

    def target(self, initiator_name: IscsiName, target_name: IscsiName) -> TargetView:
        self._step("target")
        if target_name != TARGET:
            raise LoginRefused(LoginStatus.NOT_FOUND, f"no target {target_name}")
        return TargetView(
            name=target_name,
            target_portal_group_tag=1,
            alias=self.alias,
            authentication=self.authentication,
            offers=self.offers,
        )

    def discovery(self, initiator_name: IscsiName) -> DiscoveryView:
        self._step("discovery")
        return DiscoveryView(authentication=self.authentication, offers=self.offers)

    def joining(
        self, tsih: Tsih, isid: Isid, initiator_name: IscsiName, target: TargetView, cid: Cid
    ) -> ExistingSession:
        self._step("joining")
        if tsih != NEW_TSIH:
            raise LoginRefused(LoginStatus.SESSION_DOES_NOT_EXIST, f"no session {tsih}")
        parameters = SessionParameters(max_connections=4, max_burst_length=4096, first_burst_length=1024)
        return ExistingSession(parameters=parameters, exp_cmd_sn=90, max_cmd_sn=121)

    def admit(self, login: LoginCompleted) -> Admission:
        self._step("admit")
        return Admission(tsih=login.tsih or NEW_TSIH, session="session")


class Trace:
    """One login, told step by step; `initiator` sends, `target` says what comes back."""

    def __init__(
        self, policy: Policy | None = None, *, random: Callable[[int], bytes] | None = None, **header: int
    ) -> None:
        """`header` are fields of every Login Request."""
        self.policy = policy or Policy()
        self.login = Login(self.policy, random=random or counting(), command_window=32)
        self._header = {"isid": ISID, "initiator_task_tag": ITT, "cmd_sn": CMD_SN, "exp_stat_sn": EXP_STAT_SN} | header
        self._stat_sn = self._header["exp_stat_sn"]
        self._responses: list[LoginResponse] = []
        self.response = LoginResponse()
        """The last one that `target` looked at."""

    def initiator(
        self,
        *text: str,
        stage: int = 1,
        to: int | None = None,
        more: bool = False,
        raw: bytes | None = None,
        **header: Any,
    ) -> Self:
        """A Login Request in `stage`, wanting `to`."""
        fields = self._header | header
        request = LoginRequest(
            transit=to is not None,
            next_stage=to or 0,
            continue_=more,
            current_stage=stage,
            data_segment="".join(f"{pair}\0" for pair in text).encode() if raw is None else raw,
            **fields,
        )
        return self.sends(request)

    def sends(self, pdu: Pdu) -> Self:
        """Any PDU, over the wire."""
        assert self._responses == [], "a response that the trace does not tell"
        self._responses = [on_the_wire(response) for response in self.login.receive(on_the_wire(pdu))]
        return self

    def target(self, *text: str, to: int | None = None, more: bool = False, raw: bytes | None = None) -> Self:
        """A Login Response that accepts, with exactly this text; it goes to stage `to`, or stays."""
        assert self._responses, f"no response: {self.login.outcome}"
        self.response = response = self._responses.pop(0)
        assert response.status == 0, self.login.outcome
        received = [f"{key}={value}" for key, value in parse_text(response.data_segment)] if raw is None else []
        assert received == list(text)
        assert raw is None or response.data_segment == raw
        assert (response.transit, response.next_stage) == (to is not None, to or 0)
        assert response.continue_ is more
        assert response.stat_sn == self._stat_sn
        assert (response.isid, response.initiator_task_tag) == (
            self._header["isid"],
            self._header["initiator_task_tag"],
        )
        assert (response.version_max, response.version_active) == (0, 0)
        self._stat_sn += 1
        return self

    def something(self) -> Self:
        """A Login Response that accepts, whatever it says."""
        self.response = self._responses.pop(0)
        assert self.response.status == 0
        self._stat_sn += 1
        return self

    def refuses(self, status: LoginStatus, *text: str) -> LoginFailed:
        """A Login Response that ends the login."""
        assert self._responses, f"no response: {self.login.outcome}"
        self.response = response = self._responses.pop(0)
        assert LoginStatus(response.status) is status, self.login.outcome
        assert not response.transit
        assert not response.continue_
        assert [f"{key}={value}" for key, value in parse_text(response.data_segment)] == list(text)
        failed = self.failed()
        assert failed.status is status
        return failed

    def closes(self) -> LoginFailed:
        """No answer."""
        assert self._responses == []
        failed = self.failed()
        assert failed.status is None
        return failed

    def failed(self) -> LoginFailed:
        """The outcome of a login that failed."""
        assert isinstance(self.login.outcome, LoginFailed)
        return self.login.outcome

    def completed(self) -> LoginCompleted:
        """The outcome of a login that succeeded."""
        assert isinstance(self.login.outcome, LoginCompleted), self.login.outcome
        return self.login.outcome


def on_the_wire(pdu: Any) -> Any:
    """The PDU as the other end reads it."""
    reader = PduReader(max_data_segment_length=1 << 24)
    reader.feed(b"".join(bytes(piece) for piece in encode(pdu)))
    received = reader.next_pdu()
    assert received is not None
    return received


def settings(**changes: Any) -> InitiatorLoginSettings:
    """Those of an initiator that wants `TARGET`."""
    values: dict[str, Any] = {"initiator_name": INITIATOR, "target_name": TARGET, "isid": ISID, "cmd_sn": CMD_SN}
    return InitiatorLoginSettings(**(values | changes))


def joined(
    policy: Policy, wanted: InitiatorLoginSettings, *, random: Callable[[int], bytes] | None = None
) -> tuple[LoginOutcome | None, InitiatorLoginOutcome, int]:
    """Initiator and target log in with each other: both outcomes, and the number of requests.

    A target whose initiator gives up has none.
    """
    random = random or counting()
    target, initiator = Login(policy, random=random), InitiatorLogin(wanted, random=random)
    request: LoginRequest | None = initiator.start()
    count = 0
    while request is not None and target.outcome is None:
        count += 1
        responses = target.receive(on_the_wire(request))
        request = initiator.receive(on_the_wire(responses[0])) if responses else None
    assert initiator.outcome is not None
    return target.outcome, initiator.outcome, count
