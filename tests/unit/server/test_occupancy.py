from types import SimpleNamespace

import pytest

from isthmus.config.changes import DeleteTarget, ResizeBackstore
from isthmus.config.diff import diff
from isthmus.config.model import BackstoreKey, InitiatorGroup, MappedLun, NodeAcl
from isthmus.initiator import cdb
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.server import occupancy
from isthmus.server.occupancy import occupied
from tests.support.service import HOST, ONE, Running, disk, running_service, target


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "WATCH_SECONDS", 0.0)


async def holders_if_luns_go(running: Running) -> list[tuple[str, ...]]:
    """Who would lose a disk in use if all LUNs went."""
    changes = diff(running.service.configuration, target(attributes={"generate_node_acls": 1}))
    found = await occupied(changes, running.server.reconciler, running.server.disks)
    return [place.holders for place in found]


async def test_a_disk_that_is_only_seen_is_not_used() -> None:
    """One whose medium must not be removed is."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()
            assert await holders_if_luns_go(running) == []
            prevent = bytes((0x1E, 0, 0, 0, 1, 0))
            assert (await session.execute(0, prevent)).status == 0
            assert await holders_if_luns_go(running) == [(HOST,)]


async def test_a_disk_is_used_by_who_reads_while_it_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment: between two commands nothing else shows it."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        async with await Session.login(running.settings()) as session:
            unit = LogicalUnit(session, 0)
            await unit.become_ready()
            watched: list[float] = []

            async def read(seconds: float) -> None:
                watched.append(seconds)
                await unit.read(lba=0, num_blocks=1, block_length=512)

            monkeypatch.setattr(occupancy, "asyncio", SimpleNamespace(sleep=read))
            assert await holders_if_luns_go(running) == [(HOST,)]
            assert watched == [occupancy.WATCH_SECONDS]


async def test_a_reservation_holds_a_disk() -> None:
    """Until it is released."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()
            assert (await session.execute(0, bytes((0x16, 0, 0, 0, 0, 0)))).status == 0
            assert await holders_if_luns_go(running) == [(HOST,)]
            assert (await session.execute(0, bytes((0x17, 0, 0, 0, 0, 0)))).status == 0
            assert await holders_if_luns_go(running) == []


async def test_a_mapped_lun_is_held_by_its_initiator() -> None:
    """By its own number."""
    acl = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=7, tpg_lun=0),))
    async with running_service() as running:
        await running.put(target(disk("a"), attributes={}, node_acls=(acl,)))
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 7).become_ready()
            await session.execute(7, bytes((0x1E, 0, 0, 0, 1, 0)))
            without = target(disk("a"), attributes={}, node_acls=(NodeAcl(name=HOST),))
            found = await occupied(
                diff(running.service.configuration, without), running.server.reconciler, running.server.disks
            )
            assert [place.holders for place in found] == [(HOST,)]


async def test_a_lun_of_an_initiator_group_is_held_by_its_members() -> None:
    """By its number there; who is put out of the group holds nothing."""
    group = InitiatorGroup(name="g", initiators=("*:host",), mapped_luns=(MappedLun(number=7, tpg_lun=0),))
    async with running_service() as running:
        await running.put(target(disk("a"), attributes={}, initiator_groups=(group,)))
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 7).become_ready()
            await session.execute(7, bytes((0x1E, 0, 0, 0, 1, 0)))

            async def holders(*groups: InitiatorGroup, disks: int = 1) -> list[tuple[str, ...]]:
                wanted = target(*[disk("a")][:disks], initiator_groups=groups, attributes={})
                changes = diff(running.service.configuration, wanted)
                found = await occupied(changes, running.server.reconciler, running.server.disks)
                return [place.holders for place in found]

            assert await holders(InitiatorGroup(name="g", initiators=("*:host",))) == [(HOST,)]
            assert await holders() == []
            moved = InitiatorGroup(name="h", initiators=("*",), mapped_luns=group.mapped_luns)
            assert await holders(moved) == []
            assert await holders(InitiatorGroup(name="g", initiators=("*:host",)), disks=0) == [(HOST,)]


async def test_sessions_hold_their_target() -> None:
    """Whatever they do."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        changes = [DeleteTarget(name=ONE)]
        assert await occupied(changes, running.server.reconciler, running.server.disks) == []
        async with await Session.login(running.settings()):
            [found] = await occupied(changes, running.server.reconciler, running.server.disks)
            assert (found.change, found.holders) == (changes[0], (HOST,))


async def test_a_disk_that_is_seen_does_not_shrink() -> None:
    """But grows."""
    key = BackstoreKey("ramdisk", "a")
    async with running_service() as running:
        await running.put(target(disk("a")))
        async with await Session.login(running.settings()) as session:
            await session.execute(0, cdb.test_unit_ready())
            for size, expected in ((512, [(HOST,)]), (1 << 30, [])):
                change = ResizeBackstore(key=key, old_size=1 << 20, size=size)
                found = await occupied([change], running.server.reconciler, running.server.disks)
                assert [place.holders for place in found] == expected
