"""What can be changed in a portal group (see `changes`)."""

import dataclasses
from dataclasses import dataclass

from typing_extensions import override

from isthmus.config.changes import Change, chap_text, settings_text
from isthmus.config.model import Chap, Configuration, InitiatorGroup, Lun, Portal, PortalGroup, Settings, Target
from isthmus.config.settings import TPG_ATTRIBUTES, TPG_PARAMETERS
from isthmus.names import IscsiName

__all__ = [
    "AddLun",
    "AddPortal",
    "ChangeLun",
    "CreatePortalGroup",
    "DeletePortalGroup",
    "DisableGroup",
    "EnableGroup",
    "GroupChange",
    "RemoveLun",
    "RemovePortal",
    "SetGroupAttributes",
    "SetGroupChap",
    "SetGroupParameters",
    "SetInitiatorGroups",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange(Change):
    """Concerns the portal group `tag` of `target`."""

    target: IscsiName
    tag: int

    @property
    def where(self) -> str:
        """As the shell names it."""
        return f"/iscsi/{self.target}/tpg{self.tag}"

    def edit(self, group: PortalGroup) -> PortalGroup:
        """What the step makes of the portal group; those that make one or take it away leave it alone."""
        return group

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        target = configuration.targets[self.target]
        groups = tuple(self.edit(group) if group.tag == self.tag else group for group in target.portal_groups)
        return _with_groups(configuration, target, groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePortalGroup(GroupChange):
    """A portal group, disabled and empty: nobody gets in before it is complete."""

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        target = configuration.targets[self.target]
        return _with_groups(configuration, target, (*target.portal_groups, PortalGroup(tag=self.tag, enable=False)))

    @override
    def __str__(self) -> str:
        return f"+ {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePortalGroup(GroupChange):
    """A portal group with all in it; its sessions end."""

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        target = configuration.targets[self.target]
        return _with_groups(
            configuration, target, tuple(group for group in target.portal_groups if group.tag != self.tag)
        )

    @override
    def __str__(self) -> str:
        return f"- {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableGroup(GroupChange):
    """Let initiators in."""

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, enable=True)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableGroup(GroupChange):
    """Let nobody in; its sessions end."""

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, enable=False)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetGroupAttributes(GroupChange):
    """All the attributes: what is not named has its default."""

    old: Settings
    attributes: Settings

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, attributes=self.attributes)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} attribute {settings_text(TPG_ATTRIBUTES, self.old, self.attributes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetGroupParameters(GroupChange):
    """All the parameters: what is not named has its default."""

    old: Settings
    parameters: Settings

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, parameters=self.parameters)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} parameter {settings_text(TPG_PARAMETERS, self.old, self.parameters)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetGroupChap(GroupChange):
    """The credentials of initiators that have none in their node ACL."""

    old: Chap
    chap: Chap

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, chap=self.chap)

    @override
    def __str__(self) -> str:
        return f"~ {self.where} auth {chap_text(self.old, self.chap)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPortal(GroupChange):
    """Listen there for the group."""

    portal: Portal

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, portals=(*group.portals, self.portal))

    @override
    def __str__(self) -> str:
        return f"+ {self.where}/portals/{self.portal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePortal(GroupChange):
    """Take no more connections there; those that there are stay."""

    portal: Portal

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        left = tuple(portal for portal in group.portals if portal != self.portal)
        return dataclasses.replace(group, portals=left)

    @override
    def __str__(self) -> str:
        return f"- {self.where}/portals/{self.portal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddLun(GroupChange):
    """A backstore under a number."""

    lun: Lun

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, luns=(*group.luns, self.lun))

    @override
    def __str__(self) -> str:
        return f"+ {self.where}/luns/lun{self.lun.number} {self.lun.backstore}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveLun(GroupChange):
    """Nobody sees it any more; no mapped LUN stands on it."""

    lun: Lun

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        left = tuple(lun for lun in group.luns if lun.number != self.lun.number)
        return dataclasses.replace(group, luns=left)

    @override
    def __str__(self) -> str:
        return f"- {self.where}/luns/lun{self.lun.number} {self.lun.backstore}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLun(GroupChange):
    """Its alias or its ALUA group; initiators keep it."""

    lun: Lun

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        luns = tuple(self.lun if lun.number == self.lun.number else lun for lun in group.luns)
        return dataclasses.replace(group, luns=luns)

    @override
    def __str__(self) -> str:
        return f"~ {self.where}/luns/lun{self.lun.number} ALUA group {self.lun.alua_group}, alias {self.lun.alias!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetInitiatorGroups(GroupChange):
    """All the initiator groups in one step, so that an initiator can go from one to another without being put out."""

    old: tuple[InitiatorGroup, ...]
    groups: tuple[InitiatorGroup, ...]

    @override
    def edit(self, group: PortalGroup) -> PortalGroup:
        return dataclasses.replace(group, initiator_groups=self.groups)

    @override
    def __str__(self) -> str:
        before, after = {known.name: known for known in self.old}, {group.name: group for group in self.groups}
        gone = [f"- {name}" for name in before if name not in after]
        come = [f"+ {_described(group)}" for name, group in after.items() if name not in before]
        changed = [f"~ {_described(after[name])}" for name in before if before[name] != after.get(name, before[name])]
        text = "; ".join([*gone, *come, *changed]) or f"in the order {', '.join(after)}"
        return f"~ {self.where}/initiator_groups {text}"


def _described(group: InitiatorGroup) -> str:
    mapped = [
        f"mapped_lun{lun.number} lun{lun.tpg_lun} {'read-only' if lun.write_protect else 'writable'}"
        for lun in group.mapped_luns
    ]
    settings = [f"{name}={value}" for name, value in group.attributes.items()]
    return f"{group.name} ({', '.join([*group.initiators, *mapped, *settings])})"


def _with_groups(configuration: Configuration, target: Target, groups: tuple[PortalGroup, ...]) -> Configuration:
    edited = dataclasses.replace(target, portal_groups=groups)
    return dataclasses.replace(configuration, targets={**configuration.targets, target.name: edited})
