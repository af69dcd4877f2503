"""The attributes that `isthmus serve` gives its disks: those of the configuration, but thinly provisioned from the start."""

from collections.abc import Mapping

from isthmus.config.model import Backstore, BackstoreKey
from isthmus.config.settings import BACKSTORE_ATTRIBUTES, Value
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.server.disks import Disk

__all__ = ["apply_attributes", "copies", "served_settings"]


def served_settings(attributes: Mapping[str, Value], unit: LogicalUnit) -> Backstore:
    """A disk of the configuration that is as `serve` has made `unit`, with these attributes."""
    storage = unit.backstore
    usual: dict[str, Value] = {
        "block_size": unit.block_length,
        "device_type": "cd" if unit.device_type.is_drive else "disk",
        "physical_block_exponent": (unit.physical_block_length // unit.block_length).bit_length() - 1,
        "emulate_tpu": 1,
        "emulate_tpws": 1,
        "encrypt": int(storage.capabilities.encrypts),
        "is_nonrot": int(not storage.capabilities.rotational),
        "removable": int(unit.removable),
    }
    return Backstore(
        key=BackstoreKey("fileio" if unit.device_type.is_drive else storage.kind, "served"),
        unit_serial="served",
        read_only=unit.read_only,
        write_back=storage.write_back,
        attributes=usual | dict(attributes),
    )


def copies(attributes: Mapping[str, Value]) -> bool:
    """Whether the disks take part in third-party copies."""
    return bool(attributes.get("emulate_3pc", BACKSTORE_ATTRIBUTES["emulate_3pc"].default))


def apply_attributes(unit: LogicalUnit, attributes: Mapping[str, Value]) -> None:
    """Have a unit that has just been made do what `attributes` say; without any it stays as it is."""
    if not attributes:
        return
    settings = served_settings(attributes, unit)
    Disk(settings, unit, table=unit.table, possible=unit.backstore.capabilities).apply_attributes()
    unit.refresh_grants()
