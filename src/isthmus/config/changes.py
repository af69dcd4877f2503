"""What can be changed in a configuration, one step each: what `diff` finds and `server.reconcile` does.

Each change knows its effect on the configuration as a value (`apply`), so that a plan can be proved right without a
server, and how it reads in a plan (`str`). A configuration that was valid before a plan is valid after each step of it.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from typing_extensions import override

from isthmus.config.model import (
    Account,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    Settings,
    Target,
)
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Setting, SettingTable, Value
from isthmus.names import IscsiName

__all__ = [
    "BackstoreChange",
    "Change",
    "ChangeMedium",
    "CreateBackstore",
    "CreateTarget",
    "DeleteBackstore",
    "DeleteTarget",
    "KeptChange",
    "ResizeBackstore",
    "SetAccounts",
    "SetAluaGroups",
    "SetBackstoreAttributes",
    "SetDiscoveryAuthentication",
    "SetOptions",
    "accounts_text",
    "chap_text",
    "settings_text",
]

K = TypeVar("K")
V = TypeVar("V")


class Change(ABC):
    """One step."""

    __slots__ = ()

    @abstractmethod
    def apply(self, configuration: Configuration) -> Configuration:
        """What the step makes of `configuration`."""

    @abstractmethod
    def __str__(self) -> str:
        """One line of a plan: + what comes, - what goes, ~ what changes. Secrets are not in it."""


# -- Backstores --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BackstoreChange(Change):
    """Concerns the backstore `key`."""

    key: BackstoreKey

    def edit(self, store: Backstore) -> Backstore:
        """What the step makes of the backstore; those that make one or take it away leave it alone."""
        return store

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        stores = configuration.backstores
        return dataclasses.replace(configuration, backstores={**stores, self.key: self.edit(stores[self.key])})


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateBackstore(BackstoreChange):
    """Open the storage, and make it if it is not there."""

    backstore: Backstore

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        stores = {**configuration.backstores, self.key: self.backstore}
        return dataclasses.replace(configuration, backstores=stores)

    @override
    def __str__(self) -> str:
        size = "" if self.backstore.size is None else f" of {self.backstore.size} bytes"
        return f"+ {self.key}{size}{f' in {self.backstore.path}' if self.backstore.path else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteBackstore(BackstoreChange):
    """Let go of the storage; a file stays. No LUN stands on it any more."""

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        return dataclasses.replace(configuration, backstores=_without(configuration.backstores, self.key))

    @override
    def __str__(self) -> str:
        return f"- {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeBackstore(BackstoreChange):
    """Another size, in bytes; None: whatever the storage has."""

    old_size: int | None
    size: int | None

    @override
    def edit(self, store: Backstore) -> Backstore:
        return dataclasses.replace(store, size=self.size)

    @override
    def __str__(self) -> str:
        return f"~ {self.key} size: {_size(self.old_size)} -> {_size(self.size)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMedium(BackstoreChange):
    """Another file in a drive; no path: none."""

    old: str
    path: str

    @override
    def edit(self, store: Backstore) -> Backstore:
        return dataclasses.replace(store, path=self.path)

    @override
    def __str__(self) -> str:
        return f"~ {self.key} medium: {self.old or 'none'} -> {self.path or 'none'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBackstoreAttributes(BackstoreChange):
    """All the attributes: what is not named has its default."""

    old: Settings
    attributes: Settings

    @override
    def edit(self, store: Backstore) -> Backstore:
        return dataclasses.replace(store, attributes=self.attributes)

    @override
    def __str__(self) -> str:
        return f"~ {self.key} attribute {settings_text(BACKSTORE_ATTRIBUTES, self.old, self.attributes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAluaGroups(BackstoreChange):
    """All the ALUA target port groups."""

    groups: tuple[AluaGroup, ...]

    @override
    def edit(self, store: Backstore) -> Backstore:
        return dataclasses.replace(store, alua_groups=self.groups)

    @override
    def __str__(self) -> str:
        return f"~ {self.key} ALUA groups: {', '.join(group.name for group in self.groups) or 'none of its own'}"


# -- Targets -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTarget(Change):
    """A target with no portal group yet."""

    name: IscsiName

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        targets = {**configuration.targets, self.name: Target(name=self.name)}
        return dataclasses.replace(configuration, targets=targets)

    @override
    def __str__(self) -> str:
        return f"+ /iscsi/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTarget(Change):
    """A target with all in it; its sessions end."""

    name: IscsiName

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        return dataclasses.replace(configuration, targets=_without(configuration.targets, self.name))

    @override
    def __str__(self) -> str:
        return f"- /iscsi/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDiscoveryAuthentication(Change):
    """What discovery sessions have to prove."""

    old: DiscoveryAuthentication
    discovery: DiscoveryAuthentication

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        return dataclasses.replace(configuration, discovery=self.discovery)

    @override
    def __str__(self) -> str:
        state = "on" if self.discovery.enable else "off"
        return f"~ /iscsi discovery authentication {state}: {chap_text(self.old.chap, self.discovery.chap)}"


# -- What only other targets' commands know ----------------------------------------------------------------------------


class KeptChange(Change):
    """Changes what is kept, and nothing that runs."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAccounts(KeptChange):
    """All the accounts that are known by name."""

    old: tuple[Account, ...]
    accounts: tuple[Account, ...]

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        return dataclasses.replace(configuration, accounts=self.accounts)

    @override
    def __str__(self) -> str:
        return f"~ /iscsi accounts: {accounts_text(self.old, self.accounts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOptions(KeptChange):
    """What is kept for other targets' commands: of one target, or (None) of none."""

    target: IscsiName | None
    old: Settings
    options: Settings

    @override
    def apply(self, configuration: Configuration) -> Configuration:
        if self.target is None:
            return dataclasses.replace(configuration, options=self.options)
        target = dataclasses.replace(configuration.targets[self.target], options=self.options)
        return dataclasses.replace(configuration, targets={**configuration.targets, self.target: target})

    @override
    def __str__(self) -> str:
        names = sorted(self.old.keys() | self.options.keys())
        changed = ", ".join(
            f"{name}: {_in_a_line(self.old.get(name, 'unset'))} -> {_in_a_line(self.options.get(name, 'unset'))}"
            for name in names
            if self.old.get(name) != self.options.get(name)
        )
        return f"~ /iscsi{f'/{self.target}' if self.target else ''} option {changed}"


