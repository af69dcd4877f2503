"""Logins with CHAP, one trace a test (RFC 7143 §12.1.3, Appendix B)."""

import pytest

from isthmus.iscsi.chap import ChapAlgorithm, chap_response
from isthmus.iscsi.login import Authentication
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.text_format import parse_binary
from tests.support.logins import INITIATOR, TARGET, Policy, Trace

SECURITY, OPERATIONAL, FULL_FEATURE = 0, 1, 3
NAMES = (f"InitiatorName={INITIATOR}", f"TargetName={TARGET}")
TAG = "TargetPortalGroupTag=1"
MAX_RECV = "MaxRecvDataSegmentLength=262144"
SECRET, TARGET_SECRET = b"a secret of 12", b"another secret"
REQUIRED = Authentication(required=True, lookup={"user": SECRET}.get, mutual_user="disk", mutual_secret=TARGET_SECRET)
OPTIONAL = Authentication(lookup={"user": SECRET}.get)

# What the target's random source gives, in order: a decoy, an identifier, a challenge.
IDENTIFIER, CHALLENGE = 0x1F, bytes(range(0xA0, 0xC0))
RESPONSE = chap_response(ChapAlgorithm.SHA3_256, IDENTIFIER, SECRET, CHALLENGE).hex()
CHALLENGE_KEYS = ("CHAP_A=8", f"CHAP_I={IDENTIFIER}", f"CHAP_C=0x{CHALLENGE.hex()}")
PROOF_KEYS = ("CHAP_N=user", f"CHAP_R=0x{RESPONSE}")


def random(length: int) -> bytes:
    """A source for tests: what it gives is plain from the length alone."""
    return {1: bytes([IDENTIFIER]), 16: CHALLENGE[:16], 20: CHALLENGE[:20], 32: CHALLENGE}[length]


def challenged(authentication: Authentication = REQUIRED, algorithms: str = "8,7,6,5") -> Trace:
    """A login up to the target's challenge."""
    trace = Trace(Policy(authentication=authentication), random=random)
    trace.initiator(*NAMES, "AuthMethod=CHAP,None", stage=SECURITY, to=OPERATIONAL).target(TAG, "AuthMethod=CHAP")
    return trace.initiator(f"CHAP_A={algorithms}", stage=SECURITY)


def test_one_way_chap() -> None:
    """Method, algorithm, response; the user is part of the outcome."""
    trace = challenged().target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, stage=SECURITY, to=OPERATIONAL).target(to=OPERATIONAL)
    trace.initiator(to=FULL_FEATURE).target(MAX_RECV, to=FULL_FEATURE)
    assert trace.completed().chap_user == "user"


def test_mutual_chap() -> None:
    """The target proves itself in the response that ends the stage."""
    theirs = bytes(range(16))
    proof = chap_response(ChapAlgorithm.SHA3_256, 200, TARGET_SECRET, theirs).hex()
    trace = challenged().target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, "CHAP_I=200", f"CHAP_C=0x{theirs.hex()}", stage=SECURITY, to=OPERATIONAL)
    trace.target("CHAP_N=disk", f"CHAP_R=0x{proof}", to=OPERATIONAL)
    trace.initiator(to=FULL_FEATURE).target(MAX_RECV, to=FULL_FEATURE)
    assert trace.completed().chap_user == "user"


@pytest.mark.parametrize("algorithm", ChapAlgorithm)
def test_each_algorithm(algorithm: ChapAlgorithm) -> None:
    """An initiator that has only one of them gets in with it."""
    trace = challenged(algorithms=str(int(algorithm))).something()
    keys = dict(pair.split("=") for pair in bytes(trace.response.data_segment).decode().split("\0")[:-1])
    response = chap_response(algorithm, IDENTIFIER, SECRET, parse_binary(keys["CHAP_C"])).hex()
    assert keys["CHAP_A"] == str(int(algorithm))
    trace.initiator("CHAP_N=user", f"CHAP_R=0x{response}", stage=SECURITY, to=FULL_FEATURE).target(to=FULL_FEATURE)
    assert trace.completed().chap_user == "user"


