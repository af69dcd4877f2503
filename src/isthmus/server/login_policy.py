"""Who may log in through one portal group, and what their session is made of: `iscsi.login` asks, this answers."""

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
from isthmus.target.session_registry import TsihAllocator
from isthmus.target.target_node import TargetNode

__all__ = ["Directory", "PortalPolicy"]


class Directory:
    """What one server has to offer: its targets, what discovery asks for, and the session handles of all."""

    def __init__(self, discovery_authentication: Authentication, discovery_offers: Offers) -> None:
        """No targets yet."""
        self.targets: dict[IscsiName, TargetNode] = {}
        self.discovery_authentication = discovery_authentication
        self.discovery_offers = discovery_offers
        self.tsihs = TsihAllocator()

    def add(self, target: TargetNode) -> None:
        """Offer `target`."""
        self.targets[target.name] = target


class PortalPolicy:
    """The `LoginPolicy` of the connections that come in on a portal of one tag."""

    def __init__(self, directory: Directory, engine: Engine, target_portal_group_tag: int) -> None:
        """Sessions are opened in `engine`."""
        self._directory = directory
        self._engine = engine
        self._tag = target_portal_group_tag

    def target(self, initiator_name: IscsiName, target_name: IscsiName) -> TargetView:
        """See `LoginPolicy.target`."""
        node = self._directory.targets.get(target_name)
        if node is None or self._tag not in node.portal_groups:
            raise LoginRefused(LoginStatus.NOT_FOUND, f"there is no target {target_name} at this portal")
        return TargetView(
            name=node.name,
            target_portal_group_tag=self._tag,
            alias=node.alias,
            authentication=node.authentication,
            offers=node.offers,
            node=node,
        )

    def discovery(self, initiator_name: IscsiName) -> DiscoveryView:
        """See `LoginPolicy.discovery`."""
        directory = self._directory
        return DiscoveryView(authentication=directory.discovery_authentication, offers=directory.discovery_offers)

    def joining(
        self, tsih: Tsih, isid: Isid, initiator_name: IscsiName, target: TargetView, cid: Cid
    ) -> ExistingSession:
        """See `LoginPolicy.joining`."""
        session = self._session_to_join(_node(target), tsih, isid, initiator_name, cid)
        window = session.window
        return ExistingSession(
            parameters=session.parameters, exp_cmd_sn=window.exp_cmd_sn, max_cmd_sn=window.max_cmd_sn
        )

    def _session_to_join(self, node: TargetNode, tsih: int, isid: int, initiator_name: IscsiName, cid: int) -> Session:
        session = node.sessions.by_tsih(tsih)
        if session is None or node.sessions.by_identifier(initiator_name, isid, self._tag) is not session:
            raise LoginRefused(LoginStatus.SESSION_DOES_NOT_EXIST, f"no session of this initiator has TSIH {tsih}")
        others = len(session.connections.keys() - {cid})
        if others >= session.parameters.max_connections:
            raise LoginRefused(LoginStatus.TOO_MANY_CONNECTIONS, f"the session has {others} connections already")
        return session

    def admit(self, login: LoginCompleted) -> Admission:
        """See `LoginPolicy.admit`."""
        if login.target is None:
            return self._admit_discovery(login)
        node = _node(login.target)
        if login.leading:
            return self._admit_leading(login, node)
        session = self._session_to_join(node, login.tsih, login.isid, login.initiator_name, login.cid)
        if login.chap_user != session.chap_user:
            raise LoginRefused(LoginStatus.CANNOT_INCLUDE_IN_SESSION, "the session is another user's")
        if login.cid in session.connections:
            self._engine.drop_connection(session, login.cid, "reinstated")
        if session.state is SessionState.FAILED:
            session.advance(SessionInput.CONTINUATION)
        return Admission(tsih=login.tsih, session=session)

    def _admit_leading(self, login: LoginCompleted, node: TargetNode) -> Admission:
        existing = node.sessions.by_identifier(login.initiator_name, login.isid, self._tag)
        if existing is not None:
            if login.chap_user != existing.chap_user:
                # An initiator name is no secret: without this, knowing it would be enough to end another's session.
                raise LoginRefused(
                    LoginStatus.AUTHORIZATION_FAILURE, "another user has a session of this name and ISID"
                )
            self._engine.end_session(existing, "reinstated")
        group = node.portal_groups[self._tag]
        target = NormalSession(
            router=node.router,
            nexus=node.nexus(login.initiator_name, login.isid, group),
            on_cold_reset=lambda: self._cold_reset(node),
        )
        tsih = self._allocate()
        session = self._engine.open_session(login, tsih, target, lambda ended: self._ended(ended, node))
        node.sessions.add(session, self._tag)
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
        self._directory.tsihs.release(session.tsih)

    def _cold_reset(self, node: TargetNode) -> None:
        for session in node.sessions:
            self._engine.end_session(session, "TARGET COLD RESET")


def _node(target: TargetView) -> TargetNode:
    node = target.node
    assert isinstance(node, TargetNode)
    return node
