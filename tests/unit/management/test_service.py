import asyncio
import dataclasses
import gc
from weakref import ref

import pytest

from isthmus.config.changes import Change
from isthmus.config.model import Chap, Configuration, DiscoveryAuthentication, Portal, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.management.collector import MANY_BACKSTORES
from isthmus.management.errors import BusyError, DaemonError, RevisionConflictError
from isthmus.management.secrets import KEPT
from isthmus.names import IscsiName
from isthmus.server import blocking
from tests.support.service import HOST, ONE, TWO, disk, running_service, target


async def test_a_new_configuration_runs_and_is_kept() -> None:
    """With a new revision; the same again has none."""
    async with running_service() as running:
        wanted = target(disk("a"))
        assert await running.put(wanted)
        assert (running.service.configuration, running.keeper.saved, running.service.revision) == (wanted, [wanted], 2)
        assert await running.put(wanted) == ()
        assert (len(running.keeper.saved), running.service.revision) == (1, 2)
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()


async def test_a_dry_run_does_nothing() -> None:
    """It tells what would be done."""
    async with running_service() as running:
        report = await running.service.replace(target(disk("a")), None, dry_run=True, who="a test")
        assert report.changes[0] == "+ /backstores/ramdisk/a of 1048576 bytes"
        assert running.service.configuration == Configuration()
        assert running.service.backstores() == []


async def test_another_revision_is_refused() -> None:
    """Whoever edited an old one looks again."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        with pytest.raises(RevisionConflictError):
            await running.service.replace(Configuration(), 1, who="a test")
        await running.service.replace(Configuration(), 2, who="a test")


async def test_what_cannot_be_saved_is_taken_back() -> None:
    """Nothing of it runs."""
    async with running_service() as running:
        before = target(disk("a"))
        await running.put(before)
        running.keeper.error = OSError(28, "No space left on device")
        with pytest.raises(DaemonError, match="No space left"):
            await running.put(target(disk("b"), name=TWO))
        assert running.service.configuration == before
        assert [view.path for view in running.service.backstores()] == ["/backstores/ramdisk/a"]
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()


async def test_memory_that_was_to_go_comes_back_with_what_was_in_it() -> None:
    """Nothing else has it."""
    async with running_service() as running:
        before = target(disk("a"))
        await running.put(before)
        async with await Session.login(running.settings()) as session:
            unit = LogicalUnit(session, 0)
            await unit.become_ready()
            await unit.write(b"m" * 512, lba=0, block_length=512)
        running.keeper.error = OSError(28, "No space left on device")
        with pytest.raises(DaemonError):
            await running.put(Configuration())
        async with await Session.login(running.settings()) as session:
            unit = LogicalUnit(session, 0)
            await unit.become_ready()
            assert await unit.read(lba=0, num_blocks=1, block_length=512) == b"m" * 512


async def test_default_portals_are_for_the_first_group_of_a_target() -> None:
    """A connection shows which group it is for; and not at all for a target that names a portal."""
    async with running_service() as running:
        groups = (PortalGroup(tag=2), PortalGroup(tag=1))
        await running.put(Configuration(targets={ONE: Target(name=ONE, portal_groups=groups)}))
        assert [view.target_portal_group_tag for view in running.service.portals()] == [1]
        named = (PortalGroup(tag=2, portals=(Portal("127.0.0.1", 0),)), PortalGroup(tag=1))
        await running.put(Configuration(targets={ONE: Target(name=ONE, portal_groups=named)}))
        assert [view.target_portal_group_tag for view in running.service.portals()] == [2]


async def test_storage_that_cannot_be_had_stops_the_plan_before_its_first_step() -> None:
    """Sessions that would have lost something keep it."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        session = await Session.login(running.settings())
        with pytest.raises(ConfigurationError, match="no kind of backstore"):
            store = disk("b")
            other = dataclasses.replace(store, key=dataclasses.replace(store.key, kind="tape"))
            await running.put(target(other, name=TWO), force=True)
        async with session:
            await LogicalUnit(session, 0).become_ready()


async def test_an_invalid_configuration_is_refused() -> None:
    """A LUN on a backstore that is not there."""
    async with running_service() as running:
        with pytest.raises(ConfigurationError, match="which there is not"):
            await running.put(dataclasses.replace(target(disk("a")), backstores={}))


