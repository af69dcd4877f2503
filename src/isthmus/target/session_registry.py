"""The sessions of a target, by the names that the protocol knows them by."""

from collections.abc import Iterator
from typing import Final

from isthmus.iscsi.session import Session

__all__ = ["SessionRegistry", "TsihAllocator"]

_TSIH_LIMIT: Final = 0x10000


class TsihAllocator:
    """Gives out session handles: 16 bits, never 0, none in use twice (RFC 7143 §11.12.6)."""

    def __init__(self) -> None:
        """Start at 1."""
        self._last = 0
        self._used: set[int] = set()

    def allocate(self) -> int | None:
        """A free handle, or None if all 65535 are taken. One just freed comes again only after all the others."""
        for step in range(1, _TSIH_LIMIT):
            tsih = (self._last + step) % _TSIH_LIMIT
            if tsih and tsih not in self._used:
                self._last = tsih
                self._used.add(tsih)
                return tsih
        return None

    def release(self, tsih: int) -> None:
        """`tsih` is free again."""
        self._used.discard(tsih)


class SessionRegistry:
    """The normal sessions of one target."""

    def __init__(self) -> None:
        """No sessions."""
        self._by_identifier: dict[tuple[str, int, int], Session] = {}
        self._by_tsih: dict[int, Session] = {}

    def add(self, session: Session, target_portal_group_tag: int) -> None:
        """Know `session` by its identifier, which no other has (RFC 7143 §4.4.3.1), and by its handle."""
        self._by_identifier[session.initiator_name, session.isid, target_portal_group_tag] = session
        self._by_tsih[session.tsih] = session

    def remove(self, session: Session) -> None:
        """Forget `session`; a newer one with the same identifier stays."""
        self._by_tsih.pop(session.tsih, None)
        for identifier, known in list(self._by_identifier.items()):
            if known is session:
                del self._by_identifier[identifier]

    def by_identifier(self, initiator_name: str, isid: int, target_portal_group_tag: int) -> Session | None:
        """The session that a leading login with these names reinstates (RFC 7143 §6.3.5)."""
        return self._by_identifier.get((initiator_name, isid, target_portal_group_tag))

    def by_tsih(self, tsih: int) -> Session | None:
        """The session that a further connection joins."""
        return self._by_tsih.get(tsih)

    def __len__(self) -> int:
        return len(self._by_tsih)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_tsih.values()))
