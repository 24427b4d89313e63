# shellcheck shell=bash
# The parts that every install ISO of this project has: the initramfs with the kernel modules, the installer's own
# initramfs, and the ISO file with both boot loaders. Needs host.sh and debs.sh.

MEDIA_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# add_busybox ROOT BUSYBOX : busybox with a link for every applet, under /usr.
add_busybox() {
    local root=$1 applet target
    make_usr_merged "$root"
    mkdir -p "$root"/{dev,etc,mnt,proc,root,run,sys,tmp}
    install -m755 "$2" "$root/usr/bin/busybox"
    for applet in $("$root/usr/bin/busybox" --list-full); do
        case $applet in
            linuxrc | *dpkg* | *rpm*) continue ;; # of no use here; dpkg's would shadow the real one
        esac
        target=$root/usr/${applet#usr/}
        [ -e "$target" ] || ln -s /bin/busybox "$target"
    done
}

# build_module_tree KERNEL_TREE VERSION BUSYBOX OUT : the modules of modules.list below OUT/usr/lib/modules.
build_module_tree() {
    local modules=$4/usr/lib/modules/$2
    mkdir -p "$modules"
    "$MEDIA_DIR/lib/kernel_modules.py" "$MEDIA_DIR/modules.list" "$1/lib/modules/$2" "$modules"
    ln -sfn usr/lib "$4/lib"
    "$3" depmod -b "$4" "$2"
}

# build_base_initramfs DIR BUSYBOX MODULE_TREE OUT : busybox, modules and the init that finds the root file system.
# The installed system starts from the same file.
build_base_initramfs() {
    add_busybox "$1" "$2"
    cp -a "$3/usr/lib/modules" "$1/usr/lib/"
    install -D -m755 "$MEDIA_DIR/rootfs/usr/share/udhcpc/default.script" "$1/usr/share/udhcpc/default.script"
    install -m755 "$MEDIA_DIR/installer/init" "$1/init"
    pack_initramfs "$1" "$4"
}

# build_installer_initramfs DIR PACKAGES BOOT_PACKAGES OUT : what only the installer needs; the kernel lays it over the base.
build_installer_initramfs() {
    local tools=$1 packages=$2 boot=$3
    mkdir -p "$tools/etc"
    "$MEDIA_DIR/lib/elf_closure.py" "$tools" "$packages" usr/sbin/mke2fs usr/sbin/sfdisk usr/bin/extlinux usr/bin/zstd
    cp "$packages/etc/mke2fs.conf" "$tools/etc/"
    install -D -m644 "$boot/usr/lib/syslinux/mbr/mbr.bin" "$tools/usr/lib/installer/mbr.bin"
    install -m644 "$MEDIA_DIR"/installer/parts/*.sh "$tools/usr/lib/installer/"
    install -m755 "$MEDIA_DIR/installer/install" "$tools/install"
    pack_initramfs "$tools" "$4"
}

# build_efi_image BOOT_PACKAGES OUT : a FAT image with Debian's self-contained GRUB, for El Torito and for the installed
# system's EFI partition.
build_efi_image() {
    local grub=$1/usr/lib/grub/x86_64-efi/monolithic/gcdx64.efi image=$2
    truncate -s 5M "$image"
    # -N: a fixed serial number, else mformat makes one of the time
    mformat -i "$image" -N 464f5247 -v FORGE_EFI ::
    mmd -i "$image" ::/EFI ::/EFI/BOOT
    touch -d "@$SOURCE_DATE_EPOCH" "$grub"
    mcopy -m -i "$image" "$grub" ::/EFI/BOOT/BOOTX64.EFI
}

# fill_template FILE TITLE : the boot menus, with the system's name.
fill_template() {
    sed "s/@TITLE@/$2/g" "$MEDIA_DIR/boot/$1"
}

# build_iso TREE BOOT_PACKAGES TITLE VOLUME OUT : TREE holds /boot/vmlinuz, /boot/initrd.img, /boot/installer.img and /packages.
build_iso() {
    local tree=$1 boot=$2 title=$3 volume=$4 out=$5 file date
    mkdir -p "$tree"/{isolinux,boot/grub,.disk}
    cp "$boot/usr/lib/ISOLINUX/isolinux.bin" "$tree/isolinux/"
    for file in ldlinux menu libcom32 libutil chain; do
        cp "$boot/usr/lib/syslinux/modules/bios/$file.c32" "$tree/isolinux/"
    done
    fill_template isolinux.cfg "$title" >"$tree/isolinux/isolinux.cfg"
    fill_template grub.cfg "$title" >"$tree/boot/grub/grub.cfg"
    printf '%s\n' "$title" >"$tree/.disk/info" # by this file GRUB finds the CD
    build_efi_image "$boot" "$tree/boot/efi.img"

    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S00)
    mkdir -p "$(dirname "$out")"
    xorriso -report_about WARNING -as mkisofs -quiet -R -J -V "$volume" -volset "$volume" -o "$out.tmp" \
        --modification-date="$date" --set_all_file_dates "$date" \
        -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
        -eltorito-alt-boot -e boot/efi.img -no-emul-boot \
        "$tree"
    mv "$out.tmp" "$out"
}
