"""What a unit counts, and what the engine counts for it."""

import errno

import pytest

from isthmus.errors import BackstoreError
from isthmus.scsi.counts import Counts
from isthmus.scsi.logical_unit import LogicalUnit
from tests.support.disk import sixteen, ten
from tests.support.primary import CachedMemory
from tests.support.scsi import Bench, HeldExecutor, read_10, write_10


def test_reads_and_writes() -> None:
    """Each command that has ended well counts once, with its bytes."""
    bench = Bench()
    bench.run(write_10(0, 2), bytes(1024))
    bench.run(read_10(0, 3))
    bench.run(ten(0x2F, 0, 5))
    bench.run(ten(0x2F, 0, 1, 0x02), bytes(512))
    bench.run(bytes(6))
    assert bench.unit.statistics.since_reset == Counts(
        read_commands=1, write_commands=1, bytes_read=1536, bytes_written=1024, bytes_verified=3072
    )


def test_what_does_not_count() -> None:
    """A command that fails, or that is aborted, has moved nothing."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.run(read_10(0xFFFF_FFFF, 1))
    task = bench.start(read_10(0, 1))
    bench.unit.task_set.abort((task,), lambda _: None)
    executor.finish_all()
    assert bench.unit.statistics.since_reset == Counts()


@pytest.mark.parametrize(
    ("cdb", "data", "expected"),
    [
        (read_10(0, 1), b"", Counts(read_errors=1)),
        (write_10(0, 1), bytes(512), Counts(write_errors=1)),
        (ten(0x35, 0, 0), b"", Counts(write_errors=1)),
        (ten(0x2F, 0, 1, 0x02), bytes(512), Counts(verify_errors=1)),
        (sixteen(0x8E, 0, 1, 0x02), bytes(512), Counts(write_errors=1)),
    ],
    ids=["read", "write", "flush", "verify", "write and verify"],
)
def test_errors(cdb: bytes, data: bytes, expected: Counts) -> None:
    """A command that the storage fails counts as an error of its kind."""
    executor = HeldExecutor()
    bench = Bench(unit=LogicalUnit(CachedMemory()), executor=executor)
    bench.start(cdb, data)
    executor.finish(error=BackstoreError(errno.EIO, "the disk is broken"))
    assert bench.unit.statistics.since_reset == expected


def test_with_the_engine() -> None:
    """What the engine has served under a grant is in the sum, also after the grant is gone, and counts once."""
    bench = Bench()
    bench.run(read_10(0, 1))
    (grant,) = bench.nexus.grants.values()
    grant.read_commands, grant.read_bytes = 10, 5120
    grant.write_commands, grant.write_bytes = 3, 1536
    expected = Counts(read_commands=11, bytes_read=5632, write_commands=3, bytes_written=1536)
    assert bench.unit.statistics.since_reset == expected
    bench.router.nexus_lost(bench.nexus)
    assert bench.unit.statistics.since_reset == expected


def test_access_that_outlives_its_nexus() -> None:
    """What ends after its nexus is lost counts as well."""
    bench = Bench()
    (grant,) = bench.nexus.grants.values()
    grant.begin()
    grant.write_commands, grant.write_bytes = 1, 512
    bench.router.nexus_lost(bench.nexus)
    assert bench.unit.statistics.since_reset == Counts(write_commands=1, bytes_written=512)
    grant.write_commands, grant.write_bytes = 2, 1024
    grant.end()
    assert bench.unit.statistics.since_reset == Counts(write_commands=2, bytes_written=1024)


def test_reset() -> None:
    """After a reset only what comes then counts, whoever serves it."""
    bench = Bench()
    (grant,) = bench.nexus.grants.values()
    grant.read_commands = 5
    bench.run(read_10(0, 1))
    bench.unit.statistics.reset()
    assert bench.unit.statistics.since_reset == Counts()
    grant.read_commands = 6
    bench.run(read_10(0, 1))
    assert bench.unit.statistics.since_reset == Counts(read_commands=2, bytes_read=512)
