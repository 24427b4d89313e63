//! What must be undone if forge dies: written down before it exists, struck out after it is gone.
//!
//! A journal is a directory that many forges write in:
//!
//! ```text
//! ID          one for each forge, locked by it while it lives: who it is, and how its children are marked
//! ID.N.json   an entry: what must not outlive it
//! ID.notes    lines that only its owner understands (see `store`)
//! ```
//!
//! Locks, not process ids, tell the living from the dead: a process id may be somebody else's by now, or be of another
//! container. Nothing is written down that is not also found without it: children are marked before they start.

mod commands;
mod dead;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fs4::fs_std::FileExt as _;
use serde::{Deserialize, Serialize};

use super::Holder;
use super::process::Identity;

pub use commands::Running;
pub use dead::{Dead, LeftMachine, Recovered};

/// How long the path of a scratch directory's parent may be: the system limits a socket's path to 108 bytes, some to 104.
const SHORT: usize = 40;

/// Something that must not outlive the forge that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// For people: `machine of provision[os=mini]`.
    pub what: String,
    /// Files and directories to remove.
    pub paths: Vec<PathBuf>,
    /// A machine on a server to remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<RemoteMachine>,
    /// Leaders of process groups to end, beside all that carry the mark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Identity>,
    /// Directories in which its owner may leave temporary files, anywhere below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<PathBuf>,
}

impl Entry {
    /// One of files and directories.
    #[must_use]
    pub fn of_paths(what: impl Into<String>, paths: Vec<PathBuf>) -> Self {
        Self {
            what: what.into(),
            paths,
            machine: None,
            groups: Vec::new(),
            sweep: Vec::new(),
        }
    }

    /// One of temporary files somewhere below `dir`, called as [`super::fs::temporary_prefix`] says. Nobody has to hear of
    /// them.
    #[must_use]
    pub fn of_temporaries(dir: &Path) -> Self {
        Self {
            sweep: vec![dir.to_owned()],
            ..Self::of_paths("", Vec::new())
        }
    }

    /// One of a machine on a server.
    #[must_use]
    pub fn of_machine(what: impl Into<String>, machine: RemoteMachine) -> Self {
        Self {
            machine: Some(machine),
            ..Self::of_paths(what, Vec::new())
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

/// What the file `ID` says.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    #[serde(flatten)]
    holder: Holder,
    /// The mark of its children, [`super::process::RUN_VARIABLE`].
    run: String,
}

/// A forge's place in a journal.
#[derive(Debug)]
struct Shelf {
    dir: PathBuf,
    id: String,
    /// Held exclusively; that nobody holds it means that its forge is dead.
    file: File,
}

/// A journal that this process writes in.
#[derive(Debug)]
pub struct Journal {
    shelf: Arc<Shelf>,
    run: String,
    next: AtomicU64,
    machines: Mutex<Machines>,
    notes: Mutex<Option<File>>,
}

/// Where machines on servers are written down.
#[derive(Debug, Default)]
struct Machines {
    dir: Option<PathBuf>,
    shelf: Option<Arc<Shelf>>,
}

/// An entry that stands in the journal until this is dropped; its paths are removed then.
#[derive(Debug)]
pub struct Guard {
    file: PathBuf,
    entry: Entry,
    // the forge counts as living until its last entry is struck out
    _shelf: Arc<Shelf>,
}

/// A temporary directory that stands in the journal; it vanishes with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _guard: Guard,
}

impl Scratch {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Journal {
    /// Begins to write in the journal `dir`; `run` marks children.
    pub fn open(dir: &Path, run: &str) -> io::Result<Self> {
        Ok(Self {
            shelf: Arc::new(Shelf::enter(dir, run)?),
            run: run.to_owned(),
            next: AtomicU64::new(0),
            machines: Mutex::default(),
            notes: Mutex::default(),
        })
    }

    /// Machines on servers are written down in `dir` from now on: only their project knows how to reach them.
    pub fn keep_machines_in(&self, dir: &Path) {
        unpoisoned(&self.machines).dir = Some(dir.to_owned());
    }

    /// The run's id, with which children are marked.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run
    }

    /// What this forge is called in the journal; nobody else who lives is called so.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shelf.id
    }

