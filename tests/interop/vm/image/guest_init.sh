#!/bin/bash
# Process 1 of the guest: sets up what a system has, then runs the scripts that appear in the shared directory.
#
#   /host/queue/NAME.sh    to be run, each in a process of its own
#   /host/queue/NAME.out   what it says (stdout and stderr)
#   /host/queue/NAME.status    its exit status, when it has ended
#
# 127.0.0.1 is the host here, as the user-mode network of QEMU connects to it like any other address: what a target that
# listens on the host's loopback says of its own address is then true in the guest too. Nothing in the guest needs an
# own loopback address but 127.0.0.2.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /run/lock /run/udev /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -sf /proc/self/fd /dev/fd
hostname isthmus-guest

echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
ip link set lo up
ip addr del 127.0.0.1/8 dev lo
ip addr add 127.0.0.2/32 dev lo
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
ip route add 127.0.0.1/32 via 10.0.2.2 src 10.0.2.15

mkdir -p /host
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,access=any host /host
cd /root
touch /host/queue/ready
exec {nobody}<> <(:)
while :; do
    for script in /host/queue/*.sh; do
        [ -e "$script" ] || continue
        name=${script%.sh}
        mv "$script" "$name.running"
        (
            bash "$name.running" > "$name.out" 2>&1 < /dev/null
            echo $? > "$name.ending"
            mv "$name.ending" "$name.status"
        ) &
    done
    read -r -t 0.05 -u $nobody  # to wait without another process, which is dear in an emulated machine
done
