#!/bin/busybox sh
# The first process of the guest: finds the disk with the root file system and hands over to it.
#
# The disk is read only and what is written goes to memory, so every start begins from the same state, and several
# guests share one image.
busybox=/bin/busybox
$busybox mount -t devtmpfs devtmpfs /dev
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
while read -r module; do $busybox insmod "/modules/$module"; done < /modules/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 200 ]; do $busybox sleep 0.05; tries=$((tries + 1)); done
$busybox mount -t ext4 -o ro,noload /dev/vda /image || echo o > /proc/sysrq-trigger
$busybox mount -t tmpfs -o mode=755 tmpfs /memory
$busybox mkdir /memory/upper /memory/work
$busybox mount -t overlay -o lowerdir=/image,upperdir=/memory/upper,workdir=/memory/work overlay /root
for directory in dev proc sys; do $busybox mount --move "/$directory" "/root/$directory"; done
exec $busybox switch_root /root /sbin/guest-init
