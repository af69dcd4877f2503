"""What the attributes of a backstore mean to the logical unit over it."""

import dataclasses
from functools import lru_cache
from typing import Final

from isthmus.backstores.base import Backstore as Storage
from isthmus.backstores.base import Capabilities
from isthmus.config.model import Backstore
from isthmus.config.settings import BACKSTORE_ATTRIBUTES
from isthmus.scsi.command_table import CommandTable
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.limits import Limits

__all__ = ["block_length_of", "capabilities_of", "identity_of", "limits_of", "mode_defaults_of", "table_of"]

_LIO_NAA: Final = 0x6001405
"""NAA 6h and the IEEE company identifier that LIO signs with: a disk that moves here from LIO stays the same disk."""
_LIO_VENDOR_DIGITS: Final = 25
_PRODUCT_LENGTH: Final = 16

_UNMAP: Final = 0x42
_OPCODES: Final = {
    "emulate_tpu": frozenset({_UNMAP}),
    "emulate_caw": frozenset({0x89}),
    "emulate_pr": frozenset({0x16, 0x17, 0x56, 0x57, 0x5E, 0x5F}),
}
"""The commands that an attribute gives or takes: UNMAP; COMPARE AND WRITE; RESERVE, RELEASE, PERSISTENT RESERVE."""
_INTERLOCKS: Final = (0, 2, 3)
"""UA_INTLCK_CTRL for the values 0, 1 and 2 of the attribute."""
_SUPPORTED_OPERATION_CODES: Final = (0xA3, 0x0C)


def attribute(settings: Backstore, name: str) -> int:
    """The value of an attribute, or its default."""
    return int(settings.attributes.get(name, BACKSTORE_ATTRIBUTES[name].default))


def block_length_of(settings: Backstore) -> int:
    """Bytes in a logical block."""
    return attribute(settings, "block_size")


def identity_of(settings: Backstore) -> UnitIdentity:
    """The names of the disk: all follow from its serial number, as with LIO, so that it can move between the two."""
    serial = settings.unit_serial
    product = "VIRTUAL-DISK"
    if attribute(settings, "emulate_model_alias"):
        product = "".join(char for char in settings.key.name if " " <= char <= "~")[:_PRODUCT_LENGTH] or product
    digits = "".join(char for char in serial if char in "0123456789abcdefABCDEF")[:_LIO_VENDOR_DIGITS]
    if len(digits) < _LIO_VENDOR_DIGITS:
        return UnitIdentity.derived("", serial=serial, product=product)
    return UnitIdentity(serial=serial, naa=_LIO_NAA << 4 * _LIO_VENDOR_DIGITS | int(digits, 16), product=product)


def capabilities_of(settings: Backstore, possible: Capabilities) -> Capabilities:
    """What the disk offers of what its storage can: room is given back only if an attribute says so."""
    thin = bool(attribute(settings, "emulate_tpu") or attribute(settings, "emulate_tpws"))
    return dataclasses.replace(
        possible, discard=possible.discard and thin, rotational=not attribute(settings, "is_nonrot")
    )


def mode_defaults_of(settings: Backstore) -> dict[str, int]:
    """The defaults of fields in mode pages, by the names that SPC-5 §7.5.10 gives them."""
    return {
        "TAS": attribute(settings, "emulate_tas"),
        "QUEUE ALGORITHM MODIFIER": 0 if attribute(settings, "emulate_rest_reord") else 1,
        "UA_INTLCK_CTRL": _INTERLOCKS[attribute(settings, "emulate_ua_intlck_ctrl")],
    }


def limits_of(settings: Backstore, storage: Storage) -> Limits:
    """How much one command may ask for: never more than we can do at once."""
    limits = Limits.for_backstore(storage, block_length_of(settings))

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
    )


def table_of(settings: Backstore, table: CommandTable, capabilities: Capabilities) -> CommandTable:
    """Of the commands in `table`, those that the attributes leave the disk."""
    off = frozenset(name for name in (*_OPCODES, "emulate_rsoc") if not attribute(settings, name))
    return _reduced(table, off, capabilities.discard)


@lru_cache(maxsize=256)
def _reduced(table: CommandTable, switched_off: frozenset[str], discard: bool) -> CommandTable:
    gone = frozenset(opcode for name in switched_off & _OPCODES.keys() for opcode in _OPCODES[name])
    hidden = _SUPPORTED_OPERATION_CODES if "emulate_rsoc" in switched_off else None
    return CommandTable(
        row
        for row in table
        if row.opcode not in gone and (row.opcode, row.service_action) != hidden and (discard or not row.needs_discard)
    )