    /// A name that nobody else uses: the id, a dash and a number.
    #[must_use]
    pub fn unique(&self) -> String {
        format!("{}-{}", self.shelf.id, self.number())
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes `entry` down; it counts until the guard is dropped.
    pub fn enter(&self, entry: Entry) -> io::Result<Guard> {
        let shelf = match entry.machine {
            Some(_) => self.shelf_of_machines()?,
            None => Arc::clone(&self.shelf),
        };
        let file = shelf
            .dir
            .join(format!("{}.{}.json", shelf.id, self.number()));
        let guard = Guard {
            file,
            entry,
            _shelf: shelf,
        };
        guard.write()?;
        Ok(guard)
    }

    fn shelf_of_machines(&self) -> io::Result<Arc<Shelf>> {
        let mut machines = unpoisoned(&self.machines);
        if let (Some(dir), None) = (&machines.dir, &machines.shelf) {
            machines.shelf = Some(Arc::new(Shelf::enter(dir, &self.run)?));
        }
        let shelf = machines.shelf.as_ref().unwrap_or(&self.shelf);
        Ok(Arc::clone(shelf))
    }

    /// A temporary directory for `what`, with a short path: sockets need one.
    pub fn scratch(&self, what: &str) -> io::Result<Scratch> {
        let usual = std::env::temp_dir();
        let short = usual.as_os_str().len() <= SHORT;
        let place = if short { &usual } else { Path::new("/tmp") };
        let path = place.join(format!("forge-{}", self.unique()));
        let guard = self.enter(Entry::of_paths(what, vec![path.clone()]))?;
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Scratch {
            path,
            _guard: guard,
        })
    }

    /// Adds a line to this forge's notes. They are gone when it ends well.
    pub fn note(&self, line: &str) -> io::Result<()> {
        let mut notes = unpoisoned(&self.notes);
        if notes.is_none() {
            let path = self.shelf.notes();
            *notes = Some(File::options().append(true).create(true).open(path)?);
        }
        match notes.as_mut() {
            // one call, so that a killed forge leaves whole lines
            Some(file) => file.write_all(format!("{line}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// The notes of the others that write in this journal and live; those that are held as `dead` do not.
    #[must_use]
    pub fn notes_of_others(&self, dead: &[Dead]) -> Vec<String> {
        let others = living(&self.shelf.dir).into_iter();
        others
            .filter(|id| *id != self.shelf.id && dead.iter().all(|dead| dead.id != *id))
            .flat_map(|id| notes(&self.shelf.dir, &id))
            .collect()
    }

    /// Has this forge look as if it had been killed.
    #[cfg(test)]
    pub(crate) fn die(&self) {
        fs4::fs_std::FileExt::unlock(&self.shelf.file).unwrap();
    }

    /// Whether `id` lives.
    #[must_use]
    pub fn lives(&self, id: &str) -> bool {
        is_locked(&self.shelf.dir.join(id))
    }
}

impl Guard {
    /// Keeps the paths: they have found their place, or somebody wants to look at them.
    pub fn keep_paths(&mut self) {
        self.entry.paths.clear();
    }

    /// Notes the leader of a process group that belongs to the entry: it is found even if it sheds its mark.
    pub fn add_group(&mut self, pid: u32) -> io::Result<()> {
        let Some(leader) = Identity::of(pid) else {
            return Ok(());
        };
        self.entry.groups.push(leader);
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.entry)?;
        if self.entry.machine.is_some() {
            return super::fs::write_atomic(&self.file, &text);
        }
        // whole when it appears; what a power cut takes, it takes with the processes, and the files are found by name
        let new = self.file.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.file)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for path in &self.entry.paths {
            let _ = super::fs::remove(path);
        }
        let _ = super::fs::remove(&self.file);
    }
}

impl Shelf {
    /// A fresh file, locked.
    fn enter(dir: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let pid = std::process::id();
        let what = command_line();
        let owner = Owner {
            holder: Holder { pid, what },
            run: run.to_owned(),
        };
        let text = serde_json::to_vec(&owner)?;
        loop {
            let id = format!("{pid}-{:08x}", random());
            let path = dir.join(&id);
            let mut options = OpenOptions::new();
            let mut file = match options.read(true).write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            let locked = file.try_lock_exclusive()?;
            // somebody who cleared up may have come between the two
            if locked && path.exists() {
                file.write_all(&text)?;
                let dir = dir.to_owned();
                return Ok(Self { dir, id, file });
            }
        }
    }

    fn notes(&self) -> PathBuf {
        self.dir.join(format!("{}.notes", self.id))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = super::fs::remove(&self.notes());
        let _ = super::fs::remove(&self.dir.join(&self.id));
        let _ = fs4::fs_std::FileExt::unlock(&self.file);
    }
}

/// The ids of those that live.
fn living(dir: &Path) -> Vec<String> {
    let names = names_in(dir).unwrap_or_default().into_iter();
    names
        .filter(|name| !name.contains('.') && is_locked(&dir.join(name)))
        .collect()
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) if path.is_file() => {
            matches!(fs4::fs_std::FileExt::try_lock_shared(&file), Ok(false))
        }
        _ => false,
    }
}

fn owner(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn notes(dir: &Path, id: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.join(format!("{id}.notes"))).unwrap_or_default();
    // what has no end was being written
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// What this process is, for people.
fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = Path::new(&program)
        .file_name()
        .map_or_else(|| "forge".to_owned(), |n| n.to_string_lossy().into_owned());
    // values of options may be secret: the command alone is enough
    match words.next().filter(|word| !word.starts_with('-')) {
        Some(command) => format!("{program} {command}"),
        None => program,
    }
}

fn random() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.finish() as u32
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
