import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.codec import decode, encode
from isthmus.iscsi.pdu import DataIn, ScsiResponse
from isthmus.iscsi.response import (
    DATA_IN_WITH_STATUS,
    RESIDUAL_OVERFLOW,
    RESIDUAL_UNDERFLOW,
    SCSI_GOOD,
    SCSI_GOOD_HEAD,
    data_in_header,
    residual,
    scsi_response_header,
)

NUMBER = st.integers(0, 0xFFFF_FFFF)
LENGTH = st.integers(0, 0xFF_FFFF)
RESIDUAL_FLAG = st.sampled_from([0, RESIDUAL_OVERFLOW, RESIDUAL_UNDERFLOW])


@pytest.mark.parametrize(
    ("expected", "actual", "result"),
    [
        (512, 512, (0, 0)),
        (0, 0, (0, 0)),
        (512, 1024, (RESIDUAL_OVERFLOW, 512)),
        (512, 0, (RESIDUAL_UNDERFLOW, 512)),
    ],
)
def test_residuals(expected: int, actual: int, result: tuple[int, int]) -> None:
    """Overflow and underflow never come together (RFC 7143 §11.4.5)."""
    assert residual(expected, actual) == result


@given(RESIDUAL_FLAG, st.integers(0, 255), LENGTH, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)
def test_a_response_is_packed_as_the_pdu_says(
    flag: int, status: int, length: int, tag: int, stat_sn: int, exp: int, max_: int, data_sn: int, count: int
) -> None:
    """The short way to the bytes gives the same as the long one (RFC 7143 §11.4)."""
    header = scsi_response_header(
        residual_flag=flag,
        status=status,
        length=length,
        initiator_task_tag=tag,
        stat_sn=stat_sn,
        exp_cmd_sn=exp,
        max_cmd_sn=max_,
        exp_data_sn=data_sn,
        residual_count=count,
    )
    pdu = ScsiResponse(
        status=status,
        initiator_task_tag=tag,
        stat_sn=stat_sn,
        exp_cmd_sn=exp,
        max_cmd_sn=max_,
        exp_data_sn=data_sn,
        residual_overflow=flag == RESIDUAL_OVERFLOW,
        residual_underflow=flag == RESIDUAL_UNDERFLOW,
        residual_count=count,
    )
    assert decode(header) == pdu
    assert header[5:8] == length.to_bytes(3)
    assert header[:4] + bytes(4) + header[8:] == bytes(encode(pdu)[0])


@given(NUMBER, NUMBER, NUMBER, NUMBER)
def test_a_good_response_is_that_of_a_command_without_anything_else(
    tag: int, stat_sn: int, exp: int, max_: int
) -> None:
    """No data, no residual, no R2T."""
    pdu = ScsiResponse(initiator_task_tag=tag, stat_sn=stat_sn, exp_cmd_sn=exp, max_cmd_sn=max_)
    assert SCSI_GOOD.pack(SCSI_GOOD_HEAD, tag, stat_sn, exp, max_) == bytes(encode(pdu)[0])


@given(RESIDUAL_FLAG, LENGTH, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)
def test_data_in_is_packed_as_the_pdu_says(
    flag: int, length: int, tag: int, stat_sn: int, exp: int, max_: int, data_sn: int, offset: int, count: int
) -> None:
    """With F and S, as the last PDU of a read is (RFC 7143 §11.7)."""
    header = data_in_header(
        flags=DATA_IN_WITH_STATUS | flag,
        status=0,
        length=length,
        initiator_task_tag=tag,
        stat_sn=stat_sn,
        exp_cmd_sn=exp,
        max_cmd_sn=max_,
        data_sn=data_sn,
        buffer_offset=offset,
        residual_count=count,
    )
    pdu = DataIn(
        has_status=True,
        initiator_task_tag=tag,
        stat_sn=stat_sn,
        exp_cmd_sn=exp,
        max_cmd_sn=max_,
        data_sn=data_sn,
        buffer_offset=offset,
        residual_overflow=flag == RESIDUAL_OVERFLOW,
        residual_underflow=flag == RESIDUAL_UNDERFLOW,
        residual_count=count,
    )
    assert header[5:8] == length.to_bytes(3)
    assert header[:4] + bytes(4) + header[8:] == bytes(encode(pdu)[0])
