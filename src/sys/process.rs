//! Child processes that end when forge lets go of them, and that a later forge finds if this one was killed.
//!
//! Every child inherits [`RUN_VARIABLE`]; the [`crate::sys::Journal`] recognises by it what a killed forge has left.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

/// The environment variable that marks forge's children: its value is the id of the run.
pub const RUN_VARIABLE: &str = "FORGE_RUN_ID";

/// A command that starts in its own process group, so that all of it can be ended at once, marked with `run_id`.
/// Standard input is empty.
#[must_use]
pub fn command(program: impl AsRef<OsStr>, run_id: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env(RUN_VARIABLE, run_id);
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// A running group of processes. Dropping it kills the whole group.
#[derive(Debug)]
pub struct Group {
    /// The leader.
    pub child: Child,
    pid: Option<u32>,
}

impl Group {
    /// Starts `command`, which must come from [`command`].
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.kill_on_drop(true).spawn()?;
        let pid = child.id();
        Ok(Self { child, pid })
    }

    /// The leader's process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the leader.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the group to end (SIGTERM), and after `grace` kills it; returns when the leader is gone.
    pub async fn stop(&mut self, grace: std::time::Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::Term);
        let status = match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.signal(Signal::Kill);
                self.child.wait().await
            }
        };
        // grandchildren that ignored the first signal
        self.signal(Signal::Kill);
        status
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            signal_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Term,
    Kill,
}

#[cfg(unix)]
fn signal_group(pid: u32, signal: Signal) {
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    if let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

#[cfg(not(unix))]
fn signal_group(_pid: u32, _signal: Signal) {}

/// Whether a process with this id exists.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    #[cfg(unix)]
    {
        i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| {
                rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
            })
    }
    #[cfg(not(unix))]
    {
        let _ = pid;
        false
    }
}

/// The first program of `names` on the search path.
#[must_use]
pub fn find_program(names: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| {
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt as _;
                    file.metadata()
                        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
                }
                #[cfg(not(unix))]
                file.is_file()
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_ends_grandchildren_too() {
        let mut command = command("sh", "test");
        command
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped());
        let mut group = Group::spawn(&mut command).unwrap();
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(
            group.child.stdout.take().unwrap(),
        ));
        let pid: u32 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        assert!(is_alive(pid));
        group.stop(std::time::Duration::from_secs(2)).await.unwrap();
        for _ in 0..200 {
            // the orphan is reaped by init, a moment later
            if !is_running(pid) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{pid} still runs");
    }

    fn is_running(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z"))
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(
            find_program(&["no-such-program", "sh"])
                .unwrap()
                .ends_with("sh")
        );
        assert_eq!(find_program(&["no-such-program"]), None);
    }
}
