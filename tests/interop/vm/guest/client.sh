# What the scripts that run in the guest share. Each starts with this, under `bash -eu -o pipefail`.
#
# `target NAME PORTAL` says whom the others are about; an error ends the script and prints the kernel's last words.

INITIATOR=iqn.2026-01.com.example:guest
TAB=$(printf '\t')

trap 'status=$?; if [ $status != 0 ]; then echo "--- kernel"; dmesg | tail -25; fi' EXIT

fail() { echo "FAILED: $*"; exit 1; }

# That a command fails; `! command` would end no script if it did not.
fails() {
    if "$@"; then fail "this should have failed: $*"; fi
}

# Try a command until it succeeds, for a minute at the most.
eventually() {
    local tries
    for tries in $(seq 600); do
        if "$@" > /tmp/eventually 2>&1; then return; fi
        sleep 0.1
    done
    cat /tmp/eventually
    echo "this has not come: $*"
    return 1
}

# One daemon for all scripts; it needs a name of the initiator before it starts.
start_iscsid() {
    (
        flock 9
        pidof iscsid > /dev/null && exit 0
        modprobe -a iscsi_tcp sd_mod sg
        echo "InitiatorName=$INITIATOR" > /etc/iscsi/initiatorname.iscsi
        iscsid 9>&-
    ) 9> /run/iscsid.lock
}

start_udev() { pidof systemd-udevd > /dev/null || /lib/systemd/systemd-udevd --daemon; }

target() { TARGET=$1 PORTAL=$2; start_iscsid; }

# A record of the target made by hand, for one setting or more: `record NAME VALUE NAME VALUE`.
record() {
    iscsiadm -m node -T "$TARGET" -p "$PORTAL" > /dev/null 2>&1 ||
        iscsiadm -m node -o new -T "$TARGET" -p "$PORTAL" > /dev/null
    while [ $# -gt 0 ]; do
        iscsiadm -m node -T "$TARGET" -p "$PORTAL" -o update -n "$1" -v "$2"
        shift 2
    done
}

login() {
    record "$@"
    iscsiadm -m node -T "$TARGET" -p "$PORTAL" --login
}

logout() { iscsiadm -m node -T "$TARGET" -p "$PORTAL" --logout; }

# The names of all disks of the target's sessions with that LUN, without /dev/.
disk_names() {
    local session
    for session in /sys/class/iscsi_session/session*; do
        [ "$(cat "$session/targetname" 2> /dev/null)" = "$TARGET" ] || continue
        ls -d "$session"/device/target*/*:"$1"/block/* 2> /dev/null | sed 's,.*/,,'
    done
}

# The name of the disk with LUN 0 that is reached through a portal, without /dev/.
disk_at() {
    local connection session
    for connection in /sys/class/iscsi_connection/connection*; do
        [ "$(cat "$connection/persistent_address"):$(cat "$connection/persistent_port")" = "$1" ] || continue
        session=${connection##*/connection}
        ls -d "/sys/class/iscsi_session/session${session%%:*}"/device/target*/*:0/block/* | sed 's,.*/,,'
    done
}

# Wait for the disk with that LUN (0 unless told); its path.
disk() {
    local tries name
    for tries in $(seq 300); do
        name=$(disk_names "${1:-0}" | head -1)
        if [ -n "$name" ] && [ -b "/dev/$name" ] && [ "$(cat "/sys/block/$name/size")" -gt 0 ]; then
            echo "/dev/$name"
            return
        fi
        sleep 0.1
    done
    fail "no disk with LUN ${1:-0}"
}

# One line of `iscsiadm -m session -P 3`: the value that was negotiated.
negotiated() { iscsiadm -m session -P 3 | sed -n "s/^[[:space:]]*$1: //p"; }

# No error of the kernel's about a disk since the start of this script (the marker).
MARK="isthmus: script $$ starts"
echo "$MARK" > /dev/kmsg
kernel_log() {
    dmesg > /tmp/dmesg
    grep -q "$MARK" /tmp/dmesg && sed "1,/$MARK/d" /tmp/dmesg
}
# What the kernel reads ahead (0x80000) it does not try again (0x700), and nobody hears of it but this log.
no_kernel_complaint() {
    kernel_log > /tmp/kernel.log || fail 'the kernel has said too much to see the start of it'
    if grep -v 'I/O error, .*(READ) flags 0x80700 ' /tmp/kernel.log | grep -E 'I/O error|Sense Key|BUG|WARNING:|blocked for more|Medium Error|corrupt|EXT4-fs error|XFS.*error'; then
        fail 'the kernel complained'
    fi
}

# Write files into a directory; `files_are_whole DIRECTORY` compares them with what was written.
write_files() {
    local number
    for number in 1 2 3; do head -c $((4 << 20)) /dev/urandom > "$1/large$number"; done
    mkdir "$1/many"
    for number in $(seq 100); do seq "$number" > "$1/many/$number"; done
    (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) > /tmp/files.sha256
}
files_are_whole() { (cd "$1" && sha256sum --quiet -c /tmp/files.sha256); }

drop_caches() { sync; echo 3 > /proc/sys/vm/drop_caches; }

# Small verifying load on a disk; more options of fio may follow.
verify_with_fio() {
    fio --name=verify --filename="$1" --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
        --bsrange=4k-64k --verify=crc32c --verify_fatal=1 --do_verify=1 --minimal "${@:2}" > /tmp/fio.out 2>&1 ||
        { cat /tmp/fio.out; fail 'fio'; }
}

# dm-multipath over the paths that there are; sets MAP to the path of the only map.
start_multipath() {
    cat > /etc/multipath.conf << END
defaults {
    user_friendly_names yes
    find_multipaths no
    polling_interval 1
    path_grouping_policy ${1:-multibus}
    no_path_retry queue
    failback immediate
}
blacklist {
    devnode "^vd"
}
END
    start_udev
    modprobe -a dm_multipath dm_service_time dm_round_robin scsi_dh_alua
    pidof multipathd > /dev/null || multipathd
}
# The guest has no systemd. `systemctl enable --now multipathd` ends when the daemon has made its maps.
systemctl() {
    [ "$*" = "enable --now multipathd" ] || fail "systemctl $*"
    modprobe -a dm_multipath dm_service_time scsi_dh_alua
    multipathd
    eventually multipathd_is_idle
    udevadm settle
}
multipathd_is_idle() { multipathd show daemon | grep -q idle; }
stop_multipath() {
    eventually no_maps # Behind the last write, udev looks at a map for a moment.
    multipathd shutdown > /dev/null
}
no_maps() { multipath -F; }
active_paths() { multipathd show paths raw format '%t %T' | grep -c '^active ready' || true; }
wait_for_paths() {
    eventually has_active_paths "$1" || { multipath -ll; fail "not $1 active paths but $(active_paths)"; }
}
has_active_paths() { [ "$(active_paths)" = "$1" ]; }
map() { echo "/dev/mapper/$(multipathd show maps raw format %n | head -1)"; }
