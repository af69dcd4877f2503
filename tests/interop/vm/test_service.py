"""The service as its unit has systemd run it, with the kernel's initiator on the same machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.vm.installation import put
from tests.interop.vm.server_guest import ServerGuest, running_server_guest, why_no_server
from tests.interop.vm.server_image.build import ensure_server_image
from tests.support.debian_package import higher_version

pytestmark = [pytest.mark.vm, pytest.mark.thorough, pytest.mark.timeout(3600)]

SECONDS = 1500
USER_GUIDE = Path(__file__).parents[3] / "docs" / "user-guide.md"

START = """
modprobe -a loop iscsi_tcp sd_mod sg
truncate --size 64M /srv/iscsi/disk.img
chown isthmus: /srv/iscsi/disk.img
cat > /etc/isthmus.toml << END
[backstores.disk]
kind = "fileio"
path = "/srv/iscsi/disk.img"

[targets."$TARGET"]
portals = ["127.0.0.1"]
luns = ["disk"]
attributes = { generate_node_acls = 1, authentication = 0, demo_mode_write_protect = 0 }
END
isthmus apply /etc/isthmus.toml
target $TARGET $PORTAL
login node.startup automatic node.session.timeo.replacement_timeout 600
mkfs.ext4 -q $(disk)
udevadm settle
mkdir -p /mnt/iscsi
echo "UUID=$(blkid -o value -s UUID $(disk))  /mnt/iscsi  ext4  _netdev,x-systemd.device-timeout=20min,x-systemd.mount-timeout=10min  0  2" > /etc/fstab
systemctl daemon-reload
mount /mnt/iscsi
write_files /mnt/iscsi
cp /tmp/files.sha256 /root
"""

LOAD = """
load() {
    local number=0
    while [ ! -e /tmp/enough ]; do
        number=$((number + 1))
        head -c 200k /dev/urandom > /tmp/some
        dd if=/tmp/some of=/mnt/iscsi/load bs=20k conv=fsync,notrunc status=none
        cmp /tmp/some <(dd if=/mnt/iscsi/load iflag=direct bs=200k count=1 status=none) || return
        echo $number > /tmp/rounds
        sleep 0.5
    done
}
rounds_go_on() {
    local before=$(cat /tmp/rounds) try
    for try in $(seq 1200); do
        [ "$(cat /tmp/rounds)" -gt $((before + 1)) ] && return
        sleep 0.2
    done
    fail "the load stands still at $(cat /tmp/rounds)"
}
rm -f /tmp/enough
echo 0 > /tmp/rounds
load &
LOAD=$!
rounds_go_on
"""
"""Something that writes, has it made durable, and reads it again past the cache; with a pause, as there is one processor."""

END_OF_LOAD = """
touch /tmp/enough
wait $LOAD
drop_caches
cp /root/files.sha256 /tmp
files_are_whole /mnt/iscsi
dmesg | grep -E 'EXT4-fs error|I/O error.*(write|WRITE)' && fail 'something was lost'
[ "$(systemctl is-active isthmus)" = active ]
"""


@pytest.fixture(scope="module")
def server(debian_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerGuest]:
    """A guest whose service serves a file, on which there is a file system that is mounted in the same guest."""
    if reason := why_no_server():
        pytest.skip(reason)
    with running_server_guest(ensure_server_image(), debian_package, tmp_path_factory.mktemp("server")) as guest:
        guest.run(START, seconds=SECONDS)
        yield guest


def test_it_runs_as_its_user(server: ServerGuest) -> None:
    """Ready when it says so; a user of its own, no capability, system calls filtered, nobody else's files."""
    server.run("""
    [ "$(systemctl show -P SubState isthmus)" = running ]
    pid=$(systemctl show -P MainPID isthmus)
    [ "$(stat -c %U /proc/$pid)" = isthmus ]
    grep -E 'Cap(Eff|Prm|Bnd|Amb):.0000000000000000' /proc/$pid/status | wc -l | grep 4
    grep 'NoNewPrivs:.1' /proc/$pid/status
    grep 'Seccomp:.2' /proc/$pid/status
    inside() { nsenter --target $pid --mount --setuid $(id -u isthmus) --setgid $(id -g isthmus) "$@"; }
    for place in /etc /usr /var/log /sys/block; do fails inside touch $place/x; done
    fails inside ls /root
    fails inside ls /home
    inside touch /srv/iscsi/x /var/lib/isthmus/x
    rm /srv/iscsi/x /var/lib/isthmus/x
    fails inside dd if=/dev/vda of=/dev/null count=1
    """)


