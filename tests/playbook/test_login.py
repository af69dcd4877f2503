"""The login phase, one trace a test (RFC 7143 §6.3, §11.12, §11.13, Appendix B)."""

from typing import Any

import pytest

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login import MAX_LOGIN_REQUESTS, Authentication, SessionType
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import ConnectionParameters, Offers, SessionParameters
from isthmus.iscsi.pdu import LogoutRequest, NopOut, ScsiCommand, UnknownPdu
from tests.support.logins import INITIATOR, ISID, TARGET, Policy, Trace

SECURITY, OPERATIONAL, FULL_FEATURE = 0, 1, 3
NAMES = (f"InitiatorName={INITIATOR}", f"TargetName={TARGET}", "SessionType=Normal")
TAG = "TargetPortalGroupTag=1"
MAX_RECV = "MaxRecvDataSegmentLength=262144"
CHAP = Authentication(required=True, lookup={"user": b"a secret of 12"}.get)


def test_the_shortest_login() -> None:
    """One request with the names alone, straight to full feature phase: the defaults hold."""
    trace = Trace()
    trace.initiator(*NAMES, to=FULL_FEATURE)
    trace.target(TAG, MAX_RECV, to=FULL_FEATURE)
    done = trace.completed()
    assert (done.session_type, done.initiator_name, done.leading) == (SessionType.NORMAL, INITIATOR, True)
    assert done.target is not None
    assert (done.target.name, done.isid, done.tsih, done.cid) == (TARGET, ISID, 7, 0)
    assert done.session_parameters == SessionParameters()
    assert done.connection_parameters == ConnectionParameters(max_recv_data_segment_length=262144)
    assert (done.exp_cmd_sn, done.stat_sn, done.chap_user, done.session) == (100, 501, None, "session")
    assert trace.policy.asked == ["target", "admit"]


def test_a_login_through_both_stages() -> None:
    """AuthMethod=None settles the security stage; the tag is in the first response, the TSIH in the last only."""
    trace = Trace(Policy(alias="fast disk"), cid=3)
    trace.initiator(*NAMES, "InitiatorAlias=db 1", "AuthMethod=CHAP,None", stage=SECURITY, to=OPERATIONAL)
    trace.target(TAG, "TargetAlias=fast disk", "AuthMethod=None", to=OPERATIONAL)
    assert trace.response.tsih == 0
    trace.initiator(
        "HeaderDigest=CRC32C,None",
        "DataDigest=None",
        "MaxConnections=4",
        "InitialR2T=No",
        "ImmediateData=Yes",
        "MaxRecvDataSegmentLength=131072",
        "MaxBurstLength=16776192",
        "FirstBurstLength=65536",
        "DefaultTime2Wait=5",
        "DefaultTime2Retain=10",
        "MaxOutstandingR2T=1",
        "DataPDUInOrder=Yes",
        "DataSequenceInOrder=Yes",
        "ErrorRecoveryLevel=2",
        "IFMarker=No",
        "OFMarker=No",
        "TaskReporting=FastAbort,RFC3720",
        "iSCSIProtocolLevel=2",
        "X-com.example.speed=11",
        to=FULL_FEATURE,
    )
    trace.target(
        "HeaderDigest=CRC32C",
        "DataDigest=None",
        "MaxConnections=4",
        "InitialR2T=No",
        "ImmediateData=Yes",
        "MaxBurstLength=1048576",
        "FirstBurstLength=65536",
        "DefaultTime2Wait=5",
        "DefaultTime2Retain=10",
        "MaxOutstandingR2T=1",
        "DataPDUInOrder=Yes",
        "DataSequenceInOrder=Yes",
        "ErrorRecoveryLevel=0",
        "IFMarker=Reject",
        "OFMarker=Reject",
        "TaskReporting=RFC3720",
        "iSCSIProtocolLevel=1",
        "X-com.example.speed=NotUnderstood",
        MAX_RECV,
        to=FULL_FEATURE,
    )
    assert trace.response.tsih == 7
    done = trace.completed()
    assert (done.cid, done.initiator_alias, done.stat_sn) == (3, "db 1", 502)
    assert done.connection_parameters == ConnectionParameters(
        header_digest=True, max_recv_data_segment_length=262144, max_xmit_data_segment_length=131072
    )
    assert done.session_parameters == SessionParameters(
        max_connections=4,
        initial_r2t=False,
        max_burst_length=1048576,
        default_time2wait=5,
        default_time2retain=10,
    )


