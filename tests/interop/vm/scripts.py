"""Parts that several of the guest's scripts have."""

from tests.interop.vm.guest import Guest
from tests.support.server import Server

__all__ = ["CHECKED_EXT4", "about"]

CHECKED_EXT4 = """
mkfs.ext4 -q "$DISK"
mkdir -p /mnt/iscsi
echo "$DISK  /mnt/iscsi  ext4  _netdev,noatime  0  2" > /etc/fstab
mount /mnt/iscsi
write_files /mnt/iscsi
umount /mnt/iscsi
drop_caches
mount /mnt/iscsi
files_are_whole /mnt/iscsi
umount /mnt/iscsi
e2fsck -f -n "$DISK"
no_kernel_complaint
"""
"""An ext4 on $DISK with files that are whole when they are read back, and that e2fsck finds nothing wrong with."""


def about(server: Server, guest: Guest) -> str:
    """The line that says which target a script is about."""
    return f"target {server.url.iqn} {guest.portal(server.url.port)}\n"
