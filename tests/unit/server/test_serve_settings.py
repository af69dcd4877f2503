import pytest

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.state_store import MemoryStateStore
from isthmus.server.serve_settings import apply_attributes, copies, served_settings


def unit() -> LogicalUnit:
    """As `serve` makes one."""
    return LogicalUnit(RamdiskBackstore("x", 1 << 20), state=MemoryStateStore())


def opcodes(of: LogicalUnit) -> set[int]:
    """The commands that it has."""
    return {row.opcode for row in of.table}


def test_a_disk_without_attributes_stays_as_it_is() -> None:
    """Its table is the very same."""
    plain = unit()
    table, limits = plain.table, plain.limits
    apply_attributes(plain, {})
    assert plain.table is table
    assert plain.limits is limits


def test_one_attribute_changes_one_thing() -> None:
    """The disk stays thin, and keeps its other commands."""
    plain, changed = unit(), unit()
    apply_attributes(changed, {"emulate_cdb32": 0})
    assert opcodes(plain) - opcodes(changed) == {0x7F}
    assert changed.backstore.capabilities == plain.backstore.capabilities
    assert changed.limits == plain.limits


def test_limits_follow() -> None:
    """WSNZ, and the lengths."""
    changed = unit()
    apply_attributes(changed, {"write_same_to_end": 1, "atomic_granularity": 8})
    assert not changed.limits.write_same_non_zero
    assert changed.limits.atomic_granularity_blocks == 8


def test_a_disk_can_be_made_thick() -> None:
    """What `serve` does by itself can be switched off."""
    changed = unit()
    apply_attributes(changed, {"emulate_tpu": 0, "emulate_tpws": 0})
    assert not changed.backstore.capabilities.discard
    assert 0x42 not in opcodes(changed)


@pytest.mark.parametrize(("attributes", "expected"), [({}, True), ({"emulate_3pc": 0}, False)])
def test_copies(attributes: dict[str, int], expected: bool) -> None:
    """A disk takes part in copies unless it is told not to."""
    assert copies(attributes) is expected


def test_what_has_an_option_of_its_own_stays() -> None:
    """One attribute takes nothing back that the options have said."""
    made = LogicalUnit(
        RamdiskBackstore("x", 1 << 20, read_only=True),
        block_length=512,
        physical_block_length=4096,
        removable=True,
        state=MemoryStateStore(),
    )
    before = made.removable, made.read_only, made.physical_block_length, made.block_length
    apply_attributes(made, {"emulate_caw": 0})
    assert (made.removable, made.read_only, made.physical_block_length, made.block_length) == before
    assert served_settings({}, made).attributes["removable"] == 1
