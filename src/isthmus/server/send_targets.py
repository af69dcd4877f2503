"""What SendTargets tells on one connection: the targets of the server, at addresses that this initiator can reach."""

from collections.abc import Iterator

from isthmus.iscsi.discovery import PortalAddress, TargetRecord
from isthmus.iscsi.login_policy import LoginCompleted
from isthmus.iscsi.text import TextExchange
from isthmus.names import IscsiName
from isthmus.server.listener import plain_address
from isthmus.server.login_policy import Directory
from isthmus.server.options import Portal
from isthmus.target.target_node import TargetNode

__all__ = ["ConnectionDirectory", "text_exchange"]


def text_exchange(directory: Directory, login: LoginCompleted, local_address: str) -> TextExchange:
    """The text exchange of a connection that came in on `local_address`."""
    return TextExchange(
        directory=ConnectionDirectory(directory, login.initiator_name, local_address),
        session_target=login.target.name if login.target else None,
        parameters=login.connection_parameters,
    )


class ConnectionDirectory:
    """The `iscsi.discovery.Directory` of one connection."""

    def __init__(self, directory: Directory, initiator_name: IscsiName, local_address: str) -> None:
        """`local_address` stands for portals that listen on every address: it is one that the initiator has reached."""
        self._directory = directory
        self._initiator_name = initiator_name
        self._local_address = plain_address(local_address)

    def targets(self) -> Iterator[TargetRecord]:
        """See `iscsi.discovery.Directory.targets`."""
        for node in self._directory.targets.values():
            portals = tuple(self._portals(node))
            if portals:
                yield TargetRecord(name=node.name, portals=portals)

    def _portals(self, node: TargetNode) -> Iterator[PortalAddress]:
        for tag, group in node.portal_groups.items():
            if group.access is not None and not group.access.discoverable(self._initiator_name):
                continue
            for portal in group.portals:
                wildcard = Portal(portal.address, portal.port).is_wildcard
                host = self._local_address if wildcard else portal.address
                yield PortalAddress(host=host, port=portal.port, target_portal_group_tag=tag)
