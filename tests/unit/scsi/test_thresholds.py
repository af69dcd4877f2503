import struct

import pytest

from isthmus.backstores.base import Space
from isthmus.backstores.null import NullBackstore
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.scsi.thresholds import threshold_exponent
from tests.support.scsi import Bench, make_nexus, make_unit

MIB = 1 << 20
AVAILABLE, USED = 16, 24
"""Where the descriptors of the two thresholds are in the mode page."""
REACHED = (6, 0x38, 0x07)


def page(*, available: int | None = None, used: int | None = None, situa: bool = False) -> bytes:
    """The mode page with a threshold on each amount that is not None, in threshold sets."""
    return b"".join(
        (
            struct.pack(">BBHB11x", 0x5C, 0x02, 28, situa),
            struct.pack(">BBxxI", 0x80 if available is not None else 0, 0x01, available or 0),
            struct.pack(">BBxxI", 0x01 | (0x80 if used is not None else 0), 0x02, used or 0),
        )
    )


def select(bench: Bench, data: bytes) -> None:
    """MODE SELECT (10) of that page, of which the nexus that sends it does not hear."""
    header = bytes(8)
    cdb = bytes((0x55, 0x10)) + bytes(5) + len(header + data).to_bytes(2) + b"\0"
    assert bench.run(cdb, header + data).status is Status.GOOD


def told(bench: Bench, nexus: Nexus | None = None) -> int | None:
    """The INFORMATION that a threshold was reached with, as a TEST UNIT READY tells it; None if there is none."""
    response = bench.run(bytes(6), nexus=nexus)
    if response.status is Status.GOOD:
        return None
    assert (response.sense[0], response.sense[2], *response.sense[12:14]) == (0xF0, *REACHED)
    return int.from_bytes(response.sense[3:7])


@pytest.fixture
def bench() -> Bench:
    """A target with one unit in memory."""
    return Bench()


def observe(bench: Bench, *, available: float = 1000, used: float = 0) -> None:
    """A measurement, in MiB."""
    bench.unit.thresholds.observe(Space(used=int(used * MIB), available=int(available * MIB)))


def test_what_is_left_falls_below_its_threshold(bench: Bench) -> None:
    """It is told once, with the place of the descriptor, and again only after it was a whole set higher."""
    select(bench, page(available=100))
    for available, place in ((101, None), (99.6, None), (99.5, AVAILABLE), (80, None), (100, None), (99, None)):
        observe(bench, available=available)
        assert told(bench) == place
    observe(bench, available=100.5)
    assert told(bench) is None
    observe(bench, available=99.5)
    assert told(bench) == AVAILABLE


def test_what_is_used_rises_above_its_threshold(bench: Bench) -> None:
    """The other way round."""
    select(bench, page(used=3))
    for used, place in ((2, None), (3.4, None), (3.5, USED), (9, None), (3, None), (2.5, None), (4, USED)):
        observe(bench, used=used)
        assert told(bench) == place


def test_a_threshold_that_is_reached_when_it_is_set(bench: Bench) -> None:
    """The next measurement says so, and a new value is a new threshold."""
    select(bench, page(available=100))
    observe(bench, available=50)
    assert told(bench) == AVAILABLE
    select(bench, page(available=60))
    observe(bench, available=50)
    assert told(bench) == AVAILABLE


def test_every_nexus_hears_of_it(bench: Bench) -> None:
    """SITUA 0."""
    other = bench.connect(isid=2)
    select(bench, page(used=1))
    bench.unit.unit_attentions.clear(other)
    observe(bench, used=2)
    assert (told(bench), told(bench, other)) == (USED, USED)


def test_one_nexus_hears_of_it(bench: Bench) -> None:
    """SITUA 1."""
    other = bench.connect(isid=2)
    select(bench, page(used=1, situa=True))
    bench.unit.unit_attentions.clear(other)
    observe(bench, used=2)
    assert sorted((told(bench), told(bench, other)), key=str) == [USED, None]


def test_nobody_is_there_to_hear_of_it() -> None:
    """Then it is told to nobody, also with SITUA."""
    unit = make_unit()
    assert unit.mode.change((0x1C, 0x02), page(used=1, situa=True))
    unit.thresholds.observe(Space(used=2 * MIB, available=0))
    assert unit.unit_attentions.pending(make_nexus(unit)) is None


def test_nothing_is_measured_for_nobody(bench: Bench) -> None:
    """Without a threshold that is enabled there is no reason to."""
    wanted = [bench.unit.thresholds.is_wanted]
    for thresholds in (page(used=1), page()):
        select(bench, thresholds)
        wanted.append(bench.unit.thresholds.is_wanted)
    assert wanted == [False, True, False]
    observe(bench, available=0, used=1000)
    assert told(bench) is None


def test_storage_that_could_not_be_measured(bench: Bench) -> None:
    """Nothing is known, so nothing is told."""
    select(bench, page(used=1))
    bench.unit.thresholds.observe(None)
    assert told(bench) is None


@pytest.mark.parametrize("nexus_reads", [False, True])
def test_grants_wait_until_it_is_heard(bench: Bench, nexus_reads: bool) -> None:
    """A unit attention must not be overtaken by the engine's own reads."""
    select(bench, page(used=1))
    grant = bench.nexus.grants[0]
    stands = [grant.reads]
    observe(bench, used=2)
    stands.append(grant.reads)
    if nexus_reads:
        told(bench)
    stands.append(grant.reads)
    assert stands == [True, False, nexus_reads]


def test_request_sense_tells_it_too(bench: Bench) -> None:
    """With the same INFORMATION."""
    select(bench, page(used=1))
    observe(bench, used=2)
    sense = bytes(bench.run(b"\x03\0\0\0\xfc\0").data_in)
    assert (sense[0], sense[2], *sense[12:14]) == (0xF0, *REACHED)
    assert int.from_bytes(sense[3:7]) == USED


@pytest.mark.parametrize(("block_length", "exponent"), [(512, 11), (4096, 8)])
def test_a_threshold_set_is_a_mebibyte(block_length: int, exponent: int) -> None:
    """In logical blocks."""
    assert threshold_exponent(make_unit(block_length=block_length)) == exponent


def test_a_very_large_unit_has_larger_sets() -> None:
    """A THRESHOLD COUNT has 32 bits for the whole capacity."""
    unit = LogicalUnit(NullBackstore("huge", 1 << 54))
    assert unit.num_blocks >> threshold_exponent(unit) < 1 << 32 <= unit.num_blocks >> threshold_exponent(unit) - 1


def test_a_logical_unit_reset_ends_them(bench: Bench) -> None:
    """The mode page goes back to its defaults."""
    select(bench, page(used=1))
    bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
    assert not bench.unit.thresholds.is_wanted
