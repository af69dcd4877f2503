"""What each attribute of a portal group and of a node ACL does: one test for each, named after it (see test_settings_effects)."""

import asyncio
import dataclasses
from typing import Any

import pytest

from isthmus.config.model import (
    Chap,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    MappedLun,
    NodeAcl,
    Portal,
)
from isthmus.errors import ConfigurationError
from isthmus.initiator import cdb
from isthmus.initiator.discovery import discover
from isthmus.initiator.errors import ConnectionLost, LoginFailed
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.raw_connection import RawConnection
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.pdu import DataOut, LoginRequest, NopOut, Pdu
from isthmus.iscsi.text_format import encode_text
from isthmus.names import IscsiName
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.server import portal_set
from tests.support.effects import BLOCK, Clock, bench, group_of, login_status
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE, TWO, Running, disk, running_service, target

OPEN = {"generate_node_acls": 1}
SECRET = Chap(userid="host", password="a secret of 12")
CREDENTIALS = ChapCredentials(user="host", secret=b"a secret of 12")
STRANGER = IscsiName("iqn.2026-01.com.example:stranger")


def acl(name: IscsiName = HOST, **fields: Any) -> NodeAcl:
    """Of an initiator that sees the disk."""
    return NodeAcl(name=name, mapped_luns=(MappedLun(number=0, tpg_lun=0),), **fields)


def one_disk(**group: Any) -> Configuration:
    """A target with a disk of memory."""
    return target(disk("a"), **group)


async def told(running: Running, **fields: Any) -> list[str]:
    """Which targets discovery tells of."""
    settings = running.settings()
    asking = LoginSettings(host=settings.host, port=settings.port, initiator_name=HOST, **fields)
    return [found.name for found in await discover(asking)]


async def may_write(running: Running) -> bool:
    """Whether a session of the host may write."""
    async with await Session.login(running.settings()) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        result = await session.execute(0, cdb.write_16(lba=0, num_blocks=1), data_out=bytes(BLOCK))
        assert result.status == Status.GOOD or result.decoded_sense.sense is Sense.WRITE_PROTECTED  # type: ignore[union-attr]
        return result.status == Status.GOOD


# -- Portal groups -----------------------------------------------------------------------------------------------------


async def test_authentication() -> None:
    """Without CHAP nobody gets in; with it those get in who know the secret."""
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN, chap=SECRET))
        assert await login_status(running) is None
        await running.put(one_disk(attributes={**OPEN, "authentication": 1}, chap=SECRET))
        assert await login_status(running) == LoginStatus.AUTHENTICATION_FAILURE
        assert await login_status(running, credentials=CREDENTIALS) is None


async def test_cache_dynamic_acls() -> None:
    """Who was here in demo mode may come back after its end, and strangers may not."""
    async with running_service() as running:
        await running.put(one_disk(attributes={**OPEN, "cache_dynamic_acls": 1}))
        assert await login_status(running) is None
        await running.put(one_disk(attributes={"cache_dynamic_acls": 1}))
        assert await login_status(running) is None
        assert await login_status(running, initiator_name=STRANGER) == LoginStatus.AUTHORIZATION_FAILURE
        await running.put(one_disk(attributes={}))
        assert await login_status(running) == LoginStatus.AUTHORIZATION_FAILURE


async def window(running: Running) -> int:
    """How many commands a new session may send."""
    async with await Session.login(running.settings()) as session:
        return int(session.window.max_cmd_sn - session.window.exp_cmd_sn) + 1


async def test_default_cmdsn_depth() -> None:
    """The command window of a new session."""
    async with running_service() as running:
        for depth in (64, 7):
            await running.put(one_disk(attributes={**OPEN, "default_cmdsn_depth": depth}))
            assert await window(running) == depth


async def test_demo_mode_discovery() -> None:
    """Whether initiators without a node ACL hear of the target; those that would be let in do in any case."""
    async with running_service() as running:
        for attributes, heard in (({}, True), ({"demo_mode_discovery": 0}, False)):
            await running.put(one_disk(attributes=attributes))
            assert await told(running) == ([ONE] if heard else [])
        await running.put(one_disk(attributes={"demo_mode_discovery": 0}, node_acls=(acl(),)))
        assert await told(running) == [ONE]


