import pytest

from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, in_cdb, refusal
from tests.support.scsi import Bench

TEST_UNIT_READY = bytes(6)


def request_sense(*, descriptor: bool = False, allocation_length: int = 252) -> bytes:
    """REQUEST SENSE."""
    return bytes((0x03, descriptor, 0, 0, allocation_length, 0))


def test_unit_is_ready() -> None:
    """TEST UNIT READY is GOOD for a unit that is ready."""
    assert Bench().run(TEST_UNIT_READY) == GOOD


def test_unit_is_stopped() -> None:
    """TEST UNIT READY tells how to start a unit that is stopped."""
    bench = Bench()
    bench.unit.started = False
    assert refusal(bench.run(TEST_UNIT_READY))[0] is Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED


def test_unit_attention_is_told_once() -> None:
    """TEST UNIT READY reports a unit attention, and only once."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    assert refusal(bench.run(TEST_UNIT_READY))[0] is Sense.CAPACITY_DATA_HAS_CHANGED
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_nothing_to_tell() -> None:
    """REQUEST SENSE of a unit that is well: NO SENSE, in either format."""
    assert data_of(Bench().run(request_sense())) == bytes.fromhex("70 00 00 00000000 0a 00000000 0000 00 000000")
    assert data_of(Bench().run(request_sense(descriptor=True))) == bytes.fromhex("72 00 00 00 000000 00")


@pytest.mark.parametrize("descriptor", [False, True])
def test_unit_attention_as_data(descriptor: bool) -> None:
    """REQUEST SENSE gives a unit attention as data with GOOD status, and that clears it."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, Sense.MODE_PARAMETERS_CHANGED)
    data = data_of(bench.run(request_sense(descriptor=descriptor)))
    key, asc, ascq = (data[1], data[2], data[3]) if descriptor else (data[2], data[12], data[13])
    assert (key, asc, ascq) == (0x6, 0x2A, 0x01)
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_power_on_as_data() -> None:
    """Even the first unit attention of a nexus can be fetched by REQUEST SENSE."""
    bench = Bench()
    newcomer = bench.connect(isid=2, quiet=False)
    data = data_of(bench.run(request_sense(), nexus=newcomer))
    assert (data[2], data[12]) == (0x6, 0x29)
    assert bench.run(TEST_UNIT_READY, nexus=newcomer) == GOOD


def test_state_of_a_stopped_unit() -> None:
    """REQUEST SENSE tells that the unit is stopped."""
    bench = Bench()
    bench.unit.started = False
    data = data_of(bench.run(request_sense()))
    assert (data[2], data[12], data[13]) == (0x2, 0x04, 0x02)


@pytest.mark.parametrize("length", [0, 4, 18, 252])
def test_allocation_length(length: int) -> None:
    """Sense data are cut to the allocation length."""
    assert len(data_of(Bench().run(request_sense(allocation_length=length)))) == min(length, 18)


def test_reserved_bits() -> None:
    """A reserved bit is refused by name."""
    assert refusal(Bench().run(bytes((0x00, 0, 0x10, 0, 0, 0)))) == in_cdb(2, 4)
