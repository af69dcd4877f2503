"""What a target has promised survives: the end of its process at any moment, and the loss of power.

`kill -9` takes nothing out of the page cache, so it cannot show that a flush was forgotten. For that, the file lies on a
file system on a loop device: what is in the file below that device at the moment of the crash is what a power cut would
leave, for it holds only what was written through. That this judges anything is shown too: writes that were answered but
not promised must get lost now and then.
"""

import asyncio
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import pytest

from isthmus.initiator.errors import InitiatorError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from tests.support.ledger import BLOCK, Damage, Ledger, block_of, sequence_in
from tests.support.real_storage import ext4, loop_device, mounted
from tests.support.server import Server, running_server

ROUNDS = 50
WRITERS = 4
BLOCKS_EACH = 512
LENGTHS = (1, 8, 16, 300)
"""Blocks in one write: within a page, a page, several, and more than goes without R2T."""
MOST_ANSWERS = 150
"""The server is killed after at most so many commands."""
FILE_SYSTEM = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What the writers ask for. Any one of them may make what the others wrote durable as well, so each is alone too."""

    synchronize: float = 0.0
    """The part of the commands that are SYNCHRONIZE CACHE."""
    fua: float = 0.0
    """The part of the writes that have FUA."""
    unmap: float = 0.1
    """The part of the writes that are UNMAP instead: what was discarded must not come back either."""
    write_through: bool = False
    """The server has no write cache, so every GOOD status is a promise."""


MIXES = (
    Mix(synchronize=0.05),
    Mix(fua=0.3),
    Mix(synchronize=0.05, fua=0.3),
    Mix(write_through=True),
    Mix(write_through=True, unmap=1.0),
)


@dataclass(slots=True)
class Work:
    """Writers at work on one unit, until the server is killed amid them."""

    unit: LogicalUnit
    ledger: Ledger
    choose: random.Random
    mix: Mix
    answers_left: int
    kill: Callable[[], None]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self) -> None:
        """Raises what stops a writer, unless it is the death of the server."""
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(WRITERS)]
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(outcome, BaseException), "a writer goes on until it is stopped"
            if not isinstance(outcome, InitiatorError):
                raise outcome

    async def _write(self, number: int) -> None:
        """Each has blocks of its own."""
        mine = range(number * BLOCKS_EACH, (number + 1) * BLOCKS_EACH)
        while True:
            num_blocks = self.choose.choice(LENGTHS)
            first = self.choose.randrange(len(mine) - num_blocks)
            lbas = mine[first : first + num_blocks]
            if self.choose.random() < self.mix.synchronize:
                await self._synchronize()
            elif self.choose.random() < self.mix.unmap:
                await self._unmap(lbas)
            else:
                await self._write_once(lbas)
            self._answered()

    async def _unmap(self, lbas: range) -> None:
        sequence = self.ledger.issue_unmap(lbas)
        await self.unit.unmap([(lbas.start, len(lbas))])
        self.ledger.acknowledge(lbas, sequence, durable=self.mix.write_through)

    async def _write_once(self, lbas: range) -> None:
        fua = self.choose.random() < self.mix.fua
        sequence, data = self.ledger.issue(lbas)
        await self.unit.write(data, lba=lbas.start, block_length=BLOCK, fua=fua)
        self.ledger.acknowledge(lbas, sequence, durable=fua or self.mix.write_through)

    async def _synchronize(self) -> None:
        promise = self.ledger.begin_synchronizing()
        await self.unit.synchronize_cache()
        self.ledger.synchronized(promise)

    def _answered(self) -> None:
        self.answers_left -= 1
        if not self.answers_left:
            self.kill()


async def crash(server: Server, ledger: Ledger, choose: random.Random, mix: Mix) -> None:
    """See that the medium is what it was, write, and kill the server at a random moment."""
    url = server.url
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
    async with await Session.login(settings) as session:
        unit = LogicalUnit(session, url.lun)
        await unit.become_ready()
        medium = await unit.read(lba=0, num_blocks=ledger.num_blocks, block_length=BLOCK)
        ledger.judge(medium, ledger.acknowledged)
        answers = choose.randint(1, MOST_ANSWERS)
        await Work(unit, ledger, choose, mix, answers, server.kill).run()


def crash_again_and_again(medium: Path, directory: Path, ledger: Ledger, after_crash: Callable[[Mix], None]) -> None:
    """All the rounds, one mix after the other. After each, nothing that was answered may be missing."""
    choose = random.Random(20_260_101)
    for mix in islice(cycle(MIXES), ROUNDS):
        arguments: list[str | Path] = [medium, "--portal", "127.0.0.1:0"]
        if mix.write_through:
            arguments.append("--write-through")
        with running_server(arguments, directory) as server:
            asyncio.run(crash(server, ledger, choose, mix))
        after_crash(mix)
        ledger.restarted(ledger.judge(medium.read_bytes(), ledger.acknowledged))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_answered_survives_the_process(tmp_path: Path) -> None:
    """Fifty times killed at a random moment: every block is whole, and none is older than its last GOOD status."""
    ledger = Ledger(WRITERS * BLOCKS_EACH)
    medium = tmp_path / "medium.img"
    medium.write_bytes(ledger.format())
    crash_again_and_again(medium, tmp_path, ledger, after_crash=lambda mix: None)
    assert ledger.num_acknowledged > 10 * ROUNDS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_promised_survives_a_loss_of_power(tmp_path: Path) -> None:
    """Fifty times without power: what was acknowledged with FUA, without a cache, or before a flush, is there."""
    ledger = Ledger(WRITERS * BLOCKS_EACH)
    disk = tmp_path / "disk.img"
    disk.touch()
    os.truncate(disk, FILE_SYSTEM)
    lost: dict[Mix, int] = Counter()

    def cut_power(mix: Mix) -> None:
        """Look at what is on the disk, past the cache of the file system that is mounted."""
        remains = tmp_path / "remains.img"
        shutil.copyfile(disk, remains)
        with loop_device(remains) as device, mounted(device, tmp_path / "remains") as file_system:
            found = ledger.judge((file_system / "medium.img").read_bytes(), ledger.promised)
        lost[mix] += sum(found[lba] < sequence for lba, sequence in ledger.acknowledged.items())

    with loop_device(disk) as device, ext4(device, tmp_path, journal=True) as file_system:
        medium = file_system / "medium.img"
        medium.write_bytes(ledger.format())
        with medium.open("rb") as file:
            os.fsync(file.fileno())
        crash_again_and_again(medium, tmp_path, ledger, after_crash=cut_power)
    for mix in MIXES:
        assert mix.write_through or lost[mix], "nothing that was not promised got lost: this test would notice nothing"


def judged(ledger: Ledger, blocks: list[bytes]) -> str:
    """What is wrong with a medium, in words."""
    with pytest.raises(Damage) as caught:
        ledger.judge(b"".join(blocks), ledger.promised)
    return str(caught.value)


def test_a_lost_promise_is_noticed() -> None:
    """A block that is older than its last durable write, or than the last one before a flush."""
    ledger = Ledger(4)
    medium = [block_of(lba, 0) for lba in range(4)]
    assert b"".join(medium) == ledger.format()
    first, _ = ledger.issue(range(1, 3))
    ledger.acknowledge(range(1, 3), first, durable=False)
    ledger.judge(b"".join(medium), ledger.promised)
    flush = ledger.begin_synchronizing()
    second, _ = ledger.issue(range(2, 3))
    ledger.acknowledge(range(2, 3), second, durable=False)
    ledger.synchronized(flush)
    assert "block 1 is from write 0" in judged(ledger, medium)
    medium[1:3] = [block_of(1, first), block_of(2, first)]
    ledger.judge(b"".join(medium), ledger.promised)
    third, _ = ledger.issue(range(2, 3))
    ledger.acknowledge(range(2, 3), third, durable=True)
    assert f"block 2 is from write {first}, and may be from {third}" in judged(ledger, medium)


def test_a_block_that_nobody_wrote_is_noticed() -> None:
    """Torn, misplaced, from the future, zeroed, or cut off."""
    ledger = Ledger(2)
    ledger.format()
    fine = block_of(1, 0)
    for damaged in (fine[:256] + block_of(1, 1)[256:], block_of(0, 0), bytes(BLOCK), block_of(1, 1)):
        judged(ledger, [block_of(0, 0), damaged])
    assert "has 1 blocks" in judged(ledger, [block_of(0, 0)])
    assert sequence_in(1, fine) == 0


def test_what_was_unmapped_is_noticed_when_it_comes_back() -> None:
    """Zeros are from the UNMAP, and nothing else is."""
    ledger = Ledger(1)
    ledger.format()
    unmap = ledger.issue_unmap(range(1))
    assert ledger.judge(bytes(BLOCK), ledger.promised) == {0: unmap}
    assert ledger.judge(block_of(0, 0), ledger.promised) == {0: 0}
    ledger.acknowledge(range(1), unmap, durable=True)
    assert "block 0 is from write 0" in judged(ledger, [block_of(0, 0)])
    assert "data from UNMAP" in judged(ledger, [block_of(0, unmap)])
    write, _ = ledger.issue(range(1))
    ledger.acknowledge(range(1), write, durable=True)
    assert f"block 0 is from write {unmap}" in judged(ledger, [bytes(BLOCK)])
