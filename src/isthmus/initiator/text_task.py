"""A text negotiation in progress: requests and answers of any number of PDUs (RFC 7143 §6.2, §11.10, §11.11)."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from isthmus.initiator.task import Task
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import Pdu, ResponsePdu, TextRequest, TextResponse
from isthmus.iscsi.text_format import Pair, TextAssembler, encode_text, split_text

__all__ = ["MAX_ANSWERS", "TextTask"]

MAX_ANSWERS: Final = 8192
"""PDUs that a target may take for its answer, so that a negotiation ends whatever it does."""
MAX_ANSWER_BYTES: Final = 16 << 20
"""Bytes of text in an answer: SendTargets of a target with 100,000 portals takes about 10 MB."""
MAX_ANSWER_KEYS: Final = 1 << 18
"""Pairs in an answer: SendTargets takes one for each target and one for each of its portals."""


class TextTask(Task[list[Pair]]):
    """Sends pairs, a PDU at a time, and collects those of the answer."""

    def __init__(self, initiator_task_tag: int, pairs: Sequence[Pair], *, max_data_segment_length: int) -> None:
        """`max_data_segment_length` (bytes) is what the target takes."""
        super().__init__(initiator_task_tag)
        self._unsent = deque(split_text(encode_text(pairs), max_data_segment_length))
        self._assembler = TextAssembler(budget=MAX_ANSWER_BYTES, max_keys=MAX_ANSWER_KEYS)
        self._answers = 0
        self._pairs: list[Pair] = []

    def request(self) -> TextRequest:
        return self._next_request(RESERVED_TAG)

    def _next_request(self, target_transfer_tag: int) -> TextRequest:
        """The next piece of the text, or, when all is sent, an empty request for the rest of the answer."""
        segment = self._unsent.popleft() if self._unsent else b""
        return TextRequest(
            is_immediate=True,
            final=not self._unsent,
            continue_=bool(self._unsent),
            initiator_task_tag=self.initiator_task_tag,
            target_transfer_tag=target_transfer_tag,
            data_segment=segment,
        )

    def receive(self, pdu: ResponsePdu) -> Iterable[Pdu]:
        if not isinstance(pdu, TextResponse):
            raise ConnectionViolation(f"{type(pdu).__name__} answers a Text Request")
        self._take(pdu)
        if pdu.final:
            self.succeed(self._pairs)
            return ()
        if pdu.target_transfer_tag == RESERVED_TAG:
            raise ConnectionViolation("a Text Response that is not final has the reserved tag (RFC 7143 §11.11.4)")
        return (self._next_request(pdu.target_transfer_tag),)

    def _take(self, pdu: TextResponse) -> None:
        self._answers += 1
        if self._answers > MAX_ANSWERS:
            raise ConnectionViolation(f"more than {MAX_ANSWERS} Text Responses for one request")
        if pdu.final and (pdu.continue_ or self._unsent):
            raise ConnectionViolation("a Text Response is final before the text is complete (RFC 7143 §11.11.1)")
        self._pairs += self._assembler.add(pdu.data_segment, more=pdu.continue_) or []