def test_its_exposure_is_what_the_guide_says(server: ServerGuest) -> None:
    """By `systemd-analyze security`."""
    figure = re.search(r"systemd-analyze security` gives it ([0-9.]+) of 10", USER_GUIDE.read_text(encoding="utf-8"))
    assert figure is not None
    out = server.run("systemd-analyze security isthmus --no-pager | tail -1\n")
    assert f"for isthmus.service: {figure[1]} OK" in out


def test_the_journal_has_its_events(server: ServerGuest) -> None:
    """A line each, with names and values; and warnings as warnings."""
    out = server.run("journalctl -u isthmus -o cat --no-pager\n")
    assert "level=info" not in server.run("journalctl -u isthmus -o cat --no-pager -p warning\n")
    assert re.search(r"level=info event=login .*initiator=iqn\.2026-01\.com\.example:guest", out)
    assert re.search(r"^Started isthmus\.service", out, re.MULTILINE)


def test_a_reload_takes_over_sizes(server: ServerGuest) -> None:
    """A file that has grown has grown for the initiator, and for its file system."""
    server.run(
        """
        truncate --size 96M /srv/iscsi/disk.img
        systemctl reload isthmus
        for try in $(seq 300); do
            echo 1 > /sys/block/$(basename $(disk))/device/rescan
            [ $(blockdev --getsize64 $(disk)) = $((96 << 20)) ] && break
            sleep 0.2
        done
        [ $(blockdev --getsize64 $(disk)) = $((96 << 20)) ]
        resize2fs $(disk)
        """,
        seconds=SECONDS,
    )


def test_a_restart_loses_nothing(server: ServerGuest) -> None:
    """Under load: the initiator comes back by itself, and what was durable is there. A drop-in opens another place."""
    server.run(
        LOAD
        + """
        install -d -o isthmus -g isthmus /disks
        mkdir -p /etc/systemd/system/isthmus.service.d
        printf '[Service]\\nReadWritePaths=/disks\\n' > /etc/systemd/system/isthmus.service.d/disks.conf
        systemctl daemon-reload
        systemctl restart isthmus
        rounds_go_on
        isthmus backstore create fileio/other /disks/other.img --size 1M
        isthmus backstore create fileio/nowhere /var/log/other.img --size 1M > /tmp/out 2>&1 && fail 'written to /var/log'
        grep -E 'Read-only file system|Permission denied' /tmp/out
        """
        + END_OF_LOAD,
        seconds=SECONDS,
    )


def test_an_upgrade_loses_nothing(server: ServerGuest, debian_package: Path, tmp_path: Path) -> None:
    """Under load: the new version takes the place of the old one, with what the administrator has set."""
    put(higher_version(debian_package, tmp_path), server.share, "higher")
    server.run(
        LOAD
        + """
        before=$(systemctl show -P MainPID isthmus)
        install_package higher
        rounds_go_on
        [ "$(systemctl show -P MainPID isthmus)" != "$before" ]
        dpkg-query -W -f '${Version} ${Status}\n' isthmus | grep '^9.* install ok installed$'
        isthmus backstore list | grep disk
        """
        + END_OF_LOAD,
        seconds=SECONDS,
    )


