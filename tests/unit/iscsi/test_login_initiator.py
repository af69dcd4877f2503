"""What an initiator does with targets that do wrong; with those that do right it is joined in tests/playbook."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.login_initiator import (
    InitiatorLogin,
    InitiatorLoginCompleted,
    InitiatorLoginFailed,
    InitiatorLoginState,
)
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, NopIn, Pdu
from isthmus.iscsi.text_format import encode_text, parse_text
from tests.support.logins import INITIATOR, ISID, TARGET, settings
from tests.support.pdus import any_pdu, pdus_of
from tests.support.randomness import counting

CHAP = ChapCredentials(user="user", secret=b"a secret of 12")
MUTUAL = dataclasses.replace(CHAP, target_secret=b"another secret")
ANSWERS = {"HeaderDigest": "None", "DataDigest": "None"}


def started(**changes: Any) -> tuple[InitiatorLogin, LoginRequest]:
    """A login that has sent its first request."""
    login = InitiatorLogin(settings(**changes), random=counting())
    return login, login.start()


def response(*text: str, stage: int = 1, to: int | None = None, **fields: Any) -> LoginResponse:
    """A Login Response to such a login."""
    values: dict[str, Any] = {
        "isid": ISID,
        "initiator_task_tag": 0,
        "current_stage": stage,
        "transit": to is not None,
        "next_stage": to or 0,
        "data_segment": "".join(f"{pair}\0" for pair in text).encode(),
    }
    return LoginResponse(**(values | fields))


def answered(request: LoginRequest) -> list[str]:
    """The answer of a target that agrees with every offer."""
    declarations = {"InitiatorName", "InitiatorAlias", "TargetName", "SessionType", "MaxRecvDataSegmentLength"}
    pairs = [(name, ANSWERS.get(name, text)) for name, text in parse_text(request.data_segment)]
    return [f"{name}={text}" for name, text in pairs if name not in declarations]


def failure(login: InitiatorLogin, pdu: Pdu) -> InitiatorLoginFailed:
    """How `pdu` ends the login."""
    assert login.receive(pdu) is None
    assert isinstance(login.outcome, InitiatorLoginFailed)
    return login.outcome


# -- What it says ----------------------------------------------------------------------------------------------------


def test_a_first_request_without_chap() -> None:
    """It begins in the operational stage, with names and offers, and wants full feature phase."""
    login, request = started(initiator_alias="db 1")
    keys = dict(parse_text(request.data_segment))
    assert (request.current_stage, request.next_stage, request.transit) == (1, 3, True)
    assert list(keys)[:4] == ["InitiatorName", "InitiatorAlias", "TargetName", "SessionType"]
    assert keys["InitiatorAlias"] == "db 1"
    assert keys["MaxBurstLength"] == "1048576"
    assert "iSCSIProtocolLevel" not in keys
    assert login.state is InitiatorLoginState.OPERATIONAL


@pytest.mark.parametrize(("chap", "methods", "transit"), [(CHAP, "CHAP,None", True), (MUTUAL, "CHAP", False)])
def test_a_first_request_with_chap(chap: ChapCredentials, methods: str, transit: bool) -> None:
    """It begins in the security stage; a target that must prove itself is not offered None."""
    _, request = started(chap=chap)
    assert (request.current_stage, request.transit) == (0, transit)
    assert parse_text(request.data_segment)[-1] == ("AuthMethod", methods)


def test_a_first_request_of_a_discovery_session() -> None:
    """No target, and none of the keys of SCSI."""
    _, request = started(target_name=None)
    keys = dict(parse_text(request.data_segment))
    assert keys["SessionType"] == "Discovery"
    assert not {"TargetName", "MaxBurstLength", "InitialR2T"} & set(keys)


def test_a_first_request_of_a_further_connection() -> None:
    """TSIH and CID in the header, and only the keys of a connection."""
    _, request = started(tsih=7, cid=2, cmd_sn=9, initiator_task_tag=3)
    assert (request.tsih, request.cid, request.cmd_sn, request.initiator_task_tag) == (7, 2, 9, 3)
    assert {name for name, _ in parse_text(request.data_segment)} == {
        *("InitiatorName", "TargetName", "HeaderDigest", "DataDigest", "MaxRecvDataSegmentLength"),
    }


def test_keys_of_later_rfcs_only_by_wish() -> None:
    """A target of RFC 3720 does not know them."""
    _, request = started(offers=Offers(iscsi_protocol_level=2, task_reporting=("FastAbort", "RFC3720")))
    keys = dict(parse_text(request.data_segment))
    assert (keys["iSCSIProtocolLevel"], keys["TaskReporting"]) == ("2", "FastAbort,RFC3720")


def test_overrides_and_extra_keys() -> None:
    """Other values, no value at all, and keys of one's own, the same one twice if need be."""
    extra = (("X-a", "1"), ("X-a", "2"))
    _, request = started(overrides={"MaxBurstLength": "x", "TargetName": None, "Unused": "1"}, extra_keys=extra)
    pairs = parse_text(request.data_segment)
    assert ("MaxBurstLength", "x") in pairs
    assert "TargetName" not in dict(pairs)
    assert "Unused" not in dict(pairs)
    assert pairs[-2:] == list(extra)


