"""What the attributes of a backstore mean to the logical unit over it."""

import dataclasses
from functools import lru_cache
from typing import Final

from isthmus.backstores.base import Backstore as Storage
from isthmus.backstores.base import Capabilities
from isthmus.config.model import Backstore
from isthmus.scsi import online_change
from isthmus.scsi.cdb_options import DPO, FUA, without_options, without_unmap
from isthmus.scsi.command_table import CommandTable
from isthmus.scsi.device_type import CD_DVD, DISK, DeviceType
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.limits import Limits
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.throttle import RateLimits

__all__ = [
    "apply_shape",
    "attribute",
    "block_length_of",
    "capabilities_of",
    "device_type_of",
    "identity_of",
    "limits_of",
    "mode_defaults_of",
    "rate_limits_of",
    "table_of",
]

_PRODUCT_LENGTH: Final = 16
_NAMES: Final = {
    "vendor": "vendor_id",
    "product": "product_id",
    "revision": "revision",
    "product_serial": "product_serial",
    "t10_id": "t10_id",
    "device_name": "scsi_device_name",
    "vendor_text": "inquiry_text",
}
"""The names of a unit, and the attributes that give it others than its own."""
_DESIGNATORS: Final = {"naa": "naa_id", "eui64": "eui64_id"}

_UNMAP: Final = 0x42
_OPCODES: Final = {
    "emulate_tpu": frozenset({_UNMAP}),
    "emulate_caw": frozenset({0x89}),
    "emulate_cdb32": frozenset({0x7F}),
    "emulate_pr": frozenset({0x16, 0x17, 0x56, 0x57, 0x5E, 0x5F}),
}
"""The commands that an attribute gives or takes: UNMAP; COMPARE AND WRITE; those of 32 bytes; RESERVE, RELEASE and
PERSISTENT RESERVE."""
_OPTIONS: Final = (
    "emulate_rsoc",
    "emulate_3pc",
    "emulate_dpo",
    "emulate_fua_read",
    "emulate_fua_write",
    "emulate_tpws",
)
"""The other attributes that change what the commands are."""
_DPO_AND_FUA: Final = frozenset({"emulate_dpo", "emulate_fua_read", "emulate_fua_write"})
_INTERLOCKS: Final = (0, 2, 3)
"""UA_INTLCK_CTRL for the values 0, 1 and 2 of the attribute."""
_SUPPORTED_OPERATION_CODES: Final = (0xA3, 0x0C)


def attribute(settings: Backstore, name: str) -> int:
    """The value of an attribute, or its default."""
    return int(settings.attribute(name))


def block_length_of(settings: Backstore) -> int:
    """Bytes in a logical block."""
    return attribute(settings, "block_size")


def device_type_of(settings: Backstore) -> DeviceType:
    """What kind of device it is."""
    return CD_DVD if settings.is_drive else DISK


def identity_of(settings: Backstore) -> UnitIdentity:
    """The names of the disk: all follow from its serial number, as with LIO, so that it can move between the two."""
    product = device_type_of(settings).product
    if attribute(settings, "emulate_model_alias"):
        product = "".join(char for char in settings.key.name if " " <= char <= "~")[:_PRODUCT_LENGTH] or product
    named = {field: text for field, name in _NAMES.items() if (text := str(settings.attribute(name)))}
    numbers = {field: int(text, 16) for field, name in _DESIGNATORS.items() if (text := str(settings.attribute(name)))}
    identity = UnitIdentity.derived("", serial=settings.unit_serial, product=product)
    tells_naa = bool(attribute(settings, "report_naa_id"))
    return dataclasses.replace(identity, tells_naa=tells_naa, **named, **numbers)  # type: ignore[arg-type]  # texts to texts, numbers to numbers


def apply_shape(settings: Backstore, unit: LogicalUnit) -> None:
    """Let the unit look like the device that the attributes describe."""
    exponent = attribute(settings, "physical_block_exponent")
    physical = unit.block_length << exponent if exponent else unit.backstore.capabilities.physical_block_length
    unit.physical_block_length = max(unit.block_length, physical)
    unit.lowest_aligned_lba = attribute(settings, "lowest_aligned_lba")
    unit.rotation_rate = attribute(settings, "rotation_rate")
    unit.removable = unit.device_type.is_drive or bool(attribute(settings, "removable"))
    online_change.change_write_protection(
        unit,
        read_only=unit.device_type.is_drive or settings.read_only or bool(attribute(settings, "write_protect")),
    )


