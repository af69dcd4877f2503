"""Use cases on backstores, as functions from one configuration to the next (LIO's `/backstores`)."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError, some_of
from isthmus.management.lun_edits import without_luns

__all__ = [
    "backstore_of",
    "create_backstore",
    "delete_backstore",
    "scsi_device_name",
    "set_backstore_attributes",
    "set_backstore_medium",
    "set_backstore_size",
]

KINDS: Final = ("fileio", "block", "ramdisk", "pscsi", "user")


def create_backstore(configuration: Configuration, backstore: Backstore) -> Configuration:
    """One more backstore; raises `ConfigurationError` if its name, its storage or its serial number is taken."""
    if backstore.key in configuration.backstores:
        raise ConfigurationError(f"{backstore.key} is there already", "choose another name")
    for other in configuration.backstores.values():
        if other.unit_serial == backstore.unit_serial:
            raise ConfigurationError(f"{other.key} has this serial number", "two disks of one number pass for one disk")
        shared = backstore.is_drive and other.is_drive  # Nobody writes.
        if backstore.path and other.path == backstore.path and not shared:
            raise ConfigurationError(f"{other.key} uses {backstore.path}", "two disks cannot share their storage")
    return _with(configuration, backstore)


def scsi_device_name(text: str) -> str:
    """What a SCSI device is named by: HOST:CHANNEL:TARGET:LUN as it is, and anything else as a path."""
    return text if text.count(":") == 3 and "/" not in text else str(Path(text).expanduser().absolute())


def backstore_of(configuration: Configuration, key: BackstoreKey) -> Backstore:
    """The backstore named `key`; raises `ConfigurationError` with those that there are."""
    try:
        return configuration.backstores[key]
    except KeyError:
        there = some_of(str(known) for known in sorted(configuration.backstores))
        raise NotFoundError(f"there is no {key}", f"there is {there}") from None


def delete_backstore(configuration: Configuration, key: BackstoreKey) -> Configuration:
    """Without the backstore, and without the LUNs that are it (as LIO does)."""
    backstore_of(configuration, key)
    configuration = without_luns(configuration, lambda lun: lun.backstore == key)
    left = {known: store for known, store in configuration.backstores.items() if known != key}
    return dataclasses.replace(configuration, backstores=left)


def set_backstore_attributes(
    configuration: Configuration, key: BackstoreKey, values: Mapping[str, Value]
) -> Configuration:
    """With these attributes; the others stay. Raises `ConfigurationError` for a name or value that cannot be."""
    present = backstore_of(configuration, key)
    attributes = {
        **present.attributes,
        **{name: BACKSTORE_ATTRIBUTES.parse_change(name, value) for name, value in values.items()},
    }
    return _with(configuration, dataclasses.replace(present, attributes=attributes))


def set_backstore_medium(configuration: Configuration, key: BackstoreKey, path: str) -> Configuration:
    """With the file at `path` in the drive; an empty one: with nothing in it."""
    present = backstore_of(configuration, key)
    if not present.is_drive:
        raise ConfigurationError(f"{key} is no drive", "create one with the attribute device_type=cd")
    for other in configuration.backstores.values():
        if path and other.path == path and not other.is_drive:
            raise ConfigurationError(f"{other.key} uses {path}", "a disk and a drive cannot share their storage")
    attributes = {name: value for name, value in present.attributes.items() if name != "medium_present"}
    return _with(configuration, dataclasses.replace(present, path=path, attributes=attributes))


def set_backstore_size(configuration: Configuration, key: BackstoreKey, size: int) -> Configuration:
    """With another size, in bytes: initiators are told."""
    if backstore_of(configuration, key).is_drive:
        raise ConfigurationError(f"{key} is a drive", "what is in it has a size of its own")
    if size <= 0:
        raise ConfigurationError(f"{key} cannot have {size} bytes", "give it at least a block")
    return _with(configuration, dataclasses.replace(backstore_of(configuration, key), size=size))


def _with(configuration: Configuration, backstore: Backstore) -> Configuration:
    return dataclasses.replace(configuration, backstores={**configuration.backstores, backstore.key: backstore})
