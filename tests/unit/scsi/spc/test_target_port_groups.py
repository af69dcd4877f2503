import struct
from collections.abc import Sequence

import pytest

from isthmus.scsi.alua import (
    ALL_SUPPORTED_STATES,
    DEFAULT_SUPPORTED_STATES,
    AluaAccessState,
    AluaAccessType,
    AluaPortGroup,
)
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.spc.target_port_groups import OFFLINE_ALUA_GROUP_ID
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, TaskState
from tests.support.primary import data_of, in_cdb, in_list, inquiry, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, sense_of
from tests.support.timer import FakeTimer

OPTIMIZED, NON_OPTIMIZED = AluaAccessState.ACTIVE_OPTIMIZED, AluaAccessState.ACTIVE_NON_OPTIMIZED
STANDBY, UNAVAILABLE, OFFLINE = AluaAccessState.STANDBY, AluaAccessState.UNAVAILABLE, AluaAccessState.OFFLINE
TRANSITIONING = AluaAccessState.TRANSITIONING
TRANSITION = (0x02, 0x04, 0x0A)
CHANGED = (0x06, 0x2A, 0x06)


def report(parameter_data_format: int = 0, allocation_length: int = 0xFFFF) -> bytes:
    """REPORT TARGET PORT GROUPS."""
    return struct.pack(">BBxxxxIxx", 0xA3, parameter_data_format << 5 | 0x0A, allocation_length)


def set_groups(length: int) -> bytes:
    """SET TARGET PORT GROUPS."""
    return struct.pack(">BBxxxxIxx", 0xA4, 0x0A, length)


def wishes(*pairs: tuple[int, int]) -> bytes:
    """The parameter list of SET TARGET PORT GROUPS: (state, group or port) each."""
    return bytes(4) + b"".join(struct.pack(">BxH", state, number) for state, number in pairs)


class TwoPorts:
    """A unit with port 1 in group 0 and port 2 in group 0x102; `bench.nexus` comes in through port 1, `other` through 2."""

    def __init__(self, **options: object) -> None:
        self.timer = FakeTimer()
        default = AluaPortGroup(alua_group_id=0, implicit_transition_time=17)
        self.bench = Bench(
            unit=make_unit(call_later=self.timer.call_later, alua_group=default), executor=HeldExecutor()
        )
        self.groups = self.bench.unit.alua
        self.group = AluaPortGroup(alua_group_id=0x102, **options)  # type: ignore[arg-type]
        self.groups.create(self.group)
        self.groups.add_port(2, 0x102)
        self.other = Nexus(
            initiator_name="iqn.2026-01.com.example:host",
            isid=2,
            target_name="iqn.2026-01.com.example:disks",
            target_portal_group_tag=2,
            relative_target_port_id=2,
            mappings={0: LunMapping(self.bench.unit)},
        )
        self.bench.router.nexus_established(self.other)
        self.bench.unit.unit_attentions.clear(self.other)

    def set(self, *pairs: tuple[int, int], nexus: Nexus | None = None) -> Status:
        """The status of a SET TARGET PORT GROUPS that ends at once."""
        data = wishes(*pairs)
        return self.bench.run(set_groups(len(data)), data, nexus=nexus).status

    def refused(self, *pairs: tuple[int, int]) -> tuple[Sense, FieldPointer | None]:
        """Why a SET TARGET PORT GROUPS is refused."""
        data = wishes(*pairs)
        return refusal(self.bench.run(set_groups(len(data)), data))


def descriptors(data: bytes) -> list[tuple[int, int, int, int, list[int]]]:
    """(first byte, supported, group, status code, ports) of each target port group descriptor."""
    found = []
    while data:
        first, supported, group, code, count = struct.unpack_from(">BBHxBxB", data)
        ports = [struct.unpack_from(">xxH", data, 8 + 4 * index)[0] for index in range(count)]
        found.append((first, supported, group, code, ports))
        data = data[8 + 4 * count :]
    return found


# REPORT TARGET PORT GROUPS.


def test_one_group_by_default() -> None:
    """A unit that nobody has told of groups has one, active/optimized, with the port of the nexus."""
    data = data_of(Bench().run(report()))
    assert int.from_bytes(data[:4]) == len(data) - 4 == 12
    assert descriptors(data[4:]) == [(0x00, 0x8F, 0, 0, [1])]


