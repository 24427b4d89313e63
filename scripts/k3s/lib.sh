# What differs between the guests: mini has busybox and no package manager, the others systemd. Source it.

say() {
    echo "==> $*"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

has_systemd() {
    [ -d /run/systemd/system ]
}

# put MODE SOURCE TARGET : install(1), which busybox lacks here.
put() {
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
}

# ensure_user NAME HOME : a system account without login.
ensure_user() {
    if grep -q "^$1:" /etc/passwd; then
        return
    fi
    if has useradd; then
        useradd --system --user-group --home-dir "$2" --shell /sbin/nologin "$1"
        return
    fi
    id=900
    while grep -q "^[^:]*:[^:]*:$id:" /etc/passwd /etc/group; do
        id=$((id + 1))
    done
    echo "$1:x:$id:" >>/etc/group
    echo "$1:x:$id:$id::$2:/sbin/nologin" >>/etc/passwd
    echo "$1:*:19000:0:99999:7:::" >>/etc/shadow
}

# install_service NAME DIR : enable and start DIR/systemd/NAME.service, or DIR/init.d/NAME where there is no systemd.
install_service() {
    if has_systemd; then
        put 644 "$2/systemd/$1.service" "/etc/systemd/system/$1.service"
        systemctl daemon-reload
        systemctl enable "$1.service"
        systemctl restart "$1.service"
        return
    fi
    put 755 "$2/init.d/$1" "/etc/init.d/$1"
    mkdir -p /etc/rc2.d
    ln -sf "../init.d/$1" "/etc/rc2.d/S80$1"
    "/etc/init.d/$1" restart
}
