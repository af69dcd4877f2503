"""The engine with nothing real around it: a loop whose clock stands still, and sockets that are two byte strings."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation
from isthmus.engine.interface import Handover, NormalSession
from isthmus.engine.reference import ReferenceEngine
from isthmus.engine.stream import Stream
from isthmus.engine.workers import Job
from isthmus.errors import BackstoreError
from isthmus.iscsi.codec import Digests, PduReader, encode
from isthmus.iscsi.login_policy import LoginCompleted, SessionType, TargetView
from isthmus.iscsi.parameters import ConnectionParameters, SessionParameters
from isthmus.iscsi.pdu import Pdu, ScsiCommand
from isthmus.iscsi.session import Session
from isthmus.iscsi.text import TextExchange
from isthmus.names import Cid, IscsiName, Isid, SerialNumber, Tsih
from isthmus.scsi.block_executor import Done
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.task import Task
from isthmus.scsi.task_router import TaskRouter
from tests.support.scsi import make_nexus, make_unit

__all__ = [
    "BLOCK",
    "FIRST_CMD_SN",
    "FIRST_STAT_SN",
    "INITIATOR",
    "TARGET",
    "EngineUnderTest",
    "FakeLoop",
    "FakeSocket",
    "HeldWorkers",
    "Peer",
    "login",
    "read",
    "write",
]

BLOCK = 512
FIRST_CMD_SN = 100
FIRST_STAT_SN = 500
INITIATOR = IscsiName("iqn.2026-01.com.example:host")
TARGET = IscsiName("iqn.2026-01.com.example:disks")


class FakeTimer:
    """What `call_later` gives."""

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.when = when
        self._callback = callback
        self._args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        self._callback(*self._args)


class FakeLoop:
    """As much of an event loop as the engine uses; time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self.timers: list[FakeTimer] = []
        self.readers: dict[object, Callable[[], None]] = {}
        self.writers: dict[object, Callable[[], None]] = {}

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self.soon.append((callback, args))

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> FakeTimer:
        timer = FakeTimer(self.now + delay, callback, args)
        self.timers.append(timer)
        return timer

    def add_reader(self, file: object, callback: Callable[[], None]) -> None:
        self.readers[file] = callback

    def remove_reader(self, file: object) -> None:
        self.readers.pop(file, None)

    def add_writer(self, file: object, callback: Callable[[], None]) -> None:
        self.writers[file] = callback

    def remove_writer(self, file: object) -> None:
        self.writers.pop(file, None)

    def run_soon(self) -> None:
        """Run what was to be called soon."""
        while self.soon:
            callback, args = self.soon.popleft()
            callback(*args)

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.when <= end and not timer.cancelled]:
            timer = min(due, key=lambda each: each.when)
            self.timers.remove(timer)
            self.now = timer.when
            timer.run()
            self.run_soon()
        self.now = end


