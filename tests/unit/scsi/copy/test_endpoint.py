"""The ends of a copy, as a nexus reaches them."""

import pytest

from isthmus.scsi.copy.endpoint import Endpoint, EndpointFailure, copy_manager_of, reachable
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import CheckCondition, Sense, SenseData
from isthmus.scsi.status import Status
from tests.support.copying import NUM_BLOCKS, CopyBench
from tests.support.scsi import make_unit, sense_of


def test_reachable() -> None:
    """What the nexus maps, through every LUN, if it takes part in copies."""
    bench = CopyBench()
    bench.nexus.mappings[300] = LunMapping(bench.source)
    bench.nexus.mappings[4] = LunMapping(make_unit(third_party_copy=None))
    assert {(end.unit, end.lun) for end in reachable(bench.nexus)} == {
        (bench.source, encode_lun(0)),
        (bench.destination, encode_lun(1)),
        (bench.source, encode_lun(300)),
    }


def failure(endpoint: Endpoint, offset: int, length: int, *, writing: bool) -> EndpointFailure:
    """Why an access is refused."""
    with pytest.raises(EndpointFailure) as caught:
        endpoint.check(offset, length, writing=writing)
    assert caught.value.from_source is not writing
    return caught.value


@pytest.mark.parametrize("writing", [False, True])
def test_the_capacity(writing: bool) -> None:
    """It is looked at for each step, as it may change."""
    bench = CopyBench()
    endpoint = Endpoint(bench.source, bench.nexus, 0)
    endpoint.check(0, NUM_BLOCKS * 512, writing=writing)
    refused = failure(endpoint, 512, NUM_BLOCKS * 512, writing=writing)
    assert sense_of(refused.answer) == Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE.value


def test_a_lun_that_means_another_unit_by_now() -> None:
    """The mapping of the nexus decides at each step, not at the first."""
    bench = CopyBench()
    endpoint = Endpoint(bench.source, bench.nexus, 0)
    bench.nexus.mappings[0] = LunMapping(bench.hidden)
    assert sense_of(failure(endpoint, 0, 512, writing=False).answer) == Sense.LOGICAL_UNIT_NOT_SUPPORTED.value


def test_write_protection() -> None:
    """It keeps from writing only."""
    bench = CopyBench()
    endpoint = Endpoint(bench.source, bench.nexus, 0)
    bench.source.read_only = True
    endpoint.check(0, 512, writing=False)
    refused = failure(endpoint, 0, 512, writing=True)
    assert (refused.forwarded.from_source, refused.forwarded.status) == (False, Status.CHECK_CONDITION)
    assert refused.sense_data is None


def test_storage_that_has_failed() -> None:
    """The sense is there as it would be told, and as values."""
    bench = CopyBench()
    sense_data = SenseData(sense=Sense.WRITE_ERROR, information=7)
    refused = Endpoint(bench.source, bench.nexus, 0).failure(sense_data, from_source=False)
    assert refused.sense_data is sense_data
    assert refused.forwarded.sense == sense_data.to_bytes()


def test_a_unit_without_copy_manager() -> None:
    """Nothing can be asked of it."""
    with pytest.raises(CheckCondition):
        copy_manager_of(make_unit(third_party_copy=None))
