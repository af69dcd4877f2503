"""How `isthmus initiator` prints what it found: lines for people, and JSON that says the same."""

import dataclasses
import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from isthmus.initiator.benchmark import Measurement, Workload
from isthmus.initiator.discovery import DiscoveredTarget
from isthmus.initiator.inquiry import VPD_PAGES, Designator, DesignatorType, PeripheralDeviceType
from isthmus.sizes import format_size

__all__ = [
    "UnitListing",
    "device_type_name",
    "inquiry_lines",
    "measurement_line",
    "plain",
    "print_json",
    "target_lines",
    "unit_line",
]

_ASSOCIATIONS = ("unit", "port", "device")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UnitListing:
    """One logical unit as `ls` shows it; what could not be found out is None."""

    lun: int
    url: str
    device_type: str
    vendor: str
    product: str
    size: int | None
    block_length: int | None


def plain(value: Any) -> Any:
    """`value` as JSON has it: data classes as objects, bytes as hex, designators with their names."""
    if isinstance(value, Designator):
        return _plain_designator(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def _plain_designator(designator: Designator) -> dict[str, str]:
    association, kind = designator.association, designator.designator_type
    return {
        "association": _ASSOCIATIONS[association] if association < len(_ASSOCIATIONS) else str(association),
        "type": _enum_name(DesignatorType, kind),
        "designator": designator.text,
    }


def _enum_name(kind: type[enum.IntEnum], value: int) -> str:
    try:
        return kind(value).name.lower().replace("_", " ")
    except ValueError:
        return f"{value:02X}h"


def device_type_name(peripheral_device_type: int) -> str:
    """The device type as people call it."""
    if peripheral_device_type == PeripheralDeviceType.DIRECT_ACCESS_BLOCK:
        return "disk"
    return _enum_name(PeripheralDeviceType, peripheral_device_type)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(plain(value), indent=2))


def target_lines(target: DiscoveredTarget, asked: str) -> Iterator[str]:
    """`PORTAL,TAG NAME`, as iscsiadm prints it; a target without addresses is where it was `asked` for."""
    for address in target.addresses or (asked,):
        yield f"{address} {target.name}"


def unit_line(unit: UnitListing) -> str:
    """One line of `ls`."""
    size = "-" if unit.size is None else format_size(unit.size)
    return f"{unit.url}  {size}  {unit.device_type}  {unit.vendor} {unit.product}"


def inquiry_lines(title: str, value: Any) -> Iterator[str]:
    """A title, then a line for each field."""
    yield title
    for name, item in plain(value).items():
        yield from _field_lines(name.replace("_", " "), item)


def _field_lines(name: str, item: Any) -> Iterator[str]:
    if isinstance(item, list) and item and isinstance(item[0], dict):
        for entry in item:
            yield "  " + "  ".join(str(part) for part in entry.values())
    elif name == "pages":
        for page in item:
            yield f"  {page:02X}h  {VPD_PAGES[page][0] if page in VPD_PAGES else 'not decoded here'}"
    elif name == "version descriptors":
        yield f"  {name}: {' '.join(f'{code:04X}h' for code in item)}"
    elif isinstance(item, bool):
        yield f"  {name}: {'yes' if item else 'no'}"
    else:
        yield f"  {name}: {'-' if item is None else item}"


def measurement_line(workload: Workload, connections: int, result: Measurement) -> str:
    """The outcome of one benchmark run."""
    return (
        f"{workload.name}, {format_size(workload.block_size)}, {workload.outstanding} outstanding, "
        f"{connections} connection{'s' if connections > 1 else ''}: "
        f"{result.iops:.0f} IOPS, {result.bytes_per_second / 1e6:.1f} MB/s, latency "
        f"mean {result.latency_mean * 1e6:.0f} µs, p50 {result.latency_p50 * 1e6:.0f} µs, "
        f"p99 {result.latency_p99 * 1e6:.0f} µs, max {result.latency_max * 1e6:.0f} µs"
    )