class FakeSocket:
    """One end of a connection whose other end is the test; takes at most `room` bytes until told otherwise."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.sent = bytearray()
        self.room: int | None = None
        """Bytes that may still be sent; None: any number."""
        self.at_once: int | None = None
        """Bytes that one receive gives at most."""
        self.ended = False
        """The peer sends nothing more."""
        self.closed = False
        self.send_error: OSError | None = None

    # What the engine calls.

    def recv_into(self, buffer: Buffer) -> int:
        return self.recvmsg_into((buffer,))[0]

    def recvmsg_into(self, buffers: Sequence[Buffer]) -> tuple[int, list[object], int, object]:
        assert any(memoryview(buffer).nbytes for buffer in buffers), "a receive into nothing looks like the end"
        if not self.incoming and not self.ended:
            raise BlockingIOError
        left = len(self.incoming) if self.at_once is None else min(len(self.incoming), self.at_once)
        total = 0
        for buffer in buffers:
            view = memoryview(buffer)
            count = min(view.nbytes, left)
            view[:count] = self.incoming[:count]
            del self.incoming[:count]
            total += count
            left -= count
        return total, [], 0, None

    def send(self, data: Buffer) -> int:
        return self.sendmsg((data,))

    def sendmsg(self, buffers: Sequence[Buffer]) -> int:
        assert not self.closed
        if self.send_error is not None:
            raise self.send_error
        data = b"".join(bytes(buffer) for buffer in buffers)
        if self.room is not None:
            if data and not self.room:
                raise BlockingIOError
            data = data[: self.room]
            self.room -= len(data)
        self.sent += data
        return len(data)

    def setsockopt(self, *_: int) -> None:
        """Nothing to set."""

    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.1", 49152)

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.2", 3260)

    def shutdown(self, how: int) -> None:
        """`close` follows."""

    def close(self) -> None:
        self.closed = True


class HeldWorkers:
    """Stands in for the worker pool: operations that may block stay under way until the test lets them end."""

    def __init__(self, after_batch: Callable[[], None] = lambda: None) -> None:
        self.under_way: deque[tuple[Backstore, Any, Done]] = deque()
        self.delivering = False
        self._after_batch = after_batch
        self.prompt = False
        """Whether results are promised soon, so that connections may wait for them."""
        self.on_slow: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        return bool(self.under_way)

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        result = operation.run_inline(backstore)
        if result is WOULD_BLOCK:
            self.under_way.append((backstore, operation, done))
        else:
            done(result, None)

    def submit_many(self, backstore: Backstore, jobs: Sequence[Job]) -> bool:
        self.under_way += [(backstore, operation, done) for operation, done in jobs]
        return self.prompt

    def finish(self, error: BackstoreError | None = None, *, index: int = 0) -> None:
        """Let one end, with the result of doing it or with `error`."""
        backstore, operation, done = self.under_way[index]
        del self.under_way[index]
        self.delivering = True
        if error is None:
            done(operation.run(backstore), None)
        else:
            done(None, error)
        self.delivering = False
        self._after_batch()

    def finish_together(self) -> None:
        """Let those that are under way end in one batch."""
        self.delivering = True
        for backstore, operation, done in [self.under_way.popleft() for _ in range(len(self.under_way))]:
            done(operation.run(backstore), None)
        self.delivering = False
        self._after_batch()

    def finish_all(self) -> None:
        """Let all end, with what they bring with them."""
        while self.under_way:
            self.finish()


class NoTargets:
    """A directory with nothing in it."""

    def targets(self) -> tuple[()]:
        return ()


def login(
    session: object = None,
    *,
    cid: int = 1,
    isid: int = 1,
    session_parameters: SessionParameters | None = None,
    connection_parameters: ConnectionParameters | None = None,
    exp_cmd_sn: int = FIRST_CMD_SN,
    **fields: Any,
) -> LoginCompleted:
    """A login that has come to its end."""
    fields.setdefault("session_type", SessionType.NORMAL)
    fields.setdefault("initiator_name", INITIATOR)
    fields.setdefault("target", TargetView(name=TARGET, target_portal_group_tag=1))
    fields.setdefault("tsih", Tsih(1))
    fields.setdefault("leading", True)
    return LoginCompleted(
        initiator_alias="",
        discovery=None,
        isid=Isid(isid),
        cid=Cid(cid),
        session_parameters=session_parameters or SessionParameters(),
        connection_parameters=connection_parameters or ConnectionParameters(),
        exp_cmd_sn=SerialNumber(exp_cmd_sn),
        stat_sn=SerialNumber(FIRST_STAT_SN),
        chap_user=None,
        session=session,
        **fields,
    )


@dataclass
class Peer:
    """The initiator's end of one connection."""

    engine: ReferenceEngine
    socket: FakeSocket
    stream: Stream
    digests: Digests = field(default_factory=Digests)

    def __post_init__(self) -> None:
        self.loop = cast("FakeLoop", self.engine.loop)
        self._reader = PduReader(max_data_segment_length=1 << 24, digests=self.digests)

    def sends(self, *pdus: Pdu) -> "Peer":
        """Send PDUs in one go."""
        return self.sends_bytes(b"".join(bytes(piece) for pdu in pdus for piece in encode(pdu, self.digests)))

    def sends_bytes(self, data: bytes) -> "Peer":
        """Send anything, and let the engine take all of it that it wants to take."""
        self.socket.incoming += data
        self.turn()
        return self

    def turn(self) -> None:
        """Let the loop turn until the engine waits for the peer."""
        while not self.socket.closed:
            self.loop.run_soon()
            reader = self.loop.readers.get(self.socket)
            writer = self.loop.writers.get(self.socket)
            if writer is not None and self.socket.room != 0:
                writer()
            elif reader is not None and (self.socket.incoming or self.socket.ended):
                reader()
            else:
                break
        self.loop.run_soon()

    def hangs_up(self) -> None:
        """End the connection as TCP does."""
        self.socket.ended = True
        self.turn()

    def gets(self) -> list[Pdu]:
        """All whole PDUs that came since the last look."""
        self._reader.feed(bytes(self.socket.sent))
        self.socket.sent.clear()
        pdus = []
        while (pdu := self._reader.next_pdu()) is not None:
            pdus.append(pdu)
        return pdus

    def gets_one(self) -> Pdu:
        """The one PDU that came."""
        (pdu,) = self.gets()
        return pdu


