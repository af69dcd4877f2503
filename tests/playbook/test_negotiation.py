"""Initiator and target negotiate over a whole login, joined in memory (RFC 7143 §6.2, §13)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.chap import ChapAlgorithm, ChapCredentials
from isthmus.iscsi.login import Authentication, LoginCompleted, LoginFailed
from isthmus.iscsi.login_initiator import InitiatorLoginCompleted, InitiatorLoginFailed
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Offers, SessionParameters
from tests.support.logins import NEW_TSIH, TARGET, Policy, joined, settings
from tests.support.negotiating import OFFERS

CREDENTIALS = ChapCredentials(
    user="user", secret=b"a secret of 12", target_secret=b"another secret", target_user="disk"
)
AUTHENTICATION = Authentication(
    required=True, lookup={"user": b"a secret of 12"}.get, mutual_user="disk", mutual_secret=b"another secret"
)


def both(policy: Policy, **wanted: Any) -> tuple[LoginCompleted, InitiatorLoginCompleted]:
    """The outcomes of a login that succeeds."""
    target, initiator, _ = joined(policy, settings(**wanted))
    assert isinstance(target, LoginCompleted), target
    assert isinstance(initiator, InitiatorLoginCompleted), initiator
    return target, initiator


def refused(policy: Policy, **wanted: Any) -> LoginStatus | None:
    """The status of a login that fails, as both ends know it."""
    target, initiator, _ = joined(policy, settings(**wanted))
    assert isinstance(target, LoginFailed)
    assert isinstance(initiator, InitiatorLoginFailed)
    assert target.status == initiator.status
    return target.status


@given(
    initiators=OFFERS,
    targets=OFFERS,
    discovery=st.booleans(),
    mutual=st.sampled_from([None, False, True]),
    algorithm=st.sampled_from(ChapAlgorithm),
)
def test_both_ends_agree_after_any_login(
    initiators: Offers, targets: Offers, discovery: bool, mutual: bool | None, algorithm: ChapAlgorithm
) -> None:
    """Any wishes, any session type, with and without CHAP: the same parameters at both ends."""
    chap = None
    if mutual is not None:
        target_secret = b"another secret" if mutual else None
        chap = ChapCredentials(
            user="user", secret=b"a secret of 12", target_secret=target_secret, algorithms=(algorithm,)
        )
    policy = Policy(offers=targets, authentication=AUTHENTICATION if chap else Authentication())
    target, initiator = both(
        policy, offers=initiators, chap=chap, target_name=None if discovery else TARGET, exp_stat_sn=9
    )
    assert target.session_parameters == initiator.session_parameters
    ours, theirs = target.connection_parameters, initiator.connection_parameters
    assert (ours.header_digest, ours.data_digest) == (theirs.header_digest, theirs.data_digest)
    assert (
        ours.max_recv_data_segment_length == theirs.max_xmit_data_segment_length == targets.max_recv_data_segment_length
    )
    assert theirs.max_recv_data_segment_length == ours.max_xmit_data_segment_length
    assert theirs.max_recv_data_segment_length == initiators.max_recv_data_segment_length
    assert (target.tsih, target.stat_sn, target.exp_cmd_sn) == (initiator.tsih, initiator.exp_stat_sn, initiator.cmd_sn)
    assert target.chap_user == (chap.user if chap else None)


def test_the_default_offers_make_the_most_of_a_session() -> None:
    """Ours on both ends: unsolicited data, large bursts, several R2Ts and connections."""
    target, initiator = both(Policy())
    assert target.session_parameters == SessionParameters(
        max_connections=8,
        initial_r2t=False,
        max_burst_length=1_048_576,
        first_burst_length=262_144,
        max_outstanding_r2t=16,
    )
    assert initiator.target_portal_group_tag == 1
    assert (initiator.exp_cmd_sn, initiator.max_cmd_sn) == (100, 131)


@pytest.mark.parametrize(
    ("initiator", "target", "result"),
    [
        (("None",), ("None", "CRC32C"), False),
        (("None", "CRC32C"), ("CRC32C", "None"), False),
        (("CRC32C", "None"), ("None", "CRC32C"), True),
        (("CRC32C",), ("None", "CRC32C"), True),
        (("None", "CRC32C"), ("CRC32C",), True),
    ],
)
def test_digests_by_the_initiators_order(initiator: tuple[str, ...], target: tuple[str, ...], result: bool) -> None:
    """The first that the target takes (RFC 7143 §6.2.1)."""
    done, _ = both(Policy(offers=Offers(header_digest=target)), offers=Offers(header_digest=initiator))
    assert done.connection_parameters.header_digest is result


def test_a_digest_that_one_end_requires_and_the_other_lacks() -> None:
    """The target refuses; an initiator that insists ends the login itself."""
    policy = Policy(offers=Offers(header_digest=("CRC32C",)))
    assert refused(policy, offers=Offers(header_digest=("None",))) is LoginStatus.INITIATOR_ERROR
    _, initiator, _ = joined(
        Policy(offers=Offers(data_digest=("None",))), settings(offers=Offers(data_digest=("CRC32C",)))
    )
    assert isinstance(initiator, InitiatorLoginFailed)
    assert (initiator.status, "DataDigest" in initiator.reason) == (None, True)


def test_a_further_connection_of_a_session() -> None:
    """It keeps the session's parameters, which the initiator brings along, and joins with the target's window."""
    session = SessionParameters(max_connections=4, max_burst_length=4096, first_burst_length=1024)
    target, initiator = both(Policy(), tsih=NEW_TSIH, cid=2, session_parameters=session)
    assert target.session_parameters == initiator.session_parameters == session
    assert (initiator.tsih, initiator.exp_cmd_sn, initiator.max_cmd_sn) == (NEW_TSIH, 90, 121)
    assert not target.leading


def test_mutual_chap_and_everything() -> None:
    """Four requests: method, algorithms, proof, keys."""
    target, initiator, requests = joined(Policy(authentication=AUTHENTICATION), settings(chap=CREDENTIALS))
    assert isinstance(target, LoginCompleted)
    assert isinstance(initiator, InitiatorLoginCompleted)
    assert (target.chap_user, requests) == ("user", 4)


def test_credentials_for_a_target_that_wants_none() -> None:
    """One-way credentials may go unused; mutual ones may not."""
    one_way = ChapCredentials(user="user", secret=b"a secret of 12")
    target, _ = both(Policy(), chap=one_way)
    assert target.chap_user is None
    assert refused(Policy(), chap=CREDENTIALS) is LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize(
    ("chap", "status"),
    [
        (None, LoginStatus.AUTHENTICATION_FAILURE),
        (ChapCredentials(user="user", secret=b"wrong secret"), LoginStatus.AUTHENTICATION_FAILURE),
        (ChapCredentials(user="nobody", secret=b"a secret of 12"), LoginStatus.AUTHENTICATION_FAILURE),
        (ChapCredentials(user="user", secret=b"a secret of 12", algorithms=()), LoginStatus.INITIATOR_ERROR),
    ],
)
def test_who_cannot_prove_itself_does_not_get_in(chap: ChapCredentials | None, status: LoginStatus) -> None:
    """No credentials, a wrong secret, an unknown user, an empty list of algorithms."""
    policy = Policy(authentication=AUTHENTICATION)
    assert refused(policy, chap=chap) is status
    assert "admit" not in policy.asked


@pytest.mark.parametrize("changes", [{"target_secret": b"wrong secret"}, {"target_user": "other"}])
def test_an_initiator_that_does_not_believe_the_target(changes: dict[str, Any]) -> None:
    """A wrong proof ends the login before full feature phase."""
    values: dict[str, Any] = {"user": "user", "secret": b"a secret of 12", "target_secret": b"another secret"}
    target, initiator, _ = joined(
        Policy(authentication=AUTHENTICATION), settings(chap=ChapCredentials(**(values | changes)))
    )
    assert target is None
    assert isinstance(initiator, InitiatorLoginFailed)
    assert initiator.status is None


def test_long_texts_both_ways() -> None:
    """Hundreds of keys in several PDUs, and as many answers."""
    keys = tuple((f"X-com.example.{'k' * 44}.{number:03}", "v" * 20) for number in range(150))
    target, initiator, requests = joined(Policy(), settings(extra_keys=keys))
    assert isinstance(target, LoginCompleted)
    assert isinstance(initiator, InitiatorLoginCompleted)
    assert requests == 3
    assert [pair for pair in initiator.received if pair[0].startswith("X-")] == [
        (name, "NotUnderstood") for name, _ in keys
    ]


@pytest.mark.parametrize(
    ("overrides", "received"),
    [
        ({"MaxBurstLength": "7"}, ("MaxBurstLength", "Reject")),
        ({"InitialR2T": "Maybe"}, ("InitialR2T", "Reject")),
        ({"HeaderDigest": "CRC64"}, ("HeaderDigest", "Reject")),
        ({"MaxBurstLength": "0x10000"}, ("MaxBurstLength", "65536")),
    ],
)
def test_wrong_values_on_purpose(overrides: dict[str, str | None], received: tuple[str, str]) -> None:
    """A test sees what the target answers to them."""
    _, initiator = both(Policy(), overrides=overrides)
    assert received in initiator.received


@pytest.mark.parametrize(
    ("overrides", "status"),
    [
        ({"InitiatorName": None}, LoginStatus.MISSING_PARAMETER),
        ({"TargetName": None}, LoginStatus.MISSING_PARAMETER),
        ({"SessionType": "Other"}, LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
        ({"MaxRecvDataSegmentLength": "1"}, LoginStatus.INITIATOR_ERROR),
        ({"AuthMethod": "KRB5"}, LoginStatus.AUTHENTICATION_FAILURE),
    ],
)
def test_wrong_names_on_purpose(overrides: dict[str, str | None], status: LoginStatus) -> None:
    """And how it is refused."""
    assert refused(Policy(), overrides=overrides) is status
