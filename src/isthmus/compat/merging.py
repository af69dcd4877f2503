"""What a file brings, put beside what runs."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from isthmus.config.model import Account, Backstore, BackstoreKey, Configuration, Target
from isthmus.names import IscsiName

__all__ = ["merge"]


_NAMES: Final = frozenset({"naa_id", "eui64_id"})
"""Attributes by which initiators know a disk: they stay, unless the file has others."""


def merge(running: Configuration, imported: Configuration) -> Configuration:
    """What runs, with the targets and backstores of `imported` in the place of those of their name, or beside them.

    A disk that runs already on the same storage stays under its name and with its serial number, by which initiators know
    it. Another disk that only has the same name makes way for none: the new one gets a name that is free.
    """
    names = _names(running.backstores, imported.backstores)
    stores = {names[key]: _as_running(store, names[key], running) for key, store in imported.backstores.items()}
    return Configuration(
        backstores={**running.backstores, **stores},
        targets={**running.targets, **_renamed(imported.targets, names)},
        discovery=imported.discovery if imported.discovery != Configuration().discovery else running.discovery,
        accounts=_accounts(running.accounts, imported.accounts),
        options={**running.options, **imported.options},
    )


def _accounts(running: tuple[Account, ...], imported: tuple[Account, ...]) -> tuple[Account, ...]:
    """Those of both; the secret of one that is in both is the imported one."""
    accounts = {account.userid: account for account in (*running, *imported)}
    return tuple(accounts.values())


def _names(
    running: Mapping[BackstoreKey, Backstore], imported: Mapping[BackstoreKey, Backstore]
) -> dict[BackstoreKey, BackstoreKey]:
    """Each imported backstore's name among what runs."""
    at_path = {store.path: key for key, store in running.items() if store.path}
    names = {key: at_path[store.path] for key, store in imported.items() if store.path in at_path}
    taken = {*running, *imported, *names.values()}
    for key, store in imported.items():
        if key not in names:
            present = running.get(key)
            names[key] = key if present is None or present.path == store.path else _free(key, taken)
            taken.add(names[key])
    return names


def _free(key: BackstoreKey, taken: set[BackstoreKey]) -> BackstoreKey:
    number = 2
    while (found := BackstoreKey(key.kind, f"{key.name}_{number}")) in taken:
        number += 1
    return found


def _as_running(store: Backstore, key: BackstoreKey, running: Configuration) -> Backstore:
    present = running.backstores.get(key)
    if present is None:
        return dataclasses.replace(store, key=key)
    size = present.size if store.size is None else store.size
    names = {name: value for name, value in present.attributes.items() if name in _NAMES}
    attributes = {**names, **store.attributes}
    return dataclasses.replace(store, key=key, unit_serial=present.unit_serial, size=size, attributes=attributes)


def _renamed(
    targets: Mapping[IscsiName, Target], names: Mapping[BackstoreKey, BackstoreKey]
) -> dict[IscsiName, Target]:
    return {
        name: dataclasses.replace(
            target,
            portal_groups=tuple(
                dataclasses.replace(
                    group,
                    luns=tuple(dataclasses.replace(lun, backstore=names[lun.backstore]) for lun in group.luns),
                )
                for group in target.portal_groups
            ),
        )
        for name, target in targets.items()
    }
