#!/bin/bash
# customize.sh ROOT : the last touch on the payload, run by mmdebstrap inside its own namespace.
set -euo pipefail
root=$1

# the installer makes these for each machine
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"

# the repository of the build has served
rm -f "$root"/etc/apt/sources.list.d/0000*

# No timers in an image that is built, shipped and measured; who runs it may unmask them.
# getty-static opens five more consoles where there is no dbus; ifupdown-pre waits until udev has seen all hardware, for
# interfaces that are not hot-pluggable: together they cost a third of the boot.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    getty-static.service ifupdown-pre.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

chown -R 0:0 "$root"/etc/{acpi,apt,initramfs-tools,modprobe.d,network,ssh} "$root/etc/kernel-img.conf"
rm -rf "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/ldconfig/aux-cache "$root"/var/lib/systemd/catalog/database
