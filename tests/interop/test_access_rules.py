"""Who may log in, what it sees and where it is sent: through sockets, at a server that is configured so."""

import dataclasses
from typing import Any

import pytest

from isthmus.config.model import InitiatorGroup, MappedLun, NodeAcl
from isthmus.initiator import cdb
from isthmus.initiator.discovery import discover
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.names import IscsiName
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import Sense
from tests.support.service import HOST, ONE, Running, disk, running_service, target

DEMO = {"generate_node_acls": 1}
OTHER = IscsiName("iqn.2026-01.com.example:other")
BLOCK = 512


async def refused(running: Running, name: IscsiName = HOST) -> LoginStatus:
    """With which status."""
    with pytest.raises(LoginFailed) as caught:
        await Session.login(running.settings(initiator_name=name))
    assert caught.value.status is not None
    return LoginStatus(caught.value.status)


async def told(running: Running, name: IscsiName = HOST) -> list[str]:
    """The targets that an initiator hears of."""
    settings = dataclasses.replace(running.settings(initiator_name=name), target_name=None)
    return [str(found.name) for found in await discover(settings)]


@pytest.mark.parametrize(
    ("attributes", "host", "other"),
    [
        ({"allowed_addresses": "127.0.0.0/8"}, True, True),
        ({"allowed_addresses": "192.0.2.0/24,::1"}, False, False),
        ({"allowed_initiators": "*:host"}, True, False),
        ({"allowed_initiators": "!*:host"}, False, True),
        ({"allowed_initiators": "*:host", "allowed_addresses": "192.0.2.0/24", "allowed_match": "any"}, True, False),
        ({"allowed_match": "any"}, False, False),
    ],
)
async def test_who_is_not_allowed_is_refused_and_not_told(
    attributes: dict[str, int | str], host: bool, other: bool
) -> None:
    """02/02, authorization failure, and no word of the target in discovery."""
    async with running_service() as running:
        await running.put(target(disk("a"), attributes={**DEMO, **attributes}))
        for name, allowed in ((HOST, host), (OTHER, other)):
            assert await told(running, name) == ([ONE] if allowed else [])
            if allowed:
                await (await Session.login(running.settings(initiator_name=name))).logout()
            else:
                assert await refused(running, name) is LoginStatus.AUTHORIZATION_FAILURE


async def test_members_of_a_group_see_its_luns() -> None:
    """Under its numbers; who matches no group is refused."""
    group = InitiatorGroup(
        name="web", initiators=("*:H?st",), mapped_luns=(MappedLun(number=3, tpg_lun=1), MappedLun(number=0, tpg_lun=0))
    )
    async with running_service() as running:
        await running.put(
            target(disk("a"), disk("b"), attributes={"demo_mode_discovery": 0}, initiator_groups=(group,))
        )
        async with await Session.login(running.settings()) as session:
            assert await LogicalUnit(session, 0).report_luns() == [encode_lun(0), encode_lun(3)]
        assert (await told(running), await told(running, OTHER)) == ([ONE], [])
        assert await refused(running, OTHER) is LoginStatus.AUTHORIZATION_FAILURE


@pytest.mark.parametrize("where", ["portal group", "node ACL", "initiator group"])
async def test_sessions_up_to_the_limit(where: str) -> None:
    """One more finds no room (03/02); when one ends, there is."""
    mapped, limit = (MappedLun(number=0, tpg_lun=0),), {"max_sessions": 2}
    settings: dict[str, dict[str, Any]] = {
        "portal group": {"attributes": {**DEMO, **limit}},
        "node ACL": {"attributes": {}, "node_acls": (NodeAcl(name=HOST, mapped_luns=mapped, attributes=limit),)},
        "initiator group": {
            "attributes": {},
            "initiator_groups": (InitiatorGroup(name="g", initiators=("*",), mapped_luns=mapped, attributes=limit),),
        },
    }
    async with running_service() as running:
        await running.put(target(disk("a"), **settings[where]))
        sessions = [await Session.login(running.settings()) for _ in range(2)]
        assert await refused(running) is LoginStatus.OUT_OF_RESOURCES
        await sessions[0].logout()
        async with await Session.login(running.settings()):
            assert await refused(running) is LoginStatus.OUT_OF_RESOURCES
        await sessions[1].logout()


