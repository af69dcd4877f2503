"""What changes under sessions that go on, seen by an initiator in the same process."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from isthmus.config.diff import diff
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Configuration,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.initiator import cdb
from isthmus.initiator.errors import ConnectionLost, LoginFailed, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.names import IscsiName
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import Sense
from isthmus.server.disks import LostReservations
from tests.support.service import HOST, MIB, ONE, TWO, Running, disk, running_service, target

BLOCK = 512


async def sense_of(session: Session, lun: int = 0) -> Sense | None:
    """Why TEST UNIT READY fails; None if it does not."""
    result = await session.execute(lun, cdb.test_unit_ready())
    return None if result.decoded_sense is None else result.decoded_sense.sense


async def ready(running: Running, lun: int = 0) -> tuple[Session, LogicalUnit]:
    """A session and a unit in it."""
    session = await Session.login(running.settings())
    unit = LogicalUnit(session, lun)
    await unit.become_ready()
    return session, unit


def with_acl(acl: NodeAcl, *stores: str) -> Configuration:
    """A target that one initiator may use."""
    return target(*map(disk, stores), attributes={}, node_acls=(acl,))


async def test_a_mapped_lun_becomes_read_only_under_its_session() -> None:
    """The initiator hears of it, and keeps the LUN."""
    writable = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=4, tpg_lun=0),))
    protected = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=4, tpg_lun=0, write_protect=True),))
    async with running_service() as running:
        await running.put(with_acl(writable, "a"))
        session, unit = await ready(running, 4)
        async with session:
            await unit.write(b"x" * BLOCK, lba=0, block_length=BLOCK)
            await running.put(with_acl(protected, "a"))
            assert await sense_of(session, 4) is Sense.MODE_PARAMETERS_CHANGED
            with pytest.raises(ScsiError) as caught:
                await unit.write(b"y" * BLOCK, lba=0, block_length=BLOCK)
            assert caught.value.sense is not None
            assert caught.value.sense.sense is Sense.WRITE_PROTECTED
            assert await unit.read(lba=0, num_blocks=1, block_length=BLOCK) == b"x" * BLOCK


async def test_a_lun_that_moves_to_other_storage_is_another_disk() -> None:
    """It goes and comes: the initiator looks at it again."""
    async with running_service() as running:
        stores = (disk("a"), disk("b"))
        group = PortalGroup(
            tag=1,
            luns=(Lun(number=0, backstore=stores[0].key), Lun(number=1, backstore=stores[1].key)),
            attributes={"generate_node_acls": 1, "demo_mode_write_protect": 0},
        )
        swapped = dataclasses.replace(
            group, luns=(Lun(number=0, backstore=stores[1].key), Lun(number=1, backstore=stores[0].key))
        )
        both = {store.key: store for store in stores}
        await running.put(Configuration(backstores=both, targets={ONE: Target(name=ONE, portal_groups=(group,))}))
        session, unit = await ready(running)
        async with session:
            await unit.write(b"a" * BLOCK, lba=0, block_length=BLOCK)
            await running.put(Configuration(backstores=both, targets={ONE: Target(name=ONE, portal_groups=(swapped,))}))
            moved = LogicalUnit(session, 1)
            await moved.become_ready()
            await unit.become_ready()
            assert await moved.read(lba=0, num_blocks=1, block_length=BLOCK) == b"a" * BLOCK
            assert await unit.read(lba=0, num_blocks=1, block_length=BLOCK) == bytes(BLOCK)


async def test_an_acl_takes_over_a_session_of_demo_mode() -> None:
    """From then on the initiator sees what is mapped for it."""
    async with running_service() as running:
        await running.put(target(disk("a"), disk("b")))
        session, _ = await ready(running)
        async with session:
            acl = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=9, tpg_lun=1),))
            await running.put(target(disk("a"), disk("b"), node_acls=(acl,)), force=True)
            assert await LogicalUnit(session, 9).report_luns() == [encode_lun(9)]
            [view] = running.service.sessions.views()
            assert (view.dynamic, view.luns) == (False, (9,))


async def test_sessions_of_an_acl_that_goes_end() -> None:
    """And cannot come back."""
    async with running_service() as running:
        await running.put(with_acl(NodeAcl(name=HOST), "a"))
        session = await Session.login(running.settings())
        await running.put(target(disk("a"), attributes={}), force=True)
        with pytest.raises(ConnectionLost):
            await session.execute(0, cdb.test_unit_ready())
        with pytest.raises(LoginFailed) as caught:
            await Session.login(running.settings())
        assert caught.value.status == LoginStatus.AUTHORIZATION_FAILURE


async def test_groups_of_targets_have_different_port_identifiers() -> None:
    """A disk that several of them show tells their ports apart, after a restart as before."""
    wanted = {**target(disk("a")).targets, **target(disk("a"), name=TWO).targets}
    found = []
    for _ in range(2):
        async with running_service() as running:
            await running.put(Configuration(backstores=target(disk("a")).backstores, targets=wanted))
            groups = running.server.reconciler.groups.values()
            found.append([running.group.relative_target_port_id for running in groups])
    assert found[0] == found[1]
    assert len(set(found[0])) == 2
    assert all(1 <= number <= 0xFFFF for number in found[0])


async def test_a_session_goes_on_while_another_target_comes_and_goes() -> None:
    """It notices nothing, whatever it is doing."""
    async with running_service() as running:
        alone = target(disk("a"))
        other = target(disk("z"), name=TWO)
        together = Configuration(
            backstores={**alone.backstores, **other.backstores}, targets={**alone.targets, **other.targets}
        )
        await running.put(alone)
        session, unit = await ready(running)
        async with session:
            reading = asyncio.create_task(read_until_cancelled(unit))
            for _ in range(3):
                await running.put(together)
                await running.put(alone)
            assert not reading.done()
            reading.cancel()
            assert await sense_of(session) is None


async def read_until_cancelled(unit: LogicalUnit) -> None:
    """One after the other; a unit attention would end it."""
    while True:
        await unit.read(lba=0, num_blocks=1, block_length=BLOCK)


async def test_attributes_change_under_a_session() -> None:
    """A command goes, and the initiator hears that the inquiry data have changed."""
    async with running_service() as running:
        await running.put(target(disk("a", attributes={"emulate_tpu": 1})))
        session, unit = await ready(running)
        async with session:
            await unit.unmap([(0, 8)])
            await running.put(target(disk("a", attributes={"emulate_tpu": 0})))
            assert await sense_of(session) is Sense.INQUIRY_DATA_HAS_CHANGED
            with pytest.raises(ScsiError) as caught:
                await unit.unmap([(0, 8)])
            assert caught.value.sense is not None
            assert caught.value.sense.sense is Sense.INVALID_COMMAND_OPERATION_CODE


async def test_another_size_under_a_session() -> None:
    """Memory grows, and what was there stays."""
    async with running_service() as running:
        await running.put(target(disk("n", options={"nullio": 1})))
        session, unit = await ready(running)
        async with session:
            changes = await running.put(target(disk("n", options={"nullio": 1}, size=2 * MIB)))
            assert len(changes) == 1
            assert await sense_of(session) is Sense.CAPACITY_DATA_HAS_CHANGED
            assert (await unit.read_capacity()).size == 2 * MIB


async def test_another_disc_under_a_session(tmp_path: Path) -> None:
    """It is put in while the initiator is logged in, which reads it after it has heard of it; locked in, none is."""
    discs = {}
    for name in ("a", "b"):
        discs[name] = tmp_path / f"{name}.iso"
        discs[name].write_bytes(name.encode() * 4096)

    def drive(path: str) -> Configuration:
        key = BackstoreKey("fileio", "cd0")
        return target(Backstore(key=key, path=path, unit_serial="cd0", attributes={"device_type": "cd"}))

    async with running_service() as running:
        await running.put(drive(str(discs["a"])))
        session, unit = await ready(running)
        async with session:
            assert await unit.read(lba=1, num_blocks=1, block_length=2048) == b"a" * 2048
            assert len(await running.put(drive(str(discs["b"])))) == 1
            assert await sense_of(session) is Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
            assert await unit.read(lba=1, num_blocks=1, block_length=2048) == b"b" * 2048
            await running.put(drive(""))
            assert await sense_of(session) is Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED
            await running.put(drive(str(discs["a"])))
            assert await sense_of(session) is Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
            await unit.command("PREVENT", bytes((0x1E, 0, 0, 0, 1, 0)))
            with pytest.raises(ConfigurationError, match="prevents the removal"):
                await running.put(drive(""))
            assert await unit.read(lba=1, num_blocks=1, block_length=2048) == b"a" * 2048


OTHER = "iqn.2026-01.com.example:other"


async def is_up(session: Session) -> bool:
    """Whether the session still answers."""
    try:
        await session.execute(0, cdb.test_unit_ready())
    except ConnectionLost:
        return False
    return True


@pytest.mark.parametrize(
    "attributes",
    [
        {"allowed_initiators": "*:other"},
        {"allowed_initiators": "!*:host"},
        {"allowed_initiators": "*:other", "allowed_match": "any"},
    ],
)
async def test_sessions_that_the_rules_no_longer_allow_are_dropped(attributes: dict[str, int | str]) -> None:
    """The others notice nothing."""
    demo = {"generate_node_acls": 1}
    async with running_service() as running:
        await running.put(target(disk("a"), attributes=demo))
        async with await Session.login(running.settings(initiator_name=OTHER)) as stays:
            assert await sense_of(stays) is Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
            goes = await Session.login(running.settings())
            await running.put(target(disk("a"), attributes={**demo, **attributes}))
            assert not await is_up(goes)
            assert await sense_of(stays) is None
            with pytest.raises(LoginFailed) as caught:
                await Session.login(running.settings())
            assert caught.value.status == LoginStatus.AUTHORIZATION_FAILURE


async def test_who_came_from_elsewhere_than_is_allowed_is_dropped() -> None:
    """And with the address goes every session from there."""
    demo = {"generate_node_acls": 1}
    async with running_service() as running:
        await running.put(target(disk("a"), attributes=demo))
        session = await Session.login(running.settings())
        await running.put(target(disk("a"), attributes={**demo, "allowed_addresses": "127.0.0.0/8,::1"}))
        assert await is_up(session)
        await running.put(target(disk("a"), attributes={**demo, "allowed_addresses": "192.0.2.0/24"}))
        assert not await is_up(session)


async def test_without_demo_mode_its_sessions_end() -> None:
    """But not one that gets a node ACL in the same change."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        async with await Session.login(running.settings(initiator_name=OTHER)) as known:
            stranger = await Session.login(running.settings())
            acl = NodeAcl(name=IscsiName(OTHER), mapped_luns=(MappedLun(number=0, tpg_lun=0),))
            await running.put(target(disk("a"), attributes={}, node_acls=(acl,)), force=True)
            assert (await is_up(known), await is_up(stranger)) == (True, False)


