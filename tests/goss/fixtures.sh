#!/bin/sh
# fixtures.sh NAME ROOT : what the tests ask about, in a new ROOT; called by root.
set -eu

name=$1 root=$2

accounts() {
    for user in ruled free; do
        chroot "$root" useradd --create-home --shell /bin/sh "$user"
        echo "$user:forge" | chroot "$root" chpasswd
    done
    printf '%s\n' 'ruled ALL=(ALL) ALL' 'free ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/forge"
    chmod 440 "$root/etc/sudoers.d/forge"
    echo secret >"$root/root/secret"
    chmod 600 "$root/root/secret"
}

unit() {
    cat >"$root/etc/systemd/system/$1"
}

systemd_units() {
    unit forge-on.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
Alias=forge-alias.service
END
    unit forge-off.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
    unit forge-static.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
END
    unit forge-at@.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
DefaultInstance=one
END
    unit forge-indirect.service <<'END'
[Service]
ExecStart=/bin/true
[Install]
Also=forge-off.service
END
    unit forge-once.service <<'END'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
END
    unit forge-broken.service <<'END'
[Service]
ExecStart=/bin/false
[Install]
WantedBy=multi-user.target
END
    unit forge-slow.service <<'END'
[Service]
Type=notify
ExecStart=/bin/sleep infinity
TimeoutStartSec=infinity
[Install]
WantedBy=forge.target
END
    unit forge.target <<'END'
[Unit]
Wants=forge-slow.service
[Install]
WantedBy=multi-user.target
END
    for enabled in forge-on forge-once forge-broken forge-at@one; do
        chroot "$root" systemctl --quiet enable "$enabled.service"
    done
    chroot "$root" systemctl --quiet enable forge.target
    chroot "$root" systemctl --quiet mask forge-masked.service getty@tty1.service console-getty.service
    # an old init script, which systemd makes a unit of
    init_script forge-old
    chroot "$root" update-rc.d forge-old defaults
    : >"$root/etc/machine-id"
}

# A service that runs while there is a file of its name.
init_script() {
    cat >"$root/etc/init.d/$1" <<END
#!/bin/sh
### BEGIN INIT INFO
# Provides:          $1
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: test
### END INIT INFO
case \$1 in
start) : >/run/$1.on ;;
stop) rm -f /run/$1.on ;;
status) [ -e /run/$1.on ] || exit 3 ;;
*) : ;;
esac
END
    chmod 755 "$root/etc/init.d/$1"
}

init_scripts() {
    for service in forge-on forge-off forge-idle; do init_script "$service"; done
    chroot "$root" update-rc.d forge-on defaults
    chroot "$root" update-rc.d forge-idle defaults
}

# name version... : packages of rpm.
rpm_package() {
    package=$1 epoch=$2 version=$3
    cat >"$root/tmp/$package.spec" <<END
Name: $package
Version: $version
Release: 1
${epoch:+Epoch: $epoch}
Summary: test
License: none
BuildArch: noarch
%description
test
%files
END
    chroot "$root" rpmbuild -bb --quiet --define '_topdir /tmp/rpm' "/tmp/$package.spec"
    chroot "$root" sh -c "rpm --dbpath /var/lib/rpm -i --force-debian --nodeps --force /tmp/rpm/RPMS/noarch/$package-$version-1.noarch.rpm"
}

pacman_package() {
    package=$1 version=$2
    mkdir -p "$root/tmp/pacman"
    printf '%s\n' "pkgname = $package" "pkgver = $version" 'pkgdesc = test' 'arch = any' 'size = 0' >"$root/tmp/pacman/.PKGINFO"
    chroot "$root" sh -c "cd /tmp/pacman && bsdtar -czf ../$package.pkg.tar.gz .PKGINFO"
    chroot "$root" pacman --noconfirm -U "/tmp/$package.pkg.tar.gz"
}

# No Debian package has an apk: this reads Alpine's own database as apk does, for the two questions that are asked of it.
apk_stand_in() {
    mkdir -p "$root/lib/apk/db"
    printf '%s\n' P:alpine-baselayout V:3.6.8-r1 '' P:musl V:1.2.5-r9 '' P:musl-utils V:1.2.5-r9 '' >"$root/lib/apk/db/installed"
    cat >"$root/usr/local/bin/apk" <<'END'
#!/bin/sh
installed() { sed -n "/^P:$1\$/,/^\$/s/^V://p" /lib/apk/db/installed; }
case $1 in
version)
    version=$(installed "$2")
    printf '%s\n' 'Installed:                                Available:' ${version:+"$2-$version ?"}
    ;;
info)
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    version=$(installed "$1")
    [ "$version" ] || exit 1
    echo "$1-$version"
    ;;
esac
END
    chmod 755 "$root/usr/local/bin/apk"
}

foreign_packages() {
    # there is no list of mounts in which it could look for room
    sed -i 's/^CheckSpace/#&/' "$root/etc/pacman.conf"
    chroot "$root" rpm --dbpath /var/lib/rpm --initdb
    rpm_package forge-a '' 1.2.3
    rpm_package forge-b 2 4.5
    rpm_package forge-kernel '' 6.1
    rpm_package forge-kernel '' 6.2
    pacman_package forge-a 1.2.3-1
    pacman_package forge-b 2:4.5-3
    apk_stand_in
    rm -rf "${root:?}"/tmp/*
}

accounts
rm -f "$root"/etc/ssh/ssh_host_*
case $name in
systemd) systemd_units ;;
openrc) init_scripts ;;
sysv)
    init_scripts
    foreign_packages
    ;;
esac
