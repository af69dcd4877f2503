"""A session: one I_T nexus over one or more connections (RFC 7143 §4.2, §4.4.2)."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from typing_extensions import Buffer

from isthmus.errors import LocalProtocolError
from isthmus.initiator.async_messages import respond
from isthmus.initiator.command_window import CommandWindow
from isthmus.initiator.connection import Connection
from isthmus.initiator.connection_state import ConnectionState
from isthmus.initiator.errors import ConnectionLost, RequestRejected
from isthmus.initiator.login import log_in
from isthmus.initiator.raw_connection import Tamper
from isthmus.initiator.settings import LoginSettings, random_isid
from isthmus.initiator.target_address import TargetAddress
from isthmus.initiator.task import CommandTask, RequestTask, Result, Task
from isthmus.initiator.text_task import TextTask
from isthmus.iscsi.login_initiator import InitiatorLoginCompleted
from isthmus.iscsi.opcodes import RESERVED_TAG, LogoutReason, LogoutResponseCode
from isthmus.iscsi.parameters import SessionParameters
from isthmus.iscsi.pdu import AsyncMessage, LogoutResponse, NopIn, NopOut
from isthmus.iscsi.text_format import Pair
from isthmus.names import Isid, Tsih
from isthmus.scsi.lun import MAX_LUN, encode_lun
from isthmus.scsi.task_attribute import TaskAttribute

__all__ = ["Session", "lun_field"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

FIRST_CMD_SN: Final = 1
MAX_EVENTS: Final = 256
"""Async Messages and Rejects that wait to be read; of more the oldest are lost."""
CLOSE_SECONDS: Final = 5.0
"""How long `close` waits for the answer to its Logout Request."""


def lun_field(lun: int) -> int:
    """The 8-byte LUN field of a LUN's number; what is too big for a number is such a field already."""
    return encode_lun(lun) if lun <= MAX_LUN else lun