async def test_what_is_in_use_is_refused_without_force() -> None:
    """By the name of who uses it; with force it goes."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        await Session.login(running.settings())
        with pytest.raises(BusyError) as caught:
            await running.put(Configuration())
        assert caught.value.holders == (HOST,)
        await running.put(Configuration(), force=True)
        assert running.service.sessions.views() == []


async def test_secrets_that_are_put_back_hidden_stay() -> None:
    """And one that was never there cannot be kept."""
    async with running_service() as running:
        secret = DiscoveryAuthentication(enable=True, chap=Chap(userid="me", password="geheimgeheim"))
        await running.put(Configuration(discovery=secret))
        hidden = DiscoveryAuthentication(enable=False, chap=Chap(userid="me", password=KEPT))
        await running.put(Configuration(discovery=hidden))
        assert running.service.configuration.discovery.chap.password == "geheimgeheim"
        with pytest.raises(ConfigurationError, match="no password"):
            await running.put(target(chap=Chap(userid="me", password=KEPT)))


async def test_a_portal_that_cannot_be_bound_is_a_warning() -> None:
    """It is in the report and in the view; the rest is done."""
    async with running_service() as running:
        wanted = target(disk("a"), portals=(Portal("192.0.2.1"),))
        report = await running.service.replace(wanted, None, who="a test")
        assert len(report.warnings) == 1
        assert "no interface of this machine has this address" in report.warnings[0]
        [view] = running.service.portals()
        assert (view.listening, view.is_default, view.target_name) == (False, False, ONE)


async def test_loading_goes_on_without_what_is_missing() -> None:
    """The disk is shown with the reason; the others run."""
    async with running_service() as running:
        missing = dataclasses.replace(disk("m"), key=dataclasses.replace(disk("m").key, kind="fileio"), path="/no/such")
        await running.service.load(target(missing, disk("b")))
        problems = {view.path: bool(view.problem) for view in running.service.backstores()}
        assert problems == {"/backstores/fileio/m": True, "/backstores/ramdisk/b": False}
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 1).become_ready()


async def test_a_large_change_is_done_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has commands to be served has the loop between any two of them, if it had to be after each."""
    monkeypatch.setattr(blocking, "SLICE_SECONDS", 0.0)
    loop = asyncio.get_running_loop()
    turns, steps = [0], []

    def turn() -> None:
        turns[0] += 1
        ticking[0] = loop.call_soon(turn)

    ticking = [loop.call_soon(turn)]
    async with running_service() as running:
        do = running.server.reconciler._do

        async def step(change: Change) -> str:
            steps.append(turns[0])
            return await do(change)

        monkeypatch.setattr(running.server.reconciler, "_do", step)
        names = [IscsiName(f"{ONE}-{number}") for number in range(20)]
        parts = [target(disk(str(number)), name=name) for number, name in enumerate(names)]
        await running.put(
            Configuration(
                backstores={key: store for part in parts for key, store in part.backstores.items()},
                targets={name: one for part in parts for name, one in part.targets.items()},
            )
        )
        await running.put(Configuration())
    ticking[0].cancel()
    assert len(steps) > 4 * len(names)
    assert len(set(steps)) == len(steps)


async def test_what_is_deleted_is_gone() -> None:
    """At once and without the garbage collector, which never looks at it: also what a session has used."""
    async with running_service() as running:
        stores = [disk("a"), disk("b", attributes={"limit_iops": 1000}), disk("c", attributes={"encrypt": 1})]
        await running.put(target(*stores))
        async with await Session.login(running.settings()) as session:
            for lun in range(len(stores)):
                unit = LogicalUnit(session, lun)
                await unit.become_ready()
                await unit.write(bytes(512), lba=0, block_length=512)
                await unit.read(lba=0, num_blocks=1, block_length=512)
        units = [ref(unit) for unit in running.server.disks.units]
        gc.disable()
        try:
            await running.put(Configuration())
            assert [unit() for unit in units] == [None] * len(stores)
        finally:
            gc.enable()


async def test_making_and_deleting_leaves_nothing_behind() -> None:
    """However often: the collector, to whom all of it is out of sight, has nothing to do."""
    async with running_service() as running:
        many = target(*(disk(str(number)) for number in range(MANY_BACKSTORES)))
        counts = []
        gc.disable()
        try:
            for _ in range(4):
                await running.put(many)
                await running.put(Configuration())
                counts.append(len(gc.get_objects()))
        finally:
            gc.enable()
            gc.unfreeze()
        assert counts[-1] - counts[1] < MANY_BACKSTORES
