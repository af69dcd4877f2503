#!/bin/busybox sh
# The first process of the guest: finds the disk with the root file system and hands over to systemd on it.
busybox=/bin/busybox
$busybox mount -t devtmpfs devtmpfs /dev
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
while read -r module; do $busybox insmod "/modules/$module"; done < /modules/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 200 ]; do $busybox sleep 0.05; tries=$((tries + 1)); done
$busybox mount -t ext4 /dev/vda /root || echo o > /proc/sysrq-trigger
for directory in dev proc sys; do $busybox mount --move "/$directory" "/root/$directory"; done
exec $busybox switch_root /root /lib/systemd/systemd
