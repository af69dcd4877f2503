"""A change of the configuration as it crosses the control socket: only the backstores and targets that differ.

With a thousand targets, sending all of them for each change would cost more than the change.
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from isthmus.config.document import dump, read_parts
from isthmus.config.model import Account, Backstore, BackstoreKey, Configuration, DiscoveryAuthentication, Target
from isthmus.config.settings import Value
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["Patch", "apply_patch", "difference", "dump_patch", "read_patch"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What is there instead of what was there before; None: nothing any more."""

    backstores: Mapping[BackstoreKey, Backstore | None] = field(default_factory=dict)
    targets: Mapping[IscsiName, Target | None] = field(default_factory=dict)
    discovery: DiscoveryAuthentication | None = None
    """None: as before."""
    accounts: tuple[Account, ...] | None = None
    """None: as before."""
    options: Mapping[str, Value] | None = None
    """None: as before."""


def difference(old: Configuration, new: Configuration) -> Patch:
    """What makes `new` of `old`. What both share as the very same object costs nothing to compare."""
    return Patch(
        backstores=_differing(old.backstores, new.backstores),
        targets=_differing(old.targets, new.targets),
        discovery=None if new.discovery == old.discovery else new.discovery,
        accounts=None if new.accounts == old.accounts else new.accounts,
        options=None if new.options == old.options else new.options,
    )


def apply_patch(old: Configuration, patch: Patch) -> Configuration:
    """`old` with the changes; it shares with `old` what stays."""
    return Configuration(
        backstores=_merged(old.backstores, patch.backstores),
        targets=_merged(old.targets, patch.targets),
        discovery=old.discovery if patch.discovery is None else patch.discovery,
        accounts=old.accounts if patch.accounts is None else patch.accounts,
        options=old.options if patch.options is None else patch.options,
    )


def _differing(old: Mapping[K, V], new: Mapping[K, V]) -> dict[K, V | None]:
    changed: dict[K, V | None] = {
        key: value for key, value in new.items() if (known := old.get(key)) is not value and known != value
    }
    changed.update((key, None) for key in old.keys() - new.keys())
    return changed


def _merged(old: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    if not changes:
        return old
    merged = {**old, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def dump_patch(patch: Patch) -> dict[str, Any]:
    """The patch as a JSON object: the sections of a saved form, and what is to go under `removed`."""
    sections: dict[str, Any] = json.loads(
        dump(
            Configuration(
                backstores={key: store for key, store in patch.backstores.items() if store is not None},
                targets={name: target for name, target in patch.targets.items() if target is not None},
                discovery=patch.discovery or DiscoveryAuthentication(),
                accounts=patch.accounts or (),
                options=patch.options or {},
            )
        )
    )
    if patch.discovery is None:
        del sections["fabric_modules"]
    if patch.accounts is not None:
        sections.setdefault("accounts", [])
    if patch.options is not None:
        sections.setdefault("options", {})
    sections["removed"] = {
        "storage_objects": [str(key) for key, store in patch.backstores.items() if store is None],
        "targets": [name for name, target in patch.targets.items() if target is None],
    }
    return sections


def read_patch(document: Mapping[str, Any]) -> Patch:
    """The patch in a JSON object; raises `ConfigurationError` for one that is none."""
    parts, _ = read_parts(document)
    removed = document.get("removed", {})
    if not isinstance(removed, Mapping):
        raise ConfigurationError("'removed' is not an object", "it holds storage_objects and targets")
    gone_stores = [BackstoreKey.parse(path) for path in _texts(removed, "storage_objects")]
    gone_targets = [IscsiName(name) for name in _texts(removed, "targets")]
    return Patch(
        backstores={**dict.fromkeys(gone_stores), **parts.backstores},
        targets={**dict.fromkeys(gone_targets), **parts.targets},
        discovery=parts.discovery if "fabric_modules" in document else None,
        accounts=parts.accounts if "accounts" in document else None,
        options=parts.options if "options" in document else None,
    )


def _texts(removed: Mapping[str, Any], name: str) -> list[str]:
    found = removed.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ConfigurationError(f"'removed': {name!r} is not a list of texts", "name what is to go")
    return found
