"""Secrets go into the daemon and never come out.

What leaves it has `KEPT` in their place; `KEPT` put back means the secret that is there now, at the same place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from isthmus.config.model import (
    KEPT,
    Account,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["KEPT", "hide_secrets", "resolve_secrets"]

_Place = tuple[str, ...]
_Change = Callable[[_Place, Chap], Chap]


def hide_secrets(configuration: Configuration) -> Configuration:
    """`configuration` with `KEPT` for every secret."""
    return replace(_with_chaps(configuration, _hidden), accounts=_hidden_accounts(configuration.accounts))


def resolve_secrets(new: Configuration, running: Configuration) -> Configuration:
    """`new` with the secrets of `running` where it says `KEPT`. Targets that both share are not looked into.

    Raises `ConfigurationError` for a `KEPT` where `running` has no secret to keep.
    """
    known = dict(
        _chaps(running, [name for name, target in new.targets.items() if running.targets.get(name) is not target])
    )
    accounts = {account.userid: account.password for account in running.accounts}

    def resolved(place: _Place, chap: Chap) -> Chap:
        kept = known.get(place, Chap())
        secrets = {**accounts, **{account.userid: account.password for account in kept.incoming}}
        mutual = kept.mutual_password
        if kept.mutual_userid != chap.mutual_userid:
            mutual = accounts.get(chap.mutual_userid, mutual)
        return replace(
            chap,
            password=_kept_or_new(chap.password, secrets.get(chap.userid, kept.password), place),
            mutual_password=_kept_or_new(chap.mutual_password, mutual, place),
            others=_kept_accounts(chap.others, secrets, place),
        )

    kept_accounts = _kept_accounts(new.accounts, accounts, ("accounts",))
    return replace(_with_chaps(new, resolved, but=running.targets), accounts=kept_accounts)


def _kept_accounts(wanted: tuple[Account, ...], known: Mapping[str, str], place: _Place) -> tuple[Account, ...]:
    """With the secret that the user of that name has now, wherever one is to be kept."""
    return tuple(
        replace(
            account, password=_kept_or_new(account.password, known.get(account.userid, ""), (*place, account.userid))
        )
        for account in wanted
    )


def _kept_or_new(wanted: str, present: str, place: _Place) -> str:
    if wanted != KEPT:
        return wanted
    if not present:
        raise ConfigurationError(f"{' '.join(place)} has no password that could be kept", "give one")
    return present


def _hidden(_place: _Place, chap: Chap) -> Chap:
    return replace(
        chap,
        password=KEPT if chap.password else "",
        mutual_password=KEPT if chap.mutual_password else "",
        others=_hidden_accounts(chap.others),
    )


def _hidden_accounts(accounts: tuple[Account, ...]) -> tuple[Account, ...]:
    return tuple(replace(account, password=KEPT) for account in accounts)


def _chaps(configuration: Configuration, names: Iterable[IscsiName]) -> Iterator[tuple[_Place, Chap]]:
    """The places for credentials of discovery and of the targets called so, with what is there."""
    yield ("discovery",), configuration.discovery.chap
    for target in filter(None, map(configuration.targets.get, names)):
        for group in target.portal_groups:
            yield _place(target, group), group.chap
            for acl in group.node_acls:
                yield _place(target, group, acl), acl.chap


def _place(target: Target, group: PortalGroup, acl: NodeAcl | None = None) -> _Place:
    return (target.name, f"tpg{group.tag}", *([acl.name] if acl else []))


def _with_chaps(
    configuration: Configuration, change: _Change, but: Mapping[IscsiName, Target] = MappingProxyType({})
) -> Configuration:
    """`configuration` with what `change` makes of the credentials; what has none, or is in `but`, stays the very same object."""
    discovery = configuration.discovery
    chap = _changed(("discovery",), discovery.chap, change)
    return replace(
        configuration,
        targets={
            name: target if but.get(name) is target else _with_target_chaps(target, change)
            for name, target in configuration.targets.items()
        },
        discovery=discovery if chap is discovery.chap else DiscoveryAuthentication(enable=discovery.enable, chap=chap),
    )


def _with_target_chaps(target: Target, change: _Change) -> Target:
    groups = tuple(_with_group_chaps(target, group, change) for group in target.portal_groups)
    return target if _same(groups, target.portal_groups) else replace(target, portal_groups=groups)


def _with_group_chaps(target: Target, group: PortalGroup, change: _Change) -> PortalGroup:
    acls = tuple(_with_acl_chap(target, group, acl, change) for acl in group.node_acls)
    chap = _changed(_place(target, group), group.chap, change)
    if chap is group.chap and _same(acls, group.node_acls):
        return group
    return replace(group, chap=chap, node_acls=acls)


def _with_acl_chap(target: Target, group: PortalGroup, acl: NodeAcl, change: _Change) -> NodeAcl:
    chap = _changed(_place(target, group, acl), acl.chap, change)
    return acl if chap is acl.chap else replace(acl, chap=chap)


def _changed(place: _Place, chap: Chap, change: _Change) -> Chap:
    if not chap.password and not chap.mutual_password and not chap.others:
        return chap
    changed = change(place, chap)
    return chap if changed == chap else changed


def _same(new: tuple[object, ...], old: tuple[object, ...]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))