# -- What they share ---------------------------------------------------------------------------------------------------


def _without(mapping: Mapping[K, V], gone: K) -> dict[K, V]:
    return {key: value for key, value in mapping.items() if key != gone}


def _in_a_line(value: Value) -> str:
    """A text of several lines (scst_device_groups), as one."""
    return " ".join(str(value).split()) if "\n" in str(value) else str(value)


def _size(size: int | None) -> str:
    return "as it is" if size is None else f"{size} bytes"


def settings_text(table: SettingTable, old: Settings, new: Settings) -> str:
    """The settings of `table` that differ, each with its old and its new value."""
    differing = [setting for setting in table if _value(setting, old) != _value(setting, new)]
    return ", ".join(f"{each.name}: {_value(each, old)} -> {_value(each, new)}" for each in differing)


def _value(setting: Setting, values: Settings) -> Value:
    return values.get(setting.name, "as follows" if setting.derived else setting.default)


def accounts_text(old: tuple[Account, ...], new: tuple[Account, ...]) -> str:
    """Who comes, who goes, and whose secret is another one."""
    before, after = ({account.userid: account.password for account in accounts} for accounts in (old, new))
    texts = [f"+{name!r}" for name in after if name not in before]
    texts += [f"-{name!r}" for name in before if name not in after]
    texts += [f"{name!r} password changed" for name in after if before.get(name, after[name]) != after[name]]
    return ", ".join(texts) or "in another order"


def chap_text(old: Chap, new: Chap) -> str:
    """What differs; of secrets only that they do."""
    names = [
        f"{what}: {getattr(old, what)!r} -> {getattr(new, what)!r}"
        for what in ("userid", "mutual_userid")
        if getattr(old, what) != getattr(new, what)
    ]
    if old.others != new.others:
        names.append(f"other users: {accounts_text(old.others, new.others)}")
    secrets = [
        f"{what} {'changed' if getattr(new, what) else 'cleared'}"
        for what in ("password", "mutual_password")
        if getattr(old, what) != getattr(new, what)
    ]
    return ", ".join(names + secrets) or "as before"
