"""What each attribute of a backstore does to a disk in use: one test for each, named after it (see test_settings_effects).

The session goes on throughout; that something is another now, it hears by a unit attention.
"""

import asyncio
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Buffer

from isthmus.backstores.fileio import FileBackstore
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.errors import ConfigurationError
from isthmus.initiator import cdb
from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.parameter_data import encode_unmap
from isthmus.initiator.session import Session
from isthmus.initiator.task import CommandTask
from isthmus.initiator.task_management import logical_unit_reset
from isthmus.iscsi.opcodes import TaskManagementResponseCode
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.reservation_record import load_reservations
from isthmus.scsi.status import Status
from tests.support.effects import BLOCK, Bench, bench, mode_page
from tests.support.patience import PATIENCE

INQUIRY = Sense.INQUIRY_DATA_HAS_CHANGED
MODE = Sense.MODE_PARAMETERS_CHANGED
UNKNOWN = Sense.INVALID_COMMAND_OPERATION_CODE
FIELD = Sense.INVALID_FIELD_IN_CDB
ONE_BLOCK = bytes(BLOCK)
UNMAP_8 = encode_unmap([(0, 8)])
THIN = {"emulate_tpu": 1, "emulate_tpws": 1}


def read_10(flags: int) -> bytes:
    """READ (10) of the first block."""
    return struct.pack(">BBIxHx", 0x28, flags, 0, 1)


def write_10(flags: int) -> bytes:
    """WRITE (10) of the first block."""
    return struct.pack(">BBIxHx", 0x2A, flags, 0, 1)


async def limits(unit: LogicalUnit) -> tuple[Any, ...]:
    """The Block Limits page from WSNZ to MAXIMUM ATOMIC TRANSFER LENGTH WITH BOUNDARY (SBC-4 §6.6.4)."""
    return struct.unpack_from(">BBHIIIIIIIQII I", await unit.vpd_page(0xB0), 4)


