"""SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS."""

import errno
import struct

import pytest

from isthmus.errors import BackstoreError
from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, in_cdb, in_list, refusal
from tests.support.scsi import Bench, HeldExecutor, make_unit

SELFTEST, PF = 0x04, 0x10


def send(flags: int, length: int = 0) -> bytes:
    """SEND DIAGNOSTIC."""
    return struct.pack(">BBxHx", 0x1D, flags, length)


def receive(page: int | None = None, length: int = 255) -> bytes:
    """RECEIVE DIAGNOSTIC RESULTS."""
    return struct.pack(">BBBHx", 0x1C, page is not None, page or 0, length)


@pytest.mark.parametrize("flags", [SELFTEST, SELFTEST | 0x03, SELFTEST | PF])
def test_self_test(flags: int) -> None:
    """The first and the last block are read."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(send(flags))
    extents = []
    while executor.operations:
        extents.append(executor.operations[0].extent)
        executor.finish()
    assert extents == [(0, 512), ((1 << 20) - 512, 512)]
    assert bench.owner.ends[task] == GOOD


def test_self_test_of_one_block() -> None:
    """A unit of one block has it read once."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(512), executor=executor)
    task = bench.start(send(SELFTEST))
    executor.finish()
    assert bench.owner.ends[task] == GOOD


@pytest.mark.parametrize("successes", [0, 1])
def test_self_test_that_fails(successes: int) -> None:
    """A block that cannot be read fails the test."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(send(SELFTEST))
    for _ in range(successes):
        executor.finish()
    executor.finish(error=BackstoreError(errno.EIO, "the disk is broken"))
    response = bench.owner.ends[task]
    assert response is not None
    assert refusal(response) == (Sense.LOGICAL_UNIT_FAILED_SELF_TEST, None)


@pytest.mark.parametrize("flags", [3 << 5, 7 << 5, 1 << 5 | SELFTEST, 4 << 5 | SELFTEST])
def test_self_test_code(flags: int) -> None:
    """Two codes are reserved, and none goes with the default test; what the others do is in test_self_tests."""
    assert refusal(Bench().run(send(flags))) == in_cdb(1, 7)


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6])
def test_self_test_code_with_a_list(code: int) -> None:
    """No test takes a list."""
    assert refusal(Bench().run(send(code << 5 | PF, 4), bytes(4))) == in_cdb(3)


def test_self_test_with_a_list() -> None:
    """The self-test takes no list."""
    assert refusal(Bench().run(send(SELFTEST | PF, 4), bytes(4))) == in_cdb(3)


def test_list_without_format() -> None:
    """Without PF a list is vendor specific, and there is no such."""
    assert refusal(Bench().run(send(0, 4), bytes(4))) == in_cdb(1, 4)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(3), (Sense.PARAMETER_LIST_LENGTH_ERROR, None)),
        (bytes(5), (Sense.PARAMETER_LIST_LENGTH_ERROR, None)),
        (b"\x40\0\0\0", in_list(0)),
        (b"\0\1\0\0", in_list(1)),
        (b"\0\0\0\1", in_list(2)),
    ],
)
def test_bad_page(data: bytes, expected: object) -> None:
    """The one page that can be sent is the list of pages, which is empty on its way out."""
    assert refusal(Bench().run(send(PF, len(data)), data)) == expected


def test_pages() -> None:
    """The pages are asked for by either command, and there is one: the list of them."""
    bench = Bench()
    assert bench.run(send(0)) == GOOD
    assert bench.run(send(PF)) == GOOD
    assert bench.run(send(PF, 4), bytes(4)) == GOOD
    assert data_of(bench.run(receive())) == bytes((0, 0, 0, 1, 0))
    assert data_of(bench.run(receive(0))) == bytes((0, 0, 0, 1, 0))
    assert data_of(bench.run(receive(0, 2))) == bytes(2)


@pytest.mark.parametrize("page", [0x01, 0x40, 0xFF])
def test_no_such_page(page: int) -> None:
    """Any other page is refused."""
    assert refusal(Bench().run(receive(page))) == in_cdb(2)


def test_needs_the_medium() -> None:
    """A unit that is stopped cannot test itself."""
    bench = Bench()
    bench.run(bytes((0x1B, 0, 0, 0, 0, 0)))
    assert refusal(bench.run(send(SELFTEST)))[0] is Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED
