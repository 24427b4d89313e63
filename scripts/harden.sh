#!/bin/sh
# Settings that a security review asks for. Runs as root in the guest, and may run again. Password login stays: the image is
# verified through it; switch it off on deployment.
set -eu

mkdir -p /etc/sysctl.d
cat >/etc/sysctl.d/91-hardening.conf <<'END'
kernel.dmesg_restrict = 1
kernel.kptr_restrict = 2
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.tcp_syncookies = 1
END
# a kernel built without one of them is no reason to stop
sysctl -q -e -p /etc/sysctl.d/91-hardening.conf || echo "some of the parameters are unknown to this kernel"

# later lines do not override earlier ones in sshd_config, so each setting is replaced where it stands
set_sshd_option() {
    file=/etc/ssh/sshd_config
    if grep -q -i "^[# ]*$1[ =]" $file; then
        sed -i "s/^[# ]*$1[ =].*/$1 $2/I" $file
    else
        echo "$1 $2" >>$file
    fi
}
if [ -f /etc/ssh/sshd_config ]; then
    set_sshd_option MaxAuthTries 4
    set_sshd_option X11Forwarding no
    set_sshd_option PermitEmptyPasswords no
fi

chmod 700 /root
for file in /etc/shadow /etc/gshadow; do
    [ ! -f $file ] || chmod o= $file
done
for file in /etc/crontab /etc/ssh/sshd_config; do
    [ ! -f $file ] || chmod 600 $file
done
echo "hardened"
