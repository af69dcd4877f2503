import dataclasses
import struct
from collections.abc import Iterator

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.limits import Limits
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.spc.vpd import PAGES
from tests.support.disk import Memory
from tests.support.primary import data_of, in_cdb, inquiry, refusal
from tests.support.scsi import Bench, make_unit

LIMITS = Limits(
    max_transfer_blocks=0x1111,
    optimal_transfer_blocks=0x2222,
    max_unmap_blocks=0x3333,
    max_unmap_descriptors=0x44,
    max_write_same_blocks=0x5555,
    unmap_granularity_blocks=8,
    max_compare_and_write_blocks=0x66,
)


def page(unit: LogicalUnit, code: int) -> bytes:
    """A page behind its header, which is checked here."""
    data = data_of(Bench(unit=unit).run(inquiry(code, 0xFFFF)))
    assert data[:2] == bytes((0, code))
    assert int.from_bytes(data[2:4]) == len(data) - 4
    return data[4:]


def unit_over(*, write_back: bool = False, **capabilities: object) -> LogicalUnit:
    """A disk whose storage has just these capabilities."""
    memory = Memory(1 << 20, write_back=write_back, capabilities=Capabilities(**capabilities))  # type: ignore[arg-type]
    return LogicalUnit(memory, table=DISK_COMMANDS, limits=LIMITS)


