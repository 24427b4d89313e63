//! forge at a terminal, which `script` makes: what it shows is read, and answers are typed.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::Sandbox;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running forge and its terminal.
pub(crate) struct Terminal {
    child: Child,
    pieces: mpsc::Receiver<Vec<u8>>,
    /// All that was shown.
    shown: String,
    /// How much of it has been waited for.
    seen: usize,
}

impl Terminal {
    /// Starts forge; its words must have no quotes.
    pub(crate) fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let plain = sandbox.command(args);
        let words = [plain.get_program()].into_iter().chain(plain.get_args());
        let line: Vec<String> = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut command = Command::new("script");
        command.args(["-qefc", &line.join(" "), "/dev/null"]);
        command.env_clear().current_dir(sandbox.root());
        command.envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let mut child = command
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            pieces,
            shown: String::new(),
            seen: 0,
        }
    }

    /// Waits until `text` is shown after all that was waited for before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("`{text}` was never shown:\n{}", self.shown),
            }
        }
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits for the end; gives forge's exit code and all that was shown.
    pub(crate) fn end(mut self) -> (i32, String) {
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), self.shown)
    }
}
