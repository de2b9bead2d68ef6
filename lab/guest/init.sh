#!/bin/busybox sh
# The only program of a lab guest. It brings up what devices it finds, does a little I/O so that their counters
# move, says GUEST-UP on its console and then offers a shell there.
# From its kernel's command line: lab.ip=ADDRESS/BITS for eth0.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules); do $b insmod /lib/modules/$module; done
for word in $($b cat /proc/cmdline); do
    case $word in lab.ip=*) address=${word#lab.ip=} ;; esac
done
# Frontends connect by themselves soon after their driver is there.
for try in 1 2 3 4 5 6 7 8 9 10; do
    waiting=
    for device in /sys/bus/xen/devices/vbd-*; do [ -e "$device" ] && [ ! -e "$device"/block ] && waiting=yes; done
    [ -z "$waiting" ] && break
    $b sleep 0.2
done
if [ -b /dev/xvda ]; then
    $b dd if=/dev/xvda of=/dev/xvda bs=4096 count=16 conv=notrunc,fsync 2>/dev/null
fi
if [ -e /sys/class/net/eth0 ]; then
    $b ip link set eth0 up
    if [ -n "$address" ]; then
        $b ip address add "$address" dev eth0
        $b ping -c 2 -W 5 10.77.0.1 >/dev/null && echo GUEST-PING
    fi
fi
echo "GUEST-UP $($b cut -d ' ' -f 1 /proc/uptime)"
while true; do $b setsid $b cttyhack $b sh; $b sleep 1; done
