//! A real SSH server on a loopback port, run as the current user, that lives as long as its test.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::guest::SshTarget;

/// OpenSSH's server.
pub(in crate::guest) struct Sshd {
    pub(in crate::guest) dir: TempDir,
    addr: SocketAddr,
    pub(in crate::guest) options: String,
    /// Whether it sees a shadow file of its own, in which the user's password is [`PASSWORD`]; takes root.
    pub(in crate::guest) own_shadow: bool,
    child: Option<Child>,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Sshd {
    /// Keys and a port, but no server yet. `options` are further lines of its configuration.
    pub(in crate::guest) fn prepare(options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["host", "user"] {
            keygen(&dir.path().join(name), "");
        }
        std::fs::copy(dir.path().join("user.pub"), dir.path().join("authorized")).unwrap();
        if privileged() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let addr = free_port();
        Self {
            dir,
            addr,
            options: options.to_owned(),
            own_shadow: false,
            child: None,
        }
    }

    pub(in crate::guest) fn start() -> Self {
        Self::start_with("")
    }

    pub(in crate::guest) fn start_with(options: &str) -> Self {
        let mut sshd = Self::prepare(options);
        sshd.launch();
        sshd
    }

    /// Starts the server and returns when it listens.
    pub(in crate::guest) fn launch(&mut self) {
        let dir = self.dir.path();
        let config = dir.join("config");
        let text = format!(
            "{}\nListenAddress {}\nHostKey {host}\nAuthorizedKeysFile {keys}\nPidFile none\nStrictModes no\n\
             PermitRootLogin yes\nMaxStartups 100\nSetEnv HOME={home}\nSubsystem sftp internal-sftp\n",
            self.options,
            self.addr,
            host = dir.join("host").display(),
            keys = dir.join("authorized").display(),
            home = dir.display(),
        );
        std::fs::write(&config, text).unwrap();
        let sshd = format!(
            "exec {} -D -e -f {}",
            program("sshd").display(),
            config.display()
        );
        let mut command = if self.own_shadow {
            let shadow = dir.join("shadow");
            std::fs::write(&shadow, self::shadow()).unwrap();
            let mount = format!("mount --bind {} /etc/shadow && {sshd}", shadow.display());
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", &mount]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", &sshd]);
            command
        };
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sshd: apt install openssh-server");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.find(|line| line.as_ref().unwrap().contains("listening"));
        assert!(listening.is_some(), "sshd has ended");
        // its later messages must not fill the pipe
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    pub(in crate::guest) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// How the test gets in.
    pub(in crate::guest) fn target(&self) -> SshTarget {
        SshTarget {
            addr: self.addr,
            user: user(),
            password: None,
            key_files: vec![self.dir.path().join("user")],
            agent: false,
            known_hosts: None,
        }
    }
}

/// The user's password in [`shadow`].
pub(in crate::guest) const PASSWORD: &str = "open sesame";

/// A shadow file with the current user alone.
pub(in crate::guest) fn shadow() -> String {
    let hash = "$6$forgetest$xbOnHsYg.CI64pnADgPWYuovUXX00cm/gbEt3Ql8/gmFSTqACaWDRybEoH5mj6xG1i8uWNfpCte5oEteFYut30";
    format!("{}:{hash}:19000:0:99999:7:::\n", user())
}

/// Whether files can be mounted over others, for one process alone.
pub(in crate::guest) fn privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes an ed25519 key pair.
pub(in crate::guest) fn keygen(path: &Path, passphrase: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen: apt install openssh-client");
    assert!(status.success());
}

/// A loopback port on which nobody listens now.
pub(in crate::guest) fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The name of the current user.
pub(in crate::guest) fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn program(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}
