"""The fast paths decide nothing: with and without grants, the same commands get the same answers and leave the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import DataIn, DataOut, Pdu, ReadyToTransfer, ScsiCommand
from isthmus.scsi.limits import Limits
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import Sense
from tests.support.engine import FIRST_CMD_SN, EngineUnderTest, HeldWorkers, Peer

SIZE = 256 * 1024
MAX_TRANSFER = 20
"""Blocks."""
READ_10, READ_16, WRITE_10, WRITE_16, WRITE_12 = 0x28, 0x88, 0x2A, 0x8A, 0xAA
READS = (READ_10, READ_16)
NACA = 0x04
BLOCK_LENGTHS = {0: 512, 1: 4096, 2: 512}
LUN_FIELDS = {number: encode_lun(number) for number in range(3)} | {3: encode_lun(9), 4: 0x4000 << 48}
"""LUN 3 is none, LUN 4 is LUN 0 in another form."""


@dataclass(frozen=True)
class Order:
    """One command to send; the defaults are what is ordinary."""

    opcode: int
    lun: int = 0
    lba: int = 0
    num_blocks: int = 1
    flags: int = 0
    group: int = 0
    control: int = 0
    attribute: int = 1
    is_immediate: bool = False
    final: bool = True
    more_expected: int = 0
    """Bytes beside the transfer length of the CDB."""
    less_data: int = 0
    """Bytes that do not come with the command."""
    cmd_sn_step: int = 0
    other_direction: bool = False
    tag: str = "new"
    acknowledges: int = 500
    ahs: str = ""

    @property
    def is_read(self) -> bool:
        return self.opcode in READS

    def cdb(self) -> bytes:
        if self.opcode in (READ_16, WRITE_16):
            numbers = self.lba.to_bytes(8) + self.num_blocks.to_bytes(4) + bytes((self.group,))
        elif self.opcode == WRITE_12:
            numbers = self.lba.to_bytes(4) + self.num_blocks.to_bytes(4) + bytes((self.group,))
        else:
            numbers = self.lba.to_bytes(4) + bytes((self.group,)) + self.num_blocks.to_bytes(2)
        return (bytes((self.opcode, self.flags)) + numbers + bytes((self.control,))).ljust(16, b"\0")


ORDINARY = st.builds(
    Order,
    opcode=st.sampled_from((READ_10, READ_16, WRITE_10, WRITE_16)),
    lun=st.sampled_from((0, 0, 0, 1)),
    lba=st.integers(0, 8),
    num_blocks=st.integers(1, 3),
    acknowledges=st.integers(0, 0xFFFF_FFFF),
)
ODDITIES: dict[str, st.SearchStrategy[Any]] = {
    "opcode": st.just(WRITE_12),
    "lun": st.sampled_from((2, 3, 4)),
    "lba": st.sampled_from((60, 61, 62, 63, 64, 509, 510, 511, 512, 1 << 31)),
    "num_blocks": st.sampled_from((0, 4, 8, 24, 25, 32, 33, MAX_TRANSFER, MAX_TRANSFER + 1)),
    "flags": st.sampled_from((0x10, 0x10, 0x08, 0x18, 0x20, 0x02, 0x01)),
    "group": st.integers(1, 31),
    "control": st.sampled_from((NACA, 0x01, 0xC0)),
    "attribute": st.integers(0, 7),
    "is_immediate": st.just(True),
    "final": st.just(False),
    "more_expected": st.sampled_from((-512, 512, 4096, -1, 1, -100_000)),
    "less_data": st.sampled_from((512, 1, 1 << 20, -512)),
    "cmd_sn_step": st.sampled_from((1, 1, 2, -1, 127, 128, 1 << 31)),
    "other_direction": st.just(True),
    "tag": st.sampled_from(("old", "in use", "reserved")),
    "ahs": st.sampled_from(("cdb", "bidirectional")),
}
ODD = st.builds(
    lambda order, oddities: replace(order, **oddities),
    ORDINARY,
    st.lists(st.sampled_from(sorted(ODDITIES)), min_size=1, max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: ODDITIES[name] for name in names})
    ),
)
ORDERS = st.one_of(ORDINARY, ORDINARY, ODD)

EVENTS: dict[str, Callable[["Side"], None]] = {
    "unit attention": lambda side: side.establish(),
    "reserved by another": lambda side: side.elsewhere(b"\x16"),
    "released by another": lambda side: side.elsewhere(b"\x17"),
    "stopped by another": lambda side: side.elsewhere(b"\x1b\0\0\0\0"),
    "started by another": lambda side: side.elsewhere(b"\x1b\0\0\0\1"),
    "reset by another": lambda side: side.reset(),
}
STEPS = st.one_of(
    st.lists(ORDERS, min_size=1, max_size=8),
    st.lists(ORDERS, min_size=1, max_size=8),
    st.lists(ORDERS, min_size=1, max_size=8),
    st.sampled_from(tuple(EVENTS)),
)


def make_units() -> tuple[LogicalUnit, ...]:
    """Of 512 and of 4096 bytes a block, and one that cannot be written."""
    units = []
    for number, block_length in BLOCK_LENGTHS.items():
        backstore = RamdiskBackstore(f"disk{number}", SIZE)
        backstore.write(0, (bytes(range(256)) * (SIZE // 256),))
        limits = replace(Limits.for_backstore(backstore, block_length), max_transfer_blocks=MAX_TRANSFER)
        units.append(LogicalUnit(backstore, block_length=block_length, limits=limits, read_only=number == 2))
    return tuple(units)


class Side:
    """One of the two targets that are compared, and an initiator that is told what to send."""

    def __init__(self, *, granted: bool, workers: bool, **parameters: Any) -> None:
        units = make_units()
        self.workers = HeldWorkers() if workers else None
        if workers:
            for unit in units:
                unit.backstore.never_blocks = False
        self.under_test = EngineUnderTest(*units, workers=self.workers, granted=granted)
        self.unit = units[0]
        self.other = self.under_test.log_in(isid=2)
        self.other_cmd_sn = FIRST_CMD_SN
        self.session = self.under_test.open_session(
            isid=1, first_burst_length=16384, max_burst_length=32768, max_outstanding_r2t=2
        )
        self.nexus = self.under_test.nexus
        self.peer = self.under_test.connect(
            self.session, max_recv_data_segment_length=20000, max_xmit_data_segment_length=12288, **parameters
        )
        self.cmd_sn = FIRST_CMD_SN
        self.last_tag = 0
        self.held_tags: list[int] = []
        self.data: dict[int, bytes] = {}
        self.answers: dict[int, list[object]] = {}
        self.stat_sns: list[int] = []

    def elsewhere(self, cdb: bytes) -> None:
        """Another initiator runs a command."""
        self.other.sends(ScsiCommand(initiator_task_tag=1, cmd_sn=self.other_cmd_sn, cdb=cdb.ljust(16, b"\0")))
        self.finish(self.other)
        self.other_cmd_sn += 1
        self.other.gets()

    def establish(self) -> None:
        self.unit.unit_attentions.establish(self.nexus, Sense.CAPACITY_DATA_HAS_CHANGED)

    def reset(self) -> None:
        self.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=self.nexus, done=lambda: None)

    def finish(self, peer: Peer) -> None:
        """Let all operations end."""
        peer.turn()
        while self.workers is not None and self.workers.under_way:
            self.workers.finish_all()
            peer.turn()

    def does(self, step: "list[Order] | str") -> None:
        """One step: an event, or commands in one go, and whatever answers to their answers there must be."""
        if isinstance(step, str):
            EVENTS[step](self)
            return
        self.peer.sends(*[self.command(order) for order in step])
        self.finish(self.peer)
        while r2ts := self.collect():
            for r2t in r2ts:
                self.peer.sends(*self.data_out(r2t))
            self.finish(self.peer)

    def command(self, order: Order) -> ScsiCommand:
        if self.workers is not None and order.control == NACA:
            # An ACA condition blocks what is under way in the task set. Whether a write ends before that is chance.
            order = replace(order, control=0)
        tag = self.tag(order)
        block_length = BLOCK_LENGTHS.get(order.lun, 512)
        expected = max(0, order.num_blocks * block_length + order.more_expected)
        number = (self.cmd_sn + order.cmd_sn_step) & 0xFFFF_FFFF
        if not order.is_immediate and order.cmd_sn_step == 0:
            self.cmd_sn = (self.cmd_sn + 1) & 0xFFFF_FFFF
        if order.cmd_sn_step:
            self.held_tags.append(tag)
        writes = order.is_read is order.other_direction
        data = bytes((tag + place) & 0xFF for place in range(min(expected, 1 << 16)))
        self.data[tag] = data
        sent = data[: max(0, min(len(data), 16384) - order.less_data)] if writes else b""
        if order.less_data < 0 and writes:
            sent = data + bytes(-order.less_data)
        return ScsiCommand(
            is_immediate=order.is_immediate,
            final=order.final,
            read=not writes,
            write=writes,
            attribute=order.attribute,
            lun=LUN_FIELDS[order.lun],
            initiator_task_tag=tag,
            expected_data_transfer_length=expected,
            cmd_sn=number,
            exp_stat_sn=order.acknowledges,
            cdb=order.cdb() + (bytes(16) if order.ahs == "cdb" else b""),
            bidirectional_read_data_length=512 if order.ahs == "bidirectional" else None,
            data_segment=sent,
        )

    def tag(self, order: Order) -> int:
        if order.tag == "reserved":
            return RESERVED_TAG
        if order.tag == "in use" and self.held_tags:
            return self.held_tags[-1]
        if order.tag == "old" and self.last_tag:
            return self.last_tag
        self.last_tag += 1
        return self.last_tag

    def collect(self) -> list[ReadyToTransfer]:
        """Take the answers down; gives what asks for data."""
        r2ts = []
        for pdu in self.peer.gets():
            if isinstance(pdu, ReadyToTransfer):
                r2ts.append(pdu)
            elif not isinstance(pdu, DataIn) or pdu.has_status:
                self.stat_sns.append(pdu.stat_sn)  # type: ignore[attr-defined]
            self.answers.setdefault(pdu.initiator_task_tag, []).append(without_numbers(pdu))
        return r2ts

    def data_out(self, r2t: ReadyToTransfer) -> list[DataOut]:
        """One burst, in PDUs as long as they may be."""
        data = self.data[r2t.initiator_task_tag].ljust(1 << 20, b"\0")
        pdus: list[DataOut] = []
        offset = r2t.buffer_offset
        end = offset + r2t.desired_data_transfer_length
        while offset < end:
            length = min(20000, end - offset)
            pdus.append(
                DataOut(
                    initiator_task_tag=r2t.initiator_task_tag,
                    target_transfer_tag=r2t.target_transfer_tag,
                    data_sn=len(pdus),
                    buffer_offset=offset,
                    final=offset + length == end,
                    data_segment=data[offset : offset + length],
                )
            )
            offset += length
        return pdus

    def end_state(self) -> dict[str, object]:
        """What is left when all is over."""
        window = self.session.window
        connection = self.peer.stream.connection
        return {
            "closed": self.peer.socket.closed,
            "window": (window.exp_cmd_sn, window.max_cmd_sn),
            "tasks": sorted(self.session.tasks),
            "early": sorted(self.session.early),
            "stat_sn": connection.stat_sn,
            "exp_stat_sn": connection.exp_stat_sn,
            "content": [bytes(unit.backstore._bytes) for unit in self.under_test.units],  # type: ignore[attr-defined]
            "internal errors": self.under_test.internal_errors,
            "in flight": sum(grant.in_flight for grant in self.nexus.grants.values()),
        }


def without_numbers(pdu: Pdu) -> object:
    """An answer without what may differ: how far the window had moved when it was queued, and its StatSN."""
    fields = {"stat_sn": 0, "exp_cmd_sn": 0, "max_cmd_sn": 0}
    return replace(pdu, **fields, data_segment=bytes(pdu.data_segment))


@given(
    steps=st.lists(STEPS, min_size=1, max_size=6),
    workers=st.booleans(),
    digests=st.sampled_from(((False, False), (False, False), (True, False), (False, True), (True, True))),
    at_once=st.sampled_from((None, None, 700, 5000)),
)
def test_answers_and_content_do_not_depend_on_grants(
    steps: "list[list[Order] | str]", workers: bool, digests: tuple[bool, bool], at_once: int | None
) -> None:
    """Whatever is sent, in whatever pieces it comes, over memory and over storage that may block."""
    sides = [
        Side(granted=granted, workers=workers, header_digest=digests[0], data_digest=digests[1])
        for granted in (True, False)
    ]
    for side in sides:
        side.peer.socket.at_once = at_once
        with capture_logs():
            for step in steps:
                side.does(step)
        first = side.stat_sns[0] if side.stat_sns else 0
        assert side.stat_sns == list(range(first, first + len(side.stat_sns)))
    fast, slow = sides
    served = sum(grant.read_commands + grant.write_commands for grant in fast.nexus.grants.values())
    event(f"commands served under a grant: {'none' if not served else 'some'}")
    assert fast.answers == slow.answers
    assert fast.end_state() == slow.end_state()
    assert fast.end_state()["internal errors"] == []


def test_ordinary_commands_are_served_under_a_grant() -> None:
    """Else the comparison would compare nothing."""
    side = Side(granted=True, workers=False)
    side.does([Order(READ_10), Order(READ_16), Order(WRITE_10, lba=3), Order(WRITE_16, attribute=0)])
    side.does([Order(READ_16, lun=1, num_blocks=3), Order(READ_10, lun=2, lba=511)])
    grants = side.nexus.grants
    assert [(grant.read_commands, grant.write_commands) for grant in grants.values()] == [(2, 2), (1, 0), (1, 0)]
    assert [(grant.read_bytes, grant.write_bytes) for grant in grants.values()] == [(1024, 1024), (12288, 0), (512, 0)]
    assert len(side.stat_sns) == 6
