"""Random sequences of commands against a bytearray that does the same."""

import struct
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, Disk, sixteen, ten, twelve

Cdb = Callable[..., bytes]

NUM_BLOCKS = 96
RUNS = st.tuples(st.integers(0, NUM_BLOCKS - 1), st.integers(1, 40)).map(
    lambda run: (run[0], min(run[1], NUM_BLOCKS - run[0]))
)
SHORT_RUNS = RUNS.map(lambda run: (run[0], min(run[1], LIMITS.max_compare_and_write_blocks)))
BYTES = st.integers(0, 255)
UNMAP, NDOB = 0x08, 0x01
EVERY_BLOCK, ONE_BLOCK = 0x02, 0x06


def filled(num_blocks: int, byte: int) -> bytes:
    """Blocks that differ from one another and from those of another `byte`; zeros for 0."""
    if not byte:
        return bytes(num_blocks * BLOCK)
    return b"".join(struct.pack(">BH", byte, index).ljust(BLOCK, bytes([byte])) for index in range(num_blocks))


class DiskAgainstModel(RuleBasedStateMachine):
    """Each rule is a command; the model takes the effect that the command must have."""

    @initialize(write_back=st.booleans())
    def power_on(self, write_back: bool) -> None:
        backstore = RamdiskBackstore("disk", NUM_BLOCKS * BLOCK)
        backstore.write_back = write_back
        self.disk = Disk(num_blocks=NUM_BLOCKS, backstore=backstore)
        self.model = bytearray(NUM_BLOCKS * BLOCK)

    def expect(self, lba: int, data: bytes) -> None:
        self.model[lba * BLOCK : lba * BLOCK + len(data)] = data

    def present(self, lba: int, num_blocks: int) -> bytes:
        return bytes(self.model[lba * BLOCK : (lba + num_blocks) * BLOCK])

    @rule(
        run=RUNS,
        byte=BYTES,
        cdb=st.sampled_from([(ten, 0x2A), (twelve, 0xAA), (sixteen, 0x8A)]),
        arrived=st.floats(0, 1),
    )
    def write(self, run: tuple[int, int], byte: int, cdb: tuple[Cdb, int], arrived: float) -> None:
        layout, opcode = cdb
        data = filled(round(run[1] * arrived), byte)
        assert self.disk.run(layout(opcode, *run), data, pieces=3) == GOOD
        self.expect(run[0], data)

    @rule(run=RUNS, byte=BYTES)
    def write_and_verify(self, run: tuple[int, int], byte: int) -> None:
        data = filled(run[1], byte)
        assert self.disk.run(sixteen(0x8E, *run, EVERY_BLOCK), data) == GOOD
        self.expect(run[0], data)

    @rule(run=RUNS, byte=st.sampled_from([0, 0, 7]), flags=st.sampled_from([0, UNMAP]))
    def write_same(self, run: tuple[int, int], byte: int, flags: int) -> None:
        block = bytes([byte]) * BLOCK
        assert self.disk.run(ten(0x41, *run, flags), block) == GOOD
        self.expect(run[0], block * run[1])

    @rule(run=RUNS, flags=st.sampled_from([0, UNMAP]))
    def write_same_without_data(self, run: tuple[int, int], flags: int) -> None:
        assert self.disk.run(sixteen(0x93, *run, flags | NDOB)) == GOOD
        self.expect(run[0], bytes(run[1] * BLOCK))

    @rule(runs=st.lists(st.tuples(st.integers(0, NUM_BLOCKS - 8), st.integers(0, 8)), max_size=4))
    def unmap(self, runs: list[tuple[int, int]]) -> None:
        body = b"".join(struct.pack(">QI4x", *run) for run in runs)
        data = struct.pack(">HH4x", len(body) + 6, len(body)) + body
        assert self.disk.run(struct.pack(">B6xHx", 0x42, len(data)), data) == GOOD
        for lba, num_blocks in runs:
            self.expect(lba, bytes(num_blocks * BLOCK))

    @rule(run=SHORT_RUNS, byte=BYTES)
    def compare_and_write(self, run: tuple[int, int], byte: int) -> None:
        data = filled(run[1], byte)
        cdb = struct.pack(">BxQ3xBxx", 0x89, *run)
        assert self.disk.run(cdb, self.present(*run) + data, pieces=2) == GOOD
        self.expect(run[0], data)

    @rule(run=SHORT_RUNS, byte=BYTES, place=st.integers(0))
    def compare_and_not_write(self, run: tuple[int, int], byte: int, place: int) -> None:
        place %= run[1] * BLOCK
        expected = bytearray(self.present(*run))
        expected[place] ^= 0x40
        sense = self.disk.refusal(struct.pack(">BxQ3xBxx", 0x89, *run), bytes(expected) + filled(run[1], byte))
        assert (sense.sense, sense.information) == (Sense.MISCOMPARE_DURING_VERIFY_OPERATION, place)

    @rule(run=RUNS, byte=BYTES)
    def or_write(self, run: tuple[int, int], byte: int) -> None:
        data = bytes([byte]) * run[1] * BLOCK
        assert self.disk.run(sixteen(0x8B, *run), data) == GOOD
        self.expect(run[0], bytes(present | byte for present in self.present(*run)))

    @rule(run=RUNS, cdb=st.sampled_from([(ten, 0x28), (twelve, 0xA8), (sixteen, 0x88)]))
    def read(self, run: tuple[int, int], cdb: tuple[Cdb, int]) -> None:
        layout, opcode = cdb
        assert self.disk.data(layout(opcode, *run)) == self.present(*run)

    @rule(run=RUNS)
    def verify(self, run: tuple[int, int]) -> None:
        assert self.disk.run(ten(0x2F, *run, EVERY_BLOCK), self.present(*run)) == GOOD

    @rule(run=RUNS, place=st.integers(0))
    def verify_in_vain(self, run: tuple[int, int], place: int) -> None:
        place %= run[1] * BLOCK
        data = bytearray(self.present(*run))
        data[place] ^= 1
        sense = self.disk.refusal(ten(0x2F, *run, EVERY_BLOCK), bytes(data))
        assert (sense.sense, sense.information) == (Sense.MISCOMPARE_DURING_VERIFY_OPERATION, place)

    @rule(lba=st.integers(0, NUM_BLOCKS - 1), beyond=st.integers(1, 1 << 20))
    def write_beyond_the_end(self, lba: int, beyond: int) -> None:
        sense = self.disk.refusal(sixteen(0x8A, lba, NUM_BLOCKS - lba + beyond))
        assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE

    @precondition(lambda self: any(self.model))
    @rule()
    def unmapped_blocks_are_zeros(self) -> None:
        data = self.disk.data(struct.pack(">BBQIBx", 0x9E, 0x12, 0, 1 << 16, 0x03))
        for lba, num_blocks, _ in struct.iter_unpack(">QIB3x", data[8:]):
            assert not any(self.present(lba, num_blocks))

    @invariant()
    def disk_holds_what_the_model_holds(self) -> None:
        content = bytearray(NUM_BLOCKS * BLOCK)
        self.disk.unit.backstore.read_into(0, memoryview(content))
        assert content == self.model


TestDiskAgainstModel = DiskAgainstModel.TestCase
TestDiskAgainstModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
