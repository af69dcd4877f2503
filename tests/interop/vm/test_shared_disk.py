"""Heavy use of one disk, and two nodes of a cluster on it: two initiators in one guest, and two guests."""

from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import about
from tests.support.patience import eventually_asked
from tests.support.server import Serve

MIB = 1 << 20
PATIENCE = 240.0
FENCED_SECONDS = 60.0
"""Until a program of a fenced machine has heard of it, less than the limit of its commands."""
TIMES = 25

NODES = """
for NODE in node1 node2; do
    iscsiadm -m iface -I $NODE > /dev/null 2>&1 || iscsiadm -m iface -I $NODE -o new > /dev/null
    iscsiadm -m iface -I $NODE -o update -n iface.initiatorname -v iqn.2026-01.com.example:$NODE > /dev/null
    iscsiadm -m node -T "$TARGET" -p "$PORTAL" -I $NODE -o new > /dev/null
    iscsiadm -m node -T "$TARGET" -p "$PORTAL" -I $NODE --login > /dev/null
done
disk_of() {
    local session
    for tries in $(seq 100); do
        for session in /sys/class/iscsi_session/session*; do
            if [ "$(cat $session/initiatorname)" = "iqn.2026-01.com.example:$1" ]; then
                ls -d $session/device/target*/*:0/block/* 2> /dev/null | sed 's,.*/,/dev/,' && return
            fi
        done
        sleep 0.1
    done
    fail "no disk of $1"
}
FIRST=$(disk_of node1)
SECOND=$(disk_of node2)
"""


def test_a_fenced_node_stops_writing(serve: Serve, guest: Guest, medium: Path) -> None:
    """PREEMPT AND ABORT, as fence_scsi sends it, ends the other node's writes at once and for good, and nobody else's."""
    server = serve(medium)
    out = guest.run(
        about(server, guest)
        + NODES
        + """
        sg_persist --no-inquiry --out --register-ignore --param-sark=0x1 "$FIRST"
        sg_persist --no-inquiry --out --register-ignore --param-sark=0x2 "$SECOND"
        sg_persist --no-inquiry --out --reserve --param-rk=0x1 --prout-type=5 "$FIRST"
        write() { dd if=/dev/urandom of="$1" bs=4k count=1 seek="${2:-0}" oflag=direct status=none; }
        write "$FIRST"
        write "$SECOND"
        fio --name=node2 --filename="$SECOND" --offset=8m --size=8m --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite \\
            --bs=4k --time_based --runtime=120 --minimal > /tmp/node2 2>&1 &
        NODE2=$!
        before=$(awk '{ print $5 }' "/sys/block/${SECOND#/dev/}/stat")
        until [ "$(awk '{ print $5 }' "/sys/block/${SECOND#/dev/}/stat")" -gt $((before + 50)) ]; do sleep 0.05; done
        kill -0 $NODE2
        sg_persist --no-inquiry --out --preempt-abort --param-rk=0x1 --param-sark=0x2 --prout-type=5 "$FIRST"
        start=$SECONDS
        fails wait $NODE2
        echo "ended after $((SECONDS - start)) s"
        sg_persist --no-inquiry --read-keys "$FIRST"
        fails write "$SECOND" 2> /dev/null
        dd if="$SECOND" of=/dev/null bs=4k count=1 iflag=direct status=none
        write "$FIRST"
        kernel_log | grep -c 'reservation conflict'
        sg_persist --no-inquiry --out --clear --param-rk=0x1 "$FIRST"
        sg_turs "$SECOND" > /dev/null 2>&1 || true
        write "$SECOND"
        """
    )
    assert "1 registered reservation key follows" in out
    assert int(out.partition("ended after ")[2].split()[0]) <= 10


NODE = """
login
DISK=$(disk)
meet() {
    touch "/host/is-at-$1"
    until [ -e "/host/go-on-from-$1" ]; do sleep 0.05; done
    rm "/host/is-at-$1" "/host/go-on-from-$1"
}
"""


def met(guests: tuple[Guest, ...], place: str) -> None:
    """Let the scripts of all guests go on from a place where each of them waits for the others."""
    eventually_asked(lambda: all((guest.share / f"is-at-{place}").exists() for guest in guests), PATIENCE)
    for guest in guests:
        (guest.share / f"go-on-from-{place}").touch()