def test_a_login_that_skips_the_operational_stage() -> None:
    """From security straight to full feature phase: nobody declared anything, and the defaults hold."""
    trace = Trace()
    trace.initiator(*NAMES, "AuthMethod=None", stage=SECURITY, to=FULL_FEATURE)
    trace.target(TAG, "AuthMethod=None", to=FULL_FEATURE)
    assert trace.completed().connection_parameters == ConnectionParameters()


def test_a_security_stage_without_an_auth_method() -> None:
    """It may be empty where no authentication is required."""
    trace = Trace()
    trace.initiator(*NAMES, stage=SECURITY, to=OPERATIONAL).target(TAG, to=OPERATIONAL)
    trace.initiator(to=FULL_FEATURE).target(MAX_RECV, to=FULL_FEATURE)
    trace.completed()


def test_stages_in_small_steps() -> None:
    """Without the T bit a stage goes on for as many requests as the initiator wants."""
    trace = Trace()
    trace.initiator(*NAMES, stage=SECURITY).target(TAG)
    trace.initiator("AuthMethod=None", stage=SECURITY).target("AuthMethod=None")
    trace.initiator(stage=SECURITY).target()
    trace.initiator(stage=SECURITY, to=OPERATIONAL).target(to=OPERATIONAL)
    trace.initiator("MaxBurstLength=65536").target("MaxBurstLength=65536", MAX_RECV)
    trace.initiator("InitialR2T=Yes").target("InitialR2T=Yes")
    trace.initiator(to=FULL_FEATURE).target(to=FULL_FEATURE)
    assert trace.completed().session_parameters.max_burst_length == 65536


def test_names_said_again_in_the_operational_stage() -> None:
    """An initiator that repeats its names, unchanged, gets in."""
    trace = Trace()
    trace.initiator(*NAMES, "AuthMethod=CHAP,None", stage=SECURITY, to=OPERATIONAL)
    trace.target(TAG, "AuthMethod=None", to=OPERATIONAL)
    trace.initiator(*NAMES, "HeaderDigest=None", to=FULL_FEATURE)
    trace.target("HeaderDigest=None", MAX_RECV, to=FULL_FEATURE)
    trace.completed()


def test_a_discovery_login() -> None:
    """No target, no tag, and no use for the keys of SCSI (RFC 7143 §4.3)."""
    trace = Trace()
    trace.initiator(
        f"InitiatorName={INITIATOR}",
        "SessionType=Discovery",
        "MaxBurstLength=65536",
        "DefaultTime2Wait=0",
        "DataDigest=CRC32C",
        to=FULL_FEATURE,
    )
    trace.target("MaxBurstLength=Irrelevant", "DefaultTime2Wait=2", "DataDigest=CRC32C", MAX_RECV, to=FULL_FEATURE)
    done = trace.completed()
    assert (done.session_type, done.target) == (SessionType.DISCOVERY, None)
    assert done.discovery is not None
    assert done.connection_parameters.data_digest
    assert trace.policy.asked == ["discovery", "admit"]


def test_a_further_connection() -> None:
    """It joins the session of its TSIH, keeps what that settled, and answers with its command window."""
    trace = Trace(tsih=7, cid=1)
    trace.initiator(*NAMES[:2], "MaxBurstLength=65536", "HeaderDigest=CRC32C", to=FULL_FEATURE)
    trace.target(TAG, "MaxBurstLength=Reject", "HeaderDigest=CRC32C", MAX_RECV, to=FULL_FEATURE)
    assert (trace.response.tsih, trace.response.exp_cmd_sn, trace.response.max_cmd_sn) == (7, 90, 121)
    done = trace.completed()
    assert (done.leading, done.tsih, done.cid) == (False, 7, 1)
    assert done.session_parameters == SessionParameters(
        max_connections=4, max_burst_length=4096, first_burst_length=1024
    )
    assert trace.policy.asked == ["target", "joining", "admit"]


def test_the_command_window_of_a_new_session() -> None:
    """A login is immediate: ExpCmdSN is its CmdSN, and the window opens from there, over the wrap as well."""
    trace = Trace(cmd_sn=0xFFFF_FFF0)
    trace.initiator(*NAMES, to=FULL_FEATURE).target(TAG, MAX_RECV, to=FULL_FEATURE)
    assert (trace.response.exp_cmd_sn, trace.response.max_cmd_sn) == (0xFFFF_FFF0, 0x0000_000F)


# -- The C bit -------------------------------------------------------------------------------------------------------


