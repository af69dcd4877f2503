"""Whatever an initiator sends as the parameter list of a copy, it gets an answer, and a bug of ours is none."""

import random
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.scsi.status import Status
from tests.support.copying import (
    ZERO_TOKEN,
    CopyBench,
    blocks,
    copy_list_lid1,
    copy_list_lid4,
    extended_copy,
    populate_list,
    populate_token,
    segment,
    write_list,
    write_using_token,
)

BENCH = CopyBench()
HIDDEN = blocks(BENCH.hidden, 0, BENCH.hidden.num_blocks)
CSCDS = BENCH.cscds(BENCH.source, BENCH.hidden, BENCH.destination)
LISTS = {
    "lid1": copy_list_lid1(CSCDS, [segment(0, 1, 2), segment(5, 6, 7, destination=2)]),
    "lid4": copy_list_lid4(CSCDS, [segment(0, 1, 2), segment(5, 6, 7, destination=2)]),
    "populate": populate_list([(0, 8), (20, 4)]),
    "write": write_list(ZERO_TOKEN, [(0, 8), (20, 4)]),
}
COMMANDS: dict[str, Callable[[int], bytes]] = {
    "lid1": extended_copy,
    "lid4": partial(extended_copy, lid4=True),
    "populate": populate_token,
    "write": write_using_token,
}


def run(name: str, data: bytes) -> None:
    """Send it; the unit that is out of reach must stay what it is."""
    response = BENCH.run(COMMANDS[name](len(data)), data)
    assert response.status in (Status.GOOD, Status.CHECK_CONDITION)
    assert BENCH.internal_errors == []
    assert blocks(BENCH.hidden, 0, BENCH.hidden.num_blocks) == HIDDEN


@pytest.mark.parametrize("name", LISTS)
@settings(max_examples=30)
@given(data=st.binary(max_size=700))
def test_any_bytes(name: str, data: bytes) -> None:
    """Bytes without any sense."""
    run(name, data)


@pytest.mark.parametrize("name", LISTS)
@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32), changes=st.integers(1, 4), length=st.integers(0, 60))
def test_a_list_that_is_almost_right(name: str, seed: int, changes: int, length: int) -> None:
    """A list in which some bytes are others, and of which an end may be missing."""
    chance = random.Random(seed)
    data = bytearray(LISTS[name])
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 0x7F, 0xFF, chance.randrange(256)))
    run(name, bytes(data[: len(data) - max(0, length - 30)]))
