"""CHAP, one-way and mutual, for both ends (RFC 7143 §9.2.1, §12.1.3, RFC 1994).

```
initiator                              target
CHAP_A=8,7,6,5                  ->
                                <-     CHAP_A=8 CHAP_I=… CHAP_C=…
CHAP_N=… CHAP_R=…               ->                                   proves the initiator
  [CHAP_I=… CHAP_C=…]           ->                                   asks the target to prove itself
                                <-     [CHAP_N=… CHAP_R=…]
```
"""

import enum
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.errors import ConnectionViolation, LoginRefused
from isthmus.iscsi.keys import KEYS
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.text_format import Pair, TextViolation, encode_hex, parse_binary, parse_list, parse_numeric

__all__ = [
    "RECOMMENDED_SECRET_BYTES",
    "ChapAlgorithm",
    "ChapCredentials",
    "ChapInitiator",
    "ChapTarget",
    "available_algorithms",
    "chap_response",
]

RECOMMENDED_SECRET_BYTES: Final = 12
"""Shorter secrets fall to a dictionary attack by whoever sees the exchange (RFC 7143 §9.2.1: 96 bits)."""
_DECOY_BYTES: Final = 16
"""How long the secret is that stands in for that of an unknown user."""


class ChapAlgorithm(enum.IntEnum):
    """CHAP_A (IANA, "PPP Authentication Algorithms"), the stronger the higher."""

    MD5 = 5
    SHA1 = 6
    SHA256 = 7
    SHA3_256 = 8


_HASHES: Final = {
    ChapAlgorithm.MD5: "md5",
    ChapAlgorithm.SHA1: "sha1",
    ChapAlgorithm.SHA256: "sha256",
    ChapAlgorithm.SHA3_256: "sha3_256",
}


def available_algorithms() -> tuple[ChapAlgorithm, ...]:
    """Those that this machine's hash library has, the strongest first: one in FIPS mode lacks MD5."""
    return tuple(algorithm for algorithm in sorted(ChapAlgorithm, reverse=True) if _is_available(algorithm))


def _is_available(algorithm: ChapAlgorithm) -> bool:
    try:
        hashlib.new(_HASHES[algorithm])
    except ValueError:
        return False
    return True


def chap_response(algorithm: ChapAlgorithm, identifier: int, secret: bytes, challenge: bytes) -> bytes:
    """CHAP_R: the hash over identifier, secret and challenge (RFC 1994 §4.1)."""
    return hashlib.new(_HASHES[algorithm], bytes([identifier]) + secret + challenge).digest()


def _digest_size(algorithm: ChapAlgorithm) -> int:
    return hashlib.new(_HASHES[algorithm]).digest_size


@dataclass(frozen=True, slots=True)
class _Challenge:
    """CHAP_A, CHAP_I and CHAP_C together."""

    algorithm: ChapAlgorithm
    identifier: int
    challenge: bytes

    @classmethod
    def draw(cls, algorithm: ChapAlgorithm, random: Callable[[int], bytes]) -> "_Challenge":
        """A fresh one, as long as the hash: bytes that no two logins share, unless `random` is broken."""
        return cls(algorithm, random(1)[0], random(_digest_size(algorithm)))

    def response(self, secret: bytes) -> bytes:
        return chap_response(self.algorithm, self.identifier, secret, self.challenge)

    def keys(self) -> list[Pair]:
        return [("CHAP_I", str(self.identifier)), ("CHAP_C", encode_hex(self.challenge))]


def _parse_challenge(algorithm: ChapAlgorithm, keys: Mapping[str, str]) -> _Challenge:
    identifier = KEYS["CHAP_I"].value.parse(keys["CHAP_I"])
    assert isinstance(identifier, int)
    return _Challenge(algorithm, identifier, parse_binary(keys["CHAP_C"]))


