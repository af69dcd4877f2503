"""The session of an administrator with a new disk, from discovery to logout, by the Linux kernel and open-iscsi."""

from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import CHECKED_EXT4, about
from tests.support.server import Serve

_MIB = 1024 * 1024

CHECKED_XFS = """
mkfs.xfs -q "$DISK"
mkdir -p /mnt/iscsi
mount -t xfs "$DISK" /mnt/iscsi
write_files /mnt/iscsi
umount /mnt/iscsi
drop_caches
mount -t xfs "$DISK" /mnt/iscsi
files_are_whole /mnt/iscsi
fstrim -v /mnt/iscsi
umount /mnt/iscsi
xfs_repair -n "$DISK"
no_kernel_complaint
"""


def test_from_discovery_to_logout(serve: Serve, guest: Guest, disk_file: Path) -> None:
    """What discovery finds can be logged in to; files on an ext4 on it are whole when they are read back."""
    server = serve(disk_file)
    out = guest.run(
        about(server, guest)
        + """
        iscsiadm -m discovery -t st -p "$PORTAL"
        iscsiadm -m node -T "$TARGET" -p "$PORTAL" --login
        iscsiadm -m session
        iscsiadm -m session -P 3
        DISK=$(disk)
        lsblk -o NAME,SIZE,TRAN,VENDOR,MODEL "$DISK"
        verify_with_fio "$DISK" --size=8m
        """
        + CHECKED_EXT4
        + "logout\n"
    )
    assert f"{guest.portal(server.url.port)},1 {server.url.iqn}" in out
    assert "iSCSI Session State: LOGGED_IN" in out
    assert "400M iscsi  ISTHMUS" in out


@pytest.mark.thorough
def test_xfs(serve: Serve, guest: Guest, disk_file: Path) -> None:
    """Files on an XFS are whole when they are read back, and it finds nothing wrong with itself."""
    server = serve(disk_file)
    guest.run(about(server, guest) + "login\nDISK=$(disk)\n" + CHECKED_XFS + "logout\n")
