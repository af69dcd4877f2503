#!/bin/bash
# Runs the scripts that appear in the shared directory, as the process 1 of the client's image does.
#
#   /host/queue/NAME.sh    to be run, each in a process of its own
#   /host/queue/NAME.out   what it says (stdout and stderr)
#   /host/queue/NAME.status    its exit status, when it has ended
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8
mkdir -p /host
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,access=any host /host
cd /root
touch /host/queue/ready
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
    sleep 0.2
done
