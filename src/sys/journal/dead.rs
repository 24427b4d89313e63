//! What a forge that was killed has left: found by its lock, which nobody holds any more.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt as _;

use super::{Entry, Owner, RemoteMachine, names_in, notes, owner};
use crate::sys::process;

/// A forge that is dead, held so that nobody else clears up after it at the same time.
#[derive(Debug)]
pub struct Dead {
    dir: PathBuf,
    /// What it was called.
    pub id: String,
    owner: Option<Owner>,
    entries: Vec<(PathBuf, Entry)>,
    _lock: Option<File>,
}

/// What a killed forge had left and is gone now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The entries' descriptions, sorted.
    pub what: Vec<String>,
    /// How many processes were killed.
    pub processes: usize,
    /// Machines on servers that are still there.
    pub machines: Vec<LeftMachine>,
}

impl Recovered {
    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.what.is_empty() && self.processes == 0 && self.machines.is_empty()
    }

    /// Adds what another one had left.
    pub fn merge(&mut self, other: Self) {
        self.what.extend(other.what);
        self.what.sort();
        self.processes += other.processes;
        self.machines.extend(other.machines);
    }
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
        crate::sys::fs::remove(&self.file)
    }
}

impl Dead {
    /// Those that are dead in the journal `dir`. Costs reading the directory when all live.
    pub fn all(dir: &Path) -> io::Result<Vec<Self>> {
        let names = names_in(dir)?;
        let id_of = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        // an entry without its owner's file is a dead one's too
        let ids: BTreeSet<String> = names.iter().map(|name| id_of(name)).collect();
        let mut dead = Vec::new();
        for id in ids.into_iter().filter(|id| !id.is_empty()) {
            let path = dir.join(&id);
            let lock = match File::open(&path) {
                // it lives, or somebody else is clearing up after it
                Ok(file) if !file.try_lock_exclusive().unwrap_or(false) => continue,
                Ok(file) => Some(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            let own = names.iter().filter(|name| id_of(name) == id);
            let files = own.filter(|name| name.ends_with(".json"));
            let entries = files.filter_map(|name| {
                let path = dir.join(name);
                let entry = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
                Some((path, entry))
            });
            dead.push(Self {
                dir: dir.to_owned(),
                owner: owner(&path),
                entries: entries.collect(),
                id,
                _lock: lock,
            });
        }
        Ok(dead)
    }

    /// Ends its processes, then removes its paths. It stays in the journal until [`Dead::strike`].
    pub fn undo(&self) -> io::Result<Recovered> {
        let commands = super::commands::left(&self.notes());
        let groups = self.entries.iter().flat_map(|(_, entry)| &entry.groups);
        let groups = groups.chain(commands.iter().map(|(_, leader)| leader));
        let mut recovered = Recovered {
            processes: process::end(self.owner.as_ref().map(|o| o.run.as_str()), groups),
            what: commands.iter().map(|(what, _)| what.clone()).collect(),
            ..Recovered::default()
        };
        for (file, entry) in &self.entries {
            for path in &entry.paths {
                crate::sys::fs::remove(path)?;
            }
            entry.sweep.iter().for_each(|dir| self.sweep(dir));
            let what = entry.what.clone();
            match entry.machine.clone() {
                Some(machine) => recovered.machines.push(LeftMachine {
                    what,
                    machine,
                    file: file.clone(),
                }),
                None if what.is_empty() => {}
                None => recovered.what.push(what),
            }
        }
        recovered.what.sort();
        Ok(recovered)
    }

    /// Removes the temporary files that it has left below `dir`.
    pub fn sweep(&self, dir: &Path) {
        if let Some(owner) = &self.owner {
            crate::sys::fs::sweep(dir, owner.holder.pid);
        }
    }

    /// Its notes.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        notes(&self.dir, &self.id)
    }

    /// All is undone but machines on servers, whose entries stay.
    pub fn strike(self) -> io::Result<()> {
        for (file, entry) in &self.entries {
            if entry.machine.is_none() {
                crate::sys::fs::remove(file)?;
            }
        }
        // notes, and entries that were being written
        for name in names_in(&self.dir)? {
            let rest = name.strip_prefix(&self.id);
            if rest.is_some_and(|rest| rest.starts_with('.') && !rest.ends_with(".json")) {
                crate::sys::fs::remove(&self.dir.join(&name))?;
            }
        }
        crate::sys::fs::remove(&self.dir.join(&self.id))
    }
}
