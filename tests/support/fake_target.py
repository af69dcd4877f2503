"""The target's end of a session under test: it says what the test tells it to, and a disk that answers by itself."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from isthmus.initiator.connection import Connection
from isthmus.initiator.connection_state import ConnectionInput
from isthmus.initiator.errors import ConnectionLost
from isthmus.initiator.raw_connection import RawConnection
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.parameters import ConnectionParameters, SessionParameters
from isthmus.iscsi.pdu import (
    DataIn,
    DataOut,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    Pdu,
    ReadyToTransfer,
    ResponsePdu,
    ScsiCommand,
    ScsiResponse,
)
from isthmus.names import Isid, SerialNumber, Tsih
from tests.support.patience import PATIENCE

__all__ = ["BLOCK_LENGTH", "FakeDisk", "FakeTarget", "disk_session", "raw_pair", "session_pair"]

P = TypeVar("P", bound=Pdu)

FIRST_STAT_SN = 0xFFFF_FFFE
"""Near the end of the numbers, so that every test crosses it."""
FIRST_CMD_SN = 0xFFFF_FFFF
WINDOW = 32
BLOCK_LENGTH = 512


async def raw_pair() -> tuple[RawConnection, RawConnection]:
    """Two ends of one stream."""
    ends = socket.socketpair()
    first, second = [RawConnection(*await asyncio.open_connection(sock=end)) for end in ends]
    return first, second


class FakeTarget:
    """Numbers its PDUs as a target must, unless told otherwise."""

    def __init__(self, raw: RawConnection) -> None:
        self.raw = raw
        self.stat_sn = SerialNumber(FIRST_STAT_SN)
        self.exp_cmd_sn = SerialNumber(FIRST_CMD_SN)
        self.window = WINDOW

    async def expect(self, kind: type[P]) -> P:
        """The next PDU, which must be of this class."""
        pdu = await self.raw.receive_pdu(timeout=PATIENCE)
        assert isinstance(pdu, kind), pdu
        if not getattr(pdu, "is_immediate", True):
            self.exp_cmd_sn = SerialNumber(pdu.cmd_sn + 1)  # type: ignore[attr-defined]
        return pdu

    def send(self, pdu: ResponsePdu, **numbers: int) -> None:
        """Send with the numbers of this moment, or those given."""
        pdu.stat_sn = self.stat_sn
        pdu.exp_cmd_sn = self.exp_cmd_sn
        pdu.max_cmd_sn = SerialNumber(self.exp_cmd_sn + self.window - 1)
        for name, number in numbers.items():
            setattr(pdu, name, number)
        is_unnumbered = isinstance(pdu, ReadyToTransfer) or (isinstance(pdu, DataIn) and not pdu.has_status)
        if not is_unnumbered and not (isinstance(pdu, NopIn) and pdu.initiator_task_tag == RESERVED_TAG):
            self.stat_sn += 1
        self.raw.send_pdu(pdu)

    async def answer_logout(self) -> LogoutRequest:
        """Wait for a logout and grant it."""
        request = await self.expect(LogoutRequest)
        self.send(LogoutResponse(initiator_task_tag=request.initiator_task_tag))
        return request


def settings(**fields: object) -> LoginSettings:
    """Settings of a login that never takes place."""
    return LoginSettings(host="127.0.0.1", target_name="iqn.2025-01.org.example:t", **fields)  # type: ignore[arg-type]


async def add_connection(
    session: Session, cid: int, session_parameters: SessionParameters, parameters: ConnectionParameters
) -> FakeTarget:
    """A connection of `session` in full feature phase, as a login would leave it."""
    ours, theirs = await raw_pair()
    connection = Connection(session, cid)
    connection.advance(ConnectionInput.CONNECT)
    connection.advance(ConnectionInput.CONNECTED)
    connection.begin(ours, session_parameters=session_parameters, parameters=parameters, exp_stat_sn=FIRST_STAT_SN)
    session.connections[cid] = connection
    target = FakeTarget(theirs)
    target.raw.use(
        digests=theirs._pdus.digests,
        max_data_segment_length=parameters.max_xmit_data_segment_length,
    )
    return target


@asynccontextmanager
async def session_pair(
    *,
    parameters: ConnectionParameters | None = None,
    connections: int = 1,
    window: int = WINDOW,
    **session_parameters: object,
) -> AsyncIterator[tuple[Session, list[FakeTarget]]]:
    """A session and the target's end of each of its connections."""
    agreed = SessionParameters(**session_parameters)  # type: ignore[arg-type]
    session = Session(settings(), isid=Isid(0x80_0000_000001), cmd_sn=FIRST_CMD_SN)
    session.tsih = Tsih(1)
    session.parameters = agreed
    session.window.update(exp_cmd_sn=FIRST_CMD_SN, max_cmd_sn=FIRST_CMD_SN + window - 1)
    targets = [
        await add_connection(session, cid, agreed, parameters or ConnectionParameters()) for cid in range(connections)
    ]
    for target in targets:
        target.window = window
    try:
        yield session, targets
    finally:
        await session.drop()
        for target in targets:
            await target.raw.close()


