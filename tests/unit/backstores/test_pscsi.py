import ctypes
import errno
import fcntl
from pathlib import Path

import pytest

from isthmus.backstores.pscsi import PassThroughBackstore, SgIoHeader
from isthmus.backstores.registry import BackstoreSpec, open_backstore
from isthmus.errors import BackstoreError, ConfigurationError
from tests.support.sg_device import BLOCK, SgDevice

INQUIRY = bytes((0x12, 0, 0, 0, 96, 0))


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Something that can be opened."""
    path = tmp_path / "sg0"
    path.touch()
    return path


def opened(node: Path, device: SgDevice) -> PassThroughBackstore:
    """`device`, by its node."""
    return PassThroughBackstore.open(BackstoreSpec(kind="pscsi", path=str(node)), ioctl=device.ioctl)


def test_commands_and_data_go_both_ways(node: Path) -> None:
    """What the device gives is as long as it says, and what it takes is told."""
    device = SgDevice()
    store = opened(node, device)
    assert store.size == 16 * BLOCK
    inquiry = store.execute(INQUIRY, (), 96)
    assert (inquiry.status, len(inquiry.data_in), bytes(inquiry.data_in[8:12])) == (0, 36, b"ACME")
    write = b"\x8a".ljust(9, b"\0") + b"\2" + (1).to_bytes(4) + bytes(2)
    done = store.execute(write, (b"x" * 500, b"y" * 12), 0)
    assert (done.data_out_consumed, len(done.data_in)) == (BLOCK, 0)
    assert device.content[2 * BLOCK :][:BLOCK] == b"x" * 500 + b"y" * 12
    assert device.commands[-1] == write
    store.close()


def test_what_the_device_fails_comes_with_its_sense(node: Path) -> None:
    """And is no error of ours; a device that is no disk has no size."""
    device = SgDevice(device_type=5)
    store = opened(node, device)
    assert store.size == 0
    result = store.execute(bytes((0x43, *bytes(9))), (), 12)
    assert (result.status, result.sense[2], result.sense[12]) == (2, 2, 0x3A)
    store.close()


@pytest.mark.parametrize(("host_status", "number"), [(1, errno.ENODEV), (3, errno.ETIMEDOUT), (7, errno.EREMOTEIO)])
def test_a_device_that_does_not_answer(node: Path, host_status: int, number: int) -> None:
    """Is gone, or does not come back in time."""
    device = SgDevice()
    store = opened(node, device)
    device.host_status = host_status
    with pytest.raises(BackstoreError) as caught:
        store.execute(INQUIRY, (), 96)
    assert caught.value.errno == number
    store.close()


def test_what_takes_hours_may_take_hours(node: Path) -> None:
    """A command that the kernel gives up resets the device."""
    device = SgDevice()
    store = opened(node, device)
    store.execute(INQUIRY, (), 96)
    assert device.last_timeout == 60_000
    store.execute(bytes((0x04, 0, 0, 0, 0, 0)), (), 0)
    assert device.last_timeout == 4 * 3_600_000
    store.close()


def test_it_takes_commands_only(node: Path) -> None:
    """What is to be read or written, initiators say by commands."""
    store = opened(node, SgDevice())
    with pytest.raises(BackstoreError):
        store.read_into(0, memoryview(bytearray(1)))
    with pytest.raises(BackstoreError):
        store.write(0, [b"x"])
    with pytest.raises(BackstoreError):
        store.write_zeroes(0, 1)
    store.flush()
    store.close()


def test_what_is_no_scsi_device(tmp_path: Path, node: Path) -> None:
    """A node that does not take commands, one that is not there, and an address that nobody has: one line each."""
    with pytest.raises(ConfigurationError, match="takes no SCSI commands") as caught:
        opened(node, SgDevice(takes_commands=False))
    assert "/dev/sgN" in caught.value.remedy
    with pytest.raises(ConfigurationError, match="takes no SCSI commands"):
        open_backstore(BackstoreSpec(kind="pscsi", path=str(node)))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        opened(tmp_path / "nothing", SgDevice())
    with pytest.raises(ConfigurationError, match="there is no SCSI device 1:0:0:0"):
        open_backstore(BackstoreSpec(kind="pscsi", path="1:0:0:0"))


def test_a_device_by_its_address(tmp_path: Path) -> None:
    """The kernel knows which node that is."""
    (tmp_path / "1:0:0:0/device/scsi_generic/sg99").mkdir(parents=True)
    spec = BackstoreSpec(kind="pscsi", path="1:0:0:0")
    with pytest.raises(ConfigurationError, match="/dev/sg99 cannot be used"):
        PassThroughBackstore.open(spec, ioctl=fcntl.ioctl, devices=tmp_path)


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout of another machine")
def test_the_layout_is_the_kernels() -> None:
    """Struct sg_io_hdr has 88 bytes on machines of 64 bits; STATUS and RESID are where the kernel puts them."""
    assert ctypes.sizeof(SgIoHeader) == 88
    assert (SgIoHeader.dxferp.offset, SgIoHeader.status.offset, SgIoHeader.resid.offset) == (16, 64, 72)
