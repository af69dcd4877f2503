"""The tokens of a unit: found only as a whole, and void in time."""

import pytest

from isthmus.backstores.operations import BlockOperation, Discard, Read, Write, WriteZeroes
from isthmus.scsi.copy.limits import MAX_TOKENS
from isthmus.scsi.copy.manager import CopyServices
from isthmus.scsi.copy.rod_tokens import RodToken, RodTokens, TokenState
from tests.support.copying import Clock

TIMEOUT = 60.0


class Tokens(RodTokens):
    """Tokens with a clock, which count how often it changed whether any is valid."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.changes = 0
        super().__init__(CopyServices(randomness=bytes, clock=self.clock), self.changed)

    def changed(self) -> None:
        self.changes += 1

    def make(self, number: int = 1, *ranges: tuple[int, int]) -> RodToken:
        """A token for `ranges`."""
        return self.add(token_bytes(number), ranges or ((0, 512),), inactivity_timeout=TIMEOUT)


def token_bytes(number: int) -> bytes:
    """A token of that identifier."""
    return bytes(8) + number.to_bytes(8) + bytes(496)


def test_found_as_a_whole() -> None:
    """Only the very bytes find it."""
    tokens = Tokens()
    made = tokens.make()
    assert tokens.find(token_bytes(1)) is made
    assert tokens.find(token_bytes(2)) is None
    assert tokens.find(token_bytes(1)[:-1] + b"\1") is None
    assert (made.length, made.management_token) == (512, token_bytes(1)[:96])


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        (Write(0, (), 512), TokenState.VALID),
        (Write(511, (), 2), TokenState.REVOKED),
        (WriteZeroes(1023, 1), TokenState.REVOKED),
        (WriteZeroes(1024, 512), TokenState.VALID),
        (WriteZeroes(0, 1 << 40), TokenState.REVOKED),
        (Discard(((0, 512), (4096, 1))), TokenState.REVOKED),
        (Discard(((0, 512), (8192, 512))), TokenState.VALID),
        (Read(512, 512), TokenState.VALID),
        (WriteZeroes(600, 0), TokenState.VALID),
    ],
)
def test_changes(operation: BlockOperation, state: TokenState) -> None:
    """What may change one of its bytes revokes it; what reads them, or lies beside them, does not."""
    tokens = Tokens()
    made = tokens.make(1, (512, 512), (4096, 512))
    tokens.will_change(operation)
    assert made.state is state
    assert tokens.find(token_bytes(1)) is made


def test_whether_any_is_valid() -> None:
    """It is told when that changes, and only then."""
    tokens = Tokens()
    assert not tokens.any_valid
    tokens.make(1, (0, 512))
    tokens.make(2, (512, 512))
    assert (tokens.any_valid, tokens.changes) == (True, 1)
    tokens.will_change(WriteZeroes(0, 1))
    assert (tokens.any_valid, tokens.changes) == (True, 1)
    tokens.will_change(WriteZeroes(512, 1))
    assert (tokens.any_valid, tokens.changes) == (False, 2)


def test_expiry() -> None:
    """A token that was not used for its timeout is gone; a use puts that off."""
    tokens = Tokens()
    used, unused = tokens.make(1), tokens.make(2)
    tokens.clock.now = TIMEOUT
    tokens.begin_use(used)
    tokens.end_use(used, delete=False)
    tokens.clock.now = TIMEOUT + 1
    assert list(tokens) == [used]
    assert unused.state is TokenState.EXPIRED


def test_a_change_finds_what_has_expired() -> None:
    """So that the leave to write is given back by the first write after that."""
    tokens = Tokens()
    tokens.make()
    tokens.clock.now = TIMEOUT + 1
    tokens.will_change(WriteZeroes(4096, 1))
    assert not tokens.any_valid


def test_in_use_it_does_not_expire() -> None:
    """However long a copy takes."""
    tokens = Tokens()
    made = tokens.make()
    tokens.begin_use(made)
    tokens.clock.now = 100 * TIMEOUT
    assert list(tokens) == [made]
    tokens.end_use(made, delete=False)
    assert list(tokens) == [made]


def test_deletion() -> None:
    """With its last use; a token that is void already stays what it is."""
    tokens = Tokens()
    first, second = tokens.make(1), tokens.make(2, (512, 512))
    for made in (first, second):
        tokens.begin_use(made)
    tokens.will_change(WriteZeroes(0, 1))
    for made in (first, second):
        tokens.end_use(made, delete=True)
    assert (first.state, second.state) == (TokenState.REVOKED, TokenState.DELETED)


def test_limit() -> None:
    """There are only so many valid ones at once."""
    tokens = Tokens()
    for number in range(MAX_TOKENS):
        assert not tokens.is_full
        tokens.make(number)
    assert tokens.is_full
    tokens.clock.now = TIMEOUT + 1
    assert not tokens.is_full


def test_what_has_ended_is_forgotten_in_time() -> None:
    """The ends of tokens take a bounded room."""
    tokens = Tokens()
    for number in range(1000):
        tokens.make(number)
        tokens.will_change(WriteZeroes(0, 1))
    assert tokens.find(token_bytes(0)) is None
    assert tokens.find(token_bytes(999)) is not None