class EngineUnderTest:
    """An engine, one target with units on memory, and sessions of which the units' attentions have been heard."""

    def __init__(self, *units: LogicalUnit, workers: HeldWorkers | None = None, granted: bool = True) -> None:
        """Without `granted` no grant ever stands: everything goes the long way."""
        self.loop = FakeLoop()
        self.engine = ReferenceEngine(cast("Any", self.loop))
        if workers is not None:
            workers._after_batch = self.engine._flush_waiting
            workers.on_slow = self.engine._release_held
            self.engine.workers = cast("Any", workers)
        self.workers = workers
        self.units = units or (make_unit(),)
        self.internal_errors: list[Exception] = []
        self.router = TaskRouter(self.engine.workers, self._note_internal_error)
        self.ended: list[Session] = []
        self.on_cold_reset: Callable[[], None] = lambda: None
        self._granted = granted
        self.nexus = make_nexus()

    def _note_internal_error(self, task: Task, error: Exception) -> None:
        self.internal_errors.append(error)

    def _cold_reset(self) -> None:
        self.on_cold_reset()

    def open_session(self, *, isid: int = 1, quiet: bool = True, **parameters: Any) -> Session:
        """A session without connections; with `quiet`, one that has heard the unit attentions."""
        nexus = self.nexus = make_nexus(*self.units, isid=isid)
        target = NormalSession(router=self.router, nexus=nexus, on_cold_reset=self._cold_reset)
        completed = login(isid=isid, session_parameters=SessionParameters(**parameters))
        session = self.engine.open_session(completed, 1, target, self.ended.append)
        if not self._granted:
            nexus.grants.clear()
        if quiet:
            self.hush(nexus)
        return session

    def hush(self, nexus: Nexus) -> None:
        """Let `nexus` have heard the unit attentions."""
        for unit in self.units:
            unit.unit_attentions.clear(nexus)

    def connect(self, session: Session, *, cid: int = 1, received: bytes = b"", **parameters: Any) -> Peer:
        """A connection of `session` in full feature phase."""
        socket = FakeSocket()
        completed = login(session, cid=cid, connection_parameters=ConnectionParameters(**parameters))
        text = TextExchange(
            directory=cast("Any", NoTargets()),
            session_target=TARGET,
            parameters=completed.connection_parameters,
        )
        self.engine.adopt(cast("Any", socket), completed, text, Handover(to_send=b"login", received=received))
        assert bytes(socket.sent[:5]) == b"login"
        del socket.sent[:5]
        stream = self.engine._streams[session.connections[cid]]
        return Peer(self.engine, socket, stream, stream.connection.digests)

    def log_in(self, *, isid: int = 1, cid: int = 1, session: dict[str, Any] | None = None, **parameters: Any) -> Peer:
        """A session with one connection."""
        return self.connect(self.open_session(isid=isid, **(session or {})), cid=cid, **parameters)


def read(tag: int, cmd_sn: int, lba: int, num_blocks: int, *, lun: int = 0, **fields: Any) -> ScsiCommand:
    """READ (16), as it is ordinary."""
    fields.setdefault("expected_data_transfer_length", num_blocks * BLOCK)
    return ScsiCommand(
        read=True,
        initiator_task_tag=tag,
        cmd_sn=cmd_sn,
        exp_stat_sn=FIRST_STAT_SN,
        lun=encode_lun(lun),
        cdb=b"\x88\0" + lba.to_bytes(8) + num_blocks.to_bytes(4) + b"\0\0",
        **fields,
    )


def write(tag: int, cmd_sn: int, lba: int, data: bytes, *, lun: int = 0, **fields: Any) -> ScsiCommand:
    """WRITE (16) with all its data in the command, as it is ordinary."""
    fields.setdefault("expected_data_transfer_length", len(data))
    return ScsiCommand(
        write=True,
        initiator_task_tag=tag,
        cmd_sn=cmd_sn,
        exp_stat_sn=FIRST_STAT_SN,
        lun=encode_lun(lun),
        cdb=b"\x8a\0" + lba.to_bytes(8) + (len(data) // BLOCK).to_bytes(4) + b"\0\0",
        data_segment=data,
        **fields,
    )
