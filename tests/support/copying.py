"""CDBs and parameter lists of third-party copies, and what their answers say."""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.scsi.copy.manager import CopyServices
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense, SenseKey
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response
from tests.support.primary import data_of
from tests.support.scsi import Bench, HeldExecutor, make_nexus, make_unit

__all__ = [
    "NUM_BLOCKS",
    "ZERO_TOKEN",
    "Clock",
    "CopyBench",
    "CopyFailure",
    "TokenInformation",
    "abort",
    "blocks",
    "byte_segment",
    "copy_failure",
    "copy_list_lid1",
    "copy_list_lid4",
    "extended_copy",
    "identification",
    "populate_list",
    "populate_token",
    "receive",
    "segment",
    "token_information",
    "verify_segment",
    "write_list",
    "write_using_token",
]

ZERO_TOKEN = struct.pack(">I2xH", 0xFFFF_0001, 504).ljust(512, b"\0")
"""The block device zero ROD token."""


def extended_copy(length: int, *, lid4: bool = False) -> bytes:
    """EXTENDED COPY with a parameter list of `length` bytes."""
    return struct.pack(">BB8xI2x", 0x83, lid4, length)


def identification(
    designator: bytes | UnitIdentity,
    *,
    kind: int = 3,
    code_set: int = 1,
    association: int = 0,
    type_code: int = 0xE4,
    device_type: int = 0,
    block_length: int = 512,
) -> bytes:
    """An identification descriptor CSCD descriptor: by default, the NAA designator of a unit."""
    if isinstance(designator, UnitIdentity):
        designator = designator.naa_designator
    head = bytes((type_code, device_type, 0, 0, code_set, association << 4 | kind, 0, len(designator)))
    return (head + designator).ljust(28, b"\0") + block_length.to_bytes(4)


def segment(
    source_lba: int,
    destination_lba: int,
    num_blocks: int,
    *,
    source: int = 0,
    destination: int = 1,
    flags: int = 0,
    type_code: int = 0x02,
    length: int = 0x18,
) -> bytes:
    """A block device to block device segment descriptor."""
    return struct.pack(
        ">BBHHHxxHQQ", type_code, flags, length, source, destination, num_blocks, source_lba, destination_lba
    )


def byte_segment(
    source: tuple[int, int],
    destination: tuple[int, int],
    num_bytes: int,
    *,
    cscds: tuple[int, int] = (0, 1),
    length: int = 0x1C,
) -> bytes:
    """A segment descriptor of type 0Ah; `source` and `destination` are (LBA, byte offset)."""
    lbas, offsets = zip(source, destination, strict=True)
    return struct.pack(">BxHHHIQQHH", 0x0A, length, *cscds, num_bytes, *lbas, *offsets)


def verify_segment(source: int, *, test_unit_ready: bool = False) -> bytes:
    """A segment descriptor of type 07h."""
    return struct.pack(">BxHHxxB3x", 0x07, 8, source, test_unit_ready)


def copy_list_lid1(
    cscds: Sequence[bytes], segments: Sequence[bytes], *, identifier: int = 1, usage: int = 0, inline_data: int = 0
) -> bytes:
    """The parameter list of EXTENDED COPY (LID1)."""
    first, second = b"".join(cscds), b"".join(segments)
    return struct.pack(">BBH4xII", identifier, usage << 3, len(first), len(second), inline_data) + first + second


def copy_list_lid4(
    cscds: Sequence[bytes],
    segments: Sequence[bytes],
    *,
    identifier: int = 1,
    usage: int = 0,
    immediate: bool = False,
    flags: int = 0,
    inline_data: int = 0,
) -> bytes:
    """The parameter list of EXTENDED COPY (LID4)."""
    first, second = b"".join(cscds), b"".join(segments)
    head = struct.pack(">BBH11xBB3xI18x", 1, usage << 3, 0x20, immediate | flags, 0xFF, identifier)
    return head + struct.pack(">HHH", len(first), len(second), inline_data) + first + second


