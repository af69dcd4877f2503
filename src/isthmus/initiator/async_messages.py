"""What an initiator owes a target that sends an Async Message (RFC 7143 §11.9.1)."""

import logging
from typing import TYPE_CHECKING, Final

from isthmus.initiator.connection_state import ConnectionInput
from isthmus.initiator.errors import InitiatorError, TaskAborted
from isthmus.iscsi.opcodes import AsyncEvent, LogoutReason
from isthmus.iscsi.pdu import AsyncMessage

if TYPE_CHECKING:
    from isthmus.initiator.connection import Connection
    from isthmus.initiator.session import Session

__all__ = ["respond"]

_log = logging.getLogger(__name__)

_RESERVE_SECONDS: Final = 1.0
"""Of the time that a target gives for a logout, what is kept for the logout itself."""


def respond(session: "Session", connection: "Connection", message: AsyncMessage) -> None:
    """Do what the message asks for; all of it in the background but what must not be late."""
    match message.async_event:
        case AsyncEvent.LOGOUT_REQUESTED:
            connection.advance(ConnectionInput.LOGOUT_REQUESTED)
            if session.obliges:
                session.run_in_background(_log_out(session, connection, message.parameter3))
        case AsyncEvent.CONNECTION_DROPPED:
            dropped = session.connections.get(message.parameter1)
            if dropped is not None:
                session.run_in_background(dropped.drop())
        case AsyncEvent.NEGOTIATION_REQUESTED if session.obliges:
            session.run_in_background(_negotiate(session, connection))
        case AsyncEvent.TASKS_TERMINATED:
            _acknowledge_termination(session, connection, message.lun)
        case _:
            # A SCSI event is for who reads `Session.events`; a dropped session shows in its connections.
            pass


async def _log_out(session: "Session", connection: "Connection", seconds: int) -> None:
    """Give the tasks in progress the time there is, then log out."""
    await connection.finish_tasks(timeout=max(0.0, seconds - _RESERVE_SECONDS))
    is_last = len(session.connections) == 1
    reason = LogoutReason.CLOSE_SESSION if is_last else LogoutReason.CLOSE_CONNECTION
    try:
        await session.logout(reason, connection=connection)
    except InitiatorError as error:
        _log.warning("connection %d: the logout that the target asked for failed: %s", connection.cid, error)


async def _negotiate(session: "Session", connection: "Connection") -> None:
    """Begin the negotiation that the target wants; this end has nothing to change."""
    try:
        await session.text([], connection=connection)
    except InitiatorError as error:
        _log.warning("connection %d: the negotiation that the target asked for failed: %s", connection.cid, error)


def _acknowledge_termination(session: "Session", connection: "Connection", lun: int) -> None:
    """Stop the Data-Out of the unit, then acknowledge by a NOP-Out that names it (RFC 7143 §4.2.3.4, §11.9.1)."""
    for each in session.connections.values():
        each.end_tasks_of(lun, TaskAborted("the target terminated the tasks of the logical unit"))
    connection.send_nop_out(lun=lun)