@pytest.mark.parametrize("permanent", [0, 1])
async def test_logins_are_sent_to_another_server(permanent: int) -> None:
    """The initiator follows, and writes there; discovery is answered here."""
    async with running_service() as here, running_service() as there:
        await there.put(target(disk("there")))
        port = there.settings().port
        redirect = {"redirect_address": "127.0.0.1", "redirect_port": port, "redirect_permanent": permanent}
        await here.put(target(disk("here"), attributes={**DEMO, **redirect}))
        assert await told(here) == [ONE]
        async with await Session.login(here.settings()) as session:
            unit = LogicalUnit(session, 0)
            await unit.become_ready()
            assert (await unit.vpd_page(0x80))[4:] == b"serial-of-there"


MODE_SENSE_6 = bytes((0x1A, 8, 0x3F, 0, 252, 0))
"""All pages, no block descriptor."""
WRITE_PROTECT = 0x80
"""WP in the DEVICE-SPECIFIC PARAMETER (SBC-4 §6.5.1)."""
WRITES = {
    "WRITE (10)": (cdb.write_10(lba=0, num_blocks=1), bytes(BLOCK)),
    "WRITE (16)": (cdb.write_16(lba=0, num_blocks=1), bytes(BLOCK)),
    "WRITE SAME (16)": (cdb.write_same_16(lba=0, num_blocks=8), bytes(BLOCK)),
    "COMPARE AND WRITE": (cdb.compare_and_write(lba=0, num_blocks=1), bytes(2 * BLOCK)),
}


def protecting(where: str, protect: bool) -> dict[str, Any]:
    """A portal group through which `HOST` may read, and write unless `protect`."""
    mapped = (MappedLun(number=0, tpg_lun=0, write_protect=protect),)
    if where == "node ACL":
        return {"attributes": {}, "node_acls": (NodeAcl(name=HOST, mapped_luns=mapped),)}
    if where == "initiator group":
        group = InitiatorGroup(name="g", initiators=("*:host",), mapped_luns=mapped)
        return {"attributes": {}, "initiator_groups": (group,)}
    return {"attributes": {**DEMO, "demo_mode_write_protect": int(protect)}}


async def is_protected(session: Session) -> bool:
    """What MODE SENSE says."""
    result = await session.execute(0, MODE_SENSE_6, data_in_length=252)
    assert result.status == 0
    return bool(result.data_in[2] & WRITE_PROTECT)


async def sense_of_write(session: Session, name: str) -> Sense | None:
    """How a command that writes ends: None is well."""
    command, data = WRITES[name]
    result = await session.execute(0, command, data_out=data)
    return None if result.decoded_sense is None else result.decoded_sense.sense


@pytest.mark.parametrize("where", ["node ACL", "initiator group", "demo mode"])
async def test_an_initiator_that_only_reads(where: str) -> None:
    """WP in MODE SENSE, and DATA PROTECT, WRITE PROTECTED for each command that writes, also once that is changed."""
    async with running_service() as running:
        await running.put(target(disk("a"), **protecting(where, True)))
        async with await Session.login(running.settings()) as session:
            unit = LogicalUnit(session, 0)
            await unit.become_ready()
            assert await is_protected(session)
            for name in WRITES:
                assert await sense_of_write(session, name) is Sense.WRITE_PROTECTED, name
            assert await unit.read(lba=0, num_blocks=1, block_length=BLOCK) == bytes(BLOCK)
            await running.put(target(disk("a"), **protecting(where, False)))
            await unit.become_ready()
            assert not await is_protected(session)
            for name in WRITES:
                assert await sense_of_write(session, name) is None, name
            await running.put(target(disk("a"), **protecting(where, True)))
            await unit.become_ready()
            assert await sense_of_write(session, "WRITE (10)") is Sense.WRITE_PROTECTED


async def test_one_reads_what_another_writes() -> None:
    """The protection is the initiator's, not the disk's."""
    reader = InitiatorGroup(
        name="readers", initiators=("*:other",), mapped_luns=(MappedLun(number=0, tpg_lun=0, write_protect=True),)
    )
    writer = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=0, tpg_lun=0),))
    async with running_service() as running:
        await running.put(target(disk("a"), attributes={}, node_acls=(writer,), initiator_groups=(reader,)))
        async with (
            await Session.login(running.settings()) as writing,
            await Session.login(running.settings(initiator_name=OTHER)) as reading,
        ):
            units = LogicalUnit(writing, 0), LogicalUnit(reading, 0)
            for unit in units:
                await unit.become_ready()
            assert (await is_protected(writing), await is_protected(reading)) == (False, True)
            await units[0].write(b"w" * BLOCK, lba=3, block_length=BLOCK)
            assert await units[1].read(lba=3, num_blocks=1, block_length=BLOCK) == b"w" * BLOCK
            assert await sense_of_write(reading, "WRITE (10)") is Sense.WRITE_PROTECTED
