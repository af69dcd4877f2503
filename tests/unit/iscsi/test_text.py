from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.discovery import PortalAddress, TargetRecord
from isthmus.iscsi.errors import PduRejected
from isthmus.iscsi.keys import KEYS, Phase
from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason
from isthmus.iscsi.parameters import ConnectionParameters
from isthmus.iscsi.pdu import TextRequest, TextResponse
from isthmus.iscsi.text import TextExchange
from isthmus.iscsi.text_format import TextAssembler
from isthmus.names import IscsiName
from tests.support.pdus import pdus_of

PORTAL = PortalAddress(host="192.0.2.1", port=3260, target_portal_group_tag=1)
ITT = 5


class Targets:
    """A directory of this many targets."""

    def __init__(self, count: int = 1) -> None:
        self.names = [IscsiName(f"iqn.2001-04.com.example:disk{number:04}") for number in range(count)]

    def targets(self) -> Iterable[TargetRecord]:
        return (TargetRecord(name=name, portals=(PORTAL,)) for name in self.names)


def exchange(count: int = 1, *, session_target: IscsiName | None = None, limit: int = 8192) -> TextExchange:
    """The exchanges of one connection, whose initiator takes segments of `limit` bytes."""
    parameters = ConnectionParameters(max_xmit_data_segment_length=limit)
    return TextExchange(directory=Targets(count), session_target=session_target, parameters=parameters)


def request(*text: str, **fields: Any) -> TextRequest:
    """A Text Request that is complete in itself."""
    values: dict[str, Any] = {
        "initiator_task_tag": ITT,
        "data_segment": "".join(f"{pair}\0" for pair in text).encode(),
        "lun": 3,
    }
    return TextRequest(**(values | fields))


def text_of(response: TextResponse) -> list[str]:
    """The pairs of a response that is complete in itself."""
    return bytes(response.data_segment).decode().split("\0")[:-1]


def test_a_request_and_its_answer() -> None:
    """Final, with the reserved tag, and the task tag and LUN of the request (RFC 7143 §11.11)."""
    response = exchange(2).receive(request("SendTargets=All"))
    assert text_of(response) == [
        "TargetName=iqn.2001-04.com.example:disk0000",
        "TargetAddress=192.0.2.1:3260,1",
        "TargetName=iqn.2001-04.com.example:disk0001",
        "TargetAddress=192.0.2.1:3260,1",
    ]
    assert (response.final, response.continue_, response.target_transfer_tag) == (True, False, RESERVED_TAG)
    assert (response.initiator_task_tag, response.lun) == (ITT, 3)


def test_a_normal_session_asks_for_its_own_target() -> None:
    """The empty value (RFC 7143, Appendix C)."""
    own = IscsiName("iqn.2001-04.com.example:disk0001")
    response = exchange(3, session_target=own).receive(request("SendTargets="))
    assert text_of(response) == [f"TargetName={own}", "TargetAddress=192.0.2.1:3260,1"]


def test_no_targets_is_an_empty_answer() -> None:
    """It is an answer all the same."""
    response = exchange(0).receive(request("SendTargets=All"))
    assert (response.final, response.data_segment) == (True, b"")


@pytest.mark.parametrize(
    ("pair", "answer"),
    [
        ("SendTargetsPlease=All", ["SendTargetsPlease=NotUnderstood"]),
        ("sENDtARGETS=All", ["sENDtARGETS=NotUnderstood"]),
        ("SendTargets=Alle", ["SendTargets=Reject"]),
        ("X-com.example=1", ["X-com.example=NotUnderstood"]),
        ("TargetAlias=a", ["TargetAlias=Reject"]),
        ("IFMarker=No", ["IFMarker=Reject"]),
        ("InitiatorAlias=db 1", []),
        ("MaxRecvDataSegmentLength=65536", []),
    ],
)
def test_one_key_and_its_answer(pair: str, answer: list[str]) -> None:
    """Declarations have none; keys that are not the initiator's, or nobody's, are turned down."""
    assert text_of(exchange().receive(request(pair))) == answer


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if not key.phases & Phase.FULL_FEATURE])
def test_a_key_of_login_is_rejected(name: str) -> None:
    """Its value stays as login left it (RFC 7143 §13)."""
    assert text_of(exchange().receive(request(f"{name}=1"))) == [f"{name}=Reject"]


