use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// A system that lies under a directory: what the script asks of `/etc`, `/run` and `PATH` it finds there.
struct System(tempfile::TempDir);

impl System {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(dir)
    }

    fn ask(&self, line: &str) -> Facts {
        let root = self.0.path().to_str().unwrap();
        let places = [
            "/run/systemd",
            "/etc/init.d",
            "/etc/inittab",
            "/etc/rc[",
            "/etc/runlevels",
            "/var/lib",
            "/lib/apk",
        ];
        let moved = places.iter().fold(PRELUDE.to_owned(), |script, place| {
            script.replace(place, &format!("{root}{place}"))
        });
        let moved = moved.replace("PATH=$PATH", &format!("PATH={root}/bin")) + line;
        // the tools of this machine that the script needs, and no others
        for tool in ["sed", "grep", "cat", "ls"] {
            let real = crate::sys::process::find_program(&[tool]).unwrap();
            std::fs::create_dir_all(self.0.path().join("bin")).unwrap();
            let _ = std::os::unix::fs::symlink(real, self.0.path().join("bin").join(tool));
        }
        let moved = moved.replace(
            ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
            "",
        );
        let script = format!("N=M\n{moved}\np end\n");
        let sh = Path::new("/bin/sh");
        let output = Command::new(sh).args(["-c", &script]).output().unwrap();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Facts::parse(&output.stdout, "M")
    }

    /// `enabled` and `running` of a service.
    fn service(&self, name: &str) -> (Result<bool, String>, Result<bool, String>) {
        let facts = self.ask(&format!("service 0 {name}"));
        (facts.flag("0.enabled"), facts.flag("0.running"))
    }
}

#[test]
fn services_of_systemd() {
    let systemctl = "#!/bin/sh\ncase \"$1 $3\" in 'is-enabled on' | 'is-active on' | 'is-active up') exit 0 ;;\n\
        *broken) echo 'Failed to connect to bus' >&2; exit 1 ;;\nesac\necho disabled; exit 1\n";
    let system = System::new(&[("run/systemd/system/x", ""), ("bin/systemctl", systemctl)]);
    assert_eq!(system.service("on"), (Ok(true), Ok(true)));
    assert_eq!(system.service("up"), (Ok(false), Ok(true)));
    assert_eq!(system.service("off"), (Ok(false), Ok(false)));
    let bus = || Err("Failed to connect to bus".to_owned());
    assert_eq!(system.service("broken"), (bus(), bus()));
    assert_eq!(system.service("a/b"), (Ok(false), Ok(false)));
}

#[test]
fn services_of_openrc() {
    let rc = "#!/bin/sh\n[ \"$1 $2\" = 'on status' ]\n";
    let system = System::new(&[("bin/rc-service", rc), ("etc/runlevels/default/on", "")]);
    assert_eq!(system.service("on"), (Ok(true), Ok(true)));
    assert_eq!(system.service("off"), (Ok(false), Ok(false)));
}

#[test]
fn services_of_init_scripts() {
    let status = "#!/bin/sh\n# status is asked\n[ $1 = status ]\n";
    let dead = "#!/bin/sh\n# status is asked\nexit 3\n";
    let mute = "#!/bin/sh\necho must not be run >&2\n";
    let system = System::new(&[
        ("etc/init.d/on", status),
        ("etc/rc2.d/S20on", status),
        ("etc/init.d/dead", dead),
        ("etc/init.d/mute", mute),
        ("etc/init.d/S50buildroot", dead),
        (
            "etc/inittab",
            "#::respawn:/etc/init.d/dead\n::respawn:/etc/init.d/mute\n",
        ),
    ]);
    assert_eq!(system.service("on"), (Ok(true), Ok(true)));
    assert_eq!(system.service("dead"), (Ok(false), Ok(false)));
    assert_eq!(system.service("mute"), (Ok(true), Ok(false)));
    assert_eq!(system.service("buildroot"), (Ok(true), Ok(false)));
    assert_eq!(system.service("unknown"), (Ok(false), Ok(false)));
    let sh = std::fs::read_to_string("/proc/self/comm").unwrap();
    let ours = sh.trim();
    assert_eq!(
        system.service(&quote(ours)),
        (Ok(false), Ok(true)),
        "by its process"
    );
}

#[test]
fn a_system_without_known_init_or_packages_cannot_tell() {
    let system = System::new(&[("bin/rpm", "busybox's")]);
    let (enabled, running) = system.service("x");
    assert!(
        enabled
            .unwrap_err()
            .starts_with("no init system is known here")
    );
    assert!(running.is_err());
    let facts = system.ask("package 0 x");
    assert!(
        facts
            .get("0.package")
            .unwrap_err()
            .starts_with("no package manager")
    );
}

#[test]
fn packages_of_all_managers() {
    let dpkg = "#!/bin/sh\nfor n; do :; done\n[ $n = bash ] && echo 'install ok installed 5.2-1' || echo 'deinstall ok config-files 1'\n";
    let rpm = "#!/bin/sh\nfor n; do :; done\n[ $n = bash ] && echo 5.2-1 || { echo \"package $n is not installed\"; exit 1; }\n";
    let apk = "#!/bin/sh\n[ $4 = bash ] && echo bash-5.2-1\n";
    let pacman = "#!/bin/sh\n[ $2 = bash ] && echo 'bash 5.2-1' || { echo no >&2; exit 1; }\n";
    for (path, text, database) in [
        ("bin/dpkg-query", dpkg, "var/lib/dpkg/status"),
        ("bin/rpm", rpm, "var/lib/rpm/db"),
        ("bin/apk", apk, "lib/apk/db/installed"),
        ("bin/pacman", pacman, "var/lib/pacman/local"),
    ] {
        let system = System::new(&[(path, text), (database, "")]);
        let get = |name: &str| system.ask(&format!("package 0 {name}")).line("0.package");
        assert_eq!(get("bash").as_deref(), Ok("5.2-1"), "{path}");
        assert_eq!(get("other").as_deref(), Ok(""), "{path}");
    }
}

#[test]
fn records_are_told_apart_whatever_they_contain() {
    let output = b"noise\nM 1.a\nline\n\nmore\nM 1.b!\ndenied\nM 1.b\nhalf\nM 2.c\nM end\n";
    let facts = Facts::parse(output, "M");
    assert_eq!(facts.get("1.a").unwrap(), "line\n\nmore");
    assert_eq!(facts.get("1.b").unwrap_err(), "denied");
    assert_eq!(facts.get("2.c").unwrap(), "");
    assert_eq!(facts.get("3.d").unwrap_err(), "the guest did not tell");
    assert_eq!(facts.flag("1.a").unwrap_err(), "line\n\nmore");
    assert!(facts.0.contains_key("end"));
}

#[test]
fn paths_keep_their_tilde() {
    assert_eq!(path("~/a b"), "~/'a b'");
    assert_eq!(path("~root/x"), "~root/x");
    assert_eq!(path("~"), "~");
    assert_eq!(path("~$(id)/x"), "'~$(id)/x'");
    assert_eq!(path("/etc/it's"), r"'/etc/it'\''s'");
}
