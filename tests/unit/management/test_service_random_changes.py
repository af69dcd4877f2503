"""Random changes, one after the other, while two initiators write and verify, and others are merely logged in."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from isthmus.config.acl_changes import RemoveAcl
from isthmus.config.changes import Change, DeleteTarget
from isthmus.config.diff import diff
from isthmus.config.group_changes import DeletePortalGroup, DisableGroup
from isthmus.config.model import BackstoreKey, Configuration, Lun, MappedLun, NodeAcl, Portal, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.initiator import cdb
from isthmus.initiator.errors import InitiatorError, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.management import backstore_edits, initiator_group_edits, lun_edits, target_edits
from isthmus.management.errors import BusyError
from isthmus.names import IscsiName
from isthmus.scsi.sense import SenseKey
from tests.support.patience import PATIENCE
from tests.support.service import disk, running_service

T = TypeVar("T")
BLOCK = 512
BLOCKS = 2048
HOME, FIRST, SECOND = (IscsiName(f"iqn.2026-01.com.example:{name}") for name in ("home", "first", "second"))
WRITERS = [IscsiName(f"iqn.2026-01.com.example:writer{number}") for number in range(2)]
GUESTS = [IscsiName(f"iqn.2026-01.com.example:guest{number}") for number in range(2)]
KEEPING = [BackstoreKey("ramdisk", "kept0"), BackstoreKey("ramdisk", "kept1")]
"""What the writers write to."""

TARGETS = st.sampled_from([HOME, FIRST, SECOND])
OTHERS = st.sampled_from([FIRST, SECOND])
TAGS = st.sampled_from([1, 2])
STORES = st.sampled_from([BackstoreKey("ramdisk", name) for name in ("a", "b", "c")])
NUMBERS = st.sampled_from([2, 3, 4])
"""The LUNs of the writers are 0 and 1."""
INITIATORS = st.sampled_from(GUESTS)
SECRETS = st.sampled_from(["", "geheimgeheim1", "geheimgeheim2"])


def home() -> Configuration:
    """A target with a disk for each writer: the first one is let in by demo mode, the second by its node ACL."""
    group = PortalGroup(
        tag=1,
        attributes={"generate_node_acls": 1, "demo_mode_write_protect": 0},
        luns=(Lun(number=0, backstore=KEEPING[0]), Lun(number=1, backstore=KEEPING[1])),
        node_acls=(NodeAcl(name=WRITERS[1], mapped_luns=(MappedLun(number=0, tpg_lun=1),)),),
    )
    return Configuration(
        backstores={key: disk(key.name) for key in KEEPING}, targets={HOME: Target(name=HOME, portal_groups=(group,))}
    )


@dataclass
class Writer:
    """Writes blocks that nobody else writes, and reads back what it wrote."""

    unit: LogicalUnit
    choices: random.Random
    written: dict[int, bytes] = field(default_factory=dict)
    stopping: bool = False

    async def work(self) -> None:
        """Until it is to stop, or something is wrong."""
        while not self.stopping:
            lba = self.choices.randrange(BLOCKS)
            data = self.choices.randbytes(8) * (BLOCK // 8)
            await self._insist(lambda: self.unit.write(data, lba=lba, block_length=BLOCK))  # noqa: B023  done at once
            self.written[lba] = data
            await self.verify(self.choices.choice(list(self.written)))

    async def verify(self, lba: int) -> None:
        """One block is as it was written."""
        data = await self._insist(lambda: self.unit.read(lba=lba, num_blocks=1, block_length=BLOCK))
        assert data == self.written[lba], f"LBA {lba}"

    async def _insist(self, command: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Again after a unit attention, as initiators do."""
        while True:
            try:
                return await command()
            except ScsiError as error:
                if error.sense is None or error.sense.key != SenseKey.UNIT_ATTENTION:
                    raise


