import errno

import pytest
from structlog.testing import capture_logs

from isthmus.backstores.operations import Write
from isthmus.engine import read_memory
from isthmus.engine.scsi_bridge import ScsiBridge
from isthmus.errors import BackstoreError
from isthmus.iscsi.opcodes import TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import DataIn, DataOut, Pdu, ScsiCommand, ScsiResponse, TaskManagementRequest
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from tests.support.engine import BLOCK, FIRST_CMD_SN, EngineUnderTest, HeldWorkers, Peer, read, write
from tests.support.scsi import make_unit

Function = TaskManagementFunction
Code = TaskManagementResponseCode
TEST_UNIT_READY = bytes(16)
MODE_SENSE = bytes((0x1A, 0x08, 0x0A, 0, 255, 0)) + bytes(10)
"""MODE SENSE (6) of the Control mode page, without block descriptors."""
MODE_SELECT = bytes((0x15, 0x10, 0, 0, 16, 0)) + bytes(10)
"""MODE SELECT (6) of 16 bytes: the header and that page."""
D_SENSE = (2, 0x04)
TAS = (5, 0x40)
"""Where the bits are in the Control mode page (SPC-5 §7.5.11)."""


def sense_of(pdu: Pdu) -> tuple[int, int, int]:
    """(sense key, ASC, ASCQ) of a SCSI Response, whichever format its sense has."""
    assert isinstance(pdu, ScsiResponse)
    assert pdu.status == Status.CHECK_CONDITION
    sense = bytes(pdu.data_segment)[2:]
    if sense[0] & 0x7F == 0x72:
        return sense[1] & 0x0F, sense[2], sense[3]
    assert sense[0] & 0x7F == 0x70
    return sense[2] & 0x0F, sense[12], sense[13]


def values(sense: Sense) -> tuple[int, int, int]:
    """The three numbers of a sense."""
    key, asc, ascq = sense.value[:3]
    return key, asc, ascq


def one(peer: Peer, *pdus: Pdu) -> Pdu:
    """The one answer to what is sent."""
    return peer.sends(*pdus).gets_one()


def set_control(peer: Peer, place: tuple[int, int], *, on: bool) -> None:
    """Set or clear a bit of the Control mode page, with the two next CmdSNs."""
    window = peer.stream.connection.session.window
    sense = ScsiCommand(
        initiator_task_tag=1, cmd_sn=window.exp_cmd_sn, read=True, expected_data_transfer_length=255, cdb=MODE_SENSE
    )
    page = bytearray(one(peer, sense).data_segment)[4:]
    page[0] &= 0x3F
    byte, bit = place
    page[byte] = page[byte] | bit if on else page[byte] & ~bit
    select = ScsiCommand(
        initiator_task_tag=1,
        cmd_sn=window.exp_cmd_sn,
        write=True,
        expected_data_transfer_length=16,
        cdb=MODE_SELECT,
        data_segment=bytes(4) + page,
    )
    answer = one(peer, select)
    assert isinstance(answer, ScsiResponse)
    assert answer.status == Status.GOOD


# -- Commands ----------------------------------------------------------------------------------------------------------


def test_a_bidirectional_command_is_refused() -> None:
    """No command of a disk has data both ways."""
    peer = EngineUnderTest().log_in()
    command = ScsiCommand(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN, read=True, write=True, cdb=read(1, 0, 0, 1).cdb)
    assert sense_of(one(peer, command)) == values(Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT)


@pytest.mark.parametrize("attribute", [5, 6, 7])
def test_an_unknown_task_attribute_is_refused(attribute: int) -> None:
    """It is reserved (RFC 7143 §11.3.1)."""
    peer = EngineUnderTest().log_in()
    command = ScsiCommand(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN, cdb=TEST_UNIT_READY, attribute=attribute)
    assert sense_of(one(peer, command)) == values(Sense.INVALID_MESSAGE_ERROR)


@pytest.mark.parametrize("attribute", range(4))
def test_a_known_task_attribute_is_passed_on(attribute: int) -> None:
    """Untagged, SIMPLE, ORDERED, HEAD OF QUEUE."""
    peer = EngineUnderTest().log_in()
    answer = one(peer, ScsiCommand(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN, attribute=attribute))
    assert isinstance(answer, ScsiResponse)
    assert answer.status == Status.GOOD