def test_several_groups() -> None:
    """Each group tells its state, PREF, what it supports, what has changed it, and its ports."""
    scene = TwoPorts(preferred=True, supported_states=ALL_SUPPORTED_STATES - {STANDBY, TRANSITIONING})
    scene.groups.add_port(9, 0x102)
    scene.groups.set_state(0x102, NON_OPTIMIZED)
    scene.bench.unit.unit_attentions.clear(scene.bench.nexus)
    assert scene.set((UNAVAILABLE, 0)) is Status.GOOD
    data = data_of(scene.bench.run(report()))
    assert descriptors(data[4:]) == [(0x03, 0x8F, 0, 1, [1]), (0x81, 0x4B, 0x102, 2, [2, 9])]


def test_extended_header() -> None:
    """The longer header has the format, and the implicit transition time of the group that the command came in by."""
    scene = TwoPorts(implicit_transition_time=60)
    data = data_of(scene.bench.run(report(1)))
    assert data[:8] == bytes((0, 0, 0, len(data) - 4, 0x10, 17, 0, 0))
    assert [group[2] for group in descriptors(data[8:])] == [0, 0x102]
    assert data_of(scene.bench.run(report(1), nexus=scene.other))[5] == 60


@pytest.mark.parametrize("parameter_data_format", range(2, 8))
def test_unknown_formats(parameter_data_format: int) -> None:
    """A reserved format is refused."""
    assert refusal(Bench().run(report(parameter_data_format))) == in_cdb(1, 7)


@pytest.mark.parametrize("allocation_length", [0, 3, 4, 15, 16, 17])
def test_allocation_length(allocation_length: int) -> None:
    """The data are cut, and RETURN DATA LENGTH stays."""
    whole = data_of(Bench().run(report()))
    assert data_of(Bench().run(report(0, allocation_length))) == whole[:allocation_length]


def test_a_group_without_ports_is_not_there() -> None:
    """Every group that is reported has a port (SPC-5 §6.36)."""
    bench = Bench()
    bench.unit.alua.create(AluaPortGroup(alua_group_id=5))
    assert [group[2] for group in descriptors(data_of(bench.run(report()))[4:])] == [0]
    data = wishes((STANDBY, 5))
    assert refusal(bench.run(set_groups(len(data)), data)) == in_list(6)


def test_ports_of_another_server() -> None:
    """A group of those alone is reported, and initiators may set its state; a port of ours is only where it is."""
    scene = TwoPorts(other_ports=(7, 1))
    scene.groups.create(AluaPortGroup(alua_group_id=5, other_ports=(9,)))
    assert scene.set((STANDBY, 5)) is Status.GOOD
    data = data_of(scene.bench.run(report()))
    assert [(group[0], group[2], group[4]) for group in descriptors(data[4:])] == [
        (OPTIMIZED, 0, [1]),
        (STANDBY, 5, [9]),
        (OPTIMIZED, 0x102, [2, 7]),
    ]


def test_no_more_ports_than_their_count_can_say() -> None:
    """TARGET PORT COUNT has eight bits."""
    scene = TwoPorts(other_ports=tuple(range(100, 500)))
    data = data_of(scene.bench.run(report()))
    assert [len(group[4]) for group in descriptors(data[4:])] == [1, 255]


def test_offline_ports_are_a_group_of_their_own() -> None:
    """They are reported in their primary group, and in the secondary one (SPC-5 §5.16.2.10)."""
    scene = TwoPorts(supported_states=ALL_SUPPORTED_STATES)
    scene.groups.set_offline(2, True)
    scene.bench.unit.unit_attentions.clear(scene.bench.nexus)
    data = data_of(scene.bench.run(report()))
    assert descriptors(data[4:])[1:] == [
        (0x00, 0xCF, 0x102, 0, [2]),
        (0x0E, 0x40, OFFLINE_ALUA_GROUP_ID, 0, [2]),
    ]


def test_the_state_in_transition() -> None:
    """While it lasts, everybody sees TRANSITIONING, also through the port concerned."""
    scene = TwoPorts(transition_delay=1)
    scene.groups.set_state(0x102, STANDBY)
    for nexus in (scene.bench.nexus, scene.other):
        assert descriptors(data_of(scene.bench.run(report(), nexus=nexus))[4:])[1][0] == 0x0F


# What INQUIRY says.


