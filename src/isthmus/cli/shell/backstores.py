"""`/backstores`: files, devices and memory."""

import contextlib
import dataclasses
import fcntl
import os
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from configshell_fb import ExecutionError

from isthmus import __version__
from isthmus.cli.image_files import allocated
from isthmus.cli.shell.alua import AluaNode
from isthmus.cli.shell.node import Node, SettingsGroup, boolean, completed, completed_path
from isthmus.cli.shell.saved_files import is_same, own_file, running_with_secrets, with_backstore_of, write
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.management.backstore_edits import (
    backstore_of,
    create_backstore,
    delete_backstore,
    scsi_device_name,
    set_backstore_attributes,
    set_backstore_medium,
    set_backstore_size,
)
from isthmus.sizes import parse_size

__all__ = ["BackstoresNode", "backstore_for", "with_backstore"]

_FILE_HANDLER = "file"
_NO_OPTIONS: Mapping[str, Value] = MappingProxyType({})
_LOST = ("refuse", "replace", "forget")
_UNITS = (" bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_BLKROGET = 0x125E
"""Whether a block device is read-only (linux/fs.h)."""


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
        named = self.preference("export_backstore_name_as_model")
        backstore = Backstore(
            key=key,
            path=path,
            size=size,
            write_back=write_back,
            read_only=read_only,
            unit_serial=wwn or key.new_serial(),
            attributes={**attributes, **({} if named else {"emulate_model_alias": 0})},
            options=options,
        )
        self.edit(create_backstore, backstore)

    def ui_command_delete(self, name: str, save: str | None = None, force: str | None = None) -> None:
        """Deletes the storage object with the specified name.

        If there are LUNs using this storage object, they will be deleted too. What the storage holds stays where it is.
        One that initiators use is refused, unless "force" is true. It is saved at once, "save" or not.

        SEE ALSO
        ========
        create
        """
        boolean(self, save, True)
        self.take(force, delete_backstore, BackstoreKey(self.kind, name))
        self.say(f"Deleted storage object {name}.")

    def ui_complete_delete(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes the names of storage objects."""
        return completed([str(child.name) for child in self.children], text) if current_param == "name" else []


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
    ) -> Node | None:
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
        return self.created(name)

    def ui_complete_create(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes paths."""
        return completed(completed_path(text, devices=True), text) if current_param == "file_or_dev" else []

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
    ) -> Node | None:
        """Creates a block storage object. "dev" is the path to the block device to use.

        A device that is mounted, or that another program has for itself, is refused; so is "exclusive" false. It is
        read-only if "readonly" says so, or, without that, if the device is.

        SEE ALSO
        ========
        delete
        """
        path = Path(dev).expanduser().absolute()
        if not boolean(self, exclusive, True):
            raise ExecutionError("a device is served to nobody else at the same time: exclusive is true")
        wanted = boolean(self, readonly, False)
        if not path.is_block_device():
            raise ExecutionError(f"{path} is not a block device")
        only_read = _is_read_only(path) if readonly is None else wanted
        self.add(name, path=str(path), size=None, write_back=False, read_only=only_read, wwn=wwn)
        self.say(f"Created block storage object {name} using {path}.")
        return self.created(name)

    def ui_complete_create(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes paths."""
        return completed(completed_path(text, devices=True), text) if current_param == "dev" else []


class PscsiKind(KindNode):
    """SCSI devices as they are."""

    kind = "pscsi"

    def ui_command_create(self, name: str, dev: str) -> Node | None:
        """Creates a PSCSI storage object: commands of initiators go to a SCSI device of this machine as they are.

        "dev" is a path (/dev/sgN, /dev/sdX, /dev/srN) or HOST:CHANNEL:TARGET:LUN.

        SEE ALSO
        ========
        delete
        """
        path = scsi_device_name(dev)
        if Path(path).is_block_device():
            self.say("Note: block backstore recommended for SCSI block devices")
        self.add(name, path=path, size=None, write_back=False, read_only=False, wwn=None)
        self.say(f"Created pscsi storage object {name} using {path}.")
        return self.created(name)

    def ui_complete_create(self, parameters: object, text: str, current_param: str) -> list[str]:
        """Completes paths."""
        return completed(completed_path(text, devices=True), text) if current_param == "dev" else []


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
    ) -> Node | None:
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
        return self.created(name)

    def ui_command_changemedium(self, name: str, size: str, cfgstring: str, force: str | None = None) -> None:
        """Puts another medium in: other storage, of another size, under the same name.

        While initiators use it, that is refused, unless "force" is true: then they lose the old one first.
        """
        length, options = parse_size(size), {"config": f"{self._handler}/{cfgstring}"}
        self.take(force, _with_medium, BackstoreKey(self.kind, name), length, options)
        self.say("Medium Changed.")


def _handler(store: Backstore) -> str:
    return str(store.options.get("config", "")).partition("/")[0] or "?"


class RamdiskKind(KindNode):
    """Memory."""

    kind = "ramdisk"

    def ui_command_create(self, name: str, size: str, nullio: str | None = None, wwn: str | None = None) -> Node | None:
        """Creates a ramdisk of "size" bytes; a suffix k, m, g or t may follow. It is empty after each restart.

        With "nullio" true it takes no memory: what is written is gone, and what is read are zeros.

        SEE ALSO
        ========
        delete
        """
        length = parse_size(size)
        options = {"nullio": True} if boolean(self, nullio, False) else {}
        self.add(name, path="", size=length, write_back=False, read_only=False, wwn=wwn, options=options)
        self.say(f"Created ramdisk {name} with size {size}.")
        return self.created(name)


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

    def make_children(self) -> Iterator[Callable[[], object]]:
        yield partial(AluaNode, self._key, self)

    def summary(self) -> tuple[str, bool | None]:
        store, view = self.backstore, self.editor.backstore(self._key)
        length = store.size if view is None or view.problem else view.size
        words = [
            "nullio" if store.options.get("nullio") else "",
            store.path or str(store.options.get("config", "")),
            "" if length is None or store.key.kind == "pscsi" else f"({_readable(length)})",
            "ro" if store.read_only else "",
            _caching(store),
            self._state(),
        ]
        return " ".join(filter(None, words)), view is None or not view.problem

    def _state(self) -> str:
        """As LIO says it: activated is what is a LUN; but what does not run is neither."""
        view = self.editor.backstore(self._key)
        if view is not None and view.problem:
            return f"does not run: {view.problem}"
        used = any(lun.backstore == self._key for _, _, lun in self.editor.configuration.luns())
        return "activated" if used else "deactivated"

    def ui_getgroup_attribute(self, attribute: str) -> Value:
        """The value of an attribute."""
        return self._attributes.get(attribute)

    def ui_command_info(self) -> None:
        """Displays the storage object's properties."""
        store = self.backstore
        self.tell(
            {
                **store.options,
                "name": store.key.name,
                "plugin": store.key.kind,
                **({"dev": store.path} if store.path else {}),
                "size": "as the device" if store.size is None else store.size,
                "write_back": store.write_back,
                "readonly": store.read_only,
                "wwn": store.unit_serial,
                "status": self._state(),
            }
        )

    def ui_command_version(self) -> None:
        """Displays whose storage object this is."""
        self.shell.con.display(f"Backstore plugin {self._key.kind} isthmus {__version__}")

    def ui_command_saveconfig(self, savefile: str | None = None) -> None:
        """Saves this storage object to "savefile", beside what is in that file, with the targets that it is a LUN of.

        Without a file it says where it is saved: each change is, before its command ends.

        SEE ALSO
        ========
        restoreconfig
        """
        own = own_file(self.editor)
        path = own if savefile is None else Path(savefile).expanduser()
        if not is_same(path, own):
            write(path, with_backstore_of(running_with_secrets(self.editor), self._key, path))
        self.say(f"Storage Object '{self._key.kind}:{self._key.name}' config saved to {path}.")

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


def _with_medium(
    configuration: Configuration, key: BackstoreKey, size: int, options: Mapping[str, Value]
) -> Configuration:
    store = backstore_of(configuration, key)
    changed = dataclasses.replace(store, size=size, options={**store.options, **options})
    return dataclasses.replace(configuration, backstores={**configuration.backstores, key: changed})


def _caching(store: Backstore) -> str:
    """What LIO says of the kinds that may cache."""
    if store.key.kind not in {"fileio", "block"} or store.is_drive:
        return ""
    return "write-back" if store.write_back else "write-thru"


def _is_read_only(path: Path) -> bool:
    """Whether a block device is; one that cannot be asked is the daemon's to judge."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        answer = fcntl.ioctl(descriptor, _BLKROGET, bytes(4))
        return bool(struct.unpack("i", answer)[0])
    except OSError:
        return False
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
            return f"{size}{unit}" if unit == _UNITS[0] else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError
