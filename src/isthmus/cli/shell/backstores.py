"""`/backstores`: files, devices and memory."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from configshell_fb import ExecutionError

from isthmus.cli.image_files import allocated
from isthmus.cli.shell.node import Node, SettingsGroup, boolean
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.management.backstore_edits import (
    backstore_of,
    create_backstore,
    delete_backstore,
    set_backstore_attributes,
    set_backstore_medium,
    set_backstore_size,
)
from isthmus.sizes import parse_size

__all__ = ["BackstoresNode", "backstore_for", "with_backstore"]

_FILE_HANDLER = "file"
_NO_OPTIONS: Mapping[str, Value] = MappingProxyType({})
_LOST = ("refuse", "replace", "forget")
_UNITS = ("", "KiB", "MiB", "GiB", "TiB", "PiB")


class BackstoresNode(Node):
    """The kinds of backstore."""

    def __init__(self, parent: Node) -> None:
        super().__init__("backstores", parent)

    def make_children(self) -> Iterator[Callable[[], object]]:
        for kind in (BlockKind, FileKind, PscsiKind, RamdiskKind):
            yield partial(kind, self)
        stores = self.editor.configuration.backstores.values()
        for handler in sorted({_FILE_HANDLER, *(_handler(store) for store in stores if store.key.kind == "user")}):
            yield partial(UserKind, handler, self)
        known = {"block", "fileio", "pscsi", "ramdisk", "user"}
        for other in sorted({store.key.kind for store in stores} - known):
            yield partial(KindNode, self, other)

    def get_child(self, name: str) -> Any:
        """The child of that name; any handler of `user` can be asked for, and says what is to be said of it."""
        try:
            return super().get_child(name)
        except ValueError:
            kind, _, handler = name.partition(":")
            if kind == "user" and handler:
                return UserKind(handler, self)
            raise

    def summary(self) -> tuple[str, bool | None]:
        return "...", None


class KindNode(Node):
    """The backstores of one kind."""

    kind = ""

    def __init__(self, parent: Node, kind: str = "") -> None:
        """`kind`: one that only another package or another program knows."""
        self.kind = kind or self.kind
        super().__init__(self.label, parent)

    @property
    def label(self) -> str:
        """What the node is called."""
        return self.kind

    def has(self, store: Backstore) -> bool:
        """Whether a backstore belongs here."""
        return store.key.kind == self.kind

    def make_children(self) -> Iterator[Callable[[], object]]:
        for key, store in sorted(self.editor.configuration.backstores.items()):
            if self.has(store):
                yield partial(BackstoreNode, key, self)

    def summary(self) -> tuple[str, bool | None]:
        return f"Storage Objects: {len(self._children)}", None

    def add(
        self,
        name: str,
        *,
        path: str,
        size: int | None,
        write_back: bool,
        read_only: bool,
        wwn: str | None,
        options: Mapping[str, Value] = _NO_OPTIONS,
        attributes: Mapping[str, Value] = _NO_OPTIONS,
    ) -> None:
        """Create a backstore of this kind."""
        key = BackstoreKey(self.kind, name)
        backstore = Backstore(
            key=key,
            path=path,
            size=size,
            write_back=write_back,
            read_only=read_only,
            unit_serial=wwn or key.new_serial(),
            options=options,
            attributes=attributes,
        )
        self.edit(create_backstore, backstore)

    def ui_command_delete(self, name: str, save: str | None = None, force: str | None = None) -> None:
        """Deletes the storage object with the specified name.

        If there are LUNs using this storage object, they will be deleted too. What the storage holds stays where it is.
        One that initiators use is refused, unless "force" is true.

        SEE ALSO
        ========
        create
        """
        self.take(force, delete_backstore, BackstoreKey(self.kind, name))
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
        device_type: str | None = None,
    ) -> None:
        """Creates a FileIO storage object.

        If "file_or_dev" is a path to a regular file that is there, its size is used and "size" is ignored. If there is
        nothing at that path, a file of "size" bytes is made, sparse unless "sparse" is false. Sizes may have a suffix:
        k, m, g, t (of 1024).

        "write_back" true (the default) acknowledges writes from the page cache; false makes each durable first.

        "device_type" cd makes a drive, in which the file is a CD or DVD; "insert" and "eject" of the storage object
        change what is in it.

        SEE ALSO
        ========
        delete
        """
        path = Path(file_or_dev).expanduser().absolute()
        if device_type == "cd" and not path.exists():
            raise ExecutionError(f"{path} does not exist")
        attributes: dict[str, Value] = {} if device_type is None else {"device_type": device_type}
        length = self._length(path, None if size is None else parse_size(size))
        cached, takes_room = boolean(self, write_back, True), not boolean(self, sparse, True)
        with allocated(path, length) if takes_room and not path.exists() else contextlib.nullcontext():
            self.add(
                name,
                path=str(path),
                size=length,
                write_back=cached,
                read_only=False,
                wwn=wwn,
                attributes=attributes,
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


class PscsiKind(KindNode):
    """SCSI devices as they are."""

    kind = "pscsi"

    def ui_command_create(self, name: str, dev: str) -> None:
        """Creates a PSCSI storage object: commands of initiators go to a SCSI device of this machine as they are.

        "dev" is a path (/dev/sgN, /dev/sdX, /dev/srN) or HOST:CHANNEL:TARGET:LUN.

        SEE ALSO
        ========
        delete
        """
        path = dev if dev.count(":") == 3 and "/" not in dev else str(Path(dev).expanduser().absolute())
        self.add(name, path=path, size=None, write_back=False, read_only=False, wwn=None)
        self.say(f"Created pscsi storage object {name} using {path}.")


class UserKind(KindNode):
    """What a program of its own would do for LIO, by handler."""

    kind = "user"

    def __init__(self, handler: str, parent: Node) -> None:
        self._handler = handler
        super().__init__(parent)

    @property
    def label(self) -> str:
        return f"user:{self._handler}"

    def has(self, store: Backstore) -> bool:
        return store.key.kind == self.kind and _handler(store) == self._handler

    def ui_command_create(
        self,
        name: str,
        size: str,
        cfgstring: str,
        wwn: str | None = None,
        hw_max_sectors: str | None = None,
        control: str | None = None,
    ) -> None:
        """Creates a storage object of a user handler. "cfgstring" is what the handler wants to know, like a path.

        The handler "file" is served here; of others it is said in which way else their storage can be.

        SEE ALSO
        ========
        delete
        """
        options = {"config": f"{self._handler}/{cfgstring}", "hw_max_sectors": hw_max_sectors, "control": control}
        self.add(
            name,
            path="",
            size=parse_size(size),
            write_back=False,
            read_only=False,
            wwn=wwn,
            options={key: value for key, value in options.items() if value is not None},
        )
        self.say(f"Created {self.label} storage object {name} size {size}.")


def _handler(store: Backstore) -> str:
    return str(store.options.get("config", "")).partition("/")[0] or "?"


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
            lambda: self.backstore.all_attributes,
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
        storage = store.path or str(store.options.get("config", ""))
        return f"{storage}{size}{mode} {cache} {state}".strip(), True

    def ui_getgroup_attribute(self, attribute: str) -> Value:
        """The value of an attribute."""
        return self._attributes.get(attribute)

    def ui_command_info(self) -> None:
        """Displays the storage object's properties."""
        store = self.backstore
        self.shell.con.display(f"name: {store.key.name}")
        self.shell.con.display(f"plugin: {store.key.kind}")
        self.shell.con.display(f"dev: {store.path}")
        self.shell.con.display(f"size: {'as the device' if store.size is None else store.size}")
        self.shell.con.display(f"write_back: {store.write_back}")
        self.shell.con.display(f"wwn: {store.unit_serial}")

    def ui_command_start(self, lost_reservations: str = "refuse") -> None:
        """Starts a storage object that does not run, when what kept it from that is mended.

        Where the record of its persistent reservations is damaged, "lost_reservations" says what becomes of them:
        "refuse" does not start it, with "replace" it serves nobody before an initiator has replaced them, "forget"
        takes them for gone.
        """
        if lost_reservations not in _LOST:
            raise ExecutionError(f"lost_reservations is one of {', '.join(_LOST)}")
        self.editor.daemon.start_backstore(self._key, lost_reservations)
        self.say(f"{self._key.name} runs.")

    def ui_command_insert(self, file: str) -> None:
        """Puts another file into a drive; initiators are told that the medium has changed."""
        path = Path(file).expanduser().absolute()
        self.edit(set_backstore_medium, self._key, str(path))
        self.say(f"{path} is in {self._key.name}.")

    def ui_command_eject(self) -> None:
        """Takes out what is in a drive. Refused while an initiator has locked it in, which is asked to let it go."""
        self.edit(set_backstore_medium, self._key, "")
        self.say(f"{self._key.name} is empty.")

    def ui_command_resize(self, size: str, force: str | None = None) -> None:
        """Changes the size while initiators use it; they are told. A suffix k, m, g or t may follow the number.

        A disk that initiators use shrinks only if "force" is true: what is behind its new end is lost.
        """
        self.take(force, set_backstore_size, self._key, parse_size(size))
        self.say(f"{self._key.name} has {size} now.")


def backstore_for(node: Node, text: str) -> Backstore:
    """The backstore that `text` names: its path in the tree, or a file or device, for which one is made up if need be."""
    if text.strip("/").startswith("backstores/"):
        return backstore_of(node.editor.configuration, BackstoreKey.parse(text))
    path = Path(text).expanduser().absolute()
    if not path.is_block_device() and not path.is_file():
        raise ExecutionError("storage object or path not valid")
    for store in node.editor.configuration.backstores.values():
        if store.path == str(path):
            return store
    kind = "block" if path.is_block_device() else "fileio"
    return Backstore(
        key=BackstoreKey(kind, str(path).strip("/").replace("/", "-")),
        path=str(path),
        size=None if kind == "block" else path.stat().st_size,
        write_back=kind == "fileio",
        unit_serial=str(uuid.uuid4()),
    )


def with_backstore(configuration: Configuration, store: Backstore) -> Configuration:
    """With `store`, unless it is there."""
    return configuration if store.key in configuration.backstores else create_backstore(configuration, store)


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