async def test_an_initiator_goes_from_one_group_to_another() -> None:
    """Its session goes on and sees what that group sees."""
    one = InitiatorGroup(name="one", initiators=("*:host",), mapped_luns=(MappedLun(number=0, tpg_lun=0),))
    two = InitiatorGroup(name="two", initiators=(), mapped_luns=(MappedLun(number=5, tpg_lun=1, write_protect=True),))
    moved = dataclasses.replace(one, initiators=()), dataclasses.replace(two, initiators=("*:host",))
    stores = disk("a"), disk("b")
    async with running_service() as running:
        await running.put(target(*stores, attributes={}, initiator_groups=(one, two)))
        session, unit = await ready(running)
        async with session:
            assert await unit.report_luns() == [encode_lun(0)]
            await running.put(target(*stores, attributes={}, initiator_groups=moved))
            assert await LogicalUnit(session, 5).report_luns() == [encode_lun(5)]
            [view] = running.service.sessions.views()
            assert (view.dynamic, view.initiator_group, view.luns) == (False, "two", (5,))
            await running.put(target(*stores, attributes={}, initiator_groups=(moved[0],)))
            assert not await is_up(session)


async def test_a_change_that_is_taken_back_drops_nobody() -> None:
    """Only what the rules are in the end counts."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        async with await Session.login(running.settings()) as session:
            reconciler = running.server.reconciler
            strict = target(disk("a"), attributes={})
            changes = diff(running.service.configuration, strict)
            back = diff(strict, running.service.configuration)
            await reconciler.apply([*changes, *back], [])
            assert await is_up(session)


async def test_a_backstore_that_comes_back_is_seen_by_who_is_logged_in(tmp_path: Path) -> None:
    """Its LUN is there again, by its own number, and is heard of."""
    key = BackstoreKey("fileio", "f")
    late = Backstore(key=key, path=str(tmp_path / "late.img"), size=MIB, unit_serial="f")
    async with running_service() as running:
        await running.service.load(target(disk("a"), late))
        session, unit = await ready(running)
        async with session:
            assert await unit.report_luns() == [encode_lun(0)]
            (tmp_path / "late.img").write_bytes(bytes(MIB))
            await running.service.start_backstore(key, LostReservations.REFUSE, "a test")
            with pytest.raises(ScsiError) as caught:
                await unit.test_unit_ready()
            assert caught.value.sense is not None
            assert caught.value.sense.sense is Sense.REPORTED_LUNS_DATA_HAS_CHANGED
            assert await unit.report_luns() == [encode_lun(0), encode_lun(1)]
            await LogicalUnit(session, 1).become_ready()