async def test_login_needs_luns() -> None:
    """Whoever would see nothing stays out and does not hear of the target; also who is in when its last LUN goes."""
    everybody = InitiatorGroup(name="g", initiators=("*",), mapped_luns=(MappedLun(number=0, tpg_lun=0),))
    nothing = dataclasses.replace(everybody, mapped_luns=())
    async with running_service() as running:
        for group, needs, status in (
            (nothing, 0, None),
            (nothing, 1, LoginStatus.AUTHORIZATION_FAILURE),
            (everybody, 1, None),
        ):
            attributes = {"login_needs_luns": needs}
            await running.put(one_disk(attributes=attributes, initiator_groups=(group,)))
            assert await login_status(running) == status
            assert await told(running) == ([] if status else [ONE])
        async with await Session.login(running.settings()) as session:
            await running.put(one_disk(attributes={"login_needs_luns": 1}, initiator_groups=(nothing,)))
            with pytest.raises(ConnectionLost):
                await LogicalUnit(session, 0).become_ready()
        await running.put(
            one_disk(attributes={"login_needs_luns": 1}, node_acls=(dataclasses.replace(acl(), mapped_luns=()),))
        )
        assert await login_status(running) == LoginStatus.AUTHORIZATION_FAILURE


async def test_relative_target_port_id() -> None:
    """The number of the target port, in the Device Identification page; another group that had it by chance moves."""
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN))
        by_chance = await port_number(running)
        wanted = by_chance % 0xFFFF + 1
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()
            await running.put(one_disk(attributes={**OPEN, "relative_target_port_id": wanted}))
            with pytest.raises(ConnectionLost):
                await LogicalUnit(session, 0).become_ready()
        assert await port_number(running) == wanted
        two = target(disk("a"), name=TWO, attributes={**OPEN, "relative_target_port_id": by_chance})
        one = one_disk(attributes=OPEN)
        await running.put(dataclasses.replace(one, targets={**one.targets, **two.targets}))
        moved = await port_number(running)
        assert moved != by_chance
        await running.put(one_disk(attributes=OPEN))
        assert await port_number(running) == moved


async def port_number(running: Running) -> int:
    """Of the port that a session comes in through: designator 4h (SPC-5 §7.7.6.8)."""
    async with await Session.login(running.settings()) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        page = (await unit.command("INQUIRY", bytes([0x12, 1, 0x83, 0, 255, 0]), data_in_length=255)).data_in
        place = 4
        while page[place + 1] & 0xF != 4:
            place += 4 + page[place + 3]
        return int.from_bytes(page[place + 6 : place + 8])


async def test_demo_mode_write_protect() -> None:
    """Whether initiators without a node ACL may write."""
    async with running_service() as running:
        for protect in (0, 1):
            attributes = {**OPEN, "demo_mode_write_protect": protect}
            await running.put(one_disk(attributes=attributes))
            assert await may_write(running) is not bool(protect)
            await running.put(one_disk(attributes=attributes, node_acls=(acl(),)))
            assert await may_write(running)


async def test_prod_mode_write_protect() -> None:
    """Whether those with one may, where others are let in as well; also while they are logged in."""
    async with bench(attributes={}, node_acls=(acl(),)) as tested:
        write = cdb.write_16(lba=0, num_blocks=1)
        assert await tested.sense(write, data_out=bytes(BLOCK)) is None
        await tested.put(group_of(tested.configuration, attributes={**OPEN, "prod_mode_write_protect": 1}))
        assert await tested.attentions() == [Sense.MODE_PARAMETERS_CHANGED]
        assert await tested.sense(write, data_out=bytes(BLOCK)) is Sense.WRITE_PROTECTED


async def test_generate_node_acls() -> None:
    """Whether initiators without a node ACL get in."""
    async with running_service() as running:
        for open_to_all in (0, 1):
            await running.put(one_disk(attributes={"generate_node_acls": open_to_all}))
            assert await login_status(running) == (None if open_to_all else LoginStatus.AUTHORIZATION_FAILURE)


