"""What tgtadm does to logical units, as functions from one configuration to the next.

A logical unit of tgt is a LUN and a backstore of its own here. A file or device that is a disk already is that same disk at its
second LUN, too: two that did not know of each other would ruin each other's data.
"""

import dataclasses
import re
from pathlib import PurePosixPath
from typing import Final

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.parameters import assignments, named_parameters
from isthmus.compat.tgt.places import Surroundings, group_of, target_by_tid, with_group
from isthmus.compat.tgt.session_keys import numeral
from isthmus.compat.tgt.unit_parameters import attributes_of, tgt_naa
from isthmus.compat.tgt.wire import DeviceType, Request
from isthmus.config.model import Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.config.settings import Value
from isthmus.errors import ConfigurationError

__all__ = [
    "BSOFLAGS",
    "BSTYPE",
    "DISC_STORE",
    "DRIVE_PRODUCT",
    "PATH",
    "STORES",
    "delete_unit",
    "identity_attributes",
    "new_unit",
    "update_unit",
    "without_orphans",
]

BSTYPE: Final = "tgt_bstype"
BSOFLAGS: Final = "tgt_bsoflags"
PATH: Final = "tgt_path"
"""Options of a backstore that tgtadm made: what `show` prints for its type, its flags, and a path that is none."""
STORES: Final = {"sg": (), "null": (), "rdwr": ("sync", "direct"), "aio": (), "mmc": ()}
"""The types that mean something here, with their flags."""
_DEFAULT_STORE: Final = "rdwr"
DISC_STORE: Final = "mmc"
_PASSED_ON: Final = "pscsi"
"""The kind of backstore that is the device itself: it says what it is."""
_NULL_BYTES: Final = 1 << 40
_BLOCK_LENGTHS: Final = (512, 4096)
_DISC_BLOCK_LENGTH: Final = 2048
DRIVE_PRODUCT: Final = "VIRTUAL-CDROM"
_UNFIT: Final = re.compile(r"[^!-.0-~]+")
"""Whatever cannot stand in the name of a backstore."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Wish:
    """The parameters of a new unit."""

    tid: int
    lun: int
    path: str
    store: str
    flags: tuple[str, ...]
    block_length: int
    in_drive: bool = False
    """It is a CD or DVD, or a drive without one."""


def new_unit(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """One more logical unit."""
    target = target_by_tid(configuration, request.tid, around.tids)
    group = group_of(target)
    if request.lun == 0 or request.lun in {lun.number for lun in group.luns}:
        raise Refused(Status.LOGICAL_UNIT_EXISTS)
    wish = _wish(request)
    present = _disk_at(configuration, wish.path) if wish.store != "null" else None
    if present is not None and present.is_drive != wish.in_drive:
        raise Refused(Status.INVALID_REQUEST, f"{wish.path} is that of {present.key}")
    if wish.in_drive:
        present = None  # Drives may have the same disc in them, and are not the same drive.
    store = present or _backstore(configuration, wish, around)
    try:
        luns = (*group.luns, Lun(number=request.lun, backstore=store.key))
    except ConfigurationError as error:
        raise Refused(Status.INVALID_REQUEST, str(error)) from None
    configuration = dataclasses.replace(configuration, backstores={**configuration.backstores, store.key: store})
    return with_group(configuration, target, dataclasses.replace(group, luns=luns))


def _wish(request: Request) -> _Wish:
    """The checks are tgtd's, in its order."""
    found = named_parameters(request.text, "path", "bstype", "bsopts", "bsoflags", "blocksize")
    in_drive = request.device_type == DeviceType.CD
    store = found.get("bstype") or (DISC_STORE if in_drive else _DEFAULT_STORE)
    if store == "bsg":
        store = "sg"
    if store not in STORES:
        raise Refused(Status.INVALID_REQUEST, f"there is no backing store type {store!r} here")
    if (store == "sg") != (request.device_type == DeviceType.PASSTHROUGH):
        raise Refused(Status.INVALID_REQUEST, "passthrough is for the type sg, and the type sg for passthrough")
    flags = tuple(flag for flag in found.get("bsoflags", "").split(":") if flag)
    if not set(flags) <= set(STORES[store]):
        raise Refused(Status.INVALID_REQUEST, f"the backing store type {store} does not have these flags")
    if request.device_type not in {DeviceType.DISK, DeviceType.CD, DeviceType.PASSTHROUGH}:
        raise Refused(Status.INVALID_REQUEST, "every device here is a disk, or a drive for CDs and DVDs")
    if store == DISC_STORE and not in_drive:
        raise Refused(Status.INVALID_REQUEST, f"the type {DISC_STORE} is for discs")
    block_length = _DISC_BLOCK_LENGTH if in_drive else numeral(found.get("blocksize", "512"))
    if block_length not in _BLOCK_LENGTHS and not in_drive:
        raise Refused(Status.INVALID_REQUEST, f"blocks have {' or '.join(map(str, _BLOCK_LENGTHS))} bytes")
    ordered = tuple(flag for flag in STORES["rdwr"] if flag in flags)
    return _Wish(request.tid, request.lun, found.get("path", ""), store, ordered, block_length, in_drive)


