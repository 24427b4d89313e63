# shellcheck shell=bash
# Debian 12 packages as raw material: chosen once, kept in the cache, unpacked without being installed.
#
# The choice (which version of each package) is written into a selection file beside the packages. While everything that
# it lists is in the cache, a build asks no network and no package index, and gives the same bytes. Remove the selection
# files (selection-*.list) to take newer versions.

DEB_CACHE=$(cache_dir)/debs
DEB_SELECTION=

# The host's own apt when that is Debian 12 with filled package lists; else a private one under the cache, which needs no
# root and leaves the host's alone.
debian_apt() {
    local program=$1
    shift
    "$program" "${DEB_APT_OPTIONS[@]}" "$@"
}

prepare_debian_apt() {
    [ -z "${DEB_APT_READY:-}" ] || return 0
    DEB_APT_OPTIONS=(-o APT::Sandbox::User=root)
    DEB_APT_READY=yes
    # what is installed is known without lists: only where it would come from tells that there are some
    if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release \
        && apt-get -qq --print-uris download linux-image-amd64 busybox-static 2>/dev/null | grep -q busybox-static; then
        return
    fi
    local dir keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    dir=$(cache_dir)/apt
    mkdir -p "$dir"/{lists/partial,archives/partial}
    : >"$dir/status"
    if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
        DEB_APT_OPTIONS+=(-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir")
    else
        [ -f $keyring ] || die "the keys of Debian's archive are missing: apt-get install debian-archive-keyring"
        cat >"$dir/sources.list" <<END
deb [signed-by=$keyring] http://deb.debian.org/debian bookworm main
deb [signed-by=$keyring] http://deb.debian.org/debian bookworm-updates main
deb [signed-by=$keyring] http://deb.debian.org/debian-security bookworm-security main
END
        DEB_APT_OPTIONS+=(-o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir"
            -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o APT::Architecture=amd64
            -o APT::Architectures=amd64)
    fi
    say "update the package lists of Debian 12"
    apt-get "${DEB_APT_OPTIONS[@]}" -qq update || die "the package lists cannot be fetched; the first build needs a Debian mirror"
}

# The name of the kernel package behind Debian's linux-image-amd64: linux-image-6.1.0-NN-amd64.
debian_kernel_package() {
    debian_apt apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }'
}

# select_debs NAME PACKAGE... : choose and fetch packages. KERNEL stands for the current kernel package.
select_debs() {
    local package packages=()
    name_selection "$@"
    selection_is_cached && return
    prepare_debian_apt
    shift
    for package in "$@"; do
        [ "$package" = KERNEL ] && package=$(debian_kernel_package)
        packages+=("$package")
    done
    debian_apt apt-get -qq --print-uris download "${packages[@]}" | fetch_selection
}

# select_debs_with_dependencies NAME PACKAGE... : all that a new system of these packages is made of.
select_debs_with_dependencies() {
    name_selection "$@"
    selection_is_cached && return
    prepare_debian_apt
    shift
    local empty
    empty=$(mktemp "$DEB_CACHE/.status.XXXXXX")
    debian_apt apt-get -o "Dir::State::status=$empty" -o APT::Install-Recommends=false -qq --print-uris install \
        '?essential' '?priority(required)' "$@" | fetch_selection
    rm -f "$empty"
}

# name_selection NAME PACKAGE... : the selection file belongs to one list of packages.
name_selection() {
    mkdir -p "$DEB_CACHE"
    DEB_SELECTION=$DEB_CACHE/selection-$1-$(printf '%s\n' "$@" | sort -u | sha256sum | cut -c1-12).list
}

