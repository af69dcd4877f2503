"""A drive for CDs as Linux has it: mounted, locked, ejected, changed, and asked by the tools."""

from hashlib import sha256
from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import about
from tests.support.drive import iso_image
from tests.support.server import Serve

CONTENT = b"What is on the disc.\n" * 5000
FIND = """
modprobe -a sr_mod isofs
login
for tries in $(seq 300); do [ -b /dev/sr0 ] && break; sleep 0.1; done
# The kernel looks at the disc when the drive is opened.
blkid -p /dev/sr0
GENERIC=/dev/$(ls /sys/block/sr0/device/scsi_generic)
"""
"""Log in, and wait for the drive."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A disc with a file."""
    path = tmp_path / "a.iso"
    path.write_bytes(iso_image("HELLO.TXT;1", CONTENT, "FROM AFAR"))
    return path


def test_a_disc_is_mounted(serve: Serve, guest: Guest, image: Path) -> None:
    """It is known by its label, locked in while it is mounted, and ejected and loaded again when it is not."""
    server = serve("--cdrom", image)
    out = guest.run(
        about(server, guest)
        + "start_udev\n"
        + FIND
        + """
        udevadm settle
        blkid -p -o value -s LABEL /dev/sr0
        [ "$(cat /sys/block/sr0/removable /sys/block/sr0/ro /sys/block/sr0/queue/logical_block_size | tr '\\n' ' ')" = "1 1 2048 " ] ||
            fail "$(cat /sys/block/sr0/removable /sys/block/sr0/ro /sys/block/sr0/queue/logical_block_size)"
        mkdir -p /mnt/iscsi
        mount -t iso9660 -o ro /dev/sr0 /mnt/iscsi
        sha256sum < /mnt/iscsi/hello.txt
        fails sg_start --eject "$GENERIC"
        umount /mnt/iscsi
        # udev keeps a disc locked in for good, mounted or not (cdrom_id --lock-media); as eject(1) does, unlock it first.
        fails sg_start --eject "$GENERIC"
        sg_prevent --allow "$GENERIC"
        sg_start --eject "$GENERIC"
        fails sg_turs "$GENERIC"
        sg_raw --request=8 "$GENERIC" 4a 01 00 00 10 00 00 00 08 00 2>&1
        sg_turs --verbose "$GENERIC" 2>&1 || true
        sg_start --load "$GENERIC"
        sg_turs "$GENERIC"
        mount -t iso9660 -o ro /dev/sr0 /mnt/iscsi
        sha256sum < /mnt/iscsi/hello.txt
        umount /mnt/iscsi
        logout
        """
    )
    assert "FROM AFAR" in out
    assert out.count(sha256(CONTENT).hexdigest()) == 2
    assert "tray open" in out.lower()


def test_tools(serve: Serve, guest: Guest, image: Path) -> None:
    """sg3-utils decode what a drive tells."""
    server = serve("--cdrom", image)
    out = guest.run(
        about(server, guest)
        + FIND
        + """
        ask() { echo "# $*"; "$@" 2>&1; }
        ask sg_inq "$GENERIC"
        ask sg_get_config "$GENERIC"
        ask sg_get_config --current "$GENERIC"
        ask sg_modes --all "$GENERIC"
        ask sg_opcodes "$GENERIC"
        ask sg_readcap "$GENERIC"
        ask sg_raw --request=64 --timeout=10 "$GENERIC" 43 00 00 00 00 00 00 00 40 00
        ask sg_raw --request=8 "$GENERIC" 4a 01 00 00 10 00 00 00 08 00
        ask sg_dd if="$GENERIC" of=/tmp/disc bs=2048 count=20
        dd if=/dev/sr0 of=/tmp/block bs=2048 count=20 status=none
        cmp /tmp/disc /tmp/block
        logout
        """
    )
    for told in ("cd/dvd", "VIRTUAL-CDROM", "Read TOC", "Get configuration", "CD-ROM", "Number of logical blocks"):
        assert told.lower() in out.lower(), told
    assert "illegal request" not in out.lower()
