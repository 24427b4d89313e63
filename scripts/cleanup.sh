#!/bin/sh
# The last step before export: take out what belongs to this one machine, and give its free space back, so that the disk
# compresses well. Runs as root in the guest, and may run again.
#
# Environment:
#   ZERO_FILL   auto (default): fill free space with zeros only when the disk cannot be trimmed; always; never
set -eu

ZERO_FILL=${ZERO_FILL:-auto}

has() {
    command -v "$1" >/dev/null 2>&1
}

clean_packages() {
    if has apt-get; then
        apt-get clean
        rm -rf /var/lib/apt/lists/*
    fi
    if has yum; then yum -q clean all; fi
    if has tdnf; then tdnf -q clean all; fi
    rm -rf /var/cache/yum /var/cache/dnf /var/cache/tdnf /var/cache/debconf/*-old
}

# The files stay, as services hold them open and their modes matter.
clean_logs() {
    if has journalctl; then
        journalctl -q --rotate || true
        journalctl -q --vacuum-time=1s || true
    fi
    find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' -o -name '*.old' \) -exec rm -f {} +
    find /var/log -type f -exec sh -c 'for file; do : >"$file"; done' sh {} +
}

# What must not be the same in every copy of the image.
clean_identity() {
    : >/etc/machine-id # empty, not missing: it is made at the next boot, without systemd taking it for a first boot
    rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
    rm -f /etc/udev/rules.d/70-persistent-*.rules
    rm -f /var/lib/dhclient/* /var/lib/dhcp/*.leases
    if has cloud-init; then cloud-init clean --logs; fi
    renew_host_keys_at_boot
}

# The SSH host keys are renewed at the next boot and not removed now: OpenSSH reads them again for each connection, so that
# without them the connection that shuts the machine down would fail.
renew_host_keys_at_boot() {
    mkdir -p /usr/local/sbin
    cat >/usr/local/sbin/renew-host-keys <<'END'
#!/bin/sh
# Written by the image's clean-up: on the first boot of a copy, make SSH host keys of its own.
[ -e /etc/ssh/renew-host-keys ] || exit 0
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/dropbear/dropbear_*_host_key
for kind in ed25519 ecdsa; do
    if [ -x /usr/bin/ssh-keygen ]; then
        ssh-keygen -q -t $kind -N '' -f /etc/ssh/ssh_host_${kind}_key
    elif [ -x /usr/bin/dropbearkey ]; then
        dropbearkey -t $kind -f /etc/dropbear/dropbear_${kind}_host_key >/dev/null 2>&1
    fi
done
rm -f /etc/ssh/renew-host-keys
sync
END
    chmod 755 /usr/local/sbin/renew-host-keys
    mkdir -p /etc/ssh
    touch /etc/ssh/renew-host-keys
    if [ -d /run/systemd/system ]; then
        cat >/etc/systemd/system/renew-host-keys.service <<'END'
[Unit]
Description=SSH host keys of this machine's own
ConditionPathExists=/etc/ssh/renew-host-keys
Before=ssh.service sshd.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/renew-host-keys

[Install]
WantedBy=multi-user.target
END
        systemctl -q enable renew-host-keys.service
    else
        mkdir -p /etc/rc2.d
        ln -sf /usr/local/sbin/renew-host-keys /etc/rc2.d/S10renew-host-keys
    fi
}

clean_traces() {
    rm -f /root/.bash_history /root/.ash_history /root/.wget-hsts /root/.ssh/known_hosts
    rm -f /root/anaconda-ks.cfg /root/original-ks.cfg /root/install.log /root/ks-post*.log # they hold the password
    find /tmp /var/tmp -xdev -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name 'forge-*' -exec rm -rf {} +
}

release_free_space() {
    sync
    case $ZERO_FILL in
        never) return 0 ;;
        auto)
            if fstrim / 2>/dev/null; then
                echo "free space trimmed"
                return 0
            fi
            ;;
    esac
    echo "free space is filled with zeros"
    dd if=/dev/zero of=/zero bs=1M 2>/dev/null || true # ends when the disk is full
    sync
    rm -f /zero
    sync
}

clean_packages
clean_logs
clean_identity
clean_traces
release_free_space
echo "clean"
