"""What the kernel does to give space back, and how it learns of more."""

import os
import signal
from pathlib import Path

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import about
from tests.support.server import Serve

_MIB = 1024 * 1024


def allocated(path: Path) -> int:
    """Bytes that the file takes on its disk."""
    return path.stat().st_blocks * 512


def test_fstrim_shrinks_the_file(serve: Serve, guest: Guest, disk_file: Path) -> None:
    """Space of deleted files goes back to the server's disk, by fstrim(8) and by the mount option `discard`."""
    server = serve(disk_file)
    script = guest.start(
        about(server, guest)
        + """
        login
        DISK=$(disk)
        mkfs.ext4 -q "$DISK"
        mkdir -p /mnt/iscsi
        mount "$DISK" /mnt/iscsi
        head -c 48M /dev/urandom > /mnt/iscsi/large
        sync
        echo 'written'
        until [ -e /host/measured ]; do sleep 0.1; done
        rm /host/measured
        rm /mnt/iscsi/large
        sync
        fstrim -v /mnt/iscsi
        umount /mnt/iscsi
        e2fsck -f -n "$DISK"
        no_kernel_complaint
        logout
        """
    )
    script.wait_for("written\n", 400)
    before = allocated(disk_file)
    (guest.share / "measured").touch()
    script.wait(120)
    assert before >= 48 * _MIB
    assert allocated(disk_file) <= before - 47 * _MIB


def test_blkdiscard_empties_the_file(serve: Serve, guest: Guest, medium: Path) -> None:
    """Discarding the whole disk leaves a file without blocks, and a disk that reads as zeros."""
    medium.write_bytes(b"\x5a" * (16 * _MIB))
    server = serve(medium)
    guest.run(
        about(server, guest)
        + """
        login
        DISK=$(disk)
        blkdiscard "$DISK"
        drop_caches
        cmp -n 16777216 /dev/zero "$DISK"
        no_kernel_complaint
        logout
        """
    )
    assert allocated(medium) == 0


def test_zeroing(serve: Serve, guest: Guest, medium: Path) -> None:
    """`blkdiscard --zeroout` makes a range read as zeros and leaves what is around it."""
    medium.write_bytes(b"\x5a" * (16 * _MIB))
    server = serve(medium)
    guest.run(
        about(server, guest)
        + """
        login
        DISK=$(disk)
        blkdiscard --zeroout --offset 1M --length 4M "$DISK"
        no_kernel_complaint
        logout
        """
    )
    data = medium.read_bytes()
    assert data == b"\x5a" * _MIB + bytes(4 * _MIB) + b"\x5a" * (11 * _MIB)


GROWN = "Capacity data has changed"


def test_growing_a_mounted_disk(serve: Serve, guest: Guest, disk_file: Path) -> None:
    """A file made larger is a larger disk after SIGHUP and a rescan, and the ext4 on it grows while it is mounted."""
    server = serve(disk_file)
    script = guest.start(
        about(server, guest)
        + """
        login
        DISK=$(disk)
        mkfs.ext4 -q "$DISK"
        mkdir -p /mnt/iscsi
        mount "$DISK" /mnt/iscsi
        write_files /mnt/iscsi
        echo "first $(blockdev --getsize64 "$DISK")"
        until [ -e /host/grown ]; do sleep 0.1; done
        rm /host/grown
        for tries in $(seq 100); do
            iscsiadm -m node -T "$TARGET" -p "$PORTAL" --rescan
            [ "$(blockdev --getsize64 "$DISK")" = 629145600 ] && break
            sleep 0.1
        done
        echo "then $(blockdev --getsize64 "$DISK")"
        resize2fs "$DISK"
        echo "file system $(stat -f -c '%b * %S' /mnt/iscsi)"
        head -c 1M /dev/urandom > /mnt/iscsi/after
        files_are_whole /mnt/iscsi
        umount /mnt/iscsi
        e2fsck -f -n "$DISK"
        no_kernel_complaint
        dmesg | tail -15
        logout
        """
    )
    script.wait_for(f"first {400 * _MIB}\n", 400)
    os.truncate(disk_file, 600 * _MIB)
    server.process.send_signal(signal.SIGHUP)
    (guest.share / "grown").touch()
    out = script.wait(180)
    assert f"then {600 * _MIB}\n" in out
    blocks, _, size = out.partition("file system ")[2].splitlines()[0].partition(" * ")
    assert int(blocks) * int(size) > 500 * _MIB
    assert GROWN in out