@pytest.mark.parametrize("access_type", [AluaAccessType(number) for number in range(4)])
def test_target_port_group_support(access_type: AluaAccessType) -> None:
    """TPGS is that of the group through which INQUIRY comes."""
    scene = TwoPorts(access_type=access_type)
    assert data_of(scene.bench.run(inquiry()))[5] & 0x30 == 0x30
    assert data_of(scene.bench.run(inquiry(), nexus=scene.other))[5] & 0x30 == access_type << 4


def test_device_identification_names_the_group() -> None:
    """Page 83h has the target port group designator of the port through which it is asked for."""
    scene = TwoPorts()
    assert bytes.fromhex("51 95 00 04 0000 0102") in data_of(scene.bench.run(inquiry(0x83), nexus=scene.other))
    assert bytes.fromhex("51 95 00 04 0000 0000") in data_of(scene.bench.run(inquiry(0x83)))


# SET TARGET PORT GROUPS.


@pytest.mark.parametrize("state", [NON_OPTIMIZED, STANDBY, UNAVAILABLE])
def test_set_changes_the_state(state: AluaAccessState) -> None:
    """GOOD comes when the state is reached, and everybody else hears of it."""
    scene = TwoPorts()
    assert scene.set((state, 0x102)) is Status.GOOD
    assert scene.group.state is state
    assert scene.bench.run(TEST_UNIT_READY) == GOOD
    assert sense_of(scene.bench.run(TEST_UNIT_READY, nexus=scene.other)) == CHANGED


def test_set_brings_an_own_port_back() -> None:
    """It runs through ports that are in standby or unavailable, so that the way to the unit can be opened again."""
    for state in (STANDBY, UNAVAILABLE):
        scene = TwoPorts()
        assert scene.set((state, 0)) is Status.GOOD
        assert sense_of(scene.bench.run(TEST_UNIT_READY))[0] == 0x02
        assert scene.set((OPTIMIZED, 0)) is Status.GOOD
        assert scene.bench.run(TEST_UNIT_READY) == GOOD


def test_set_several_at_once() -> None:
    """One command can exchange the states of two groups."""
    scene = TwoPorts(state=STANDBY)
    assert scene.set((STANDBY, 0), (OPTIMIZED, 0x102)) is Status.GOOD
    assert (scene.groups.state_of(1), scene.groups.state_of(2)) == (STANDBY, OPTIMIZED)


def test_set_waits_for_the_transition() -> None:
    """With a delay, GOOD comes at the end; a second command for the group meanwhile is NOT READY."""
    scene = TwoPorts(transition_delay=2)
    data = wishes((STANDBY, 0x102))
    task = scene.bench.start(set_groups(len(data)), data)
    assert task.state is TaskState.ENABLED
    assert sense_of(scene.bench.run(TEST_UNIT_READY, nexus=scene.other)) == TRANSITION
    assert sense_of(scene.bench.run(set_groups(len(data)), data)) == TRANSITION
    assert sense_of(scene.bench.run(set_groups(len(data)), data, nexus=scene.other)) == TRANSITION
    assert scene.bench.run(TEST_UNIT_READY) == GOOD
    scene.timer.advance(2)
    assert scene.bench.owner.ends[task] == GOOD
    assert sense_of(scene.bench.run(TEST_UNIT_READY, nexus=scene.other)) == CHANGED


def test_set_that_fails() -> None:
    """A transition that cannot be brought to its end fails the command, and leaves the group unavailable."""
    scene = TwoPorts(transition_delay=2)
    data = wishes((STANDBY, 0x102), (NON_OPTIMIZED, 0))
    task = scene.bench.start(set_groups(len(data)), data)
    scene.groups.fail(0x102)
    assert sense_of(scene.bench.owner.ends[task]) == (0x04, 0x67, 0x0A)
    assert (scene.group.state, scene.groups.state_of(1)) == (UNAVAILABLE, NON_OPTIMIZED)


def test_abort_of_a_set_that_waits() -> None:
    """The transition goes on without it."""
    scene = TwoPorts(transition_delay=2)
    data = wishes((STANDBY, 0x102))
    task = scene.bench.start(set_groups(len(data)), data)
    scene.bench.unit.task_set.abort((task,), lambda _: None)
    assert scene.bench.owner.ends == {task: None}
    scene.timer.advance(2)
    assert scene.group.state is STANDBY


