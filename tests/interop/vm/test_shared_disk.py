"""Heavy use of one disk, and two nodes of a cluster on it: two initiators by name, in one guest."""

from pathlib import Path

import pytest

from tests.interop.vm.guest import Guest
from tests.interop.vm.scripts import about
from tests.support.server import Serve

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


@pytest.mark.thorough
def test_compare_and_write_from_two_nodes(serve: Serve, guest: Guest, medium: Path) -> None:
    """A counter that both nodes increase by COMPARE AND WRITE loses no update."""
    server = serve(medium)
    out = guest.run(
        about(server, guest)
        + NODES
        + """
        increase() {
            local disk=$1 node=$2 done=0 value
            while [ $done -lt 40 ]; do
                dd if="$disk" of=/tmp/old.$node bs=512 count=1 iflag=direct status=none
                value=$(tr -d '\\0' < /tmp/old.$node)
                printf %d $((${value:-0} + 1)) > /tmp/new.$node
                truncate -s 512 /tmp/new.$node
                cat /tmp/old.$node /tmp/new.$node > /tmp/both.$node
                if sg_compare_and_write --quiet --in=/tmp/both.$node --lba=0 --num=1 "$disk" > /tmp/said.$node 2>&1; then
                    done=$((done + 1))
                else
                    [ $? = 14 ] || fail "$(cat /tmp/said.$node)"
                fi
            done
        }
        increase "$FIRST" 1 & one=$!
        increase "$SECOND" 2 & two=$!
        wait $one
        wait $two
        echo "counted $(dd if="$FIRST" bs=512 count=1 iflag=direct status=none | tr -d '\\0')"
        """
    )
    assert "counted 80\n" in out


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
