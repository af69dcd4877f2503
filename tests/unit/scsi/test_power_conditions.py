"""What leads from one power condition to another, and what initiators are told of it."""

import pytest

from isthmus.scsi.power_conditions import LONGEST_STEP, PowerCondition
from isthmus.scsi.sense import Sense
from tests.support.primary import data_of
from tests.support.scsi import Bench, HeldExecutor, make_unit, read_10
from tests.support.timer import FakeTimer

ENABLE_IDLE_A, ENABLE_IDLE_C, ENABLE_STANDBY_Z = 0x02, 0x08, 0x01
NEVER = 0


def power_page(*, flags: int = 0, idle_a: int = NEVER, standby_z: int = NEVER, idle_c: int = NEVER) -> bytes:
    """The Power Condition mode page; timers in 100 ms."""
    timers = b"".join(value.to_bytes(4) for value in (idle_a, standby_z, 0, idle_c, 0))
    return bytes((0x1A, 0x26, 0, flags)) + timers + bytes(15) + b"\x54"


class Powered:
    """A target whose unit has a timer that stands still."""

    def __init__(self) -> None:
        self.timer = FakeTimer()
        self.executor = HeldExecutor()
        self.bench = Bench(unit=make_unit(call_later=self.timer.call_later), executor=self.executor)
        self.power = self.bench.unit.power
        (self.grant,) = self.bench.nexus.grants.values()

    def select(self, page: bytes) -> None:
        """MODE SELECT (6)."""
        self.bench.run(bytes((0x15, 0x10, 0, 0, 4 + len(page), 0)), bytes(4) + page)

    def start_stop(self, condition: int, modifier: int = 0) -> None:
        """START STOP UNIT with a power condition."""
        self.bench.run(bytes((0x1B, 0, 0, modifier, condition << 4, 0)))

    def wait(self, seconds: float) -> None:
        """Let time pass, in the steps of the timers."""
        for _ in range(round(seconds * 10)):
            self.timer.advance(0.1)

    def condition(self) -> PowerCondition:
        """Where the unit is."""
        return self.power.condition

    def served_by_engine(self) -> tuple[bool, bool]:
        """Whether reads and writes are."""
        return self.grant.reads, self.grant.writes

    @property
    def told(self) -> tuple[int, int]:
        """ASC and ASCQ of REQUEST SENSE."""
        data = data_of(self.bench.run(bytes((3, 0, 0, 0, 18, 0))))
        return data[12], data[13]


def test_timers_lead_down() -> None:
    """One after the other, by the time without an access; an access leads back to active and starts all anew."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A | ENABLE_STANDBY_Z, idle_a=20, standby_z=50))
    powered.wait(1.9)
    assert powered.condition() is PowerCondition.ACTIVE
    assert powered.served_by_engine() == (True, True)
    powered.wait(0.2)
    assert powered.condition() is PowerCondition.IDLE_A
    assert powered.told == (0x5E, 0x01)
    assert powered.served_by_engine() == (False, False)
    powered.wait(3.2)
    assert powered.told == (0x5E, 0x02)
    powered.bench.run(bytes(6))
    assert powered.condition() is PowerCondition.STANDBY_Z
    powered.bench.start(read_10(0, 1))
    powered.executor.finish_all()
    assert powered.condition() is PowerCondition.ACTIVE
    assert powered.served_by_engine() == (True, True)
    powered.wait(2.2)
    assert powered.condition() is PowerCondition.IDLE_A
    assert powered.power.transitions == {
        PowerCondition.IDLE_A: 2,
        PowerCondition.STANDBY_Z: 1,
        PowerCondition.ACTIVE: 1,
    }


def test_what_the_engine_serves_counts() -> None:
    """It tells nobody; the counters and what is in flight do."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A, idle_a=20))
    for _ in range(5):
        powered.wait(1)
        powered.grant.read_commands += 1
    powered.wait(LONGEST_STEP)
    powered.grant.begin()
    powered.wait(10)
    assert powered.condition() is PowerCondition.ACTIVE
    powered.grant.end()
    powered.wait(2 + LONGEST_STEP)
    assert powered.condition() is PowerCondition.IDLE_A