def test_set_of_nothing() -> None:
    """Neither no list nor an empty one changes anything, and neither is an error."""
    scene = TwoPorts()
    assert scene.bench.run(set_groups(0)) == GOOD
    assert scene.set() is Status.GOOD
    assert scene.set((OPTIMIZED, 0x102)) is Status.GOOD
    assert scene.bench.run(TEST_UNIT_READY, nexus=scene.other) == GOOD


@pytest.mark.parametrize("length", [1, 3, 5, 7, 9])
def test_list_lengths(length: int) -> None:
    """A list that ends inside its header or a descriptor is refused."""
    response = Bench().run(set_groups(length), bytes(length))
    assert refusal(response) == (Sense.PARAMETER_LIST_LENGTH_ERROR, None)


@pytest.mark.parametrize(
    ("pairs", "where"),
    [
        ([(4, 0x102)], in_list(4, 3)),  # logical block dependent
        ([(5, 0x102)], in_list(4, 3)),  # reserved
        ([(0xF, 0x102)], in_list(4, 3)),  # transitioning
        ([(STANDBY, 3)], in_list(6)),  # no such group
        ([(OFFLINE, 2)], in_list(4, 3)),  # not supported
        ([(OFFLINE, 3)], in_list(6)),  # no such port
        ([(STANDBY, 0x102), (STANDBY, 3)], in_list(10)),
        ([(STANDBY, 0x102), (5, 0)], in_list(8, 3)),
        ([(STANDBY, 0x102), (NON_OPTIMIZED, 0x102)], in_list(10)),  # two states for one group
    ],
)
def test_what_cannot_be_set(pairs: Sequence[tuple[int, int]], where: tuple[Sense, FieldPointer | None]) -> None:
    """The wrong field is named, and nothing at all is changed."""
    scene = TwoPorts()
    assert scene.refused(*pairs) == where
    assert (scene.group.state, scene.groups.state_of(1)) == (OPTIMIZED, OPTIMIZED)


def test_states_that_the_group_does_not_support() -> None:
    """What the descriptor of the group leaves out is refused."""
    scene = TwoPorts(supported_states=DEFAULT_SUPPORTED_STATES - {STANDBY})
    assert scene.refused((STANDBY, 0x102)) == in_list(4, 3)


def test_groups_that_initiators_must_not_change() -> None:
    """An implicit group is refused by its number; where there is no other, the service action is not there."""
    scene = TwoPorts(access_type=AluaAccessType.IMPLICIT)
    assert scene.refused((STANDBY, 0x102)) == in_list(6)
    bench = Bench(unit=make_unit(alua_group=AluaPortGroup(alua_group_id=0, access_type=AluaAccessType.IMPLICIT)))
    data = wishes((STANDBY, 0))
    assert refusal(bench.run(set_groups(len(data)), data)) == in_cdb(1, 4)


def test_the_list_of_commands_is_true() -> None:
    """SET TARGET PORT GROUPS is reported as supported where there is a group that initiators may change."""
    group = AluaPortGroup(alua_group_id=0, access_type=AluaAccessType.IMPLICIT)
    bench = Bench(unit=make_unit(alua_group=group))
    one = bytes((0xA3, 0x0C, 0x03, 0xA4, 0x00, 0x0A, 0, 0, 0, 64, 0, 0))
    whole = bytes((0xA3, 0x0C, 0x00, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0))
    row = bytes((0xA4, 0, 0, 0x0A))
    assert data_of(bench.run(one))[1] & 0x07 == 0x01
    assert row not in data_of(bench.run(whole))
    group.access_type = AluaAccessType.EXPLICIT
    assert data_of(bench.run(one))[1] & 0x07 == 0x03
    assert row in data_of(bench.run(whole))


def test_set_offline() -> None:
    """OFFLINE names a port; where it is supported the port is off from then on."""
    scene = TwoPorts(supported_states=ALL_SUPPORTED_STATES)
    assert scene.set((OFFLINE, 2)) is Status.GOOD
    assert scene.groups.offline_ports == [2]
    assert sense_of(scene.bench.run(TEST_UNIT_READY, nexus=scene.other)) == CHANGED
    assert sense_of(scene.bench.run(TEST_UNIT_READY, nexus=scene.other)) == (0x02, 0x04, 0x12)
