"""A SCSI device behind a target, by a stand-in for the kernel's SG_IO: there may be no device on this machine."""

import contextlib
import errno
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from isthmus.backstores.pscsi import PassThroughBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.config.model import Backstore, BackstoreKey, MappedLun, NodeAcl
from isthmus.initiator import cdb
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.scsi.pass_through import MAX_TRANSFER, PASS_THROUGH, PassThrough
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.status import Status
from tests.support.effects import Bench, bench
from tests.support.service import HOST
from tests.support.sg_device import BLOCK, SgDevice

READ = cdb.read_16(lba=1, num_blocks=1)
WRITE = cdb.write_16(lba=1, num_blocks=1)


@contextlib.asynccontextmanager
async def served(
    device: SgDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, read_only: bool = False
) -> AsyncIterator[Bench]:
    """`device` as LUN 0 of a target."""
    node = tmp_path / "sg0"
    node.touch()
    real = PassThroughBackstore.open

    def open_it(spec: BackstoreSpec) -> PassThroughBackstore:
        return real(spec, ioctl=device.ioctl)

    monkeypatch.setattr(PassThroughBackstore, "open", open_it)
    key = BackstoreKey("pscsi", "dev")
    store = Backstore(key=key, path=str(node), write_back=False, unit_serial=key.derived_serial)
    mapped = MappedLun(number=0, tpg_lun=0, write_protect=read_only)
    async with bench(store, None, node_acls=(NodeAcl(name=HOST, mapped_luns=(mapped,)),)) as tested:
        yield tested


async def test_an_initiator_sees_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its INQUIRY data, its capacity, its blocks; and nothing of ours in between."""
    device = SgDevice()
    async with served(device, tmp_path, monkeypatch) as tested:
        unit = tested.unit
        assert (await unit.inquiry()).vendor == "ACME"
        assert (await unit.read_capacity()).num_blocks == 16
        await unit.write(b"\7" * BLOCK, lba=1, block_length=BLOCK)
        assert device.content[BLOCK : 2 * BLOCK] == b"\7" * BLOCK
        assert await unit.read(lba=1, num_blocks=1, block_length=BLOCK) == b"\7" * BLOCK
        await unit.command("a vendor's own", bytes((0xC1, 2, 3, *bytes(7))))
        assert device.commands[-1] == bytes((0xC1, 2, 3, *bytes(7)))
        assert len(await unit.report_luns()) == 1
        assert not any(command[0] == 0xA0 for command in device.commands)


async def test_the_sense_of_the_device_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An optical drive without a disc; and a device that has gone."""
    device = SgDevice(device_type=5)
    async with served(device, tmp_path, monkeypatch) as tested:
        standard = await tested.unit.command("INQUIRY", cdb.inquiry(), data_in_length=96)
        assert standard.data_in[0] == 5
        assert await tested.sense(bytes((0x43, *bytes(9))), data_in_length=12) is Sense.MEDIUM_NOT_PRESENT
        device.host_status = 1
        assert await tested.sense(cdb.test_unit_ready()) is Sense.LOGICAL_UNIT_FAILURE


async def test_all_initiators_hear_what_the_device_told_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows only one of them."""
    device = SgDevice()
    async with (
        served(device, tmp_path, monkeypatch) as tested,
        await Session.login(tested.running.settings()) as session,
    ):
        other = LogicalUnit(session, 0)
        await tested.status(cdb.test_unit_ready(), unit=other)
        for code, heard in (
            (b"\x2a\x09", Sense.CAPACITY_DATA_HAS_CHANGED),
            (b"\x29\x42", Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED),
        ):
            device.attention = code
            assert await tested.status(cdb.test_unit_ready(), unit=other) == Status.CHECK_CONDITION
            assert await tested.sense(cdb.test_unit_ready()) is heard
            assert await tested.status(cdb.test_unit_ready(), unit=other) == Status.GOOD
            assert await tested.sense(cdb.test_unit_ready()) is None


async def test_what_the_kernel_does_not_pass_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that it keeps from users are unknown here; what is too much for it is an error of the request."""
    device = SgDevice(max_sectors=4096, pieces=1)
    async with served(device, tmp_path, monkeypatch) as tested:
        device.errno = errno.EPERM
        assert await tested.sense(bytes((0xC1, *bytes(9)))) is Sense.INVALID_COMMAND_OPERATION_CODE
        device.errno = errno.ENOMEM
        assert await tested.sense(READ, data_in_length=2 * 4096) is Sense.INVALID_FIELD_IN_CDB
        assert await tested.sense(READ, data_in_length=4096) is Sense.INTERNAL_TARGET_FAILURE
        device.errno = errno.ENODEV
        assert await tested.sense(READ, data_in_length=4096) is Sense.LOGICAL_UNIT_FAILURE


