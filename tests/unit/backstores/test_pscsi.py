import ctypes
import errno
import fcntl
from pathlib import Path

import pytest

from isthmus.backstores.pscsi import PassThroughBackstore, SgIoHeader, is_attention
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


def test_a_status_is_the_devices_answer(node: Path) -> None:
    """Whatever the kernel makes of it: a reservation conflict comes with DID_NEXUS_FAILURE."""
    device = SgDevice()
    store = opened(node, device)
    device.host_status, device.status = 0x11, 0x18
    assert store.execute(INQUIRY, (), 96).status == 0x18
    store.close()


@pytest.mark.parametrize("host_status", [0x02, 0x08, 0x0B, 0x0C, 0x0D, 0x0E])
def test_an_adapter_that_has_no_time(node: Path, host_status: int) -> None:
    """The initiator is to try again later."""
    device = SgDevice()
    store = opened(node, device)
    device.host_status = host_status
    assert store.execute(INQUIRY, (), 96).status == 0x08
    store.close()


def test_the_size_of_a_disk_that_has_something_to_say(node: Path) -> None:
    """A unit attention is no reason not to know it."""
    store = opened(node, SgDevice(attention=b"\x29\1"))
    assert (store.size, store.device_block_length) == (16 * BLOCK, BLOCK)
    store.close()


def test_what_the_kernel_takes_at_once(node: Path) -> None:
    """The bytes of a command, or a page for each piece of the adapter's list, whichever is less."""
    for sectors, pieces, limit in ((1 << 19, 2048, 1 << 19), (1280 << 10, 128, 1 << 19), (0, 0, 0)):
        store = opened(node, SgDevice(max_sectors=sectors, pieces=pieces))
        assert store.max_transfer == limit
        store.close()


def test_all_nodes_of_a_device(tmp_path: Path) -> None:
    """A node that is not sg has the commands go to the sg node, and a disk by its sg node is held as well."""
    kernel = tmp_path / "dev/char/1:3"  # /dev/null
    (kernel / "device/scsi_generic/zero").mkdir(parents=True)
    (kernel / "device/block/null-and-void").mkdir(parents=True)
    spec = BackstoreSpec(kind="pscsi", path="/dev/null")
    with pytest.raises(ConfigurationError, match="/dev/null-and-void cannot be used"):
        PassThroughBackstore.open(spec, ioctl=SgDevice().ioctl, sysfs=tmp_path)
    (kernel / "device/block/null-and-void").rmdir()
    asked: list[str] = []
    device = SgDevice()

    def ioctl(descriptor: int, request: int, argument: object) -> int:
        asked.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        return device.ioctl(descriptor, request, argument)

    PassThroughBackstore.open(spec, ioctl=ioctl, sysfs=tmp_path).close()
    assert set(asked) == {"zero"}


def test_partitions_take_no_commands(tmp_path: Path) -> None:
    """Through one, they would go to the whole disk."""
    (tmp_path / "dev/char/1:3/partition").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="is a partition"):
        PassThroughBackstore.open(BackstoreSpec(kind="pscsi", path="/dev/null"), ioctl=SgDevice().ioctl, sysfs=tmp_path)


@pytest.mark.parametrize(
    ("sense", "attention"),
    [("7000060000000000", True), ("7206290000000000", True), ("7000030000000000", False), ("", False)],
)
def test_attentions_are_known(sense: str, attention: bool) -> None:
    """In the fixed and in the descriptor format."""
    assert is_attention(bytes.fromhex(sense)) is attention


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
    (tmp_path / "class/scsi_device/1:0:0:0/device/scsi_generic/sg99").mkdir(parents=True)
    spec = BackstoreSpec(kind="pscsi", path="1:0:0:0")
    with pytest.raises(ConfigurationError, match="/dev/sg99 cannot be used"):
        PassThroughBackstore.open(spec, ioctl=fcntl.ioctl, sysfs=tmp_path)


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the layout of another machine")
def test_the_layout_is_the_kernels() -> None:
    """Struct sg_io_hdr has 88 bytes on machines of 64 bits; STATUS and RESID are where the kernel puts them."""
    assert ctypes.sizeof(SgIoHeader) == 88
    assert (SgIoHeader.dxferp.offset, SgIoHeader.status.offset, SgIoHeader.resid.offset) == (16, 64, 72)
