import dataclasses
import errno

import pytest

from isthmus.errors import BackstoreError
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.opcodes import Handler, Parser
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.spc.persistent_reservations import Registrant, ReservationConflict, ReservationType
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Response, TaskAttribute
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10, sense_of, write_10

INQUIRY = bytes([0x12, 0, 0, 0, 96, 0])
REQUEST_SENSE = bytes([0x03, 0, 0, 0, 252, 0])
REPORT_LUNS = bytes([0xA0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
UNKNOWN = bytes([0xFF]) + bytes(15)
RESET = Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED
CHANGED = Sense.MODE_PARAMETERS_CHANGED


def code(sense: Sense) -> tuple[int, int, int]:
    """(key, ASC, ASCQ)."""
    return sense.key, sense.asc, sense.ascq


def reserve_for_other(bench: Bench) -> Nexus:
    """Another nexus takes an exclusive access reservation; gives that nexus."""
    other = bench.connect(isid=2)
    holder = Registrant.of(other)
    bench.unit.reservations.persistent.register(holder, 1)
    bench.unit.reservations.persistent.reserve(holder, ReservationType.EXCLUSIVE_ACCESS)
    return other


def bench_with(cdb: bytes, *, parse: Parser | None = None, handler: Handler | None = None) -> Bench:
    """A bench whose unit parses or handles the command of `cdb` in another way."""
    row = DISK_COMMANDS.find(cdb)
    changed = dataclasses.replace(row, parse=parse or row.parse, handler=handler or row.handler)
    return Bench(unit=make_unit(table=CommandTable(changed if other is row else other for other in DISK_COMMANDS)))


def test_write_and_read() -> None:
    """What a WRITE puts on the medium, a READ gives back."""
    bench = Bench()
    assert bench.run(write_10(3, 2), b"x" * 1024) == GOOD
    assert bytes(bench.run(read_10(2, 3)).data_in) == bytes(512) + b"x" * 1024


# Unit attentions.


def test_unit_attention_is_reported_and_cleared() -> None:
    """A pending unit attention ends one command, which does nothing else; the next one runs."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, CHANGED)
    assert sense_of(bench.run(write_10(0, 1), b"x" * 512)) == code(CHANGED)
    assert bytes(bench.run(read_10(0, 1)).data_in) == bytes(512)


@pytest.mark.parametrize("sense", [RESET, CHANGED])
@pytest.mark.parametrize("cdb", [INQUIRY, REPORT_LUNS])
def test_commands_that_pass_a_unit_attention(cdb: bytes, sense: Sense) -> None:
    """INQUIRY and REPORT LUNS run, and leave the unit attention for the next command."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, sense)
    assert bench.run(cdb).status is Status.GOOD
    assert sense_of(bench.run(TEST_UNIT_READY)) == code(sense)


@pytest.mark.parametrize("sense", [RESET, CHANGED])
def test_request_sense_reports_a_unit_attention_as_data(sense: Sense) -> None:
    """REQUEST SENSE gives the unit attention as parameter data with GOOD, and clears it."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, sense)
    response = bench.run(REQUEST_SENSE)
    assert response.status is Status.GOOD
    assert bytes(response.data_in) == SenseData(sense=sense).to_bytes()
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_a_reset_goes_before_a_bad_cdb() -> None:
    """A command that does not exist still reports the reset first, and only then that it does not exist."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, RESET)
    assert sense_of(bench.run(UNKNOWN)) == code(RESET)
    assert sense_of(bench.run(UNKNOWN)) == code(Sense.INVALID_COMMAND_OPERATION_CODE)


def test_another_unit_attention_waits_behind_a_bad_cdb() -> None:
    """A bad CDB is refused as it comes, and other unit attentions stay for a command that could run."""
    bench = Bench()
    bench.unit.unit_attentions.establish(bench.nexus, CHANGED)
    assert sense_of(bench.run(UNKNOWN)) == code(Sense.INVALID_COMMAND_OPERATION_CODE)
    assert sense_of(bench.run(TEST_UNIT_READY)) == code(CHANGED)


# What stands in the way, in its order.


def test_order_of_obstacles() -> None:
    """Reset, reservation conflict, other unit attentions, not ready, write protected: as each goes, the next shows."""
    bench = Bench()
    unit, nexus = bench.unit, bench.nexus
    other = reserve_for_other(bench)
    unit.unit_attentions.establish(nexus, CHANGED)
    unit.unit_attentions.establish(nexus, RESET)
    unit.started = False
    unit.read_only = True
    assert sense_of(bench.run(write_10(0, 1), bytes(512))) == code(RESET)
    assert bench.run(write_10(0, 1), bytes(512)).status is Status.RESERVATION_CONFLICT
    unit.reservations.persistent.clear(Registrant.of(other))
    assert sense_of(bench.run(write_10(0, 1), bytes(512))) == code(CHANGED)
    not_ready = Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED
    assert sense_of(bench.run(write_10(0, 1), bytes(512))) == code(not_ready)
    unit.started = True
    assert sense_of(bench.run(write_10(0, 1), bytes(512))) == code(Sense.WRITE_PROTECTED)
    unit.read_only = False
    assert bench.run(write_10(0, 1), bytes(512)) == GOOD


def test_reservation_conflict_has_no_sense() -> None:
    """RESERVATION CONFLICT says all by itself, and what is allowed under the reservation runs."""
    bench = Bench()
    reserve_for_other(bench)
    assert bench.run(read_10(0, 1)) == Response(status=Status.RESERVATION_CONFLICT)
    assert bench.run(INQUIRY).status is Status.GOOD


def test_a_stopped_unit_is_not_ready() -> None:
    """A stopped unit answers what needs no medium."""
    bench = Bench()
    bench.unit.started = False
    assert sense_of(bench.run(TEST_UNIT_READY))[0] == 0x02
    assert bench.run(INQUIRY).status is Status.GOOD


@pytest.mark.parametrize("how", ["unit", "mapping", "software"])
def test_write_protection(how: str) -> None:
    """Whoever forbids writing, nothing is written, and reading goes on."""
    bench = Bench()
    nexus = bench.nexus
    if how == "unit":
        bench.unit.read_only = True
    elif how == "mapping":
        nexus = bench.connect(isid=2, read_only=True)
    else:
        select_software_write_protect(bench)
    assert sense_of(bench.run(write_10(0, 1), b"x" * 512, nexus=nexus)) == code(Sense.WRITE_PROTECTED)
    assert bytes(bench.run(read_10(0, 1), nexus=nexus).data_in) == bytes(512)


def select_software_write_protect(bench: Bench) -> None:
    """MODE SELECT (6) with SWP."""
    control = bytes([0x0A, 0x0A, 0x02, 0x10, 0x08, 0x40, 0, 0, 0xFF, 0xFF, 0, 0])
    cdb = bytes([0x15, 0x10, 0, 0, 16, 0])
    assert bench.run(cdb, bytes(4) + control) == GOOD


# Refusals and failures.


def test_descriptor_format() -> None:
    """With D_SENSE, sense goes out in descriptor format."""
    bench = Bench()
    control = bytes([0x0A, 0x0A, 0x06, 0x10, 0x00, 0x40, 0, 0, 0xFF, 0xFF, 0, 0])
    assert bench.run(bytes([0x15, 0x10, 0, 0, 16, 0]), bytes(4) + control) == GOOD
    response = bench.run(UNKNOWN)
    assert response.sense[:4] == bytes([0x72, *code(Sense.INVALID_COMMAND_OPERATION_CODE)])


def test_aca_attribute() -> None:
    """A task with the ACA attribute has no auto contingent allegiance to belong to."""
    bench = Bench()
    assert sense_of(bench.run(TEST_UNIT_READY, attribute=TaskAttribute.ACA)) == code(Sense.INVALID_MESSAGE_ERROR)


def test_lba_out_of_range_ends_before_the_data() -> None:
    """A command that cannot run whatever its data ends inside `submit`."""
    bench = Bench()
    task = bench.task(write_10(bench.unit.num_blocks, 1))
    assert sense_of(bench.owner.ends[task]) == code(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
    assert len(bench.unit.task_set) == 0


def test_data_out_wanted() -> None:
    """The transport learns from the CDB how much data-out to collect."""
    bench = Bench()
    assert bench.task(write_10(0, 3)).data_out_wanted == 3 * 512
    assert bench.task(read_10(0, 3)).data_out_wanted == 0


@pytest.mark.parametrize(
    ("number", "sense"),
    [
        (errno.EIO, Sense.UNRECOVERED_READ_ERROR),
        (errno.ENODEV, Sense.LOGICAL_UNIT_FAILURE),
    ],
)
def test_storage_that_fails(number: int, sense: Sense) -> None:
    """A failed block operation ends the command with the sense of its reason, and is no internal error."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(read_10(7, 1))
    executor.finish(error=BackstoreError(number, "failed"))
    response = bench.owner.ends[task]
    assert sense_of(response) == code(sense)
    assert bench.internal_errors == []


def test_medium_error_tells_the_lba() -> None:
    """INFORMATION holds the first LBA that could not be read."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(read_10(7, 3))
    executor.finish(error=BackstoreError(errno.EIO, "failed", offset=9 * 512))
    response = bench.owner.ends[task]
    assert response is not None
    assert (response.sense[0], int.from_bytes(response.sense[3:7])) == (0xF0, 9)


def test_handler_may_answer_reservation_conflict() -> None:
    """What a handler finds out about keys becomes the status."""

    def handler(*_: object) -> Response:
        raise ReservationConflict("not the key")

    bench = bench_with(TEST_UNIT_READY, handler=handler)
    assert bench.run(TEST_UNIT_READY).status is Status.RESERVATION_CONFLICT


@pytest.mark.parametrize("place", ["parse", "handler"])
def test_internal_errors_are_answered_and_told(place: str) -> None:
    """A bug of ours is HARDWARE ERROR to the initiator and an exception to the log, and the next command runs."""
    bug = ZeroDivisionError("bug")

    def fail(*_: object) -> Response:
        raise bug

    bench = bench_with(TEST_UNIT_READY, **{place: fail})  # type: ignore[arg-type]
    assert sense_of(bench.run(TEST_UNIT_READY)) == code(Sense.INTERNAL_TARGET_FAILURE)
    assert bench.internal_errors == [bug]
    assert bench.run(read_10(0, 1)).status is Status.GOOD