@pytest.mark.parametrize("seconds", [5, 30])
async def test_login_timeout(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that comes to no end is cut off when its target says so."""
    async with running_service() as running:
        await running.put(one_disk(attributes={**OPEN, "login_timeout": seconds}))
        settings = running.settings()
        connection = await RawConnection.open(settings.host, settings.port)
        keys = [("InitiatorName", HOST), ("TargetName", str(ONE)), ("SessionType", "Normal")]
        request = LoginRequest(current_stage=1, next_stage=1, isid=1, data_segment=encode_text(keys))
        connection.send_pdu(request)
        await connection.receive_pdu(timeout=PATIENCE)
        clock = Clock(monkeypatch)
        cut_off = asyncio.create_task(connection.receive_end())
        await clock.advance(seconds - 1.5)
        assert not cut_off.done()
        await clock.advance(2)
        assert await cut_off == b""
        await connection.close()


@pytest.mark.parametrize("seconds", [2, 15])
async def test_netif_timeout(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is not there is tried again that often."""
    async with running_service() as running:
        tried: list[object] = []

        def bind_none(portal: object) -> None:
            tried.append(portal)
            raise ConfigurationError("the address is not there", "it is not there")

        monkeypatch.setattr(portal_set, "bind", bind_none)
        await running.put(one_disk(attributes={"netif_timeout": seconds}, portals=(Portal("192.0.2.77"),)))
        clock = Clock(monkeypatch)
        await clock.advance(seconds - 1)
        assert len(tried) == 1
        await clock.advance(1.5)
        assert len(tried) == 2


async def test_tpg_enabled_sendtargets() -> None:
    """Whether a disabled portal group is told of."""
    async with running_service() as running:
        await running.put(one_disk(enable=False, node_acls=(acl(),)))
        assert await told(running) == []
        await running.put(one_disk(enable=False, node_acls=(acl(),), attributes={"tpg_enabled_sendtargets": 0}))
        assert await told(running) == [ONE]


@pytest.mark.parametrize("workaround", [1, 0])
async def test_login_keys_workaround(workaround: int) -> None:
    """An initiator that never says a word of FirstBurstLength gets in, or not (as FlexBoot, which says nothing)."""
    parameters = {"FirstBurstLength": 16384, "InitialR2T": "No"}
    async with running_service() as running:
        await running.put(one_disk(attributes={**OPEN, "login_keys_workaround": workaround}, parameters=parameters))
        settings = running.settings(overrides={"FirstBurstLength": None}, offers=Offers(initial_r2t=False))

        def mute(pdu: Pdu) -> Pdu:
            if isinstance(pdu, LoginRequest) and b"FirstBurstLength" in bytes(pdu.data_segment):
                kept = [each for each in bytes(pdu.data_segment).split(b"\0") if not each.startswith(b"FirstBurst")]
                return dataclasses.replace(pdu, data_segment=b"\0".join(kept))
            return pdu

        if workaround:
            async with await Session.login(settings, tamper=mute):
                [session] = running.server.engine.sessions
                assert session.parameters.first_burst_length == 65536
        else:
            with pytest.raises(LoginFailed) as caught:
                await Session.login(settings, tamper=mute)
            assert caught.value.status == LoginStatus.INITIATOR_ERROR


async def test_per_portal_acl() -> None:
    """A pattern of an initiator group names the portal as well."""
    async with running_service() as running:
        for address, allowed in (("127.0.0.1", True), ("192.0.2.1", False)):
            group = InitiatorGroup(
                name="g", initiators=(f"*#{address}",), mapped_luns=(MappedLun(number=0, tpg_lun=0),)
            )
            await running.put(one_disk(attributes={"per_portal_acl": 1}, initiator_groups=(group,)))
            assert await login_status(running) == (None if allowed else LoginStatus.AUTHORIZATION_FAILURE)
            await running.put(one_disk(attributes={"per_portal_acl": 0}, initiator_groups=(group,)))
            assert await login_status(running) == LoginStatus.AUTHORIZATION_FAILURE


# -- Node ACLs ---------------------------------------------------------------------------------------------------------


async def test_acl_authentication() -> None:
    """A node ACL asks for CHAP, or not, whatever its portal group says."""
    async with running_service() as running:
        for group, own, needed in ((0, -1, False), (0, 1, True), (1, 0, False), (1, -1, True)):
            node_acl = acl(attributes={"authentication": own}, chap=SECRET)
            await running.put(one_disk(attributes={"authentication": group}, node_acls=(node_acl,)))
            assert await login_status(running) == (LoginStatus.AUTHENTICATION_FAILURE if needed else None)
            assert await login_status(running, credentials=CREDENTIALS) is None


async def test_acl_cmdsn_depth() -> None:
    """The command window of a new session of this initiator; 0 takes that of the portal group."""
    async with running_service() as running:
        for own, depth in ((0, 9), (5, 5)):
            node_acl = acl(attributes={"cmdsn_depth": own})
            await running.put(one_disk(attributes={"default_cmdsn_depth": 9}, node_acls=(node_acl,)))
            assert await window(running) == depth


def without(kind: type[Pdu]) -> Any:
    """Loses what is of this kind."""
    return lambda pdu: None if isinstance(pdu, kind) else pdu


async def seconds_until_lost(clock: Clock, session: Session, most: int) -> int:
    """After how many seconds the target gives the connection up."""
    for second in range(1, most + 1):
        await clock.advance(1)
        if not session.connections:
            return second
    raise AssertionError(f"the connection is still there after {most} s")


async def waits_for_data(timeout: int, retries: int, monkeypatch: pytest.MonkeyPatch, **group: Any) -> None:
    """A write whose data was asked for and does not come ends the connection then; a change counts at once.

    The settings are those of the node ACL, or (`group`) of the portal group.
    """
    attributes = {"dataout_timeout": timeout, "dataout_timeout_retries": retries}
    async with running_service() as running:
        await running.put(one_disk(**({"attributes": OPEN} if group else {"node_acls": (acl(),), "attributes": {}})))
        async with await Session.login(running.settings(offers=Offers(immediate_data=False))) as session:
            await LogicalUnit(session, 0).become_ready()
            await running.put(one_disk(**(group or {"node_acls": (acl(attributes=attributes),), "attributes": {}})))
            session.connection().raw.tamper = without(DataOut)
            clock = Clock(monkeypatch)
            task = session.start(0, cdb.write_16(lba=0, num_blocks=1), data_out=bytes(BLOCK))
            lost = await seconds_until_lost(clock, session, 70)
            assert timeout * retries <= lost <= timeout * retries + 3
            with pytest.raises(ConnectionLost):
                await task


async def test_acl_dataout_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long is waited each time."""
    await waits_for_data(10, 1, monkeypatch)


async def test_acl_dataout_timeout_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """So often."""
    await waits_for_data(2, 10, monkeypatch)


async def test_data_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal group says it for initiators without a node ACL."""
    await waits_for_data(12, 1, monkeypatch, attributes={**OPEN, "data_timeout": 12})


async def silent(own: dict[str, int], monkeypatch: pytest.MonkeyPatch, **group: Any) -> tuple[int, int]:
    """After how many seconds of silence the target asks, and after how many the connection is lost.

    The settings, of the node ACL or (`group`) of the portal group, come while the session is there.
    """
    async with running_service() as running:
        await running.put(one_disk(**({"attributes": OPEN} if group else {"node_acls": (acl(),), "attributes": {}})))
        async with await Session.login(running.settings()) as session:
            await LogicalUnit(session, 0).become_ready()
            await running.put(one_disk(**(group or {"node_acls": (acl(attributes=own),), "attributes": {}})))
            asked: list[int] = []
            clock, second = Clock(monkeypatch), 0

            def mute(pdu: Pdu) -> Pdu | None:
                if isinstance(pdu, NopOut):
                    asked.append(second)
                    return None
                return pdu

            session.connection().raw.tamper = mute
            while session.connections and second < 150:
                second += 1
                await clock.advance(1)
            return (asked or [0])[0], second if not session.connections else 0


async def test_acl_nopin_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NOP-In asks after so many seconds of silence; with 0 nobody asks, and nobody is lost."""
    asked, lost = await silent({"nopin_timeout": 20, "nopin_response_timeout": 10}, monkeypatch)
    assert 20 <= asked <= 22
    assert 30 <= lost <= 32
    assert await silent({"nopin_timeout": 0}, monkeypatch) == (0, 0)


async def test_nop_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """In demo mode the portal group says after how many seconds of silence a NOP-In asks, or that none does."""
    asked, lost = await silent({}, monkeypatch, attributes={**OPEN, "nop_interval": 7, "nop_count": 1})
    assert 7 <= asked <= 9
    assert 14 <= lost <= 16
    assert await silent({}, monkeypatch, attributes={**OPEN, "nop_interval": -1}) == (0, 0)


async def test_nop_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how many of these intervals its answer is waited for."""
    asked, lost = await silent({}, monkeypatch, attributes={**OPEN, "nop_interval": 7, "nop_count": 4})
    assert 7 <= asked <= 9
    assert 35 <= lost <= 37


async def test_nop_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or, in seconds, how long, also where the interval is ours."""
    asked, lost = await silent(
        {}, monkeypatch, attributes={**OPEN, "nop_interval": 7, "nop_count": 9, "nop_timeout": 5}
    )
    assert 7 <= asked <= 9
    assert 12 <= lost <= 14
    asked, lost = await silent({}, monkeypatch, attributes={**OPEN, "nop_timeout": 5})
    assert 15 <= asked <= 17
    assert 20 <= lost <= 22


async def test_acl_nopin_response_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its answer is waited for so many seconds."""
    asked, lost = await silent({"nopin_timeout": 5, "nopin_response_timeout": 40}, monkeypatch)
    assert 5 <= asked <= 7
    assert 45 <= lost <= 47


# -- Discovery ---------------------------------------------------------------------------------------------------------


async def test_discovery_authentication() -> None:
    """Whoever asks for targets has to prove who it is, while that is on; sessions of targets do not."""
    async with running_service() as running:
        for enabled in (True, False):
            discovery = DiscoveryAuthentication(enable=enabled, chap=SECRET)
            await running.put(dataclasses.replace(one_disk(attributes=OPEN), discovery=discovery))
            assert await login_status(running) is None
            assert await told(running, credentials=CREDENTIALS) == [ONE]
            if enabled:
                with pytest.raises(LoginFailed):
                    await told(running)
            else:
                assert await told(running) == [ONE]
