# Disk, partitions, file systems. BIOS: one partition. UEFI: an EFI system partition before it.
# There is no udev: a disk is sda, vda or nvme0n1 by its bus, and the root is found by its label.

ROOT_LABEL=forge-root

choose_disk() {
    tries=0
    while [ -z "$KS_DISK" ] && [ $tries -lt 100 ]; do
        for name in vda sda nvme0n1; do
            if [ -b /dev/$name ]; then
                KS_DISK=/dev/$name
                break
            fi
        done
        [ -n "$KS_DISK" ] || usleep 100000
        tries=$((tries + 1))
    done
    [ -b "$KS_DISK" ] || die "no disk found"
    block=/sys/block/${KS_DISK#/dev/}
    say "disk $KS_DISK, $(cat "$block/size") sectors, driver $(basename "$(readlink -f "$block/device/driver")")"
}

partition_device() {
    case $KS_DISK in
        *[0-9]) echo "${KS_DISK}p$1" ;;
        *) echo "$KS_DISK$1" ;;
    esac
}

partition_disk() {
    say "partition $KS_DISK for $FIRMWARE"
    # Fixed identifiers: two installations differ only in what has to differ.
    if [ $FIRMWARE = uefi ]; then
        ESP=$(partition_device 1)
        ROOT=$(partition_device 2)
        set -- 'label: gpt' 'label-id: 464f5247-0000-4000-8000-000000000000' 'start=2048, size=66MiB, type=uefi' 'type=linux'
    else
        ESP=
        ROOT=$(partition_device 1)
        set -- 'label: dos' 'label-id: 0x464f5247' 'start=2048, type=83, bootable'
    fi
    printf '%s\n' "$@" | /usr/sbin/sfdisk -q --wipe always --wipe-partitions always "$KS_DISK" >/run/sfdisk.log 2>&1 ||
        die "sfdisk"
    wait_for_device "$ROOT" 50 || die "no partition $ROOT"
}

make_file_systems() {
    say "mkfs.$KS_FS $ROOT"
    # extlinux reads neither 64-bit nor checksummed metadata; lazy initialisation saves seconds and disk space
    /usr/sbin/mke2fs -q -F -t "$KS_FS" -L $ROOT_LABEL -O ^64bit,^metadata_csum,uninit_bg \
        -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 "$ROOT" >/run/mkfs.log 2>&1 || die "mkfs.$KS_FS"
    mount -t ext4 "$ROOT" /mnt || die "cannot mount $ROOT"
    if [ -n "$ESP" ]; then
        mkdosfs -n ESP "$ESP" >/run/mkfs.log 2>&1 || die "mkdosfs"
    fi
}

unmount_target() {
    umount /mnt/dev /mnt/proc /mnt/sys
    umount /mnt || die "cannot unmount the new system"
}