def test_a_unit_that_works_is_not_idle() -> None:
    """A command that takes long keeps it active."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A, idle_a=5))
    powered.bench.start(read_10(0, 1))
    powered.wait(10)
    assert powered.condition() is PowerCondition.ACTIVE
    powered.executor.finish_all()
    powered.wait(0.5 + LONGEST_STEP)
    assert powered.condition() is PowerCondition.IDLE_A


def test_commands_take_control() -> None:
    """What START STOP UNIT asked for stays until it gives control back, whatever the timers say."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_STANDBY_Z, standby_z=5))
    powered.start_stop(0x1)
    powered.wait(10)
    assert powered.condition() is PowerCondition.ACTIVE
    powered.start_stop(0x2, 1)
    powered.wait(10)
    assert powered.told == (0x5E, 0x06)
    powered.start_stop(0x7)
    powered.wait(1)
    assert powered.told == (0x5E, 0x02)


def test_a_forced_condition_is_one_of_the_timers() -> None:
    """It is told so, and the timers go on; a unit that would need more to become active stays where it is."""
    powered = Powered()
    powered.start_stop(0xB, 1)
    assert powered.told == (0x5E, 0x09)
    powered.start_stop(0xA, 0)
    assert powered.told == (0x5E, 0x09)
    assert powered.power.attentive


def test_the_condition_that_needs_most_goes_first() -> None:
    """Of timers that expire together; and a timer of 0 does so at once."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A | ENABLE_IDLE_C))
    powered.wait(0.2)
    assert powered.told == (0x5E, 0x07)


def test_disabled_timers_do_nothing() -> None:
    """And cost the commands nothing."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A, idle_a=5))
    assert powered.power.attentive
    powered.select(power_page(idle_a=5))
    powered.wait(10)
    assert powered.condition() is PowerCondition.ACTIVE
    assert not powered.power.attentive


def test_a_stopped_unit_has_no_timers() -> None:
    """Stopped is further down than all of them; starting counts a cycle and starts them."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A, idle_a=5))
    powered.bench.start(bytes((0x1B, 0, 0, 0, 0, 0)))
    powered.executor.finish_all()
    powered.wait(10)
    assert powered.condition() is PowerCondition.ACTIVE
    powered.bench.run(bytes((0x1B, 0, 0, 0, 1, 0)))
    powered.wait(1)
    assert powered.condition() is PowerCondition.IDLE_A
    assert powered.power.start_stop_cycles == 1


def test_nobody_looks_without_a_nexus() -> None:
    """A unit that nobody can reach needs no timer; the first nexus starts them."""
    powered = Powered()
    powered.select(power_page(flags=ENABLE_IDLE_A, idle_a=5))
    powered.bench.router.nexus_lost(powered.bench.nexus)
    powered.wait(10)
    assert powered.condition() is PowerCondition.ACTIVE
    powered.bench.connect(isid=3)
    powered.wait(1)
    assert powered.condition() is PowerCondition.IDLE_A


def test_reset() -> None:
    """A reset leads back to active, and gives control to the timers."""
    powered = Powered()
    powered.start_stop(0x3)
    powered.bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=powered.bench.nexus, done=lambda: None)
    assert powered.condition() is PowerCondition.ACTIVE
    assert not powered.power.attentive


@pytest.mark.parametrize("condition", PowerCondition)
def test_each_condition_has_its_own_sense(condition: PowerCondition) -> None:
    """But for active, of which there is nothing to tell."""
    powered = Powered()
    powered.power.command(condition)
    by_command = powered.power.sense
    powered.power.reset()
    powered.power.force(condition)
    assert (powered.power.sense is by_command) == (condition is PowerCondition.ACTIVE)
