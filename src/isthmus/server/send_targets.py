"""What SendTargets tells on one connection: the targets of the server, at addresses that this initiator can reach."""

from collections.abc import Iterator

from isthmus.iscsi.discovery import PortalAddress, TargetRecord
from isthmus.iscsi.login_policy import LoginCompleted
from isthmus.iscsi.text import TextExchange
from isthmus.server.listener import plain_address
from isthmus.server.login_policy import Directory
from isthmus.server.options import Portal
from isthmus.target.access import Route, Visitor
from isthmus.target.target_node import TargetNode

__all__ = ["ConnectionDirectory", "text_exchange"]


def text_exchange(directory: Directory, login: LoginCompleted, route: Route) -> TextExchange:
    """The text exchange of a connection that has come by `route`."""
    visitor = Visitor(name=login.initiator_name, route=route)
    return TextExchange(
        directory=ConnectionDirectory(directory, visitor),
        session_target=login.target.name if login.target else None,
        parameters=login.connection_parameters,
    )


class ConnectionDirectory:
    """The `iscsi.discovery.Directory` of one connection."""

    def __init__(self, directory: Directory, visitor: Visitor) -> None:
        """Where `visitor` came in stands for portals that listen on every address: it can be reached."""
        self._directory = directory
        self._visitor = visitor
        self._local_address = plain_address(visitor.route.portal_address)

    def targets(self) -> Iterator[TargetRecord]:
        """See `iscsi.discovery.Directory.targets`."""
        for node in self._directory.targets.values():
            portals = tuple(self._portals(node))
            if portals:
                yield TargetRecord(name=node.name, portals=portals)

    def _portals(self, node: TargetNode) -> Iterator[PortalAddress]:
        for tag, group in node.portal_groups.items():
            if group.access is not None and not group.access.discoverable(self._visitor):
                continue
            for portal in group.portals:
                for address in self._told(Portal(portal.address, portal.port)):
                    yield PortalAddress(host=address.address, port=address.port, target_portal_group_tag=tag)

    def _told(self, portal: Portal) -> tuple[Portal, ...]:
        """Where initiators are sent for `portal`."""
        if not portal.is_wildcard:
            return (portal,)
        if self._directory.advertised:
            return self._directory.advertised
        if Portal(self._local_address, portal.port).is_ipv6 and not portal.is_ipv6:
            # Every IPv4 address, asked over IPv6: none of them is known to reach this host.
            return ()
        return (Portal(self._local_address, portal.port),)
