"""SCSI and block devices of a real kernel behind the service, and that kernel as the initiator of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.vm.server_guest import ServerGuest, running_server_guest, why_no_server
from tests.interop.vm.server_image.build import ensure_server_image

pytestmark = [pytest.mark.vm, pytest.mark.thorough, pytest.mark.timeout(3600)]

MIB = 1 << 20
SECONDS = 1500
DISC = bytes(range(256)) * 8 * 512

START = """
modprobe scsi_debug add_host=6 per_host_store=1 dev_size_mb=8 ndelay=1 lbpu=1 lbpws=1 physblk_exp=3
modprobe -a sg sr_mod st
udevadm settle
mkdir -p /etc/systemd/system/isthmus.service.d
cp /usr/share/doc/isthmus/examples/block-devices.conf /etc/systemd/system/isthmus.service.d/
sed -i 's/SupplementaryGroups=disk/SupplementaryGroups=disk cdrom tape/' /etc/systemd/system/isthmus.service.d/block-devices.conf
systemctl daemon-reload
systemctl restart isthmus
blockdev --setro $(debug_disk 3)
cat > /etc/isthmus.toml << END
[backstores.disk]
kind = "pscsi"
path = "$(debug_disk 0)"

[backstores.short]
kind = "pscsi"
path = "/dev/sg0"

[backstores.provisioned]
kind = "block"
path = "$(debug_disk 1)"
write_back = true
attributes = { emulate_tpu = 1, emulate_tpws = 1 }

[backstores.going]
kind = "pscsi"
path = "$(debug_address 2)"

[backstores.protected]
kind = "block"
path = "$(debug_disk 3)"
read_only = true

[backstores.leaving]
kind = "block"
path = "$(debug_disk 4)"

[backstores.virtio]
kind = "block"
path = "/dev/vdb"

[backstores.optical]
kind = "pscsi"
path = "/dev/sr0"

[targets."$TARGET"]
portals = ["127.0.0.1"]
luns = ["disk", "short", "provisioned", "going", "protected", "leaving", "virtio", "optical"]
attributes = { generate_node_acls = 1, authentication = 0, demo_mode_write_protect = 0 }
END
isthmus apply /etc/isthmus.toml
target $TARGET $PORTAL
login node.session.timeo.replacement_timeout 5
for lun in 0 1 2 3 4 5 6; do disk $lun; done
udevadm settle
lsscsi -g
"""


def _disk(directory: Path, name: str, options: str, content: bytes = b"") -> tuple[str, ...]:
    """QEMU's options for a disk."""
    path = directory / f"{name}.img"
    path.write_bytes(content)
    if not content:
        with path.open("r+b") as file:
            file.truncate(64 * MIB)
    return ("-drive", f"file={path},format=raw,if=none,id={name},discard=unmap", "-device", f"{options},drive={name}")


@pytest.fixture(scope="module")
def server(debian_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerGuest]:
    """A guest whose service serves a device of each kind, to the initiator in the same guest."""
    if reason := why_no_server():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("server")
    options = (
        *("-device", "virtio-scsi-pci"),
        *_disk(directory, "scsi", "scsi-hd,scsi-id=0,serial=RR-1949,vendor=ACME,product=ROADRUNNER,ver=7.7"),
        *_disk(directory, "disc", "scsi-cd,scsi-id=1", DISC),
        *_disk(directory, "virtio", "virtio-blk-pci,serial=virtio,physical_block_size=4096"),
    )
    with running_server_guest(ensure_server_image(), debian_package, directory, *options) as guest:
        (guest.share / "disc").write_bytes(DISC)
        guest.run(START, seconds=SECONDS)
        yield guest


def test_a_disk_says_what_it_is(server: ServerGuest) -> None:
    """INQUIRY and all pages, mode pages and supported commands are the device's, byte by byte, but for its limits."""
    server.run("""
    for pair in "$(debug_sg 0) $(sg_of 0)" "/dev/sg0 $(sg_of 1)"; do
        set -- $pair
        for cdb in "12 00 00 00 ff 00" "12 01 80 00 ff 00" "12 01 83 00 ff 00" "12 01 b1 00 ff 00" "12 01 b2 00 ff 00" \
            "1a 00 3f 00 ff 00" "5a 00 3f 00 00 00 00 00 ff 00" "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00"; do
            answer -r 255 $1 $cdb > /tmp/device
            answer -r 255 $2 $cdb > /tmp/served
            cmp /tmp/device /tmp/served || fail "$cdb"
        done
        sg_inq $2
    done
    sg_inq $(sg_of 1) | grep 'Unit serial number: RR-1949'
    """)


