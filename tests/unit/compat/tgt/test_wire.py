import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.compat.tgt.errors import Status, WireViolation
from isthmus.compat.tgt.wire import HEADER_BYTES, MAX_BODY_BYTES, Mode, Operation, Request, RequestReader, Response

SHOW_TARGETS = (
    "0100000002000000"  # TARGET, SHOW
    + "6973637369".ljust(128, "0")  # iscsi
    + "78000000ffffffff"  # 120 bytes; no tid
    + "0000000000000000ffffffffffffffff"  # sid, lun
    + "00000000" * 6
)
"""What tgtadm --lld iscsi --mode target --op show sends."""
NUMBERS = st.integers(0, 0xFFFF_FFFF)
TEXTS = st.binary(max_size=200).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any that the wire can carry."""
    return Request(
        mode=draw(NUMBERS),
        operation=draw(NUMBERS),
        lld=draw(st.text("abcdefgh", max_size=63)),
        tid=draw(st.integers(-(1 << 31), (1 << 31) - 1)),
        sid=draw(st.integers(0, (1 << 64) - 1)),
        lun=draw(st.integers(0, (1 << 64) - 1)),
        cid=draw(NUMBERS),
        host_number=draw(NUMBERS),
        device_type=draw(NUMBERS),
        direction=draw(NUMBERS),
        force=draw(st.booleans()),
        text=draw(st.none() | TEXTS),
    )


def test_the_bytes_of_tgtadm() -> None:
    """The layout is that of a C structure of 120 bytes; a request without parameters has no more."""
    request = Request(mode=Mode.TARGET, operation=Operation.SHOW, lld="iscsi")
    assert request.encode().hex() == SHOW_TARGETS
    assert RequestReader().feed(bytes.fromhex(SHOW_TARGETS)) == request


def test_parameters_end_with_a_counted_nul() -> None:
    """As tgtadm's do."""
    data = Request(mode=Mode.SYSTEM, operation=Operation.UPDATE, text="debug=on").encode()
    assert data[72:76] == (HEADER_BYTES + 9).to_bytes(4, "little")
    assert data[HEADER_BYTES:] == b"debug=on\0"


@given(requests(), st.data())
def test_a_request_comes_back_from_its_bytes(request: Request, data: st.DataObject) -> None:
    """However they are cut."""
    encoded = request.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    reader = RequestReader()
    assert reader.feed(encoded[:cut]) is None
    assert reader.wanted > 0
    assert reader.feed(encoded[cut:]) == request
    assert reader.wanted == 0


@given(st.binary(max_size=HEADER_BYTES + 300))
def test_any_bytes_are_a_request_or_a_violation(data: bytes) -> None:
    """Or not enough of them."""
    reader = RequestReader()
    try:
        request = reader.feed(data)
    except WireViolation:
        return
    assert (request is None) == (reader.wanted > 0)


@pytest.mark.parametrize("length", [0, HEADER_BYTES - 1, HEADER_BYTES + MAX_BODY_BYTES + 1, 0xFFFF_FFFF])
def test_a_length_that_no_request_has(length: int) -> None:
    """It would be the number of bytes to wait for."""
    header = bytearray.fromhex(SHOW_TARGETS)
    header[72:76] = length.to_bytes(4, "little")
    with pytest.raises(WireViolation):
        RequestReader().feed(bytes(header))


def test_what_has_no_room_is_not_sent() -> None:
    """Neither a text nor a number."""
    with pytest.raises(ValueError, match="too long"):
        Request(mode=0, operation=0, text="x" * MAX_BODY_BYTES).encode()
    with pytest.raises(ValueError, match="out of range"):
        Request(mode=0, operation=0, tid=1 << 40).encode()


def test_responses() -> None:
    """An error has no text, and an answer without a text no NUL."""
    assert Response().encode() == bytes.fromhex("0000000008000000")
    assert Response(Status.NO_TARGET, "ignored").encode() == bytes.fromhex("0400000008000000")
    assert Response(text="x\n").encode() == bytes.fromhex("000000000b000000") + b"x\n\0"


@given(st.integers(0, 30), TEXTS)
def test_a_response_comes_back_from_its_bytes(status: int, text: str) -> None:
    """With its text, if it is no error."""
    assert Response.decode(Response(status, text).encode()) == Response(status, "" if status else text)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_response_or_a_violation(data: bytes) -> None:
    """A daemon that dies amid its answer is told from one that answers."""
    try:
        response = Response.decode(data)
    except WireViolation:
        return
    assert "\0" not in response.text