# -- MaxRecvDataSegmentLength ----------------------------------------------------------------------------------------


def test_a_declaration_changes_the_connection_at_the_end_of_its_exchange() -> None:
    """Not before the exchange is complete."""
    texts = exchange()
    first = texts.receive(request("MaxRecvDataSegmentLength=65536", final=False))
    assert texts.parameters.max_xmit_data_segment_length == 8192
    last = texts.receive(request(target_transfer_tag=first.target_transfer_tag))
    assert last.final
    assert texts.parameters.max_xmit_data_segment_length == 65536


@pytest.mark.parametrize("value", ["511", "16777216", "x", "Reject"])
def test_a_declaration_that_cannot_be_is_rejected(value: str) -> None:
    """By a Reject, and nothing changes."""
    texts = exchange()
    with pytest.raises(PduRejected) as rejected:
        texts.receive(request(f"MaxRecvDataSegmentLength={value}"))
    assert rejected.value.reason is RejectReason.PROTOCOL_ERROR
    assert texts.parameters.max_xmit_data_segment_length == 8192


# -- Texts of several PDUs -------------------------------------------------------------------------------------------


def fetch(texts: TextExchange, response: TextResponse) -> list[TextResponse]:
    """The responses from `response` to the final one, asked for with empty requests."""
    responses = [response]
    while not responses[-1].final:
        responses.append(texts.receive(request(target_transfer_tag=responses[-1].target_transfer_tag)))
    return responses


@given(count=st.integers(0, 60), limit=st.integers(512, 3000))
def test_a_long_answer_comes_in_pieces(count: int, limit: int) -> None:
    """Each as long as the initiator takes, all but the last with the C bit, and no target is lost."""
    texts = exchange(count, limit=limit)
    responses = fetch(texts, texts.receive(request("SendTargets=All")))
    assert all(len(bytes(response.data_segment)) <= limit for response in responses)
    assert all(response.continue_ and response.target_transfer_tag != RESERVED_TAG for response in responses[:-1])
    assert (responses[-1].continue_, responses[-1].target_transfer_tag) == (False, RESERVED_TAG)
    assembler, pairs = TextAssembler(), None
    for response in responses:
        pairs = assembler.add(response.data_segment, more=response.continue_)
    assert pairs is not None
    assert [value for name, value in pairs if name == "TargetName"] == Targets(count).names


def test_a_long_request_comes_in_pieces() -> None:
    """Each but the last is answered without text, and with a tag to go on with."""
    texts = exchange()
    tag, text = RESERVED_TAG, b"SendTargets=iqn.2001-04.com.example:disk0000\0"
    for start in range(0, 40, 10):
        response = texts.receive(
            request(final=False, continue_=True, target_transfer_tag=tag, data_segment=text[start : start + 10])
        )
        tag = response.target_transfer_tag
        assert (response.final, response.continue_, response.data_segment) == (False, False, b"")
        assert tag != RESERVED_TAG
    assert len(text_of(texts.receive(request(target_transfer_tag=tag, data_segment=text[40:])))) == 2


def test_an_exchange_of_several_texts() -> None:
    """It goes on until the initiator sets the F bit (RFC 7143 §11.10.1)."""
    texts = exchange()
    first = texts.receive(request("X-a=1", final=False))
    assert (first.final, text_of(first)) == (False, ["X-a=NotUnderstood"])
    second = texts.receive(request("X-b=1", target_transfer_tag=first.target_transfer_tag))
    assert (second.final, text_of(second)) == (True, ["X-b=NotUnderstood"])


def test_the_reserved_tag_resets() -> None:
    """What went on before is forgotten, and its tag with it (RFC 7143 §11.10.4)."""
    texts = exchange(100, limit=512)
    first = texts.receive(request("SendTargets=All"))
    assert not first.final
    fresh = texts.receive(request("X-a=1"))
    assert (fresh.final, text_of(fresh)) == (True, ["X-a=NotUnderstood"])
    with pytest.raises(PduRejected):
        texts.receive(request(target_transfer_tag=first.target_transfer_tag))


