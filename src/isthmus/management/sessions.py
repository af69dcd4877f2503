"""The sessions: who is logged in, and how to end that."""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from isthmus import events
from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.connection import Connection
from isthmus.iscsi.keys import KEYS
from isthmus.iscsi.parameters import CRC32C, NONE
from isthmus.iscsi.session import Session
from isthmus.management.audit import AuditTrail, NoTrail, entry, record
from isthmus.management.callers import Caller
from isthmus.management.errors import NotFoundError
from isthmus.management.statistics import Statistics, counts_of_nexus
from isthmus.management.views import ConnectionView, SessionView
from isthmus.scsi.counts import Counts
from isthmus.scsi.nexus import Nexus
from isthmus.server.blocking import in_thread
from isthmus.server.disks import Disks
from isthmus.server.login_policy import Directory
from isthmus.target.access import Standing

__all__ = ["LOGOUT_SECONDS", "Sessions"]

LOGOUT_SECONDS: Final = 5
"""What an initiator gets to log out in when it is asked to."""
_POLL_SECONDS: Final = 0.05
_AUDIT_SECONDS: Final = 10.0


class Sessions:
    """All of them, as the engine has them."""

    def __init__(self, engine: ReferenceEngine, directory: Directory, audit: AuditTrail | None = None) -> None:
        self._audit = audit or NoTrail()
        self._engine = engine
        self._directory = directory

    def statistics(self, disks: Disks) -> Statistics:
        """What was read and written on `disks`, and by the sessions."""
        return Statistics(disks, self._engine, self._directory)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._engine.sessions)

    def views(self) -> list[SessionView]:
        """Every session, by TSIH."""
        return list(self.each())

    def each(self) -> Iterator[SessionView]:
        """The same one by one, while sessions may end."""
        nexuses = {
            session: nexus for node in self._directory.targets.values() for session, nexus in node.nexuses.items()
        }
        sessions = sorted(self._engine.sessions, key=lambda session: session.tsih)
        return (self._view(session, nexuses.get(session)) for session in sessions)

    async def end(self, tsih: int, *, ask: bool, who: Caller | str) -> None:
        """End a session: `ask` its initiator to log out, and drop it if it does not; else drop it at once.

        Raises `ConfigurationError` if there is none of that TSIH.
        """
        session = next((session for session in self._engine.sessions if session.tsih == tsih), None)
        if session is None:
            raise NotFoundError(f"there is no session with TSIH {tsih}", "list the sessions")
        caller, name = Caller.of(who), session.initiator_name
        events.emit(events.SESSION_END_ASKED, **caller.values(), tsih=tsih, initiator=name, asked=ask)
        done = entry(events.SESSION_END_ASKED.name, caller, tsih=tsih, initiator=name, asked=ask)
        await in_thread(lambda: record(self._audit, done), timeout=_AUDIT_SECONDS)
        if ask:
            for connection in list(session.connections.values()):
                connection.ask_logout(LOGOUT_SECONDS)
            await self._wait_for(session)
        self._engine.end_session(session, "the operator ends it")

    async def _wait_for(self, session: Session) -> None:
        for _ in range(int(LOGOUT_SECONDS / _POLL_SECONDS)):
            if session not in self._engine.sessions:
                return
            await asyncio.sleep(_POLL_SECONDS)

    def _view(self, session: Session, nexus: Nexus | None) -> SessionView:
        counts = counts_of_nexus(nexus) if nexus else Counts()
        standing = self._standing(session, nexus) if nexus else Standing()
        return SessionView(
            tsih=session.tsih,
            session_type="Discovery" if nexus is None else "Normal",
            state=session.state.name,
            initiator_name=session.initiator_name,
            initiator_alias=session.initiator_alias,
            isid=f"{session.isid:012x}",
            target_name=nexus.target_name if nexus else "",
            target_portal_group_tag=nexus.target_portal_group_tag if nexus else 0,
            dynamic=standing.dynamic,
            initiator_group=standing.initiator_group,
            chap_user=session.chap_user or "",
            luns=tuple(sorted(nexus.mappings)) if nexus else (),
            parameters=_parameters(session),
            connections=tuple(self._connection(connection) for connection in session.connections.values()),
            commands_in_progress=len(session.tasks),
            since=self._engine.since(session),
            read_commands=counts.read_commands,
            write_commands=counts.write_commands,
            bytes_read=counts.bytes_read,
            bytes_written=counts.bytes_written,
            errors=counts.read_errors + counts.write_errors + counts.verify_errors,
        )

    def _standing(self, session: Session, nexus: Nexus) -> Standing:
        node = self._directory.targets.get(nexus.target_name)  # type: ignore[call-overload]  # an IscsiName is a str
        group = node.portal_groups.get(nexus.target_portal_group_tag) if node else None
        rules = group.access if group else None
        visitor = node.visitors.get(session) if node else None
        return Standing() if rules is None or visitor is None else rules.standing(visitor)

    def _connection(self, connection: Connection) -> ConnectionView:
        peer, local = self._engine.addresses(connection)
        parameters, counts, stat_sn = connection.parameters, connection.counts, connection.stat_sn
        received, sent = self._engine.octets(connection)
        unanswered = sum(task.connection is connection for task in connection.session.tasks.values())
        return ConnectionView(
            cid=connection.cid,
            state=connection.state.name,
            peer=peer,
            local=local,
            header_digest=CRC32C if parameters.header_digest else NONE,
            data_digest=CRC32C if parameters.data_digest else NONE,
            max_recv_data_segment_length=parameters.max_recv_data_segment_length,
            max_xmit_data_segment_length=parameters.max_xmit_data_segment_length,
            received_octets=received,
            sent_octets=sent,
            scsi_commands=counts.commands(stat_sn) + unanswered,
            scsi_responses=counts.responses(stat_sn),
            data_in_pdus=counts.all_data_in,
            data_out_pdus=counts.data_out,
        )


def _parameters(session: Session) -> dict[str, Any]:
    """The results of the session-wide keys, by their names on the wire."""
    names = {key.parameter: name for name, key in KEYS.items() if key.parameter}
    values = dataclasses.asdict(session.parameters)
    return {names[field]: value for field, value in values.items() if field in names}
