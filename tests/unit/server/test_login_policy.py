from collections.abc import Callable

import pytest

from isthmus.engine.interface import Handover
from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login_policy import Authentication, LoginCompleted, SessionType
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import ConnectionParameters, Offers, SessionParameters
from isthmus.iscsi.session import Session
from isthmus.iscsi.session_state import SessionState
from isthmus.iscsi.text import TextExchange
from isthmus.names import Cid, IscsiName, Isid, SerialNumber, Tsih
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.login_policy import Directory, PortalPolicy
from isthmus.target.access import InitiatorAccess, Redirection, SessionLimit, Standing, Visitor
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode
from tests.support.engine import FakeLoop, FakeSocket
from tests.support.scsi import make_unit
from tests.support.visitors import ROUTE, visitor

NAME = IscsiName("iqn.2026-01.com.example:disks")
HOST = IscsiName("iqn.2026-01.com.example:host")


class Portal:
    """One portal of a server with one target, and the logins that come in on it."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.engine = ReferenceEngine(self.loop)  # type: ignore[arg-type]
        self.directory = Directory(Authentication(), Offers())
        self.node = TargetNode(NAME, TaskRouter(ImmediateExecutor()), alias="disks")
        self.node.add_portal_group(PortalGroup(target_portal_group_tag=1, relative_target_port_id=1))
        self.unit = make_unit()
        self.node.map(0, LunMapping(self.unit))
        self.directory.add(self.node)
        self.policy = PortalPolicy(self.directory, self.engine, lambda node: node.portal_groups.get(1), ROUTE)

    def login(self, **fields: object) -> LoginCompleted:
        """A login that has all it needs; leading and normal unless told otherwise."""
        values: dict[str, object] = {
            "session_type": SessionType.NORMAL,
            "initiator_name": HOST,
            "initiator_alias": "",
            "target": self.policy.target(HOST, NAME),
            "discovery": None,
            "isid": Isid(1),
            "tsih": Tsih(0),
            "cid": Cid(1),
            "leading": True,
            "session_parameters": SessionParameters(max_connections=2),
            "connection_parameters": ConnectionParameters(),
            "exp_cmd_sn": SerialNumber(1),
            "stat_sn": SerialNumber(1),
            "chap_user": None,
        }
        return LoginCompleted(**{**values, **fields})  # type: ignore[arg-type]

    def admit(self, **fields: object) -> Session:
        """Admit a login and let the engine have its connection."""
        completed = self.login(**fields)
        admission = self.policy.admit(completed)
        session = admission.session
        assert isinstance(session, Session)
        adopted = self.login(**{**fields, "tsih": admission.tsih, "session": session})
        text = TextExchange(
            directory=None,  # type: ignore[arg-type]
            session_target=NAME,
            parameters=adopted.connection_parameters,
        )
        self.engine.adopt(FakeSocket(), adopted, text, Handover(to_send=b"", received=b""))  # type: ignore[arg-type]
        return session


@pytest.fixture
def portal() -> Portal:
    """A portal without sessions."""
    return Portal()


def refused(what: Callable[[], object]) -> LoginStatus:
    """The status with which a login is refused."""
    with pytest.raises(LoginRefused) as error:
        what()
    return error.value.status


def test_a_target_is_seen_with_its_tag(portal: Portal) -> None:
    """What the login needs to know of it."""
    view = portal.policy.target(HOST, NAME)
    assert (view.name, view.target_portal_group_tag, view.alias) == (NAME, 1, "disks")


def test_a_target_that_is_not_reached_here_is_not_found(portal: Portal) -> None:
    """Neither one that there is not, nor one that has other portals."""
    other = IscsiName("iqn.2026-01.com.example:other")
    assert refused(lambda: portal.policy.target(HOST, other)) == LoginStatus.NOT_FOUND
    elsewhere = PortalPolicy(portal.directory, portal.engine, lambda node: None, ROUTE)
    assert refused(lambda: elsewhere.target(HOST, NAME)) == LoginStatus.NOT_FOUND


def test_a_leading_login_opens_a_session(portal: Portal) -> None:
    """It is known by its handle and its identifier, and its units know its nexus."""
    session = portal.admit()
    assert session.tsih != 0
    assert portal.node.sessions.by_tsih(session.tsih) is session
    assert portal.node.sessions.by_identifier(HOST, 1, 1) is session
    assert len(list(portal.unit.nexuses)) == 1


def test_a_leading_login_of_the_same_port_reinstates(portal: Portal) -> None:
    """The old session and its nexus are gone before the new one is there (RFC 7143 §6.3.5)."""
    old = portal.admit()
    new = portal.admit()
    assert old.state is SessionState.FREE
    assert list(portal.node.sessions) == [new]
    assert len(list(portal.unit.nexuses)) == 1


def test_another_isid_is_another_session(portal: Portal) -> None:
    """One initiator may have several (multipath)."""
    sessions = [portal.admit(isid=Isid(number)) for number in (1, 2)]
    assert list(portal.node.sessions) == sessions


def test_nobody_takes_over_the_session_of_another_user(portal: Portal) -> None:
    """Initiator name and ISID are no secrets."""
    session = portal.admit(chap_user="db")
    assert refused(lambda: portal.admit(chap_user="web")) == LoginStatus.AUTHORIZATION_FAILURE
    joining = {"leading": False, "tsih": Tsih(session.tsih), "cid": Cid(2)}
    assert refused(lambda: portal.admit(chap_user="web", **joining)) == LoginStatus.CANNOT_INCLUDE_IN_SESSION
    assert list(session.connections) == [1]


def test_a_further_connection_joins(portal: Portal) -> None:
    """It is told the session's parameters and window."""
    session = portal.admit()
    view = portal.policy.target(HOST, NAME)
    existing = portal.policy.joining(Tsih(session.tsih), Isid(1), HOST, view, Cid(2))
    assert existing.parameters is session.parameters
    assert existing.exp_cmd_sn == session.window.exp_cmd_sn
    assert portal.admit(leading=False, tsih=Tsih(session.tsih), cid=Cid(2)) is session
    assert sorted(session.connections) == [1, 2]


