//! What must be undone if forge dies: written down before it exists, struck out after it is gone.
//!
//! The journal is a directory with one file per entry. A forge that starts finds entries of runs whose process is gone,
//! kills the processes that carry such a run's id in their environment, and removes the paths.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::process::RUN_VARIABLE;

/// Something that must not outlive the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// For people: `machine of provision[os=mini]`.
    pub what: String,
    /// Files and directories to remove.
    pub paths: Vec<PathBuf>,
    /// A machine on a server to remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<RemoteMachine>,
}

impl Entry {
    /// One of files and directories.
    #[must_use]
    pub fn of_paths(what: impl Into<String>, paths: Vec<PathBuf>) -> Self {
        Self {
            what: what.into(),
            paths,
            machine: None,
        }
    }
}

/// A machine on a server, by the name under which it was started there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteMachine {
    /// The provider's name in `builds.toml`.
    pub provider: String,
    /// The machine's name.
    pub name: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    run: String,
    pid: u32,
    start: Option<u64>,
    entry: Entry,
}

/// The journal of a project.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    run: String,
    next: AtomicU64,
}

/// An entry that stands in the journal until this is dropped; its paths are removed then.
#[derive(Debug)]
pub struct Guard {
    file: PathBuf,
    paths: Vec<PathBuf>,
}

/// What a killed forge had left and is gone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The entries' descriptions.
    pub what: Vec<String>,
    /// How many processes were killed.
    pub processes: usize,
    /// Machines on servers that are still there.
    pub machines: Vec<LeftMachine>,
}

/// A machine that a killed forge has left on a server; it stands in the journal until [`LeftMachine::strike`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMachine {
    /// For people.
    pub what: String,
    /// The machine.
    pub machine: RemoteMachine,
    file: PathBuf,
}

impl LeftMachine {
    /// The machine is gone.
    pub fn strike(self) -> io::Result<()> {
        super::fs::remove(&self.file)
    }
}

impl Journal {
    /// The journal in `dir`, writing for the run `run`.
    pub fn open(dir: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            run: run.to_owned(),
            next: AtomicU64::new(0),
        })
    }

    /// The run's id, with which children are marked.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run
    }

    /// Writes `entry` down; it counts until the guard is dropped.
    pub fn enter(&self, entry: Entry) -> io::Result<Guard> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = self.dir.join(format!("{}-{number}.json", self.run));
        let paths = entry.paths.clone();
        let pid = std::process::id();
        let line = Line {
            run: self.run.clone(),
            pid,
            start: start_time(pid),
            entry,
        };
        super::fs::write_atomic(&file, &serde_json::to_vec(&line)?)?;
        Ok(Guard { file, paths })
    }

    /// Undoes what dead runs have left in this journal; `None` when there was nothing.
    pub fn recover(&self) -> io::Result<Option<Recovered>> {
        let mut recovered = Recovered {
            what: Vec::new(),
            processes: 0,
            machines: Vec::new(),
        };
        let mut runs = std::collections::BTreeSet::new();
        let mut dead = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let Ok(line) = fs::read(&path).and_then(|b| Ok(serde_json::from_slice::<Line>(&b)?))
            else {
                continue;
            };
            if line.run == self.run || owner_lives(&line) {
                continue;
            }
            runs.insert(line.run.clone());
            dead.push((path, line.entry));
        }
        if !runs.is_empty() {
            recovered.processes = kill_marked(&runs);
        }
        for (path, entry) in dead {
            for path in &entry.paths {
                super::fs::remove(path)?;
            }
            match entry.machine {
                Some(machine) => recovered.machines.push(LeftMachine {
                    what: entry.what,
                    machine,
                    file: path,
                }),
                None => {
                    super::fs::remove(&path)?;
                    recovered.what.push(entry.what);
                }
            }
        }
        recovered.what.sort();
        let nothing = recovered.what.is_empty() && recovered.machines.is_empty();
        Ok((!nothing).then_some(recovered))
    }
}

impl Guard {
    /// Keeps the paths: they have found their place, or somebody wants to look at them.
    pub fn keep_paths(&mut self) {
        self.paths.clear();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = super::fs::remove(path);
        }
        let _ = super::fs::remove(&self.file);
    }
}

fn owner_lives(line: &Line) -> bool {
    super::process::is_alive(line.pid) && start_time(line.pid) == line.start
}

/// When a process started, in clock ticks since boot (`/proc/PID/stat`, field 22): tells a process from a later one
/// with the same id.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// Kills every process whose environment carries one of these run ids, and waits until they are gone.
fn kill_marked(runs: &std::collections::BTreeSet<String>) -> usize {
    let marks: Vec<String> = runs
        .iter()
        .map(|run| format!("{RUN_VARIABLE}={run}"))
        .collect();
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    let pids: Vec<u32> = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| {
                env.split(|b| *b == 0)
                    .any(|var| marks.iter().any(|mark| mark.as_bytes() == var))
            })
        })
        .collect();
    for pid in &pids {
        kill(*pid);
    }
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while pids
        .iter()
        .any(|pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|e| !e.is_empty()))
        && std::time::Instant::now() < patience
    {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    pids.len()
}

fn kill(pid: u32) {
    #[cfg(unix)]
    if let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_guard_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal"), "r1").unwrap();
        let work = dir.path().join("work");
        fs::create_dir(&work).unwrap();
        let guard = journal
            .enter(Entry {
                what: "work".into(),
                paths: vec![work.clone()],
                machine: None,
            })
            .unwrap();
        assert_eq!(fs::read_dir(dir.path().join("journal")).unwrap().count(), 1);
        drop(guard);
        assert!(!work.exists());
        assert_eq!(fs::read_dir(dir.path().join("journal")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_dead_run_left_is_undone_and_what_a_living_one_has_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        fs::create_dir(&work).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .env(RUN_VARIABLE, "dead-run-1")
            .spawn()
            .unwrap();
        let entry = Entry {
            what: "machine of a".into(),
            paths: vec![work.clone()],
            machine: None,
        };
        let line = Line {
            run: "dead-run-1".into(),
            pid: std::process::id(),
            start: Some(1),
            entry,
        };
        let file = dir.path().join("dead-run-1-0.json");
        fs::write(&file, serde_json::to_vec(&line).unwrap()).unwrap();
        let other = Journal::open(dir.path(), "living").unwrap();
        let _guard = other
            .enter(Entry {
                what: "mine".into(),
                paths: Vec::new(),
                machine: None,
            })
            .unwrap();
        let journal = Journal::open(dir.path(), "r2").unwrap();
        let reaper = std::thread::spawn(move || child.wait());
        let recovered = journal.recover().unwrap().unwrap();
        assert_eq!(
            recovered,
            Recovered {
                what: vec!["machine of a".into()],
                processes: 1,
                machines: Vec::new(),
            }
        );
        assert!(!work.exists());
        reaper.join().unwrap().unwrap();
        assert_eq!(journal.recover().unwrap(), None);
    }
}
