"""The ROD tokens of one logical unit: made, used, and void as soon as they could lie.

A token stands for what its blocks held when it was made. Nothing keeps that elsewhere, so whatever starts to change one of
these blocks revokes the token first (ROD type point in time copy, change vulnerable). That takes every change to pass
by here: while a token is valid, the engine has no leave to write (`any_valid`), and its writes take the long way.

    VALID ── a change of its blocks ──► REVOKED
    VALID ── not used for its inactivity timeout ──► EXPIRED
    VALID ── used with DEL_TKN ──► DELETED

The ends of tokens are remembered for a while, so that their holders are told what became of them. Everybody else is told
nothing: a token is looked up by its identifier, and compared as a whole.
"""

import enum
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import BlockOperation
from isthmus.scsi.copy.limits import MAX_TOKENS
from isthmus.scsi.copy.rod_token import MANAGEMENT_LENGTH

if TYPE_CHECKING:
    from isthmus.scsi.copy.manager import CopyServices

__all__ = ["RodToken", "RodTokens", "TokenState"]

_REMEMBERED: Final = 256
_IDENTIFIER: Final = slice(8, 16)


class TokenState(enum.Enum):
    """See the diagram above."""

    VALID = "valid"
    REVOKED = "what it stands for has changed"
    EXPIRED = "it was not used for too long"
    DELETED = "whoever used it had it deleted"


class RodToken:
    """One token, and what it stands for."""

    __slots__ = ("inactivity_timeout", "last_used", "ranges", "state", "token", "users")

    def __init__(
        self, token: bytes, ranges: Sequence[tuple[int, int]], *, inactivity_timeout: float, now: float
    ) -> None:
        """`ranges` are (offset, length) in bytes, in the order of the data; times are in seconds."""
        self.token = token
        self.ranges = tuple(ranges)
        self.inactivity_timeout = inactivity_timeout
        self.last_used = now
        self.users = 0
        """Copies that use it now."""
        self.state = TokenState.VALID

    @property
    def length(self) -> int:
        """Bytes of data that it stands for."""
        return sum(length for _, length in self.ranges)

    @property
    def identifier(self) -> bytes:
        """The COPY MANAGER ROD TOKEN IDENTIFIER."""
        return self.token[_IDENTIFIER]

    @property
    def management_token(self) -> bytes:
        """What may be shown of it."""
        return self.token[:MANAGEMENT_LENGTH]

    def is_touched_by(self, operation: BlockOperation) -> bool:
        """Whether `operation` may change a byte that it stands for."""
        return any(
            max(offset, start) < min(offset + length, start + size)
            for offset, length in operation.changes
            for start, size in self.ranges
        )


class RodTokens:
    """The tokens that one logical unit has made."""

    def __init__(self, services: "CopyServices", changed: Callable[[], None]) -> None:
        """`changed` is called when `any_valid` changes."""
        self._services = services
        self._changed = changed
        self._valid: dict[bytes, RodToken] = {}
        self._ended: OrderedDict[bytes, RodToken] = OrderedDict()

    @property
    def any_valid(self) -> bool:
        """Whether something is promised of blocks of this unit: whatever changes them has to tell `will_change`."""
        return bool(self._valid)

    @property
    def is_full(self) -> bool:
        """Whether no further token can be made now."""
        self._expire()
        return len(self._valid) >= MAX_TOKENS

    def __iter__(self) -> Iterator[RodToken]:
        """The valid ones, oldest first."""
        self._expire()
        return iter(tuple(self._valid.values()))

    def add(self, token: bytes, ranges: Sequence[tuple[int, int]], *, inactivity_timeout: float) -> RodToken:
        """`token` stands for `ranges`, (offset, length) in bytes, from now on."""
        made = RodToken(token, ranges, inactivity_timeout=inactivity_timeout, now=self._services.clock())
        self._valid[made.identifier] = made
        if len(self._valid) == 1:
            self._changed()
        return made

    def find(self, token: bytes) -> RodToken | None:
        """The token that is these bytes, whatever its state; None if there is none, or it is forgotten."""
        self._expire()
        identifier = token[_IDENTIFIER]
        found = self._valid.get(identifier) or self._ended.get(identifier)
        return found if found is not None and hmac.compare_digest(found.token, token) else None

    def begin_use(self, token: RodToken) -> None:
        """A copy from `token` begins: it does not expire meanwhile."""
        token.users += 1

    def end_use(self, token: RodToken, *, delete: bool) -> None:
        """The copy is over; with `delete`, the token is not wanted any more."""
        token.users -= 1
        token.last_used = self._services.clock()
        if delete and token.state is TokenState.VALID:
            self._end(token, TokenState.DELETED)

    def will_change(self, operation: BlockOperation) -> None:
        """`operation` starts now: the tokens whose blocks it may change are void."""
        if not self._valid:
            return
        self._expire()
        for token in tuple(self._valid.values()):
            if token.is_touched_by(operation):
                self._end(token, TokenState.REVOKED)

    def _expire(self) -> None:
        now = self._services.clock()
        for token in tuple(self._valid.values()):
            if not token.users and now - token.last_used > token.inactivity_timeout:
                self._end(token, TokenState.EXPIRED)

    def _end(self, token: RodToken, state: TokenState) -> None:
        token.state = state
        del self._valid[token.identifier]
        self._ended[token.identifier] = token
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        if not self._valid:
            self._changed()
