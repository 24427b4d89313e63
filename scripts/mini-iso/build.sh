#!/bin/bash
# build.sh OUT.iso : the install ISO of Forge Mini Linux, a small real Linux made of files from Debian 12 packages.
#
# It starts by BIOS and by UEFI, reads a kickstart file and installs a system with SSH in seconds: small enough to build
# and test images on any machine, offline once its packages are in the cache. README.md tells how the ISO behaves.
#
# Environment: FORGE_CACHE_DIR (packages are kept in its debs/), SOURCE_DATE_EPOCH.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib/host.sh
. "$here/lib/host.sh"
# shellcheck source=lib/debs.sh
. "$here/lib/debs.sh"
# shellcheck source=lib/installer_media.sh
. "$here/lib/installer_media.sh"

TITLE="Forge Mini Linux 1.0"

# The installed system's programs: whatever busybox has too is here because the real one is needed.
BASE_PROGRAMS=(
    usr/bin/bash
    usr/bin/lsattr
    usr/bin/scp
    usr/bin/extlinux
    usr/bin/dropbearkey
    usr/lib/openssh/sftp-server
    usr/sbin/dropbear
    usr/sbin/e2fsck
    usr/sbin/fdisk
    usr/sbin/mke2fs
    usr/sbin/resize2fs
    usr/sbin/sfdisk
    usr/sbin/tune2fs
)

build_base_root() {
    local root=$1
    add_busybox "$root" packages/bin/busybox
    # busybox's versions differ from e2fsprogs' in ways that tools trip over
    rm -f "$root"/usr/sbin/{mkfs.ext2,fsck,blkid}
    "$here/lib/elf_closure.py" "$root" packages "${BASE_PROGRAMS[@]}"
    ln -sf bash "$root/usr/bin/sh"
    ln -s openssh/sftp-server "$root/usr/lib/sftp-server"
    cp -a modules/usr/lib/modules "$root/usr/lib/"
    cp packages/etc/mke2fs.conf "$root/etc/"
    mkdir -p "$root"/{boot,dev/pts,etc/dropbear,etc/rc2.d,home,media,opt,srv,var/{cache,lib,log,tmp}}
    cp -a "$here/rootfs/." "$root/"
    chmod 1777 "$root"/{tmp,var/tmp}
    chmod 700 "$root/root"
    cat >"$root/etc/os-release" <<END
NAME="Forge Mini Linux"
ID=forge-mini
VERSION_ID=1.0
PRETTY_NAME="$TITLE (Debian 12 packages)"
END
}

build_openssh_root() {
    "$here/lib/elf_closure.py" "$1" packages-sshd:packages usr/sbin/sshd usr/bin/ssh-keygen
    install -D -m644 "$here/sshd_config" "$1/etc/ssh/sshd_config"
}

build_python_root() {
    local stdlib=$1/usr/lib/python3.11 extensions
    mkdir -p "$1"
    cp -a packages-python/usr "$1/"
    rm -rf "${1:?}/usr/share" "$stdlib"/{distutils,ensurepip,idlelib,lib2to3,pydoc_data,test,tkinter,turtledemo}
    ln -s python3.11 "$1/usr/bin/python3"
    extensions=$(cd packages-python && ls usr/lib/python3.11/lib-dynload/_{bz2,ctypes,hashlib,lzma,ssl,uuid}.cpython-311*.so)
    # shellcheck disable=SC2086  # a list of paths
    "$here/lib/elf_closure.py" "$1" packages-python:packages-sshd:packages usr/bin/python3.11 $extensions
}

# without_base DIR : drop what the base system has already.
without_base() {
    local file
    (cd "$1" && find . -type f -o -type l) | while read -r file; do
        if [ -e "root/$file" ] || [ -L "root/$file" ]; then
            rm -f "$1/$file"
        fi
    done
    find "$1" -depth -type d -empty -delete
}

main() {
    [ $# = 1 ] || die "usage: build.sh OUT.iso"
    local out
    out=$(realpath -m "$1")
    require_tools apt-get=apt dpkg-deb=dpkg cpio=cpio python3=python3 zstd=zstd xorriso=xorriso mformat=mtools xz=xz-utils

    local base boot sshd python
    mapfile -t base < <(read_list "$here/packages/base.list")
    mapfile -t boot < <(read_list "$here/packages/boot.list")
    mapfile -t sshd < <(read_list "$here/packages/openssh-server.list")
    mapfile -t python < <(read_list "$here/packages/python3.list")
    select_debs mini KERNEL "${base[@]}" "${boot[@]}" "${sshd[@]}" "${python[@]}"

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    mkdir -p iso/{boot,packages}

    say "unpack packages"
    unpack_kernel kernel
    unpack_debs packages "${base[@]}"
    unpack_debs packages-boot "${boot[@]}"
    unpack_debs packages-sshd "${sshd[@]}"
    unpack_debs packages-python "${python[@]}"

    say "initramfs, kernel $KERNEL_VERSION"
    build_module_tree kernel "$KERNEL_VERSION" packages/bin/busybox modules
    cp "kernel/boot/vmlinuz-$KERNEL_VERSION" iso/boot/vmlinuz
    build_base_initramfs initramfs packages/bin/busybox modules "$work/iso/boot/initrd.img"
    build_installer_initramfs installer packages packages-boot "$work/iso/boot/installer.img"

    say "root file system"
    build_base_root root
    pack_root root iso/packages/base.tar.zst
    build_openssh_root root-sshd
    without_base root-sshd
    pack_root root-sshd iso/packages/openssh-server.tar.zst
    build_python_root root-python
    without_base root-python
    pack_root root-python iso/packages/python3.tar.zst
    # names under %packages that need no archive of their own
    printf '%s\n' bash busybox dropbear e2fsprogs sudo >iso/packages/included

    say "ISO"
    build_iso iso packages-boot "$TITLE" FORGE_MINI "$out"
    say "$out: $(stat -c %s "$out") bytes, sha256 $(sha256sum "$out" | cut -d' ' -f1)"
}

main "$@"
