"""Machines that have no disk but the target's: by QEMU's own initiator, and by iPXE in the network card."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.interop.vm.conftest import why_not
from tests.interop.vm.guest import running_guest
from tests.interop.vm.image.build import ensure_image
from tests.support.clients import qemu_has_iscsi
from tests.support.server import running_server

missing = why_not()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.thorough,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing), reason=missing or ""),
]

BLOCK = 512
DISK_BYTES = 64 << 20
"""iPXE gives up on disks that are smaller than a cylinder of 8 MiB."""
TEXT = b"started from a disk of the target\n"
BOOTED, FAILED = 0x10, 0x11
BOOT_SECONDS = 240


@pytest.mark.skipif(not qemu_has_iscsi(), reason="not installed: QEMU's iSCSI driver (Debian: qemu-block-extra)")
def test_linux_has_its_root_on_a_disk_of_the_target(tmp_path: Path) -> None:
    """QEMU is the initiator; the guest finds an ordinary disk, and all of its system on it."""
    image = ensure_image()
    with running_server([image.root, "--read-only", "--portal", "127.0.0.1:0"], tmp_path) as server:
        with running_guest(image, tmp_path / "guest", root=str(server.url)) as guest:
            out = guest.run(
                "mount -t devtmpfs devtmpfs /dev || true\ncat /proc/mounts\nmd5sum < /dev/vda\n", seconds=300
            )
        assert "overlay / overlay rw" in out
        assert hashlib.md5(image.root.read_bytes(), usedforsecurity=False).hexdigest() in out


def boot_sector() -> bytes:
    """What a PC's firmware runs: reads block 1, writes it to block 2, and says what is in it, all through INT 13h.

    The first serial port has the text; port F4h ends QEMU, with the value as its status.
    """
    origin, buffer, packet = 0x7C00, 0x7E00, 0x7C60
    low = packet.to_bytes(2, "little")
    call = bytes.fromhex("cd13")
    code = bytearray()
    code += bytes.fromhex("31c0 8ed8 8ec0")  # ax, ds, es = 0
    code += b"\xbe" + low + bytes.fromhex("b442") + call  # si = packet; extended read
    first = len(code)
    code += bytes.fromhex("7200")  # failed: go there
    code += b"\xc6\x06" + (packet + 8).to_bytes(2, "little") + b"\x02"  # the packet's block = 2
    code += b"\xbe" + low + bytes.fromhex("b80043") + call  # extended write
    second = len(code)
    code += bytes.fromhex("7200")
    code += b"\xbe" + buffer.to_bytes(2, "little")
    code += bytes.fromhex("ac 84c0 7406 baf803 ee ebf5")  # each byte up to a zero: out to 3F8h
    halt = bytes.fromhex("f4 ebfd")
    code += bytes((0xB0, BOOTED, 0xE6, 0xF4)) + halt
    for jump in (first, second):
        code[jump + 1] = len(code) - (jump + 2)
    code += bytes((0xB0, FAILED, 0xE6, 0xF4)) + halt
    code = code.ljust(packet - origin, b"\0")
    code += (
        bytes.fromhex("1000 0100") + buffer.to_bytes(4, "little") + (1).to_bytes(8, "little")
    )  # 1 block, to the buffer, LBA 1
    return bytes(code).ljust(BLOCK - 2, b"\0") + b"\x55\xaa"


def test_firmware_starts_from_a_disk_of_the_target(tmp_path: Path) -> None:
    """iPXE, in the ROM of QEMU's network card, logs in (sanboot) and is the disk's INT 13h, for reads and writes."""
    disk = tmp_path / "boot.img"
    disk.write_bytes((boot_sector() + TEXT.ljust(BLOCK, b"\0")).ljust(DISK_BYTES, b"\0"))
    serial = tmp_path / "serial"
    with running_server([disk, "--portal", "127.0.0.1:0"], tmp_path) as server:
        (tmp_path / "tftp").mkdir()
        script = f"#!ipxe\nsanboot iscsi:10.0.2.2::{server.url.port}::{server.url.iqn}\n"
        (tmp_path / "tftp" / "boot.ipxe").write_text(script, encoding="ascii")
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-nodefaults", "-no-user-config", "-display", "none", "-boot", "n",
            "-nic", f"user,model=virtio-net-pci,tftp={tmp_path / 'tftp'},bootfile=boot.ipxe",
            "-serial", f"file:{serial}", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01",
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, timeout=BOOT_SECONDS, check=False)
        assert ended.returncode == BOOTED << 1 | 1, ended.stderr + serial.read_text(errors="replace")
    assert TEXT in serial.read_bytes()
    assert disk.read_bytes()[2 * BLOCK : 3 * BLOCK] == TEXT.ljust(BLOCK, b"\0")
