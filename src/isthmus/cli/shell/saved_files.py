"""Saved configurations in files of the operator's: what `saveconfig` writes and `restoreconfig` reads.

Secrets do not leave the daemon through its socket. They are in its own file, and who may read that may have them elsewhere.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from configshell_fb import ExecutionError

from isthmus.cli.shell.editing import Editor
from isthmus.config.document import Remark, dump, load
from isthmus.config.model import Backstore, BackstoreKey, Configuration, DiscoveryAuthentication, Target
from isthmus.config.store import FILE_NAME, replace_file
from isthmus.errors import ConfigurationError
from isthmus.management.secrets import resolve_secrets
from isthmus.names import IscsiName

__all__ = ["Part", "is_same", "own_file", "read", "running_with_secrets", "with_backstore_of", "write"]


def own_file(editor: Editor) -> Path:
    """Where the daemon keeps its configuration."""
    return Path(editor.daemon.version().state_directory) / FILE_NAME


def is_same(path: Path, own: Path) -> bool:
    """Whether `path` is the daemon's file, which nobody else writes."""
    with contextlib.suppress(OSError):
        return path.samefile(own)
    return path.absolute() == own.absolute()


def running_with_secrets(editor: Editor) -> Configuration:
    """What runs now, as it would be saved; raises `ExecutionError` if it has secrets that cannot be had."""
    editor.refresh()
    with contextlib.suppress(ConfigurationError):
        return resolve_secrets(editor.configuration, Configuration())
    own = own_file(editor)
    try:
        saved, _ = load(own.read_text())
    except OSError as error:
        raise ExecutionError(f"the secrets are in {own}, which cannot be read: {error.strerror}") from None
    return resolve_secrets(editor.configuration, saved)


def write(path: Path, configuration: Configuration) -> None:
    """Save to `path`, whole or not at all, for its owner only; raises `ExecutionError`."""
    try:
        if path.exists() and not path.is_file():
            raise ExecutionError(f"{path} is not a file")
        replace_file(path, dump(configuration).encode())
    except OSError as error:
        raise ExecutionError(f"{path} cannot be written: {error.strerror}") from None


def read(path: Path) -> tuple[Configuration, list[Remark]]:
    """What is saved in `path`, and what of it is not done as it says.

    Raises `ExecutionError` for a file that cannot be read, and `ConfigurationError` for one that makes no configuration.
    """
    try:
        return load(path.read_text())
    except OSError as error:
        raise ExecutionError(f"Restore file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ExecutionError(f"Restore file {path} is not text") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is to be restored of a saved configuration."""

    whole: Configuration | None = None
    """All of it; None: only these."""
    backstores: Mapping[BackstoreKey, Backstore] = field(default_factory=dict)
    targets: Mapping[IscsiName, Target] = field(default_factory=dict)

    @classmethod
    def named(cls, saved: Configuration, target: str | None, storage_object: str | None) -> Self:
        """The part of `saved` with these names, or all of it if there is none; raises `ConfigurationError`."""
        if target is None and storage_object is None:
            return cls(whole=saved, backstores=saved.backstores, targets=saved.targets)
        stores = {} if storage_object is None else _named(saved, storage_object)
        targets = {}
        if target is not None:
            name = IscsiName(target)
            if name not in saved.targets:
                raise ConfigurationError(f"the file has no target {name}", "see what it has")
            targets[name] = saved.targets[name]
        return cls(backstores=stores, targets=targets)

    def concerns(self, remark: Remark) -> bool:
        """Whether a remark on the file is on this part of it."""
        places = [*map(str, self.backstores), *(f"/iscsi/{name}" for name in self.targets)]
        return self.whole is not None or any(f"{remark.where}/".startswith(f"{place}/") for place in places)

    def restored(self, present: Configuration, *, replaces: bool) -> Configuration:
        """`present` with this part, or, if it `replaces` what there is, with this part in place of that.

        Raises `ConfigurationError` for something that is there already, unless it is replaced.
        """
        if replaces and self.whole is not None:
            return self.whole
        there = [
            *(str(key) for key in self.backstores if key in present.backstores),
            *(str(name) for name in self.targets if name in present.targets),
        ]
        if there and not replaces:
            raise ConfigurationError(f"{there[0]} is there already", "give clear_existing=true to replace it")
        restored = replace(
            present,
            backstores={**present.backstores, **self.backstores},
            targets={**present.targets, **self.targets},
        )
        return restored if self.whole is None else _with_the_rest(restored, self.whole)


def _named(saved: Configuration, name: str) -> dict[BackstoreKey, Backstore]:
    wanted = str(BackstoreKey.parse(name)) if name.startswith("/") else name
    found = {key: store for key, store in saved.backstores.items() if wanted in {key.name, str(key)}}
    if not found:
        raise ConfigurationError(f"the file has no storage object {name}", "see what it has")
    if len(found) > 1:
        raise ConfigurationError(f"the file has {len(found)} storage objects {name}", f"name {next(iter(found))}")
    return found


def _with_the_rest(present: Configuration, saved: Configuration) -> Configuration:
    """With what is neither a backstore nor a target, as far as nothing is there."""
    known = {account.userid for account in present.accounts}
    return replace(
        present,
        discovery=present.discovery if present.discovery != DiscoveryAuthentication() else saved.discovery,
        accounts=(*present.accounts, *(account for account in saved.accounts if account.userid not in known)),
        options={**saved.options, **present.options},
    )


def with_backstore_of(running: Configuration, key: BackstoreKey, path: Path) -> Configuration:
    """What `path` has saved, if it is there, with one backstore as it is in `running`, and its targets.

    Those targets come with all that they need, so that the file can be restored. Raises what `read` raises, and
    `ExecutionError` for a file that would lose something.
    """
    saved, remarks = read(path) if path.exists() else (Configuration(), [])
    if remarks:
        raise ExecutionError(f"{path} would lose something: {remarks[0]}")
    targets = {target.name: target for target, _, lun in running.luns() if lun.backstore == key}
    needed = {lun.backstore for target in targets.values() for group in target.portal_groups for lun in group.luns}
    stores = {known: running.backstores[known] for known in {key, *needed}}
    return replace(saved, backstores={**saved.backstores, **stores}, targets={**saved.targets, **targets})