# -- Targets that do right -------------------------------------------------------------------------------------------


def test_the_target_may_take_its_time() -> None:
    """Answers without the T bit are followed by an empty request that asks again."""
    login, request = started()
    again = login.receive(response(*answered(request)))
    assert again is not None
    assert (again.transit, again.data_segment) == (True, b"")
    assert login.receive(response(to=3, tsih=1)) is None
    assert isinstance(login.outcome, InitiatorLoginCompleted)


def test_what_the_target_brings_up_is_answered() -> None:
    """And the login goes on from there."""
    login, request = started(overrides={"MaxBurstLength": None})
    again = login.receive(response(*answered(request), "MaxBurstLength=4096"))
    assert again is not None
    assert again.data_segment == b"MaxBurstLength=4096\0"
    login.receive(response(to=3, tsih=1))
    assert isinstance(login.outcome, InitiatorLoginCompleted)
    assert login.outcome.session_parameters.max_burst_length == 4096


def test_an_answer_in_pieces_is_fetched() -> None:
    """With empty requests, until the C bit is gone."""
    login, request = started()
    whole = encode_text([("TargetAlias", "disk"), *(tuple(pair.split("=", 1)) for pair in answered(request))])  # type: ignore[list-item]
    more = login.receive(response(data_segment=whole[:50], continue_=True))
    assert more is not None
    assert (more.data_segment, more.continue_, more.transit) == (b"", False, True)
    login.receive(response(data_segment=whole[50:], to=3, tsih=1))
    assert isinstance(login.outcome, InitiatorLoginCompleted)
    assert login.outcome.target_alias == "disk"


def test_a_long_request_is_sent_in_pieces() -> None:
    """8192 bytes each, whatever the target declares later; the T bit comes with the last."""
    login, first = started(extra_keys=tuple((f"X-{number:03}", "v" * 90) for number in range(100)))
    assert (first.continue_, first.transit) == (True, False)
    assert len(bytes(first.data_segment)) <= 8192
    second = login.receive(response())
    assert second is not None
    assert (second.continue_, second.transit) == (False, True)
    assert len(parse_text(bytes(first.data_segment) + bytes(second.data_segment))) > 100


def test_the_tag_may_be_hexadecimal_or_missing() -> None:
    """TargetPortalGroupTag is a 16-bit binary value (RFC 7143 §13.9)."""
    for text, tag in ((["TargetPortalGroupTag=0x0010"], 16), ([], None)):
        login, request = started()
        login.receive(response(*text, *answered(request), to=3, tsih=1))
        assert isinstance(login.outcome, InitiatorLoginCompleted)
        assert login.outcome.target_portal_group_tag == tag


# -- Targets that do wrong -------------------------------------------------------------------------------------------


def test_a_refusal() -> None:
    """Status, name and where to go instead."""
    login, _ = started()
    failed = failure(login, response("TargetAddress=192.0.2.1:3260,1", "TargetAddress=192.0.2.2", status=0x0101))
    assert failed.status == LoginStatus.TARGET_MOVED_TEMPORARILY
    assert failed.addresses == ("192.0.2.1:3260,1", "192.0.2.2")
    assert "TARGET_MOVED_TEMPORARILY" in failed.reason
    login, _ = started()
    assert failure(login, response(status=0x0999)).status == 0x0999


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (NopIn(), "not a Login Response"),
        (response(initiator_task_tag=9), "another login"),
        (response(isid=9), "another login"),
        (response(stage=0), "in stage 0"),
        (response(version_active=1), "version 1"),
        (response(to=1), "not asked to"),
        (response(to=3, tsih=1, continue_=True), "not asked to"),
        (response(to=3, tsih=1), "was not answered"),
        (response("MaxBurstLength=2097152"), "does not follow"),
        (response("InitiatorAlias=a"), "not the TARGET's"),
        (response("TargetAlias=a", "TargetAlias=a"), "twice"),
        (response(data_segment=b"TargetAlias"), "null byte"),
        (response(status=0x0101, data_segment=b"TargetAddress"), "null byte"),
    ],
)
def test_a_response_that_breaks_the_rules(wrong: Pdu, reason: str) -> None:
    """Another PDU, another login, a stage that was not asked for, answers that cannot be: the login ends here."""
    login, _ = started()
    failed = failure(login, wrong)
    assert failed.status is None
    assert reason in failed.reason