def test_the_stage_goes_on_until_the_initiator_ends_it() -> None:
    """Without the T bit in its proof, it takes another request."""
    trace = challenged().target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, stage=SECURITY).target()
    trace.initiator(stage=SECURITY, to=OPERATIONAL).target(to=OPERATIONAL)


def test_a_t_bit_that_comes_too_early() -> None:
    """It is not granted, and the login goes on."""
    trace = Trace(Policy(authentication=REQUIRED), random=random)
    trace.initiator(*NAMES, "AuthMethod=CHAP", stage=SECURITY, to=FULL_FEATURE).target(TAG, "AuthMethod=CHAP")
    trace.initiator("CHAP_A=8", stage=SECURITY, to=FULL_FEATURE).target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, stage=SECURITY, to=FULL_FEATURE).target(to=FULL_FEATURE)
    assert trace.completed().chap_user == "user"


def test_chap_in_a_discovery_session() -> None:
    """Discovery is guarded like the rest."""
    trace = Trace(Policy(authentication=REQUIRED), random=random)
    trace.initiator(NAMES[0], "SessionType=Discovery", "AuthMethod=CHAP", stage=SECURITY).target("AuthMethod=CHAP")
    trace.initiator("CHAP_A=8", stage=SECURITY).target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, stage=SECURITY, to=FULL_FEATURE).target(to=FULL_FEATURE)
    assert trace.completed().chap_user == "user"


def test_a_further_connection_authenticates_too() -> None:
    """Each connection proves who it is; the session is joined only then."""
    trace = Trace(Policy(authentication=REQUIRED), random=random, tsih=7, cid=1)
    trace.initiator(*NAMES, "AuthMethod=CHAP", stage=SECURITY).target(TAG, "AuthMethod=CHAP")
    trace.initiator("CHAP_A=8", stage=SECURITY).target(*CHALLENGE_KEYS)
    assert "admit" not in trace.policy.asked
    trace.initiator(*PROOF_KEYS, stage=SECURITY, to=FULL_FEATURE).target(to=FULL_FEATURE)
    assert trace.completed().chap_user == "user"


# -- Which method ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authentication", "offer", "chosen"),
    [
        (Authentication(), "None", "None"),
        (Authentication(), "CHAP,None", "None"),
        (Authentication(), "KRB5,SRP,None", "None"),
        (OPTIONAL, "CHAP,None", "CHAP"),
        (OPTIONAL, "None,CHAP", "None"),
        (OPTIONAL, "CHAP", "CHAP"),
        (REQUIRED, "None,CHAP", "CHAP"),
        (REQUIRED, "KRB5,CHAP", "CHAP"),
    ],
)
def test_the_first_method_that_is_allowed(authentication: Authentication, offer: str, chosen: str) -> None:
    """In the initiator's order (RFC 7143 §6.2.1)."""
    trace = Trace(Policy(authentication=authentication), random=random)
    trace.initiator(*NAMES, f"AuthMethod={offer}", stage=SECURITY).target(TAG, f"AuthMethod={chosen}")


@pytest.mark.parametrize(
    ("authentication", "offer"),
    [
        (REQUIRED, "None"),
        (REQUIRED, "KRB5,SRP"),
        (Authentication(), "CHAP"),
        (Authentication(), "chap"),
        (OPTIONAL, "X-com.example.own"),
    ],
)
def test_no_method_in_common(authentication: Authentication, offer: str) -> None:
    """An authentication failure (RFC 7143 §11.13.5)."""
    trace = Trace(Policy(authentication=authentication), random=random)
    trace.initiator(*NAMES, f"AuthMethod={offer}", stage=SECURITY).refuses(LoginStatus.AUTHENTICATION_FAILURE)


# -- Who does not get in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        ("CHAP_N=user", f"CHAP_R=0x{'00' * 32}"),
        ("CHAP_N=nobody", PROOF_KEYS[1]),
        ("CHAP_N=user", f"CHAP_R=0x{RESPONSE}00"),
        ("CHAP_N=user", "CHAP_R=0x00"),
        (*PROOF_KEYS, "CHAP_I=1", f"CHAP_C=0x{CHALLENGE.hex()}"),
    ],
)
def test_a_proof_that_is_none(keys: tuple[str, ...]) -> None:
    """A wrong response, an unknown user, a reflected challenge: one and the same answer, which tells nothing."""
    trace = challenged().target(*CHALLENGE_KEYS)
    failed = trace.initiator(*keys, stage=SECURITY, to=OPERATIONAL).refuses(LoginStatus.AUTHENTICATION_FAILURE)
    assert failed.initiator_name == INITIATOR
    assert "admit" not in trace.policy.asked