def test_blocks_go_through(server: ServerGuest) -> None:
    """What is written by an initiator is on the device; transfers are as long as the adapter takes, and no longer."""
    server.run("""
    head -c 6M /dev/urandom > /tmp/data
    for pair in "$(debug_disk 0) $(disk 0) $(sg_of 0)" "/dev/sda $(disk 1) $(sg_of 1)"; do
        set -- $pair
        dd if=/tmp/data of=$2 bs=6M oflag=direct
        dd if=$1 iflag=direct bs=6M count=1 | cmp - /tmp/data
        echo 3 > /proc/sys/vm/drop_caches
        dd if=$2 iflag=direct bs=6M count=1 | cmp - /tmp/data
        sg_vpd -p bl $3 > /tmp/limits
        blocks=$(sed -n 's/ *Maximum transfer length: \\([0-9]*\\) blocks.*/\\1/p' /tmp/limits)
        [ "$blocks" -ge 256 ] && [ "$blocks" -le 8192 ] || fail "longest transfer: $blocks"
        sg_dd if=$3 of=/tmp/back bs=512 bpt=$blocks count=12288
        cmp /tmp/back /tmp/data
    done
    """)


def test_errors_come_with_the_devices_sense(server: ServerGuest) -> None:
    """A medium error at its block, and a command that the device does not know; data that it did not give is a residual."""
    server.run("""
    for cdb in "28 00 00 00 12 34 00 00 01 00" "28 00 00 00 12 33 00 00 04 00" "c1 00 00 00 00 00 00 00 00 00" \
        "28 00 7f ff ff ff 00 00 01 00"; do
        echo 2 > $DEBUG/opts
        sense_of $(debug_sg 0) $cdb > /tmp/device
        sense_of $(sg_of 0) $cdb > /tmp/served
        echo 0 > $DEBUG/opts
        cat /tmp/served
        cmp /tmp/device /tmp/served || fail "$cdb"
    done
    answer -r 255 -o /tmp/inquiry $(sg_of 0) 12 00 00 00 60 00
    [ "$(stat -c %s /tmp/inquiry)" = 96 ]
    """)


def test_reservations_do_not_reach_the_device(server: ServerGuest) -> None:
    """They are kept for each initiator by the target, and the device knows none."""
    server.run("""
    sg=$(sg_of 0)
    sg_persist -o -G -S 0x77 $sg
    sg_persist -o -R -T 3 -K 0x77 $sg
    sg_persist -i -r $sg | grep 'Key=0x77'
    watch_devices
    dd if=$(debug_disk 0) of=/dev/null bs=512 count=1 iflag=direct
    devices_were_asked 28
    fails sg_persist -i -r $(debug_sg 0)
    sg_persist -o -C -K 0x77 $sg
    """)


def test_initiators_hear_that_the_device_has_grown(server: ServerGuest) -> None:
    """By the unit attention of the device, where commands pass; after a reload, where its blocks are served."""
    server.run(
        """
        for lun in 0 2; do sg_turs $(sg_of $lun) || true; done
        echo 1 > $DEBUG/virtual_gb
        sense_of $(sg_of 0) 00 00 00 00 00 00 | grep 'Capacity data has changed'
        sg_readcap $(sg_of 0) | grep 'Number of logical blocks=2097152'
        sg_readcap $(sg_of 2) | grep 'Number of logical blocks=16384'
        echo 1 > /sys/block/$(basename $(debug_disk 1))/device/rescan
        systemctl reload isthmus
        for try in $(seq 100); do
            sg_readcap $(sg_of 2) > /tmp/capacity || true
            grep -q 'Number of logical blocks=2097152' /tmp/capacity && break
            sleep 0.2
        done
        grep 'Number of logical blocks=2097152' /tmp/capacity
        echo 1 > /sys/block/$(basename $(disk 2))/device/rescan
        [ $(blockdev --getsz $(disk 2)) = 2097152 ]
        """,
        seconds=SECONDS,
    )


