"""`/backstores`: files, devices and memory."""

import os
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from configshell_fb import ExecutionError

from isthmus.cli.shell.node import Node, SettingsGroup, boolean
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.management.backstore_edits import (
    backstore_of,
    create_backstore,
    delete_backstore,
    set_backstore_attributes,
    set_backstore_size,
)
from isthmus.sizes import parse_size

__all__ = ["BackstoresNode", "create_for_path"]

_UNITS = ("", "KiB", "MiB", "GiB", "TiB", "PiB")


class BackstoresNode(Node):
    """The kinds of backstore."""

    def __init__(self, parent: Node) -> None:
        super().__init__("backstores", parent)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for kind in (BlockKind, FileKind, RamdiskKind):
            yield partial(kind, self)

    def summary(self) -> tuple[str, bool | None]:
        return "...", None


class KindNode(Node):
    """The backstores of one kind."""

    kind: ClassVar[str]

    def __init__(self, parent: Node) -> None:
        super().__init__(self.kind, parent)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for key in sorted(self.editor.configuration.backstores):
            if key.kind == self.kind:
                yield partial(BackstoreNode, key, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"Storage Objects: {len(self._children)}", None

    def add(
        self, name: str, *, path: str, size: int | None, write_back: bool, read_only: bool, wwn: str | None
    ) -> None:
        """Create a backstore of this kind."""
        backstore = Backstore(
            key=BackstoreKey(self.kind, name),
            path=path,
            size=size,
            write_back=write_back,
            read_only=read_only,
            unit_serial=wwn or str(uuid.uuid4()),
        )
        self.edit(create_backstore, backstore)

    def ui_command_delete(self, name: str, save: str | None = None) -> None:
        """Deletes the storage object with the specified name.

        If there are LUNs using this storage object, they will be deleted too. What the storage holds stays where it is.

        SEE ALSO
        ========
        create
        """
        self.edit(delete_backstore, BackstoreKey(self.kind, name))
        self.say(f"Deleted storage object {name}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of storage objects."""
        names = [str(child.name) for child in self.children if child.name.startswith(text)]
        return [f"{names[0]} "] if len(names) == 1 and current_param == "name" else names


class FileKind(KindNode):
    """Files."""

    kind = "fileio"

    def ui_command_create(
        self,
        name: str,
        file_or_dev: str,
        size: str | None = None,
        write_back: str | None = None,
        sparse: str | None = None,
        wwn: str | None = None,
    ) -> None:
        """Creates a FileIO storage object.

        If "file_or_dev" is a path to a regular file that is there, its size is used and "size" is ignored. If there is
        nothing at that path, a file of "size" bytes is made, sparse unless "sparse" is false. Sizes may have a suffix:
        k, m, g, t (of 1024).

        "write_back" true (the default) acknowledges writes from the page cache; false makes each durable first.

        SEE ALSO
        ========
        delete
        """
        path = Path(file_or_dev).expanduser().absolute()
        length = self._length(path, None if size is None else parse_size(size))
        if not path.exists() and not boolean(self, sparse, True):
            _preallocate(path, length)
        self.add(
            name, path=str(path), size=length, write_back=boolean(self, write_back, True), read_only=False, wwn=wwn
        )
        self.say(f"Created fileio {name} with size {length}")

    def _length(self, path: Path, size: int | None) -> int:
        if path.is_block_device():
            if size is not None:
                self.say("Block device, size parameter ignored")
            self.say("Note: block backstore preferred for best results")
            return _device_length(path)
        if path.is_file():
            present = path.stat().st_size
            if size is not None and size != present:
                self.say(f"{path} exists, using its size ({present} bytes) instead")
            return present
        if path.exists():
            raise ExecutionError(f"Path {path} exists but is not a file")
        if size is None:
            raise ExecutionError("Attempting to create file for new fileio backstore, need a size")
        return size


class BlockKind(KindNode):
    """Block devices, past the page cache."""

    kind = "block"

    def ui_command_create(
        self, name: str, dev: str, readonly: str | None = None, wwn: str | None = None, exclusive: str | None = None
    ) -> None:
        """Creates a block storage object. "dev" is the path to the block device to use.

        A device that is mounted, or that another program has for itself, is refused.

        SEE ALSO
        ========
        delete
        """
        path = Path(dev).expanduser().absolute()
        if not path.is_block_device():
            raise ExecutionError(f"{path} is not a block device")
        self.add(name, path=str(path), size=None, write_back=False, read_only=boolean(self, readonly, False), wwn=wwn)
        self.say(f"Created block storage object {name} using {path}.")


class RamdiskKind(KindNode):
    """Memory."""

    kind = "ramdisk"

    def ui_command_create(self, name: str, size: str, nullio: str | None = None, wwn: str | None = None) -> None:
        """Creates a ramdisk of "size" bytes; a suffix k, m, g or t may follow. It is empty after each restart.

        SEE ALSO
        ========
        delete
        """
        if boolean(self, nullio, False):
            raise ExecutionError("nullio is for the backstore kind null, which is served by `isthmus serve` only")
        length = parse_size(size)
        self.add(name, path="", size=length, write_back=False, read_only=False, wwn=wwn)
        self.say(f"Created ramdisk {name} with size {size}.")


class BackstoreNode(Node):
    """One backstore."""

    def __init__(self, key: BackstoreKey, parent: Node) -> None:
        self._key = key
        super().__init__(key.name, parent)
        self._attributes = SettingsGroup(
            self,
            "attribute",
            BACKSTORE_ATTRIBUTES,
            lambda: self.backstore.attributes,
            lambda values: self.edit(set_backstore_attributes, key, values),
        )

    @property
    def backstore(self) -> Backstore:
        """Its configuration."""
        return backstore_of(self.editor.configuration, self._key)

    def summary(self) -> tuple[str, bool | None]:
        store = self.backstore
        size = "" if store.size is None else f" ({_readable(store.size)})"
        mode = " ro" if store.read_only else ""
        cache = "write-back" if store.write_back else "write-thru"
        used = any(lun.backstore == self._key for _, _, lun in self.editor.configuration.luns())
        state = "activated" if used else "deactivated"
        return f"{store.path}{size}{mode} {cache} {state}".strip(), True

    def ui_getgroup_attribute(self, attribute: str) -> Value:
        """The value of an attribute."""
        return self._attributes.get(attribute)

    def ui_setgroup_attribute(self, attribute: str, value: Value) -> None:
        """Change an attribute."""
        self._attributes.set(attribute, value)

    def ui_command_info(self) -> None:
        """Displays the storage object's properties."""
        store = self.backstore
        self.shell.con.display(f"name: {store.key.name}")
        self.shell.con.display(f"plugin: {store.key.kind}")
        self.shell.con.display(f"dev: {store.path}")
        self.shell.con.display(f"size: {'as the device' if store.size is None else store.size}")
        self.shell.con.display(f"write_back: {store.write_back}")
        self.shell.con.display(f"wwn: {store.unit_serial}")

    def ui_command_resize(self, size: str) -> None:
        """Changes the size while initiators use it; they are told. A suffix k, m, g or t may follow the number."""
        self.edit(set_backstore_size, self._key, parse_size(size))
        self.say(f"{self._key.name} has {size} now.")


def create_for_path(node: Node, text: str) -> BackstoreKey:
    """The backstore that `text` names: its path in the tree, or a file or device, which becomes one first."""
    if text.strip("/").startswith("backstores/"):
        return BackstoreKey.parse(text)
    path = Path(text).expanduser().absolute()
    if not path.is_block_device() and not path.is_file():
        raise ExecutionError("storage object or path not valid")
    kind = "block" if path.is_block_device() else "fileio"
    for key, store in node.editor.configuration.backstores.items():
        if store.path == str(path):
            return key
    key = BackstoreKey(kind, str(path).strip("/").replace("/", "-"))
    length = None if kind == "block" else path.stat().st_size
    backstore = Backstore(
        key=key, path=str(path), size=length, write_back=kind == "fileio", unit_serial=str(uuid.uuid4())
    )
    node.edit(create_backstore, backstore)
    node.say(f"Created storage object {key.name}.")
    return key


def _preallocate(path: Path, length: int) -> None:
    """Make a file with all its room taken; nothing is left behind if there is not that much."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, length)
    except OSError as error:
        path.unlink()
        raise ExecutionError(f"{path} cannot be made: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _device_length(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def _readable(size: int) -> str:
    value = float(size)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.1f}{unit}" if unit else f"{size}bytes"
        value /= 1024
    raise AssertionError