def test_a_process_that_is_stuck_is_replaced(server: ServerGuest) -> None:
    """Its watchdog hears nothing of it; the initiator goes on with the next one."""
    server.run(
        LOAD
        + """
        before=$(systemctl show -P MainPID isthmus)
        kill -STOP $before
        for try in $(seq 1500); do
            [ "$(systemctl show -P NRestarts isthmus)" -gt 0 ] && break
            sleep 0.2
        done
        journalctl -u isthmus -o cat --no-pager | grep -i 'watchdog timeout'
        rounds_go_on
        [ "$(systemctl show -P MainPID isthmus)" != $before ]
        """
        + END_OF_LOAD,
        seconds=SECONDS,
    )


def test_it_serves_again_after_a_reboot(server: ServerGuest) -> None:
    """Enabled, it starts with the machine; an initiator logs in, and what /etc/fstab says of its disk is mounted."""
    server.run("""
    mkdir -p /etc/systemd/system/open-iscsi.service.d
    printf '[Unit]\\nAfter=isthmus.service\\n' > /etc/systemd/system/open-iscsi.service.d/here.conf
    systemctl daemon-reload
    systemctl enable --now open-iscsi
    cat /proc/sys/kernel/random/boot_id > /root/boot
    """)
    server.reboot()
    server.run(
        """
        for try in $(seq 1500); do
            mountpoint -q /mnt/iscsi && break
            sleep 0.2
        done
        fails cmp /proc/sys/kernel/random/boot_id /root/boot
        grep /mnt/iscsi /proc/mounts || { journalctl -b --no-pager | tail -50; fail 'not mounted'; }
        cp /root/files.sha256 /tmp
        files_are_whole /mnt/iscsi
        dmesg | grep -E 'recovery complete|EXT4-fs error' && fail 'it was not unmounted before its target went'
        journalctl -b -1 -u isthmus -o cat --no-pager | tail -5
        journalctl -b -1 -u isthmus -o cat --no-pager | grep 'isthmus.service: Deactivated successfully'
        """,
        seconds=SECONDS,
    )


def test_a_socket_keeps_the_port(server: ServerGuest) -> None:
    """While the service does not run, systemd listens, and starts it for the first who comes."""
    server.run(
        """
        umount /mnt/iscsi
        target $TARGET $PORTAL
        logout
        sed -i '/^portals/d' /etc/isthmus.toml
        isthmus apply /etc/isthmus.toml
        systemctl stop isthmus
        [ "$(systemctl show -P Result isthmus)" = success ]
        fails bash -c '< /dev/tcp/127.0.0.1/3260'
        systemctl start isthmus.socket
        [ "$(systemctl is-active isthmus)" = inactive ]
        login node.conn[0].timeo.login_timeout 300
        [ "$(systemctl is-active isthmus)" = active ]
        mount /mnt/iscsi
        systemctl restart isthmus
        cp /root/files.sha256 /tmp
        drop_caches
        files_are_whole /mnt/iscsi
        umount /mnt/iscsi
        logout
        """,
        seconds=SECONDS,
    )


def test_it_ends_in_order(server: ServerGuest) -> None:
    """With a session, which is asked to log out; and nothing is left."""
    out = server.run(
        """
        target $TARGET $PORTAL
        login
        disk
        systemctl stop isthmus.socket isthmus
        systemctl show -p Result -p ExecMainStatus isthmus
        journalctl -u isthmus -o cat --no-pager | tail -8
        fails pgrep -u isthmus
        [ ! -e /run/isthmus ]
        """,
        seconds=SECONDS,
    )
    assert "Result=success" in out
    assert "ExecMainStatus=0" in out


def test_it_is_removed_and_purged(server: ServerGuest) -> None:
    """Removed while somebody uses it, it ends in order and keeps its state; purged, it does not. Disks are not its own."""
    server.run(
        """
        systemctl start isthmus
        eventually grep LOGGED_IN /sys/class/iscsi_session/session*/state
        dpkg --remove isthmus
        fails pgrep -u isthmus
        fails systemctl cat isthmus
        [ -s /var/lib/isthmus/saveconfig.json ]
        dpkg --purge isthmus
        [ ! -e /var/lib/isthmus ]
        [ -s /srv/iscsi/disk.img ]
        """,
        seconds=SECONDS,
    )