def test_a_served_disk_is_taken(server: ServerGuest) -> None:
    """Nobody mounts it here; and one that is mounted is not served, by whichever of its names."""
    server.run(
        """
        for disk in $(debug_disk 0) /dev/sda $(debug_disk 1) $(debug_disk 2); do
            fails mount $disk /mnt > /tmp/out 2>&1
            grep 'already mounted' /tmp/out
        done
        mkfs.ext4 -q $(debug_disk 5)
        mount $(debug_disk 5) /mnt
        for name in $(debug_sg 5) $(debug_address 5); do
            fails isthmus backstore create pscsi/mounted $name > /tmp/out 2>&1
            cat /tmp/out
            grep "$(debug_disk 5) is in use" /tmp/out
        done
        umount /mnt
        """,
        seconds=SECONDS,
    )


def test_discards_and_zeros_reach_the_device(server: ServerGuest) -> None:
    """UNMAP of a device that is thin, as UNMAP; what was discarded reads as zeros, and so does what was zeroed."""
    server.run("""
    disk=$(disk 2)
    queue=/sys/block/$(basename $disk)/queue
    [ $(cat $queue/physical_block_size) = 4096 ]
    [ $(cat $queue/discard_max_bytes) -gt 0 ]
    [ "$(cat $queue/write_cache)" = 'write back' ]
    head -c 4M /dev/urandom > /tmp/data
    dd if=/tmp/data of=$disk bs=1M oflag=direct
    watch_devices
    blkdiscard -o 1M -l 1M $disk
    devices_were_asked '(42|93 08|41 08) '
    watch_devices
    blkdiscard -z -o 2M -l 1M $disk
    devices_were_asked '(93|41) '
    { head -c 1M /tmp/data; head -c 2M /dev/zero; tail -c 1M /tmp/data; } > /tmp/expected
    dd if=$(debug_disk 1) iflag=direct bs=1M count=4 | cmp - /tmp/expected
    """)


def test_flushes_reach_the_device(server: ServerGuest) -> None:
    """SYNCHRONIZE CACHE of an initiator is one for the device; so is a write with FUA, or it goes with FUA."""
    server.run("""
    sg=$(sg_of 2)
    head -c 4k /dev/urandom > /tmp/data
    watch_devices
    sg_raw -s 4096 -i /tmp/data $sg 2a 00 00 00 00 00 00 00 08 00
    devices_were_asked '2a 00 '
    grep -E 'cmd 35 ' /tmp/asked && fail 'a write alone is no reason to flush'
    watch_devices
    sg_sync $sg
    devices_were_asked '35 '
    watch_devices
    sg_raw -s 4096 -i /tmp/data $sg 2a 08 00 00 00 00 00 00 08 00
    devices_were_asked '(35 |2a 08 )'
    """)


def test_what_cannot_be_written(server: ServerGuest) -> None:
    """A device that the kernel has set read-only is served so, and says so."""
    server.run("""
    [ $(blockdev --getro $(disk 4)) = 1 ]
    answer -s 512 -i /dev/zero $(sg_of 4) 2a 00 00 00 00 00 00 00 01 00 | grep -i 'write protect'
    dd if=$(disk 4) iflag=direct bs=1M count=4 | cmp - <(dd if=$(debug_disk 3) iflag=direct bs=1M count=4)
    """)


def test_a_virtio_disk(server: ServerGuest) -> None:
    """It is no SCSI device: its sectors are served; those that are discarded are given back to its file."""
    out = server.run("""
    disk=$(disk 6)
    [ $(cat /sys/block/$(basename $disk)/queue/physical_block_size) = 4096 ]
    mkfs.ext4 -q $disk
    mkdir -p /mnt/iscsi
    mount $disk /mnt/iscsi
    write_files /mnt/iscsi
    umount /mnt/iscsi
    drop_caches
    mount $disk /mnt/iscsi
    files_are_whole /mnt/iscsi
    umount /mnt/iscsi
    e2fsck -f -n $disk
    echo "sectors of $(blockdev --getss $disk)"
    """)
    assert "sectors of 512" in out


