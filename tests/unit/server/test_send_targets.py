from isthmus.iscsi.discovery import TargetRecord
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.parameters import Offers
from isthmus.names import IscsiName
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.login_policy import Directory
from isthmus.server.options import Portal as AdvertisedPortal
from isthmus.server.send_targets import ConnectionDirectory
from isthmus.target.access import InitiatorAccess, Standing, Visitor
from isthmus.target.portal_group import Portal, PortalGroup
from isthmus.target.target_node import TargetNode
from tests.support.visitors import visitor

NAME = IscsiName("iqn.2026-05.com.example:a")
DB = IscsiName("iqn.2026-05.com.example:db")


class Shy:
    """A group that only one initiator may hear of."""

    def of(self, visitor: Visitor) -> InitiatorAccess:
        return InitiatorAccess()

    def discoverable(self, visitor: Visitor) -> bool:
        return visitor.name == DB and visitor.route.address == "192.0.2.7"

    def admitted(self, visitor: Visitor) -> None:
        """Nothing is learned of it."""

    def standing(self, visitor: Visitor) -> Standing:
        return Standing()


def records(
    *portals: Portal,
    local: str = "192.0.2.1",
    initiator: IscsiName = DB,
    address: str = "192.0.2.7",
    advertised: tuple[AdvertisedPortal, ...] = (),
) -> list[TargetRecord]:
    """What an initiator that came in on `local` hears of a target with these portals."""
    directory = Directory(Authentication(), Offers())
    directory.advertised = advertised
    node = TargetNode(NAME, TaskRouter(ImmediateExecutor()))
    node.portal_groups[3] = PortalGroup(
        target_portal_group_tag=3, relative_target_port_id=1, portals=list(portals), access=Shy()
    )
    directory.add(node)
    return list(ConnectionDirectory(directory, visitor(initiator, address=address, portal_address=local)).targets())


def addresses(found: list[TargetRecord]) -> list[str]:
    """The values of TargetAddress."""
    return [str(portal) for record in found for portal in record.portals]


def test_every_portal_is_told_with_its_tag() -> None:
    """IPv6 in brackets (RFC 7143 §13.8)."""
    found = records(Portal("192.0.2.9", 3260), Portal("2001:db8::1", 3261))
    assert addresses(found) == ["192.0.2.9:3260,3", "[2001:db8::1]:3261,3"]


def test_a_wildcard_is_told_as_the_address_that_was_reached() -> None:
    """Nobody can connect to 0.0.0.0; IPv4 through a dual-stack socket is IPv4."""
    assert addresses(records(Portal("0.0.0.0", 3260))) == ["192.0.2.1:3260,3"]
    assert addresses(records(Portal("::", 3260), local="::ffff:192.0.2.1")) == ["192.0.2.1:3260,3"]
    assert addresses(records(Portal("::", 3260), local="2001:db8::5")) == ["[2001:db8::5]:3260,3"]


def test_who_may_not_know_of_a_target_does_not_hear_of_it() -> None:
    """Not even its name."""
    stranger = IscsiName("iqn.2026-05.com.example:stranger")
    assert records(Portal("192.0.2.9", 3260), initiator=stranger) == []
    assert records(Portal("192.0.2.9", 3260), address="198.51.100.7") == []


def test_a_target_without_portals_is_not_told() -> None:
    """It could not be reached."""
    assert records() == []


def test_behind_a_translated_address_a_wildcard_is_told_as_what_is_advertised() -> None:
    """The address that a container sees itself reached at is nobody else's; a portal that has an address keeps it."""
    advertised = (AdvertisedPortal("198.51.100.5", 13260), AdvertisedPortal("2001:db8::5"))
    found = records(Portal("::", 3260), Portal("192.0.2.9", 3261), advertised=advertised)
    assert addresses(found) == ["198.51.100.5:13260,3", "[2001:db8::5]:3260,3", "192.0.2.9:3261,3"]
