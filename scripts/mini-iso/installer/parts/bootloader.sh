# Boot loader: extlinux for BIOS, for UEFI the GRUB that also starts the CD.
# Both start /boot/vmlinuz and /boot/initrd.img.

KERNEL_ARGUMENTS="root=LABEL=forge-root rw quiet console=ttyS0,115200 console=tty0"

install_bootloader() {
    say "boot loader for $FIRMWARE"
    mkdir -p /mnt/boot
    # a system that brings its own kernel has put it there already
    [ -e /mnt/boot/vmlinuz ] || cp /cd/boot/vmlinuz /cd/boot/initrd.img /mnt/boot/
    if [ $FIRMWARE = uefi ]; then install_grub; else install_extlinux; fi
}

install_extlinux() {
    cat >/mnt/boot/extlinux.conf <<END
default linux
prompt 0
timeout 0
label linux
  kernel vmlinuz
  append initrd=initrd.img $KERNEL_ARGUMENTS $KS_BOOT_ARGUMENTS
END
    /usr/bin/extlinux --install /mnt/boot >/run/bootloader.log 2>&1 || die "extlinux"
    dd if=/usr/lib/installer/mbr.bin of="$KS_DISK" bs=440 count=1 conv=notrunc 2>/dev/null || die "cannot write the MBR"
}

# \EFI\BOOT\BOOTX64.EFI is where firmware looks on any disk, so no entry in the machine's variables is needed, and the disk
# boots on another machine too.
install_grub() {
    modprobe -a -q vfat nls_cp437 nls_ascii loop
    mkdir -p /mnt/boot/efi /run/efi-image
    mount -t vfat "$ESP" /mnt/boot/efi || die "cannot mount the EFI partition"
    mount -t vfat -o ro,loop /cd/boot/efi.img /run/efi-image || die "cannot mount the medium's EFI image"
    mkdir -p /mnt/boot/efi/EFI/BOOT /mnt/boot/efi/boot/grub
    cp /run/efi-image/EFI/BOOT/BOOTX64.EFI /mnt/boot/efi/EFI/BOOT/
    cat >/mnt/boot/efi/boot/grub/grub.cfg <<END
search --no-floppy --set=root --label forge-root
set timeout=0
menuentry "Linux" {
    linux /boot/vmlinuz $KERNEL_ARGUMENTS $KS_BOOT_ARGUMENTS
    initrd /boot/initrd.img
}
END
    umount /run/efi-image
    umount /mnt/boot/efi
}
