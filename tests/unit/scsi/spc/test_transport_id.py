import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.names import initiator_port_name
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.transport_id import TransportId, parse_transport_ids, transport_id
from tests.support.reservations import initiator_device_id

NAME = "iqn.2026-01.com.example:host"
PORT = transport_id(f"{NAME},i,0x00023d000001")
DEVICE = initiator_device_id(NAME)
HEAD = bytes(24)


def pointer(data: bytes, start: int = 0) -> FieldPointer | None:
    """Where a refused parameter list is wrong."""
    with pytest.raises(CheckCondition) as caught:
        parse_transport_ids(data, start)
    sense_data = caught.value.sense_data
    assert sense_data.sense is Sense.INVALID_FIELD_IN_PARAMETER_LIST
    assert isinstance(sense_data.specific, FieldPointer)
    assert not sense_data.specific.in_cdb
    return sense_data.specific


def at(byte: int, bit: int | None = None) -> FieldPointer:
    """A place in the parameter list."""
    return FieldPointer(byte, bit, in_cdb=False)


@pytest.mark.parametrize(
    ("name", "length"),
    [("iqn.a,i,0x000000000001", 24), ("iqn.ab,i,0x000000000001", 24), ("iqn.abc,i,0x00000000001", 24), ("x", 20)],
)
def test_transport_id(name: str, length: int) -> None:
    """A TransportID ends in at least one null, and has a length that is a multiple of four and at least 24."""
    data = transport_id(name)
    assert data[:4] == bytes((0x45, 0, 0, length))
    assert len(data) == 4 + length
    assert data[4:].rstrip(b"\0") == name.encode()
    assert data.endswith(b"\0")


@given(isid=st.integers(0, (1 << 48) - 1), tail=st.text("abcdefghijklmnopqrstuvwxyz0123456789-.:é", max_size=60))
def test_round_trip(isid: int, tail: str) -> None:
    """What READ FULL STATUS reports can be sent back as it is."""
    name = f"iqn.2026-01.com.example:x{tail}"
    data = HEAD + transport_id(initiator_port_name(name, isid))
    (parsed,) = parse_transport_ids(data, 24)
    assert (parsed.iscsi_name, parsed.isid, parsed.offset) == (name, isid, 24)
    assert parsed.initiator_port_name == initiator_port_name(name, isid)


def test_both_formats() -> None:
    """A list may mix initiator ports and initiator devices; each knows where it stood."""
    ports = parse_transport_ids(HEAD + PORT + DEVICE, 24)
    assert ports == (
        TransportId(iscsi_name=ports[0].iscsi_name, isid=ports[0].isid, offset=24),
        TransportId(iscsi_name=ports[0].iscsi_name, isid=None, offset=24 + len(PORT)),
    )
    assert (str(ports[0].iscsi_name), ports[0].isid) == (NAME, 0x00023D000001)
    assert (ports[0].initiator_port_name, ports[1].initiator_port_name) == (f"{NAME},i,0x00023d000001", None)


def test_no_transport_ids() -> None:
    """A list may be empty."""
    assert parse_transport_ids(HEAD, 24) == ()


def test_spelling() -> None:
    """Names are compared in their normal form, and an ISID is a number, however it is written."""
    data = transport_id(NAME.upper().replace("IQN", "iqn") + ",i,0x23D000001")
    assert parse_transport_ids(data, 0)[0].initiator_port_name == f"{NAME},i,0x00023d000001"


def test_the_null_ends_the_name() -> None:
    """What follows the first null does not count (SPC-5 §7.6.4.6)."""
    text = f"{NAME},i,0x1".encode() + b"\0junk,"
    data = bytes((0x45, 0, 0, len(text) + -len(text) % 4)) + text + bytes(-len(text) % 4)
    assert parse_transport_ids(data, 0)[0].isid == 1


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"\x46" + PORT[1:], at(0, 3)),  # SAS
        (b"\x40" + PORT[1:], at(0, 3)),  # Fibre Channel
        (b"\x85" + PORT[1:], at(0, 7)),  # format 10b
        (b"\xc5" + PORT[1:], at(0, 7)),  # format 11b
        (PORT[:3], at(0)),
        (PORT[:-1], at(2)),
        (PORT[:2] + bytes((0, 16)) + PORT[4:20], at(2)),
        (PORT[:2] + bytes((0, 21)) + PORT[4:25], at(2)),
        (b"\x45\0\0\x14" + b"iqn.2026-01.a:b,i,0x", at(4)),  # no null
        (b"\x05\0\0\x14" + bytes(20), at(4)),  # no name
        (initiator_device_id("not an iSCSI name"), at(4)),
        (initiator_device_id("iqn.2026-01.com.example:a_b"), at(4)),
        (b"\x05\0\0\x14" + b"\xff\xfe".ljust(20, b"\0"), at(4)),  # no UTF-8
        (b"\x45" + DEVICE[1:], at(4 + len(NAME))),  # no ISID
        (transport_id(f"{NAME},i,0x"), at(4 + len(NAME))),
        (transport_id(f"{NAME},i,0x1234567890abc"), at(4 + len(NAME))),
        (transport_id(f"{NAME},i,0x12g4"), at(4 + len(NAME))),
        (transport_id(f"{NAME},i,0x-1"), at(4 + len(NAME))),
    ],
)
def test_refused(data: bytes, where: FieldPointer) -> None:
    """What is cut off, of another protocol, or no name is refused, with a pointer to the field."""
    assert pointer(data) == where
    second = FieldPointer(where.byte + 24 + len(PORT), where.bit, in_cdb=False)
    assert pointer(HEAD + PORT + data, 24) == second


@given(st.binary(min_size=1, max_size=80))
def test_anything(data: bytes) -> None:
    """Whatever is sent is taken or refused."""
    with contextlib.suppress(CheckCondition):
        assert parse_transport_ids(data, 0)