class SlowDisk:
    """A file, of which SYNCHRONIZE CACHE takes as long as the test wants."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        key = BackstoreKey("fileio", "f")
        self.store = Backstore(key=key, path=str(directory / "disk"), size=1 << 20, unit_serial="f")
        self.may_end = threading.Event()
        self._begun = threading.Event()
        monkeypatch.setattr(FileBackstore, "flush", lambda _storage: self._flush())

    def _flush(self) -> None:
        self._begun.set()
        self.may_end.wait(PATIENCE)

    async def begin(self, tested: Bench) -> CommandTask:
        """The task that takes so long, under way."""
        task = tested.session.start(0, cdb.synchronize_cache_10())
        await asyncio.to_thread(self._begun.wait, 20)
        return task


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """Ends what it has begun, whatever becomes of the test."""
    made = SlowDisk(tmp_path, monkeypatch)
    yield made
    made.may_end.set()


OPTIMAL, MAX_UNMAP, UNMAP_DESCRIPTORS, GRANULARITY, ALIGNMENT, WRITE_SAME, ATOMIC = 4, 6, 7, 8, 9, 10, 11


async def test_block_size() -> None:
    """Another length is another disk: whoever uses it logs in anew."""
    async with bench(attributes={"block_size": 4096}) as tested:
        capacity = await tested.unit.read_capacity()
        assert (capacity.block_length, capacity.num_blocks) == (4096, 256)


async def test_encrypt() -> None:
    """An encrypted disk is another disk, which has a CRYPTO ERASE: whoever uses it logs in anew."""
    crypto_erase = bytes((0x48, 0x03, *bytes(8)))
    async with bench() as tested:
        assert await tested.sense(crypto_erase) is Sense.INVALID_FIELD_IN_CDB
    async with bench(attributes={"encrypt": 1}) as tested:
        assert await tested.sense(crypto_erase) is None
        assert tested.device.backstore.capabilities.encrypts


async def test_encrypting_a_disk_that_holds_something(tmp_path: Path) -> None:
    """It is refused, and the disk goes on with what it holds."""
    path = tmp_path / "a.img"
    store = Backstore(key=BackstoreKey("fileio", "a"), path=str(path), size=4 << 20, unit_serial="serial-of-a")
    async with bench(store) as tested:
        await tested.unit.write(b"data" * 128, lba=0, block_length=BLOCK)
        with pytest.raises(ConfigurationError, match="holds data, and there is no media encryption key"):
            await tested.set(encrypt=1)
        assert path.read_bytes()[:512] == b"data" * 128
        assert tested.device.backstore.capabilities.encrypts is False


async def test_emulate_3pc() -> None:
    """EXTENDED COPY, and the page and the bit that tell of it."""
    copy = bytes((0x83, *bytes(15)))
    async with bench() as tested:
        assert await tested.sense(copy) is None
        assert 0x8F in (await tested.unit.vpd_page(0))[4:]
        await tested.changes("emulate_3pc", 0, INQUIRY)
        assert await tested.sense(copy) is UNKNOWN
        assert 0x8F not in (await tested.unit.vpd_page(0))[4:]
        await tested.changes("emulate_3pc", 1, INQUIRY)
        assert await tested.sense(copy) is None


async def atomic(tested: Bench, lba: int, num_blocks: int) -> Sense | None:
    """What is said against a WRITE ATOMIC (16)."""
    command = struct.pack(">BBQHHBB", 0x9C, 0, lba, 0, num_blocks, 0, 0)
    return await tested.sense(command, data_out=bytes(num_blocks * BLOCK))


async def test_atomic_alignment() -> None:
    """An atomic write begins where it may."""
    async with bench() as tested:
        assert await atomic(tested, 3, 4) is None
        await tested.changes("atomic_alignment", 4, INQUIRY)
        assert (await limits(tested.unit))[ATOMIC + 1] == 4
        assert await atomic(tested, 3, 4) is not None
        assert await atomic(tested, 4, 4) is None


async def test_atomic_granularity() -> None:
    """And has as many blocks as it may."""
    async with bench() as tested:
        await tested.changes("atomic_granularity", 4, INQUIRY)
        assert (await limits(tested.unit))[ATOMIC + 2] == 4
        assert await atomic(tested, 0, 3) is not None
        assert await atomic(tested, 0, 4) is None


async def test_atomic_max_len() -> None:
    """No more than these."""
    async with bench() as tested:
        assert await atomic(tested, 0, 9) is None
        await tested.changes("atomic_max_len", 8, INQUIRY)
        assert (await limits(tested.unit))[ATOMIC] == 8
        assert await atomic(tested, 0, 9) is not None
        assert await atomic(tested, 0, 8) is None


async def gives_and_takes(name: str, command: bytes, data_out: bytes = b"", on: int = 1) -> None:
    """The attribute decides whether there is a command."""
    async with bench(attributes={name: on, **({"emulate_tpws": 1} if name == "emulate_tpu" else {})}) as tested:
        assert await tested.sense(command, data_out=data_out, data_in_length=0 if data_out else 64) is None
        await tested.changes(name, 1 - on, INQUIRY)
        assert await tested.sense(command, data_out=data_out) is UNKNOWN
        await tested.changes(name, on, INQUIRY)
        assert await tested.sense(command, data_out=data_out, data_in_length=0 if data_out else 64) is None


async def test_emulate_caw() -> None:
    """COMPARE AND WRITE."""
    await gives_and_takes("emulate_caw", cdb.compare_and_write(lba=0, num_blocks=1), bytes(2 * BLOCK))


async def test_emulate_cdb32() -> None:
    """READ (32)."""
    await gives_and_takes("emulate_cdb32", cdb.extended_32(service_action=0x09))


async def test_emulate_pr() -> None:
    """PERSISTENT RESERVE IN, READ KEYS; and RESERVE (6)."""
    await gives_and_takes("emulate_pr", struct.pack(">BB5xHx", 0x5E, 0, 64))
    async with bench(attributes={"emulate_pr": 0}) as tested:
        assert await tested.sense(bytes((0x16, *bytes(5)))) is UNKNOWN


async def test_emulate_rsoc() -> None:
    """REPORT SUPPORTED OPERATION CODES, one service action of several."""
    report = struct.pack(">BBBxxxIxx", 0xA3, 0x0C, 0, 64)
    async with bench() as tested:
        assert await tested.sense(report, data_in_length=64) is None
        await tested.changes("emulate_rsoc", 0, INQUIRY)
        assert await tested.sense(report, data_in_length=64) is FIELD


async def takes_both_bits_away(name: str, *commands: bytes) -> None:
    """Without the attribute, DPO and FUA are refused, and MODE SENSE tells so by the one bit that it has (DPOFUA)."""
    async with bench() as tested:
        for on in (1, 0, 1):
            if on != tested.store.attribute(name):
                await tested.changes(name, on, MODE, INQUIRY)
            assert bool((await mode_page(tested.unit, 0x3F))[0] & 0x10) is bool(on)
            for command in commands:
                data = ONE_BLOCK if command[0] == 0x2A else b""
                sense = await tested.sense(command, data_out=data, data_in_length=BLOCK - len(data))
                assert sense is (None if on else FIELD)
            assert await tested.sense(write_10(0), data_out=ONE_BLOCK) is None
            assert await tested.sense(read_10(0), data_in_length=BLOCK) is None


async def test_emulate_dpo() -> None:
    """Reads and writes that would be served by the fast paths are refused, too."""
    await takes_both_bits_away("emulate_dpo", read_10(0x10), write_10(0x10), write_10(0x08))


async def test_emulate_fua_read() -> None:
    """In reads, and with that everywhere."""
    await takes_both_bits_away("emulate_fua_read", read_10(0x08), read_10(0x10), write_10(0x18))


async def test_emulate_fua_write() -> None:
    """In writes, and with that everywhere."""
    await takes_both_bits_away("emulate_fua_write", write_10(0x08), write_10(0x10), read_10(0x18))


async def test_emulate_model_alias() -> None:
    """The product identification is the name of the backstore, or the same for all."""
    async with bench() as tested:
        assert (await tested.unit.inquiry()).product == "a"
        await tested.changes("emulate_model_alias", 0, INQUIRY)
        assert (await tested.unit.inquiry()).product == "VIRTUAL-DISK"


@pytest.mark.parametrize("restricted", [0, 1])
async def test_emulate_rest_reord(restricted: int, slow: SlowDisk) -> None:
    """1: a task waits for those of its session that came before (QUEUE ALGORITHM MODIFIER 0h)."""
    async with bench(slow.store, {"emulate_rest_reord": restricted}) as tested:
        assert (await mode_page(tested.unit, 0x0A))[1][3] >> 4 == 1 - restricted
        first = await slow.begin(tested)
        second = tested.session.start(0, cdb.test_unit_ready())
        await tested.session.ping()
        assert second.ended is not bool(restricted)
        slow.may_end.set()
        assert [(await task).status for task in (first, second)] == [Status.GOOD, Status.GOOD]


@pytest.mark.parametrize("told", [1, 0])
async def test_emulate_tas(told: int, slow: SlowDisk) -> None:
    """A task that another session has reset away is answered with TASK ABORTED, or not, and then there is an attention."""
    async with bench(slow.store, {"emulate_tas": told}) as tested:
        task = await slow.begin(tested)
        async with await Session.login(tested.running.settings()) as other:
            reset = asyncio.create_task(logical_unit_reset(other, 0))
            await other.ping()
            slow.may_end.set()
            assert await reset == TaskManagementResponseCode.FUNCTION_COMPLETE
        if told:
            assert (await task).status == Status.TASK_ABORTED
        else:
            await tested.session.ping()
            assert not task.ended
            assert await tested.attentions() == [Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED]


async def test_emulate_tpu() -> None:
    """UNMAP, which LBPU tells of, whatever WRITE SAME may."""
    command = cdb.unmap(parameter_list_length=len(UNMAP_8))
    await gives_and_takes("emulate_tpu", command, UNMAP_8)
    async with bench(attributes={"emulate_tpu": 1}) as tested:
        assert (await tested.unit.vpd_page(0xB2))[5] & 0xE0 == 0x80


async def test_emulate_tpws() -> None:
    """WRITE SAME with UNMAP, which LBPWS and LBPWS10 tell of, whatever UNMAP may."""
    unmapping = cdb.write_same_16(lba=0, num_blocks=8, unmap=True, no_data=True)
    async with bench(attributes={"emulate_tpws": 1}) as tested:
        assert await tested.sense(unmapping) is None
        assert (await tested.unit.vpd_page(0xB2))[5] & 0xE0 == 0x60
        assert await tested.sense(cdb.unmap(parameter_list_length=0)) is UNKNOWN
        await tested.changes("emulate_tpws", 0, INQUIRY)
        assert await tested.sense(unmapping) is FIELD
        assert await tested.sense(cdb.write_same_16(lba=0, num_blocks=8, no_data=True)) is None


async def test_emulate_ua_intlck_ctrl() -> None:
    """1: a unit attention stays until REQUEST SENSE takes it."""
    async with bench() as tested:
        await tested.set(emulate_ua_intlck_ctrl=1)
        assert [await tested.sense(cdb.test_unit_ready()) for _ in range(2)] == [MODE, MODE]
        await tested.unit.command("REQUEST SENSE", cdb.request_sense(), data_in_length=252)
        assert await tested.sense(cdb.test_unit_ready()) is None


async def test_emulate_write_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, each write to a file with a write-back cache is durable before GOOD; WCE and V_SUP tell of the cache."""
    path = tmp_path / "disk"
    store = Backstore(key=BackstoreKey("fileio", "f"), path=str(path), size=1 << 20, unit_serial="f", write_back=True)
    async with bench(store) as tested:
        assert tested.store.attribute("emulate_write_cache") == 1
        assert (await mode_page(tested.unit, 0x08))[1][2] & 0x04
        durable: list[bool] = []
        storage = tested.device.backstore
        real = storage.write

        def write(offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
            seen.append(durable)
            real(offset, buffers, durable=durable)

        seen = durable
        monkeypatch.setattr(type(storage), "write", lambda _self, *given, **named: write(*given, **named))
        await tested.unit.write(ONE_BLOCK, lba=0, block_length=BLOCK)
        await tested.changes("emulate_write_cache", 0, MODE)
        await tested.unit.write(ONE_BLOCK, lba=0, block_length=BLOCK)
        assert durable == [False, True]
        assert not (await mode_page(tested.unit, 0x08))[1][2] & 0x04


async def test_emulate_write_cache_over_memory() -> None:
    """Where there is no cache, one may be told of."""
    async with bench() as tested:
        assert not (await mode_page(tested.unit, 0x08))[1][2] & 0x04
        await tested.changes("emulate_write_cache", 1, MODE, INQUIRY)
        assert (await mode_page(tested.unit, 0x08))[1][2] & 0x04
        assert (await tested.unit.vpd_page(0x86))[6] & 0x01


def register(service_action: int, *, key: int = 0, new_key: int = 0, kind: int = 0) -> tuple[bytes, bytes]:
    """PERSISTENT RESERVE OUT and its list."""
    data = struct.pack(">QQ8x", key, new_key)
    return struct.pack(">BBB2xIx", 0x5F, service_action, kind, len(data)), data


@pytest.mark.parametrize("enforced", [1, 0])
async def test_enforce_pr_isids(enforced: int) -> None:
    """Another session of the initiator that holds a reservation, with another ISID: let in only if ISIDs do not count."""
    async with bench(attributes={"enforce_pr_isids": enforced}) as tested:
        for command, data in (register(0, new_key=7), register(1, key=7, kind=3)):
            assert await tested.status(command, data_out=data) == Status.GOOD
        async with await Session.login(tested.running.settings()) as other_session:
            other = LogicalUnit(other_session, 0)
            write = cdb.write_16(lba=0, num_blocks=1)
            expected = Status.RESERVATION_CONFLICT if enforced else Status.GOOD
            await tested.status(cdb.test_unit_ready(), unit=other)
            assert await tested.status(write, data_out=ONE_BLOCK, unit=other) == expected
            await tested.set(enforce_pr_isids=1 - enforced)
            expected = Status.GOOD if enforced else Status.RESERVATION_CONFLICT
            assert await tested.status(write, data_out=ONE_BLOCK, unit=other) == expected


async def test_force_pr_aptpl() -> None:
    """Without APTPL, a registration is kept where it outlives the process; PTPL_A tells so."""
    capabilities = struct.pack(">BB5xHx", 0x5E, 0x02, 8)
    async with bench() as tested:
        for forced, kept in ((0, False), (1, True)):
            await tested.set(force_pr_aptpl=forced)
            command, data = register(6, new_key=7 + forced)
            assert await tested.status(command, data_out=data) == Status.GOOD
            result = await tested.unit.command("PERSISTENT RESERVE IN", capabilities, data_in_length=8)
            assert bool(result.data_in[3] & 0x01) is kept
            saved = load_reservations(tested.device.state, tested.device.identity.serial)
            assert bool(saved.registrations) is kept


async def test_is_nonrot() -> None:
    """MEDIUM ROTATION RATE."""
    async with bench() as tested:
        assert (await tested.unit.vpd_page(0xB1))[4:6] == b"\0\1"
        await tested.changes("is_nonrot", 0, INQUIRY)
        assert int.from_bytes((await tested.unit.vpd_page(0xB1))[4:6]) > 1


async def test_max_unmap_lba_count() -> None:
    """More blocks than that are refused."""
    async with bench(attributes=THIN) as tested:
        await tested.changes("max_unmap_lba_count", 7, INQUIRY)
        assert (await limits(tested.unit))[MAX_UNMAP] == 7
        unmap = cdb.unmap(parameter_list_length=len(UNMAP_8))
        assert await tested.sense(unmap, data_out=UNMAP_8) is Sense.INVALID_FIELD_IN_PARAMETER_LIST
        await tested.unit.unmap([(0, 7)])


async def test_max_unmap_block_desc_count() -> None:
    """More descriptors than that are refused."""
    async with bench(attributes=THIN) as tested:
        await tested.unit.unmap([(0, 1), (2, 1)])
        await tested.changes("max_unmap_block_desc_count", 1, INQUIRY)
        assert (await limits(tested.unit))[UNMAP_DESCRIPTORS] == 1
        with pytest.raises(ScsiError):
            await tested.unit.unmap([(0, 1), (2, 1)])


async def test_max_write_same_len() -> None:
    """A longer run is refused."""
    async with bench() as tested:
        await tested.changes("max_write_same_len", 4, INQUIRY)
        assert (await limits(tested.unit))[WRITE_SAME] == 4
        assert await tested.sense(cdb.write_same_16(lba=0, num_blocks=5, no_data=True)) is FIELD
        assert await tested.sense(cdb.write_same_16(lba=0, num_blocks=4, no_data=True)) is None


async def test_write_same_to_end() -> None:
    """A run of no blocks goes to the end, or is refused (WSNZ)."""
    async with bench() as tested:
        await tested.unit.write(b"\1" * BLOCK, lba=9, block_length=BLOCK)
        everything = cdb.write_same_16(lba=8, num_blocks=0, no_data=True)
        assert await tested.sense(everything) is FIELD
        await tested.changes("write_same_to_end", 1, INQUIRY)
        assert await tested.sense(everything) is None
        assert await tested.unit.read(lba=9, num_blocks=1, block_length=BLOCK) == ONE_BLOCK


async def test_optimal_sectors() -> None:
    """OPTIMAL TRANSFER LENGTH."""
    async with bench() as tested:
        await tested.changes("optimal_sectors", 64, INQUIRY)
        assert (await limits(tested.unit))[OPTIMAL] == 64


async def test_queue_depth(slow: SlowDisk) -> None:
    """One task more than that is answered with TASK SET FULL; and writes, which could be more, are counted, too."""
    async with bench(slow.store) as tested:
        [nexus] = tested.device.nexuses
        grant = nexus.grants[0]
        may_write = [grant.writes]
        await tested.set(queue_depth=1)
        may_write.append(grant.writes)
        task = await slow.begin(tested)
        assert await tested.status(cdb.test_unit_ready()) == Status.TASK_SET_FULL
        await tested.set(queue_depth=2)
        assert await tested.status(cdb.test_unit_ready()) == Status.GOOD
        slow.may_end.set()
        assert (await task).status == Status.GOOD
        await tested.set(queue_depth=0)
        assert [*may_write, grant.writes] == [True, False, True]
        await tested.set(queue_depth=128)  # What LIO saves of a disk for which nobody has chosen.
        assert (grant.writes, tested.device.task_set.limit) == (True, 128)


async def test_unmap_granularity() -> None:
    """OPTIMAL UNMAP GRANULARITY."""
    async with bench(attributes=THIN) as tested:
        await tested.changes("unmap_granularity", 32, INQUIRY)
        assert (await limits(tested.unit))[GRANULARITY] == 32


async def test_unmap_granularity_alignment() -> None:
    """UNMAP GRANULARITY ALIGNMENT, with the bit that says that it is valid."""
    async with bench(attributes=THIN) as tested:
        await tested.changes("unmap_granularity_alignment", 5, INQUIRY)
        assert (await limits(tested.unit))[ALIGNMENT] == 0x8000_0005


async def test_unmap_zeroes_data() -> None:
    """LBPRZ, in READ CAPACITY (16) and in the provisioning page; a thin disk has it unless it is told not to."""
    async with bench(attributes=THIN) as tested:
        for value, page, capacity in ((1, 0x04, 0xC0), (0, 0, 0x80)):
            if not value:
                await tested.changes("unmap_zeroes_data", 0, INQUIRY)
            result = await tested.unit.command("READ CAPACITY (16)", cdb.read_capacity_16(), data_in_length=32)
            assert result.data_in[14] & 0xC0 == capacity
            assert (await tested.unit.vpd_page(0xB2))[5] & 0x1C == page