def test_an_initiator_that_wants_proof_of_a_target_without_a_secret() -> None:
    """It is refused rather than let in without it."""
    trace = challenged(OPTIONAL).target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, "CHAP_I=1", "CHAP_C=0x01", stage=SECURITY).refuses(LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize("algorithms", ["56", "4", "0"])
def test_no_algorithm_in_common(algorithms: str) -> None:
    """A number that only begins like one of ours is another."""
    challenged(algorithms=algorithms).refuses(LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize("algorithms", ["", "MD5", "8,,5"])
def test_algorithms_that_are_none(algorithms: str) -> None:
    """The list cannot be read."""
    challenged(algorithms=algorithms).refuses(LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ((), LoginStatus.MISSING_PARAMETER),
        (("CHAP_N=user",), LoginStatus.MISSING_PARAMETER),
        ((PROOF_KEYS[1],), LoginStatus.MISSING_PARAMETER),
        ((*PROOF_KEYS, "CHAP_I=1"), LoginStatus.MISSING_PARAMETER),
        (("CHAP_N=user", "CHAP_R=text"), LoginStatus.INITIATOR_ERROR),
        ((*PROOF_KEYS, "CHAP_I=256", "CHAP_C=0x01"), LoginStatus.INITIATOR_ERROR),
        (("CHAP_A=8",), LoginStatus.INITIATOR_ERROR),
        (("AuthMethod=None",), LoginStatus.INITIATOR_ERROR),
        ((*PROOF_KEYS, "HeaderDigest=None"), LoginStatus.INITIATOR_ERROR),
    ],
)
def test_the_third_step_done_wrong(keys: tuple[str, ...], status: LoginStatus) -> None:
    """Keys that are missing, cannot be read, come again, or belong elsewhere."""
    challenged().target(*CHALLENGE_KEYS).initiator(*keys, stage=SECURITY, to=OPERATIONAL).refuses(status)


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ((), LoginStatus.MISSING_PARAMETER),
        (PROOF_KEYS, LoginStatus.INITIATOR_ERROR),
        (("CHAP_A=8", "CHAP_N=user"), LoginStatus.INITIATOR_ERROR),
        (("AuthMethod=CHAP",), LoginStatus.INITIATOR_ERROR),
    ],
)
def test_the_second_step_done_wrong(keys: tuple[str, ...], status: LoginStatus) -> None:
    """It has CHAP_A and nothing else."""
    trace = Trace(Policy(authentication=REQUIRED), random=random)
    trace.initiator(*NAMES, "AuthMethod=CHAP", stage=SECURITY).target(TAG, "AuthMethod=CHAP")
    trace.initiator(*keys, stage=SECURITY, to=OPERATIONAL).refuses(status)


@pytest.mark.parametrize("keys", [("CHAP_A=8",), PROOF_KEYS, ("AuthMethod=CHAP", "CHAP_A=8")])
def test_steps_before_the_first(keys: tuple[str, ...]) -> None:
    """AuthMethod is settled before anything else, and alone."""
    trace = Trace(Policy(authentication=REQUIRED), random=random)
    trace.initiator(*NAMES, *keys, stage=SECURITY).refuses(LoginStatus.INITIATOR_ERROR)


def test_going_on_without_the_last_step() -> None:
    """The operational stage is not open to somebody whose proof is still awaited."""
    trace = challenged().target(*CHALLENGE_KEYS)
    trace.initiator(to=FULL_FEATURE).refuses(LoginStatus.INITIATOR_ERROR)
    assert "admit" not in trace.policy.asked


def test_authenticating_again() -> None:
    """What is settled stays settled."""
    trace = challenged().target(*CHALLENGE_KEYS)
    trace.initiator(*PROOF_KEYS, stage=SECURITY).target()
    trace.initiator(*PROOF_KEYS, stage=SECURITY).refuses(LoginStatus.INITIATOR_ERROR)
