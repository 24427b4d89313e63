# The new system's identity: name, accounts, SSH host keys.

configure_system() {
    say "configure"
    echo "$KS_HOSTNAME" >/mnt/etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$KS_HOSTNAME" >/mnt/etc/hosts
    write_fstab
    tr -d - </proc/sys/kernel/random/uuid >/mnt/etc/machine-id

    [ -n "$KS_PASSWORD_HASH" ] || KS_PASSWORD_HASH=$(mkpasswd -m sha512 "$KS_PASSWORD")
    set_password_hash root "$KS_PASSWORD_HASH"
    printf '%s' "$KS_USERS" | while IFS= read -r arguments; do
        add_user "$arguments"
    done

    for dir in dev proc sys; do
        mount --bind /$dir /mnt/$dir
    done
    make_host_keys
}

write_fstab() {
    echo "LABEL=$ROOT_LABEL / $KS_FS defaults 0 1" >/mnt/etc/fstab
    if [ $FIRMWARE = uefi ]; then
        echo "LABEL=ESP /boot/efi vfat noauto,umask=0077 0 2" >>/mnt/etc/fstab
    fi
}

set_password_hash() {
    sed -i "s|^$1:[^:]*:|$1:$2:|" /mnt/etc/shadow
    chmod 640 /mnt/etc/shadow
}

# add_user ARGUMENTS : the arguments of a user command, each followed by a tab.
add_user() {
    name=
    password=
    crypted=
    set -f
    IFS='	'
    # shellcheck disable=SC2086  # one argument after each tab
    set -- $1
    unset IFS
    set +f
    for word; do
        case $word in
            --name=*) name=${word#*=} ;;
            --password=*) password=${word#*=} ;;
            --iscrypted) crypted=yes ;;
        esac
    done
    [ -n "$name" ] || return
    if ! grep -q "^$name:" /mnt/etc/passwd; then
        id=1000
        while grep -q "^[^:]*:[^:]*:$id:" /mnt/etc/passwd; do id=$((id + 1)); done
        echo "$name:x:$id:$id::/home/$name:/bin/bash" >>/mnt/etc/passwd
        echo "$name:x:$id:" >>/mnt/etc/group
        echo "$name:*:19000:0:99999:7:::" >>/mnt/etc/shadow
        mkdir -p "/mnt/home/$name"
        chown "$id:$id" "/mnt/home/$name"
    fi
    [ -n "$password" ] || return
    [ -n "$crypted" ] || password=$(mkpasswd -m sha512 "$password")
    set_password_hash "$name" "$password"
}

# Only the quick kinds: an RSA key takes seconds on an emulated processor. dropbear makes one when a client insists on it.
make_host_keys() {
    if [ -x /mnt/usr/bin/dropbearkey ]; then
        for kind in ed25519 ecdsa; do
            chroot /mnt dropbearkey -t $kind -f /etc/dropbear/dropbear_${kind}_host_key >/dev/null 2>&1
        done
    fi
    if [ -x /mnt/usr/bin/ssh-keygen ]; then
        for kind in ed25519 ecdsa; do
            [ -f /mnt/etc/ssh/ssh_host_${kind}_key ] ||
                chroot /mnt ssh-keygen -q -t $kind -N '' -f /etc/ssh/ssh_host_${kind}_key
        done
    fi
}