@pytest.mark.parametrize("descriptor", [False, True])
def test_sense_of_ours_has_the_format_that_the_unit_is_set_to(descriptor: bool) -> None:
    """As D_SENSE in the Control mode page says (SPC-5 §4.4.1)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    set_control(peer, D_SENSE, on=descriptor)
    answer = one(peer, ScsiCommand(initiator_task_tag=2, cmd_sn=FIRST_CMD_SN + 2, attribute=7))
    assert bytes(answer.data_segment)[2] == (0x72 if descriptor else 0x70)
    assert sense_of(answer) == values(Sense.INVALID_MESSAGE_ERROR)
    answer = one(peer, ScsiCommand(initiator_task_tag=2, cmd_sn=FIRST_CMD_SN + 3, attribute=7, lun=encode_lun(9)))
    assert bytes(answer.data_segment)[2] == 0x70


def test_a_command_to_no_unit_is_answered() -> None:
    """With the sense that says so, and its data is not asked for."""
    peer = EngineUnderTest().log_in()
    command = write(1, FIRST_CMD_SN, 0, bytes(BLOCK), lun=5)
    assert sense_of(one(peer, command)) == values(Sense.LOGICAL_UNIT_NOT_SUPPORTED)


def test_the_residual_is_counted_against_what_the_cdb_asks_for() -> None:
    """Of a write by the data-out it wants, of a read by the data-in it gives (RFC 7143 §11.4.5)."""
    peer = EngineUnderTest().log_in()
    answer = one(peer, read(1, FIRST_CMD_SN, 0, 2, expected_data_transfer_length=4 * BLOCK))
    assert isinstance(answer, DataIn)
    assert (answer.residual_underflow, answer.residual_count) == (True, 2 * BLOCK)
    answer = one(peer, write(2, FIRST_CMD_SN + 1, 0, bytes(BLOCK), expected_data_transfer_length=BLOCK))
    assert isinstance(answer, ScsiResponse)
    assert (answer.residual_overflow, answer.residual_underflow) == (False, False)


def test_a_write_runs_when_its_data_is_complete() -> None:
    """It is asked for no more than its CDB wants."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    command = write(1, FIRST_CMD_SN, 4, b"\xaa" * BLOCK, expected_data_transfer_length=3 * BLOCK)
    command.data_segment = b""
    r2t = one(peer, command)
    assert r2t.desired_data_transfer_length == BLOCK  # type: ignore[attr-defined]
    answer = one(
        peer,
        DataOut(
            initiator_task_tag=1,
            target_transfer_tag=r2t.target_transfer_tag,  # type: ignore[attr-defined]
            data_segment=b"\xaa" * BLOCK,
        ),
    )
    assert isinstance(answer, ScsiResponse)
    assert (answer.status, answer.residual_underflow, answer.residual_count) == (0, True, 2 * BLOCK)
    content = bytearray(BLOCK)
    under_test.units[0].backstore.read_into(4 * BLOCK, memoryview(content))
    assert content == b"\xaa" * BLOCK


# -- Data that cannot be used ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("descriptor", [False, True])
@pytest.mark.parametrize(
    ("pdus", "sense"),
    [
        ([(b"x" * BLOCK, 3, 0, True)], Sense.PROTOCOL_SERVICE_CRC_ERROR),
        ([(b"x" * BLOCK, 0, 0, False), (b"x" * 2 * BLOCK, 1, BLOCK, True)], Sense.UNEXPECTED_UNSOLICITED_DATA),
        ([(b"x" * 100, 0, 0, True)], Sense.NOT_ENOUGH_UNSOLICITED_DATA),
    ],
    ids=["out of order", "too much", "too little"],
)
def test_a_transfer_error_becomes_its_sense(
    pdus: list[tuple[bytes, int, int, bool]], sense: Sense, descriptor: bool
) -> None:
    """The task leaves the task set, nothing is written, and the connection goes on (RFC 7143 §11.4.7.2)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(session={"initial_r2t": False, "first_burst_length": 2 * BLOCK})
    set_control(peer, D_SENSE, on=descriptor)
    command = write(1, FIRST_CMD_SN + 2, 0, b"x" * 2 * BLOCK, final=False)
    command.data_segment = b""
    peer.sends(command)
    for data, data_sn, offset, final in pdus:
        peer.sends(DataOut(initiator_task_tag=1, data_segment=data, data_sn=data_sn, buffer_offset=offset, final=final))
    answer = peer.gets_one()
    assert sense_of(answer) == values(sense)
    assert bytes(answer.data_segment)[2] == (0x72 if descriptor else 0x70)
    assert len(under_test.units[0].task_set) == 0
    assert peer.stream.connection.session.tasks == {}
    content = bytearray(2 * BLOCK)
    under_test.units[0].backstore.read_into(0, memoryview(content))
    assert not any(content)


def test_a_transfer_error_with_naca_stops_the_task_set() -> None:
    """It is a CHECK CONDITION like any other: an ACA condition comes into effect (SAM-5 §5.9)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(session={"initial_r2t": False, "first_burst_length": 2 * BLOCK})
    command = write(1, FIRST_CMD_SN, 0, b"x" * BLOCK, final=False)
    command.cdb = command.cdb[:15] + b"\x04"
    command.data_segment = b""
    peer.sends(command, DataOut(initiator_task_tag=1, data_segment=b"x" * 100, final=True))
    assert sense_of(peer.gets_one()) == values(Sense.NOT_ENOUGH_UNSOLICITED_DATA)
    after = one(peer, ScsiCommand(initiator_task_tag=2, cmd_sn=FIRST_CMD_SN + 1, cdb=TEST_UNIT_READY))
    assert isinstance(after, ScsiResponse)
    assert after.status == Status.ACA_ACTIVE


