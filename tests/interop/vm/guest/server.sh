# What the scripts that run in a guest that is a server share, beside client.sh. The server and its initiator are one
# machine here, and talk through 127.0.0.1.

# This guest has a systemd.
unset -f systemctl

TARGET=iqn.2026-01.com.example:devices
PORTAL=127.0.0.1:3260
DEBUG=/sys/bus/pseudo/drivers/scsi_debug

# The address of the only device of the adapter with that number, and its nodes.
debug_address() { (cd $DEBUG/adapter"$1"/host*/target*/ && echo [0-9]*:*:*:*); }
debug_disk() { echo "/dev/$(ls $DEBUG/adapter"$1"/host*/target*/*:*/block)"; }
debug_sg() { echo "/dev/$(ls $DEBUG/adapter"$1"/host*/target*/*:*/scsi_generic)"; }

# The sg node of the target's LUN.
sg_of() {
    local session
    for session in /sys/class/iscsi_session/session*; do
        [ "$(cat "$session/targetname")" = "$TARGET" ] || continue
        echo "/dev/$(ls "$session"/device/target*/*:"$1"/scsi_generic)"
    done
}

# What the adapters of scsi_debug are asked for from here on, and whether they were asked for that.
watch_devices() {
    echo 1 > $DEBUG/opts
    WATCHED="isthmus: watched from $RANDOM$RANDOM"
    echo "$WATCHED" > /dev/kmsg
}
devices_were_asked() {
    echo 0 > $DEBUG/opts
    dmesg | sed "1,/$WATCHED/d" > /tmp/asked
    grep -E "scsi_debug.*cmd $1" /tmp/asked || { tail -20 /tmp/asked; fail "no command $1"; }
}

# The whole answer of a command, with status and sense.
answer() { sg_raw "$@" 2>&1 || true; }

# What a failing command says: `sense_of NODE CDB...`
sense_of() { answer -r 512 "$@" | grep -E 'Sense key|Additional sense|Info fld'; }

# systemd has it listen from the start.
start_iscsid() { modprobe -a iscsi_tcp sd_mod sg; systemctl start iscsid; }

# Install a package that is shared with this guest, or upgrade to it: `install_package NAME`. What dpkg has unpacked gets
# its compiled modules before they are compiled.
install_package() {
    dpkg --unpack "/host/$1.deb"
    tar -x -f "/host/$1.tar" -C / --no-same-owner
    dpkg --configure isthmus
}
