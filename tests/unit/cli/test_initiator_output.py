import json

import pytest

from isthmus.cli.initiator_output import (
    UnitListing,
    device_type_name,
    inquiry_lines,
    measurement_line,
    plain,
    print_json,
    target_lines,
    unit_line,
)
from isthmus.initiator.benchmark import Measurement, Workload
from isthmus.initiator.discovery import DiscoveredTarget
from isthmus.initiator.inquiry import Designator, DeviceIdentification, SupportedPages, UnitSerialNumber
from isthmus.initiator.target_address import TargetAddress

NAA = Designator(association=0, designator_type=3, code_set=1, value=bytes.fromhex("6001405000000001"))
DISK = UnitListing(
    lun=0,
    url="iscsi://h:3260/iqn.x/0",
    device_type="disk",
    vendor="ISTHMUS",
    product="VIRTUAL-DISK",
    size=1 << 30,
    block_length=512,
)


def test_targets_print_as_iscsiadm_prints_them() -> None:
    """ADDRESS:PORT,TAG NAME, a line for each address."""
    target = DiscoveredTarget("iqn.x", (TargetAddress("192.0.2.1", 3260, 1), TargetAddress("::1", 3261, 2)))
    assert [*target_lines(target, "h:3260")] == ["192.0.2.1:3260,1 iqn.x", "[::1]:3261,2 iqn.x"]


def test_a_target_without_addresses_is_where_it_was_asked_for() -> None:
    """Appendix C of RFC 7143 has it so."""
    assert [*target_lines(DiscoveredTarget("iqn.x", ()), "h:3260")] == ["h:3260 iqn.x"]


def test_units_print_in_a_line() -> None:
    """URL, size, type and names."""
    assert unit_line(DISK) == "iscsi://h:3260/iqn.x/0  1G  disk  ISTHMUS VIRTUAL-DISK"


@pytest.mark.parametrize(("code", "name"), [(0, "disk"), (0x0C, "storage array controller"), (0x1D, "1Dh")])
def test_device_types_have_names(code: int, name: str) -> None:
    """Those that are not known keep their code."""
    assert device_type_name(code) == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\x01\xff", "01ff"),
        ((1, 2), [1, 2]),
        ({3: b"\0"}, {"3": "00"}),
        (None, None),
        (TargetAddress("h", 1), {"host": "h", "port": 1, "portal_group_tag": None}),
        (NAA, {"association": "unit", "type": "naa", "designator": "6001405000000001"}),
    ],
)
def test_values_become_plain(value: object, expected: object) -> None:
    """What JSON has."""
    assert plain(value) == expected


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One document."""
    print_json([DISK])
    assert json.loads(capsys.readouterr().out)[0]["size"] == 1 << 30


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (UnitSerialNumber("42"), ["T", "  serial number: 42"]),
        (SupportedPages((0x83, 0xC0)), ["T", "  83h  device identification", "  C0h  not decoded here"]),
        (DeviceIdentification((NAA,)), ["T", "  unit  naa  6001405000000001"]),
        (
            {"version_descriptors": (0x460,), "x": True, "y": None},
            ["T", "  version descriptors: 0460h", "  x: yes", "  y: -"],
        ),
    ],
)
def test_inquiry_data_prints_in_lines(value: object, lines: list[str]) -> None:
    """A title and a line for each field."""
    assert [*inquiry_lines("T", value)] == lines


def test_a_measurement_prints_in_one_line() -> None:
    """IOPS, MB/s and the percentiles."""
    result = Measurement(
        operations=1000,
        bytes_moved=4_096_000,
        seconds=2.0,
        latency_mean=0.001,
        latency_p50=0.0009,
        latency_p99=0.002,
        latency_max=0.01,
    )
    assert measurement_line(Workload(), 1, result) == (
        "sequential read, 4K, 32 outstanding, 1 connection: 500 IOPS, 2.0 MB/s, "
        "latency mean 1000 µs, p50 900 µs, p99 2000 µs, max 10000 µs"
    )
    assert "4 connections:" in measurement_line(Workload(), 4, result)