# fetch_selection : read what apt-get --print-uris tells, fetch what the cache lacks, write the selection file.
fetch_selection() {
    local staging
    staging=$(mktemp -d "$DEB_CACHE/.fetch.XXXXXX")
    awk '/^.http/ { print $2 }' | sort >"$staging/selection"
    [ -s "$staging/selection" ] || die "apt does not know all of the packages"
    say "fetch $(wc -l <"$staging/selection") packages"
    local file wanted=()
    while read -r file; do
        [ -f "$DEB_CACHE/$file" ] || wanted+=("$(deb_to_request "$file")")
    done <"$staging/selection"
    if [ ${#wanted[@]} -gt 0 ]; then
        (cd "$staging" && debian_apt apt-get -qq download "${wanted[@]}") || die "the packages cannot be fetched"
        mv "$staging"/*.deb "$DEB_CACHE/"
    fi
    mv "$staging/selection" "$DEB_SELECTION"
    rmdir "$staging"
    selection_is_cached || die "apt fetched other packages than it announced: see $DEB_SELECTION"
}

selection_is_cached() {
    local file
    [ -s "$DEB_SELECTION" ] || return 1
    while read -r file; do
        [ -s "$DEB_CACHE/$file" ] || return 1
    done <"$DEB_SELECTION"
}

# make_local_repository DIR : the selected packages as a repository for apt.
make_local_repository() {
    local file plain
    mkdir -p "$1"
    while read -r file; do
        plain=${file//%3a/.} # apt would decode an escape in a file's name
        ln "$DEB_CACHE/$file" "$1/$plain" 2>/dev/null || cp "$DEB_CACHE/$file" "$1/$plain"
        dpkg-deb -f "$1/$plain"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$plain" "$(stat -c %s "$1/$plain")" \
            "$(sha256sum "$1/$plain" | cut -d' ' -f1)"
    done <"$DEB_SELECTION" >"$1/Packages"
    # mmdebstrap asks for the essential and required packages of the suite, which only this file names
    cat >"$1/Release" <<END
Suite: bookworm
Codename: bookworm
Architectures: amd64
Date: $(date -u -R -d "@$SOURCE_DATE_EPOCH" | sed 's/+0000/UTC/')
SHA256:
 $(sha256sum "$1/Packages" | cut -d' ' -f1) $(stat -c %s "$1/Packages") Packages
END
}

# name_1%3a2.3_amd64.deb -> name=1:2.3
deb_to_request() {
    local name version
    name=${1%%_*}
    version=${1#*_}
    version=${version%_*}
    printf '%s=%s\n' "$name" "${version//%3a/:}"
}

# deb_file PACKAGE : the selected file of a package; a prefix such as linux-image- will do.
deb_file() {
    local file
    file=$(grep -m1 "^$1[^_]*_" "$DEB_SELECTION") || die "package $1 is not in $DEB_SELECTION"
    printf '%s\n' "$DEB_CACHE/$file"
}

exact_deb_file() {
    local file
    file=$(grep -m1 "^${1}_" "$DEB_SELECTION") || die "package $1 is not in $DEB_SELECTION"
    printf '%s\n' "$DEB_CACHE/$file"
}

# unpack_debs DIR PACKAGE... : unpack into one usr-merged tree, without documentation and locales.
unpack_debs() {
    local dir=$1 package doc
    local excludes=(--exclude='*/gconv')
    shift
    for doc in apport bug doc doc-base gettext info lintian locale man; do
        excludes+=(--exclude="./usr/share/$doc")
    done
    make_usr_merged "$dir"
    for package in "$@"; do
        dpkg-deb --fsys-tarfile "$(exact_deb_file "$package")" |
            tar -x -C "$dir" --keep-directory-symlink --no-same-owner "${excludes[@]}"
    done
}

# unpack_kernel DIR : kernel and modules. Sets KERNEL_VERSION.
unpack_kernel() {
    local deb name
    deb=$(deb_file linux-image-)
    name=$(basename "$deb")
    name=${name%%_*}
    # shellcheck disable=SC2034  # read by the script that sources this file
    KERNEL_VERSION=${name#linux-image-}
    mkdir -p "$1"
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$1" --no-same-owner ./boot ./lib/modules
}