# -- Task management ---------------------------------------------------------------------------------------------------


def manage(function: int, **fields: int) -> TaskManagementRequest:
    """An immediate function."""
    return TaskManagementRequest(
        is_immediate=True,
        initiator_task_tag=90,
        cmd_sn=fields.pop("cmd_sn", FIRST_CMD_SN),
        function=function,
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("function", "lun", "code"),
    [
        (Function.ABORT_TASK, 0, Code.TASK_DOES_NOT_EXIST),
        (Function.ABORT_TASK_SET, 0, Code.FUNCTION_COMPLETE),
        (Function.ABORT_TASK_SET, 9, Code.LUN_DOES_NOT_EXIST),
        (Function.CLEAR_TASK_SET, 0, Code.FUNCTION_COMPLETE),
        (Function.LOGICAL_UNIT_RESET, 0, Code.FUNCTION_COMPLETE),
        (Function.LOGICAL_UNIT_RESET, 9, Code.LUN_DOES_NOT_EXIST),
        (Function.TARGET_WARM_RESET, 9, Code.FUNCTION_COMPLETE),
        (Function.TARGET_COLD_RESET, 9, Code.FUNCTION_COMPLETE),
        (0, 0, Code.FUNCTION_NOT_SUPPORTED),
        (9, 0, Code.FUNCTION_NOT_SUPPORTED),
        (127, 0, Code.FUNCTION_NOT_SUPPORTED),
    ],
)
def test_functions_and_results_are_translated(function: int, lun: int, code: Code) -> None:
    """From RFC 7143 §11.5.1 to SAM-5 and back to §11.6.1; what is unknown is not supported."""
    under_test = EngineUnderTest()
    resets: list[None] = []
    under_test.on_cold_reset = lambda: resets.append(None)
    peer = under_test.log_in()
    answer = one(peer, manage(function, lun=encode_lun(lun), ref_cmd_sn=FIRST_CMD_SN - 1, referenced_task_tag=1))
    assert answer.response == code  # type: ignore[attr-defined]
    assert len(resets) == (function == Function.TARGET_COLD_RESET)


@pytest.mark.parametrize(
    ("function", "lun", "told"),
    [
        (Function.ABORT_TASK_SET, 0, None),
        (Function.LOGICAL_UNIT_RESET, 0, ("logical_unit_reset", "complete", 0)),
        (Function.LOGICAL_UNIT_RESET, 9, ("logical_unit_reset", "lun_does_not_exist", 9)),
        (Function.TARGET_WARM_RESET, 9, ("target_warm_reset", "complete", "")),
        (Function.TARGET_COLD_RESET, 9, ("target_cold_reset", "complete", "")),
    ],
)
def test_a_reset_is_told_once(function: int, lun: int, told: tuple[object, ...] | None) -> None:
    """With who has done it, and what came of it; functions that end tasks only are daily business."""
    peer = EngineUnderTest().log_in()
    with capture_logs() as logs:
        one(peer, manage(function, lun=encode_lun(lun)))
    found = [(line["function"], line["result"], line["lun"]) for line in logs if line["event"] == "reset"]
    assert found == ([] if told is None else [told])


@pytest.mark.parametrize("function", list(Function))
def test_every_function_has_an_answer(function: Function) -> None:
    """Whatever it is."""
    assert one(EngineUnderTest().log_in(), manage(function)).initiator_task_tag == 90