def test_a_text_in_pieces() -> None:
    """Requests with the C bit are answered without text; pairs may be cut anywhere (RFC 7143 §6.2)."""
    trace = Trace()
    trace.initiator(raw=b"InitiatorName=iqn.2001-04.com.exam", more=True).target()
    trace.initiator(raw=b"", more=True).target()
    trace.initiator(raw=f"ple:host\0TargetName={TARGET}\0Max".encode(), more=True).target()
    trace.initiator(raw=b"BurstLength=65536\0", to=FULL_FEATURE)
    trace.target(TAG, "MaxBurstLength=65536", MAX_RECV, to=FULL_FEATURE)
    trace.completed()


def test_a_further_connection_in_pieces_acknowledges_nothing() -> None:
    """Until the session is known, ExpCmdSN and MaxCmdSN are a pair that the initiator ignores (§4.2.2.1)."""
    trace = Trace(tsih=7, cid=1)
    trace.initiator(raw=b"InitiatorName=", more=True).target()
    assert trace.response.max_cmd_sn == (trace.response.exp_cmd_sn - 2) & 0xFFFF_FFFF
    trace.initiator(raw=f"{INITIATOR}\0TargetName={TARGET}\0".encode(), to=FULL_FEATURE)
    trace.target(TAG, MAX_RECV, to=FULL_FEATURE)


def test_an_answer_in_pieces() -> None:
    """What does not fit into 8192 bytes follows on empty requests, and the T bit comes with the last (RFC 7143 §6.2)."""
    offers = [f"X-com.example.{'k' * 40}.{number:03}=1" for number in range(150)]
    answers = [f"{offer[:-2]}=NotUnderstood" for offer in offers]
    fits = 8192 // (len(answers[0]) + 1)
    trace = Trace()
    trace.initiator(*NAMES).target(TAG, MAX_RECV)
    trace.initiator(*offers[:75], more=True).target()
    trace.initiator(*offers[75:], to=FULL_FEATURE).target(*answers[:fits], more=True)
    trace.initiator(to=FULL_FEATURE).target(*answers[fits:], to=FULL_FEATURE)
    trace.completed()


def test_text_in_the_middle_of_an_answer() -> None:
    """While our answer is not complete, the initiator has nothing to say."""
    offers = [f"X-com.example.{'k' * 40}.{number:03}=1" for number in range(150)]
    trace = Trace()
    trace.initiator(*NAMES, *offers).something()
    assert trace.response.continue_
    trace.initiator("InitialR2T=Yes").refuses(LoginStatus.INITIATOR_ERROR)


# -- What the target brings up ---------------------------------------------------------------------------------------


def test_the_target_brings_up_a_key_itself() -> None:
    """A limit below the default, which the initiator left alone: it answers before the stage ends."""
    trace = Trace(Policy(offers=Offers(max_burst_length=65536, first_burst_length=65536)))
    trace.initiator(*NAMES, to=FULL_FEATURE).target(TAG, MAX_RECV, "MaxBurstLength=65536")
    trace.initiator("MaxBurstLength=4096", to=FULL_FEATURE).target(to=FULL_FEATURE)
    assert trace.completed().session_parameters.max_burst_length == 4096


def test_the_stage_does_not_end_before_the_target_has_its_answer() -> None:
    """The T bit is not granted while the initiator owes one."""
    trace = Trace(Policy(offers=Offers(max_burst_length=65536)))
    trace.initiator(*NAMES, to=FULL_FEATURE).target(TAG, MAX_RECV, "MaxBurstLength=65536")
    trace.initiator(to=FULL_FEATURE).target()
    trace.initiator("MaxBurstLength=65536", to=FULL_FEATURE).target(to=FULL_FEATURE)


def test_a_required_digest_that_the_initiator_turns_down() -> None:
    """The target insists, and the login fails."""
    trace = Trace(Policy(offers=Offers(data_digest=("CRC32C",))))
    trace.initiator(*NAMES, "DataDigest=None", to=FULL_FEATURE)
    assert "DataDigest" in trace.refuses(LoginStatus.INITIATOR_ERROR).reason


# -- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pdu", [NopOut(), ScsiCommand(), UnknownPdu(received_opcode=0x1D, bhs=bytes([0x1D]) + bytes(47))]
)
def test_what_is_no_login_gets_no_answer(pdu: NopOut) -> None:
    """Any other first PDU ends the connection at once (RFC 7143 §6.3)."""
    assert "not a Login Request" in Trace().sends(pdu).closes().reason


@pytest.mark.parametrize("stage", [SECURITY, OPERATIONAL])
def test_another_pdu_in_the_middle_of_a_login(stage: int) -> None:
    """It is answered "invalid during login" (RFC 7143 §6.3)."""
    trace = Trace()
    trace.initiator(*NAMES, stage=stage)
    trace.target(*((TAG,) if stage == SECURITY else (TAG, MAX_RECV)))
    trace.sends(LogoutRequest()).refuses(LoginStatus.INVALID_DURING_LOGIN)
    assert (trace.response.isid, trace.response.current_stage) == (ISID, stage)


