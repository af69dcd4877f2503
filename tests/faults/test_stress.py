"""Several initiators at once, and everything that can get in their way: no acknowledged byte is lost or comes back changed."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvloop
from typing_extensions import Buffer

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.initiator import cdb
from isthmus.initiator.connection import Connection
from isthmus.initiator.errors import ConnectionLost, InitiatorError, ScsiError, TaskAborted, Unreachable
from isthmus.initiator.logical_unit import LogicalUnit, raise_for_status
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings, digest_offer, random_isid
from isthmus.initiator.task import CommandTask
from isthmus.initiator.task_management import abort_task, logical_unit_reset
from isthmus.iscsi.opcodes import TaskManagementResponseCode
from isthmus.iscsi.parameters import Offers
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit as LogicalUnitOfTarget
from isthmus.scsi.sense import SenseKey
from isthmus.scsi.status import Status
from tests.support.in_process import in_process_server
from tests.support.patience import PATIENCE
from tests.support.server import Url, running_server

SECONDS = 10.0
WANTED = frozenset({"reads", "writes", "aborts", "resets", "drops", "reinstatements", "connections reinstated"})
"""What must have happened by the end; for that, it goes on for longer on a machine that is slow."""
BLOCK = 512
CHUNK = 4096
"""Bytes of which the ledger keeps what they may hold."""
REGION = 96
"""Chunks of each host: nobody else writes them."""
LANES = 4
"""Commands of one host under way at once."""
LONGEST = 80
"""Chunks of one command: 320 KiB, more than comes unasked."""
HOSTS = 5
STUCK = 4.0
"""Seconds after which a command counts as stuck: a number lost with its connection holds up those behind it."""

SIGNS_OF_A_BUG = ("internal error", "Traceback", "Exception in callback", "never retrieved", "level=critical")


def stamped(number: int) -> bytes:
    """The content of a chunk: zeros for 0, else its number over and over."""
    return number.to_bytes(8) * (CHUNK // 8)


class Host:
    """One initiator with a region of its own, and a ledger of what each chunk of it may hold.

    What is acknowledged, or has been read, is certain. A write that ended in any other way may have happened or not;
    but once it is certain that it is over (its session or connection is reinstated, or an abort is complete), nothing of
    it may happen later.
    """

    def __init__(self, number: int, url: Url, *, lun: int, connections: int, seed: int) -> None:
        self.name = f"host {number}"
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self._url = url
        self._initiator = IscsiName(f"iqn.2026-01.com.example:{number}")
        self._isid = random_isid()
        self._lun = lun
        self._first = number * REGION
        self._wanted = connections
        self._ledger: list[set[int]] = [{0} for _ in range(REGION)]
        self._stamp = 0
        self._busy: set[int] = set()
        self._session: Session | None = None
        self._recovering = asyncio.Lock()

    # -- Sessions ------------------------------------------------------------------------------------------------------

    def _settings(self) -> LoginSettings:
        chance = self.random
        return LoginSettings(
            host=self._url.address,
            port=self._url.port,
            target_name=self._url.iqn,
            initiator_name=self._initiator,
            offers=Offers(
                header_digest=digest_offer(chance.random() < 0.3),
                data_digest=digest_offer(chance.random() < 0.3),
                initial_r2t=chance.random() < 0.5,
                immediate_data=chance.random() < 0.8,
                max_recv_data_segment_length=chance.choice((4096, 65536, 262_144)),
                first_burst_length=chance.choice((8192, 65536, 262_144)),
                max_connections=4,
            ),
        )

    async def _log_in(self) -> None:
        """A new session, which takes the place of the old one."""
        old, self._session = self._session, None
        if old is not None:
            await old.drop()
        session = await Session.login(self._settings(), isid=self._isid)
        for _ in range(self._wanted - 1):
            await session.add_connection()
        await LogicalUnit(session, self._lun).become_ready()
        self._session = session
        self.counts["logins"] += 1

    async def _session_now(self) -> Session:
        async with self._recovering:
            while self._session is None:
                with contextlib.suppress(InitiatorError):
                    await self._log_in()
            return self._session

    async def _connection_now(self) -> tuple[Session, Connection]:
        while True:
            session = await self._session_now()
            with contextlib.suppress(ConnectionLost):
                return session, session.connection()
            await self._recover(session, None)

    async def _recover(self, failed: Session, connection: Connection | None) -> None:
        """Make it certain that what was under way is over: the connection, or the session, is reinstated."""
        async with self._recovering:
            if self._session is not failed:
                return
            if connection is not None and self._wanted > 1 and self.random.random() < 0.9:
                with contextlib.suppress(InitiatorError, TimeoutError):
                    async with asyncio.timeout(STUCK):
                        await failed.add_connection(cid=connection.cid)
                        self.counts["connections reinstated"] += 1
                        return
            self._session = None
            await failed.drop()
        await self._session_now()

    @contextlib.asynccontextmanager
    async def _commands(self) -> AsyncIterator[tuple[Session, Connection]]:
        """A session to use; whatever goes wrong in it is over when this ends."""
        session, connection = await self._connection_now()
        try:
            async with asyncio.timeout(STUCK):
                yield session, connection
        except TimeoutError:
            self.counts["stuck"] += 1
            await self._recover(session, None)
        except (ConnectionLost, Unreachable):
            self.counts["lost"] += 1
            await self._recover(session, connection)
        except TaskAborted:
            self.counts["aborted"] += 1
        except ScsiError as error:
            unit_attention = error.sense is not None and error.sense.key == SenseKey.UNIT_ATTENTION
            if not unit_attention and error.status not in (Status.TASK_ABORTED, Status.BUSY, Status.TASK_SET_FULL):
                raise
            self.counts["told of a reset"] += 1

    # -- Commands ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _chunks(self, longest: int) -> Iterator[range]:
        """Some chunks that no other lane uses meanwhile."""
        while True:
            start = self.random.randrange(REGION)
            length = self.random.randint(1, self.random.choice((1, 4, longest)))
            chunks = range(start, min(REGION, start + length))
            if self._busy.isdisjoint(chunks):
                break
            longest = 1
        self._busy.update(chunks)
        try:
            yield chunks
        finally:
            self._busy.difference_update(chunks)

    def _lba(self, chunks: range) -> int:
        return (self._first + chunks.start) * (CHUNK // BLOCK)

    def _new_data(self, chunks: range) -> dict[int, int]:
        stamps = {}
        for chunk in chunks:
            self._stamp += 1
            stamps[chunk] = (self._first + chunk) << 40 | self._stamp
            self._ledger[chunk].add(stamps[chunk])
        return stamps

    async def _read(self) -> None:
        with self._chunks(LONGEST) as chunks:
            async with self._commands() as (session, connection):
                await self._check(session, chunks, connection)
                self.counts["reads"] += 1

    async def _check(self, session: Session, chunks: range, connection: Connection | None = None) -> None:
        num_blocks = len(chunks) * CHUNK // BLOCK
        command = cdb.read_16(lba=self._lba(chunks), num_blocks=num_blocks)
        result = await session.execute(self._lun, command, data_in_length=len(chunks) * CHUNK, connection=connection)
        raise_for_status("READ (16)", result)
        for place, chunk in enumerate(chunks):
            data = result.data_in[place * CHUNK : (place + 1) * CHUNK]
            number = int.from_bytes(data[:8])
            assert data == stamped(number), f"{self.name}: chunk {chunk} is torn"
            assert number in self._ledger[chunk], f"{self.name}: chunk {chunk} holds {number:#x}"
            self._ledger[chunk] = {number}

    async def _write(self) -> None:
        """Write, and as initiators do, again at once if that did not end well."""
        with self._chunks(LONGEST) as chunks:
            for _ in range(4):
                if await self._write_once(chunks):
                    break
                self.counts["written again"] += 1

    async def _write_once(self, chunks: range) -> bool:
        stamps = self._new_data(chunks)
        is_certain = False
        async with self._commands() as (session, connection):
            task = session.start(
                self._lun,
                cdb.write_16(
                    lba=self._lba(chunks),
                    num_blocks=len(chunks) * CHUNK // BLOCK,
                    fua=self.random.random() < 0.05,
                ),
                data_out=b"".join(map(stamped, stamps.values())),
                connection=connection,
            )
            if self.random.random() < 0.1:
                await self._abort(session, task)
            raise_for_status("WRITE (16)", await session.result(task, connection))
            for chunk, stamp in stamps.items():
                self._ledger[chunk] = {stamp}
            self.counts["writes"] += 1
            is_certain = True
        return is_certain  # noqa: RET504  `_commands` may have cut the block short

    async def _abort(self, session: Session, task: CommandTask) -> None:
        await asyncio.sleep(self.random.choice((0, 0, 0, 0.001)))
        code = await abort_task(session, task)
        assert code in (
            TaskManagementResponseCode.FUNCTION_COMPLETE,
            TaskManagementResponseCode.TASK_DOES_NOT_EXIST,
        )
        self.counts["aborts"] += 1

    async def _reset(self) -> None:
        async with self._commands() as (session, _):
            assert await logical_unit_reset(session, self._lun) == TaskManagementResponseCode.FUNCTION_COMPLETE
            self.counts["resets"] += 1

    async def _drop(self) -> None:
        """Cut a connection, amid whatever it carries."""
        session = await self._session_now()
        with contextlib.suppress(ConnectionLost):
            connection = self.random.choice(list(session.connections.values()) or [session.connection()])
            await connection.drop()
            self.counts["drops"] += 1

    async def _reinstate(self) -> None:
        """Log in anew while the old session still lives, with all that is under way in it."""
        session = await self._session_now()
        async with self._recovering:
            if self._session is session:
                with contextlib.suppress(InitiatorError):
                    newcomer = await Session.login(self._settings(), isid=self._isid)
                    self.counts["reinstatements"] += 1
                    await newcomer.drop()

    # -- All of it -----------------------------------------------------------------------------------------------------

    async def lane(self, is_over: Callable[[], bool]) -> None:
        """Do one thing after another until all is over."""
        actions = [self._read] * 40 + [self._write] * 60 + [self._reset, self._drop, self._reinstate]
        while not is_over():
            await self.random.choice(actions)()

    async def check_all(self) -> None:
        """Everything, in a session in which nothing disturbs."""
        session = await self._session_now()
        await LogicalUnit(session, self._lun).become_ready()
        for start in range(0, REGION, 32):
            await self._check(session, range(start, start + 32))
        await session.close()


async def run_hosts(url: Url, seed: int) -> Counter[str]:
    """All hosts, all lanes, then a last look at everything; gives what has happened how often."""
    hosts = [
        Host(number, url, lun=number % 2, connections=4 if number >= 2 else 1, seed=seed + number)
        for number in range(HOSTS)
    ]
    loop = asyncio.get_running_loop()
    begun = loop.time()

    def is_over() -> bool:
        happened = {name for host in hosts for name in host.counts}
        return loop.time() - begun > (SECONDS if happened >= WANTED else PATIENCE)

    async with asyncio.TaskGroup() as group:
        for host in hosts:
            for _ in range(LANES):
                group.create_task(host.lane(is_over))
    for host in hosts:
        await host.check_all()
    return sum((host.counts for host in hosts), Counter[str]())


class Sluggish(RamdiskBackstore):
    """Memory that takes its time like a disk: some accesses are over at once, some overtake others."""

    never_blocks = False

    def __init__(self, size: int, seed: int) -> None:
        super().__init__("sluggish", size)
        self._random = random.Random(seed)

    def _turn(self) -> None:
        time.sleep(self._random.choice((0, 0, 0, 0.001, 0.005, 0.04)))

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        return self._random.random() < 0.7 and super().read_if_cached(offset, buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._turn()
        super().read_into(offset, buffer)

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        self._turn()
        super().write(offset, buffers, durable=durable)


def judge(counts: Counter[str], log: str) -> None:
    """No bug of ours has shown, and what was to happen has happened."""
    assert not any(sign in log for sign in SIGNS_OF_A_BUG), log[-10_000:]
    assert counts.keys() >= WANTED, f"never happened: {WANTED - counts.keys()}"


@pytest.mark.slow
def test_no_acknowledged_byte_is_lost_whatever_gets_in_the_way(tmp_path: Path) -> None:
    """Digests, several connections, aborts, resets, cuts and reinstatements at random; the server ends cleanly."""
    seed = random.SystemRandom().randrange(1 << 32)
    arguments: list[str | Path] = [
        *(tmp_path / "medium.img", "--size", "4M", "--ram", "4M"),
        *("--portal", "127.0.0.1:0", "--max-connections", "4"),
    ]
    with running_server(arguments, tmp_path, ready_lines=2) as server:
        counts = asyncio.run(run_hosts(server.url, seed))
    judge(counts, server.log_text())


@pytest.mark.slow
def test_no_late_write_lands_on_a_newer_one(capfd: pytest.CaptureFixture[str]) -> None:
    """The same over storage that is slow and out of order: what is aborted or orphaned is long under way then."""
    seed = random.SystemRandom().randrange(1 << 32)

    async def run() -> Counter[str]:
        units = [LogicalUnitOfTarget(Sluggish(4 << 20, seed + number)) for number in range(2)]
        async with in_process_server(*units) as server:
            counts = await run_hosts(server.url, seed)
        assert server.internal_errors == []
        return counts

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        counts = runner.run(run())
    output = capfd.readouterr()
    judge(counts, output.out + output.err)
