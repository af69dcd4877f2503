"""A backstore beside a bytearray: the same calls on both must leave the same bytes."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from isthmus.backstores.base import Backstore, Provisioning

__all__ = ["Step", "check_against_bytearray", "contents", "open_descriptors", "steps"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call."""

    name: str
    offset: int
    length: int
    content: bytes
    """What a write repeats, and how it is cut into buffers: one byte, one buffer for each three."""
    durable: bool


def contents(backstore: Backstore, offset: int, length: int) -> bytes:
    """What `read_into` gives."""
    buffer = bytearray(length)
    backstore.read_into(offset, memoryview(buffer))
    return bytes(buffer)


def open_descriptors() -> set[str]:
    """The names of this process's open descriptors, to see that none is left.

    What other tests have left to the garbage collector goes first: it would go at any moment.
    """
    gc.collect()
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def steps(size: int, alignment: int = 1) -> st.SearchStrategy[list[Step]]:
    """Calls within `size` bytes, with offsets and lengths in multiples of `alignment`."""
    blocks = size // alignment

    @st.composite
    def step(draw: st.DrawFn) -> Step:
        first = draw(st.integers(0, blocks))
        count = draw(st.integers(0, blocks - first) | st.integers(0, min(9, blocks - first)))
        return Step(
            name=draw(st.sampled_from(sorted(_CALLS))),
            offset=first * alignment,
            length=count * alignment,
            content=draw(st.binary(min_size=1, max_size=5)),
            durable=draw(st.booleans()),
        )

    return st.lists(step(), max_size=25)


def check_against_bytearray(backstore: Backstore, calls: list[Step], alignment: int = 1) -> None:
    """Do `calls` on `backstore` and on a bytearray; compare every read, and everything at the end."""
    model = bytearray(backstore.size)
    for offset in range(0, backstore.size, 1 << 20):  # what an earlier example left
        backstore.discard(offset, min(1 << 20, backstore.size - offset))
    for call in calls:
        _CALLS[call.name](backstore, model, call, alignment)
    _read(backstore, model, Step("read", 0, len(model), b"", durable=False), alignment)


def _read(backstore: Backstore, model: bytearray, call: Step, alignment: int) -> None:
    buffer = memoryview(bytearray(b"?" * call.length))
    expected = model[call.offset : call.offset + call.length]
    backstore.read_into(call.offset, buffer)
    assert buffer == expected
    buffer[:] = b"?" * call.length
    if backstore.read_if_cached(call.offset, buffer):
        assert buffer == expected


def _write(backstore: Backstore, model: bytearray, call: Step, alignment: int) -> None:
    data = (call.content * (call.length // len(call.content) + 1))[: call.length]
    cut = alignment * (call.length // alignment // 3)
    buffers = (bytearray(data[:cut]), b"", memoryview(data)[cut:])
    backstore.write(call.offset, buffers, durable=call.durable)
    model[call.offset : call.offset + call.length] = data


def _discard(backstore: Backstore, model: bytearray, call: Step, alignment: int) -> None:
    backstore.discard(call.offset, call.length)
    model[call.offset : call.offset + call.length] = bytes(call.length)


def _write_zeroes(backstore: Backstore, model: bytearray, call: Step, alignment: int) -> None:
    backstore.write_zeroes(call.offset, call.length, durable=call.durable)
    model[call.offset : call.offset + call.length] = bytes(call.length)


def _map_status(backstore: Backstore, model: bytearray, call: Step, alignment: int) -> None:
    """Whatever is said to be deallocated reads as zeros, and an answer is never empty."""
    if not call.length:
        return
    extent = backstore.map_status(call.offset, call.length)
    assert 0 < extent.length <= call.length
    if extent.provisioning is Provisioning.DEALLOCATED:
        assert not any(model[call.offset : call.offset + extent.length])


def _flush(backstore: Backstore, model: bytearray, call: Step, alignment: int) -> None:
    backstore.flush()


_CALLS: dict[str, Callable[[Backstore, bytearray, Step, int], None]] = {
    "discard": _discard,
    "flush": _flush,
    "map_status": _map_status,
    "read": _read,
    "write": _write,
    "write_zeroes": _write_zeroes,
}
