import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login import MAX_LOGIN_REQUESTS, Authentication, Login, LoginCompleted, LoginFailed
from isthmus.iscsi.login_states import ENDED, LoginState
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, Pdu
from isthmus.iscsi.text_format import MAX_TEXT_BYTES, encode_text
from tests.support.logins import INITIATOR, TARGET, Policy, Trace
from tests.support.pdus import any_pdu, pdus_of
from tests.support.randomness import counting

REQUIRED = Authentication(required=True, lookup={"user": b"a secret of 12"}.get)
NAMES = (f"InitiatorName={INITIATOR}", f"TargetName={TARGET}")

# Requests as an initiator might make them, in an order that it would not.
PAIRS = st.sampled_from(
    [
        ("InitiatorName", INITIATOR),
        ("TargetName", TARGET),
        ("SessionType", "Discovery"),
        ("AuthMethod", "CHAP,None"),
        ("AuthMethod", "None"),
        ("CHAP_A", "8,5"),
        ("CHAP_N", "user"),
        ("CHAP_R", "0x00"),
        ("CHAP_I", "1"),
        ("CHAP_C", "0xff"),
        ("HeaderDigest", "CRC32C,None"),
        ("MaxBurstLength", "65536"),
        ("MaxRecvDataSegmentLength", "512"),
        ("InitialR2T", "Yes"),
        ("X-com.example", "1"),
        ("X-com.example", "Reject"),
    ]
)
NAMED = st.booleans().map(lambda wanted: NAMES if wanted else ())


@st.composite
def requests(draw: st.DrawFn) -> LoginRequest:
    """A Login Request whose fields are mostly right."""
    text = "".join(f"{pair}\0" for pair in draw(NAMED)).encode() + encode_text(draw(st.lists(PAIRS, max_size=4)))
    transit = draw(st.booleans())
    return LoginRequest(
        transit=transit,
        continue_=draw(st.sampled_from([False, False, False, True])),
        current_stage=draw(st.sampled_from([0, 0, 1, 1, 2])),
        next_stage=draw(st.sampled_from([1, 3, 3])) if transit else 0,
        tsih=draw(st.sampled_from([0, 0, 0, 7])),
        data_segment=text,
    )


@given(pdus=st.lists(requests() | pdus_of(LoginRequest) | any_pdu(), max_size=8), authenticated=st.booleans())
def test_no_pdus_raise_anything(pdus: list[Pdu], authenticated: bool) -> None:
    """Whatever comes in whatever order: answers, one refusal, or silence, and nobody in who may not be."""
    policy = Policy(authentication=REQUIRED if authenticated else Authentication())
    login = Login(policy, random=counting())
    for pdu in pdus:
        if login.state in ENDED:
            break
        responses = login.receive(pdu)
        assert (login.outcome is not None) == (login.state in ENDED)
        assert [response.status for response in responses] == _expected_status(login)
    if isinstance(login.outcome, LoginCompleted):
        assert not authenticated
        assert policy.asked[-1] == "admit"


def _expected_status(login: Login) -> list[int]:
    if not isinstance(login.outcome, LoginFailed):
        return [0]
    return [] if login.outcome.status is None else [login.outcome.status]


def test_the_states_on_the_way() -> None:
    """A login is where its requests have taken it."""
    trace = Trace(Policy(authentication=REQUIRED))
    states = [trace.login.state]
    for text in ((*NAMES, "AuthMethod=CHAP"), ("CHAP_A=8",)):
        trace.initiator(*text, stage=0).something()
        states.append(trace.login.state)
    trace.initiator("CHAP_N=user", "CHAP_R=0x00", stage=0).refuses(LoginStatus.AUTHENTICATION_FAILURE)
    states.append(trace.login.state)
    assert states == [LoginState.START, LoginState.CHAP_ALGORITHM, LoginState.CHAP_RESPONSE, LoginState.FAILED]


def test_a_request_that_is_not_marked_immediate() -> None:
    """A login is immediate by its nature (RFC 7143 §11.12): the bit is not looked at."""
    login = Login(Policy(), random=counting())
    text = "".join(f"{pair}\0" for pair in NAMES).encode()
    response = login.receive(LoginRequest(is_immediate=False, cmd_sn=5, current_stage=1, data_segment=text))[0]
    assert (response.status, response.exp_cmd_sn) == (0, 5)


def test_nsg_without_the_t_bit_says_nothing() -> None:
    """It is reserved then (RFC 7143 §11.12.3), and some initiators leave a value in it."""
    login = Login(Policy(), random=counting())
    text = "".join(f"{pair}\0" for pair in NAMES).encode()
    response = login.receive(LoginRequest(current_stage=1, next_stage=3, data_segment=text))[0]
    assert (response.status, response.transit, login.outcome) == (0, False, None)


def test_a_refusal_before_any_request_was_understood() -> None:
    """It still says whose login it refuses."""
    login = Login(Policy(), random=counting())
    request = LoginRequest(isid=5, tsih=6, initiator_task_tag=7, current_stage=2, exp_stat_sn=8)
    assert [response.status for response in login.receive(request)] == [LoginStatus.INITIATOR_ERROR]
    login = Login(Policy(), random=counting())
    response = login.receive(dataclasses.replace(request, current_stage=1))[0]
    expected: Any = (5, 6, 7, 8, LoginStatus.MISSING_PARAMETER)
    assert (response.isid, response.tsih, response.initiator_task_tag, response.stat_sn, response.status) == expected


def test_the_last_refusal_leaves_no_tsih() -> None:
    """A session that was not admitted has no handle to be known by."""
    policy = Policy(refusals={"admit": LoginRefused(LoginStatus.OUT_OF_RESOURCES, "full")})
    trace = Trace(policy).initiator(*NAMES, to=3)
    trace.refuses(LoginStatus.OUT_OF_RESOURCES)
    assert trace.response.tsih == 0


@pytest.mark.parametrize("length", [0, 1])
def test_memory_for_a_stranger_is_bounded(length: int) -> None:
    """Neither empty nor short pieces of text go on for ever."""
    login = Login(Policy(), random=counting())
    responses: list[LoginResponse] = []
    while login.outcome is None:
        responses += login.receive(LoginRequest(continue_=True, data_segment=b"A" * length))
    assert len(responses) == MAX_LOGIN_REQUESTS + 1
    assert length * len(responses) <= MAX_TEXT_BYTES
    assert isinstance(login.outcome, LoginFailed)


def test_names_said_twice_are_refused_before_anybody_is_asked() -> None:
    """The policy never sees one of two names."""
    trace = Trace().initiator(*NAMES, NAMES[0])
    trace.refuses(LoginStatus.INITIATOR_ERROR)
    assert trace.policy.asked == []


def test_a_log_line_has_room_for_a_name_and_no_more() -> None:
    """What strangers send as names is cut to the length of one."""
    long = "A" * 5000
    for names in ((f"InitiatorName={long}", NAMES[1]), (NAMES[0], f"TargetName={long}")):
        failed = Trace().initiator(*names).refuses(LoginStatus.INITIATOR_ERROR)
        assert len(failed.initiator_name + failed.target_name + failed.reason) < 600