def test_a_version_that_nobody_speaks() -> None:
    """Version-min above 0 (RFC 7143 §11.12.4); a Version-max above it is no matter."""
    Trace(version_min=1, version_max=1).initiator(*NAMES).refuses(LoginStatus.UNSUPPORTED_VERSION)
    Trace(version_max=9).initiator(*NAMES).target(TAG, MAX_RECV)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ((), LoginStatus.MISSING_PARAMETER),
        (NAMES[1:], LoginStatus.MISSING_PARAMETER),
        (NAMES[:1], LoginStatus.MISSING_PARAMETER),
        (("InitiatorName=host", NAMES[1]), LoginStatus.INITIATOR_ERROR),
        ((NAMES[0], "TargetName=iqn.2001-04.com.example:other"), LoginStatus.NOT_FOUND),
        ((NAMES[0], "TargetName=no name at all"), LoginStatus.NOT_FOUND),
        ((NAMES[0], "SessionType=Other"), LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
        ((NAMES[0], NAMES[0], NAMES[1]), LoginStatus.INITIATOR_ERROR),
    ],
)
def test_names_that_do_not_do(text: tuple[str, ...], status: LoginStatus) -> None:
    """The first text names initiator and target, unless it is for discovery (RFC 7143 §6.3.1, §13.4, §13.5)."""
    Trace().initiator(*text, to=FULL_FEATURE).refuses(status)


@pytest.mark.parametrize("step", ["target", "joining", "admit"])
@pytest.mark.parametrize(
    "status", [LoginStatus.AUTHORIZATION_FAILURE, LoginStatus.TOO_MANY_CONNECTIONS, LoginStatus.OUT_OF_RESOURCES]
)
def test_what_the_policy_refuses(step: str, status: LoginStatus) -> None:
    """Its status goes out, its reason to the log only."""
    policy = Policy(refusals={step: LoginRefused(status, "because")})
    trace = Trace(policy, tsih=7).initiator(*NAMES, to=FULL_FEATURE)
    failed = trace.refuses(status)
    assert (failed.reason, failed.initiator_name, failed.target_name) == ("because", INITIATOR, TARGET)
    assert policy.asked[-1] == step


def test_discovery_that_the_policy_refuses() -> None:
    """Discovery can be closed to an initiator."""
    policy = Policy(refusals={"discovery": LoginRefused(LoginStatus.AUTHORIZATION_FAILURE, "because")})
    trace = Trace(policy).initiator(NAMES[0], "SessionType=Discovery", to=FULL_FEATURE)
    trace.refuses(LoginStatus.AUTHORIZATION_FAILURE)


@pytest.mark.parametrize("status", [LoginStatus.TARGET_MOVED_TEMPORARILY, LoginStatus.TARGET_MOVED_PERMANENTLY])
def test_a_target_that_has_moved(status: LoginStatus) -> None:
    """The response says where to (RFC 7143 §11.13.5, §13.8)."""
    policy = Policy(refusals={"target": LoginRefused(status, "moved", address="[2001:db8::1]:3260,2")})
    failed = Trace(policy).initiator(*NAMES).refuses(status, "TargetAddress=[2001:db8::1]:3260,2")
    assert failed.address == "[2001:db8::1]:3260,2"


def test_a_session_that_does_not_exist() -> None:
    """A TSIH that nobody has."""
    Trace(tsih=9).initiator(*NAMES).refuses(LoginStatus.SESSION_DOES_NOT_EXIST)


def test_a_discovery_session_cannot_be_joined() -> None:
    """It has one connection (RFC 7143 §4.3)."""
    trace = Trace(tsih=7).initiator(NAMES[0], "SessionType=Discovery")
    trace.refuses(LoginStatus.CANNOT_INCLUDE_IN_SESSION)


