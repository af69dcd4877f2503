from isthmus.iscsi.discovery import TargetRecord
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.parameters import Offers
from isthmus.names import IscsiName
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.login_policy import Directory
from isthmus.server.send_targets import ConnectionDirectory
from isthmus.target.access import InitiatorAccess
from isthmus.target.portal_group import Portal, PortalGroup
from isthmus.target.target_node import TargetNode

NAME = IscsiName("iqn.2026-05.com.example:a")
DB = IscsiName("iqn.2026-05.com.example:db")


class Shy:
    """A group that only one initiator may hear of."""

    def of(self, initiator_name: IscsiName) -> InitiatorAccess:
        return InitiatorAccess()

    def discoverable(self, initiator_name: IscsiName) -> bool:
        return initiator_name == DB

    def is_dynamic(self, initiator_name: IscsiName) -> bool:
        return False


def records(*portals: Portal, local: str = "192.0.2.1", initiator: IscsiName = DB) -> list[TargetRecord]:
    """What an initiator that came in on `local` hears of a target with these portals."""
    directory = Directory(Authentication(), Offers())
    node = TargetNode(NAME, TaskRouter(ImmediateExecutor()))
    node.portal_groups[3] = PortalGroup(
        target_portal_group_tag=3, relative_target_port_id=1, portals=list(portals), access=Shy()
    )
    directory.add(node)
    return list(ConnectionDirectory(directory, initiator, local).targets())


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


def test_a_target_without_portals_is_not_told() -> None:
    """It could not be reached."""
    assert records() == []