def _disk_at(configuration: Configuration, path: str) -> Backstore | None:
    return next((store for store in configuration.backstores.values() if path and store.path == path), None)


def _backstore(configuration: Configuration, wish: _Wish, around: Surroundings) -> Backstore:
    kind, path = _kind(wish, around), wish.path
    key = _free_key(configuration, kind, wish)
    options: dict[str, Value] = {BSTYPE: wish.store}
    if wish.flags:
        options[BSOFLAGS] = ":".join(wish.flags)
    attributes: dict[str, Value] = {}
    if kind != _PASSED_ON:
        names = identity_attributes(wish.tid, wish.lun)
        attributes = {"block_size": wish.block_length, **names}
        if kind != "ramdisk" and around.has_tgts_names(path):
            attributes["naa_id"] = tgt_naa(str(names["t10_id"]))
    if kind == "ramdisk":
        options |= {"nullio": 1, PATH: wish.path}
    if wish.in_drive:
        attributes |= {"device_type": "cd", "product_id": DRIVE_PRODUCT}
    elif not wish.path:
        attributes |= {"removable": 1, "medium_present": 0}
    return Backstore(
        key=key,
        path="" if kind == "ramdisk" else path,
        size=_NULL_BYTES if kind == "ramdisk" else None,
        write_back=kind in {"fileio", "block"} and "sync" not in wish.flags,
        unit_serial=around.new_serial(key),
        attributes=attributes,
        options=options,
    )


def identity_attributes(tid: int, lun: int) -> dict[str, Value]:
    """What a disk of tgt says of itself, but for its NAA designator, which with tgt is the same on every machine."""
    return {
        "vendor_id": "IET",
        "product_id": "VIRTUAL-DISK",
        "revision": "0001",
        "product_serial": f"beaf{tid}{lun}",
        "t10_id": f"IET     {tid:04x}{lun:04x}",
    }


def _kind(wish: _Wish, around: Surroundings) -> str:
    """A unit without a path is a drive without a medium."""
    path = wish.path
    if wish.in_drive and not path:
        return "fileio"
    if wish.store == "null" or not path:
        return "ramdisk"
    found = around.kind_of(path)
    if wish.store == "sg" and found in {"character", "block"}:
        return _PASSED_ON
    if found not in {"file", "block"}:
        raise Refused(Status.INVALID_REQUEST, f"{path} is neither a file nor a block device")
    return "block" if found == "block" else "fileio"


def _free_key(configuration: Configuration, kind: str, wish: _Wish) -> BackstoreKey:
    number = f"tgt-{wish.tid}-{wish.lun}"
    base = _UNFIT.sub("_", PurePosixPath(wish.path).name) if kind != "ramdisk" and wish.path else number
    names = {key.name for key in configuration.backstores}
    taken = [base or number, f"{base}-{number}", *(f"{base}-{number}-{again}" for again in range(len(names)))]
    return BackstoreKey(kind, next(name for name in taken if name not in names))


# -- Change and go -----------------------------------------------------------------------------------------------------


def _unit(configuration: Configuration, request: Request, around: Surroundings) -> tuple[Target, PortalGroup, Lun]:
    target = target_by_tid(configuration, request.tid, around.tids)
    group = group_of(target)
    lun = next((lun for lun in group.luns if lun.number == request.lun), None)
    if lun is None:
        if request.lun == 0:
            raise Refused(Status.INVALID_REQUEST, "LUN 0 is a controller, which has no settings here")
        raise Refused(Status.NO_LOGICAL_UNIT)
    return target, group, lun


