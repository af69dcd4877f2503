"""Who may log in through one portal, and what their session is made of: `iscsi.login` asks, this answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isthmus.engine.interface import Engine, NormalSession
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login_policy import (
    Admission,
    Authentication,
    DiscoveryView,
    ExistingSession,
    LoginCompleted,
    TargetView,
)
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.session import Session
from isthmus.iscsi.session_state import SessionInput, SessionState
from isthmus.names import Cid, IscsiName, Isid, Tsih
from isthmus.server.options import Portal
from isthmus.target.access import DEFAULT_LOGIN_TIMEOUT, InitiatorAccess, Redirection, Route, SessionLimit, Visitor
from isthmus.target.portal_group import PortalGroup
from isthmus.target.session_registry import TsihAllocator
from isthmus.target.target_node import TargetNode

__all__ = ["MAX_SESSIONS_OF_INITIATOR", "Directory", "PortalPolicy"]

MAX_SESSIONS_OF_INITIATOR: Final = 256
"""In one portal group, whatever the operator allows: an initiator chooses its ISIDs, so without a bound it could take every
session handle from the others. Hosts with many paths make up to 32."""


class Directory:
    """What one server has to offer: its targets, what discovery asks for, and the session handles of all."""

    def __init__(self, discovery_authentication: Authentication, discovery_offers: Offers) -> None:
        """No targets yet."""
        self.targets: dict[IscsiName, TargetNode] = {}
        self.discovery_authentication = discovery_authentication
        self.discovery_offers = discovery_offers
        self.advertised: tuple[Portal, ...] = ()
        """What SendTargets tells of portals on every address; empty: the address that the initiator came to."""
        self.tsihs = TsihAllocator()
        self.closed = ""
        """Why nobody may log in for now; empty: whoever may otherwise (tgt's system state)."""

    def add(self, target: TargetNode) -> None:
        """Offer `target`."""
        self.targets[target.name] = target


Reach = Callable[[TargetNode], PortalGroup | None]
"""Which portal group of a target a portal belongs to; None: the target is not reached there."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a login wants to: what stands behind a `TargetView`."""

    node: TargetNode
    group: PortalGroup
    access: InitiatorAccess
    visitor: Visitor


class PortalPolicy:
    """The `LoginPolicy` of connections that come in on one portal. Which group that stands for, each target says."""

    def __init__(self, directory: Directory, engine: Engine, reach: Reach, route: Route) -> None:
        """Sessions are opened in `engine`; the connection has come by `route`."""
        self._directory = directory
        self._engine = engine
        self._reach = reach
        self._route = route
        self.login_timeout = DEFAULT_LOGIN_TIMEOUT
        """Seconds that the login in progress may take from its accept: of the target that it asked for, if it has."""

    def target(self, initiator_name: IscsiName, target_name: IscsiName) -> TargetView:
        """See `LoginPolicy.target`."""
        if self._directory.closed:
            raise LoginRefused(LoginStatus.SERVICE_UNAVAILABLE, self._directory.closed)
        node = self._directory.targets.get(target_name)
        group = None if node is None else self._reach(node)
        if node is None or group is None:
            raise LoginRefused(LoginStatus.NOT_FOUND, f"there is no target {target_name} at this portal")
        visitor = Visitor(name=initiator_name, route=self._route)
        access = node.access(visitor, group)
        if access.redirection is not None:
            self._redirect(access.redirection)
        self.login_timeout = access.login_timeout
        return TargetView(
            name=node.name,
            target_portal_group_tag=group.target_portal_group_tag,
            alias=access.alias or node.alias,
            authentication=access.authentication,
            offers=access.offers,
            max_xmit_data_segment_length=access.max_xmit_data_segment_length,
            command_window=access.command_window,
            node=_Place(node, group, access, visitor),
        )

    def _redirect(self, redirection: Redirection) -> None:
        """Send the initiator there, unless it is there already."""
        if (redirection.host, redirection.port) == (self._route.portal_address, self._route.portal_port):
            return
        status = LoginStatus.TARGET_MOVED_TEMPORARILY
        if redirection.permanent:
            status = LoginStatus.TARGET_MOVED_PERMANENTLY
        raise LoginRefused(status, f"logins are sent to {redirection.address}", address=redirection.address)

    def discovery(self, initiator_name: IscsiName) -> DiscoveryView:
        """See `LoginPolicy.discovery`."""
        directory = self._directory
        if directory.closed:
            raise LoginRefused(LoginStatus.SERVICE_UNAVAILABLE, directory.closed)
        return DiscoveryView(authentication=directory.discovery_authentication, offers=directory.discovery_offers)

    def joining(
        self, tsih: Tsih, isid: Isid, initiator_name: IscsiName, target: TargetView, cid: Cid
    ) -> ExistingSession:
        """See `LoginPolicy.joining`."""
        session = _session_to_join(_place(target), tsih, isid, initiator_name, cid)
        window = session.window
        return ExistingSession(
            parameters=session.parameters, exp_cmd_sn=window.exp_cmd_sn, max_cmd_sn=window.max_cmd_sn
        )

    def admit(self, login: LoginCompleted) -> Admission:
        """See `LoginPolicy.admit`."""
        if login.target is None:
            return self._admit_discovery(login)
        place = self._still_open(login)
        if login.leading:
            return self._admit_leading(login, place)
        session = _session_to_join(place, login.tsih, login.isid, login.initiator_name, login.cid)
        if login.chap_user != session.chap_user:
            raise LoginRefused(LoginStatus.CANNOT_INCLUDE_IN_SESSION, "the session is another user's")
        if login.cid in session.connections:
            self._engine.drop_connection(session, login.cid, "reinstated")
        if session.state is SessionState.FAILED:
            session.advance(SessionInput.CONTINUATION)
        return Admission(tsih=login.tsih, session=session)

    def _still_open(self, login: LoginCompleted) -> _Place:
        """Where the login goes, as it stands now: the rules may have changed since it began."""
        assert login.target is not None
        began = _place(login.target)
        if self._directory.targets.get(began.node.name) is not began.node:
            raise LoginRefused(LoginStatus.TARGET_REMOVED, "the target was removed during the login")
        if began.group not in began.node.portal_groups.values():
            raise LoginRefused(LoginStatus.TARGET_REMOVED, "the portal group was removed during the login")
        access = began.node.access(began.visitor, began.group)
        return _Place(began.node, began.group, access, began.visitor)

    def _admit_leading(self, login: LoginCompleted, place: _Place) -> Admission:
        node, group, access = place.node, place.group, place.access
        tag = group.target_portal_group_tag
        existing = node.sessions.by_identifier(login.initiator_name, login.isid, tag)
        if existing is not None and login.chap_user != existing.chap_user:
            # An initiator name is no secret: without this, knowing it would be enough to end another's session.
            raise LoginRefused(LoginStatus.AUTHORIZATION_FAILURE, "another user has a session of this name and ISID")
        _check_limits(place, existing)
        if existing is not None:
            self._engine.end_session(existing, "reinstated")
        nexus = node.nexus(login.initiator_name, login.isid, group, access.mappings)
        nexus.command_window = access.command_window
        target = NormalSession(
            router=node.router,
            nexus=nexus,
            on_cold_reset=lambda: self._cold_reset(node),
            window_depth=access.command_window,
            keepalive=access.keepalive,
        )
        tsih = self._allocate()
        session = self._engine.open_session(login, tsih, target, lambda ended: self._ended(ended, node))
        node.sessions.add(session, tag)
        if group.access is not None:
            group.access.admitted(place.visitor)
        node.nexuses[session] = nexus
        node.visitors[session] = place.visitor
        return Admission(tsih=tsih, session=session)

    def _admit_discovery(self, login: LoginCompleted) -> Admission:
        tsih = self._allocate()
        session = self._engine.open_session(login, tsih, None, lambda ended: self._directory.tsihs.release(ended.tsih))
        return Admission(tsih=tsih, session=session)

    def _allocate(self) -> Tsih:
        tsih = self._directory.tsihs.allocate()
        if tsih is None:
            raise LoginRefused(LoginStatus.OUT_OF_RESOURCES, "every session handle is taken")
        return Tsih(tsih)

    def _ended(self, session: Session, node: TargetNode) -> None:
        node.sessions.remove(session)
        node.nexuses.pop(session, None)
        node.visitors.pop(session, None)
        self._directory.tsihs.release(session.tsih)

    def _cold_reset(self, node: TargetNode) -> None:
        for session in node.sessions:
            self._engine.end_session(session, "TARGET COLD RESET")


def _place(target: TargetView) -> _Place:
    place = target.node
    assert isinstance(place, _Place)
    return place


def _check_limits(place: _Place, existing: Session | None) -> None:
    """Raise `LoginRefused` if there are sessions enough, not counting the one that this login takes the place of.

    The status is of "insufficient session […] resources" (RFC 7143 §11.13.5): initiators try again later.
    """
    tag = place.group.target_portal_group_tag
    own = SessionLimit(
        maximum=MAX_SESSIONS_OF_INITIATOR,
        concerns=lambda visitor: visitor.name == place.visitor.name,
        what="the initiator",
    )
    for limit in (own, *place.access.session_limits):
        count = sum(
            node_session is not existing and limit.concerns(place.node.visitors[node_session])
            for node_session, nexus in place.node.nexuses.items()
            if nexus.target_portal_group_tag == tag
        )
        if count >= limit.maximum:
            raise LoginRefused(LoginStatus.OUT_OF_RESOURCES, f"{limit.what} has {count} sessions, its limit")


def _session_to_join(place: _Place, tsih: int, isid: int, initiator_name: IscsiName, cid: int) -> Session:
    sessions = place.node.sessions
    session = sessions.by_tsih(tsih)
    if (
        session is None
        or sessions.by_identifier(initiator_name, isid, place.group.target_portal_group_tag) is not session
    ):
        raise LoginRefused(LoginStatus.SESSION_DOES_NOT_EXIST, f"no session of this initiator has TSIH {tsih}")
    others = len(session.connections.keys() - {cid})
    if others >= session.parameters.max_connections:
        raise LoginRefused(LoginStatus.TOO_MANY_CONNECTIONS, f"the session has {others} connections already")
    return session