def abort(identifier: int) -> bytes:
    """COPY OPERATION ABORT."""
    return struct.pack(">BBI10x", 0x83, 0x1C, identifier)


def receive(service_action: int, identifier: int = 0, *, allocation_length: int = 4096) -> bytes:
    """One of the commands that tell of copies; LID1 ones have their identifier in the first byte of the field."""
    field = bytes((identifier, 0, 0, 0)) if service_action < 5 else identifier.to_bytes(4)
    return bytes((0x84, service_action)) + field + struct.pack(">4xI2x", allocation_length)


def populate_token(length: int, identifier: int = 1) -> bytes:
    """POPULATE TOKEN."""
    return struct.pack(">BB4xII2x", 0x83, 0x10, identifier, length)


def write_using_token(length: int, identifier: int = 2) -> bytes:
    """WRITE USING TOKEN."""
    return struct.pack(">BB4xII2x", 0x83, 0x11, identifier, length)


def _ranges(ranges: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack(">QI4x", lba, num_blocks) for lba, num_blocks in ranges)


def populate_list(
    ranges: Sequence[tuple[int, int]], *, timeout: int = 0, rod_type: int | None = None, immediate: bool = False
) -> bytes:
    """The parameter list of POPULATE TOKEN; ranges are (LBA, number of blocks)."""
    descriptors = _ranges(ranges)
    flags = immediate | (0 if rod_type is None else 2)
    head = struct.pack(">HBxII2xH", 14 + len(descriptors), flags, timeout, rod_type or 0, len(descriptors))
    return head + descriptors


def write_list(
    token: bytes, ranges: Sequence[tuple[int, int]], *, skipped: int = 0, delete: bool = False, immediate: bool = False
) -> bytes:
    """The parameter list of WRITE USING TOKEN; `skipped` is OFFSET INTO ROD in blocks."""
    descriptors = _ranges(ranges)
    flags = immediate | delete << 1
    head = struct.pack(">HB5xQ512s6xH", 534 + len(descriptors), flags, skipped, token, len(descriptors))
    return head + descriptors


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInformation:
    """What RECEIVE ROD TOKEN INFORMATION or RECEIVE COPY STATUS (LID4) says."""

    service_action: int
    status: int
    operations: int
    update_delay: int
    units: int
    count: int
    segments: int
    sense: bytes
    token: bytes | None


def token_information(data: bytes) -> TokenInformation:
    """Take the answer apart; its lengths must be right."""
    available, action, status, operations, delay, _, field_length, sense_length, units, count, segments = (
        struct.unpack_from(">IBBHIBBBBQH", data)
    )
    assert available == len(data) - 4
    assert field_length % 4 == 0
    sense, rest = data[32 : 32 + sense_length], data[32 + field_length :]
    token = None
    if rest:
        assert int.from_bytes(rest[:4]) == len(rest) - 4
        token = rest[6:] or None
        assert token is None or len(token) == 512
    return TokenInformation(
        service_action=action,
        status=status,
        operations=operations,
        update_delay=delay,
        units=units,
        count=count,
        segments=segments,
        sense=sense,
        token=token,
    )