def test_no_more_connections_than_were_negotiated(portal: Portal) -> None:
    """A third is refused, a second with the CID of the first takes its place (RFC 7143 §6.3.4)."""
    session = portal.admit()
    joining = {"leading": False, "tsih": Tsih(session.tsih)}
    portal.admit(cid=Cid(2), **joining)
    assert refused(lambda: portal.admit(cid=Cid(3), **joining)) == LoginStatus.TOO_MANY_CONNECTIONS
    before = session.connections[1]
    portal.admit(cid=Cid(1), **joining)
    assert session.connections[1] is not before
    assert len(session.connections) == 2


@pytest.mark.parametrize("wrong", [{"tsih": Tsih(999)}, {"isid": Isid(7)}])
def test_a_session_is_joined_by_its_own_port_only(portal: Portal, wrong: dict[str, object]) -> None:
    """A handle that does not exist, or that of another initiator port."""
    session = portal.admit()
    joining: dict[str, object] = {"leading": False, "tsih": Tsih(session.tsih), "cid": Cid(2), **wrong}
    assert refused(lambda: portal.admit(**joining)) == LoginStatus.SESSION_DOES_NOT_EXIST


def test_a_failed_session_is_continued(portal: Portal) -> None:
    """Within the time to come back, a login with its handle continues it (RFC 7143 §8.3)."""
    session = portal.admit()
    stream = portal.engine._streams[session.connections[1]]
    portal.engine.lose(stream, "a test")
    states = [session.state]
    portal.admit(leading=False, tsih=Tsih(session.tsih), cid=Cid(1))
    states.append(session.state)
    assert states == [SessionState.FAILED, SessionState.LOGGED_IN]


def test_a_target_removed_during_the_login_lets_nobody_in(portal: Portal) -> None:
    """The rules are looked at again when it counts."""
    completed = portal.login()
    del portal.directory.targets[NAME]
    assert refused(lambda: portal.policy.admit(completed)) == LoginStatus.TARGET_REMOVED


def test_a_discovery_session_has_a_handle_and_no_nexus(portal: Portal) -> None:
    """It ends with its connection, and gives the handle back."""
    session = portal.admit(session_type=SessionType.DISCOVERY, target=None)
    assert list(portal.node.sessions) == []
    assert list(portal.unit.nexuses) == []
    portal.engine.end_session(session, "a test")
    assert session.tsih not in portal.directory.tsihs._used


