import pytest

from isthmus.initiator.text_task import MAX_ANSWERS, TextTask
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import NopIn, TextRequest, TextResponse


async def test_one_request_and_one_answer() -> None:
    """The short form: F both ways."""
    task = TextTask(4, [("SendTargets", "All")], max_data_segment_length=8192)
    request = task.request()
    assert (request.final, request.continue_, request.target_transfer_tag) == (True, False, RESERVED_TAG)
    assert bytes(request.data_segment) == b"SendTargets=All\0"
    assert list(task.receive(TextResponse(data_segment=b"TargetName=iqn.x\0"))) == []
    assert await task == [("TargetName", "iqn.x")]


async def test_an_answer_in_pieces_is_fetched() -> None:
    """C and F=0 ask for an empty request under the target's tag (RFC 7143 §6.2)."""
    task = TextTask(4, [], max_data_segment_length=8192)
    task.request()
    [following] = task.receive(
        TextResponse(final=False, continue_=True, target_transfer_tag=66, data_segment=b"TargetName=iqn")
    )
    assert isinstance(following, TextRequest)
    assert (following.target_transfer_tag, bytes(following.data_segment), following.final) == (66, b"", True)
    task.receive(TextResponse(data_segment=b".x\0A=b\0"))
    assert await task == [("TargetName", "iqn.x"), ("A", "b")]


async def test_a_long_request_goes_in_pieces() -> None:
    """Each piece but the last has C and no F, and waits for its empty answer."""
    task = TextTask(4, [("X#a", "1"), ("X#b", "2")], max_data_segment_length=6)
    first = task.request()
    assert (bytes(first.data_segment), first.continue_, first.final) == (b"X#a=1\0", True, False)
    [second] = task.receive(TextResponse(final=False, target_transfer_tag=66))
    assert isinstance(second, TextRequest)
    assert (bytes(second.data_segment), second.continue_, second.final) == (b"X#b=2\0", False, True)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (NopIn(), "NopIn answers"),
        (TextResponse(final=False), "reserved tag"),
        (TextResponse(final=True, continue_=True, data_segment=b"a"), "final before"),
    ],
)
async def test_refuses_answers_that_cannot_be(answer: TextResponse, complaint: str) -> None:
    """Each rule of an answer has its complaint."""
    task = TextTask(4, [], max_data_segment_length=8192)
    task.request()
    with pytest.raises(ConnectionViolation, match=complaint):
        task.receive(answer)


async def test_a_target_cannot_go_on_for_ever() -> None:
    """The number of answers is bounded."""
    task = TextTask(4, [], max_data_segment_length=8192)
    task.request()
    for _ in range(MAX_ANSWERS):
        task.receive(TextResponse(final=False, target_transfer_tag=1))
    with pytest.raises(ConnectionViolation, match="more than"):
        task.receive(TextResponse(final=False, target_transfer_tag=1))


async def test_a_directory_of_a_thousand_targets_fits() -> None:
    """What a login's budget would refuse is an ordinary answer to SendTargets."""
    task = TextTask(4, [("SendTargets", "All")], max_data_segment_length=8192)
    task.request()
    text = b"".join(
        b"TargetName=iqn.2026-01.org.example:%d\0TargetAddress=192.0.2.1:3260,1\0" % number for number in range(1000)
    )
    while len(text) > 8192:
        piece, text = text[:8192], text[8192:]
        task.receive(TextResponse(final=False, continue_=True, target_transfer_tag=66, data_segment=piece))
    task.receive(TextResponse(data_segment=text))
    assert len(await task) == 2000
