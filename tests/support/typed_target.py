"""A target that was typed into the shell, and what the daemon made of it."""

from isthmus.config.model import NodeAcl, PortalGroup
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName
from tests.support.typist import Typist

__all__ = ["NAME", "TPG", "acl", "group", "with_a_target"]

NAME = IscsiName("iqn.2026-05.com.example:a")
TPG = f"/iscsi/{NAME}/tpg1"


def with_a_target(typist: Typist) -> Typist:
    """Has typed a target and two memory disks, one of them LUN 0."""
    typist.types(
        f"iscsi/ create {NAME}\n/backstores/ramdisk create r0 1M\n/backstores/ramdisk create r1 1M\n"
        f"{TPG}/luns create /backstores/ramdisk/r0\n"
    )
    return typist


def group(typist: Typist) -> PortalGroup:
    """The portal group of the daemon's configuration."""
    return group_of(typist.daemon.running, NAME, 1)


def acl(typist: Typist) -> NodeAcl:
    """Its one node ACL."""
    (only,) = group(typist).node_acls
    return only