def rate_limits_of(settings: Backstore) -> RateLimits:
    """How fast the disk may be used."""
    return RateLimits(
        commands_per_second=attribute(settings, "limit_iops"),
        commands_burst=attribute(settings, "limit_iops_burst"),
        bytes_per_second=attribute(settings, "limit_bytes_per_second"),
        bytes_burst=attribute(settings, "limit_bytes_burst"),
    )


def capabilities_of(settings: Backstore, possible: Capabilities) -> Capabilities:
    """What the disk offers of what its storage can: room is given back only if an attribute says so."""
    thin = bool(attribute(settings, "emulate_tpu") or attribute(settings, "emulate_tpws"))
    return dataclasses.replace(
        possible,
        discard=possible.discard and thin,
        reports_zeroes=bool(attribute(settings, "unmap_zeroes_data")),
        rotational=bool(attribute(settings, "rotation_rate")) or not attribute(settings, "is_nonrot"),
    )


def mode_defaults_of(settings: Backstore) -> dict[str, int]:
    """The defaults of fields in mode pages, by the names that SPC-5 §7.5.11 gives them."""
    return {
        "WCE": attribute(settings, "emulate_write_cache"),
        "TAS": attribute(settings, "emulate_tas"),
        "TST": attribute(settings, "task_set_per_nexus"),
        "D_SENSE": attribute(settings, "descriptor_sense"),
        "QUEUE ALGORITHM MODIFIER": 0 if attribute(settings, "emulate_rest_reord") else 1,
        "UA_INTLCK_CTRL": _INTERLOCKS[attribute(settings, "emulate_ua_intlck_ctrl")],
    }


def limits_of(settings: Backstore, storage: Storage) -> Limits:
    """How much one command may ask for: never more than we can do at once."""
    limits = Limits.for_backstore(storage, block_length_of(settings))
    granularity = attribute(settings, "atomic_granularity")

    def at_most(name: str, possible: int) -> int:
        wanted = attribute(settings, name)
        return min(wanted, possible) if wanted else possible

    return dataclasses.replace(
        limits,
        optimal_transfer_blocks=at_most("optimal_sectors", limits.max_transfer_blocks)
        if attribute(settings, "optimal_sectors")
        else limits.optimal_transfer_blocks,
        max_unmap_blocks=at_most("max_unmap_lba_count", limits.max_unmap_blocks),
        max_unmap_descriptors=at_most("max_unmap_block_desc_count", limits.max_unmap_descriptors),
        max_write_same_blocks=at_most("max_write_same_len", limits.max_write_same_blocks),
        unmap_granularity_blocks=attribute(settings, "unmap_granularity") or limits.unmap_granularity_blocks,
        max_atomic_blocks=_whole(at_most("atomic_max_len", limits.max_atomic_blocks), granularity),
        atomic_alignment_blocks=attribute(settings, "atomic_alignment"),
        atomic_granularity_blocks=granularity,
        optimal_granularity_blocks=attribute(settings, "optimal_granularity"),
        write_same_non_zero=not attribute(settings, "write_same_to_end"),
        unmap_alignment_blocks=attribute(settings, "unmap_granularity_alignment"),
    )


def _whole(length: int, granularity: int) -> int:
    """The most that is not above `length` and a multiple of `granularity`, which is the least that there can be."""
    return max(granularity, length - length % granularity) if granularity else length


def table_of(settings: Backstore, table: CommandTable, capabilities: Capabilities) -> CommandTable:
    """Of the commands in `table`, those that the attributes leave the disk."""
    off = frozenset(name for name in (*_OPCODES, *_OPTIONS) if not attribute(settings, name))
    return _reduced(table, off, capabilities.discard)


@lru_cache(maxsize=256)
def _reduced(table: CommandTable, switched_off: frozenset[str], discard: bool) -> CommandTable:
    gone = frozenset(opcode for name in switched_off & _OPCODES.keys() for opcode in _OPCODES[name])
    hidden = _SUPPORTED_OPERATION_CODES if "emulate_rsoc" in switched_off else None
    return CommandTable(
        _with_options(row, switched_off)
        for row in table
        if row.opcode not in gone
        and (row.opcode, row.service_action) != hidden
        and (discard or not row.needs_discard)
        and not (row.needs_copy_manager and "emulate_3pc" in switched_off)
    )


def _with_options(row: CommandDescriptor, switched_off: frozenset[str]) -> CommandDescriptor:
    """`row` with the bits of its CDB that the attributes leave it."""
    # One bit tells of all of it: a unit whose DPOFUA is 0 has neither, in no command (SBC-4 §6.5.1).
    if switched_off & _DPO_AND_FUA:
        row = without_options(row, DPO | FUA)
    return without_unmap(row) if "emulate_tpws" in switched_off else row
