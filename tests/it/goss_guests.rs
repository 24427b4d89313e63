//! Facts beside those of the real goss, in other systems over SSH: Debian with systemd, sysv's init scripts, OpenRC; packages of
//! dpkg, rpm, pacman and apk. goss runs inside, forge outside.

use std::process::Output;

use serde_json::json;

use crate::support::Sandbox;
use crate::support::goss::masked;
use crate::support::matrix::{Matrix, agree};
use crate::support::root::Root;
use crate::support::servers::{NAMES, name_server, web_server};
use crate::support::vm::repository;

/// What is asked of a Debian with systemd.
const SYSTEMD: &[(&str, &[&str])] = &[
    (
        "service",
        &[
            "ssh",
            "ssh.service",
            "cron",
            "forge-on",
            "forge-alias",
            "forge-off",
            "forge-static",
            "forge-indirect",
            "forge-once",
            "forge-broken",
            "forge-slow",
            "forge-masked",
            "forge-old",
            "forge-at@one",
            "forge-at@two",
            "forge-at@",
            "forge.target",
            "dbus.socket",
            "systemd-journald",
            "no-such-service",
            "a/b",
        ],
    ),
    (
        "package",
        &[
            "systemd",
            "openssh-server",
            "libc6",
            "libc6:amd64",
            "sudo",
            "no-such-package",
            "NoSuchPackage",
        ],
    ),
    (
        "user",
        &["root", "ruled", "free", "sshd", "messagebus", "nobody-here"],
    ),
    ("group", &["root", "sudo", "ruled", "none-here"]),
    (
        "process",
        &[
            "systemd",
            "systemd-journal",
            "cron",
            "sshd",
            "dbus-daemon",
            "no-such",
        ],
    ),
    ("port", &["tcp:PORT", "PORT", "tcp6:PORT", "udp:1", "tcp:1"]),
    ("mount", &["/", "/proc", "/run", "/tmp", "/dev/pts"]),
    (
        "kernel-param",
        &[
            "kernel.ostype",
            "kernel.hostname",
            "net.ipv4.ip_forward",
            "no.such.key",
        ],
    ),
    ("interface", &["lo", "eth0", "no-such-link"]),
    ("dns", &["localhost", "forge-guest", "127.0.0.1"]),
    (
        "addr",
        &[
            "tcp://127.0.0.1:PORT",
            "tcp://forge-guest:PORT",
            "tcp://127.0.0.1:1",
            "udp://127.0.0.1:9",
        ],
    ),
    (
        "http",
        &[
            "http://127.0.0.1:WEB/",
            "http://forge-guest:WEB/moved",
            "http://127.0.0.1:WEB/chunks",
            "http://127.0.0.1:1/",
        ],
    ),
    (
        "command",
        &[
            "hostname",
            "systemctl is-active forge-on; exit 7",
            "id -un; echo \"$HOME\"",
            "echo out; echo err >&2",
        ],
    ),
    (
        "file",
        &[
            "/etc/passwd",
            "/etc/systemd/system/forge-masked.service",
            "/root/secret",
            "~/secret",
            "~free/.ssh/authorized_keys",
            "/etc/machine-id",
            "/none",
            "/run/dbus/system_bus_socket",
        ],
    ),
];

/// Everything about these things of one kind.
fn matrix(kind: &'static str, things: &[&str]) -> String {
    let mut matrix = Matrix::default();
    for thing in things {
        matrix.add(kind, thing);
    }
    matrix.text()
}

/// forge, from outside.
fn forge(sandbox: &Sandbox, root: &Root, user: &str, more: &[&str]) -> Output {
    let reached = root.reached(user);
    let mut arguments = vec!["check"];
    arguments.extend(reached.iter().map(String::as_str));
    arguments.extend(more);
    sandbox.command(&arguments).output().unwrap()
}

/// Both are asked all this; how many results there are.
fn both_agree(root: &Root, text: &str, options: &[&str]) -> usize {
    let sandbox = Sandbox::empty();
    sandbox.write("goss.json", text);
    let ours = forge(
        &sandbox,
        root,
        "root",
        &[options, &["-g", "goss.json", "-f", "json"]].concat(),
    );
    let command = format!(
        "cat >/tmp/goss.json; exec goss {} -g /tmp/goss.json validate --no-color -f json",
        options.join(" ")
    );
    let (theirs, code) = root.run(&command, text);
    assert_eq!(
        ours.status.code(),
        Some(code),
        "{}",
        String::from_utf8_lossy(&ours.stderr)
    );
    agree(&theirs, &String::from_utf8_lossy(&ours.stdout))
}

/// Waits until a command in the system succeeds.
fn wait(root: &Root, command: &str) {
    let sandbox = Sandbox::empty();
    let check = json!({"command": {command: {"exit-status": 0}}});
    sandbox.write("goss.json", &check.to_string());
    let ready = forge(
        &sandbox,
        root,
        "root",
        &["-g", "goss.json", "-r", "90s", "-s", "300ms"],
    );
    assert!(
        ready.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ready.stdout),
        String::from_utf8_lossy(&ready.stderr)
    );
}

fn systemd() -> Root {
    let root = Root::start("systemd", &[]);
    wait(
        &root,
        "systemctl is-failed forge-broken && systemctl is-active forge-on forge-once forge-at@one cron dbus",
    );
    root
}

#[test]
fn a_debian_with_systemd_is_told_as_goss_tells_it_from_inside() {
    let root = systemd();
    let port = root.port().to_string();
    let web = web_server().to_string();
    let mut asked = Matrix::default();
    for (kind, things) in SYSTEMD {
        for thing in *things {
            asked.add(kind, &thing.replace("PORT", &port).replace("WEB", &web));
        }
    }
    let server = json!({"server": format!("127.0.0.1:{}", name_server()), "timeout": 3000});
    for thing in NAMES {
        asked.add_with("dns", thing, &server);
    }
    let count = both_agree(&root, &asked.text(), &[]);
    assert!(count > 500, "{count}");
}