def test_a_task_that_waits_for_data_is_aborted_unseen() -> None:
    """Its data, when it comes, goes nowhere."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    command = write(1, FIRST_CMD_SN, 0, bytes(BLOCK))
    command.data_segment = b""
    r2t = one(peer, command)
    abort = manage(Function.ABORT_TASK, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN, cmd_sn=FIRST_CMD_SN + 1)
    assert one(peer, abort).response == Code.FUNCTION_COMPLETE  # type: ignore[attr-defined]
    peer.sends(
        DataOut(initiator_task_tag=1, target_transfer_tag=r2t.target_transfer_tag, data_segment=bytes(BLOCK))  # type: ignore[attr-defined]
    )
    assert peer.gets() == []
    assert len(under_test.units[0].task_set) == 0


@pytest.mark.parametrize("tas", [False, True])
def test_tasks_aborted_by_another_initiator_end_as_tas_says(tas: bool) -> None:
    """With TASK ABORTED, or unanswered; their tag, their memory and their place in the window are free."""
    under_test = EngineUnderTest()
    peer, other = under_test.log_in(isid=1), under_test.log_in(isid=2)
    set_control(peer, TAS, on=tas)
    under_test.hush(under_test.nexus)
    command = write(1, FIRST_CMD_SN + 2, 0, bytes(BLOCK))
    command.data_segment = b""
    peer.sends(command)
    peer.gets()
    one(other, manage(Function.LOGICAL_UNIT_RESET))
    peer.turn()
    statuses = [pdu.status for pdu in peer.gets() if isinstance(pdu, ScsiResponse)]
    assert statuses == ([Status.TASK_ABORTED] if tas else [])
    session = peer.stream.connection.session
    assert session.tasks == {}
    assert session.window.max_cmd_sn == FIRST_CMD_SN + 2 + session.window.depth
    assert session.budget.reserved == 0


# -- Loss --------------------------------------------------------------------------------------------------------------


def test_tasks_of_a_lost_connection_are_aborted() -> None:
    """Those that wait for data at once; what is under way on the medium ends, and is answered to nobody."""
    workers = HeldWorkers()
    unit = make_unit()
    unit.backstore.never_blocks = False
    under_test = EngineUnderTest(unit, workers=workers, granted=False)
    session = under_test.open_session(max_connections=2)
    peer, other = under_test.connect(session, cid=1), under_test.connect(session, cid=2)
    waiting = write(1, FIRST_CMD_SN, 0, bytes(BLOCK))
    waiting.data_segment = b""
    peer.sends(waiting, write(2, FIRST_CMD_SN + 1, 8, bytes(BLOCK)))
    peer.gets()
    peer.hangs_up()
    assert [task.tag for task in unit.task_set] == [2]
    workers.finish_all()
    assert len(unit.task_set) == 0
    assert (session.tasks, peer.gets(), other.gets()) == ({}, [], [])
    bridge = session.sink
    assert isinstance(bridge, ScsiBridge)
    assert bridge._tasks == {}


# -- Reads that hold memory --------------------------------------------------------------------------------------------


class Reading:
    """A session whose reads may hold four blocks, of a disk that keeps them waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_memory, "OF_SESSION", 4 * BLOCK)
        self.workers = HeldWorkers()
        self.unit = make_unit()
        self.unit.backstore.never_blocks = False
        monkeypatch.setattr(self.unit.backstore, "read_if_cached", lambda *_: False)
        self.under_test = EngineUnderTest(self.unit, workers=self.workers, granted=False)
        self.session = self.under_test.open_session()
        self.peer = self.under_test.connect(self.session)

    @property
    def in_use(self) -> int:
        """Blocks that are held."""
        return self.under_test.engine.read_memory.in_use // BLOCK

    def tags(self) -> list[int]:
        """Whose data have come."""
        return [pdu.initiator_task_tag for pdu in self.peer.gets()]


def test_reads_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin in order as others have been sent, and hold nothing when all is sent."""
    reading = Reading(monkeypatch)
    reading.peer.sends(*(read(tag, FIRST_CMD_SN + tag, 0, 2) for tag in range(5)))
    assert (len(reading.workers.under_way), reading.in_use) == (2, 4)
    reading.workers.finish()
    reading.peer.turn()
    assert reading.tags() == [0]
    assert (len(reading.workers.under_way), reading.in_use) == (2, 4)
    for _ in range(4):
        reading.workers.finish()
        reading.peer.turn()
    assert reading.tags() == [1, 2, 3, 4]
    assert reading.in_use == 0


def test_what_the_peer_does_not_take_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a peer that asks for much and takes nothing gets no more memory than its share."""
    reading = Reading(monkeypatch)
    reading.peer.socket.room = 0
    reading.peer.sends(*(read(tag, FIRST_CMD_SN + tag, 0, 2) for tag in range(5)))
    reading.workers.finish_all()
    reading.peer.turn()
    assert (len(reading.workers.under_way), reading.in_use) == (0, 4)
    reading.peer.socket.room = None
    reading.peer.turn()
    assert (len(reading.workers.under_way), reading.tags()) == (2, [0, 1])


