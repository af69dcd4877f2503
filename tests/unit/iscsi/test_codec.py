import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.codec import Digests, PduReader, decode, digest, encode
from isthmus.iscsi.errors import ConnectionViolation, DigestError
from isthmus.iscsi.opcodes import BHS_LENGTH
from isthmus.iscsi.pdu import NopOut, Pdu, ScsiCommand, TextRequest, UnknownPdu
from tests.support.pdus import any_pdu

ALL_DIGESTS = [Digests(header=header, data=data) for header, data in itertools.product((False, True), repeat=2)]
DIGESTS = st.sampled_from(ALL_DIGESTS)

# RFC 7143 Appendix A: the CRC examples of RFC 3720 §B.4.
CRC_EXAMPLES = [
    (bytes(32), "aa36918a"),
    (b"\xff" * 32, "43aba862"),
    (bytes(range(32)), "4e79dd46"),
    (bytes(range(31, -1, -1)), "5cdb3f11"),
    (
        bytes.fromhex(
            "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
        ),
        "563a96d9",
    ),
]


def wire(pdu: Pdu, digests: Digests = ALL_DIGESTS[0]) -> bytes:
    """The bytes of `pdu`."""
    return b"".join(bytes(piece) for piece in encode(pdu, digests))


def reader(digests: Digests = ALL_DIGESTS[0], limit: int = 8192) -> PduReader:
    """A reader of its own."""
    return PduReader(max_data_segment_length=limit, digests=digests)


@pytest.mark.parametrize(("data", "expected"), CRC_EXAMPLES)
def test_the_digest_is_that_of_the_rfcs_examples(data: bytes, expected: str) -> None:
    """CRC32C as it stands on the wire."""
    assert digest(data).hex() == expected


def test_a_segment_is_padded_and_its_digest_covers_the_padding() -> None:
    """The length does not count the padding, the digest does (RFC 7143 §11.7, §13.1)."""
    data = wire(TextRequest(data_segment=b"12345"), Digests(header=True, data=True))
    header, header_digest, segment, data_digest = data[:48], data[48:52], data[52:60], data[60:]
    assert header[4:8].hex() == "00000005"
    assert segment == b"12345\0\0\0"
    assert header_digest == digest(header)
    assert data_digest == digest(segment)


def test_a_pdu_without_data_has_no_data_digest() -> None:
    """A data digest follows a data segment only (RFC 7143 §11.1)."""
    assert len(wire(NopOut(), Digests(data=True))) == BHS_LENGTH


def test_a_long_cdb_goes_into_an_extended_cdb_segment() -> None:
    """A 32-byte CDB: 16 bytes in the header, 16 in an AHS of type 1 and length 17 (RFC 7143 §11.2.2.3)."""
    data = wire(ScsiCommand(cdb=bytes(range(32))))
    assert data[4] == 5
    assert data[48:].hex(" ", 4) == "00110100 10111213 14151617 18191a1b 1c1d1e1f"


def test_a_bidirectional_read_length_goes_into_its_segment() -> None:
    """An AHS of type 2 and length 5 (RFC 7143 §11.2.2.4)."""
    data = wire(ScsiCommand(bidirectional_read_data_length=0x1112_1314))
    assert data[48:].hex(" ", 4) == "00050200 11121314"


@given(
    values=st.lists(any_pdu(), max_size=4), digests=DIGESTS, sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8)
)
def test_a_stream_of_pdus_is_cut_where_they_begin(values: list[Pdu], digests: Digests, sizes: list[int]) -> None:
    """Whatever pieces the stream arrives in, the same PDUs come out."""
    stream = b"".join(wire(value, digests) for value in values)
    source, received = reader(digests), []
    chunk_sizes = itertools.cycle(sizes)
    while stream:
        size = next(chunk_sizes)
        source.feed(stream[:size])
        stream = stream[size:]
        while (value := source.next_pdu()) is not None:
            received.append(value)
    assert received == values


@given(value=any_pdu(), digests=DIGESTS, cut=st.integers(0, 400))
def test_a_truncated_pdu_waits_for_the_rest(value: Pdu, digests: Digests, cut: int) -> None:
    """A PDU that is not complete is None, never an error and never half a PDU."""
    data = wire(value, digests)
    source = reader(digests)
    source.feed(data[: min(cut, len(data) - 1)])
    assert source.next_pdu() is None


@given(data=st.binary(max_size=600), digests=DIGESTS)
def test_garbage_raises_nothing_but_the_named_errors(data: bytes, digests: Digests) -> None:
    """Any bytes are PDUs, an unfinished PDU, or a `ConnectionViolation`."""
    source = reader(digests, limit=256)
    source.feed(data)
    with contextlib.suppress(ConnectionViolation):
        while source.next_pdu() is not None:
            pass


@given(value=any_pdu(), place=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_no_flipped_bit_gets_past_the_digests(value: Pdu, place: int, bit: int) -> None:
    """A changed byte is a digest error, or waits for bytes that a changed length announces."""
    digests = Digests(header=True, data=True)
    data = bytearray(wire(value, digests))
    data[place % len(data)] ^= 1 << bit
    source = reader(digests, limit=(1 << 24) - 1)
    source.feed(data)
    with contextlib.suppress(DigestError):
        assert source.next_pdu() is None


def test_a_segment_longer_than_declared_is_refused_at_its_header() -> None:
    """Nothing is collected that will not be taken."""
    source = reader(limit=512)
    source.feed(wire(NopOut(data_segment=bytes(516)))[:BHS_LENGTH])
    with pytest.raises(ConnectionViolation, match="516"):
        source.next_pdu()
    source = reader(limit=512)
    source.feed(wire(NopOut(data_segment=bytes(512))))
    assert source.next_pdu() == NopOut(data_segment=bytes(512))


@pytest.mark.parametrize("ahs", ["00000100", "00110100 00000000", "ffff0100 00000000"])
def test_an_overrunning_ahs_is_a_violation(ahs: str) -> None:
    """An AHSLength of zero or beyond TotalAHSLength would be read past its end."""
    header = ScsiCommand().to_bhs()
    with pytest.raises(ConnectionViolation, match="TotalAHSLength"):
        decode(header, bytes.fromhex(ahs))


def test_an_ahs_of_an_unknown_type_is_skipped() -> None:
    """What follows it is still read (RFC 7143 §11.2.2.1)."""
    ahs = bytes.fromhex("00053f00 aaaaaaaa 00050200 00000200")
    command = decode(ScsiCommand().to_bhs(), ahs)
    assert isinstance(command, ScsiCommand)
    assert command.bidirectional_read_data_length == 512


def test_an_opcode_that_nobody_defined_is_kept() -> None:
    """It becomes an `UnknownPdu`, for a Reject to quote."""
    header = bytes([0x1C]) + bytes(47)
    assert decode(header) == UnknownPdu(received_opcode=0x1C, initiator_task_tag=0, bhs=header)


def test_the_rest_of_a_stream_can_be_handed_over() -> None:
    """Bytes behind the last PDU taken go to whoever reads on, and are gone here."""
    first, second = wire(NopOut(cmd_sn=1)), wire(NopOut(cmd_sn=2))
    source = reader()
    source.feed(first + second[:20])
    assert source.next_pdu() == NopOut(cmd_sn=1)
    assert source.take_rest() == second[:20]
    source.feed(second)
    assert source.next_pdu() == NopOut(cmd_sn=2)