def test_an_optical_drive(server: ServerGuest) -> None:
    """It is one at the initiator, too, with the disc that is in it; ejected there, it is open here."""
    server.run("""
    for try in $(seq 100); do [ -b /dev/sr1 ] && break; sleep 0.1; done
    [ $(blockdev --getss /dev/sr1) = 2048 ]
    dd if=/dev/sr1 bs=64k | cmp - /host/disc
    sg_raw -r 12 $(sg_of 7) 43 00 00 00 00 00 01 00 0c 00
    sg_prevent --allow $(sg_of 7)
    sg_start --eject $(sg_of 7)
    sense_of /dev/$(ls /sys/class/block/sr0/device/scsi_generic) 00 00 00 00 00 00 | grep -i 'medium not present'
    sense_of $(sg_of 7) 00 00 00 00 00 00 | grep -i 'medium not present'
    """)


@pytest.mark.parametrize(("lun", "adapter"), [(3, 2), (5, 4)], ids=["pscsi", "block"])
def test_a_device_that_is_taken_away(server: ServerGuest, lun: int, adapter: int) -> None:
    """Its commands fail with sense, under load as well; everything else goes on."""
    server.run(f"""
    disk=$(disk {lun})
    sg=$(sg_of {lun})
    dd if=/dev/zero of=$disk bs=64k count=64 oflag=direct
    while dd if=/dev/zero of=$disk bs=64k count=64 oflag=direct; do :; done > /tmp/load 2>&1 &
    sleep 1
    echo 1 > $DEBUG/adapter{adapter}/host*/target*/*:*/delete
    wait
    tail -3 /tmp/load
    answer -r 512 $sg 28 00 00 00 00 00 00 00 01 00 | grep -i 'logical unit failure'
    dd if=$(disk 0) of=/dev/null iflag=direct bs=64k count=4
    systemctl is-active isthmus
    """)


def test_the_identity_of_a_disk_goes_to_another(server: ServerGuest) -> None:
    """By tgt's `direct-store`: what the kernel says of the disk is what initiators hear of the LUN with its blocks."""
    out = server.run(
        """
        printf '%s\\n' '<target iqn.2026-01.com.example:tgt>' '<direct-store /dev/sda>' '</direct-store>' '</target>' > /tmp/conf
        logout
        printf '[backstores]\\n[targets]\\n' > /tmp/nothing.toml
        isthmus apply /tmp/nothing.toml
        isthmus import tgt /tmp/conf
        target iqn.2026-01.com.example:tgt $PORTAL
        login
        dd if=$(disk 1) iflag=direct bs=1M count=6 | cmp - <(dd if=/dev/sda iflag=direct bs=1M count=6)
        sg_inq $(sg_of 1)
        """,
        seconds=SECONDS,
    )
    for line in ("identification: ACME", "identification: ROADRUNNER", "level: 7.7", "serial number: RR-1949"):
        assert line in out


def test_a_tape_drive(server: ServerGuest) -> None:
    """It is one at the initiator, too, which hears what the drive says of itself."""
    server.run(
        """
        echo 1 > $DEBUG/ptype
        echo 1 > $DEBUG/add_host
        udevadm settle
        [ -c /dev/st0 ]
        cat > /etc/tape.toml << END
        [backstores.tape]
        kind = "pscsi"
        path = "/dev/st0"

        [targets."iqn.2026-01.com.example:tape"]
        portals = ["127.0.0.1"]
        luns = ["tape"]
        attributes = { generate_node_acls = 1, authentication = 0, demo_mode_write_protect = 0 }
        END
        iscsiadm -m node -u || true
        isthmus apply /etc/tape.toml
        target iqn.2026-01.com.example:tape $PORTAL
        login
        for try in $(seq 100); do [ -c /dev/st1 ] && break; sleep 0.1; done
        [ -c /dev/st1 ]
        for cdb in "12 00 00 00 ff 00" "12 01 80 00 ff 00" "12 01 83 00 ff 00"; do
            answer -r 255 $(debug_sg 6) $cdb > /tmp/device
            answer -r 255 $(sg_of 0) $cdb > /tmp/served
            cmp /tmp/device /tmp/served || fail "$cdb"
        done
        sg_inq $(sg_of 0) | grep 'device type: tape'
        logout
        """.replace("\n        ", "\n"),
        seconds=SECONDS,
    )
