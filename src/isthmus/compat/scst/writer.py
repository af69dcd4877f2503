"""`isthmus export scst`: a configuration as scst.conf, and what it would be if that were read back."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from isthmus.compat.importer import Exported, Surroundings
from isthmus.compat.scst.device_sections import DeviceNames, handler_sections
from isthmus.compat.scst.group_sections import device_group_sections
from isthmus.compat.scst.identity import explicit
from isthmus.compat.scst.layout import layout
from isthmus.compat.scst.reader import read
from isthmus.compat.scst.target_sections import driver_section
from isthmus.config.diff import diff
from isthmus.config.model import BackstoreKey, Configuration

__all__ = ["spelled_out", "write"]

_HEAD: Final = (
    "# Written by isthmus export scst. Secrets are not in it: they go where (kept) is, before scstadmin reads it.\n"
)


def write(configuration: Configuration) -> Exported:
    """See `importer.Writer`. Whatever scst.conf cannot say comes out as a difference when the text is read back."""
    names = DeviceNames(configuration.backstores.values())
    text = _HEAD + layout(
        [
            *handler_sections(configuration.backstores.values(), names),
            *driver_section(configuration, names),
            *device_group_sections(configuration, names),
        ]
    )
    return Exported(text, tuple(_differences(text, configuration)))


def _differences(text: str, configuration: Configuration) -> Iterator[str]:
    surroundings = Surroundings(new_serial=_no_serial, running=configuration, list_files=lambda path: [path])
    again = read(text, "scst.conf", surroundings).configuration
    for change in diff(spelled_out(configuration), spelled_out(again)):
        yield f"scst.conf cannot say all of it; read back: {change}"


def spelled_out(configuration: Configuration) -> Configuration:
    """`configuration` with the names of all disks written out, since it is no difference whether they are."""
    stores = {
        key: dataclasses.replace(store, attributes=explicit(store)) for key, store in configuration.backstores.items()
    }
    return dataclasses.replace(configuration, backstores=stores)


def _no_serial(key: BackstoreKey) -> str:
    raise AssertionError(f"the text has the serial number of {key}")
