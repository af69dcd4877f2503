"""From a configuration to a declaration that asks for it. Of secrets it only says that they are there."""

from collections import Counter
from typing import Final

from isthmus.config.declaration.configure import writes_back
from isthmus.config.declaration.models import (
    AccountDeclaration,
    AluaGroupDeclaration,
    BackstoreDeclaration,
    ChapDeclaration,
    Declaration,
    DiscoveryDeclaration,
    InitiatorDeclaration,
    InitiatorGroupDeclaration,
    LunDeclaration,
    MappedLunDeclaration,
    PortalDeclaration,
    PortalGroupDeclaration,
    Secret,
    TargetDeclaration,
)
from isthmus.config.model import (
    Account,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.config.settings import TPG_ATTRIBUTES, Value
from isthmus.sizes import format_size

__all__ = ["declare"]

_ONLY_TAG: Final = 1
"""A target with this portal group and no other needs not name it."""


def declare(configuration: Configuration) -> Declaration:
    """The declaration that `configure` makes `configuration` of, with `(kept)` for every secret."""
    names = _names(configuration)
    return Declaration(
        discovery=_discovery(configuration.discovery),
        backstores={names[key]: _backstore(store, names[key]) for key, store in configuration.backstores.items()},
        targets={str(name): _target(target, names) for name, target in configuration.targets.items()},
        accounts=_accounts(configuration.accounts),
        options=dict(configuration.options),
    )


def _names(configuration: Configuration) -> dict[BackstoreKey, str]:
    """What each backstore is called: its name, with its kind if another kind has that name too."""
    counted = Counter(key.name for key in configuration.backstores)
    return {key: f"{key.kind}/{key.name}" if counted[key.name] > 1 else key.name for key in configuration.backstores}


def _discovery(discovery: DiscoveryAuthentication) -> DiscoveryDeclaration | None:
    if discovery == DiscoveryAuthentication():
        return None
    chap = _chap(discovery.chap)
    enable = None if discovery.enable == (chap is not None) else discovery.enable
    return DiscoveryDeclaration(enable=enable, chap=chap)


def _chap(chap: Chap) -> ChapDeclaration | None:
    if chap == Chap():
        return None
    return ChapDeclaration(
        user=chap.userid,
        secret=_secret(chap.userid, chap.password),
        mutual_user=chap.mutual_userid,
        mutual_secret=_secret(chap.mutual_userid, chap.mutual_password),
        others=_accounts(chap.others),
    )


def _accounts(accounts: tuple[Account, ...]) -> tuple[AccountDeclaration, ...]:
    return tuple(
        AccountDeclaration(user=account.userid, secret=_secret(account.userid, account.password))
        for account in accounts
    )


def _secret(user: str, password: str) -> Secret | None:
    if password:
        return "(kept)"
    return "" if user else None


def _backstore(store: Backstore, name: str) -> BackstoreDeclaration:
    return BackstoreDeclaration(
        kind="" if "/" in name else store.key.kind,
        path=store.path,
        size=_size(store.size),
        write_back=None if store.write_back == writes_back(store.key.kind) else store.write_back,
        read_only=store.read_only,
        serial=store.unit_serial,
        attributes=dict(store.attributes),
        alua_groups=tuple(_alua_group(group) for group in store.alua_groups),
        options=dict(store.options),
    )


def _size(size: int | None) -> int | str | None:
    if size is None or size % 1024:
        return size
    return format_size(size)


def _alua_group(group: AluaGroup) -> AluaGroupDeclaration:
    return AluaGroupDeclaration(name=group.name, id=group.alua_group_id, parameters=dict(group.parameters))


def _target(target: Target, names: dict[BackstoreKey, str]) -> TargetDeclaration:
    groups = [_group(group, names) for group in target.portal_groups]
    if [group.tag for group in target.portal_groups] == [_ONLY_TAG]:
        fields = groups[0].model_fields_set - {"tag"}
        values = {name: getattr(groups[0], name) for name in fields}
        return TargetDeclaration(**values, options=dict(target.options))
    return TargetDeclaration(portal_groups=tuple(groups), options=dict(target.options))


def _group(group: PortalGroup, names: dict[BackstoreKey, str]) -> PortalGroupDeclaration:
    return PortalGroupDeclaration(
        tag=group.tag,
        enable=group.enable,
        attributes=_attributes(group),
        parameters=dict(group.parameters),
        chap=_chap(group.chap),
        portals=tuple(
            PortalDeclaration(portal=str(portal), iser=portal.iser, offload=portal.offload) for portal in group.portals
        ),
        luns=tuple(
            LunDeclaration(lun=lun.number, backstore=names[lun.backstore], alias=lun.alias, alua_group=lun.alua_group)
            for lun in group.luns
        ),
        initiators=tuple(_initiator(acl, group) for acl in group.node_acls),
        initiator_groups=tuple(_initiator_group(initiators, group) for initiators in group.initiator_groups),
    )


def _attributes(group: PortalGroup) -> dict[str, Value]:
    """With `authentication`, where leaving it out would turn it on."""
    if group.chap == Chap() and all(acl.chap == Chap() for acl in group.node_acls):
        return dict(group.attributes)
    default = TPG_ATTRIBUTES["authentication"].default
    return {"authentication": default, **group.attributes}


def _initiator(acl: NodeAcl, group: PortalGroup) -> InitiatorDeclaration:
    read_only, luns = _seen(acl.mapped_luns, group)
    return InitiatorDeclaration(
        name=str(acl.name),
        tag=acl.tag,
        read_only=read_only,
        chap=_chap(acl.chap),
        luns=luns,
        attributes=dict(acl.attributes),
    )


def _initiator_group(initiators: InitiatorGroup, group: PortalGroup) -> InitiatorGroupDeclaration:
    read_only, luns = _seen(initiators.mapped_luns, group)
    return InitiatorGroupDeclaration(
        name=initiators.name,
        initiators=initiators.initiators,
        read_only=read_only,
        luns=luns,
        attributes=dict(initiators.attributes),
    )


def _seen(
    mapped_luns: tuple[MappedLun, ...], group: PortalGroup
) -> tuple[bool, tuple[MappedLunDeclaration, ...] | None]:
    """`read_only` and `luns` of whoever has these mapped LUNs."""
    read_only = bool(mapped_luns) and all(mapped.write_protect for mapped in mapped_luns)
    everything = tuple(MappedLun(number=lun.number, tpg_lun=lun.number, write_protect=read_only) for lun in group.luns)
    if mapped_luns == everything:
        return read_only, None
    return read_only, tuple(_mapped(lun, read_only) for lun in mapped_luns)


def _mapped(mapped: MappedLun, read_only: bool) -> MappedLunDeclaration:
    return MappedLunDeclaration(
        lun=mapped.number,
        tpg_lun=None if mapped.tpg_lun == mapped.number else mapped.tpg_lun,
        read_only=None if mapped.write_protect == read_only else mapped.write_protect,
        alias=mapped.alias,
    )
