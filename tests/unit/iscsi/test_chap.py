import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.chap import (
    ChapAlgorithm,
    ChapCredentials,
    ChapInitiator,
    ChapTarget,
    available_algorithms,
    chap_response,
)
from isthmus.iscsi.errors import ConnectionViolation, LoginRefused
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.text_format import Pair, TextViolation, encode_base64, parse_binary
from tests.support.randomness import counting

SECRET, TARGET_SECRET = b"secret of user", b"secret of target"
USERS = {"user": SECRET, "0x41": b"hexadecimal name", "0bQQ==": b"base64 name"}
ONE_WAY = Authentication(required=True, lookup=USERS.get)
MUTUAL = Authentication(required=True, lookup=USERS.get, mutual_user="target", mutual_secret=TARGET_SECRET)

# Digests of 01h, "secret", 00h to 0fh, made with md5sum, sha1sum, sha256sum and openssl.
VECTORS = {
    ChapAlgorithm.MD5: "740e86463bda3a4d7017d6e0fba0699d",
    ChapAlgorithm.SHA1: "3890198f5112376188a9742805758384545583a6",
    ChapAlgorithm.SHA256: "28b96c916cf784528bbfaa6ad7e012cab293437604aae8d66a3295b319132cef",
    ChapAlgorithm.SHA3_256: "bdceca071be509f41acf88309bb6d12e51526c23a2d18f22c2bb8ed199c36fd8",
}


def challenged(authentication: Authentication = ONE_WAY, offer: str = "5") -> tuple[ChapTarget, dict[str, str]]:
    """A target that has sent its challenge, and the challenge."""
    target = ChapTarget(authentication, counting())
    return target, dict(target.challenge({"CHAP_A": offer}))


def response(challenge: dict[str, str], secret: bytes, user: str = "user") -> dict[str, str]:
    """The right keys for `challenge`, if `secret` is right."""
    algorithm = ChapAlgorithm(int(challenge["CHAP_A"]))
    value = chap_response(algorithm, int(challenge["CHAP_I"]), secret, parse_binary(challenge["CHAP_C"]))
    return {"CHAP_N": user, "CHAP_R": "0x" + value.hex()}


def status_of(act: Callable[[], object]) -> LoginStatus:
    """The status that `act` is refused with."""
    with pytest.raises(LoginRefused) as refused:
        act()
    return refused.value.status


@pytest.mark.parametrize("algorithm", ChapAlgorithm)
def test_a_response_is_the_hash_of_identifier_secret_and_challenge(algorithm: ChapAlgorithm) -> None:
    """RFC 1994 §4.1, with each of the hashes."""
    assert chap_response(algorithm, 1, b"secret", bytes(range(16))).hex() == VECTORS[algorithm]


def test_algorithms_have_the_numbers_of_iana() -> None:
    """MD5 is 5, SHA1 6, SHA-256 7, SHA3-256 8; the strongest comes first."""
    assert {algorithm.name: int(algorithm) for algorithm in ChapAlgorithm} == {
        "MD5": 5,
        "SHA1": 6,
        "SHA256": 7,
        "SHA3_256": 8,
    }
    assert list(available_algorithms()) == sorted(available_algorithms(), reverse=True)


def test_an_algorithm_that_the_hash_library_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """FIPS mode has no MD5: the next one is chosen, or the login refused."""
    real = hashlib.new

    def fips(name: str, *arguments: Any) -> Any:
        if name == "md5":
            raise ValueError("disabled for FIPS")
        return real(name, *arguments)

    monkeypatch.setattr(hashlib, "new", fips)
    assert ChapAlgorithm.MD5 not in available_algorithms()
    assert challenged(offer="5,6")[1]["CHAP_A"] == "6"
    assert status_of(lambda: challenged(offer="5")) is LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [("5", "5"), ("5,6", "6"), ("6,5", "6"), ("5,6,7,8", "8"), ("7,5", "7"), ("0x5", "5"), ("99,5", "5"), ("8,8", "8")],
)
def test_the_strongest_algorithm_on_offer_is_chosen(offer: str, chosen: str) -> None:
    """Whatever the initiator's order, and whatever else it offers."""
    assert challenged(offer=offer)[1]["CHAP_A"] == chosen