def delete_unit(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Without the logical unit, and without its disk if tgtadm made it and nothing else uses it."""
    if request.lun == 0:
        raise Refused(Status.INVALID_REQUEST, "LUN 0 stays")
    try:
        target, group, gone = _unit(configuration, request, around)
    except Refused as error:
        # tgtd looks for both at once.
        raise Refused(Status.NO_LOGICAL_UNIT if error.status == Status.NO_TARGET else error.status) from None
    luns = tuple(lun for lun in group.luns if lun is not gone)
    acls = tuple(
        dataclasses.replace(
            acl, mapped_luns=tuple(mapped for mapped in acl.mapped_luns if mapped.tpg_lun != gone.number)
        )
        for acl in group.node_acls
    )
    left = dataclasses.replace(group, luns=luns, node_acls=acls)
    return without_orphans(with_group(configuration, target, left), target)


def without_orphans(configuration: Configuration, before: Target) -> Configuration:
    """Without the disks of `before` that tgtadm made, and that are at no LUN any more."""
    used = {lun.backstore for _, _, lun in configuration.luns()}
    candidates = {lun.backstore for group in before.portal_groups for lun in group.luns} - used
    stores = {
        key: store
        for key, store in configuration.backstores.items()
        if key not in candidates or BSTYPE not in store.options
    }
    return dataclasses.replace(configuration, backstores=stores)


def update_unit(configuration: Configuration, request: Request, around: Surroundings) -> Configuration:
    """Change settings of a logical unit: all of them, or none."""
    target, group, lun = _unit(configuration, request, around)
    store = configuration.backstores[lun.backstore]
    for name, value in assignments(request.text):
        if name == "path":
            store = _with_path(configuration, store, value, request, around)
        else:
            try:
                store = dataclasses.replace(store, attributes={**store.attributes, **attributes_of(name, value)})
            except ConfigurationError as error:
                raise Refused(Status.INVALID_REQUEST, str(error)) from None
    if store.key == lun.backstore:
        return dataclasses.replace(configuration, backstores={**configuration.backstores, store.key: store})
    stores = {key: known for key, known in configuration.backstores.items() if key != lun.backstore}
    configuration = dataclasses.replace(configuration, backstores={**stores, store.key: store})
    luns = tuple(dataclasses.replace(known, backstore=store.key) if known is lun else known for known in group.luns)
    return with_group(configuration, target, dataclasses.replace(group, luns=luns))


def _with_path(
    configuration: Configuration, store: Backstore, path: str, request: Request, around: Surroundings
) -> Backstore:
    """Another medium. What is in the drive has to be out first."""
    if store.is_drive:
        return _with_medium(configuration, store, path)
    if store.attribute("medium_present"):
        raise Refused(Status.INVALID_REQUEST, "the unit is online")
    if _disk_at(configuration, path) is not None:
        raise Refused(Status.INVALID_REQUEST, f"{path} is another disk's")
    if sum(lun.backstore == store.key for _, _, lun in configuration.luns()) > 1:
        raise Refused(Status.INVALID_REQUEST, "other LUNs have this disk, too")
    block_length = int(store.attribute("block_size"))
    wish = _Wish(request.tid, request.lun, path, str(store.options.get(BSTYPE, _DEFAULT_STORE)), (), block_length)
    fresh = _backstore(configuration, wish, around)
    attributes = {**store.attributes, "medium_present": 1}
    kept = {name: value for name, value in store.options.items() if name in {BSTYPE, BSOFLAGS}}
    options = {**fresh.options, **kept}
    return dataclasses.replace(fresh, unit_serial=store.unit_serial, attributes=attributes, options=options)


def _with_medium(configuration: Configuration, store: Backstore, path: str) -> Backstore:
    """The drive with another disc in it, and closed."""
    if store.attribute("medium_present") and store.path:
        raise Refused(Status.INVALID_REQUEST, "the unit is online")
    present = _disk_at(configuration, path)
    if present is not None and not present.is_drive:
        raise Refused(Status.INVALID_REQUEST, f"{path} is another disk's")
    return dataclasses.replace(store, path=path, attributes={**store.attributes, "medium_present": 1})
