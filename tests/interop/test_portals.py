"""Where targets listen: several portal groups, shared addresses, IPv4 and IPv6; each through sockets."""

import pytest

from isthmus.config.model import Configuration, Lun, Portal, PortalGroup, Target
from isthmus.initiator.discovery import discover
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.names import IscsiName
from tests.support.daemon import free_port
from tests.support.service import HOST, ONE, TWO, disk, running_service, target

DEMO: dict[str, int | str] = {"generate_node_acls": 1}


def at(portal: Portal, name: IscsiName | None = None) -> LoginSettings:
    """A login there; without a name for discovery."""
    return LoginSettings(host=portal.address, port=portal.port, target_name=name, initiator_name=HOST)


async def serial_at(portal: Portal, name: IscsiName = ONE) -> str:
    """Which disk is LUN 0 of a target there."""
    async with await Session.login(at(portal, name)) as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        return (await unit.vpd_page(0x80))[4:].decode()


async def told_at(portal: Portal) -> dict[str, list[str]]:
    """The targets that are told of there, with their addresses."""
    found = await discover(at(portal))
    return {record.name: [str(address) for address in record.addresses] for record in found}


async def status_at(portal: Portal, name: IscsiName) -> LoginStatus:
    """With which status a login is refused there."""
    with pytest.raises(LoginFailed) as caught:
        await Session.login(at(portal, name))
    assert caught.value.status is not None
    return LoginStatus(caught.value.status)


def with_groups(*groups: PortalGroup, stores: tuple[str, ...] = ("a", "b")) -> Configuration:
    """One target with these portal groups, and memory disks."""
    disks = [disk(name) for name in stores]
    return Configuration(
        backstores={store.key: store for store in disks}, targets={ONE: Target(name=ONE, portal_groups=groups)}
    )


async def test_portal_groups_of_a_target_have_portals_and_luns_of_their_own() -> None:
    """One on IPv4, one on IPv6: the address that a login comes in on says which it is for."""
    first, second = Portal("127.0.0.1", free_port()), Portal("::1", free_port())
    luns = [(Lun(number=0, backstore=disk(name).key),) for name in ("a", "b")]
    groups = (
        PortalGroup(tag=1, portals=(first,), luns=luns[0], attributes=DEMO),
        PortalGroup(tag=7, portals=(second,), luns=luns[1], attributes=DEMO),
    )
    async with running_service() as running:
        await running.put(with_groups(*groups))
        assert (await serial_at(first), await serial_at(second)) == ("serial-of-a", "serial-of-b")
        for portal in (first, second):
            assert await told_at(portal) == {ONE: [f"127.0.0.1:{first.port},1", f"[::1]:{second.port},7"]}


async def test_a_closer_portal_of_another_group_counts() -> None:
    """One group has every address, the other one of them, at the same port."""
    port = free_port()
    wide, near = Portal("::", port), Portal("127.0.0.1", port)
    luns = [(Lun(number=0, backstore=disk(name).key),) for name in ("a", "b")]
    groups = (
        PortalGroup(tag=1, portals=(wide,), luns=luns[0], attributes=DEMO),
        PortalGroup(tag=2, portals=(near,), luns=luns[1], attributes=DEMO),
    )
    async with running_service() as running:
        await running.put(with_groups(*groups))
        assert await serial_at(Portal("127.0.0.1", port)) == "serial-of-b"
        assert await serial_at(Portal("::1", port)) == "serial-of-a"
        assert await serial_at(Portal("127.0.0.2", port)) == "serial-of-a"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_targets_share_a_portal(address: str) -> None:
    """Each is told of, and reached, there; one that has another portal only is not."""
    shared, own = Portal(address, free_port()), Portal(address, free_port())
    one, two = target(disk("a"), portals=(shared,)), target(disk("b"), name=TWO, portals=(shared, own))
    both = Configuration(backstores={**one.backstores, **two.backstores}, targets={**one.targets, **two.targets})
    host = f"[{address}]" if ":" in address else address
    async with running_service() as running:
        await running.put(both)
        assert await serial_at(shared) == "serial-of-a"
        assert await serial_at(shared, TWO) == "serial-of-b"
        addresses = {f"{host}:{shared.port},1", f"{host}:{own.port},1"}
        assert {name: set(told) for name, told in (await told_at(own)).items()} == {
            ONE: {f"{host}:{shared.port},1"},
            TWO: addresses,
        }
        assert await status_at(own, ONE) is LoginStatus.NOT_FOUND


async def test_the_default_portal_takes_both_families() -> None:
    """And is told of as the address that was reached."""
    everywhere = Portal("::", free_port())
    async with running_service() as running:
        await running.put(target(disk("a"), portals=(everywhere,)))
        for address, shown in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
            here = Portal(address, everywhere.port)
            assert await told_at(here) == {ONE: [f"{shown}:{everywhere.port},1"]}
            assert await serial_at(here) == "serial-of-a"


async def test_every_ipv4_address_is_not_told_of_over_ipv6() -> None:
    """Which of them could be reached, nobody knows there."""
    wide, six = Portal("0.0.0.0", free_port()), Portal("::1", free_port())
    one, two = target(disk("a"), portals=(wide,)), target(disk("b"), name=TWO, portals=(six,))
    both = Configuration(backstores={**one.backstores, **two.backstores}, targets={**one.targets, **two.targets})
    async with running_service() as running:
        await running.put(both)
        assert await told_at(six) == {TWO: [f"[::1]:{six.port},1"]}
        assert await told_at(Portal("127.0.0.1", wide.port)) == {
            ONE: [f"127.0.0.1:{wide.port},1"],
            TWO: [f"[::1]:{six.port},1"],
        }


async def test_allowed_addresses_are_asked_of_both_families() -> None:
    """IPv4 through a dual-stack socket is IPv4."""
    port = free_port()
    allowed = {**DEMO, "allowed_addresses": "127.0.0.1"}
    async with running_service() as running:
        await running.put(target(disk("a"), portals=(Portal("::", port),), attributes=allowed))
        assert await serial_at(Portal("127.0.0.1", port)) == "serial-of-a"
        assert await status_at(Portal("::1", port), ONE) is LoginStatus.AUTHORIZATION_FAILURE
        assert await told_at(Portal("::1", port)) == {}
        only_six = {**DEMO, "allowed_addresses": "::/0"}
        await running.put(target(disk("a"), portals=(Portal("::", port),), attributes=only_six))
        assert await serial_at(Portal("::1", port)) == "serial-of-a"
        assert await status_at(Portal("127.0.0.1", port), ONE) is LoginStatus.AUTHORIZATION_FAILURE


async def test_logins_are_sent_to_an_ipv6_portal_of_the_same_server() -> None:
    """And served there: who has come to the right place is not sent again."""
    four, six = Portal("127.0.0.1", free_port()), Portal("::1", free_port())
    moved = {**DEMO, "redirect_address": six.address, "redirect_port": six.port}
    async with running_service() as running:
        await running.put(target(disk("a"), portals=(four, six), attributes=moved))
        async with await Session.login(at(four, ONE)):
            [view] = running.service.sessions.views()
            assert view.connections[0].local == f"[::1]:{six.port}"
