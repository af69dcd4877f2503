from collections.abc import Callable

import pytest

from isthmus.scsi.fast_path_grant import FastPathGrant
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import Registrant, ReservationType
from isthmus.scsi.task import TaskAttribute
from tests.support.scsi import Bench, HeldExecutor, read_10, write_10

COMPARE_AND_WRITE = bytes([0x89]) + bytes(12) + bytes([1, 0, 0])
READ_CAPACITY_10 = bytes([0x25]) + bytes(9)


def flags(bench: Bench) -> tuple[bool, bool]:
    """What the engine may do alone through the nexus of the bench: (reads, writes)."""
    grant = bench.nexus.grants[0]
    return grant.reads, grant.writes


def test_a_grant_tells_the_engine_what_it_needs() -> None:
    """Block length, capacity and the longest transfer are those of the unit."""
    bench = Bench()
    grant = bench.nexus.grants[0]
    assert grant.backstore is bench.unit.backstore
    assert (grant.block_length, grant.num_blocks) == (512, 2048)
    assert grant.max_transfer_blocks == bench.unit.limits.max_transfer_blocks
    assert flags(bench) == (True, True)


def test_there_is_a_grant_for_each_lun() -> None:
    """Two LUNs of one unit have their own grants, under the LUN fields, as their mappings say."""
    bench = Bench()
    nexus = bench.connect(isid=2)
    nexus.mappings.update({7: LunMapping(bench.unit, read_only=True), 300: LunMapping(bench.unit)})
    bench.unit.attach(nexus)
    bench.unit.unit_attentions.clear(nexus)
    allowed = {lun: (grant.reads, grant.writes) for lun, grant in nexus.grants.items()}
    assert allowed == {encode_lun(0): (True, True), encode_lun(7): (True, False), encode_lun(300): (True, True)}


def stop(bench: Bench) -> Callable[[], object]:
    """START STOP UNIT."""
    bench.run(bytes([0x1B, 0, 0, 0, 0, 0]))
    return lambda: bench.start(bytes([0x1B, 0, 0, 0, 1, 0]))


