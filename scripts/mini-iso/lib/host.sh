# shellcheck shell=bash
# What the build scripts share on the host: messages, the tools they need, reproducible archives.

export LC_ALL=C TZ=UTC
# Every time stamp in the ISO. A constant, so that the same packages give the same bytes.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1700000000}

say() {
    printf '[%3ds] %s\n' "$SECONDS" "$*"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# require_tools PROGRAM=DEBIAN_PACKAGE... : stop with one message that names all that is missing.
require_tools() {
    local pair programs=() packages=()
    for pair in "$@"; do
        if ! command -v "${pair%%=*}" >/dev/null; then
            programs+=("${pair%%=*}")
            packages+=("${pair#*=}")
        fi
    done
    [ ${#programs[@]} = 0 ] || die "missing on this host: ${programs[*]}. On Debian or Ubuntu: apt-get install ${packages[*]}"
}

# The words of a list file, without comments.
read_list() {
    sed 's/#.*//' "$@" | xargs -n1
}

# Where downloads are kept between builds.
cache_dir() {
    printf '%s\n' "${FORGE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/forge}"
}

# make_usr_merged DIR : the directories of a usr-merged root, where /bin is a link to /usr/bin.
make_usr_merged() {
    local name
    mkdir -p "$1"/usr/{bin,sbin,lib,lib64}
    for name in bin sbin lib lib64; do
        [ -e "$1/$name" ] || ln -s "usr/$name" "$1/$name"
    done
}

# pack_initramfs DIR OUT : a reproducible initramfs, owned by root. zstd unpacks several times faster than gzip or XZ.
pack_initramfs() (
    cd "$1" || exit
    find . -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    find . -print0 | sort -z | cpio --quiet --null --create --format=newc --owner=0:0 --reproducible | zstd -q -12 -T0 >"$2"
)

# pack_root DIR OUT : a reproducible tar archive, owned by root.
pack_root() {
    tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - . | zstd -q -12 -T0 >"$2"
}
