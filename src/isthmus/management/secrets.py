"""Secrets go into the daemon and never come out.

What leaves it has `KEPT` in their place; `KEPT` put back means the secret that is there now, at the same place.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from isthmus.config.model import KEPT, Chap, Configuration, DiscoveryAuthentication, NodeAcl, PortalGroup, Target
from isthmus.errors import ConfigurationError

__all__ = ["KEPT", "hide_secrets", "resolve_secrets"]

_Place = tuple[str, ...]
_Change = Callable[[_Place, Chap], Chap]


def hide_secrets(configuration: Configuration) -> Configuration:
    """`configuration` with `KEPT` for every secret."""
    return _with_chaps(configuration, _hidden)


def resolve_secrets(new: Configuration, running: Configuration) -> Configuration:
    """`new` with the secrets of `running` where it says `KEPT`.

    Raises `ConfigurationError` for a `KEPT` where `running` has no secret to keep.
    """
    known = dict(_chaps(running))

    def resolved(place: _Place, chap: Chap) -> Chap:
        kept = known.get(place, Chap())
        return replace(
            chap,
            password=_kept_or_new(chap.password, kept.password, place),
            mutual_password=_kept_or_new(chap.mutual_password, kept.mutual_password, place),
        )

    return _with_chaps(new, resolved)


def _kept_or_new(wanted: str, present: str, place: _Place) -> str:
    if wanted != KEPT:
        return wanted
    if not present:
        raise ConfigurationError(f"{' '.join(place)} has no password that could be kept", "give one")
    return present


def _hidden(_place: _Place, chap: Chap) -> Chap:
    return replace(chap, password=KEPT if chap.password else "", mutual_password=KEPT if chap.mutual_password else "")


def _chaps(configuration: Configuration) -> Iterator[tuple[_Place, Chap]]:
    """Every place for credentials, with what is there."""
    yield ("discovery",), configuration.discovery.chap
    for target in configuration.targets.values():
        for group in target.portal_groups:
            yield _place(target, group), group.chap
            for acl in group.node_acls:
                yield _place(target, group, acl), acl.chap


def _place(target: Target, group: PortalGroup, acl: NodeAcl | None = None) -> _Place:
    return (target.name, f"tpg{group.tag}", *([acl.name] if acl else []))


def _with_chaps(configuration: Configuration, change: _Change) -> Configuration:
    """`configuration` with what `change` makes of the credentials; what has none stays the very same object."""
    discovery = configuration.discovery
    chap = _changed(("discovery",), discovery.chap, change)
    return replace(
        configuration,
        targets={name: _with_target_chaps(target, change) for name, target in configuration.targets.items()},
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
    if not chap.password and not chap.mutual_password:
        return chap
    changed = change(place, chap)
    return chap if changed == chap else changed


def _same(new: tuple[object, ...], old: tuple[object, ...]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))