def test_a_read_of_which_less_is_expected_holds_nothing_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is read, and a part of it sent."""
    reading = Reading(monkeypatch)
    reading.peer.sends(read(1, FIRST_CMD_SN, 0, 4, expected_data_transfer_length=BLOCK))
    assert reading.in_use == 4
    reading.workers.finish()
    reading.peer.turn()
    assert (reading.tags(), reading.in_use) == ([1], 0)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_read_that_is_aborted_gives_back_what_it_holds(monkeypatch: pytest.MonkeyPatch, waiting: bool) -> None:
    """Or waits for no more; who waited behind it goes on."""
    reading = Reading(monkeypatch)
    reading.peer.sends(*(read(tag, FIRST_CMD_SN + tag, 0, 3) for tag in range(3)))
    reading.peer.sends(
        TaskManagementRequest(
            is_immediate=True,
            function=Function.ABORT_TASK,
            initiator_task_tag=9,
            referenced_task_tag=1 if waiting else 0,
            cmd_sn=FIRST_CMD_SN + 3,
            ref_cmd_sn=FIRST_CMD_SN,
        )
    )
    for _ in range(3):
        if reading.workers.under_way:
            reading.workers.finish()
            reading.peer.turn()
    assert sorted(reading.tags()) == ([0, 2, 9] if waiting else [1, 2, 9])
    assert reading.in_use == 0


def test_a_read_that_fails_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no data to be sent."""
    reading = Reading(monkeypatch)
    reading.peer.sends(read(1, FIRST_CMD_SN, 0, 3))
    reading.workers.finish(BackstoreError(errno.EIO, "broken"))
    assert reading.in_use == 0


def test_a_connection_that_is_lost_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for what was not sent, nor for what is still being read, nor for what has waited."""
    reading = Reading(monkeypatch)
    reading.peer.socket.room = 0
    reading.peer.sends(*(read(tag, FIRST_CMD_SN + tag, 0, 2) for tag in range(4)))
    reading.workers.finish()
    reading.peer.turn()
    reading.peer.hangs_up()
    reading.under_test.engine.lose(reading.peer.stream, "gone")
    assert reading.in_use == 2
    reading.workers.finish_all()
    assert reading.in_use == 0
    bridge = reading.session.sink
    assert isinstance(bridge, ScsiBridge)
    assert bridge._reading == {}


# -- Writes under a grant that failed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sense"),
    [
        (BackstoreError(errno.ENOSPC, "full"), Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
        (BackstoreError(errno.EIO, "broken", offset=3 * BLOCK), Sense.WRITE_ERROR),
        (BackstoreError(errno.ENODEV, "gone"), Sense.LOGICAL_UNIT_FAILURE),
        (RuntimeError("a bug"), Sense.INTERNAL_TARGET_FAILURE),
    ],
)
def test_a_failed_write_gets_the_sense_of_its_error(error: Exception, sense: Sense) -> None:
    """The same as if the device server had run it, with all the data counted as wanted."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    connection = peer.stream.connection
    bridge = connection.session.sink
    assert isinstance(bridge, ScsiBridge)
    connection.session.window.received()
    task = connection.commands.take_over(write(1, FIRST_CMD_SN, 3, bytes(BLOCK)))
    bridge.failed(task, error, Write(3 * BLOCK, (bytes(BLOCK),), BLOCK))
    peer.turn()
    answer = peer.gets_one()
    assert sense_of(answer) == values(sense)
    assert isinstance(answer, ScsiResponse)
    assert (answer.residual_overflow, answer.residual_underflow) == (False, False)
    assert (connection.session.tasks, bridge._tasks) == ({}, {})


def test_commands_of_the_long_way_are_timed() -> None:
    """Those that read or write, and end well."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    ordered = 2
    one(peer, read(1, FIRST_CMD_SN, 0, 1, attribute=ordered))
    one(peer, write(2, FIRST_CMD_SN + 1, 0, bytes(BLOCK), attribute=ordered))
    one(peer, read(3, FIRST_CMD_SN + 2, 1 << 40, 1))
    one(peer, ScsiCommand(initiator_task_tag=4, cmd_sn=FIRST_CMD_SN + 3, cdb=bytes(16)))
    [grant] = under_test.nexus.grants.values()
    assert grant.read_latency is not None
    assert grant.write_latency is not None
    assert (grant.read_latency.commands, grant.write_latency.commands) == (1, 1)
    assert (grant.long_way.read_commands, grant.long_way.write_commands, grant.read_commands) == (1, 1, 0)