/// A Debian without systemd whose first process does this, then serves SSH.
fn plain(name: &str, before: &str) -> Root {
    let init = format!("{before}; exec /usr/sbin/sshd -D");
    let root = Root::start(name, &["sh", "-c", &init]);
    wait(&root, "true");
    root
}

const PACKAGES: &[&str] = &[
    "forge-a",
    "forge-b",
    "forge-kernel",
    "musl",
    "musl-utils",
    "alpine-baselayout",
    "bash",
    "libc-bin",
    "forge",
    "no-such-package",
    "No_Such+Package",
];

#[test]
fn packages_of_all_managers_are_told_as_goss_tells_them() {
    let root = plain("sysv", "true");
    let text = matrix("package", PACKAGES);
    for manager in ["dpkg", "rpm", "pacman", "apk"] {
        assert_eq!(both_agree(&root, &text, &["--package", manager]), 66);
    }
    // the system's own: by what it says that it is
    for mark in [
        "redhat-release",
        "alpine-release",
        "arch-release",
        "debian_version",
    ] {
        let marks = format!(
            "cd /etc; rm -f redhat-release alpine-release arch-release debian_version; : >{mark}"
        );
        assert_eq!(root.run(&marks, "").1, 0);
        both_agree(&root, &text, &[]);
    }
}

const SERVICES: &[&str] = &[
    "forge-on",
    "forge-off",
    "forge-idle",
    "ssh",
    "no-such",
    "a/b",
];

#[test]
fn services_of_init_scripts_are_told_as_goss_tells_them() {
    let root = plain("sysv", "service forge-on start");
    both_agree(&root, &matrix("service", SERVICES), &[]);
}

#[test]
fn services_of_openrc_are_told_as_goss_tells_them() {
    let root = plain(
        "openrc",
        "mkdir -p /run/openrc; : >/run/openrc/softlevel; : >/etc/alpine-release; rc-update add forge-on default; \
         rc-update add forge-idle boot; rc-update add forge-idle default; rc-service forge-on start",
    );
    both_agree(&root, &matrix("service", SERVICES), &[]);
}

#[test]
fn what_only_root_may_see_is_seen_through_sudo() {
    const SECRET: &str = "file: {/root/secret: {exists: true, owner: root, contents: [secret]}}\n\
        command: {id -u: {exit-status: 0, stdout: ['0']}}\n";
    let root = plain("sysv", "true");
    let sandbox = Sandbox::empty()
        .env("PASSWORD", "forge")
        .env("WRONG", "egrof");
    sandbox.write("goss.yaml", SECRET);
    let code = |user: &str, more: &[&str]| {
        let output = forge(&sandbox, &root, user, &[more, &["-f", "silent"]].concat());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(code("free", &[]).0, Some(1));
    assert_eq!(code("free", &["--sudo"]), (Some(0), String::new()));
    // who needs a password for it, and gives none, or a wrong one
    let (exit, said) = code("ruled", &["--sudo"]);
    assert_eq!(exit, Some(3));
    assert!(said.contains("a password is required"), "{said}");
    let wrong = code("ruled", &["--sudo", "--password-env", "WRONG"]);
    assert_eq!(wrong.0, Some(3), "{}", wrong.1);
    let right = code("ruled", &["--sudo", "--password-env", "PASSWORD"]);
    assert_eq!(right, (Some(0), String::new()));
    // the password reaches neither the commands nor their environment
    let told = "command: {'cat; env; cat /proc/$PPID/environ': {exit-status: {ge: 0}, stdout: ['!forge']}}\n";
    sandbox.write("goss.yaml", told);
    let kept = code("ruled", &["--sudo", "--password-env", "PASSWORD"]);
    assert_eq!(kept.0, Some(0), "{}", kept.1);
}

#[test]
fn the_classic_pair_of_gossfiles_gives_the_same_verdicts_and_texts() {
    let root = systemd();
    let sandbox = Sandbox::empty();
    let vars = format!(
        "ip_address: 127.0.0.1\nssh_port: {}\nweb_port: {}\ndns_server: 127.0.0.1:{}\nprocessors: 4\n",
        root.port(),
        web_server(),
        name_server()
    );
    sandbox.write("vars.yaml", &vars);
    for name in ["goss.yaml", "k3s.yaml"] {
        let text = std::fs::read_to_string(repository().join("tests/goss/classic").join(name));
        sandbox.write(name, &text.unwrap());
    }
    for name in ["goss.yaml", "k3s.yaml", "vars.yaml"] {
        let command = format!("mkdir -p classic && cat >classic/{name}");
        assert_eq!(root.run(&command, &sandbox.read(name)).1, 0);
    }
    for format in ["rspecish", "documentation", "tap", "nagios", "junit"] {
        let options = format!("-f {format} -o sort");
        let command =
            format!("cd classic; exec goss --vars vars.yaml validate --no-color {options}");
        let (theirs, code) = root.run(&command, "");
        let mut more = vec!["--vars", "vars.yaml"];
        more.extend(options.split(' '));
        let ours = forge(&sandbox, &root, "root", &more);
        assert_eq!(ours.status.code(), Some(code), "{format}");
        assert_eq!(
            masked(&String::from_utf8_lossy(&ours.stdout)),
            masked(&theirs),
            "{format}"
        );
        let counts = "Count: 39, Failed: 8, Skipped: 1";
        assert!(format != "rspecish" || theirs.contains(counts), "{theirs}");
    }
}
