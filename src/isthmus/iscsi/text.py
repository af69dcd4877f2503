"""Text Requests in full feature phase, on the target's side (RFC 7143 §6.2, §11.10, §11.11).

One exchange at a time runs on a connection. It begins with a request whose Target Transfer Tag is reserved, and if it takes
more than one response, the tag that we give carries it on. The C bit cuts a long text into several PDUs, ours as well as
theirs; while we have more to say the initiator's requests are empty. It ends when our response has the F bit. Another
request with the reserved tag resets whatever was going on.
"""

import dataclasses
from typing import Final

from isthmus.iscsi.discovery import Directory, send_targets
from isthmus.iscsi.errors import PduRejected
from isthmus.iscsi.keys import KEYS, NOT_UNDERSTOOD, REJECT, RESERVED_VALUES, Phase, ResultFunction, Senders
from isthmus.iscsi.negotiation import NegotiationViolation, refuse_repeated_keys
from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason
from isthmus.iscsi.parameters import ConnectionParameters
from isthmus.iscsi.pdu import TextRequest, TextResponse
from isthmus.iscsi.text_format import MAX_KEYS, Pair, TextAssembler, TextViolation, encode_text, split_text
from isthmus.names import IscsiName

__all__ = ["TextExchange"]

_MAX_RECV: Final = KEYS["MaxRecvDataSegmentLength"]


class TextExchange:
    """The text exchanges of one connection, one after the other."""

    def __init__(
        self, *, directory: Directory, session_target: IscsiName | None, parameters: ConnectionParameters
    ) -> None:
        """`session_target` is None in a discovery session; `parameters` are those that login settled."""
        self._directory = directory
        self._session_target = session_target
        self._last_tag = 0
        self._exchange: _Exchange | None = None
        self.parameters = parameters
        """Those of the connection: an exchange that declares another MaxRecvDataSegmentLength changes them at its end."""

    def receive(self, request: TextRequest) -> TextResponse:
        """Take one request; gives its response, whose sequence numbers the caller fills in.

        Raises `PduRejected`, which ends the exchange.
        """
        exchange = self._exchange_of(request)
        self._exchange = None
        try:
            response = self._advance(exchange, request)
        except (TextViolation, NegotiationViolation) as error:
            raise PduRejected(RejectReason.PROTOCOL_ERROR, str(error)) from error
        if response.final:
            self.parameters = exchange.parameters
        else:
            self._exchange = exchange
        return response

    def _exchange_of(self, request: TextRequest) -> "_Exchange":
        if request.initiator_task_tag == RESERVED_TAG:
            raise PduRejected(RejectReason.INVALID_PDU_FIELD, "a Text Request with the reserved task tag (§11.2.1.8)")
        tag = request.target_transfer_tag
        if tag == RESERVED_TAG:
            self._last_tag = (self._last_tag + 1) % RESERVED_TAG
            return _Exchange(request, self._last_tag, self.parameters)
        exchange = self._exchange
        if exchange is None or (request.initiator_task_tag, tag) != (exchange.initiator_task_tag, exchange.tag):
            raise PduRejected(RejectReason.PROTOCOL_ERROR, f"no text exchange has tag {tag:#x} (§11.10.4)")
        return exchange

    def _advance(self, exchange: "_Exchange", request: TextRequest) -> TextResponse:
        if request.final and request.continue_:
            raise TextViolation("F bit and C bit together (RFC 7143 §11.10.2)")
        if exchange.unsent:
            _check_fetches_answer(request)
            return exchange.respond(request)
        pairs = exchange.text.add(request.data_segment, more=request.continue_)
        # A request with the C bit is answered without text (§6.2).
        exchange.send([] if pairs is None else self._answer(exchange, pairs))
        return exchange.respond(request)

    def _answer(self, exchange: "_Exchange", pairs: list[Pair]) -> list[Pair]:
        exchange.seen += pairs
        if len(exchange.seen) > MAX_KEYS:
            raise TextViolation(f"more than {MAX_KEYS} keys in one exchange")
        refuse_repeated_keys(exchange.seen)
        return [answer for name, text in pairs for answer in self._answer_one(exchange, name, text)]

    def _answer_one(self, exchange: "_Exchange", name: str, text: str) -> list[Pair]:
        """The answers to one key: most keys belong to login, and are as login left them (RFC 7143 §13)."""
        if text in RESERVED_VALUES:
            raise NegotiationViolation(f"{name}={text} answers nothing (RFC 7143 §6.2)")
        key = KEYS.get(name)
        if key is None:
            return [(name, NOT_UNDERSTOOD)]
        if not (key.phases & Phase.FULL_FEATURE and key.senders & Senders.INITIATOR):
            return [(name, REJECT)]
        if key.result is ResultFunction.REQUEST:
            return send_targets(text, self._directory, self._session_target)
        value = key.value.parse(text)
        if key is _MAX_RECV:
            assert isinstance(value, int)
            exchange.parameters = dataclasses.replace(exchange.parameters, max_xmit_data_segment_length=value)
        return []


class _Exchange:
    """One exchange: what came, and what is still to be said."""

    def __init__(self, request: TextRequest, tag: int, parameters: ConnectionParameters) -> None:
        self.initiator_task_tag = request.initiator_task_tag
        self.tag = tag
        self.text = TextAssembler()
        self.seen: list[Pair] = []
        self.unsent: list[bytes] = []
        self.parameters = parameters
        self._limit = parameters.max_xmit_data_segment_length

    def send(self, pairs: list[Pair]) -> None:
        """Have `pairs` go out with this response, and the following ones if they are long."""
        self.unsent = split_text(encode_text(pairs), self._limit)

    def respond(self, request: TextRequest) -> TextResponse:
        """The next response: final if it says the last of what there is to say, to an initiator that has no more either."""
        segment = self.unsent.pop(0)
        final = request.final and not self.unsent
        return TextResponse(
            final=final,
            continue_=bool(self.unsent),
            lun=request.lun,
            initiator_task_tag=self.initiator_task_tag,
            target_transfer_tag=RESERVED_TAG if final else self.tag,
            data_segment=segment,
        )


def _check_fetches_answer(request: TextRequest) -> None:
    """While our answer has the C bit, the initiator's requests are empty (RFC 7143 §6.2)."""
    if memoryview(request.data_segment).nbytes or request.continue_:
        raise TextViolation("text in the middle of our answer (RFC 7143 §6.2)")
