"""What can be changed in a node ACL (see `changes`)."""

import dataclasses
from dataclasses import dataclass

from typing_extensions import override

from isthmus.config.changes import chap_text, settings_text
from isthmus.config.group_changes import GroupChange
from isthmus.config.model import Chap, MappedLun, NodeAcl, PortalGroup, Settings
from isthmus.config.settings import ACL_ATTRIBUTES
from isthmus.names import IscsiName

__all__ = [
    "AclChange",
    "AddAcl",
    "AddMappedLun",
    "ChangeMappedLun",
    "RemoveAcl",
    "RemoveMappedLun",
    "SetAclAttributes",
    "SetAclChap",
    "SetAclTag",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AclChange(GroupChange):
    """Concerns the node ACL of `initiator`."""

    initiator: IscsiName

    @property
    @override
    def where(self) -> str:
        # Not super(): a dataclass with slots is another class than the one that super() would find.
        return f"{GroupChange.where.__get__(self)}/acls/{self.initiator}"

    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        """What the step makes of the node ACL; those that make one or take it away leave it alone."""
        return acl

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        acls = tuple(self.edit_acl(acl) if acl.name == self.initiator else acl for acl in group.node_acls)
        return dataclasses.replace(group, node_acls=acls)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAcl(AclChange):
    """Let an initiator in, with its credentials and attributes, to no LUN yet."""

    acl: NodeAcl
    """Without mapped LUNs."""

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, node_acls=(*group.node_acls, self.acl))

    @override
    def __str__(self) -> str:
        return f"+ {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAcl(AclChange):
    """The initiator's sessions end."""

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        left = tuple(acl for acl in group.node_acls if acl.name != self.initiator)
        return dataclasses.replace(group, node_acls=left)

    @override
    def __str__(self) -> str:
        return f"- {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAclAttributes(AclChange):
    """All the attributes: what is not named has its default."""

    old: Settings
    attributes: Settings

    @override
    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        return dataclasses.replace(acl, attributes=self.attributes)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} attribute {settings_text(ACL_ATTRIBUTES, self.old, self.attributes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAclTag(AclChange):
    """The text that operators group ACLs by."""

    text: str

    @override
    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        return dataclasses.replace(acl, tag=self.text)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} tag: {self.text!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAclChap(AclChange):
    """The initiator's own credentials."""

    old: Chap
    chap: Chap

    @override
    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        return dataclasses.replace(acl, chap=self.chap)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} auth {chap_text(self.old, self.chap)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMappedLun(AclChange):
    """The initiator sees one LUN more."""

    mapped: MappedLun

    @override
    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        return dataclasses.replace(acl, mapped_luns=(*acl.mapped_luns, self.mapped))

    @override
    def __str__(self) -> str:
        return f"+ {self.where}/mapped_lun{self.mapped.number} {_mapped(self.mapped)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMappedLun(AclChange):
    """The initiator sees one LUN less."""

    mapped: MappedLun

    @override
    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        left = tuple(mapped for mapped in acl.mapped_luns if mapped.number != self.mapped.number)
        return dataclasses.replace(acl, mapped_luns=left)

    @override
    def __str__(self) -> str:
        return f"- {self.where}/mapped_lun{self.mapped.number} {_mapped(self.mapped)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMappedLun(AclChange):
    """Whether the initiator may write, or the alias; it keeps the LUN."""

    mapped: MappedLun

    @override
    def edit_acl(self, acl: NodeAcl) -> NodeAcl:
        luns = tuple(self.mapped if mapped.number == self.mapped.number else mapped for mapped in acl.mapped_luns)
        return dataclasses.replace(acl, mapped_luns=luns)

    @override
    def __str__(self) -> str:
        return f"~ {self.where}/mapped_lun{self.mapped.number} {_mapped(self.mapped)}"


def _mapped(mapped: MappedLun) -> str:
    return f"lun{mapped.tpg_lun} {'read-only' if mapped.write_protect else 'writable'}"
