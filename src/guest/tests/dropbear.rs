//! The same against dropbear, which small systems use. It reads keys and passwords only where the system has them, so it
//! runs with other files mounted there, for itself alone; that takes root.

use super::upload::{check_sample, sample};
use super::*;
use crate::model::Secret;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

struct Dropbear {
    dir: tempfile::TempDir,
    target: SshTarget,
    child: Child,
}

impl Drop for Dropbear {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Dropbear {
    /// None if this is not root.
    fn start() -> Option<Self> {
        if !sshd::privileged() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let home = path.join("home");
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        sshd::keygen(&path.join("user"), "");
        std::fs::copy(path.join("user.pub"), home.join(".ssh/authorized_keys")).unwrap();
        std::fs::write(path.join("shadow"), sshd::shadow()).unwrap();
        let addr = sshd::free_port();
        let script = format!(
            "cd {} && mount --bind home ~ && mount --bind shadow /etc/shadow && \
             dropbearkey -t ed25519 -f host >&2 && exec dropbear -F -E -r host -p {addr} -P pid",
            path.display(),
        );
        let mut child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let running = lines.any(|line| line.unwrap().contains("Not backgrounding"));
        assert!(running, "dropbear: apt install dropbear-bin");
        std::thread::spawn(move || lines.for_each(drop));
        let target = SshTarget {
            addr,
            user: sshd::user(),
            password: None,
            key_files: vec![path.join("user")],
            agent: false,
            known_hosts: None,
        };
        Some(Self { dir, target, child })
    }
}

#[tokio::test]
async fn dropbear_runs_commands_and_takes_files() {
    let Some(dropbear) = Dropbear::start() else {
        return;
    };
    let guest = connect(&dropbear.target).await.unwrap();
    let input = vec![b'x'; 1 << 20];
    let exec = Exec {
        stdin: Some(input.clone()),
        ..Exec::new("tee /dev/stderr; exit 3")
    };
    let captured = guest.capture(&exec, &Cancel::new()).await.unwrap();
    assert_eq!(captured.status, 3);
    assert!(captured.stdout == input && captured.stderr == input);
    assert_eq!(sh(&guest, "kill -KILL $$").await.status, 137);
    let (source, to) = (
        dropbear.dir.path().join("src"),
        dropbear.dir.path().join("to"),
    );
    sample(&source);
    let to_text = to.to_str().unwrap();
    let sent = guest
        .upload(&source, to_text, &|_| {}, &Cancel::new())
        .await;
    assert_eq!(sent.unwrap(), 5_000_024);
    check_sample(&to);
}

#[tokio::test]
async fn dropbear_ends_what_hangs() {
    let Some(dropbear) = Dropbear::start() else {
        return;
    };
    let guest = connect(&dropbear.target).await.unwrap();
    let exec = Exec {
        timeout: Some(Duration::from_millis(500)),
        ..Exec::new("sleep 600 & trap '' TERM; echo $! $$; wait; sleep 600")
    };
    let mut seen = Vec::new();
    let mut on_output = |_: Stream, bytes: &[u8]| seen.extend_from_slice(bytes);
    let result = guest.run(&exec, &mut on_output, &Cancel::new()).await;
    assert!(matches!(result, Err(GuestError::Timeout { .. })));
    let text = String::from_utf8(seen).unwrap();
    assert_eq!(text.split_whitespace().count(), 2);
    for pid in text.split_whitespace() {
        assert!(!runs(pid.parse().unwrap()), "{pid} still runs");
    }
}

#[tokio::test]
async fn dropbear_takes_a_password() {
    let Some(dropbear) = Dropbear::start() else {
        return;
    };
    let mut target = dropbear.target.clone();
    target.key_files.clear();
    target.password = Some(Secret::new(sshd::PASSWORD));
    let guest = connect(&target).await.unwrap();
    assert_eq!(sh(&guest, "echo in").await.stdout, b"in\n");
}
