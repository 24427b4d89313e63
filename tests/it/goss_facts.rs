//! Facts beside those of the real goss: the same machine, the same gossfile, every resource and attribute, true and false.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::support::Sandbox;
use crate::support::matrix::{Matrix, agree};
use crate::support::servers::{NAMES, name_server, web_server};

/// What is asked about.
const THINGS: &[(&str, &[&str])] = &[
    (
        "file",
        &[
            "DIR/plain",
            "DIR/link",
            "DIR/dangling",
            "DIR/dir",
            "DIR/empty",
            "DIR/odd 'name",
            "DIR/suid",
            "DIR/none",
            "DIR/plain/x",
            "/dev/null",
            "~/",
            "/etc/../etc//passwd",
        ],
    ),
    ("user", &["root", "nobody", "no-such-user"]),
    ("group", &["root", "tty", "no-such-group"]),
    (
        "package",
        &["bash", "dpkg", "no-such-package", "libc6:amd64", "libc-bin"],
    ),
    (
        "service",
        &[
            "ssh",
            "cron",
            "no-such-service",
            "a/b",
            "systemd-journald",
            "dbus.socket",
        ],
    ),
    ("process", &["no-such-process", "cargo-of-no-one"]),
    (
        "port",
        &[
            "tcp:OPEN",
            "OPEN",
            "tcp:CLOSED",
            "tcp6:CLOSED",
            "udp:OPENUDP",
            "udp6:1",
        ],
    ),
    (
        "kernel-param",
        &[
            "kernel.ostype",
            "net.ipv4.ip_forward",
            "net.ipv4.tcp_rmem",
            "no.such.key",
        ],
    ),
    ("mount", &["/", "/dev"]),
    ("interface", &["lo", "no-such-link"]),
    (
        "addr",
        &[
            "tcp://127.0.0.1:OPEN",
            "127.0.0.1:OPEN",
            "tcp://localhost:OPEN",
            "tcp://127.0.0.1:CLOSED",
            "udp://127.0.0.1:9",
            "udp://no-such.invalid:9",
        ],
    ),
    (
        "command",
        &[
            "true",
            "echo out; echo err >&2; exit 3",
            "printf 'no end'",
            "cat",
            "no-such-command-at-all",
            "printf '\\000\\377x'",
        ],
    ),
    (
        "http",
        &[
            "http://127.0.0.1:OPEN/",
            "http://127.0.0.1:OPEN/moved",
            "http://127.0.0.1:OPEN/loop",
            "http://127.0.0.1:OPEN/chunks",
            "http://127.0.0.1:CLOSED/",
            "ftp://127.0.0.1/",
        ],
    ),
    ("dns", &["localhost", "127.0.0.1"]),
];

/// Everything about these things, and what is asked of the servers of this test.
fn matrix(dir: &Path, open: u16, udp: u16, closed: u16, dns: u16) -> Matrix {
    let (dir, open, closed) = (dir.to_str().unwrap(), open.to_string(), closed.to_string());
    let filled = |text: &str| {
        text.replace("DIR", dir)
            .replace("OPENUDP", &udp.to_string())
            .replace("OPEN", &open)
            .replace("CLOSED", &closed)
    };
    let mut matrix = Matrix::default();
    for (kind, things) in THINGS {
        for thing in *things {
            matrix.add(kind, &filled(thing));
        }
    }
    let server = json!({"server": format!("127.0.0.1:{dns}"), "timeout": 3000});
    for thing in NAMES {
        matrix.add_with("dns", thing, &server);
    }
    matrix
}

/// Files of all kinds.
fn things(dir: &Path) {
    let mode = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.join(name), mode).unwrap();
    };
    std::fs::create_dir_all(dir.join("dir")).unwrap();
    std::fs::write(dir.join("plain"), "one\ntwo\n").unwrap();
    mode("plain", 0o640);
    std::fs::write(dir.join("suid"), [0, 255, b'\n', 128]).unwrap();
    mode("suid", 0o6755);
    std::fs::write(dir.join("empty"), "").unwrap();
    std::fs::write(dir.join("odd 'name"), "x").unwrap();
    std::os::unix::fs::symlink("plain", dir.join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("dangling")).unwrap();
}

#[test]
fn every_resource_and_attribute_is_told_as_goss_tells_it() {
    let sandbox = Sandbox::empty();
    let dir = sandbox.path("things");
    things(&dir);
    let open = web_server();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = datagrams.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let matrix = matrix(&dir, open, udp, closed, name_server());
    sandbox.write("goss.json", &matrix.text());

    let goss = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-goss/goss");
    let theirs = std::process::Command::new(&goss)
        .args(["-g", "goss.json", "validate", "--no-color", "-f", "json"])
        .current_dir(sandbox.root())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; tests/goss/build makes it", goss.display()));
    let ours = sandbox
        .command(&["check", "--local", "-g", "goss.json", "-f", "json"])
        .output()
        .unwrap();
    assert_eq!(
        ours.status.code(),
        theirs.status.code(),
        "{}",
        String::from_utf8_lossy(&ours.stderr)
    );
    let theirs = String::from_utf8_lossy(&theirs.stdout);
    assert!(agree(&theirs, &String::from_utf8_lossy(&ours.stdout)) > 400);
}
