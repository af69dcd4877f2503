"""The login of one connection over TCP: `iscsi.login_initiator` has the rules, the waiting is done here."""

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from isthmus.errors import RemoteProtocolError
from isthmus.initiator.connection import Connection
from isthmus.initiator.connection_state import ConnectionInput
from isthmus.initiator.errors import ConnectionLost, LoginFailed, Unreachable
from isthmus.initiator.raw_connection import RawConnection, Tamper
from isthmus.initiator.target_address import TargetAddress, parse_target_address
from isthmus.iscsi.login_initiator import (
    InitiatorLogin,
    InitiatorLoginCompleted,
    InitiatorLoginFailed,
    InitiatorLoginOutcome,
    InitiatorLoginSettings,
)
from isthmus.iscsi.opcodes import LoginStatus

if TYPE_CHECKING:
    from isthmus.initiator.session import Session

__all__ = ["exchange", "log_in"]

MAX_REDIRECTIONS: Final = 4
"""How often a login follows a target that has moved; more is a circle."""
_MOVED: Final = (LoginStatus.TARGET_MOVED_TEMPORARILY, LoginStatus.TARGET_MOVED_PERMANENTLY)


async def log_in(
    session: "Session", connection: Connection, address: TargetAddress, *, tamper: Tamper | None = None
) -> InitiatorLoginCompleted:
    """Take `connection` into full feature phase, following a target that has moved (RFC 7143 §11.13.5).

    Raises `Unreachable` or `LoginFailed`.
    """
    redirections = 0
    while True:
        outcome = await _attempt(session, connection, address, tamper)
        if isinstance(outcome, InitiatorLoginCompleted):
            return outcome
        if outcome.status not in _MOVED or not outcome.addresses:
            raise LoginFailed(f"{address}: {outcome.reason}", outcome.status)
        if redirections == MAX_REDIRECTIONS:
            raise LoginFailed(f"{address}: the target has moved more than {MAX_REDIRECTIONS} times", outcome.status)
        redirections += 1
        address = _moved_to(outcome)


def _moved_to(outcome: InitiatorLoginFailed) -> TargetAddress:
    try:
        return parse_target_address(outcome.addresses[0])
    except RemoteProtocolError as error:
        raise LoginFailed(f"the target has moved, but not where one could follow: {error}", outcome.status) from error


async def _attempt(
    session: "Session", connection: Connection, address: TargetAddress, tamper: Tamper | None
) -> InitiatorLoginOutcome:
    """One login at one portal, within the time that the settings give it."""
    try:
        async with asyncio.timeout(session.settings.timeout):
            raw = await _connect(session, connection, address)
            raw.tamper = tamper
            return await _negotiate(session, connection, raw)
    except TimeoutError as error:
        raise LoginFailed(f"{address}: no login within {session.settings.timeout:g} seconds") from error


async def _connect(session: "Session", connection: Connection, address: TargetAddress) -> RawConnection:
    connection.advance(ConnectionInput.CONNECT)
    try:
        raw = await RawConnection.open(address.host, address.port, timeout=session.settings.timeout)
    except (Unreachable, asyncio.CancelledError):
        connection.advance(ConnectionInput.CONNECT_FAILED)
        raise
    connection.advance(ConnectionInput.CONNECTED)
    return raw


async def _negotiate(session: "Session", connection: Connection, raw: RawConnection) -> InitiatorLoginOutcome:
    """Log in over `raw`; unless that succeeds, the transport is gone afterwards."""
    outcome: InitiatorLoginOutcome | None = None
    try:
        outcome = await exchange(raw, InitiatorLogin(_settings(session, connection), random=secrets.token_bytes))
    finally:
        if not isinstance(outcome, InitiatorLoginCompleted):
            connection.advance(ConnectionInput.LOGIN_FAILED)
            raw.abort()
    if isinstance(outcome, InitiatorLoginCompleted):
        connection.begin(
            raw,
            session_parameters=outcome.session_parameters,
            parameters=outcome.connection_parameters,
            exp_stat_sn=outcome.exp_stat_sn,
        )
    return outcome


def _settings(session: "Session", connection: Connection) -> InitiatorLoginSettings:
    settings = session.settings
    return InitiatorLoginSettings(
        initiator_name=settings.initiator_name,
        target_name=settings.target_name,
        initiator_alias=settings.initiator_alias,
        isid=session.isid,
        tsih=session.tsih,
        cid=connection.cid,
        cmd_sn=session.window.cmd_sn,
        initiator_task_tag=session.new_tag(),
        offers=settings.offers,
        chap=settings.credentials,
        session_parameters=session.parameters if session.tsih else None,
        overrides=settings.overrides,
        extra_keys=settings.extra_keys,
    )


async def exchange(raw: RawConnection, login: InitiatorLogin) -> InitiatorLoginOutcome:
    """Carry the PDUs of `login` over `raw` until it has an outcome; a connection that ends before is a failed login."""
    request = login.start()
    while login.outcome is None:
        raw.send_pdu(request)
        try:
            answer = await raw.receive_pdu()
        except (ConnectionLost, RemoteProtocolError) as error:
            return InitiatorLoginFailed(status=None, reason=f"the login was cut short: {error}")
        following = login.receive(answer)
        if following is not None:
            request = following
    return login.outcome