class FakeDisk:
    """A disk of zeros behind a `FakeTarget`: just enough commands, answered as they come."""

    def __init__(self, target: FakeTarget, *, num_blocks: int = 256, max_transfer_length: int = 0) -> None:
        self.target = target
        self.data = bytearray(num_blocks * BLOCK_LENGTH)
        self.max_transfer_length = max_transfer_length
        self.commands: list[bytes] = []
        self.sense_next: list[bytes] = []
        """Sense data for the next commands, one each."""
        self.read_error = b""
        """Sense data for every READ."""

    async def run(self) -> None:
        """Answer until the connection ends."""
        with contextlib.suppress(ConnectionLost):
            while True:
                pdu = await self.target.raw.receive_pdu()
                if isinstance(pdu, LogoutRequest):
                    self.target.send(LogoutResponse(initiator_task_tag=pdu.initiator_task_tag))
                else:
                    assert isinstance(pdu, ScsiCommand), pdu
                    await self._answer(pdu)

    async def _answer(self, command: ScsiCommand) -> None:
        self.target.exp_cmd_sn = SerialNumber(command.cmd_sn + 1)
        self.commands.append(command.cdb)
        tag = command.initiator_task_tag
        data_out = await self._data_out(command)
        sense = self.sense_next.pop(0) if self.sense_next else self.read_error if command.cdb[0] == 0x88 else b""
        if sense:
            segment = len(sense).to_bytes(2) + sense
            self.target.send(ScsiResponse(initiator_task_tag=tag, status=2, data_segment=segment))
        elif command.read:
            data = self._read(command.cdb)[: command.expected_data_transfer_length]
            missing = command.expected_data_transfer_length - len(data)
            self.target.send(
                DataIn(
                    initiator_task_tag=tag,
                    has_status=True,
                    data_segment=data,
                    residual_underflow=missing > 0,
                    residual_count=missing,
                )
            )
        else:
            self._write(command.cdb, data_out)
            self.target.send(ScsiResponse(initiator_task_tag=tag))

    async def _data_out(self, command: ScsiCommand) -> bytes:
        """All of it: what came with the command, and the rest by one R2T."""
        data = bytes(command.data_segment)
        length = command.expected_data_transfer_length if command.write else 0
        if len(data) < length:
            tag = command.initiator_task_tag
            self.target.send(
                ReadyToTransfer(
                    initiator_task_tag=tag,
                    target_transfer_tag=7,
                    buffer_offset=len(data),
                    desired_data_transfer_length=length - len(data),
                )
            )
            while len(data) < length:
                pdu = await self.target.raw.receive_pdu()
                assert isinstance(pdu, DataOut), pdu
                data += bytes(pdu.data_segment)
        return data

    def _range(self, cdb: bytes) -> slice:
        lba, num_blocks = struct.unpack_from(">QI", cdb, 2)
        return slice(lba * BLOCK_LENGTH, (lba + num_blocks) * BLOCK_LENGTH)

    def _read(self, cdb: bytes) -> bytes:
        if cdb[0] == 0x88:
            return bytes(self.data[self._range(cdb)])
        if cdb[0] == 0x9E:
            return struct.pack(">QI20x", len(self.data) // BLOCK_LENGTH - 1, BLOCK_LENGTH)
        if cdb[0] == 0x25:
            return struct.pack(">II", len(self.data) // BLOCK_LENGTH - 1, BLOCK_LENGTH)
        if cdb[0] == 0x12 and cdb[1]:
            return bytes((0, cdb[2], 0, 60)) + struct.pack(">II52x", 0, self.max_transfer_length)
        if cdb[0] == 0x12:
            return b"\0\0\x06\x02\x1f\0\0\x02" + b"EXAMPLE DISK            0001"
        return struct.pack(">I4xQQ", 16, 0, 1 << 48)

    def _write(self, cdb: bytes, data: bytes) -> None:
        if cdb[0] == 0x8A:
            self.data[self._range(cdb)] = data


@asynccontextmanager
async def disk_session(
    *, num_blocks: int = 256, max_transfer_length: int = 0
) -> AsyncIterator[tuple[Session, FakeDisk]]:
    """A session with a disk that answers."""
    agreed = ConnectionParameters(max_recv_data_segment_length=1 << 20, max_xmit_data_segment_length=1 << 20)
    async with session_pair(parameters=agreed, max_burst_length=1 << 20) as (session, targets):
        disk = FakeDisk(targets[0], num_blocks=num_blocks, max_transfer_length=max_transfer_length)
        running = asyncio.create_task(disk.run())
        try:
            yield session, disk
        finally:
            await session.drop()
            await running
