import dataclasses
from typing import Any

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.throttle import RateLimits
from isthmus.server.unit_settings import (
    apply_shape,
    block_length_of,
    capabilities_of,
    identity_of,
    limits_of,
    mode_defaults_of,
    rate_limits_of,
    table_of,
)
from tests.support.scsi import make_unit

LIO_SERIAL = "3b5c1d2e-1a2b-3c4d-5e6f-708192a3b4c5"
THIN = Capabilities(discard=True, discard_granularity=4096)


def store(serial: str = LIO_SERIAL, name: str = "disk01", **attributes: Any) -> Backstore:
    """A backstore with these attributes."""
    return Backstore(key=BackstoreKey("fileio", name), path="/x", unit_serial=serial, attributes=attributes)


def test_a_disk_of_lio_keeps_its_names() -> None:
    """NAA 6h with LIO's company identifier and the first 25 digits of the serial number, as LIO makes it."""
    identity = identity_of(store())
    assert identity.serial == LIO_SERIAL
    assert f"{identity.naa:x}" == "6001405" + "3b5c1d2e1a2b3c4d5e6f70819"
    assert identity.product == "disk01"


def test_short_serial_numbers_do_not_collide() -> None:
    """Two that have the same few digits make different designators."""
    assert identity_of(store("disk-1")).naa != identity_of(store("risk-1")).naa


def test_the_model_alias() -> None:
    """Off: every disk has the same product name; on: its own, as far as it fits and is ASCII."""
    assert identity_of(store(emulate_model_alias=0)).product == "VIRTUAL-DISK"
    assert identity_of(store(name="ä-name-that-is-far-too-long")).product == "-name-that-is-fa"


@pytest.mark.parametrize(
    ("attribute", "opcode"),
    [("emulate_caw", 0x89), ("emulate_pr", 0x5F), ("emulate_pr", 0x16), ("emulate_tpu", 0x42), ("emulate_cdb32", 0x7F)],
)
def test_an_attribute_gives_and_takes_a_command(attribute: str, opcode: int) -> None:
    """The table has it or not, and everything that reads the table follows."""
    for value in (0, 1):
        attributes: dict[str, Any] = {"emulate_tpws": 1, attribute: value}
        settings = store(**attributes)
        table = table_of(settings, DISK_COMMANDS, capabilities_of(settings, THIN))
        assert (opcode in {row.opcode for row in table}) == bool(value)


def test_report_supported_operation_codes_can_be_taken_away() -> None:
    """And the other service actions of its opcode stay."""
    table = table_of(store(emulate_rsoc=0), DISK_COMMANDS, THIN)
    assert table.lookup(0xA3, 0x0C) is None
    assert table.has_service_actions(0xA3)


def test_room_is_given_back_only_if_asked_for() -> None:
    """By UNMAP or by WRITE SAME; and storage that cannot do it does not begin to."""
    assert not capabilities_of(store(), THIN).discard
    assert capabilities_of(store(emulate_tpu=1), THIN).discard
    assert capabilities_of(store(emulate_tpws=1), THIN).discard
    assert not capabilities_of(store(emulate_tpu=1), dataclasses.replace(THIN, discard=False)).discard


def test_a_medium_rotates_if_the_operator_says_so() -> None:
    """Whatever is under it."""
    assert not capabilities_of(store(), Capabilities(rotational=True)).rotational
    assert capabilities_of(store(is_nonrot=0), Capabilities()).rotational


def test_limits_are_lowered_but_not_raised() -> None:
    """0 leaves them."""
    storage = RamdiskBackstore("x", 1 << 20)
    usual = limits_of(store(), storage)
    less = limits_of(
        store(max_unmap_lba_count=8, max_write_same_len=4, optimal_sectors=16, unmap_granularity=32), storage
    )
    assert (less.max_unmap_blocks, less.max_write_same_blocks) == (8, 4)
    assert (less.optimal_transfer_blocks, less.unmap_granularity_blocks) == (16, 32)
    assert limits_of(store(max_unmap_lba_count=0xFFFF_FFFF), storage) == usual
    assert limits_of(store(max_unmap_block_desc_count=1), storage).max_unmap_descriptors == 1