def test_a_declaration_that_is_reset_changes_nothing() -> None:
    """Its exchange never ended."""
    texts = exchange()
    texts.receive(request("MaxRecvDataSegmentLength=65536", final=False))
    texts.receive(request("X-a=1"))
    assert texts.parameters.max_xmit_data_segment_length == 8192


# -- What is rejected ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (request("X-a=1", continue_=True), RejectReason.PROTOCOL_ERROR),
        (request(target_transfer_tag=77), RejectReason.PROTOCOL_ERROR),
        (request(initiator_task_tag=RESERVED_TAG), RejectReason.INVALID_PDU_FIELD),
        (request(data_segment=b"SendTargets"), RejectReason.PROTOCOL_ERROR),
        (request(data_segment=b"\xff=\0"), RejectReason.PROTOCOL_ERROR),
        (request("X-a=1", "X-a=2"), RejectReason.PROTOCOL_ERROR),
        (request("SendTargets=Irrelevant"), RejectReason.PROTOCOL_ERROR),
        (request("InitiatorAlias=" + "a" * 256), RejectReason.PROTOCOL_ERROR),
    ],
)
def test_requests_that_break_the_rules(wrong: TextRequest, reason: RejectReason) -> None:
    """F bit with C bit, a tag that nobody gave, no task tag, text that is none, a key twice."""
    texts = exchange()
    with pytest.raises(PduRejected) as rejected:
        texts.receive(wrong)
    assert rejected.value.reason is reason
    assert texts.receive(request("SendTargets=All")).final


def test_a_rejected_request_ends_its_exchange() -> None:
    """The tag is worth nothing any more."""
    texts = exchange()
    first = texts.receive(request("X-a=1", final=False))
    for wrong in (request("X-a=1", target_transfer_tag=first.target_transfer_tag), request(target_transfer_tag=1)):
        with pytest.raises(PduRejected):
            texts.receive(wrong)


def test_another_task_cannot_go_on_with_it() -> None:
    """Tag and task tag belong together."""
    texts = exchange()
    first = texts.receive(request("X-a=1", final=False))
    with pytest.raises(PduRejected):
        texts.receive(request(target_transfer_tag=first.target_transfer_tag, initiator_task_tag=6))
    assert texts.receive(request(target_transfer_tag=first.target_transfer_tag)).final


def test_text_in_the_middle_of_an_answer() -> None:
    """While our answer is not complete, the initiator's requests are empty (RFC 7143 §6.2)."""
    texts = exchange(100, limit=512)
    first = texts.receive(request("SendTargets=All"))
    with pytest.raises(PduRejected):
        texts.receive(request("X-a=1", target_transfer_tag=first.target_transfer_tag))


def test_budgets() -> None:
    """Neither text nor keys go on for ever in one exchange."""
    texts = exchange()
    tag = RESERVED_TAG
    for number in range(256):
        tag = texts.receive(request(f"X-{number}=1", final=False, target_transfer_tag=tag)).target_transfer_tag
    with pytest.raises(PduRejected, match="keys"):
        texts.receive(request("X-more=1", final=False, target_transfer_tag=tag))
    tag = RESERVED_TAG
    for _ in range(8):
        piece = request(final=False, continue_=True, target_transfer_tag=tag, data_segment=b"A" * 8192)
        tag = texts.receive(piece).target_transfer_tag
    with pytest.raises(PduRejected, match="budget"):
        texts.receive(request(final=False, continue_=True, target_transfer_tag=tag, data_segment=b"A"))


@given(requests=st.lists(pdus_of(TextRequest) | st.just(request("SendTargets=All")), max_size=6))
def test_no_requests_raise_anything_but_a_reject(requests: list[TextRequest]) -> None:
    """Any flags, tags and bytes."""
    texts = exchange(20, limit=512)
    for pdu in requests:
        try:
            response = texts.receive(pdu)
        except PduRejected:
            continue
        assert response.final == (response.target_transfer_tag == RESERVED_TAG)
        assert not (response.final and response.continue_)
