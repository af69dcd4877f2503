import struct

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.opcodes import CommandDescriptor
from tests.support.primary import CachedMemory, data_of, in_cdb, refusal
from tests.support.scsi import COPY_SERVICES, Bench

ROWS = list(DISK_COMMANDS)


def everything() -> Bench:
    """A unit that has every command."""
    memory = CachedMemory()
    memory.capabilities = Capabilities(discard=True, encrypts=True)
    return Bench(unit=LogicalUnit(memory, third_party_copy=COPY_SERVICES))


TIMEOUTS = bytes((0, 10)) + bytes(10)
NOT_SUPPORTED = bytes((0, 1, 0, 0))


def rsoc(
    options: int = 0, opcode: int = 0, action: int = 0, *, timeouts: bool = False, allocation_length: int = 0xFFFF
) -> bytes:
    """REPORT SUPPORTED OPERATION CODES."""
    return struct.pack(">BBBBHIxx", 0xA3, 0x0C, options | timeouts << 7, opcode, action, allocation_length)


def rstmf(*, extended: bool = False, allocation_length: int = 255) -> bytes:
    """REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS."""
    return struct.pack(">BBBxxxIxx", 0xA3, 0x0D, extended << 7, allocation_length)


@pytest.mark.parametrize("timeouts", [False, True])
def test_all_commands(timeouts: bool) -> None:
    """Every row of the command table is listed, with a timeouts descriptor if RCTD asks for it."""
    data = data_of(everything().run(rsoc(timeouts=timeouts)))
    size = 20 if timeouts else 8
    assert int.from_bytes(data[:4]) == len(data) - 4 == size * len(ROWS)
    for index, row in enumerate(ROWS):
        descriptor = data[4 + size * index : 4 + size * (index + 1)]
        opcode, action, flags, cdb_length = struct.unpack(">BxHxBH", descriptor[:8])
        assert (opcode, action, cdb_length) == (row.opcode, row.service_action or 0, row.cdb_length)
        assert flags == (row.service_action is not None) | timeouts << 1
        assert descriptor[8:] == (TIMEOUTS if timeouts else b"")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("timeouts", [False, True])
def test_one_command(row: CommandDescriptor, timeouts: bool) -> None:
    """Each command is described by its usage mask; the option has to fit it, but for option 3, which fits all."""
    bench = everything()
    support = 0x83 if timeouts else 0x03
    expected = struct.pack(">BBH", 0, support, row.cdb_length) + row.usage + (TIMEOUTS if timeouts else b"")
    action = row.service_action
    right, wrong = (1, 2) if action is None else (2, 1)
    for options in (right, 3):
        assert data_of(bench.run(rsoc(options, row.opcode, action or 0, timeouts=timeouts))) == expected
    assert refusal(bench.run(rsoc(wrong, row.opcode, action or 0, timeouts=timeouts))) == in_cdb(2, 2)


@pytest.mark.parametrize(
    ("options", "opcode", "action"),
    [
        (1, 0x07, 0),  # REASSIGN BLOCKS
        (2, 0x07, 0),
        (3, 0x07, 0),
        (2, 0x9E, 0x11),
        (3, 0x9E, 0x11),
        (3, 0x28, 1),  # READ (10) has no service action 1
        (2, 0xA3, 0x10C),
    ],
)
def test_command_that_is_not_supported(options: int, opcode: int, action: int) -> None:
    """A command that there is not is no error: SUPPORT says so, and no timeouts come with it."""
    assert data_of(Bench().run(rsoc(options, opcode, action))) == NOT_SUPPORTED
    assert data_of(Bench().run(rsoc(options, opcode, action, timeouts=True))) == NOT_SUPPORTED


@pytest.mark.parametrize("options", [4, 5, 6, 7])
def test_reserved_options(options: int) -> None:
    """REPORTING OPTIONS has four values."""
    assert refusal(Bench().run(rsoc(options))) == in_cdb(2, 2)


@pytest.mark.parametrize("length", [0, 2, 4, 12, 100])
def test_allocation_length(length: int) -> None:
    """The report is cut, and its length field stays."""
    bench = Bench()
    assert data_of(bench.run(rsoc(allocation_length=length))) == data_of(bench.run(rsoc()))[:length]


def test_what_is_reported_is_what_runs() -> None:
    """No opcode outside the report is known to the device server."""
    bench = Bench()
    reported = {row.opcode for row in ROWS}
    for opcode in range(0x100):
        response = bench.run(bytes((opcode,)) + b"\0" * 15)
        unknown = bool(response.sense) and (response.sense[12], response.sense[13]) == (0x20, 0x00)
        assert unknown == (opcode not in reported), hex(opcode)


def test_task_management_functions() -> None:
    """ABORT TASK, ABORT TASK SET, CLEAR TASK SET and LOGICAL UNIT RESET; with REPD no timeouts."""
    assert data_of(Bench().run(rstmf())) == bytes((0xF8, 0, 0, 0))
    assert data_of(Bench().run(rstmf(extended=True))) == bytes((0xF8, 0, 0, 12)) + bytes(12)
    assert data_of(Bench().run(rstmf(extended=True, allocation_length=4))) == bytes((0xF8, 0, 0, 12))


@pytest.mark.parametrize("length", [0, 3])
def test_task_management_functions_need_four_bytes(length: int) -> None:
    """An allocation length below 4 is refused."""
    assert refusal(Bench().run(rstmf(allocation_length=length))) == in_cdb(6)
