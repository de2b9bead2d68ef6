#!/bin/busybox sh
# The first program of Domain 0's kernel: find the disk, then hand over to the agent (lab/dom0/agent.py) as PID 1.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules); do $b insmod /lib/modules/$module || echo "LAB-FAILED insmod $module"; done
tries=0
until [ -b /dev/vda ]; do
    tries=$((tries + 1))
    [ $tries -gt 300 ] && echo "LAB-FAILED no disk /dev/vda"
    $b sleep 0.1
done
$b mount -t ext4 -o noatime /dev/vda /root || echo "LAB-FAILED the disk cannot be mounted"
$b mount -t tmpfs -o mode=0755 lab /root/lab
$b cp -r /lab/. /root/lab/
$b umount /proc /sys
$b mount -o move /dev /root/dev
exec $b switch_root -c /dev/console /root /usr/bin/python3 -E -s -S /lab/start.py
echo "LAB-FAILED the agent cannot be started"
