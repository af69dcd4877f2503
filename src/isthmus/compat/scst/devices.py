"""SCST's devices (`HANDLER … { DEVICE … }`) as backstores."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from isthmus.compat.importer import Surroundings
from isthmus.compat.scst.grammar import Statement
from isthmus.compat.scst.identity import EUI64_DIGITS, attributes_of, serial_of
from isthmus.compat.scst.pass_through import LEFT_OUT, PASS_THROUGH, read_pass_through
from isthmus.compat.scst.report import Report, Row, apply, attributes, flag, number
from isthmus.config.declaration.errors import Position
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.errors import ConfigurationError

__all__ = ["DRIVE", "NULLIO_SIZE", "Device", "Devices", "read_devices"]

NULLIO_SIZE: Final = 5 * 1024**4 // 2
"""Bytes of a vdisk_nullio that has no size."""
DRIVE: Final = "vcdrom"
"""The handler of CDs."""
_KINDS: Final = {"vdisk_fileio": "fileio", "vdisk_blockio": "block", "vdisk_nullio": "null", DRIVE: "fileio"}


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is served."""

    store: Backstore
    position: Position
    explicit_alua: bool = False


@dataclass(slots=True)
class Devices:
    """All devices of a file."""

    served: dict[str, Device] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    """Those that are there, and cannot be."""

    def __contains__(self, name: str) -> bool:
        return name in self.served or name in self.left_out


@dataclass(slots=True)
class _Draft:
    """A device while its attributes are read."""

    path: str = ""
    size: int | None = None
    serial: str = ""
    read_only: bool = False
    write_back: bool = True
    block_length: int = 512
    transfer_length: int = 0
    explicit_alua: bool = False
    rotational: bool = True
    task_sets: bool = True
    """TST: each initiator has a task set of its own, unless the file says otherwise."""
    names: dict[str, str] = field(default_factory=dict)
    """Those of `identity.GIVEN`."""
    attributes: dict[str, Value] = field(default_factory=dict)
    is_drive: bool = False
    """It is a drive for CDs, which may be empty."""
    left_out: str = ""
    """Why it cannot be served."""


def read_devices(handlers: Iterable[Statement], setup_id: int, surroundings: Surroundings, report: Report) -> Devices:
    """The devices of all `HANDLER` sections."""
    devices, serials = Devices(), set[str]()
    for handler in handlers:
        kind = report.operand(handler, 1, "which handler").text
        report.no_more(handler, 2)
        for found in attributes(handler, frozenset({"DEVICE"}), report):
            apply(found, _HANDLER_ROWS, None, f"HANDLER {kind}", report)
        for statement in handler.find("DEVICE"):
            name = report.operand(statement, 1, "which device")
            report.no_more(statement, 2)
            if name.text in devices:
                raise report.error(name.position, f"the device {name.text!r} is there twice", "give each its own name")
            device = _read_device(statement, kind, setup_id, surroundings, report)
            if device is None:
                devices.left_out.add(name.text)
            else:
                if device.store.unit_serial in serials:
                    raise report.error(name.position, f"DEVICE {name} has the usn of another", "each has its own")
                serials.add(device.store.unit_serial)
                devices.served[name.text] = device
    return devices


def _read_device(
    statement: Statement, handler: str, setup_id: int, surroundings: Surroundings, report: Report
) -> Device | None:
    name = statement.words[1].text
    owner = f"DEVICE {name}"
    draft = _Draft(is_drive=handler == DRIVE)
    if handler in PASS_THROUGH:
        store = read_pass_through(statement, surroundings, report)
        return None if store is None else Device(store, statement.position)
    if handler not in _KINDS:
        report.say(
            statement.position,
            f"{owner} of the handler {handler}",
            f"{_OTHER_HANDLERS.get(handler, _NO_SUCH)}; {LEFT_OUT}",
        )
        return None
    for found in attributes(statement, frozenset(), report):
        apply(found, _ROWS, draft, owner, report)
        if found.name in {"size", "size_mb"} and _KINDS[handler] != "null":
            report.say(found.position, f"{found.name} {found.value} of {owner}", "the file or device has its own size")
        if draft.left_out:
            report.say(found.position, f"{found.name} {found.value} of {owner}", f"{draft.left_out}; {LEFT_OUT}")
            return None
    kind = _KINDS[handler]
    if kind == "null":
        draft.path = draft.path or name
        draft.size = NULLIO_SIZE if draft.size is None else draft.size
    elif not PurePosixPath(draft.path).is_absolute() and not (draft.is_drive and not draft.path):
        raise report.error(statement.position, f"{owner} has no filename that is an absolute path")
    return _device(statement, kind, draft, setup_id, report)


def _device(statement: Statement, kind: str, draft: _Draft, setup_id: int, report: Report) -> Device:
    name = statement.words[1]
    values: dict[str, Value] = {
        "is_nonrot": int(not draft.rotational),
        **({"device_type": "cd"} if draft.is_drive else {"block_size": draft.block_length}),
        "task_set_per_nexus": int(draft.task_sets),
        **attributes_of(kind, name.text, setup_id, draft.names),
        **draft.attributes,
    }
    if draft.transfer_length:
        values["optimal_sectors"] = draft.transfer_length // draft.block_length
    with report.at(name.position):
        store = Backstore(
            key=BackstoreKey(kind, name.text),
            path=draft.path,
            size=draft.size if kind == "null" else None,
            write_back=draft.write_back,
            read_only=draft.read_only,
            unit_serial=draft.serial or serial_of(name.text, setup_id),
            attributes=values,
        )
    return Device(store, statement.position, draft.explicit_alua)


# -- Attributes --------------------------------------------------------------------------------------------------------