@dataclass(frozen=True)
class Visit:
    """A session that only is there."""

    session: Session
    target: IscsiName
    tag: int
    initiator: IscsiName

    def ends_by(self, change: Change) -> bool:
        """Whether `change` names it."""
        if isinstance(change, DeleteTarget):
            return change.name == self.target
        if isinstance(change, DeletePortalGroup | DisableGroup):
            return (change.target, change.tag) == (self.target, self.tag)
        if isinstance(change, RemoveAcl):
            return (change.target, change.tag, change.initiator) == (self.target, self.tag, self.initiator)
        return False

    def is_allowed(self, configuration: Configuration) -> bool:
        """Whether it could log in anew."""
        group = target_edits.group_of(configuration, self.target, self.tag)
        if group.attributes.get("allowed_initiators") == f"!{self.initiator}":
            return False
        known = {acl.name for acl in group.node_acls} | {
            name for one in group.initiator_groups for name in one.initiators
        }
        return self.initiator in known or bool(group.attributes.get("generate_node_acls"))


class Operators(RuleBasedStateMachine):
    """Change one thing after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.context = running_service()
        self.running = self.runner.run(self.context.__aenter__())
        self.visits: dict[int, Visit] = {}
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        await self.running.put(home())
        self.writers = []
        for number, name in enumerate(WRITERS):
            session = await Session.login(self._login_settings(HOME, name))
            unit = LogicalUnit(session, 0)
            await unit.become_ready()
            self.writers.append(Writer(unit, random.Random(number)))
        self.tasks = [asyncio.create_task(writer.work()) for writer in self.writers]
        self.working = {view.tsih for view in self.running.service.sessions.views()}

    def _login_settings(self, target: IscsiName, initiator: IscsiName) -> LoginSettings:
        portals = [view.bound for view in self.running.service.portals() if view.target_name == target and view.bound]
        host, _, port = portals[0].rpartition(":")
        return LoginSettings(host=host, port=int(port), target_name=target, initiator_name=initiator)

    # -- One change ----------------------------------------------------------------------------------------------------

    def _edit(self, step: Callable[[Configuration], Configuration], *, force: bool = True) -> None:
        """One that cannot be changes nothing; one that can be is done as a whole, and a second time is nothing to do."""
        service = self.running.service
        before = service.configuration
        try:
            wanted = step(before)
            wanted.check()
        except ConfigurationError:
            return
        changes = diff(before, wanted)
        try:
            self.runner.run(service.edit(step, None, force=force, who="an operator"))
        except BusyError as busy:
            holders = set(busy.holders)
        else:
            holders = set()
        if holders:
            assert not force
            # The writers see every LUN of their portal group: one by demo mode, the other as it is mapped for all.
            assert holders <= {visit.initiator for visit in self.visits.values()} | set(WRITERS)
            assert service.configuration is before
            return
        assert diff(service.configuration, wanted) == ()
        assert self.runner.run(service.replace(wanted, None, who="an operator")).changes == ()
        self._forget(
            {
                tsih
                for tsih, visit in self.visits.items()
                if any(map(visit.ends_by, changes)) or not visit.is_allowed(wanted)
            }
        )

    def _forget(self, ended: set[int]) -> None:
        for tsih in ended:
            self.runner.run(self._has_ended(self.visits.pop(tsih).session))

    @staticmethod
    async def _has_ended(session: Session) -> None:
        with contextlib.suppress(InitiatorError, ConnectionError):
            await asyncio.wait_for(session.execute(0, cdb.test_unit_ready()), PATIENCE)
            raise AssertionError("a session goes on although a change has ended it")

    # -- The changes ---------------------------------------------------------------------------------------------------

    @rule(key=STORES, mebibytes=st.integers(1, 3))
    def create_backstore(self, key: BackstoreKey, mebibytes: int) -> None:
        """A disk more."""
        self._edit(partial(backstore_edits.create_backstore, backstore=disk(key.name, size=mebibytes << 20)))

    @rule(key=STORES, force=st.booleans())
    def delete_backstore(self, key: BackstoreKey, force: bool) -> None:
        """A disk less, with its LUNs."""
        self._edit(partial(backstore_edits.delete_backstore, key=key), force=force)

    @rule(key=STORES, mebibytes=st.integers(1, 4), force=st.booleans())
    def resize_backstore(self, key: BackstoreKey, mebibytes: int, force: bool) -> None:
        """Larger or smaller."""
        self._edit(partial(backstore_edits.set_backstore_size, key=key, size=mebibytes << 20), force=force)

    @rule(key=st.sampled_from(KEEPING), mebibytes=st.integers(1, 4))
    def grow_under_a_writer(self, key: BackstoreKey, mebibytes: int) -> None:
        """What was written stays."""
        size = self.running.service.configuration.backstores[key].size or 0
        self._edit(partial(backstore_edits.set_backstore_size, key=key, size=max(size, mebibytes << 20)), force=False)

    @rule(key=STORES | st.sampled_from(KEEPING), value=st.integers(0, 1))
    def set_backstore_attribute(self, key: BackstoreKey, value: int) -> None:
        """What the disk can do."""
        values = {"emulate_tpu": value, "emulate_3pc": 1 - value}
        self._edit(partial(backstore_edits.set_backstore_attributes, key=key, values=values))

    @rule(name=OTHERS)
    def create_target(self, name: IscsiName) -> None:
        """That lets everybody in."""

        def step(running: Configuration) -> Configuration:
            running = target_edits.create_target(running, name, default_portal=None)
            return target_edits.set_group_attributes(running, name, 1, {"generate_node_acls": 1})

        self._edit(step)

    @rule(name=OTHERS, force=st.booleans())
    def delete_target(self, name: IscsiName, force: bool) -> None:
        """With its sessions, if forced."""
        self._edit(partial(target_edits.delete_target, name=name), force=force)

    @rule(name=TARGETS)
    def create_group(self, name: IscsiName) -> None:
        """A second one."""
        self._edit(partial(target_edits.create_portal_group, name=name, tag=2))

    @rule(name=TARGETS, force=st.booleans())
    def delete_group(self, name: IscsiName, force: bool) -> None:
        """The second one."""
        self._edit(partial(target_edits.delete_portal_group, name=name, tag=2), force=force)

    @rule(name=OTHERS, tag=TAGS, enabled=st.booleans())
    def enable_or_disable(self, name: IscsiName, tag: int, enabled: bool) -> None:
        """Who is disabled is logged out."""
        self._edit(partial(target_edits.set_group_enabled, name=name, tag=tag, enabled=enabled))

    @rule(name=TARGETS, tag=TAGS, seconds=st.integers(5, 30), connections=st.integers(1, 4))
    def set_group(self, name: IscsiName, tag: int, seconds: int, connections: int) -> None:
        """Attributes and parameters, for logins to come."""

        def step(running: Configuration) -> Configuration:
            running = target_edits.set_group_attributes(running, name, tag, {"login_timeout": seconds})
            return target_edits.set_group_parameters(running, name, tag, {"MaxConnections": connections})

        self._edit(step)

    @rule(name=TARGETS, tag=TAGS, password=SECRETS)
    def set_chap(self, name: IscsiName, tag: int, password: str) -> None:
        """Of a group, for logins to come."""
        values = {"userid": "all" if password else "", "password": password}
        self._edit(partial(target_edits.set_group_chap, name=name, tag=tag, values=values))

    @rule(enable=st.booleans(), password=SECRETS)
    def set_discovery(self, enable: bool, password: str) -> None:
        """Of discovery."""
        values = {"userid": "d" if password else "", "password": password}
        self._edit(partial(target_edits.set_discovery_authentication, values=values, enable=enable))

    @rule(name=TARGETS, host=st.integers(2, 4))
    def add_portal(self, name: IscsiName, host: int) -> None:
        """On loopback, with a port that the system picks."""
        self._edit(partial(target_edits.add_portal, name=name, tag=1, portal=Portal(f"127.0.0.{host}", 0)))

    @rule(name=TARGETS, host=st.integers(2, 4))
    def remove_portal(self, name: IscsiName, host: int) -> None:
        """Sessions that came through it stay."""
        self._edit(partial(target_edits.remove_portal, name=name, tag=1, address=f"127.0.0.{host}", port=0))

    @rule(name=TARGETS, tag=TAGS, key=STORES, number=NUMBERS, mapped=st.booleans())
    def add_lun(self, name: IscsiName, tag: int, key: BackstoreKey, number: int, mapped: bool) -> None:
        """Seen at once by who is logged in."""
        self._edit(partial(lun_edits.add_lun, name=name, tag=tag, backstore=key, number=number, add_mapped_luns=mapped))

    @rule(name=TARGETS, tag=TAGS, number=NUMBERS, force=st.booleans())
    def remove_lun(self, name: IscsiName, tag: int, number: int, force: bool) -> None:
        """Gone at once."""
        self._edit(partial(lun_edits.remove_lun, name=name, tag=tag, number=number), force=force)

    @rule(name=TARGETS, tag=TAGS, initiator=INITIATORS, mapped=st.booleans())
    def add_acl(self, name: IscsiName, tag: int, initiator: IscsiName, mapped: bool) -> None:
        """For somebody who may be logged in by demo mode."""
        self._edit(partial(lun_edits.add_acl, name=name, tag=tag, initiator=initiator, add_mapped_luns=mapped))

    @rule(name=TARGETS, tag=TAGS, initiator=INITIATORS, force=st.booleans())
    def remove_acl(self, name: IscsiName, tag: int, initiator: IscsiName, force: bool) -> None:
        """With its session, if forced."""
        self._edit(partial(lun_edits.remove_acl, name=name, tag=tag, initiator=initiator), force=force)

    @rule(name=TARGETS, tag=TAGS, initiator=INITIATORS, source=NUMBERS, number=st.integers(0, 5), reads=st.booleans())
    def map_lun(self, name: IscsiName, tag: int, initiator: IscsiName, source: int, number: int, reads: bool) -> None:
        """Under a number of its own."""
        step = partial(lun_edits.add_mapped_lun, name=name, tag=tag, initiator=initiator, tpg_lun=source)
        self._edit(partial(step, number=number, write_protect=reads))

    @rule(name=TARGETS, tag=TAGS, initiator=INITIATORS, number=st.integers(0, 5))
    def unmap_lun(self, name: IscsiName, tag: int, initiator: IscsiName, number: int) -> None:
        """For one initiator."""
        self._edit(
            partial(lun_edits.remove_mapped_lun, name=name, tag=tag, initiator=initiator, number=number), force=False
        )

    @rule(name=TARGETS, tag=TAGS, initiator=INITIATORS, password=SECRETS)
    def set_acl(self, name: IscsiName, tag: int, initiator: IscsiName, password: str) -> None:
        """Other credentials and a label."""

        def step(running: Configuration) -> Configuration:
            values = {"userid": "guest" if password else "", "password": password}
            running = lun_edits.set_acl_chap(running, name, tag, initiator, values)
            return lun_edits.set_acl_tag(running, name, tag, initiator, "label" if password else "")

        self._edit(step)

    @rule(key=STORES | st.sampled_from(KEEPING), iops=st.sampled_from([0, 300, 3000]))
    def limit_backstore(self, key: BackstoreKey, iops: int) -> None:
        """Slower or faster, while it is written."""
        self._edit(partial(backstore_edits.set_backstore_attributes, key=key, values={"limit_iops": iops}))

    @rule(name=TARGETS, tag=TAGS, who=st.lists(INITIATORS, unique=True), number=NUMBERS)
    def set_initiator_group(self, name: IscsiName, tag: int, who: list[IscsiName], number: int) -> None:
        """Who is in the group sees one LUN; who is not any more, is judged anew."""

        def step(running: Configuration) -> Configuration:
            group = target_edits.group_of(running, name, tag)
            if not group.initiator_groups:
                running = initiator_group_edits.add_initiator_group(running, name, tag, "guests")
            running = initiator_group_edits.set_initiators(running, name, tag, "guests", who)
            if any(lun.number == number for lun in group.luns):
                with contextlib.suppress(ConfigurationError):
                    running = initiator_group_edits.add_group_lun(running, name, tag, "guests", number)
            return running

        self._edit(step)

    @rule(name=TARGETS, tag=TAGS)
    def remove_initiator_group(self, name: IscsiName, tag: int) -> None:
        """With the sessions that only it let in."""
        self._edit(partial(initiator_group_edits.remove_initiator_group, target=name, tag=tag, name="guests"))

    @rule(name=TARGETS, tag=TAGS)
    def exclude_nobody(self, name: IscsiName, tag: int) -> None:
        """Whoever was excluded may come again."""
        values: dict[str, int | str] = {"allowed_initiators": ""}
        self._edit(partial(target_edits.set_group_attributes, name=name, tag=tag, values=values))

    @rule(name=TARGETS, initiator=INITIATORS)
    def exclude_somebody(self, name: IscsiName, initiator: IscsiName) -> None:
        """Who has just come, with all its sessions there."""
        self.log_in(name, initiator)
        if self.visits:
            visit = self.visits[max(self.visits)]
            values: dict[str, int | str] = {"allowed_initiators": f"!{visit.initiator}"}
            self._edit(partial(target_edits.set_group_attributes, name=visit.target, tag=visit.tag, values=values))

    @rule(key=STORES, name=OTHERS)
    def several_at_once(self, key: BackstoreKey, name: IscsiName) -> None:
        """A disk, a target and a LUN in one change; or the same taken away in one."""

        def step(running: Configuration) -> Configuration:
            if name in running.targets:
                running = target_edits.delete_target(running, name)
                return backstore_edits.delete_backstore(running, key) if key in running.backstores else running
            if key not in running.backstores:
                running = backstore_edits.create_backstore(running, disk(key.name))
            running = target_edits.create_target(running, name, default_portal=None)
            return lun_edits.add_lun(running, name, 1, key)

        self._edit(step)

    # -- Who comes and goes --------------------------------------------------------------------------------------------

    @rule(name=TARGETS, initiator=INITIATORS)
    def log_in(self, name: IscsiName, initiator: IscsiName) -> None:
        """If the target lets it in."""
        if len(self.visits) < 6 and any(
            view.bound for view in self.running.service.portals() if view.target_name == name
        ):
            self.runner.run(self._log_in(name, initiator))

    async def _log_in(self, name: IscsiName, initiator: IscsiName) -> None:
        before = {view.tsih for view in self.running.service.sessions.views()}
        try:
            session = await Session.login(self._login_settings(name, initiator))
        except (InitiatorError, OSError):
            return
        [view] = [view for view in self.running.service.sessions.views() if view.tsih not in before]
        self.visits[view.tsih] = Visit(session, name, view.target_portal_group_tag, initiator)

    @rule(ask=st.booleans())
    def end_a_session(self, ask: bool) -> None:
        """By its number."""
        if self.visits:
            tsih = min(self.visits)
            self.runner.run(self.running.service.sessions.end(tsih, ask=ask, who="an operator"))
            self._forget({tsih})

    # -- What always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def nobody_else_is_dropped(self) -> None:
        """Those that no change has named are there, and answer."""
        there = {view.tsih for view in self.running.service.sessions.views()}
        assert there == self.working | set(self.visits)
        for visit in self.visits.values():
            self.runner.run(asyncio.wait_for(visit.session.execute(0, cdb.test_unit_ready()), PATIENCE))

    @invariant()
    def the_writers_work(self) -> None:
        """Nothing has gone wrong for them."""
        for task in self.tasks:
            if task.done():
                task.result()

    @invariant()
    def what_runs_is_what_is_configured(self) -> None:
        """Disks with their sizes, and portal groups."""
        configuration = self.running.service.configuration
        disks = {disk.settings.key: disk for disk in self.running.server.disks}
        assert disks.keys() == configuration.backstores.keys()
        for key, store in configuration.backstores.items():
            unit = disks[key].unit
            assert unit is not None
            assert unit.backstore.size == store.size
        groups = {(name, group.tag) for name, target in configuration.targets.items() for group in target.portal_groups}
        assert self.running.server.reconciler.groups.keys() == groups

    def teardown(self) -> None:
        """No byte differs."""
        try:
            self.runner.run(self._end())
        finally:
            self.runner.run(self.context.__aexit__(None, None, None))
            self.runner.close()

    async def _end(self) -> None:
        for writer in self.writers:
            writer.stopping = True
        await asyncio.wait_for(asyncio.gather(*self.tasks), PATIENCE)
        for writer in self.writers:
            assert writer.written
            for lba in writer.written:
                await writer.verify(lba)


def run(examples: int, steps: int) -> None:
    """Drive so many sequences of so many changes."""
    run_state_machine_as_test(
        Operators,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_changes_touch_nothing_that_they_do_not_name() -> None:
    """No session is dropped, no byte differs, and what was done is not to be done again."""
    run(examples=15, steps=40)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_changes_touch_nothing_that_they_do_not_name_for_long() -> None:
    """Many more and longer sequences."""
    run(examples=200, steps=80)