def test_without_handles_there_are_no_sessions(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """65535 sessions are the limit."""
    monkeypatch.setattr(portal.directory.tsihs, "allocate", lambda: None)
    assert refused(portal.admit) == LoginStatus.OUT_OF_RESOURCES


def test_a_cold_reset_ends_every_session(portal: Portal) -> None:
    """Of the target, not of the server (RFC 7143 §11.5.1)."""
    for number in (1, 2):
        portal.admit(isid=Isid(number))
    portal.policy._cold_reset(portal.node)
    assert list(portal.node.sessions) == []


class Rules:
    """A portal group's own rules, with one access for everybody."""

    def __init__(self, **access: object) -> None:
        self.access = InitiatorAccess(**access)  # type: ignore[arg-type]

    def of(self, visitor: Visitor) -> InitiatorAccess:
        assert visitor.route == ROUTE
        return self.access

    def discoverable(self, visitor: Visitor) -> bool:
        raise AssertionError("nobody discovers")

    def admitted(self, visitor: Visitor) -> None:
        assert visitor.route == ROUTE

    def standing(self, visitor: Visitor) -> Standing:
        raise AssertionError("nobody asks")


@pytest.mark.parametrize(
    ("permanent", "status"),
    [(False, LoginStatus.TARGET_MOVED_TEMPORARILY), (True, LoginStatus.TARGET_MOVED_PERMANENTLY)],
)
def test_a_login_is_sent_elsewhere(portal: Portal, permanent: bool, status: LoginStatus) -> None:
    """With the address in the answer (RFC 7143 §11.13.5)."""
    portal.node.portal_groups[1].access = Rules(
        redirection=Redirection(host="2001:db8::5", port=3261, permanent=permanent)
    )
    with pytest.raises(LoginRefused) as caught:
        portal.policy.target(HOST, NAME)
    assert (caught.value.status, caught.value.address) == (status, "[2001:db8::5]:3261")


def test_nobody_is_sent_to_where_it_is(portal: Portal) -> None:
    """That would never end."""
    here = Redirection(host=ROUTE.portal_address, port=ROUTE.portal_port)
    portal.node.portal_groups[1].access = Rules(redirection=here)
    assert portal.policy.target(HOST, NAME).name == NAME


def test_a_session_more_than_the_limit_is_refused(portal: Portal) -> None:
    """One that comes back in its own place is not more, and one that ends makes room."""
    limit = SessionLimit(maximum=2, concerns=lambda visitor: visitor.name == HOST, what="the host")
    portal.node.portal_groups[1].access = Rules(session_limits=(limit,))
    for number in (1, 2, 2, 1):
        portal.admit(isid=Isid(number))
    assert refused(lambda: portal.admit(isid=Isid(3))) == LoginStatus.OUT_OF_RESOURCES
    assert len(portal.node.sessions) == 2
    session = portal.node.sessions.by_identifier(HOST, 1, 1)
    assert session is not None
    assert portal.node.visitors[session] == visitor(HOST)
    portal.engine.end_session(session, "a test")
    portal.admit(isid=Isid(3))
    assert list(portal.node.visitors) == list(portal.node.nexuses)


def test_no_initiator_takes_every_session(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound also where the operator has set none; others do not count, and reinstatement needs no room."""
    monkeypatch.setattr("isthmus.server.login_policy.MAX_SESSIONS_OF_INITIATOR", 2)
    for isid in (1, 2):
        portal.admit(isid=Isid(isid))
    assert refused(lambda: portal.admit(isid=Isid(3))) == LoginStatus.OUT_OF_RESOURCES
    portal.admit(isid=Isid(2))
    other = IscsiName("iqn.2026-01.com.example:other")
    portal.admit(isid=Isid(3), initiator_name=other, target=portal.policy.target(other, NAME))


def test_a_limit_that_refuses_leaves_the_old_session_alone(portal: Portal) -> None:
    """Though the login would have taken its place, had there been room for it."""
    old = portal.admit()
    nobody = SessionLimit(maximum=0, concerns=lambda _: True, what="a test")
    portal.node.portal_groups[1].access = Rules(session_limits=(nobody,))
    assert refused(portal.admit) == LoginStatus.OUT_OF_RESOURCES
    assert list(portal.node.sessions) == [old]


def test_limits_count_the_sessions_of_their_portal_group(portal: Portal) -> None:
    """Those of another are not theirs."""
    portal.admit()
    portal.node.add_portal_group(PortalGroup(target_portal_group_tag=2, relative_target_port_id=2))
    one = SessionLimit(maximum=1, concerns=lambda _: True, what="portal group 2")
    portal.node.portal_groups[2].access = Rules(session_limits=(one,))
    portal.policy = PortalPolicy(portal.directory, portal.engine, lambda node: node.portal_groups.get(2), ROUTE)
    portal.admit()
    assert refused(lambda: portal.admit(isid=Isid(2))) == LoginStatus.OUT_OF_RESOURCES
