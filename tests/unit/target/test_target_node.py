import pytest

from isthmus.errors import ConfigurationError
from isthmus.iscsi.parameters import Keepalive
from isthmus.names import IscsiName
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.task_router import TaskRouter
from isthmus.target.access import InitiatorAccess, Standing, Visitor
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode
from tests.support.scsi import make_unit
from tests.support.visitors import visitor

NAME = IscsiName("iqn.2026-01.com.example:disks")


def make_node() -> TargetNode:
    """A target without portal groups and units."""
    return TargetNode(NAME, TaskRouter(ImmediateExecutor()))


def group(tag: int, port: int) -> PortalGroup:
    """A portal group without portals."""
    return PortalGroup(target_portal_group_tag=tag, relative_target_port_id=port)


def test_units_learn_of_every_port() -> None:
    """Whichever comes first, unit or portal group: the unit reports every target port through which it is reached."""
    node, units = make_node(), [make_unit(), make_unit()]
    node.add_portal_group(group(1, 1))
    node.map(0, LunMapping(units[0]))
    node.add_portal_group(group(2, 7))
    node.map(5, LunMapping(units[1]))
    for unit in units:
        assert unit.alua.members(unit.alua.group_of(1)) == [1, 7]
    assert sorted(node.mappings) == [0, 5]
    assert sorted(node.portal_groups) == [1, 2]


@pytest.mark.parametrize(("tag", "port", "problem"), [(1, 2, "portal group 1"), (2, 1, "target port 1")])
def test_tags_and_ports_are_used_once(tag: int, port: int, problem: str) -> None:
    """A second portal group with the tag or the relative target port identifier of another is refused."""
    node = make_node()
    node.add_portal_group(group(1, 1))
    with pytest.raises(ConfigurationError, match=problem):
        node.add_portal_group(group(tag, port))
    assert list(node.portal_groups) == [1]


def test_a_nexus_belongs_to_its_portal_group() -> None:
    """Its names and its relative target port are those of the group that the session is in."""
    node = make_node()
    unit = make_unit()
    node.map(0, LunMapping(unit))
    nexus = node.nexus("iqn.2026-01.com.example:host", 1, group(2, 7))
    assert (nexus.target_portal_group_tag, nexus.relative_target_port_id) == (2, 7)
    assert nexus.target_port_name == f"{NAME},t,0x0002"
    assert nexus.logical_units == (unit,)


def connected(node: TargetNode, isid: int, portal_group: PortalGroup) -> Nexus:
    """A nexus with a session through that group."""
    nexus = node.nexus("iqn.2026-01.com.example:host", isid, portal_group)
    node.router.nexus_established(nexus)
    return nexus


def test_a_lun_comes_and_goes_while_initiators_are_logged_in() -> None:
    """Each of them sees it, and loses it; so does who comes later."""
    node, unit = make_node(), make_unit()
    node.add_portal_group(group(1, 1))
    node.add_portal_group(group(2, 2))
    nexuses = [connected(node, isid, node.portal_groups[isid]) for isid in (1, 2)]
    node.map(3, LunMapping(unit))
    assert all(nexus.mapping(3 << 48) == LunMapping(unit) for nexus in nexuses)
    assert unit.nexuses == frozenset(nexuses)
    quiet = list[bool]()
    node.unmap(3, lambda: quiet.append(True))
    assert quiet == [True]
    assert (unit.nexuses, node.mappings) == (frozenset(), {})
    assert connected(node, 3, node.portal_groups[1]).mappings == {}


def test_a_lun_that_goes_while_nobody_is_there() -> None:
    """It is quiet at once."""
    node, quiet = make_node(), list[bool]()
    node.map(3, LunMapping(make_unit()))
    node.unmap(3, lambda: quiet.append(True))
    assert (quiet, node.mappings) == ([True], {})


def test_a_lun_that_is_taken() -> None:
    """Another unit does not slip in under the same number; other rights do."""
    node, unit = make_node(), make_unit()
    node.map(0, LunMapping(unit))
    with pytest.raises(ConfigurationError, match="LUN 0"):
        node.map(0, LunMapping(make_unit()))
    node.map(0, LunMapping(unit, read_only=True))
    assert node.mappings == {0: LunMapping(unit, read_only=True)}


class Rules:
    """A portal group's own rules, which nobody asks here."""

    def of(self, visitor: Visitor) -> InitiatorAccess:
        raise AssertionError("nobody logs in")

    def discoverable(self, visitor: Visitor) -> bool:
        raise AssertionError("nobody discovers")

    def admitted(self, visitor: Visitor) -> None:
        raise AssertionError("nobody logs in")

    def standing(self, visitor: Visitor) -> Standing:
        raise AssertionError("nobody logs in")


def test_where_a_portal_group_has_rules_they_decide() -> None:
    """What every initiator sees is not what those see."""
    node, unit = make_node(), make_unit()
    node.add_portal_group(group(1, 1))
    nexus = connected(node, 1, node.portal_groups[1])
    node.portal_groups[1].access = Rules()
    node.map(3, LunMapping(unit))
    assert nexus.mappings == {}
    node.router.map_lun(nexus, 7, LunMapping(unit))
    node.unmap(3)
    assert nexus.mappings == {7: LunMapping(unit)}


def test_silence_is_dealt_with_as_the_target_says() -> None:
    """Where a portal group has no rules of its own."""
    patient = Keepalive(ping_after=60, lost_after=90)
    node = TargetNode(NAME, TaskRouter(ImmediateExecutor()), keepalive=patient)
    node.add_portal_group(group(1, 1))
    for each, expected in ((node, patient), (make_node(), Keepalive())):
        assert each.access(visitor(IscsiName("iqn.2026-01.com.example:host")), group(1, 1)).keepalive == expected
