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

    /// Ends the leader and all that descends from it, also what has left the group: politely, and after `grace` by force.
    pub async fn end(&mut self, grace: std::time::Duration) -> io::Result<ExitStatus> {
        let mut all: Vec<u32> = self.pid.into_iter().collect();
        descend(&mut all);
        for pid in &all {
            signal_process(*pid, Signal::Term);
        }
        let ended = tokio::time::timeout(grace, self.child.wait()).await;
        if ended.is_ok() {
            // the leader's id may be another's from here on
            all.retain(|pid| Some(*pid) != self.pid);
        }
        descend(&mut all);
        self.signal(Signal::Kill);
        all.into_iter()
            .for_each(|pid| signal_process(pid, Signal::Kill));
        match ended {
            Ok(status) => status,
            Err(_) => self.child.wait().await,
        }
    }

    /// What the leader has left running goes on.
    pub fn leave(mut self) {
        self.pid = None;
    }

    /// No file that the leader, or what it starts from now on, writes gets longer than `bytes`.
    pub fn limit_files(&self, bytes: u64) {
        #[cfg(target_os = "linux")]
        if let Some(pid) = self.pid.and_then(raw) {
            let limit = rustix::process::Rlimit {
                current: Some(bytes),
                maximum: Some(bytes),
            };
            // one that has ended already needs no limit
            let _ = rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            signal_group(pid, signal);
        }
    }
}

/// Adds all processes that descend from these.
fn descend(all: &mut Vec<u32>) {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| {
            let parent = stat_field(pid, 4)?;
            Some((pid, u32::try_from(parent).ok()?))
        })
        .collect();
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        for (child, _) in parents.iter().filter(|(_, parent)| *parent == pid) {
            if !all.contains(child) {
                all.push(*child);
            }
        }
        at += 1;
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
impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Term => Self::TERM,
            Signal::Kill => Self::KILL,
        }
    }
}

#[cfg(unix)]
fn raw(pid: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(unix)]
fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = raw(pid) {
        let _ = rustix::process::kill_process_group(pid, signal.into());
    }
}

#[cfg(unix)]
fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = raw(pid) {
        let _ = rustix::process::kill_process(pid, signal.into());
    }
}

#[cfg(not(unix))]
fn signal_group(_pid: u32, _signal: Signal) {}

#[cfg(not(unix))]
fn signal_process(_pid: u32, _signal: Signal) {}

/// A process, told from every other one that has, had or will have its id.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since the host's boot.
    pub start: u64,
    /// Which boot.
    pub boot: String,
}

impl Identity {
    /// The process that has this id now; none: nobody has it, or the system does not tell.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self {
            pid,
            start: stat_field(pid, 22)?,
            boot: boot_id()?.to_owned(),
        })
    }

    fn lives(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// A number of `/proc/PID/stat` (proc(5)), by its place; the first is 1, and those from 4 on are numbers.
fn stat_field(pid: u32, place: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the second field is a name, which may have spaces and parentheses
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    rest.nth(place.checked_sub(3)?)?.parse().ok()
}

/// Which boot of the host this is.
fn boot_id() -> Option<&'static str> {
    static BOOT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let read = || {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(boot.trim().to_owned())
    };
    BOOT.get_or_init(read).as_deref()
}

/// Kills the groups of these leaders, as far as they are still the same processes, and every process whose environment
/// carries the mark `run`; waits until they are gone. Tells how many there were.
pub(super) fn end<'g>(run: Option<&str>, leaders: impl Iterator<Item = &'g Identity>) -> usize {
    let mut pids = std::collections::BTreeSet::new();
    for leader in leaders.filter(|leader| leader.lives()) {
        signal_group(leader.pid, Signal::Kill);
        pids.insert(leader.pid);
    }
    let mark = run.map(|run| format!("{RUN_VARIABLE}={run}"));
    for pid in mark.map(|mark| marked(&mark)).unwrap_or_default() {
        signal_process(pid, Signal::Kill);
        pids.insert(pid);
    }
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while pids.iter().any(|pid| runs(*pid)) && std::time::Instant::now() < patience {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    pids.len()
}

/// The processes whose environment has `mark`.
fn marked(mark: &str) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let has_mark = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|env| env.split(|b| *b == 0).any(|var| var == mark.as_bytes()))
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(has_mark)
        .collect()
}

/// Whether a process does something still: one that is dead and not buried has no environment.
fn runs(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| !env.is_empty())
}

/// The program that a search for `name` in `path` ends at, if it can be started as it is: a binary, or a script that names its
/// interpreter. None for one that is written with its directory, or where the search depends on the working directory.
#[must_use]
pub fn find_binary(path: &OsStr, name: &str) -> Option<std::path::PathBuf> {
    use std::io::Read as _;
    if name.is_empty() || name.contains('/') {
        return None;
    }
    for dir in std::env::split_paths(path) {
        if !dir.is_absolute() {
            return None;
        }
        let file = dir.join(name);
        if !is_program(&file) {
            continue;
        }
        let mut start = [0; 4];
        let read = std::fs::File::open(&file).and_then(|mut file| file.read(&mut start));
        let known = start.starts_with(b"#!") || start == *b"\x7fELF";
        return (read.is_ok() && known).then_some(file);
    }
    None
}

/// Whether it is a file that somebody may execute.
fn is_program(file: &std::path::Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    file.is_file()
}

/// The first program of `names` on the search path.
#[must_use]
pub fn find_program(names: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| is_program(file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_started_as_it_is_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("script", "#!/bin/sh\n", 0o755);
        write("bare", "true\n", 0o755);
        write("text", "#!/bin/sh\n", 0o644);
        let path = std::env::join_paths([std::path::Path::new("/none"), dir.path()]).unwrap();
        let find = |name| find_binary(&path, name);
        assert_eq!(find("script"), Some(dir.path().join("script")));
        assert_eq!(
            find("bare"),
            None,
            "the child's search has the shell read it"
        );
        assert_eq!((find("text"), find("none"), find("")), (None, None, None));
        assert_eq!(find("./script"), None);
        assert_eq!(find_binary(OsStr::new("bin:/bin"), "sh"), None);
    }

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
        assert!(is_running(pid));
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
