"""What a login asks of the target that runs it, and what comes out of it: the seam between the protocol and the server."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import ConnectionParameters, Offers, SessionParameters
from isthmus.names import Cid, IscsiName, Isid, SerialNumber, Tsih

__all__ = [
    "Admission",
    "Authentication",
    "DiscoveryView",
    "ExistingSession",
    "LoginCompleted",
    "LoginFailed",
    "LoginOutcome",
    "LoginPolicy",
    "SessionType",
    "TargetView",
]


class SessionType(enum.Enum):
    """The values of the SessionType key (RFC 7143 §13.21)."""

    NORMAL = "Normal"
    DISCOVERY = "Discovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """How initiators prove who they are, and how the target proves itself to them (RFC 7143 §12.1)."""

    required: bool = False
    """Nobody gets in without CHAP."""
    lookup: Callable[[str], bytes | None] | None = field(default=None, repr=False)
    """The CHAP secret of a user, None for a user unknown here. No lookup at all: CHAP is not offered."""
    mutual_user: str = ""
    mutual_secret: bytes | None = field(default=None, repr=False)
    """What the target answers an initiator's challenge with; None refuses initiators that ask for it."""

    def __post_init__(self) -> None:
        if self.required and self.lookup is None:
            raise ValueError("CHAP cannot be required without a lookup for its secrets")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """A target as one initiator may see it at one portal."""

    name: IscsiName
    target_portal_group_tag: int
    alias: str = ""
    authentication: Authentication = field(default_factory=Authentication)
    offers: Offers = field(default_factory=Offers)
    max_xmit_data_segment_length: int = 0xFF_FFFF
    """Bytes: nothing longer is sent, even if the initiator takes it. Not said on the wire."""
    command_window: int | None = None
    """Commands that a new session may send at once; None leaves it to the login's owner."""
    node: object = None
    """The policy's own object behind this view: login only hands it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryView:
    """What a discovery session of one initiator gets; it has no target."""

    authentication: Authentication = field(default_factory=Authentication)
    offers: Offers = field(default_factory=Offers)
    node: object = None
    """The policy's own object behind this view: login only hands it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingSession:
    """The session that a further connection joins, as it stands when the login begins."""

    parameters: SessionParameters
    exp_cmd_sn: int
    max_cmd_sn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCompleted:
    """The connection is in full feature phase."""

    session_type: SessionType
    initiator_name: IscsiName
    initiator_alias: str
    target: TargetView | None
    """None in a discovery session."""
    discovery: DiscoveryView | None
    """None in a normal session."""
    isid: Isid
    tsih: Tsih
    """As assigned; 0 while `LoginPolicy.admit` is still asked for the one of a new session."""
    cid: Cid
    leading: bool
    session_parameters: SessionParameters
    connection_parameters: ConnectionParameters
    exp_cmd_sn: SerialNumber
    """The CmdSN of this login: of a leading connection, the next that the target expects, since a login is immediate
    and takes none (RFC 7143 §11.12.8). Of a further connection the session knows better."""
    stat_sn: SerialNumber
    """The StatSN of the next response on this connection."""
    chap_user: str | None
    """Whom CHAP authenticated; None: nobody."""
    session: object = None
    """What the policy returned in `Admission.session`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed:
    """The login is over, and the connection is to be closed once the responses are sent."""

    status: LoginStatus | None
    """What the initiator was told; None: nothing, the connection just closes (RFC 7143 §6.3)."""
    reason: str
    """For the log, never for the peer."""
    initiator_name: str = ""
    """Who tried, as far as it said so."""
    target_name: str = ""
    address: str = ""
    """Where the initiator was sent, when the target has moved (`domainname[:port][,tag]`)."""


LoginOutcome = LoginCompleted | LoginFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The place that the policy gave a login."""

    tsih: Tsih
    session: object = None


class LoginPolicy(Protocol):
    """Who may log in where. Every method may raise `LoginRefused`; none may block."""

    def target(self, initiator_name: IscsiName, target_name: IscsiName) -> TargetView:
        """The target of that name as this initiator sees it.

        Refusals: NOT_FOUND, TARGET_REMOVED, AUTHORIZATION_FAILURE, SERVICE_UNAVAILABLE, TARGET_MOVED_TEMPORARILY or
        TARGET_MOVED_PERMANENTLY with `address`.
        """

    def discovery(self, initiator_name: IscsiName) -> DiscoveryView:
        """What a discovery session gets. Refusals: AUTHORIZATION_FAILURE, SESSION_TYPE_NOT_SUPPORTED."""

    def joining(
        self, tsih: Tsih, isid: Isid, initiator_name: IscsiName, target: TargetView, cid: Cid
    ) -> ExistingSession:
        """The session that a login with a TSIH other than 0 wants to join; asked before authentication, changes nothing.

        Refusals: SESSION_DOES_NOT_EXIST, CANNOT_INCLUDE_IN_SESSION, TOO_MANY_CONNECTIONS.
        """

    def admit(self, login: LoginCompleted) -> Admission:
        """Make room for a login that has all it needs, right before its final response; the last chance to refuse.

        Creates, joins or reinstates the session (RFC 7143 §6.3.4, §6.3.5). Refusals: TOO_MANY_CONNECTIONS,
        OUT_OF_RESOURCES, SERVICE_UNAVAILABLE, SESSION_DOES_NOT_EXIST.
        """
