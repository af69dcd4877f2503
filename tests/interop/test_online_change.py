"""What changes while an initiator is logged in, over real connections: how it hears of it, and what it finds then."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.engine.reference import ReferenceEngine
from isthmus.initiator import cdb
from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit as RemoteUnit
from isthmus.initiator.sense import DecodedSense
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.opcodes import AsyncEvent
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.pdu import AsyncMessage
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.online_change import resize
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.listener import Listener, LoginLimiter, bind
from isthmus.server.login_phase import LoginPhase
from isthmus.server.login_policy import Directory, PortalPolicy
from isthmus.server.options import Portal
from isthmus.server.send_targets import text_exchange
from isthmus.target.access import Route
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode
from tests.support.patience import PATIENCE
from tests.support.scsi import make_unit
from tests.support.server import Serve, Url

BLOCK = 512
MIB = 1 << 20
NAME = IscsiName("iqn.2026-01.com.example:changing")


async def sense_of(unit: RemoteUnit) -> DecodedSense | None:
    """Why TEST UNIT READY fails; None if it does not."""
    result = await unit.session.execute(unit.lun, cdb.test_unit_ready())
    return None if result.status == Status.GOOD else result.decoded_sense


# The size, with the server as a process.


@contextlib.asynccontextmanager
async def unit_of(url: Url) -> AsyncIterator[RemoteUnit]:
    """The unit in a session of its own, ready."""
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
    async with await Session.login(settings) as session:
        unit = RemoteUnit(session, url.lun)
        await unit.become_ready()
        yield unit


async def heard(unit: RemoteUnit) -> DecodedSense:
    """The next unit attention, which may take a moment."""
    async with asyncio.timeout(PATIENCE):
        while (sense := await sense_of(unit)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the target tells of it when it is asked, not by itself
    return sense


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["writable", "read-only"])
async def test_a_file_that_grows_and_shrinks(serve: Serve, medium: Path, options: tuple[str, ...]) -> None:
    """SIGHUP: the initiator hears that the capacity has changed, and can use what is new, but not what is gone."""
    server = serve(medium, *options)
    async with unit_of(server.url) as unit:
        before = await unit.read_capacity()
        for size in (2 * before.size, before.size // 2):
            os.truncate(medium, size)
            os.kill(server.pid, signal.SIGHUP)
            assert (await heard(unit)).sense is Sense.CAPACITY_DATA_HAS_CHANGED
            assert (await unit.read_capacity()).size == size
            last = size // BLOCK - 1
            if not options:
                await unit.write(b"x" * BLOCK, lba=last, block_length=BLOCK, fua=True)
                assert await unit.read(lba=last, num_blocks=1, block_length=BLOCK) == b"x" * BLOCK
            with pytest.raises(ScsiError) as caught:
                await unit.read(lba=last + 1, num_blocks=1, block_length=BLOCK)
            assert caught.value.sense is not None
            assert caught.value.sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert server.log_text().count("size changed") == 2


@pytest.mark.slow
async def test_a_size_that_has_not_changed(serve: Serve, medium: Path) -> None:
    """SIGHUP alone is nothing to hear of."""
    server = serve(medium, "--ram", "1M", ready_lines=2)
    async with unit_of(server.urls[0]) as unit:
        os.kill(server.pid, signal.SIGHUP)
        for _ in range(20):
            assert await sense_of(unit) is None
    assert "size changed" not in server.log_text()


# LUNs, with the server in this process.


@dataclass(kw_only=True)
class Target:
    """A target that listens, and a session with it."""

    node: TargetNode
    session: Session

    def unit(self, lun: int) -> RemoteUnit:
        """What the initiator sees at a LUN."""
        return RemoteUnit(self.session, lun)


@contextlib.asynccontextmanager
async def target(unit: LogicalUnit) -> AsyncIterator[Target]:
    """A target with `unit` at LUN 0, at which the initiator has heard everything."""
    engine = ReferenceEngine(asyncio.get_running_loop())
    directory = Directory(Authentication(), Offers())
    node = TargetNode(NAME, TaskRouter(engine.workers))
    node.add_portal_group(PortalGroup(target_portal_group_tag=1, relative_target_port_id=1))
    node.map(0, LunMapping(unit))
    directory.add(node)
    sock = bind(Portal("127.0.0.1", 0))
    port = sock.getsockname()[1]
    route = Route(address="127.0.0.1", portal_address="127.0.0.1", portal_port=port)
    policy = PortalPolicy(directory, engine, lambda node: node.portal_groups.get(1), route)
    limiter = LoginLimiter()

    async def log_in(accepted: object, peer: str) -> None:
        phase = LoginPhase(accepted, peer, policy, engine, lambda login: text_exchange(directory, login, route))  # type: ignore[arg-type]
        await phase.run()

    listener = Listener(sock, limiter, log_in)
    listener.start()
    try:
        settings = LoginSettings(host="127.0.0.1", port=port, target_name=NAME)
        async with await Session.login(settings) as session:
            running = Target(node=node, session=session)
            await running.unit(0).become_ready()
            yield running
    finally:
        listener.stop()
        await limiter.stop()
        engine.end_all("the test is over")
        assert await engine.wait_idle(PATIENCE)
        engine.workers.close()


async def event(session: Session) -> AsyncMessage:
    """The next event that the target tells of."""
    async with asyncio.timeout(PATIENCE):
        message = await session.events.get()
    assert isinstance(message, AsyncMessage)
    return message


async def test_a_lun_comes_and_goes() -> None:
    """An event at once, a unit attention at the other LUN, and the disk itself; and all of that again when it goes."""
    async with target(make_unit()) as running:
        for lun_comes in (True, False):
            if lun_comes:
                running.node.map(7, LunMapping(make_unit()))
            else:
                running.node.unmap(7)
            message = await event(running.session)
            assert message.async_event == AsyncEvent.SCSI_ASYNC_EVENT
            assert message.lun == encode_lun(0)
            data = bytes(message.data_segment)
            assert int.from_bytes(data[:2]) == len(data) - 2
            assert (data[4] & 0x0F, data[14], data[15]) == (0x06, 0x3F, 0x0E)
            sense = await sense_of(running.unit(0))
            assert sense is not None
            assert sense.sense is Sense.REPORTED_LUNS_DATA_HAS_CHANGED
            if lun_comes:
                assert await running.unit(0).report_luns() == [encode_lun(0), encode_lun(7)]
                await running.unit(7).become_ready()
                await running.unit(7).write(b"x" * BLOCK, lba=5, block_length=BLOCK)
        assert await running.unit(0).report_luns() == [encode_lun(0)]
        sense = await sense_of(running.unit(7))
        assert sense is not None
        assert sense.sense is Sense.LOGICAL_UNIT_NOT_SUPPORTED


async def test_writes_to_a_lun_that_goes() -> None:
    """Each of them is answered: GOOD if it was done, else that there is no such unit; and none comes after `done`."""
    unit = make_unit()
    async with target(make_unit()) as running:
        running.node.map(7, LunMapping(unit))
        await event(running.session)
        await running.unit(7).become_ready()
        writes = [
            asyncio.ensure_future(running.unit(7).write(b"x" * BLOCK, lba=lba, block_length=BLOCK)) for lba in range(64)
        ]
        await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
        quiet = asyncio.Event()
        running.node.unmap(7, quiet.set)
        async with asyncio.timeout(PATIENCE):
            await quiet.wait()
            content = unit.backstore.size, bytes(unit.backstore._bytes)  # type: ignore[attr-defined]
            results = await asyncio.gather(*writes, return_exceptions=True)
        assert content[1] == bytes(unit.backstore._bytes)  # type: ignore[attr-defined]
        for lba, result in enumerate(results):
            if result is None:
                assert content[1][lba * BLOCK : (lba + 1) * BLOCK] == b"x" * BLOCK
            else:
                assert isinstance(result, ScsiError)
                assert result.sense is not None
                assert result.sense.sense is Sense.LOGICAL_UNIT_NOT_SUPPORTED


async def test_a_unit_is_resized_under_load() -> None:
    """Reads and writes go on; the initiator hears of the change once."""
    unit = make_unit(MIB)
    async with target(unit) as running:
        remote = running.unit(0)
        changed = asyncio.Event()
        load = [asyncio.ensure_future(remote.write(b"y" * BLOCK, lba=lba, block_length=BLOCK)) for lba in range(32)]
        resize(unit, 2 * MIB, running.node.router.executor, lambda error: changed.set())
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*load, return_exceptions=True)
            await changed.wait()
        attentions = [result for result in results if result is not None]
        if not attentions:
            sense = await sense_of(remote)
            assert sense is not None
            assert sense.sense is Sense.CAPACITY_DATA_HAS_CHANGED
        for error in attentions:
            assert isinstance(error, ScsiError)
            assert error.sense is not None
            assert error.sense.sense is Sense.CAPACITY_DATA_HAS_CHANGED
        assert len(attentions) <= 1
        assert (await remote.read_capacity()).size == 2 * MIB
        await remote.write(b"z" * BLOCK, lba=2 * MIB // BLOCK - 1, block_length=BLOCK)