def designators(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(association, type, code set with protocol, designator) of each designation descriptor."""
    while data:
        code_set, kind, _, length = data[:4]
        assert bool(kind & 0x80) == bool(code_set >> 4)
        yield kind >> 4 & 3, kind & 0x0F, code_set, data[4 : 4 + length]
        data = data[4 + length :]


def test_supported_pages() -> None:
    """Page 00h lists every page in ascending order, and each can be read."""
    unit = make_unit()
    assert page(unit, 0x00) == bytes(sorted(PAGES))
    assert page(unit, 0x00) == bytes((0x00, 0x80, 0x83, 0x86, 0x87, 0x88, 0x8A, 0x8F, 0xB0, 0xB1, 0xB2, 0xB4))
    for code in PAGES:
        assert page(unit, code)


def test_pages_without_copies() -> None:
    """A unit that takes no part in third-party copies has no page about them."""
    unit = make_unit(third_party_copy=None)
    assert 0x8F not in page(unit, 0x00)
    assert refusal(Bench(unit=unit).run(inquiry(0x8F))) == in_cdb(2)


@pytest.mark.parametrize("code", list(PAGES))
def test_truncated(code: int) -> None:
    """A page is cut to the allocation length, and its PAGE LENGTH stays."""
    bench = Bench()
    whole = data_of(bench.run(inquiry(code, 0xFFFF)))
    assert data_of(bench.run(inquiry(code, 6))) == whole[:6]


def test_unit_serial_number() -> None:
    """Page 80h is the serial number."""
    assert page(make_unit(identity=UnitIdentity(serial="S-0042", naa=1)), 0x80) == b"S-0042"


def test_device_identification() -> None:
    """Page 83h names the unit, the target port of the nexus, and the target."""
    identity = UnitIdentity(serial="S1", naa=0x3123456789ABCDEF, vendor="ACME", product="SHELF")
    assert list(designators(page(make_unit(identity=identity), 0x83))) == [
        (0, 3, 0x01, bytes.fromhex("3123456789abcdef")),
        (0, 1, 0x02, b"ACME    SHELF           S1"),
        (1, 4, 0x51, bytes((0, 0, 0, 1))),
        (1, 5, 0x51, bytes((0, 0, 0, 0))),
        (1, 8, 0x53, b"iqn.2026-01.com.example:disks,t,0x0001\0\0"),
        (2, 8, 0x53, b"iqn.2026-01.com.example:disks\0\0\0"),
    ]


def test_eui_64() -> None:
    """A unit that has an EUI-64 is known by that too; an NAA 6h name takes sixteen bytes."""
    identity = UnitIdentity(serial="S1", naa=0x6 << 124 | 5, eui64=0x0011223344556677)
    found = list(designators(page(make_unit(identity=identity), 0x83)))
    assert found[0] == (0, 3, 0x01, (0x6 << 124 | 5).to_bytes(16))
    assert found[1] == (0, 2, 0x01, bytes.fromhex("0011223344556677"))


def test_an_naa_name_can_be_kept_back() -> None:
    """Then the EUI-64 is the first name, by which udev and multipath know the disk."""
    identity = UnitIdentity(serial="S1", naa=0x6 << 124 | 5, tells_naa=False, eui64=0x0011223344556677)
    found = list(designators(page(make_unit(identity=identity), 0x83)))
    assert [designator_type for _, designator_type, _, _ in found[:2]] == [2, 1]


@pytest.mark.parametrize("write_back", [False, True])
def test_extended_inquiry(write_back: bool) -> None:
    """Page 86h: SIMPLE, ORDERED and HEAD OF QUEUE (NormACA tells of ACA); V_SUP for a volatile cache; LUICLR; RTD_SUP."""
    data = page(unit_over(write_back=write_back), 0x86)
    assert len(data) == 60
    assert data[:5] == bytes((0, 0x07, write_back, 0x01, 0x08))
    assert not any(data[5:])


def test_mode_page_policy() -> None:
    """Page 87h: all nexuses share every mode page."""
    assert page(make_unit(), 0x87) == bytes((0x3F, 0xFF, 0, 0))


def test_scsi_ports() -> None:
    """Page 88h names every target port through which the unit was reached, in order, and stays when a nexus goes."""
    bench = Bench()
    bench.unit.ports[7] = "iqn.2026-01.com.example:disks,t,0x0007"
    bench.router.nexus_lost(bench.nexus)
    data = page(bench.unit, 0x88)
    found = []
    while data:
        port, initiator_ids, length = struct.unpack_from(">xxHxxHxxH", data)
        assert initiator_ids == 0
        assert data[12:14] == bytes((0x53, 0x98))
        found.append((port, data[16 : 12 + length].rstrip(b"\0").decode()))
        data = data[12 + length :]
    assert found == [(1, "iqn.2026-01.com.example:disks,t,0x0001"), (7, "iqn.2026-01.com.example:disks,t,0x0007")]


def test_power_condition() -> None:
    """Page 8Ah: all conditions, and no time to recover from any of them."""
    assert page(make_unit(), 0x8A) == bytes((0x03, 0x07)) + bytes(12)


@pytest.mark.parametrize("block_length", [512, 4096])
def test_supported_block_lengths(block_length: int) -> None:
    """Page B4h: the one block length, of type 0 protection."""
    assert page(make_unit(block_length=block_length), 0xB4) == struct.pack(">IBBxx", block_length, 0, 1)


def test_block_limits() -> None:
    """Page B0h gives the limits of the unit."""
    data = page(unit_over(discard=True, physical_block_length=4096), 0xB0)
    assert len(data) == 60
    assert data[:2] == bytes((1, 0x66))
    assert int.from_bytes(data[2:4]) == 8
    assert struct.unpack_from(">IIIIIIIQ", data, 4) == (0x1111, 0x2222, 0, 0x3333, 0x44, 8, 1 << 31, 0x5555)
    assert struct.unpack_from(">IIIII", data, 40) == (256, 0, 0, 256, 256)


def test_atomic_limits() -> None:
    """Alignment and granularity stand between the maximum lengths."""
    unit = unit_over()
    unit.limits = dataclasses.replace(
        LIMITS, max_atomic_blocks=96, atomic_alignment_blocks=8, atomic_granularity_blocks=4
    )
    assert struct.unpack_from(">IIIII", page(unit, 0xB0), 40) == (96, 8, 4, 96, 96)


def test_block_limits_without_discard() -> None:
    """A unit that cannot unmap reports no limits for it, but what WRITE SAME may do."""
    data = page(unit_over(discard=False), 0xB0)
    assert struct.unpack_from(">IIIIQ", data, 16) == (0, 0, 0, 0, 0x5555)


def test_limits_of_commands_that_are_not_there() -> None:
    """Page B0h tells nothing of UNMAP and COMPARE AND WRITE where the operator has taken them away."""
    unit = unit_over(discard=True)
    unit.table = CommandTable(row for row in unit.table if row.opcode not in {0x42, 0x89})
    unit.limits = dataclasses.replace(LIMITS, unmap_alignment_blocks=3)
    data = page(unit, 0xB0)
    assert data[1] == 0
    assert struct.unpack_from(">IIII", data, 16) == (0, 0, 8, 1 << 31 | 3)


def test_write_same_of_nothing() -> None:
    """WSNZ is what the limits say of it."""
    unit = unit_over()
    unit.limits = dataclasses.replace(LIMITS, write_same_non_zero=False)
    assert page(unit, 0xB0)[0] == 0


@pytest.mark.parametrize(("rotational", "rate"), [(False, 1), (True, 7200)])
def test_block_device_characteristics(rotational: bool, rate: int) -> None:
    """Page B1h tells storage that turns from storage that does not; unmapped blocks can be verified (VBULS)."""
    assert page(unit_over(rotational=rotational), 0xB1) == rate.to_bytes(2) + bytes((0, 0, 1)) + bytes(55)


@pytest.mark.parametrize(
    ("capabilities", "data"),
    [
        ({}, "00000000"),
        ({"discard": True}, "00e40200"),
        ({"discard": True, "anchor": True}, "00e60200"),
        ({"discard": True, "measures_space": True}, "0be40200"),
        ({"discard": False, "anchor": True, "measures_space": True}, "00000000"),
    ],
)
def test_logical_block_provisioning(capabilities: dict[str, bool], data: str) -> None:
    """Page B2h: thin, and zeros where unmapped, if room can be given back; else fully provisioned."""
    assert page(unit_over(**capabilities), 0xB2) == bytes.fromhex(data)


def test_a_rotation_rate_that_is_known() -> None:
    """Is told for a medium that rotates."""
    unit = unit_over(rotational=True)
    unit.rotation_rate = 15000
    assert page(unit, 0xB1)[:2] == (15000).to_bytes(2)


def test_an_optimal_granularity_that_is_given() -> None:
    """Takes the place of the physical block."""
    unit = unit_over()
    unit.limits = dataclasses.replace(LIMITS, optimal_granularity_blocks=64)
    assert page(unit, 0xB0)[2:4] == (64).to_bytes(2)