@pytest.mark.parametrize("offer", ["56", "4", "9,10"])
def test_without_an_algorithm_in_common_the_login_is_refused(offer: str) -> None:
    """With "authentication failure" (RFC 7143 §12.1.3)."""
    assert status_of(lambda: challenged(offer=offer)) is LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize("offer", ["", "MD5", "5,", "-5"])
def test_what_is_no_list_of_algorithms_is_a_violation(offer: str) -> None:
    """Numbers with commas between them."""
    with pytest.raises(TextViolation):
        challenged(offer=offer)


@pytest.mark.parametrize("algorithm", ChapAlgorithm)
def test_a_challenge_is_as_long_as_its_hash(algorithm: ChapAlgorithm) -> None:
    """And its identifier is one byte."""
    _, challenge = challenged(offer=str(int(algorithm)))
    assert len(parse_binary(challenge["CHAP_C"])) == len(bytes.fromhex(VECTORS[algorithm]))
    assert 0 <= int(challenge["CHAP_I"]) <= 255


def test_no_two_logins_have_one_challenge() -> None:
    """Every byte of it comes from the random source, for this login alone."""
    random = counting()
    challenges = {str(ChapTarget(ONE_WAY, random).challenge({"CHAP_A": "5"})) for _ in range(100)}
    assert len(challenges) == 100


@pytest.mark.parametrize("algorithm", ChapAlgorithm)
@pytest.mark.parametrize("user", list(USERS))
def test_the_right_secret_proves_the_user(algorithm: ChapAlgorithm, user: str) -> None:
    """With every hash; a name that looks like a binary value is a name all the same."""
    target, challenge = challenged(offer=str(int(algorithm)))
    assert target.verify(response(challenge, USERS[user], user)) == (user, [])


def test_a_response_may_be_base64() -> None:
    """Either form of a binary value (RFC 7143 §6.1)."""
    target, challenge = challenged()
    keys = response(challenge, SECRET)
    keys["CHAP_R"] = encode_base64(parse_binary(keys["CHAP_R"]))
    assert target.verify(keys)[0] == "user"


@pytest.mark.parametrize("change", ["secret", "user", "cut", "longer", "empty name"])
def test_anything_else_is_an_authentication_failure(change: str) -> None:
    """One answer for a wrong secret and an unknown user: it does not tell which."""
    target, challenge = challenged()
    keys = response(challenge, b"wrong" if change == "secret" else SECRET)
    keys["CHAP_N"] = {"user": "nobody", "empty name": ""}.get(change, "user")
    keys["CHAP_R"] = {"cut": keys["CHAP_R"][:-2], "longer": keys["CHAP_R"] + "00"}.get(change, keys["CHAP_R"])
    assert status_of(lambda: target.verify(keys)) is LoginStatus.AUTHENTICATION_FAILURE


def test_an_unknown_user_takes_the_path_of_a_wrong_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hash is made and compared, so that time does not tell who is known."""
    calls: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def note(*arguments: Any) -> Any:
            calls.append(name)
            return real(*arguments)

        return note

    known, unknown = challenged()[0], challenged()[0]
    monkeypatch.setattr(hashlib, "new", noting("hash", hashlib.new))
    monkeypatch.setattr(hmac, "compare_digest", noting("compare", hmac.compare_digest))
    for target, user in ((known, "user"), (unknown, "nobody")):
        calls.append(user)
        keys = {"CHAP_N": user, "CHAP_R": "0x" + "00" * 16}
        with pytest.raises(LoginRefused, match=user):
            target.verify(keys)
    assert calls == ["user", "hash", "compare", "nobody", "hash", "compare"]


def test_nobody_is_let_in_with_the_stand_in_for_a_secret() -> None:
    """Even who could guess the bytes that stand in for an unknown user's."""
    target, challenge = challenged()
    decoy = counting()(16)
    keys = response(challenge, decoy, "nobody")
    assert status_of(lambda: target.verify(keys)) is LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize("missing", ["CHAP_N", "CHAP_R"])
def test_half_a_response_is_a_missing_parameter(missing: str) -> None:
    """Name and response come together (RFC 7143 §12.1.3)."""
    target, challenge = challenged()
    keys = response(challenge, SECRET)
    del keys[missing]
    assert status_of(lambda: target.verify(keys)) is LoginStatus.MISSING_PARAMETER


def test_a_user_name_has_a_length() -> None:
    """255 bytes, like any text (RFC 7143 §6.1): the log quotes it."""
    target, challenge = challenged()
    with pytest.raises(TextViolation, match="255"):
        target.verify(response(challenge, SECRET, "u" * 256))


@pytest.mark.parametrize("value", ["", "00", "0xzz", "0b!", "0x" + "00" * 1025])
def test_a_response_that_cannot_be_read_is_a_violation(value: str) -> None:
    """It is no binary value, or one that is too long."""
    target, _ = challenged()
    with pytest.raises(TextViolation):
        target.verify({"CHAP_N": "user", "CHAP_R": value})


def test_a_response_before_the_challenge_is_a_slip_of_ours() -> None:
    """The login states do not let it come to that."""
    with pytest.raises(LocalProtocolError):
        ChapTarget(ONE_WAY, counting()).verify({"CHAP_N": "user", "CHAP_R": "0x00"})


# -- The target proves itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ChapAlgorithm)
def test_the_target_answers_a_challenge(algorithm: ChapAlgorithm) -> None:
    """With the hash that both use, its own name and its own secret."""
    target, challenge = challenged(MUTUAL, str(int(algorithm)))
    keys = response(challenge, SECRET) | {"CHAP_I": "7", "CHAP_C": "0x0102030405060708"}
    user, proof = target.verify(keys)
    expected = chap_response(algorithm, 7, TARGET_SECRET, bytes(range(1, 9)))
    assert (user, proof) == ("user", [("CHAP_N", "target"), ("CHAP_R", "0x" + expected.hex())])


def test_our_own_challenge_is_not_answered() -> None:
    """Reflection: the initiator must not reuse our challenge (RFC 7143 §9.2.1)."""
    target, challenge = challenged(MUTUAL)
    keys = response(challenge, SECRET) | {"CHAP_I": "7", "CHAP_C": challenge["CHAP_C"]}
    assert status_of(lambda: target.verify(keys)) is LoginStatus.AUTHENTICATION_FAILURE


def test_one_secret_for_both_directions_is_refused() -> None:
    """Even if it is right: an attacker could have the other end make the response (RFC 7143 §9.2.1)."""
    authentication = Authentication(lookup=USERS.get, mutual_user="target", mutual_secret=SECRET)
    target, challenge = challenged(authentication)
    assert status_of(lambda: target.verify(response(challenge, SECRET))) is LoginStatus.AUTHENTICATION_FAILURE


def test_a_wrong_secret_gets_no_proof() -> None:
    """The target proves itself to nobody who has not proved itself first."""
    target, challenge = challenged(MUTUAL)
    keys = response(challenge, b"wrong") | {"CHAP_I": "7", "CHAP_C": "0x01"}
    assert status_of(lambda: target.verify(keys)) is LoginStatus.AUTHENTICATION_FAILURE


def test_a_target_without_a_secret_cannot_prove_itself() -> None:
    """The login is refused (RFC 7143 §12.1.3)."""
    target, challenge = challenged(ONE_WAY)
    keys = response(challenge, SECRET) | {"CHAP_I": "7", "CHAP_C": "0x01"}
    assert status_of(lambda: target.verify(keys)) is LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize("missing", ["CHAP_I", "CHAP_C"])
def test_half_a_challenge_is_a_missing_parameter(missing: str) -> None:
    """Identifier and challenge come together."""
    target, challenge = challenged(MUTUAL)
    keys = response(challenge, SECRET) | {"CHAP_I": "7", "CHAP_C": "0x01"}
    del keys[missing]
    assert status_of(lambda: target.verify(keys)) is LoginStatus.MISSING_PARAMETER


@pytest.mark.parametrize("identifier", ["256", "-1", "x"])
def test_an_identifier_is_one_byte(identifier: str) -> None:
    """Anything else is a violation."""
    target, challenge = challenged(MUTUAL)
    with pytest.raises(TextViolation):
        target.verify(response(challenge, SECRET) | {"CHAP_I": identifier, "CHAP_C": "0x01"})


# -- The initiator's end ---------------------------------------------------------------------------------------------


def credentials(**changes: Any) -> ChapCredentials:
    """Those of `user`."""
    return ChapCredentials(**({"user": "user", "secret": SECRET} | changes))


