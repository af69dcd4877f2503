"""What each parameter of an ALUA group does to the paths of a disk in use: one test for each, named after it."""

import contextlib
import dataclasses
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from isthmus.config.model import AluaGroup, Lun
from isthmus.config.settings import Value
from isthmus.initiator import cdb
from isthmus.scsi.alua_record import load_access_states
from isthmus.scsi.sense import Sense
from tests.support.effects import BLOCK, Bench, Clock, bench, group_of
from tests.support.service import disk

CHANGED = Sense.ASYMMETRIC_ACCESS_STATE_CHANGED
STANDBY = Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_STANDBY_STATE
UNAVAILABLE = Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_UNAVAILABLE_STATE
TRANSITION = Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_ASYMMETRIC_ACCESS_STATE_TRANSITION
GROUP = 7
REPORT = struct.pack(">BB4xIxx", 0xA3, 0x2A, 255)
"""REPORT TARGET PORT GROUPS, with the extended header."""
READ = cdb.read_16(lba=0, num_blocks=1)


@contextlib.asynccontextmanager
async def path(**parameters: Value) -> AsyncIterator[Bench]:
    """A disk whose LUN is in a target port group with these parameters."""
    async with bench(dataclasses.replace(disk("a"), alua_groups=(group(**parameters),))) as tested:
        [lun] = tested.configuration.targets[next(iter(tested.configuration.targets))].portal_groups[0].luns
        await tested.put(group_of(tested.configuration, luns=(Lun(number=0, backstore=lun.backstore, alua_group="g"),)))
        await tested.attentions()
        yield tested


def group(**parameters: Value) -> AluaGroup:
    """The group."""
    return AluaGroup(name="g", alua_group_id=GROUP, parameters=parameters)


async def change(tested: Bench, **parameters: Value) -> None:
    """Give the group other parameters."""
    store = dataclasses.replace(tested.store, alua_groups=(group(**parameters),))
    await tested.put(dataclasses.replace(tested.configuration, backstores={store.key: store}))


async def reported(tested: Bench) -> tuple[int, bytes]:
    """IMPLICIT TRANSITION TIME, and the descriptor of the group (SPC-5 §6.36)."""
    command = bytearray(REPORT.ljust(12, b"\0"))
    command[1] |= 0x20
    result = await tested.unit.command("REPORT TARGET PORT GROUPS", bytes(command), data_in_length=255)
    data = bytes(result.data_in)
    place = 8
    while int.from_bytes(data[place + 2 : place + 4]) != GROUP:
        place += 8 + 4 * data[place + 7]
    return data[5], data[place : place + 8]


async def read(tested: Bench) -> Sense | None:
    """What is said against a READ."""
    return await tested.sense(READ, data_in_length=BLOCK)


@pytest.mark.parametrize(
    ("state", "sense", "told"),
    [
        (0, None, 0),
        (1, None, 1),
        (2, STANDBY, 2),
        (3, UNAVAILABLE, 3),
        (14, UNAVAILABLE, 3),
    ],
)
async def test_alua_access_state(state: int, sense: Sense | None, told: int) -> None:
    """What can be done through the port; who uses it hears of the change."""
    async with path(nonop_delay_msecs=0) as tested:
        await change(tested, alua_access_state=state, nonop_delay_msecs=0)
        if state:
            assert await tested.sense(cdb.inquiry(), data_in_length=96) is None
            assert await read(tested) is CHANGED
        assert await read(tested) is sense
        assert (await reported(tested))[1][0] & 0x0F == told


async def test_alua_access_status() -> None:
    """STATUS CODE: what is said to have changed the state last."""
    async with path() as tested:
        for status in (0, 1, 2):
            await change(tested, alua_access_status=status)
            assert (await reported(tested))[1][5] == status


async def test_alua_access_type() -> None:
    """TPGS: whether there is SET TARGET PORT GROUPS."""
    standby = bytes((0, 0, 0, 0, 0x02, 0)) + GROUP.to_bytes(2)
    setting = struct.pack(">BB4xIxx", 0xA4, 0x0A, len(standby))
    async with path(alua_access_type=3) as tested:
        for kind in (0, 1, 2, 3):
            await change(tested, alua_access_type=kind)
            standard = await tested.unit.command("INQUIRY", cdb.inquiry(), data_in_length=96)
            assert standard.data_in[5] >> 4 & 3 == kind
            sense = await tested.sense(setting, data_out=standby)
            assert (sense is None) is bool(kind & 2)
            await change(tested, alua_access_type=kind, alua_access_state=2)
            await change(tested, alua_access_type=kind)
            await tested.attentions()