@pytest.mark.parametrize("stage", [SECURITY, OPERATIONAL])
def test_authentication_left_out_where_it_is_required(stage: int) -> None:
    """By skipping the stage, or by leaving it empty (RFC 7143 §6.3.1)."""
    trace = Trace(Policy(authentication=CHAP)).initiator(*NAMES, stage=stage, to=FULL_FEATURE)
    trace.refuses(LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"stage": SECURITY}, {"stage": OPERATIONAL}),
        ({"stage": OPERATIONAL}, {"stage": SECURITY}),
        ({"stage": OPERATIONAL}, {"stage": 2}),
        ({"stage": OPERATIONAL}, {"stage": 3}),
        ({"stage": OPERATIONAL}, {"stage": OPERATIONAL, "to": OPERATIONAL}),
        ({"stage": OPERATIONAL}, {"stage": OPERATIONAL, "to": SECURITY}),
        ({"stage": OPERATIONAL}, {"stage": OPERATIONAL, "to": 2}),
        ({"stage": SECURITY}, {"stage": SECURITY, "to": SECURITY}),
        ({"stage": SECURITY}, {"stage": SECURITY, "to": 2}),
        ({"stage": OPERATIONAL}, {"to": FULL_FEATURE, "more": True}),
    ],
)
def test_stages_that_do_not_follow(first: dict[str, Any], second: dict[str, Any]) -> None:
    """No going back, no standing still with the T bit, no stage 2, no T bit with the C bit (§11.12.2, §11.12.3)."""
    trace = Trace().initiator(*NAMES, **first)
    trace.target(*((TAG,) if first["stage"] == SECURITY else (TAG, MAX_RECV)))
    trace.initiator(**second).refuses(LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize("field", ["isid", "tsih", "cid", "initiator_task_tag", "cmd_sn", "version_max"])
def test_a_header_that_changes_in_the_middle(field: str) -> None:
    """All requests of one login have one identity (RFC 7143 §11.12)."""
    trace = Trace().initiator(*NAMES).target(TAG, MAX_RECV)
    changed: dict[str, Any] = {field: 0x55}
    trace.initiator(**changed).refuses(LoginStatus.INITIATOR_ERROR)


def test_the_acknowledged_stat_sn_may_change() -> None:
    """ExpStatSN follows the responses."""
    trace = Trace().initiator(*NAMES).target(TAG, MAX_RECV)
    trace.initiator(exp_stat_sn=501, to=FULL_FEATURE).target(to=FULL_FEATURE)


@pytest.mark.parametrize(
    "text",
    [
        b"InitialR2T\0",
        b"InitialR2T=Yes",
        b"\xff=\0",
        b"InitialR2T=Yes\0InitialR2T=Yes\0",
        b"TargetPortalGroupTag=1\0",
        b"AuthMethod=None\0",
        b"SendTargets=All\0",
        b"MaxRecvDataSegmentLength=1\0",
        b"X-a=Reject\0",
        b"HeaderDigest=NotUnderstood\0",
        b"InitiatorName=iqn.2001-04.com.example:other\0",
    ],
)
def test_text_that_breaks_the_rules(text: bytes) -> None:
    """An initiator error, and the reason in the log."""
    trace = Trace().initiator(*NAMES).target(TAG, MAX_RECV)
    assert trace.initiator(raw=text).refuses(LoginStatus.INITIATOR_ERROR).reason


def test_operational_keys_in_the_security_stage() -> None:
    """They MUST NOT be used there (RFC 7143 §12)."""
    trace = Trace().initiator(*NAMES, "MaxBurstLength=65536", stage=SECURITY)
    trace.refuses(LoginStatus.INITIATOR_ERROR)


def test_a_key_negotiated_again() -> None:
    """Renegotiation in one login is an initiator error (RFC 7143 §6.3)."""
    trace = Trace().initiator(*NAMES, "InitialR2T=Yes").target(TAG, "InitialR2T=Yes", MAX_RECV)
    trace.initiator("InitialR2T=Yes").refuses(LoginStatus.INITIATOR_ERROR)


# -- Budgets ---------------------------------------------------------------------------------------------------------


def test_a_login_without_end() -> None:
    """The number of requests has a budget."""
    trace = Trace().initiator(*NAMES).target(TAG, MAX_RECV)
    for _ in range(MAX_LOGIN_REQUESTS - 1):
        trace.initiator().target()
    trace.initiator().refuses(LoginStatus.INITIATOR_ERROR)


def test_a_text_without_end() -> None:
    """So has the text, in whatever pieces."""
    trace = Trace()
    for _ in range(8):
        trace.initiator(raw=b"A" * 8192, more=True).target()
    assert "budget" in trace.initiator(raw=b"A", more=True).refuses(LoginStatus.INITIATOR_ERROR).reason


def test_more_keys_than_there_are() -> None:
    """And the number of keys."""
    trace = Trace()
    trace.initiator(*(f"X-{number}=1" for number in range(257))).refuses(LoginStatus.INITIATOR_ERROR)


def test_a_login_that_has_ended_takes_nothing_more() -> None:
    """Whoever gives it more misuses it, be it complete or refused."""
    for trace in (Trace().initiator(*NAMES, to=FULL_FEATURE), Trace().initiator()):
        with pytest.raises(LocalProtocolError):
            trace.login.receive(NopOut())