@pytest.mark.parametrize("own", [0, 1 << 12, 1 << 20])
async def test_disks_tell_what_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int) -> None:
    """The smaller one of the device's limit and the kernel's; also of a disk that tells none."""
    limits = b"\0\xb0\0\x3c" + bytes(4) + own.to_bytes(4) + own.to_bytes(4) + bytes(48)
    pages = {0x00: b"\0\0\0\2\0\x83"} if not own else {0x00: b"\0\0\0\3\0\x83\xb0", 0xB0: limits}
    device = SgDevice(max_sectors=1 << 19, pieces=2048, pages=pages)
    async with served(device, tmp_path, monkeypatch) as tested:
        told = await tested.unit.command("pages", cdb.inquiry(page=0x00), data_in_length=96)
        assert bytes(told.data_in) == b"\0\0\0\3\0\x83\xb0"
        told = await tested.unit.command("limits", cdb.inquiry(page=0xB0), data_in_length=64)
        assert len(told.data_in) == 64
        assert int.from_bytes(told.data_in[8:12]) == min(own or 1 << 20, (1 << 19) // BLOCK)
        assert int.from_bytes(told.data_in[12:16]) == min(own, (1 << 19) // BLOCK)


async def test_reservations_are_kept_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the device all initiators are one: it could not tell them apart."""
    device = SgDevice()
    async with served(device, tmp_path, monkeypatch) as tested:
        for action, key, new_key, kind in ((0, 0, 7, 0), (1, 7, 0, 3)):
            data = struct.pack(">QQ8x", key, new_key)
            command = struct.pack(">BBB2xIx", 0x5F, action, kind, len(data))
            assert await tested.status(command, data_out=data) == Status.GOOD
        async with await Session.login(tested.running.settings()) as session:
            other = LogicalUnit(session, 0)
            await tested.status(cdb.test_unit_ready(), unit=other)
            before = len(device.commands)
            for refused in (READ, bytes((0xC1, *bytes(9)))):
                assert await tested.status(refused, unit=other) == Status.RESERVATION_CONFLICT
            assert len(device.commands) == before
            assert (await other.inquiry()).vendor == "ACME"
        assert not any(command[0] == 0x5F for command in device.commands)


async def test_who_may_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not write, and does nothing of which nobody knows what it does."""
    device = SgDevice()
    async with served(device, tmp_path, monkeypatch, read_only=True) as tested:
        assert await tested.sense(READ, data_in_length=BLOCK) is None
        assert await tested.sense(WRITE, data_out=bytes(BLOCK)) is Sense.WRITE_PROTECTED
        assert await tested.sense(bytes((0xC1, *bytes(9)))) is Sense.WRITE_PROTECTED
        assert await tested.sense(bytes((0x46, *bytes(9)))) is None


async def test_what_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EXTENDED COPY, which reaches other devices; and more data than the kernel takes."""
    device = SgDevice()
    async with served(device, tmp_path, monkeypatch) as tested:
        before = len(device.commands)
        assert await tested.sense(bytes((0x83, *bytes(15)))) is Sense.INVALID_COMMAND_OPERATION_CODE
        assert await tested.sense(READ, data_in_length=MAX_TRANSFER + BLOCK) is Sense.INVALID_FIELD_IN_CDB
        assert len(device.commands) == before


@pytest.mark.parametrize(
    ("head", "length"), [(0x00, 6), (0x28, 10), (0xA8, 12), (0x88, 16), (0x7F, 32), (0xC1, 10), (0x91, 16)]
)
def test_the_length_of_a_cdb(head: int, length: int) -> None:
    """By the group of its opcode, or as a long one says itself."""
    command = bytes((head, *bytes(6), 24, *bytes(24)))
    row = PASS_THROUGH.find(command)
    assert (row.cdb_length, row.usage[0]) == (length, head)


def test_what_a_read_holds_is_counted() -> None:
    """As much as the initiator wants, up to what passes at all."""
    command = PassThrough(cdb=READ)
    assert command.data_in_length == 0
    assert command.expecting(BLOCK).data_in_length == BLOCK
    assert command.expecting(MAX_TRANSFER + 1).data_in_length == MAX_TRANSFER


def test_copies_are_unknown() -> None:
    """As is told without asking the device."""
    with pytest.raises(CheckCondition):
        PASS_THROUGH.find(bytes((0x84, *bytes(15))))
    assert list(PASS_THROUGH.without_discard()) == []
