# Messages, and the way an installation stops.

SERIAL=
if (echo >/dev/ttyS0) 2>/dev/null; then SERIAL=/dev/ttyS0; fi

say() {
    line="[$(cut -d' ' -f1 /proc/uptime)] $*"
    echo "$line"
    [ -n "$SERIAL" ] && echo "INSTALLER $line" >$SERIAL
    echo "$line" >>/run/install.log
}

# die WHY : tell what is known, then leave a shell on the screen.
die() {
    for log in /run/sfdisk.log /run/mkfs.log /run/bootloader.log; do
        [ -s $log ] && say "$log: $(tail -3 $log | tr '\n' ' ')"
    done
    [ -n "$SERIAL" ] && dmesg | grep -i -E 'mpt|scsi|sd |error' | tail -25 >$SERIAL
    say "FAILED: $*"
    echo "The installation has stopped. A shell follows; 'reboot -f' starts again."
    while :; do
        setsid cttyhack sh
        sleep 1
    done
}

# kernel_argument NAME : its last value on the kernel's command line.
kernel_argument() {
    for word in $(cat /proc/cmdline); do
        case $word in
            "$1"=*) echo "${word#*=}" ;;
        esac
    done | tail -1
}

# wait_for_device PATH TENTHS : a device that a driver is about to show.
wait_for_device() {
    tries=0
    while [ ! -b "$1" ] && [ $tries -lt "$2" ]; do
        usleep 100000
        tries=$((tries + 1))
    done
    [ -b "$1" ]
}