def test_a_transit_that_was_not_asked_for() -> None:
    """Whoever must see the target's proof does not ask to go on before it."""
    login, _ = started(chap=MUTUAL)
    assert "not asked to" in failure(login, response("AuthMethod=CHAP", stage=0, to=1)).reason


def test_a_session_without_a_handle() -> None:
    """The last response of a login carries a TSIH (RFC 7143 §11.13.4)."""
    login, request = started()
    assert "TSIH" in failure(login, response(*answered(request), to=3)).reason


def test_an_answer_to_half_a_text() -> None:
    """While our text has the C bit, the target has nothing to say."""
    login, _ = started(extra_keys=tuple((f"X-{number:03}", "v" * 90) for number in range(100)))
    assert "not complete" in failure(login, response("TargetAlias=a")).reason


@pytest.mark.parametrize(
    ("chap", "answers"),
    [
        (CHAP, [response(stage=0)]),
        (CHAP, [response("AuthMethod=KRB5", stage=0)]),
        (MUTUAL, [response("AuthMethod=None", stage=0)]),
        (CHAP, [response("AuthMethod=Reject", stage=0)]),
        (CHAP, [response("AuthMethod=CHAP", stage=0, to=1)]),
        (CHAP, [response("AuthMethod=CHAP", stage=0), response(stage=0)]),
        (CHAP, [response("AuthMethod=CHAP", stage=0), response("CHAP_A=9", "CHAP_I=1", "CHAP_C=0x01", stage=0)]),
    ],
)
def test_a_target_that_goes_wrong_in_the_security_stage(chap: ChapCredentials, answers: list[LoginResponse]) -> None:
    """A method that was not offered, a transit before its time, a challenge that cannot be."""
    login, _ = started(chap=chap)
    for answer in answers[:-1]:
        assert login.receive(answer) is not None
    assert failure(login, answers[-1]).status is None


@pytest.mark.parametrize("last", [response(stage=0, to=1), response("CHAP_N=disk", "CHAP_R=0x00", stage=0, to=1)])
def test_a_target_that_does_not_prove_itself(last: LoginResponse) -> None:
    """It goes on as if it had: it is not trusted."""
    login, _ = started(chap=MUTUAL)
    login.receive(response("AuthMethod=CHAP", stage=0))
    login.receive(response("CHAP_A=5", "CHAP_I=1", "CHAP_C=0x01", stage=0))
    assert login.state is InitiatorLoginState.PROVED
    assert failure(login, last).status is None


def test_a_target_that_wants_chap_from_who_has_no_credentials() -> None:
    """An AuthMethod that was offered on purpose does not conjure up a secret."""
    login, _ = started(overrides={"AuthMethod": "CHAP"})
    assert "credentials" in failure(login, response("AuthMethod=CHAP", stage=0)).reason


def test_proof_that_nobody_asked_for() -> None:
    """One-way CHAP has none."""
    login, _ = started(chap=CHAP)
    login.receive(response("AuthMethod=CHAP", stage=0))
    login.receive(response("CHAP_A=5", "CHAP_I=1", "CHAP_C=0x01", stage=0))
    assert "unasked" in failure(login, response("CHAP_N=a", "CHAP_R=0x00", stage=0, to=1)).reason


def test_a_login_that_has_ended_takes_nothing_more() -> None:
    """Whoever gives it more misuses it."""
    login, _ = started()
    failure(login, NopIn())
    with pytest.raises(LocalProtocolError):
        login.receive(NopIn())


@given(pdus=st.lists(pdus_of(LoginResponse) | any_pdu(), max_size=5), chap=st.sampled_from([None, CHAP, MUTUAL]))
def test_no_pdus_raise_anything(pdus: list[Pdu], chap: ChapCredentials | None) -> None:
    """Whatever a target sends: another request, or an outcome."""
    login, _ = started(chap=chap)
    for pdu in pdus:
        request = login.receive(pdu)
        assert (request is None) == (login.outcome is not None)
        if request is None:
            break


def test_names_are_those_of_the_settings() -> None:
    """Nothing is normalized on the way: a test may send what is no name."""
    _, request = started(initiator_name="No Name", target_name="Neither")
    keys = dict(parse_text(request.data_segment))
    assert (keys["InitiatorName"], keys["TargetName"]) == ("No Name", "Neither")
    assert INITIATOR != TARGET
