import pytest

from isthmus.iscsi.pdu import DataIn
from tests.support.engine import FIRST_CMD_SN, EngineUnderTest, read
from tests.support.scsi import make_unit


@pytest.mark.parametrize("digests", [False, True])
@pytest.mark.parametrize("num_blocks", [2047, 2048, 2049, 4096])
def test_a_read_around_the_length_of_the_arena_arrives_whole(num_blocks: int, digests: bool) -> None:
    """A Data-In PDU about as long as the arena has its header, its data, and the next PDU right behind it."""
    under_test = EngineUnderTest(make_unit(4 << 20))
    data = bytes(range(256)) * 16384
    under_test.units[0].backstore.write(0, (data,))
    peer = under_test.log_in(
        session={"max_burst_length": 1 << 22},
        max_xmit_data_segment_length=1 << 22,
        header_digest=digests,
        data_digest=digests,
    )
    peer.sends(read(1, FIRST_CMD_SN, 0, 1), read(2, FIRST_CMD_SN + 1, 0, num_blocks), read(3, FIRST_CMD_SN + 2, 0, 1))
    answers = peer.gets()
    assert [isinstance(answer, DataIn) for answer in answers] == [True, True, True]
    assert [bytes(answer.data_segment) for answer in answers] == [data[:512], data[: num_blocks * 512], data[:512]]
