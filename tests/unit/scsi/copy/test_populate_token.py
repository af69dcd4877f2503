"""POPULATE TOKEN: what a token says, and what it takes to be made."""

import struct
from typing import Any

import pytest

from isthmus.backstores.operations import Write
from isthmus.scsi.copy.limits import (
    DEFAULT_INACTIVITY_TIMEOUT,
    MAX_INACTIVITY_TIMEOUT,
    MAX_RANGE_DESCRIPTORS,
    MAX_TOKENS,
)
from isthmus.scsi.copy.rod_token import RodType
from isthmus.scsi.copy.rod_tokens import TokenState
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response
from tests.support.copying import NUM_BLOCKS, CopyBench, populate_list, populate_token
from tests.support.primary import in_list, refusal
from tests.support.scsi import HeldExecutor, write_10


def populate(bench: CopyBench, *ranges: tuple[int, int], **fields: Any) -> Response:
    """The answer to POPULATE TOKEN."""
    data = populate_list(ranges, **fields)
    return bench.run(populate_token(len(data)), data)


def test_what_a_token_says() -> None:
    """Its type, its maker, for how many bytes it stands, the length of blocks, and whose target it is of."""
    bench = CopyBench()
    token = bench.populate((0, 8), (100, 2))
    kind, length = struct.unpack_from(">I2xH", token)
    assert (kind, length) == (RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE, 504)
    assert token[16:48] == bench.cscds(bench.source)[0]
    assert int.from_bytes(token[48:64]) == 10 * 512
    assert token[64:96] == bytes(32)
    block_length, exponent, provisioning = struct.unpack_from(">IxBH", token, 96)
    assert (block_length, exponent, provisioning) == (512, 3, 0xC000)
    assert token[128:130] == bytes((0x53, 0xA8))
    assert token[132 : 132 + token[131]].rstrip(b"\0").decode() == bench.nexus.target_name


def test_tokens_differ() -> None:
    """Two tokens for the same blocks have nothing in common that could be a key."""
    bench = CopyBench()
    first, second = bench.populate((0, 8)), bench.populate((0, 8))
    assert first[:8] == second[:8]
    assert first[8:16] != second[8:16]
    assert first[-64:] != second[-64:]


def test_without_a_parameter_list() -> None:
    """No parameter list, no token, no error."""
    bench = CopyBench()
    assert bench.run(populate_token(0)).status is Status.GOOD
    assert not bench.source.has_tokens


@pytest.mark.parametrize(
    "kind",
    [
        RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE,
        RodType.POINT_IN_TIME_COPY_ANY,
    ],
)
def test_types_that_can_be_asked_for(kind: RodType) -> None:
    """Whatever point in time copy is asked for without more, the token says what it is."""
    token = CopyBench().populate((0, 8), rod_type=kind)
    assert int.from_bytes(token[:4]) == RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE


@pytest.mark.parametrize(
    "kind",
    [
        RodType.COPY_MANAGER_INTERNAL,
        RodType.ACCESS_UPON_REFERENCE,
        RodType.POINT_IN_TIME_COPY_DEFAULT,
        RodType.POINT_IN_TIME_COPY_PERSISTENT,
        RodType.BLOCK_DEVICE_ZERO,
        0x1234,
    ],
)
def test_types_that_cannot_be_had(kind: int) -> None:
    """What cannot be kept is not promised."""
    assert refusal(populate(CopyBench(), (0, 8), rod_type=kind)) == in_list(8)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(0, 8), (7, 1)], in_list(32)),
        ([(0, 1)] * (MAX_RANGE_DESCRIPTORS + 1), (Sense.TOO_MANY_SEGMENT_DESCRIPTORS, FieldPointer(14, in_cdb=False))),
        ([(NUM_BLOCKS - 1, 2)], (Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, FieldPointer(16, in_cdb=False))),
    ],
)
def test_ranges_that_cannot_be(ranges: list[tuple[int, int]], expected: object) -> None:
    """Blocks twice, too many ranges, blocks that are not there."""
    bench = CopyBench()
    assert refusal(populate(bench, *ranges)) == expected
    assert not bench.source.has_tokens


@pytest.mark.parametrize("length", [1, 15, 65538])
def test_list_lengths_that_cannot_be(length: int) -> None:
    """Less than the header, or more than the list can say of itself."""
    bench = CopyBench()
    response = bench.owner.ends[bench.task(populate_token(length))]
    assert response is not None
    assert refusal(response) == (Sense.PARAMETER_LIST_LENGTH_ERROR, FieldPointer(10))


def test_a_token_for_nothing() -> None:
    """Ranges without blocks are no error: the token stands for no bytes."""
    bench = CopyBench()
    token = bench.populate((5, 0))
    assert int.from_bytes(token[48:64]) == 0
    assert bench.run(write_10(5, 1), b"x" * 512).status is Status.GOOD
    assert bench.source.has_tokens


def test_inactivity_timeout() -> None:
    """As long as was asked for, the default for 0, and not longer than the limit."""
    bench = CopyBench()
    for asked, given in ((0, DEFAULT_INACTIVITY_TIMEOUT), (5, 5), (MAX_INACTIVITY_TIMEOUT, MAX_INACTIVITY_TIMEOUT)):
        token = bench.populate((0, 8), timeout=asked)
        assert bench.source.copy_manager is not None
        found = bench.source.copy_manager.tokens.find(token)
        assert found is not None
        assert found.inactivity_timeout == given
    assert refusal(populate(bench, (0, 8), timeout=MAX_INACTIVITY_TIMEOUT + 1)) == in_list(4)


def test_too_many_tokens() -> None:
    """The number of valid tokens is limited; one that expires makes room."""
    bench = CopyBench()
    for _ in range(MAX_TOKENS):
        bench.populate((0, 8))
    assert refusal(populate(bench, (0, 8)))[0] is Sense.INSUFFICIENT_RESOURCES_TO_CREATE_ROD_TOKEN
    bench.clock.now += DEFAULT_INACTIVITY_TIMEOUT + 1
    assert populate(bench, (0, 8)).status is Status.GOOD


def test_a_token_is_made_between_writes() -> None:
    """It waits for a write to its blocks that is under way, and a later one waits for it, and revokes it."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    bench.start(write_10(4, 1), b"1" * 512)
    data = populate_list([(0, 8)])
    making = bench.start(populate_token(len(data)), data)
    later = bench.start(write_10(5, 1), b"2" * 512)
    assert [type(operation) for operation in executor.operations] == [Write]
    assert not bench.source.has_tokens
    executor.finish()
    while making not in bench.owner.ends:
        executor.finish()
    token = bench.information(1).token
    assert token is not None
    assert bench.source.copy_manager is not None
    found = bench.source.copy_manager.tokens.find(token)
    assert found is not None
    while later not in bench.owner.ends:
        executor.finish()
    assert found.state is TokenState.REVOKED


def test_the_engine_may_not_write_while_a_token_is_valid() -> None:
    """Writes have to take the long way, where they revoke the token; reads need not."""
    bench = CopyBench()
    bench.source.mode = type(bench.source.mode)(write_back=True)
    bench.source.refresh_grants()
    grant = bench.nexus.grants[encode_lun(0)]
    seen = [(grant.reads, grant.writes)]
    bench.populate((0, 8))
    seen.append((grant.reads, grant.writes))
    for lba in (100, 0):
        assert bench.run(write_10(lba, 1), b"x" * 512).status is Status.GOOD
        seen.append((grant.reads, grant.writes))
    assert seen == [(True, True), (True, False), (True, False), (True, True)]


def test_an_expired_token_gives_the_leave_back() -> None:
    """The next write that takes the long way finds that nobody holds it there any more."""
    bench = CopyBench()
    grant = bench.nexus.grants[encode_lun(0)]
    bench.populate((0, 8))
    bench.clock.now += DEFAULT_INACTIVITY_TIMEOUT + 1
    seen = [grant.writes]
    bench.run(write_10(100, 1), b"x" * 512)
    seen.append(grant.writes)
    assert seen == [False, True]
