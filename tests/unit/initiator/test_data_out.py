from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.initiator.data_out import DataOutLimits, DataOutSource
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import DataOut, ReadyToTransfer

DATA = bytes(range(100))


def source(data: bytes = DATA, **limits: Any) -> DataOutSource:
    """A source with limits that each test narrows."""
    agreed = {
        "initial_r2t": True,
        "immediate_data": True,
        "first_burst_length": 40,
        "max_burst_length": 60,
        "max_data_segment_length": 16,
    }
    return DataOutSource(data, lun=1 << 48, initiator_task_tag=9, limits=DataOutLimits(**(agreed | limits)))


def r2t(offset: int, length: int, *, r2t_sn: int = 0, tag: int = 77) -> ReadyToTransfer:
    """One R2T."""
    return ReadyToTransfer(
        r2t_sn=r2t_sn, target_transfer_tag=tag, buffer_offset=offset, desired_data_transfer_length=length
    )


def shape(pdus: list[DataOut]) -> list[tuple[int, int, int, bool]]:
    """DataSN, offset, length and F of each."""
    return [(pdu.data_sn, pdu.buffer_offset, len(memoryview(pdu.data_segment)), pdu.final) for pdu in pdus]


@pytest.mark.parametrize(
    ("limits", "length"),
    [
        ({}, 16),
        ({"immediate_data": False}, 0),
        ({"first_burst_length": 10}, 10),
        ({"max_data_segment_length": 200}, 40),
        ({"max_data_segment_length": 200, "first_burst_length": 200}, 100),
    ],
)
def test_immediate_data_keeps_both_limits(limits: dict[str, Any], length: int) -> None:
    """As much as FirstBurstLength and the target's segment length let through, if ImmediateData is Yes."""
    assert source(**limits).immediate == DATA[:length]


def test_nothing_unsolicited_follows_with_initial_r2t() -> None:
    """InitialR2T=Yes: the command is final."""
    out = source()
    assert not out.has_unsolicited
    assert list(out.unsolicited()) == []


def test_unsolicited_data_fills_the_first_burst() -> None:
    """InitialR2T=No: what immediate data left of FirstBurstLength follows under the reserved tag."""
    out = source(initial_r2t=False)
    assert out.has_unsolicited
    pdus = list(out.unsolicited())
    assert shape(pdus) == [(0, 16, 16, False), (1, 32, 8, True)]
    assert {pdu.target_transfer_tag for pdu in pdus} == {RESERVED_TAG}
    assert {(pdu.initiator_task_tag, pdu.lun) for pdu in pdus} == {(9, 1 << 48)}
    assert out.sent == 40


def test_unsolicited_data_without_immediate_data() -> None:
    """The first burst then begins at byte 0."""
    assert shape(list(source(initial_r2t=False, immediate_data=False).unsolicited()))[0] == (0, 0, 16, False)


def test_answers_an_r2t_in_segments() -> None:
    """The burst is cut at the target's segment length, numbered from 0, and its last PDU is final."""
    out = source()
    pdus = list(out.answer(r2t(16, 40)))
    assert shape(pdus) == [(0, 16, 16, False), (1, 32, 16, False), (2, 48, 8, True)]
    assert b"".join(bytes(pdu.data_segment) for pdu in pdus) == DATA[16:56]
    assert {pdu.target_transfer_tag for pdu in pdus} == {77}


def test_answers_several_outstanding_r2ts() -> None:
    """Each R2T has its own numbering of Data-Out, and its R2TSN must follow."""
    out = source()
    first, second = out.answer(r2t(16, 16)), out.answer(r2t(32, 60, r2t_sn=1, tag=78))
    assert shape(list(second))[0] == (0, 32, 16, False)
    assert shape(list(first)) == [(0, 16, 16, True)]
    assert out.num_r2ts == 2


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (r2t(0, 8, r2t_sn=1), "R2TSN 1"),
        (r2t(0, 0), "burst limit"),
        (r2t(0, 61), "burst limit"),
        (r2t(90, 11), "byte 101 of a transfer of 100"),
        (r2t(0, 8, tag=RESERVED_TAG), "reserved"),
    ],
)
def test_refuses_what_no_target_may_ask(request_: ReadyToTransfer, complaint: str) -> None:
    """Each rule of an R2T has its complaint."""
    with pytest.raises(ConnectionViolation, match=complaint):
        source().answer(request_)


@given(
    st.binary(min_size=1, max_size=300),
    st.booleans(),
    st.booleans(),
    st.integers(1, 120),
    st.integers(1, 120),
    st.integers(1, 50),
)
def test_every_byte_goes_out_once(
    data: bytes, initial_r2t: bool, immediate: bool, first: int, burst: int, segment: int
) -> None:
    """Immediate, unsolicited and solicited data together are the data, whatever was negotiated."""
    out = source(
        data,
        initial_r2t=initial_r2t,
        immediate_data=immediate,
        first_burst_length=first,
        max_burst_length=burst,
        max_data_segment_length=segment,
    )
    got = bytes(out.immediate) + b"".join(bytes(pdu.data_segment) for pdu in out.unsolicited())
    r2t_sn = 0
    while len(got) < len(data):
        asked = r2t(len(got), min(burst, len(data) - len(got)), r2t_sn=r2t_sn)
        got += b"".join(bytes(pdu.data_segment) for pdu in out.answer(asked))
        r2t_sn += 1
    assert got == data
    assert out.sent == len(data)