def unit_attention(bench: Bench) -> Callable[[], object]:
    """A unit attention is pending."""
    bench.unit.unit_attentions.establish(bench.nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    return lambda: bench.unit.unit_attentions.clear(bench.nexus)


def ordered_task(bench: Bench) -> Callable[[], object]:
    """An ORDERED task waits for its data-out."""
    task = bench.task(write_10(0, 1), attribute=TaskAttribute.ORDERED)
    return lambda: bench.router.data_out_complete(task)


def head_of_queue_task(bench: Bench) -> Callable[[], object]:
    """A HEAD OF QUEUE task waits for its data-out."""
    task = bench.task(write_10(0, 1), attribute=TaskAttribute.HEAD_OF_QUEUE)
    return lambda: bench.router.data_out_complete(task)


def exclusive_access(bench: Bench) -> Callable[[], object]:
    """Another nexus holds an exclusive access reservation."""
    return _reserve(bench, ReservationType.EXCLUSIVE_ACCESS)


def write_exclusive(bench: Bench) -> Callable[[], object]:
    """Another nexus holds a write exclusive reservation."""
    return _reserve(bench, ReservationType.WRITE_EXCLUSIVE)


def _reserve(bench: Bench, reservation_type: ReservationType) -> Callable[[], object]:
    """PERSISTENT RESERVE OUT, through the front door."""
    other = bench.connect(isid=2)
    key, new_key = (1).to_bytes(8), (2).to_bytes(8)
    prout = bytes([0x5F, 0x00, 0, 0, 0, 0, 0, 0, 24, 0])
    bench.run(prout, bytes(8) + key + bytes(8), nexus=other)
    reserve = bytes([0x5F, 0x01, reservation_type, 0, 0, 0, 0, 0, 24, 0])
    bench.run(reserve, key + new_key + bytes(8), nexus=other)
    release = bytes([0x5F, 0x02, reservation_type, 0, 0, 0, 0, 0, 24, 0])
    assert bench.unit.reservations.persistent.is_holder(Registrant.of(other))
    return lambda: bench.start(release, key + bytes(16), nexus=other)


def spc2_reservation(bench: Bench) -> Callable[[], object]:
    """Another nexus has reserved the unit with RESERVE (6)."""
    other = bench.connect(isid=2)
    bench.run(bytes([0x16, 0, 0, 0, 0, 0]), nexus=other)
    return lambda: bench.start(bytes([0x17, 0, 0, 0, 0, 0]), nexus=other)


def software_write_protect(bench: Bench) -> Callable[[], object]:
    """MODE SELECT (6) has set SWP."""

    def select(byte: int) -> None:
        page = bytes([0x0A, 0x0A, 0x02, 0x10, byte, 0x40, 0, 0, 0xFF, 0xFF, 0, 0])
        bench.run(bytes([0x15, 0x10, 0, 0, 16, 0]), bytes(4) + page)

    select(0x08)
    return lambda: select(0)


@pytest.mark.parametrize(
    ("condition", "meanwhile"),
    [
        (stop, (False, False)),
        (unit_attention, (False, False)),
        (ordered_task, (False, False)),
        (head_of_queue_task, (False, False)),
        (exclusive_access, (False, False)),
        (write_exclusive, (True, False)),
        (spc2_reservation, (False, False)),
        (software_write_protect, (True, False)),
    ],
)
def test_conditions_of_a_grant(
    condition: Callable[[Bench], Callable[[], object]], meanwhile: tuple[bool, bool]
) -> None:
    """Each condition withdraws the grant at once, and its end brings it back."""
    bench = Bench()
    end = condition(bench)
    assert flags(bench) == meanwhile
    end()
    bench.unit.unit_attentions.clear(bench.nexus)
    assert flags(bench) == (True, True)


def test_an_exclusive_operation_withdraws_the_grants() -> None:
    """COMPARE AND WRITE has the unit to itself, from before it starts until it is over."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    grant = bench.nexus.grants[0]
    grant.begin()
    bench.start(COMPARE_AND_WRITE, bytes(1024))
    assert (flags(bench), len(executor.under_way)) == ((False, False), 0)
    grant.end()
    assert (flags(bench), len(executor.under_way)) == ((False, False), 1)
    executor.finish()
    assert flags(bench) == (True, True)


def test_an_ordered_task_waits_for_the_engine() -> None:
    """What the engine has begun before an ORDERED task is over before that task runs."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    grant = bench.nexus.grants[0]
    grant.begin()
    bench.start(read_10(0, 1), attribute=TaskAttribute.ORDERED)
    assert (flags(bench), len(executor.under_way)) == ((False, False), 0)
    grant.end()
    assert (flags(bench), len(executor.under_way)) == ((False, False), 1)
    executor.finish()
    assert flags(bench) == (True, True)


@pytest.mark.parametrize(
    ("write_back", "wce", "writes"), [(True, True, True), (True, False, False), (False, False, True)]
)
def test_writes_need_a_cache_that_may_be_used(write_back: bool, wce: bool, writes: bool) -> None:
    """With WCE 0 over a backstore that writes back, each write has to be made durable, which is not the engine's job."""
    bench = Bench()
    bench.unit.backstore.write_back = write_back
    if wce != bench.unit.mode.write_cache_enabled:
        bench.unit.mode = type(bench.unit.mode)(write_back=wce)
    bench.unit.refresh_grants()
    assert flags(bench) == (True, writes)


def test_capacity_follows_the_backstore() -> None:
    """After a change of the capacity the engine knows it before it may read again."""
    bench = Bench()
    bench.unit.backstore.size //= 2
    bench.unit.capacity_changed()
    assert bench.nexus.grants[0].num_blocks == 1024
    assert flags(bench) == (False, False)
    response = bench.run(read_10(0, 1))
    assert response.sense[12:14] == bytes([0x2A, 0x09])
    assert bytes(bench.run(READ_CAPACITY_10).data_in)[:4] == (1023).to_bytes(4)


def test_waiting_for_one_nexus_leaves_the_others_alone() -> None:
    """Only the grants that are waited for are withdrawn, and each wait ends by itself."""
    bench = Bench()
    other = bench.connect(isid=2)
    over: list[str] = []
    busy, free = bench.nexus.grants[0], other.grants[0]
    busy.begin()
    bench.unit.grants.when_idle(lambda: over.append("other"), {other})
    bench.unit.grants.when_idle(lambda: over.append("own"), {bench.nexus})
    bench.unit.grants.when_idle(lambda: over.append("all"))
    assert (over, _stands(busy), _stands(free)) == (["other"], False, True)
    busy.end()
    assert (over, _stands(busy)) == (["other", "own", "all"], True)


def _stands(grant: FastPathGrant) -> bool:
    return grant.reads and grant.writes