class Session:
    """Made by `Session.login`. Use it with `async with`, which logs out at the end."""

    def __init__(self, settings: LoginSettings, *, isid: Isid, cmd_sn: int = FIRST_CMD_SN) -> None:
        self.settings = settings
        self.isid = isid
        self.tsih = Tsih(0)
        """Given by the target at the leading login."""
        self.target_portal_group_tag: int | None = None
        self.parameters = SessionParameters()
        self.window = CommandWindow(cmd_sn)
        self.connections: dict[int, Connection] = {}
        """By connection ID: those that are logged in."""
        self.events: asyncio.Queue[AsyncMessage | RequestRejected] = asyncio.Queue(MAX_EVENTS)
        """What the target said that answers no request."""
        self.obliges = True
        """Whether to do what an Async Message asks for (log out, negotiate) without being told to."""
        self._tags = count(1)
        self._background: set[asyncio.Task[None]] = set()

    # Logging in.

    @classmethod
    async def login(
        cls,
        settings: LoginSettings,
        *,
        isid: Isid | None = None,
        cmd_sn: int = FIRST_CMD_SN,
        tamper: Tamper | None = None,
    ) -> Self:
        """Log in the leading connection of a new session.

        An `isid` in use by this initiator name at this target reinstates that session (RFC 7143 §6.3.5). `tamper` sees
        the login's PDUs too. Raises `Unreachable`, `LoginFailed` or `ConnectionLost`.
        """
        session = cls(settings, isid=random_isid() if isid is None else isid, cmd_sn=cmd_sn)
        await session.add_connection(cid=0, tamper=tamper)
        return session

    async def add_connection(
        self,
        *,
        cid: int | None = None,
        host: str | None = None,
        port: int | None = None,
        tamper: Tamper | None = None,
    ) -> Connection:
        """Log in a further connection, at the first one's portal unless another is named.

        The `cid` of a connection that is there reinstates it (RFC 7143 §6.3.4). Errors: as `login`.
        """
        connection = Connection(self, self._free_cid() if cid is None else cid)
        address = TargetAddress(host or self.settings.host, port or self.settings.port)
        outcome = await log_in(self, connection, address, tamper=tamper)
        if not self.tsih:
            self._take_leading(outcome)
        self.window.update(exp_cmd_sn=outcome.exp_cmd_sn, max_cmd_sn=outcome.max_cmd_sn)
        replaced = self.connections.get(connection.cid)
        self.connections[connection.cid] = connection
        if replaced is not None:
            await replaced.drop()
        return connection

    def _take_leading(self, outcome: InitiatorLoginCompleted) -> None:
        """What the leading login settles for the whole session."""
        self.tsih = outcome.tsih
        self.target_portal_group_tag = outcome.target_portal_group_tag
        self.parameters = outcome.session_parameters

    def _free_cid(self) -> int:
        return next(cid for cid in count() if cid not in self.connections)

    @property
    def is_discovery(self) -> bool:
        """Whether this is a discovery session, which carries no SCSI (RFC 7143 §4.3)."""
        return self.settings.target_name is None

    # Requests.

    def new_tag(self) -> int:
        """An initiator task tag that no task in progress has."""
        while True:
            tag = next(self._tags) % RESERVED_TAG
            if not any(tag in connection.tasks for connection in self.connections.values()):
                return tag

    def connection(self) -> Connection:
        """The connection for the next request: the one with the fewest tasks. Raises `ConnectionLost` if none is left."""
        usable = [each for each in self.connections.values() if each.state is ConnectionState.LOGGED_IN]
        if not usable:
            usable = [each for each in self.connections.values() if each.is_usable]
        if not usable:
            raise ConnectionLost("the session has no connection left")
        return min(usable, key=lambda each: each.num_tasks)

    def start(
        self,
        lun: int,
        cdb: bytes,
        *,
        data_out: Buffer = b"",
        data_in_length: int = 0,
        attribute: int = TaskAttribute.SIMPLE,
        is_immediate: bool = False,
        connection: Connection | None = None,
        initiator_task_tag: int | None = None,
    ) -> CommandTask:
        """Send a command and give its task, to be awaited for the `Result`.

        `lun` is a number, or a LUN field; `data_in_length` is bytes. With both `data_out` and `data_in_length` the command
        is bidirectional. Raises `ConnectionLost`; so may the task, and `RequestRejected`, `ServiceDeliveryFailure` and
        `TaskAborted`.
        """
        chosen = connection or self.connection()
        limits = chosen.data_out_limits
        if limits is None:
            raise LocalProtocolError("the connection has not logged in")
        task = CommandTask(
            self.new_tag() if initiator_task_tag is None else initiator_task_tag,
            lun=lun_field(lun),
            cdb=cdb,
            limits=limits,
            data_out=data_out,
            data_in_length=data_in_length,
            attribute=attribute,
            is_immediate=is_immediate,
            data_in_order=self.parameters.data_pdu_in_order and self.parameters.data_sequence_in_order,
        )
        chosen.start(task)
        return task

    async def execute(
        self,
        lun: int,
        cdb: bytes,
        *,
        data_out: Buffer = b"",
        data_in_length: int = 0,
        attribute: int = TaskAttribute.SIMPLE,
        is_immediate: bool = False,
        connection: Connection | None = None,
    ) -> Result:
        """Run a command to its end, whatever its status; arguments and errors as in `start`."""
        chosen = connection or self.connection()
        task = self.start(
            lun,
            cdb,
            data_out=data_out,
            data_in_length=data_in_length,
            attribute=attribute,
            is_immediate=is_immediate,
            connection=chosen,
        )
        return await self.result(task, chosen)

    async def result(self, task: CommandTask, connection: Connection) -> Result:
        """Wait for a task; one that is still waiting to be sent when the caller gives up is not sent at all."""
        try:
            await connection.drain()
            return await task
        except asyncio.CancelledError:
            connection.withdraw(task)
            raise

    async def ping(self, data: bytes = b"", *, connection: Connection | None = None) -> bytes:
        """Send a NOP-Out and give the data that came back (RFC 7143 §11.18)."""
        request = NopOut(is_immediate=True, initiator_task_tag=self.new_tag(), data_segment=data)
        answer = await self.request(RequestTask(request, NopIn), connection=connection)
        return bytes(answer.data_segment)

    async def text(self, pairs: Sequence[Pair], *, connection: Connection | None = None) -> list[Pair]:
        """Negotiate by Text Requests; gives the target's pairs (RFC 7143 §11.10)."""
        chosen = connection or self.connection()
        limit = chosen.parameters.max_xmit_data_segment_length
        return await self.request(TextTask(self.new_tag(), pairs, max_data_segment_length=limit), connection=chosen)

    async def request(self, task: Task[T], *, connection: Connection | None = None) -> T:
        """Send what `task` asks for and wait for its end."""
        (connection or self.connection()).start(task)
        return await task

    # The end.

    async def logout(
        self,
        reason: LogoutReason = LogoutReason.CLOSE_SESSION,
        *,
        cid: int | None = None,
        connection: Connection | None = None,
    ) -> LogoutResponse:
        """Send a Logout Request on `connection`; `cid` is the connection that it concerns (RFC 7143 §11.14).

        Tasks in progress there end with `ConnectionLost`. Gives the target's answer, whatever it is.
        """
        chosen = connection or self.connection()
        response = await chosen.logout(tag=self.new_tag(), reason=reason, cid=cid)
        if response.response == LogoutResponseCode.CLOSED_SUCCESSFULLY:
            for other in list(self.connections.values()):
                if reason == LogoutReason.CLOSE_SESSION or other.cid == cid:
                    await other.drop()
        return response

    async def close(self) -> None:
        """Log out if that is possible, and drop the connections if it is not."""
        for task in list(self._background):
            task.cancel()
        if any(each.is_usable for each in self.connections.values()):
            with contextlib.suppress(ConnectionLost, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.logout()
        await self.drop()

    async def drop(self) -> None:
        """Cut all connections without a logout."""
        for connection in list(self.connections.values()):
            await connection.drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # What the connections report.

    def async_message(self, connection: Connection, message: AsyncMessage) -> None:
        """An Async Message came: keep it for who reads `events`, and do what it asks for."""
        self._note(message)
        respond(self, connection, message)

    def unrelated_reject(self, connection: Connection, error: RequestRejected) -> None:
        """A Reject came that ends no task."""
        _log.warning("connection %d: %s", connection.cid, error)
        self._note(error)

    def connection_ended(self, connection: Connection) -> None:
        """Forget a connection, unless its ID has been taken over by a newer one."""
        if self.connections.get(connection.cid) is connection:
            del self.connections[connection.cid]

    def _note(self, event: AsyncMessage | RequestRejected) -> None:
        if self.events.full():
            _log.warning("more than %d events wait to be read: the oldest is lost", MAX_EVENTS)
            self.events.get_nowait()
        self.events.put_nowait(event)

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside all else; the end of the session cancels it."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