def _block_length(draft: _Draft, value: str) -> None:
    draft.block_length = number(value)
    if draft.block_length not in (512, 4096) and not draft.is_drive:
        draft.left_out = "blocks have 512 or 4096 bytes here"


def _path(draft: _Draft, value: str) -> None:
    draft.path = value


def _size(draft: _Draft, value: str) -> None:
    draft.size = number(value)


def _size_mb(draft: _Draft, value: str) -> None:
    draft.size = number(value) << 20


def _serial(draft: _Draft, value: str) -> None:
    draft.serial = value


def _read_only(draft: _Draft, value: str) -> None:
    draft.read_only = flag(value)


def _write_through(draft: _Draft, value: str) -> None:
    draft.write_back = not flag(value)


def _rotational(draft: _Draft, value: str) -> None:
    draft.rotational = flag(value)


def _thin(draft: _Draft, value: str) -> None:
    draft.attributes |= dict.fromkeys(("emulate_tpu", "emulate_tpws"), int(flag(value)))


def _transfer_length(draft: _Draft, value: str) -> None:
    draft.transfer_length = number(value)
    BACKSTORE_ATTRIBUTES.parse("optimal_sectors", draft.transfer_length // 512)


def _explicit_alua(draft: _Draft, value: str) -> None:
    draft.explicit_alua = flag(value)


def _name(attribute: str, name: str) -> Callable[[_Draft, str], None]:
    """Keeps a name, if the attribute that it becomes can hold it."""

    def take(draft: _Draft, value: str) -> None:
        BACKSTORE_ATTRIBUTES.parse(attribute, value)
        if value:
            draft.names[name] = value

    return take


def _eui64(draft: _Draft, value: str) -> None:
    digits = value.lower().removeprefix("0x")
    if len(digits) > EUI64_DIGITS:
        raise ConfigurationError("an EUI-64 name has 8 bytes here")
    _name("eui64_id", "eui64_id")(draft, value)


def _removable(draft: _Draft, value: str) -> None:
    draft.attributes["removable"] = int(flag(value))


def _active(draft: _Draft, value: str) -> None:
    if not flag(value):
        draft.left_out = "a disk is always open here, and this one is not to be"


def _dummy(draft: _Draft, value: str) -> None:
    if flag(value):
        draft.left_out = "a LUN without a disk needs no placeholder here"


def _task_sets(draft: _Draft, value: str) -> None:
    draft.task_sets = flag(value)


def _text(attribute: str) -> Callable[[_Draft, str], None]:
    def take(draft: _Draft, value: str) -> None:
        draft.attributes[attribute] = BACKSTORE_ATTRIBUTES.parse(attribute, value)

    return take


_QUIET: Final[Row[_Draft]] = Row()
_NO_SUCH: Final = "there is no such handler here"
_NO_PROTECTION: Final = "there is no protection information (T10-PI) over iSCSI"
_OTHER_HANDLERS: Final[Mapping[str, str]] = {
    "dev_disk_perf": "there are no disks that do not read and write",
}
_HANDLER_ROWS: Final[Mapping[str, Row[None]]] = {name: Row() for name in ("trace_level", "type", "numa_node_id")}
_ROWS: Final[Mapping[str, Row[_Draft]]] = {
    "filename": Row(take=_path),
    "blocksize": Row(take=_block_length),
    "size": Row(take=_size),
    "size_mb": Row(take=_size_mb),
    "usn": Row(take=_serial),
    "read_only": Row(take=_read_only),
    "write_through": Row(take=_write_through),
    "rotational": Row(take=_rotational),
    "thin_provisioned": Row(take=_thin),
    "opt_trans_len": Row(take=_transfer_length),
    "expl_alua": Row(take=_explicit_alua),
    "active": Row(take=_active),
    "dummy": Row(take=_dummy),
    "nv_cache": Row(instead="what initiators ask to be flushed is flushed all the same"),
    "removable": Row(take=_removable),
    "o_direct": Row(instead="fileio goes through the page cache; vdisk_blockio does not"),
    "tst": Row(take=_task_sets),
    "cluster_mode": Row(instead="other machines do not hear of its reservations"),
    "bind_alua_state": Row(instead="it stays open in every ALUA state"),
    "pr_file_name": Row(instead="reservations are kept in the state directory of the daemon"),
    "t10_vend_id": Row(take=_name("vendor_id", "t10_vend_id")),
    "prod_id": Row(take=_name("product_id", "prod_id")),
    "prod_rev_lvl": Row(take=_name("revision", "prod_rev_lvl")),
    "t10_dev_id": Row(take=_name("t10_id", "t10_dev_id")),
    "vend_specific_id": Row(take=_name("t10_id", "vend_specific_id")),
    "naa_id": Row(take=_name("naa_id", "naa_id")),
    "eui64_id": Row(take=_eui64),
    "scsi_device_name": Row(take=_text("scsi_device_name")),
    "inq_vend_specific": Row(take=_text("inquiry_text")),
    "lb_per_pb_exp": Row(instead="the physical blocks of the storage are told", harmless=frozenset({"1"})),
    "max_tgt_dev_commands": Row(instead="QueuedCommands of the target is what limits an initiator"),
    "dif_mode": Row(instead=_NO_PROTECTION),
    "dif_type": Row(instead=_NO_PROTECTION),
    "dif_static_app_tag": Row(instead=_NO_PROTECTION),
    "dif_filename": Row(instead=_NO_PROTECTION),
    # How SCST does its work; initiators see nothing of it.
    **dict.fromkeys(
        (
            "async",
            "block",
            "gen_tp_soft_threshold_reached_UA",
            "numa_node_id",
            "read_zero",
            "resync_size",
            "sync",
            "threads_num",
            "threads_pool_type",
            "type",
        ),
        _QUIET,
    ),
}
