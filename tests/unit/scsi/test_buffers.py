"""The buffers of a unit."""

from isthmus.scsi.buffers import DATA_CAPACITY, Buffers
from tests.support.scsi import make_nexus


def test_data() -> None:
    """What was written is read, and the rest is zeros up to the capacity."""
    buffers = Buffers()
    assert buffers.read(0, 4) == bytes(4)
    buffers.write(2, b"abc")
    buffers.write(3, b"X")
    assert buffers.read(0, 8) == b"\0\0aXc\0\0\0"
    assert buffers.read(DATA_CAPACITY - 2, 100) == bytes(2)
    assert buffers.read(DATA_CAPACITY, 100) == b""
    buffers.write(DATA_CAPACITY - 1, b"z")
    assert buffers.read(0, 1 << 24) == b"\0\0aXc".ljust(DATA_CAPACITY - 1, b"\0") + b"z"


def test_echo_is_private() -> None:
    """Each nexus hears its own echo, as long as it is there."""
    buffers = Buffers()
    one, two = make_nexus(isid=1), make_nexus(isid=2)
    buffers.keep_echo(one, b"hello")
    assert buffers.echo(one) == b"hello"
    assert buffers.echo(two) is None
    buffers.forget(one)
    buffers.forget(two)
    assert buffers.echo(one) is None


def test_clear() -> None:
    """A reset empties all."""
    buffers = Buffers()
    nexus = make_nexus()
    buffers.keep_echo(nexus, b"hello")
    buffers.write(0, b"data")
    buffers.clear()
    assert buffers.echo(nexus) is None
    assert buffers.read(0, 4) == bytes(4)
