"""Backstores as SCST's `HANDLER` sections."""

from collections.abc import Iterable
from typing import Final

from isthmus.compat.scst.alua import BOTH
from isthmus.compat.scst.devices import DRIVE
from isthmus.compat.scst.grammar import is_writable
from isthmus.compat.scst.identity import given_by, serial_of
from isthmus.compat.scst.layout import Block
from isthmus.compat.scst.pass_through import ADDRESS, KIND
from isthmus.config.model import Backstore, BackstoreKey

__all__ = ["DeviceNames", "handler_sections"]

_HANDLERS: Final = {"fileio": "vdisk_fileio", "block": "vdisk_blockio", "null": "vdisk_nullio", KIND: "dev_disk"}


class DeviceNames:
    """The names of SCST's devices, which are unique over all kinds; what SCST cannot have has none."""

    def __init__(self, stores: Iterable[Backstore]) -> None:
        """Of two that have one name the second gets a number."""
        self._names: dict[BackstoreKey, str] = {}
        for store in sorted(stores, key=lambda store: store.key):
            if store.key.kind == KIND and ADDRESS.fullmatch(store.path):
                self._names[store.key] = store.path
            elif store.key.kind != KIND and store.key.kind in _HANDLERS and is_writable(store.path, store.unit_serial):
                self._names[store.key] = self._free(store.key.name)

    def of(self, key: BackstoreKey) -> str | None:
        """The name of a device; None: there is none."""
        return self._names.get(key)

    def __contains__(self, name: str) -> bool:
        """Whether a device has that name."""
        return name in self._names.values()

    def _free(self, name: str) -> str:
        count, found = 1, name
        while found in self._names.values():
            count += 1
            found = f"{name}_{count}"
        return found


def handler_sections(stores: Iterable[Backstore], names: DeviceNames) -> list[Block]:
    """One section for each handler that has devices."""
    sections = {handler: Block(("HANDLER", handler)) for handler in (_HANDLERS[KIND], *_HANDLERS.values(), DRIVE)}
    for store in sorted(stores, key=lambda store: store.key):
        name = names.of(store.key)
        if name is None:
            continue
        device = sections[DRIVE if store.is_drive else _HANDLERS[store.key.kind]].add("DEVICE", name)
        if store.is_drive:
            _fill_drive(device, store, name)
        elif store.key.kind != KIND:
            _fill(device, store, name)
    return [section for section in sections.values() if section.inner]


def _fill_drive(device: Block, store: Backstore, name: str) -> None:
    """A drive has names, and what is in it."""
    if store.path:
        device.add("filename", store.path)
    _fill_names(device, store, name)
    if not store.attributes.get("task_set_per_nexus"):
        device.add("tst", 0)


def _fill_names(device: Block, store: Backstore, name: str) -> None:
    if store.unit_serial != serial_of(name, 0):
        device.add("usn", store.unit_serial)
    for attribute, text in given_by(store, name):
        device.add(attribute, text)


def _fill(device: Block, store: Backstore, name: str) -> None:
    block_length = int(store.attributes.get("block_size", 512))
    if store.key.kind == "null":
        device.add("size", store.size or 0)
    else:
        device.add("filename", store.path)
    _fill_names(device, store, name)
    if block_length != 512:
        device.add("blocksize", block_length)
    for attribute, wanted in (
        ("read_only", store.read_only),
        ("write_through", not store.write_back),
        ("removable", store.attributes.get("removable")),
        ("thin_provisioned", store.attributes.get("emulate_tpu") and store.attributes.get("emulate_tpws")),
        ("expl_alua", any(group.parameters.get("alua_access_type", BOTH) == BOTH for group in store.alua_groups)),
    ):
        if wanted:
            device.add(attribute, 1)
    if not store.attributes.get("task_set_per_nexus"):
        device.add("tst", 0)
    for attribute, setting in (("scsi_device_name", "scsi_device_name"), ("inq_vend_specific", "inquiry_text")):
        if text := str(store.attributes.get(setting, "")):
            device.add(attribute, text)
    if store.attributes.get("is_nonrot", 1):
        device.add("rotational", 0)
    if optimal := int(store.attributes.get("optimal_sectors", 0)):
        device.add("opt_trans_len", optimal * block_length)