class ChapTarget:
    """The target's end: makes one challenge, judges one response."""

    def __init__(
        self,
        authentication: Authentication,
        random: Callable[[int], bytes],
        algorithms: Sequence[ChapAlgorithm] | None = None,
    ) -> None:
        """`algorithms` are those to take, the strongest first; None: all that there are."""
        self._authentication = authentication
        self._random = random
        self._algorithms = available_algorithms() if algorithms is None else algorithms
        self._challenge: _Challenge | None = None
        self._decoy = random(_DECOY_BYTES)

    def challenge(self, keys: Mapping[str, str]) -> list[Pair]:
        """Answer CHAP_A with the strongest of the algorithms on offer; raises `LoginRefused` if there is none."""
        offered = {parse_numeric(value) for value in parse_list(keys["CHAP_A"])}
        algorithm = next((own for own in self._algorithms if own in offered), None)
        if algorithm is None:
            raise LoginRefused(LoginStatus.AUTHENTICATION_FAILURE, "no CHAP algorithm in common")
        self._challenge = _Challenge.draw(algorithm, self._random)
        return [("CHAP_A", str(int(algorithm))), *self._challenge.keys()]

    def verify(self, keys: Mapping[str, str]) -> tuple[str, list[Pair]]:
        """Judge the initiator's response: gives the user that it proved to be, and our own proof if it asked for one.

        Raises `LoginRefused`, or `TextViolation` for a value that cannot be read.
        """
        _require(keys, "CHAP_N", "CHAP_R")
        user = str(KEYS["CHAP_N"].value.parse(keys["CHAP_N"]))
        self._judge(user, parse_binary(keys["CHAP_R"]))
        if "CHAP_I" in keys or "CHAP_C" in keys:
            _require(keys, "CHAP_I", "CHAP_C")
            return user, self._prove(keys)
        return user, []

    def _judge(self, user: str, response: bytes) -> None:
        challenge = self._made()
        lookup = self._authentication.lookup
        secret = lookup(user) if lookup else None
        # Somebody unknown is put through the same sums, so that the time of the answer does not tell who is known.
        expected = challenge.response(self._decoy if secret is None else secret)
        if not hmac.compare_digest(expected, response) or secret is None:
            raise LoginRefused(LoginStatus.AUTHENTICATION_FAILURE, f"CHAP failed for user {user!r}")
        self._refuse_shared_secret(user, response)

    def _refuse_shared_secret(self, user: str, response: bytes) -> None:
        """One secret for both directions lets an attacker have us answer our own challenge (RFC 7143 §9.2.1)."""
        own = self._authentication.mutual_secret
        if own is not None and hmac.compare_digest(self._made().response(own), response):
            why = f"the CHAP secret of user {user!r} is also the target's own: the two must differ"
            raise LoginRefused(LoginStatus.AUTHENTICATION_FAILURE, why)

    def _prove(self, keys: Mapping[str, str]) -> list[Pair]:
        own = self._made()
        asked = _parse_challenge(own.algorithm, keys)
        if hmac.compare_digest(asked.challenge, own.challenge):
            raise LoginRefused(LoginStatus.AUTHENTICATION_FAILURE, "the initiator reflects our CHAP challenge")
        secret = self._authentication.mutual_secret
        if secret is None:
            raise LoginRefused(LoginStatus.AUTHENTICATION_FAILURE, "the target has no CHAP secret to prove itself with")
        return [("CHAP_N", self._authentication.mutual_user), ("CHAP_R", encode_hex(asked.response(secret)))]

    def _made(self) -> _Challenge:
        if self._challenge is None:
            raise LocalProtocolError("there is no CHAP challenge yet")
        return self._challenge


def _require(keys: Mapping[str, str], *names: str) -> None:
    missing = [name for name in names if name not in keys]
    if missing:
        raise LoginRefused(LoginStatus.MISSING_PARAMETER, f"{' and '.join(missing)} not sent (RFC 7143 §12.1.3)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapCredentials:
    """What an initiator logs in with."""

    user: str
    secret: bytes = field(repr=False)
    target_secret: bytes | None = field(default=None, repr=False)
    """What the target has to prove that it knows; None: it need not prove itself."""
    target_user: str | None = None
    """The name that the target has to give; None: any."""
    algorithms: tuple[ChapAlgorithm, ...] = field(default_factory=available_algorithms)
    """In order of preference."""

    @property
    def mutual(self) -> bool:
        """The target has to prove itself."""
        return self.target_secret is not None


class ChapInitiator:
    """The initiator's end. Raises `ConnectionViolation` for anything that must end the connection."""

    def __init__(self, credentials: ChapCredentials, random: Callable[[int], bytes]) -> None:
        self._credentials = credentials
        self._random = random
        self._asked: _Challenge | None = None
        self._own: _Challenge | None = None

    def offer(self) -> list[Pair]:
        """The algorithms."""
        return [("CHAP_A", ",".join(str(int(algorithm)) for algorithm in self._credentials.algorithms))]

    def respond(self, keys: Mapping[str, str]) -> list[Pair]:
        """Answer the target's challenge, and challenge it in turn where it has to prove itself."""
        if not {"CHAP_A", "CHAP_I", "CHAP_C"} <= keys.keys():
            raise ConnectionViolation("the target's CHAP challenge is not complete (RFC 7143 §12.1.3)")
        try:
            algorithm = parse_numeric(keys["CHAP_A"])
            if algorithm not in self._credentials.algorithms:
                raise ConnectionViolation(f"the target chose CHAP algorithm {algorithm}, which was not offered")
            self._asked = _parse_challenge(ChapAlgorithm(algorithm), keys)
        except TextViolation as error:
            raise ConnectionViolation(f"the target's CHAP challenge: {error}") from error
        response = encode_hex(self._asked.response(self._credentials.secret))
        return [("CHAP_N", self._credentials.user), ("CHAP_R", response), *self._challenge()]

    def _challenge(self) -> list[Pair]:
        if not self._credentials.mutual or self._asked is None:
            return []
        self._own = _Challenge.draw(self._asked.algorithm, self._random)
        if self._own.challenge == self._asked.challenge:
            raise LocalProtocolError("the random source gives what the target's gave")
        return self._own.keys()

    def verify(self, keys: Mapping[str, str]) -> None:
        """Judge the target's proof."""
        if self._own is None or self._asked is None:
            raise LocalProtocolError("the target was not challenged")
        if not {"CHAP_N", "CHAP_R"} <= keys.keys():
            raise ConnectionViolation("the target does not prove itself (RFC 7143 §12.1.3)")
        try:
            response = parse_binary(keys["CHAP_R"])
        except TextViolation as error:
            raise ConnectionViolation(f"the target's CHAP response: {error}") from error
        self._judge(keys["CHAP_N"], response)

    def _judge(self, name: str, response: bytes) -> None:
        assert self._own is not None
        expected = self._own.response(self._credentials.target_secret or b"")
        if not hmac.compare_digest(expected, response):
            raise ConnectionViolation("the target's CHAP response is wrong")
        if self._credentials.target_user not in {None, name}:
            raise ConnectionViolation(f"the target is {name!r}, not {self._credentials.target_user!r}")
        if hmac.compare_digest(self._own.response(self._credentials.secret), response):
            raise ConnectionViolation("one CHAP secret serves both directions (RFC 7143 §9.2.1)")
