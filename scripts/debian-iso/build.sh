#!/bin/bash
# build.sh OUT.iso : an install ISO of Debian 12 as a small server (systemd, apt, OpenSSH, Debian's kernel).
#
# The installer is that of scripts/mini-iso; its payload here is a root that mmdebstrap makes of Debian packages. Once the
# packages are in the cache the build is offline, and bit-for-bit the same each time.
#
# Environment: FORGE_CACHE_DIR (packages are kept in its debs/), SOURCE_DATE_EPOCH.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../mini-iso/lib/host.sh
. "$here/../mini-iso/lib/host.sh"
# shellcheck source=../mini-iso/lib/debs.sh
. "$here/../mini-iso/lib/debs.sh"
# shellcheck source=../mini-iso/lib/installer_media.sh
. "$here/../mini-iso/lib/installer_media.sh"

TITLE="Debian 12"

# build_root OUT.tar PACKAGE... : the payload, from a repository that holds just the selected packages.
build_root() {
    local out=$1 path dpkg_options=()
    shift
    # documentation, and udev's names of physical hardware
    for path in /usr/share/{doc,info,lintian,locale,man} /lib/udev/hwdb.d /usr/lib/udev/hwdb.d; do
        dpkg_options+=(--dpkgopt="path-exclude=$path/*")
    done
    dpkg_options+=(--dpkgopt="path-include=/usr/share/doc/*/copyright")
    while read -r path; do
        dpkg_options+=(--dpkgopt="path-exclude=/lib/modules/*/kernel/$path/*")
    done < <(read_list "$here/kernel-excludes.list")

    make_local_repository repository
    # The essential hook runs before the kernel is configured, so that the one initramfs that it makes is right at once.
    mmdebstrap --quiet --variant=minbase --format=tar --include="$(IFS=,; echo "$*")" \
        "${dpkg_options[@]}" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --essential-hook="copy-in $PWD/early/etc /" \
        --customize-hook="copy-in $PWD/rootfs/etc /" \
        --customize-hook="$PWD/customize.sh \"\$1\"" \
        bookworm "$out" "deb [trusted=yes] copy:$PWD/repository ./" >mmdebstrap.log 2>&1 ||
        { tail -40 mmdebstrap.log >&2 && die "mmdebstrap"; }
}

main() {
    [ $# = 1 ] || die "usage: build.sh OUT.iso"
    local out
    out=$(realpath -m "$1")
    require_tools apt-get=apt dpkg-deb=dpkg cpio=cpio mmdebstrap=mmdebstrap python3=python3 zstd=zstd xorriso=xorriso \
        mformat=mtools xz=xz-utils

    local base boot system
    mapfile -t base < <(read_list "$here/../mini-iso/packages/base.list")
    mapfile -t boot < <(read_list "$here/../mini-iso/packages/boot.list")
    mapfile -t system < <(read_list "$here/packages.list")

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    mkdir -p iso/{boot,packages}
    # without root, mmdebstrap works as another user, who has to be able to read what it is given
    cp -r "$here"/{early,rootfs,customize.sh} .
    chmod -R u+rwX,go+rX .

    select_debs_with_dependencies debian12 "${system[@]}"
    say "root file system"
    build_root root.tar "${system[@]}"

    select_debs debian12-installer KERNEL "${base[@]}" "${boot[@]}"
    say "unpack the installer's packages"
    unpack_kernel kernel
    unpack_debs packages "${base[@]}"
    unpack_debs packages-boot "${boot[@]}"

    say "initramfs, kernel $KERNEL_VERSION"
    build_module_tree kernel "$KERNEL_VERSION" packages/bin/busybox modules
    cp "kernel/boot/vmlinuz-$KERNEL_VERSION" iso/boot/vmlinuz
    build_base_initramfs initramfs packages/bin/busybox modules "$work/iso/boot/initrd.img"
    build_installer_initramfs installer packages packages-boot "$work/iso/boot/installer.img"

    say "ISO"
    zstd -q -12 -T0 root.tar -o iso/packages/base.tar.zst
    cp "$here/packages.list" iso/packages/included
    build_iso iso packages-boot "$TITLE" FORGE_DEBIAN12 "$out"
    say "$out: $(stat -c %s "$out") bytes, sha256 $(sha256sum "$out" | cut -d' ' -f1)"
}

main "$@"
