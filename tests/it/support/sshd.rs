//! A real SSH server on a loopback port, run as the current user.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server that lives as long as its test.
pub(crate) struct Sshd {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.path().join(key))
                .status();
            assert!(
                made.expect("ssh-keygen: apt install openssh-client")
                    .success()
            );
        }
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\n"
        );
        std::fs::write(dir.path().join("config"), config).unwrap();
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.path().join("config"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sshd: apt install openssh-server");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("listening")));
        std::thread::spawn(move || lines.for_each(drop));
        Self { dir, port, child }
    }

    /// The private key that lets one in.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("user")
    }

    /// `user@127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        format!(
            "{}@127.0.0.1:{}",
            String::from_utf8(user).unwrap().trim(),
            self.port
        )
    }
}
