import pytest

from isthmus.initiator import cdb
from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit, raise_for_status
from isthmus.initiator.task import Result
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.status import Status
from tests.support.fake_target import BLOCK_LENGTH, disk_session


def sense(value: Sense) -> bytes:
    """Fixed format."""
    return SenseData(value).to_bytes()


async def test_what_is_written_is_read() -> None:
    """WRITE (16) and READ (16) of whole blocks."""
    async with disk_session() as (session, disk):
        unit = LogicalUnit(session, 0)
        data = bytes(range(256)) * 8
        await unit.write(data, lba=3, block_length=BLOCK_LENGTH, fua=True)
        assert await unit.read(lba=3, num_blocks=4, block_length=BLOCK_LENGTH) == data
        assert disk.commands[0] == cdb.write_16(lba=3, num_blocks=4, fua=True)


async def test_only_whole_blocks_are_written() -> None:
    """The caller's mistake is not sent."""
    async with disk_session() as (session, disk):
        with pytest.raises(ValueError, match="whole blocks"):
            await LogicalUnit(session, 0).write(b"x", lba=0, block_length=BLOCK_LENGTH)
        assert disk.commands == []


async def test_a_wrong_block_length_is_noticed() -> None:
    """The residual gives it away."""
    async with disk_session() as (session, _):
        with pytest.raises(ConnectionViolation, match="block length"):
            await LogicalUnit(session, 0).read(lba=0, num_blocks=1, block_length=4096)


async def test_becoming_ready_takes_the_unit_attentions() -> None:
    """As many as there are; other errors pass through."""
    async with disk_session() as (session, disk):
        unit = LogicalUnit(session, 0)
        disk.sense_next = [sense(Sense.POWER_ON_OCCURRED), sense(Sense.CAPACITY_DATA_HAS_CHANGED)]
        await unit.become_ready()
        assert len(disk.commands) == 3
        disk.sense_next = [sense(Sense.MEDIUM_NOT_PRESENT)]
        with pytest.raises(ScsiError, match="MEDIUM NOT PRESENT"):
            await unit.become_ready()


async def test_endless_unit_attentions_are_an_error() -> None:
    """A unit that never becomes ready does not hang its user."""
    async with disk_session() as (session, disk):
        disk.sense_next = [sense(Sense.POWER_ON_OCCURRED)] * 100
        with pytest.raises(ScsiError, match="POWER ON OCCURRED"):
            await LogicalUnit(session, 0).become_ready()


async def test_capacity_falls_back_to_10_bytes() -> None:
    """Only for a unit that does not know READ CAPACITY (16)."""
    async with disk_session() as (session, disk):
        unit = LogicalUnit(session, 0)
        assert (await unit.read_capacity()).num_blocks == 256
        disk.sense_next = [sense(Sense.INVALID_COMMAND_OPERATION_CODE)]
        assert (await unit.read_capacity()).num_blocks == 256
        assert disk.commands[-1][0] == 0x25
        disk.sense_next = [sense(Sense.MEDIUM_NOT_PRESENT)]
        with pytest.raises(ScsiError):
            await unit.read_capacity()


async def test_large_addresses_take_the_long_synchronize_cache() -> None:
    """10 bytes where they suffice."""
    async with disk_session() as (session, disk):
        unit = LogicalUnit(session, 0)
        await unit.synchronize_cache()
        await unit.synchronize_cache(lba=1 << 32)
        await unit.synchronize_cache(num_blocks=1 << 16)
        assert [command[0] for command in disk.commands] == [0x35, 0x91, 0x91]


async def test_inquiry_and_luns() -> None:
    """Standard data, a VPD page and the LUN list."""
    async with disk_session(max_transfer_length=64) as (session, _):
        unit = LogicalUnit(session, 0)
        assert (await unit.inquiry()).vendor == "EXAMPLE"
        assert (await unit.vpd_page(0xB0))[1] == 0xB0
        assert await unit.report_luns() == [0, 1 << 48]


async def test_unmap_sends_its_list() -> None:
    """The parameter list is the data-out, and its length stands in the CDB."""
    async with disk_session() as (session, disk):
        await LogicalUnit(session, 0).unmap([(0, 8), (64, 8)])
        assert disk.commands == [cdb.unmap(parameter_list_length=40).ljust(16, b"\0")]


@pytest.mark.parametrize("status", [Status.GOOD, Status.CONDITION_MET])
def test_good_statuses_pass(status: Status) -> None:
    """Neither of them is an error."""
    assert raise_for_status("X", Result(status=status)).status == status


@pytest.mark.parametrize("status", [Status.BUSY, Status.RESERVATION_CONFLICT, Status.TASK_SET_FULL])
def test_other_statuses_raise(status: Status) -> None:
    """Also those that come without sense."""
    with pytest.raises(ScsiError, match=status.name.replace("_", " ")) as caught:
        raise_for_status("X", Result(status=status))
    assert (caught.value.status, caught.value.sense) == (status, None)