@given(
    st.binary(min_size=1, max_size=40),
    st.binary(min_size=1, max_size=40),
    st.sampled_from(ChapAlgorithm),
    st.booleans(),
)
def test_both_ends_understand_each_other(
    secret: bytes, target_secret: bytes, algorithm: ChapAlgorithm, mutual: bool
) -> None:
    """Any secrets that differ, any hash, one-way and mutual."""
    if secret == target_secret:
        return
    own = Authentication(lookup={"user": secret}.get, mutual_user="t", mutual_secret=target_secret)
    target = ChapTarget(own, counting())
    given_target_secret = target_secret if mutual else None
    chosen = credentials(secret=secret, target_secret=given_target_secret, target_user="t", algorithms=(algorithm,))
    initiator = ChapInitiator(chosen, counting(100))
    challenge = target.challenge(dict(initiator.offer()))
    user, proof = target.verify(dict(initiator.respond(dict(challenge))))
    assert user == "user"
    assert bool(proof) is mutual
    if mutual:
        initiator.verify(dict(proof))


def test_secrets_do_not_show() -> None:
    """Neither ends in a log by being printed."""
    shown = repr(credentials(target_secret=TARGET_SECRET)) + repr(MUTUAL)
    assert "secret of" not in shown


@pytest.mark.parametrize(
    "change",
    [
        {"CHAP_A": "6"},
        {"CHAP_A": "x"},
        {"CHAP_A": None},
        {"CHAP_I": None},
        {"CHAP_C": None},
        {"CHAP_I": "256"},
        {"CHAP_C": "0x"},
    ],
)
def test_an_initiator_answers_no_strange_challenge(change: dict[str, str | None]) -> None:
    """An algorithm that was not offered, a key that is missing or cannot be read."""
    initiator = ChapInitiator(credentials(algorithms=(ChapAlgorithm.MD5,)), counting())
    keys = {"CHAP_A": "5", "CHAP_I": "1", "CHAP_C": "0x01"} | change
    with pytest.raises(ConnectionViolation):
        initiator.respond({name: value for name, value in keys.items() if value is not None})


def proving(proof_secret: bytes, **changes: Any) -> tuple[ChapInitiator, list[Pair]]:
    """An initiator that has challenged the target, and what a target with `proof_secret` answers."""
    initiator = ChapInitiator(credentials(target_secret=TARGET_SECRET, **changes), counting())
    keys = dict(initiator.respond({"CHAP_A": "5", "CHAP_I": "1", "CHAP_C": "0xff"}))
    proof = chap_response(ChapAlgorithm.MD5, int(keys["CHAP_I"]), proof_secret, parse_binary(keys["CHAP_C"]))
    return initiator, [("CHAP_N", "target"), ("CHAP_R", "0x" + proof.hex())]


def test_an_initiator_takes_the_right_proof() -> None:
    """From a target of any name, or of the one that is wanted."""
    for name in (None, "target"):
        initiator, proof = proving(TARGET_SECRET, target_user=name)
        initiator.verify(dict(proof))


def test_an_initiator_takes_no_other_proof() -> None:
    """A wrong secret, another name, its own secret, a key that is missing or cannot be read."""
    initiator, proof = proving(b"wrong")
    with pytest.raises(ConnectionViolation, match="wrong"):
        initiator.verify(dict(proof))
    initiator, proof = proving(TARGET_SECRET, target_user="other")
    with pytest.raises(ConnectionViolation, match="other"):
        initiator.verify(dict(proof))
    initiator, proof = proving(TARGET_SECRET, secret=TARGET_SECRET)
    with pytest.raises(ConnectionViolation, match="both directions"):
        initiator.verify(dict(proof))
    initiator, proof = proving(TARGET_SECRET)
    with pytest.raises(ConnectionViolation, match="does not prove"):
        initiator.verify({"CHAP_N": "target"})
    with pytest.raises(ConnectionViolation, match="response"):
        initiator.verify({"CHAP_N": "target", "CHAP_R": "x"})


def test_an_initiator_never_sends_the_challenge_that_it_got() -> None:
    """A random source that repeats the target's is broken (RFC 7143 §9.2.1)."""
    initiator = ChapInitiator(credentials(target_secret=TARGET_SECRET), bytes)
    with pytest.raises(LocalProtocolError):
        initiator.respond({"CHAP_A": "5", "CHAP_I": "1", "CHAP_C": "0x" + "00" * 16})


def test_an_initiator_judges_only_what_it_asked_for() -> None:
    """Without a challenge of its own there is no proof."""
    with pytest.raises(LocalProtocolError):
        ChapInitiator(credentials(), counting()).verify({"CHAP_N": "target", "CHAP_R": "0x00"})
