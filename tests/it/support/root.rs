//! A whole Debian system beside this one: its own processes, mounts and first process, and an SSH server. `tests/goss/root` makes it,
//! once; `tests/goss/boot` starts it, and what it changes is gone afterwards.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use super::vm::repository;

/// A system that runs as long as its test.
pub(crate) struct Root {
    keys: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A free port that the system gives to nobody by itself: it is taken only when the root's server has started.
fn port() -> u16 {
    // no two of one process are the same, though they are taken later
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let next = std::iter::from_fn(|| {
        let own = u16::try_from(std::process::id() % 1_000).unwrap() * 10;
        Some(20_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
    });
    let mut next = next.take(12_000);
    let next = next.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    next.unwrap()
}

impl Root {
    /// Starts the system `name`; `init` is its first process, none: its own.
    pub(crate) fn start(name: &str, init: &[&str]) -> Self {
        let root = made(name);
        let keys = tempfile::tempdir().unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(keys.path().join("user"))
            .status();
        assert!(made.unwrap().success());
        let port = port();
        let child = Command::new(repository().join("tests/goss/boot"))
            .args([root, PathBuf::from(port.to_string())])
            .arg(keys.path().join("user.pub"))
            .arg(repository().join("target/test-goss/goss"))
            .args(init)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { keys, port, child }
    }

    /// Where its SSH server listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, for forge's options.
    pub(crate) fn reached(&self, user: &str) -> Vec<String> {
        let key = self.keys.path().join("user");
        [
            "--ssh",
            &format!("{user}@127.0.0.1:{}", self.port),
            "-i",
            key.to_str().unwrap(),
            "--host-key",
            "off",
            "--connect-timeout",
            "60s",
        ]
        .map(ToOwned::to_owned)
        .to_vec()
    }

    /// What a command in it prints, with this on its standard input; and its exit code.
    pub(crate) fn run(&self, command: &str, input: &str) -> (String, i32) {
        use std::io::Write as _;
        let mut child = Command::new("ssh")
            .args(["-p", &self.port.to_string(), "-i"])
            .arg(self.keys.path().join("user"))
            .args(["-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1"])
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh: apt install openssh-client");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            output.status.code().unwrap_or(-1),
        )
    }
}

/// The directory of a system, which is made if need be.
fn made(name: &str) -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let dir = repository().join("target/test-roots");
    let status = Command::new(repository().join("tests/goss/root"))
        .args([name, dir.to_str().unwrap()])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "tests/goss/root {name}");
    dir.join(name)
}
