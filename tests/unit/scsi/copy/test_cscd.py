"""Which unit a CSCD descriptor means."""

import pytest

from isthmus.scsi.copy.cscd import creator_descriptor, parse_cscd
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from tests.support.copying import CopyBench, identification

IDENTITY = UnitIdentity(serial="1", naa=0x3123456789ABCDEF, eui64=0x0011223344556677)


def test_fields() -> None:
    """Where it stands, what it names and how long the blocks are said to be."""
    cscd = parse_cscd(b"x" * 5 + identification(b"name", kind=1, code_set=2, device_type=3, block_length=4096), 5)
    assert (cscd.place, cscd.device_type, cscd.block_length) == (5, 3, 4096)
    assert (cscd.designator_type, cscd.code_set, cscd.designator) == (1, 2, b"name")


def test_obsolete_fields_are_ignored() -> None:
    """LU ID TYPE, NUL and the relative initiator port identifier."""
    data = bytearray(identification(IDENTITY))
    data[1:4] = b"\xe0\x12\x34"
    assert parse_cscd(bytes(data), 0).designator == IDENTITY.naa_designator


@pytest.mark.parametrize("type_code", [0xE0, 0xE9, 0xFF, 0x02])
def test_other_types(type_code: int) -> None:
    """They are refused with their place."""
    with pytest.raises(CheckCondition) as caught:
        parse_cscd(bytes(16) + identification(IDENTITY, type_code=type_code), 16)
    assert caught.value.sense_data.sense is Sense.UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE
    assert caught.value.sense_data.specific == FieldPointer(16, in_cdb=False)


@pytest.mark.parametrize(
    ("descriptor", "byte", "bit"),
    [
        (identification(IDENTITY, association=1), 5, 5),
        (identification(IDENTITY, association=2), 5, 5),
        (identification(b""), 7, None),
        (identification(b"x" * 21)[:7] + b"\x15" + bytes(24), 7, None),
    ],
)
def test_designators_that_cannot_be(descriptor: bytes, byte: int, bit: int | None) -> None:
    """Of a port or a device, none, or one that does not fit."""
    with pytest.raises(CheckCondition) as caught:
        parse_cscd(descriptor[:32], 0)
    assert caught.value.sense_data.sense is Sense.INVALID_FIELD_IN_PARAMETER_LIST
    assert caught.value.sense_data.specific == FieldPointer(byte, bit, in_cdb=False)


@pytest.mark.parametrize(
    ("designator", "kind", "code_set", "found"),
    [
        (IDENTITY.naa_designator, 3, 1, True),
        (IDENTITY.eui64_designator, 2, 1, True),
        (IDENTITY.naa_designator, 2, 1, False),
        (IDENTITY.naa_designator, 3, 2, False),
        (IDENTITY.naa_designator[:7], 3, 1, False),
        (IDENTITY.naa_designator + b"\0", 3, 1, False),
        (IDENTITY.t10_vendor_designator[:20], 1, 2, False),
    ],
)
def test_designators_that_name_a_unit(designator: bytes, kind: int, code_set: int, found: bool) -> None:
    """The whole designator, its type and its code set have to be those of page 83h; a part of one names nobody."""
    bench = CopyBench()
    unit = bench.make("unit")
    unit.identity = IDENTITY
    nexus = bench.connect(unit, isid=2)
    endpoint = parse_cscd(identification(designator, kind=kind, code_set=code_set), 0).resolve(nexus)
    assert (endpoint is not None) is found
    assert endpoint is None or endpoint.unit is unit


def test_only_what_the_nexus_maps() -> None:
    """The same descriptor means a unit to one nexus, and nothing to another."""
    bench = CopyBench()
    cscd = parse_cscd(identification(bench.hidden.identity), 0)
    assert cscd.resolve(bench.nexus) is None
    found = cscd.resolve(bench.connect(bench.hidden, isid=2))
    assert found is not None
    assert found.unit is bench.hidden


def test_a_choice_of_luns() -> None:
    """The one that may be written to is taken."""
    bench = CopyBench()
    cscd = parse_cscd(identification(bench.source.identity), 0)
    bench.nexus.mappings[0].read_only = True
    assert (found := cscd.resolve(bench.nexus)) is not None
    assert found.read_only
    bench.nexus.mappings[3] = LunMapping(bench.source)
    assert (found := cscd.resolve(bench.nexus)) is not None
    assert not found.read_only


@pytest.mark.parametrize("naa", [0x3123456789ABCDEF, 0x6 << 124 | 5])
def test_creator(naa: int) -> None:
    """What stands in a token is a descriptor like those that initiators send."""
    identity = UnitIdentity(serial="1", naa=naa)
    made = creator_descriptor(identity, 4096)
    assert made == identification(identity, block_length=4096)
    assert parse_cscd(made, 0).designator == identity.naa_designator