@pytest.mark.parametrize(
    ("attributes", "longest"),
    [
        ({}, 256),
        ({"atomic_max_len": 100}, 100),
        ({"atomic_max_len": 1000}, 256),
        ({"atomic_granularity": 8, "atomic_max_len": 100}, 96),
        ({"atomic_granularity": 200}, 200),
        ({"atomic_granularity": 8, "atomic_max_len": 4}, 8),
    ],
)
def test_atomic_writes_have_whole_granules(attributes: dict[str, Any], longest: int) -> None:
    """The maximum is one that an initiator can use, and never more than we can do."""
    limits = limits_of(store(atomic_alignment=4, **attributes), RamdiskBackstore("x", 1 << 20))
    assert limits.max_atomic_blocks == longest
    assert limits.atomic_alignment_blocks == 4
    assert limits.atomic_granularity_blocks == attributes.get("atomic_granularity", 0)


@pytest.mark.parametrize("to_end", [0, 1])
def test_write_same_of_no_blocks(to_end: int) -> None:
    """WSNZ is the opposite of the attribute."""
    limits = limits_of(store(write_same_to_end=to_end), RamdiskBackstore("x", 1 << 20))
    assert limits.write_same_non_zero is not bool(to_end)


def test_the_control_page_begins_as_the_attributes_say() -> None:
    """TST, TAS, the queue algorithm and the interlock of unit attentions."""
    usual = {"WCE": 1, "TST": 0, "TAS": 1, "D_SENSE": 0, "QUEUE ALGORITHM MODIFIER": 1, "UA_INTLCK_CTRL": 0}
    assert mode_defaults_of(store()) == usual
    other = store(
        task_set_per_nexus=1, emulate_tas=0, emulate_rest_reord=1, emulate_ua_intlck_ctrl=2, descriptor_sense=1
    )
    unusual = {"WCE": 1, "TST": 1, "TAS": 0, "D_SENSE": 1, "QUEUE ALGORITHM MODIFIER": 0, "UA_INTLCK_CTRL": 3}
    assert mode_defaults_of(other) == unusual


def test_the_block_length() -> None:
    """512 unless it is 4096."""
    assert (block_length_of(store()), block_length_of(store(block_size=4096))) == (512, 4096)


def test_names_can_be_given() -> None:
    """Those that INQUIRY tells, and the designators; the serial number by which it is known here stays."""
    identity = identity_of(
        store(
            vendor_id="ACME",
            product_id="Rocket Skates",
            revision="2.1",
            product_serial="ZX81",
            t10_id="ACME    0001",
            naa_id="50014051234567ab",
            eui64_id="0x0123456789ABCDEF",
        )
    )
    assert (identity.vendor, identity.product, identity.revision) == ("ACME", "Rocket Skates", "2.1")
    assert (identity.serial, identity.serial_field) == (LIO_SERIAL, b"ZX81")
    assert identity.t10_vendor_designator == b"ACME    0001"
    assert (identity.naa, identity.eui64) == (0x50014051234567AB, 0x0123456789ABCDEF)
    assert identity.tells_naa
    assert not identity_of(store(report_naa_id=0)).tells_naa


def test_a_unit_gets_the_shape_of_its_attributes() -> None:
    """What READ CAPACITY and the pages about the device tell, and whether it can be written."""
    unit = make_unit()
    apply_shape(
        store(physical_block_exponent=5, lowest_aligned_lba=7, rotation_rate=7200, removable=1, write_protect=1), unit
    )
    assert (unit.physical_block_length, unit.lowest_aligned_lba, unit.rotation_rate) == (
        32 * unit.block_length,
        7,
        7200,
    )
    assert (unit.removable, unit.read_only) == (True, True)
    apply_shape(store(), unit)
    assert unit.physical_block_length == unit.backstore.capabilities.physical_block_length
    assert (unit.removable, unit.read_only) == (False, False)


def test_a_medium_with_a_rate_rotates() -> None:
    """Whatever is said of one without."""
    assert capabilities_of(store(rotation_rate=7200, is_nonrot=1), THIN).rotational
    assert not capabilities_of(store(), THIN).rotational


def test_how_fast_a_disk_may_be_used() -> None:
    """Without attributes as fast as it can be."""
    assert not rate_limits_of(store()).any
    limits: dict[str, Any] = {
        "limit_iops": 1,
        "limit_iops_burst": 2,
        "limit_bytes_per_second": 3,
        "limit_bytes_burst": 4,
    }
    assert rate_limits_of(store(**limits)) == RateLimits(
        commands_per_second=1, commands_burst=2, bytes_per_second=3, bytes_burst=4
    )