NUM_BLOCKS = 2048


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CopyBench(Bench):
    """A target with a source (LUN 0), a destination (LUN 1) and a unit that only some nexuses map."""

    def __init__(self, *, block_length: int = 512, destination_block_length: int = 512, **bench: Any) -> None:
        self.clock = Clock()
        self.services = CopyServices(randomness=random.Random(1).randbytes, clock=self.clock)
        self.source = self.make("source", block_length=block_length)
        self.destination = self.make("destination", block_length=destination_block_length)
        self.hidden = self.make("hidden")
        super().__init__(unit=self.source, **bench)

    def make(self, name: str, **options: Any) -> LogicalUnit:
        """A disk of 1 MiB whose blocks differ from each other and from those of other disks."""
        identity = UnitIdentity.derived(name, serial=options.pop("serial", None))
        unit = make_unit(NUM_BLOCKS * 512, identity=identity, third_party_copy=self.services, **options)
        unit.backstore.write(0, (random.Random(name).randbytes(NUM_BLOCKS * 512),))
        return unit

    def connect(
        self,
        *units: LogicalUnit,
        isid: int,
        read_only: bool = False,
        quiet: bool = True,
    ) -> Nexus:
        """One more nexus, to `units` (default: source and destination)."""
        units = units or (self.source, self.destination)
        nexus = make_nexus(*units, isid=isid, read_only=read_only)
        self.router.nexus_established(nexus)
        for unit in units if quiet else ():
            unit.unit_attentions.clear(nexus)
        return nexus

    def cscds(self, *units: LogicalUnit) -> list[bytes]:
        """The CSCD descriptors of `units` (default: source and destination)."""
        units = units or (self.source, self.destination)
        return [identification(unit.identity, block_length=unit.block_length) for unit in units]

    def copy(self, *segments: bytes, cscds: Sequence[bytes] | None = None, **how: Any) -> Response:
        """EXTENDED COPY (LID1) of segments between source (0) and destination (1)."""
        names = ("identifier", "usage", "inline_data")
        fields = {name: how.pop(name) for name in names if name in how}
        data = copy_list_lid1(self.cscds() if cscds is None else cscds, segments, **fields)
        return self.run(extended_copy(len(data)), data, **how)

    def populate(self, *ranges: tuple[int, int], identifier: int = 1, **how: Any) -> bytes:
        """A token for ranges of the source."""
        names = ("timeout", "rod_type", "immediate")
        data = populate_list(ranges, **{name: how.pop(name) for name in names if name in how})
        task = self.start(populate_token(len(data), identifier), data, **how)
        if isinstance(self.executor, HeldExecutor):
            self.executor.finish_all()
        assert self.owner.status(task) is Status.GOOD
        token = self.information(identifier, **how).token
        assert token is not None
        return token

    def write_token(self, data: bytes, *, lun: int = 1, identifier: int = 2, **how: Any) -> Response:
        """WRITE USING TOKEN, to the destination."""
        return self.run(write_using_token(len(data), identifier), data, lun=lun, **how)

    def information(self, identifier: int, *, service_action: int = 0x07, **how: Any) -> TokenInformation:
        """RECEIVE ROD TOKEN INFORMATION, or with another service action RECEIVE COPY STATUS (LID4)."""
        return token_information(data_of(self.run(receive(service_action, identifier), **how)))


def blocks(unit: LogicalUnit, lba: int, num_blocks: int) -> bytes:
    """What the storage of a unit holds."""
    buffer = memoryview(bytearray(num_blocks * unit.block_length))
    unit.backstore.read_into(lba * unit.block_length, buffer)
    return bytes(buffer)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFailure:
    """What the sense of a copy that failed says."""

    sense: Sense
    segment: int
    field: int | None = None
    """The byte of the segment descriptor."""
    place: int | None = None
    """The byte of the parameter list."""
    residual: int | None = None
    """Blocks."""
    from_source: bool | None = None
    """Whose answer is forwarded, if one is."""
    status: int | None = None
    forwarded: Sense | None = None


def copy_failure(response: Response) -> CopyFailure:
    """Take the fixed format sense of a copy apart."""
    sense = bytes(response.sense)
    assert sense[0] & 0x7F == 0x70
    assert sense[7] == len(sense) - 8
    places = {True: sense[8], False: sense[9]}
    from_source = next((source for source, place in places.items() if place), None)
    answer = b"" if from_source is None else sense[places[from_source] :]
    inner = answer[1:]
    return CopyFailure(
        sense=Sense((SenseKey(sense[2]), sense[12], sense[13])),
        segment=int.from_bytes(sense[10:12]),
        field=int.from_bytes(sense[16:18]) if sense[15] == 0xA0 else None,
        place=int.from_bytes(sense[16:18]) if sense[15] == 0x80 else None,
        residual=int.from_bytes(sense[3:7]) if sense[0] & 0x80 else None,
        from_source=from_source,
        status=answer[0] if answer else None,
        forwarded=Sense((SenseKey(inner[2]), inner[12], inner[13])) if inner else None,
    )
