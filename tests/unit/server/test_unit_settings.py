import dataclasses
from typing import Any

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.server.unit_settings import (
    block_length_of,
    capabilities_of,
    identity_of,
    limits_of,
    mode_defaults_of,
    table_of,
)

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
    ("attribute", "opcode"), [("emulate_caw", 0x89), ("emulate_pr", 0x5F), ("emulate_pr", 0x16), ("emulate_tpu", 0x42)]
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


def test_the_control_page_begins_as_the_attributes_say() -> None:
    """TAS, the queue algorithm and the interlock of unit attentions."""
    assert mode_defaults_of(store()) == {"TAS": 1, "QUEUE ALGORITHM MODIFIER": 1, "UA_INTLCK_CTRL": 0}
    other = store(emulate_tas=0, emulate_rest_reord=1, emulate_ua_intlck_ctrl=2)
    assert mode_defaults_of(other) == {"TAS": 0, "QUEUE ALGORITHM MODIFIER": 0, "UA_INTLCK_CTRL": 3}


def test_the_block_length() -> None:
    """512 unless it is 4096."""
    assert (block_length_of(store()), block_length_of(store(block_size=4096))) == (512, 4096)