async def test_alua_write_metadata() -> None:
    """A state that an initiator has set is kept where it outlives the process."""
    unavailable = bytes((0, 0, 0, 0, 0x01, 0)) + GROUP.to_bytes(2)
    setting = struct.pack(">BB4xIxx", 0xA4, 0x0A, len(unavailable))
    for kept in (0, 1):
        async with path(alua_write_metadata=kept, nonop_delay_msecs=0) as tested:
            assert await tested.sense(setting, data_out=unavailable) is None
            saved = load_access_states(tested.device.state, tested.device.identity.serial)
            assert (GROUP in saved) is bool(kept)


async def test_preferred() -> None:
    """PREF."""
    async with path() as tested:
        for preferred in (0, 1):
            await change(tested, preferred=preferred)
            assert (await reported(tested))[1][0] >> 7 == preferred


async def test_nonop_delay_msecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long a command waits while the path is not optimized."""
    async with path(nonop_delay_msecs=9000) as tested:
        clock = Clock(monkeypatch)
        await change(tested, alua_access_state=1, nonop_delay_msecs=9000)
        attention = tested.session.start(0, cdb.test_unit_ready())
        await clock.advance(10)
        assert attention.ended
        task = tested.session.start(0, READ, data_in_length=BLOCK)
        await clock.advance(8.5)
        assert not task.ended
        await clock.advance(1)
        assert (await task).status == 0


async def test_trans_delay_msecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long a transition takes, in which nothing else can be done."""
    async with path(trans_delay_msecs=20000) as tested:
        clock = Clock(monkeypatch)
        await change(tested, trans_delay_msecs=20000, alua_access_state=2)
        assert await read(tested) is TRANSITION
        await clock.advance(19)
        assert await read(tested) is TRANSITION
        await clock.advance(2)
        assert await tested.attentions() == [CHANGED]
        assert await read(tested) is STANDBY


async def test_implicit_trans_secs() -> None:
    """IMPLICIT TRANSITION TIME of the extended header."""
    async with path() as tested:
        await change(tested, implicit_trans_secs=200)
        assert (await reported(tested))[0] == 200


SUPPORTED: dict[str, int] = {
    "active_optimized": 0x01,
    "active_nonoptimized": 0x02,
    "standby": 0x04,
    "unavailable": 0x08,
    "offline": 0x40,
    "transitioning": 0x80,
}


async def supports(state: str) -> None:
    """REPORT TARGET PORT GROUPS tells of the state, and SET TARGET PORT GROUPS takes it, or not."""
    async with path() as tested:
        assert (await reported(tested))[1][1] & SUPPORTED[state]
        other: dict[str, Any] = {"alua_access_state": 1} if state == "active_optimized" else {}
        await change(tested, **other)
        await tested.attentions()
        await change(tested, **other, **{f"alua_support_{state}": 0})
        assert not (await reported(tested))[1][1] & SUPPORTED[state]


async def test_alua_support_active_optimized() -> None:
    """AO_SUP."""
    await supports("active_optimized")


async def test_alua_support_active_nonoptimized() -> None:
    """AN_SUP."""
    await supports("active_nonoptimized")


async def test_alua_support_standby() -> None:
    """S_SUP."""
    await supports("standby")


async def test_alua_support_unavailable() -> None:
    """U_SUP."""
    await supports("unavailable")


async def test_alua_support_offline() -> None:
    """O_SUP."""
    await supports("offline")


async def test_alua_support_transitioning() -> None:
    """T_SUP."""
    await supports("transitioning")


async def test_other_ports() -> None:
    """REPORT TARGET PORT GROUPS tells of them beside our own, which are there once."""
    async with path() as tested:
        own = await ports(tested)
        await change(tested, other_ports=f"{max(own) % 0xFFFF + 1},{own[0]}")
        assert await ports(tested) == sorted([*own, max(own) % 0xFFFF + 1])
        await change(tested, other_ports="")
        assert await ports(tested) == own


async def ports(tested: Bench) -> list[int]:
    """The ports of the group."""
    result = await tested.unit.command("REPORT TARGET PORT GROUPS", REPORT.ljust(12, b"\0"), data_in_length=255)
    data = bytes(result.data_in)[8:]
    found: dict[int, list[int]] = {}
    while data:
        end = 8 + 4 * data[7]
        found[int.from_bytes(data[2:4])] = [int.from_bytes(data[place + 2 : place + 4]) for place in range(8, end, 4)]
        data = data[end:]
    return found[GROUP]
