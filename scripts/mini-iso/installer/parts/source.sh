# Where the kickstart comes from: ks= on the command line, else a volume labelled OEMDRV, else the question "ks: ".
#
#   hd:fd0:/ks.cfg   hd:sdb1:/ks.cfg   hd:LABEL=NAME:/ks.cfg   cdrom:/ks.cfg   http://host/ks.cfg

obtain_kickstart() {
    location=$(kernel_argument ks)
    [ -n "$location" ] || location=$(kernel_argument inst.ks)
    if [ -z "$location" ] && [ -n "$(await_label OEMDRV)" ]; then
        location=hd:LABEL=OEMDRV:/ks.cfg
    fi
    [ -n "$location" ] || say "NO KICKSTART on the kernel command line, and no volume OEMDRV"
    while :; do
        if [ -n "$location" ]; then
            say "kickstart $location"
            fetch_kickstart "$location" && break
            say "ERROR: no kickstart at $location"
        fi
        ask_for_location
    done
    say "kickstart read, $(wc -c </run/ks.cfg) bytes"
}

ask_for_location() {
    printf '\nType the place of a kickstart (hd:fd0:/ks.cfg, cdrom:/ks.cfg, http://...), or reboot, poweroff, shell\nks: '
    read -r location || sleep 5
    case $location in
        reboot | poweroff) "$location" -f ;;
        shell)
            setsid cttyhack sh
            location=
            ;;
    esac
}

# fetch_kickstart LOCATION : leave it in /run/ks.cfg.
fetch_kickstart() {
    rm -f /run/ks.cfg
    case $1 in
        hd:*) fetch_from_volume "${1#hd:}" ;;
        cdrom*) fetch_from_cd "${1#cdrom}" ;;
        http://*) fetch_from_http "$1" ;;
        *) say "unknown kind of location: $1" ;;
    esac
    [ -s /run/ks.cfg ]
}

# fetch_from_volume DEVICE:/PATH
fetch_from_volume() {
    name=${1%%:*}
    path=${1#*:}
    case $name in
        fd*)
            load_floppy_driver
            device=/dev/$name
            ;;
        LABEL=*) device=$(await_label "${name#LABEL=}") ;;
        UUID=*) device=$(findfs "$name" 2>/dev/null) ;;
        *) device=/dev/$name ;;
    esac
    modprobe -a -q vfat nls_cp437 nls_ascii
    if ! mount_source "$device"; then
        say "cannot mount ${device:-$name}"
        return
    fi
    cp "/source/$path" /run/ks.cfg
    umount /source
}

mount_source() {
    umount /source 2>/dev/null
    mount -t vfat -o ro "$1" /source 2>/dev/null || mount -t iso9660 -o ro "$1" /source 2>/dev/null ||
        mount -o ro "$1" /source 2>/dev/null
}

# fetch_from_cd [:/PATH] : any other CD first, then the install medium.
fetch_from_cd() {
    path=${1#:}
    [ -n "$path" ] || path=/ks.cfg
    tries=0
    until copy_from_cds "$path" || [ $tries -ge 10 ]; do
        usleep 200000 # another drive may still be on its way
        tries=$((tries + 1))
    done
}

copy_from_cds() {
    for device in /dev/sr*; do
        [ "$device" = "$MEDIUM" ] && continue
        mount_source "$device" || continue
        [ -f "/source/$1" ] && cp "/source/$1" /run/ks.cfg
        umount /source
    done
    [ -f /run/ks.cfg ] || cp "/cd/$1" /run/ks.cfg 2>/dev/null
}

fetch_from_http() {
    start_network || return
    tries=0
    until wget -q -O /run/ks.cfg "$1"; do
        rm -f /run/ks.cfg
        tries=$((tries + 1))
        [ $tries -lt 5 ] || return
        sleep 1
    done
}

start_network() {
    [ -n "$NETWORK" ] && return 0
    for interface in $(ls /sys/class/net); do
        [ "$interface" = lo ] && continue
        ip link set "$interface" up
        if udhcpc -i "$interface" -n -q -t 8 -T 1 -s /usr/share/udhcpc/default.script >/dev/null 2>&1; then
            NETWORK=$interface
            say "network $interface $(ip -4 -o addr show "$interface" | awk '{ print $4 }')"
            return 0
        fi
    done
    say "no DHCP lease"
    return 1
}

load_floppy_driver() {
    modprobe -q floppy
    wait_for_device /dev/fd0 10
}

# Without a controller the driver spends many seconds looking for one.
has_floppy_controller() {
    find /sys/devices -name modalias | xargs grep -q -i PNP0700 2>/dev/null
}

# await_label LABEL : the device of a volume. Drives appear one after the other, so look for two seconds; a floppy is there
# at once or not at all, and each look at an empty drive costs time and an error message.
await_label() {
    if has_floppy_controller && load_floppy_driver && [ "$(read_label /dev/fd0 43 11)" = "$1" ]; then
        echo /dev/fd0
        return
    fi
    tries=0
    while [ $tries -lt 10 ]; do
        for device in /dev/sr*; do
            if [ "$(read_label "$device" 32808 32)" = "$1" ]; then
                echo "$device"
                return
            fi
        done
        findfs "LABEL=$1" 2>/dev/null && return
        usleep 200000
        tries=$((tries + 1))
    done
}

# read_label DEVICE OFFSET LENGTH : findfs overlooks floppies and is slow to see CDs, so the label is read at its place: byte
# 43 of a FAT12 or FAT16 volume, byte 32808 of an ISO 9660 one.
read_label() {
    dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | tr -d '\0' | sed 's/ *$//'
}