@pytest.mark.thorough
def test_one_machine_fences_another(serve: Serve, guest: Guest, other_guest: Guest, medium: Path) -> None:
    """When PREEMPT AND ABORT has ended, nothing of what the other machine was writing comes to the disk any more."""
    server = serve(medium)
    loaded = other_guest.start(
        about(server, other_guest)
        + NODE
        + """
        echo 300 > "/sys/block/${DISK#/dev/}/device/timeout"
        sg_persist --no-inquiry --out --register-ignore --param-sark=0x2 "$DISK"
        echo registered
        fio --name=node --filename="$DISK" --offset=8m --size=8m --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
            --bs=4k --time_based --runtime=600 --minimal > /tmp/node 2>&1 &
        until [ "$(awk '{ print $5 }' "/sys/block/${DISK#/dev/}/stat")" -gt 100 ]; do sleep 0.05; done
        echo writing
        fails wait $!
        echo ended
        fails dd if=/dev/urandom of="$DISK" bs=4k count=1 seek=2048 oflag=direct status=none
        dd if="$DISK" of=/dev/null bs=4k count=1 iflag=direct status=none
        kernel_log | grep -c 'reservation conflict'
        """
    )
    loaded.wait_for("registered\n", PATIENCE)
    fencing = guest.start(
        about(server, guest)
        + NODE
        + """
        sg_persist --no-inquiry --out --register-ignore --param-sark=0x1 "$DISK"
        sg_persist --no-inquiry --out --reserve --param-rk=0x1 --prout-type=5 "$DISK"
        sg_persist --no-inquiry --in --read-keys "$DISK"
        meet preempt
        sg_persist --no-inquiry --out --preempt-abort --param-rk=0x1 --param-sark=0x2 --prout-type=5 "$DISK"
        head -c 8M /dev/zero | tr '\\0' Z | dd of="$DISK" bs=64k seek=128 iflag=fullblock oflag=direct status=none
        echo overwritten
        sg_persist --no-inquiry --in --read-keys "$DISK"
        """
    )
    loaded.wait_for("writing\n", PATIENCE)
    met((guest,), "preempt")
    fencing.wait_for("overwritten\n", PATIENCE)
    loaded.wait_for("ended\n", FENCED_SECONDS)
    loaded.wait(PATIENCE)
    out = fencing.wait(PATIENCE)
    assert "2 registered reservation keys follow" in out
    assert "1 registered reservation key follows" in out
    assert set(medium.read_bytes()[8 * MIB : 16 * MIB]) == {ord("Z")}


COUNT = """
block() { truncate -s 512 "$1"; }
value() { dd if="$DISK" bs=512 skip="$1" count=1 iflag=direct status=none | tr -d '\\0'; }
# Put what the file `new` says in place of what `old` says, in block $1; fails if that holds something else.
swap() {
    cat old new > both
    sg_compare_and_write --quiet --in=both --lba="$1" --num=1 "$DISK" > said 2>&1 && return
    [ $? = 14 ] || fail "$(cat said)"
    return 1
}
mkdir -p /tmp/count
cd /tmp/count
meet start
for number in $(seq "$TIMES"); do
    # A counter in block 0.
    while :; do
        before=$(value 0)
        printf %s "$before" > old; printf %d $((${before:-0} + 1)) > new
        block old; block new
        swap 0 && break
    done
    # A lock in block 1, and a counter in block 2 that only who holds it reads and writes.
    : > old; printf "$NAME" > new
    block old; block new
    until swap 1; do :; done
    before=$(value 2)
    printf %d $((${before:-0} + 1)) | dd of="$DISK" bs=512 seek=2 count=1 conv=sync,notrunc oflag=direct status=none
    [ "$(value 1)" = "$NAME" ]
    mv new held; mv old new; mv held old
    swap 1 || fail "lost the lock"
done
meet end
echo "counted $(value 0), under the lock $(value 2), held by '$(value 1)'"
logout
"""


@pytest.mark.thorough
def test_two_machines_count(serve: Serve, guest: Guest, other_guest: Guest, medium: Path) -> None:
    """Two machines increase a counter by COMPARE AND WRITE, another under a lock made of it, and no update is lost."""
    server = serve(medium)
    scripts = [
        each.start(about(server, each) + NODE + f"NAME={name}\nTIMES={TIMES}\n{COUNT}")
        for name, each in (("one", guest), ("two", other_guest))
    ]
    for place in ("start", "end"):
        met((guest, other_guest), place)
    for script in scripts:
        assert f"counted {2 * TIMES}, under the lock {2 * TIMES}, held by ''\n" in script.wait(PATIENCE)


@pytest.mark.thorough
def test_heavy_load(serve: Serve, guest: Guest, disk_file: Path) -> None:
    """Large commands, a deep queue, commands made durable one by one, and four jobs at once: all data is as written."""
    server = serve(disk_file)
    guest.run(
        about(server, guest)
        + """
        login node.session.queue_depth 128 node.session.cmds_max 1024 node.session.iscsi.MaxOutstandingR2T 8 \\
            'node.conn[0].iscsi.HeaderDigest' CRC32C 'node.conn[0].iscsi.DataDigest' CRC32C
        DISK=$(disk)
        echo 16384 > "/sys/block/${DISK#/dev/}/queue/max_sectors_kb"
        verify_with_fio "$DISK" --size=64m --bsrange=8m-8m --rw=write --iodepth=8
        verify_with_fio "$DISK" --size=32m --bsrange=512-16k --blockalign=512 --iodepth=128
        verify_with_fio "$DISK" --size=4m --bsrange=4k-4k --sync=1
        fio --filename="$DISK" --direct=1 --ioengine=libaio --iodepth=32 --rw=randrw --bsrange=4k-256k --size=24m \\
            --verify=crc32c --verify_fatal=1 --offset_increment=80m --numjobs=4 --name=four --minimal > /tmp/fio.out
        no_kernel_complaint
        logout
        """,
        seconds=400,
    )
