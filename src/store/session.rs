//! Who uses the store: a shared lock for everyone, and a locked file for each that tells who it is.
//!
//! Locks, not process ids, tell the living from the dead: a process id may be somebody else's by now, or be of another
//! container.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs4::fs_std::FileExt as _;

use super::StoreError;
use super::error::at;
use crate::sys::{self, Holder};

/// A running forge that has the store open.
#[derive(Debug)]
pub(super) struct Session {
    cache: PathBuf,
    /// Unique among all that live.
    id: String,
    /// Held shared while the store is open.
    lock: File,
    /// Held exclusively; that nobody holds it means that the session is dead.
    file: File,
    next: AtomicU64,
}

impl Session {
    /// Enters the store, and removes what dead sessions have left.
    pub(super) fn open(cache: &Path) -> Result<Self, StoreError> {
        let path = cache.join("lock");
        let lock = open_file(&path).map_err(at(&path))?;
        // only a collection holds it exclusively, and not for long
        fs4::fs_std::FileExt::lock_shared(&lock).map_err(at(&path))?;
        clear(cache)?;
        let (id, file) = enter(cache)?;
        Ok(Self {
            cache: cache.to_owned(),
            id,
            lock,
            file,
            next: AtomicU64::new(0),
        })
    }

    /// A name that nobody else uses.
    pub(super) fn unique(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.id)
    }

    /// A path under `staging/` that nobody else uses.
    pub(super) fn staging_path(&self) -> PathBuf {
        self.cache.join("staging").join(self.unique())
    }

    /// Runs `work` while no other forge uses the store.
    pub(super) fn alone<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.cache.join("lock");
        let alone = self.lock.try_lock_exclusive().map_err(at(&path))?;
        // a change of the lock lets go of it first: in either case the shared one is taken anew afterwards
        let result = if alone {
            work()
        } else {
            Err(StoreError::InUse(self.others()))
        };
        fs4::fs_std::FileExt::lock_shared(&self.lock).map_err(at(&path))?;
        result
    }

    /// The other sessions.
    fn others(&self) -> Vec<Holder> {
        let Ok(entries) = fs::read_dir(self.cache.join("running")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_str() != Some(&self.id))
            .filter(|entry| is_locked(&entry.path()))
            .filter_map(|entry| read_holder(&entry.path()))
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = sys::fs::remove(&self.cache.join("running").join(&self.id));
        let _ = fs4::fs_std::FileExt::unlock(&self.file);
        let _ = fs4::fs_std::FileExt::unlock(&self.lock);
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// A fresh session file, locked.
fn enter(cache: &Path) -> Result<(String, File), StoreError> {
    let pid = std::process::id();
    let holder = Holder {
        pid,
        what: command_line(),
    };
    let text = serde_json::to_string(&holder).unwrap_or_default();
    loop {
        let id = format!("{pid}-{:08x}", random());
        let path = cache.join("running").join(&id);
        let mut file = match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
        {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(at(&path)(e)),
        };
        let locked = file.try_lock_exclusive().map_err(at(&path))?;
        // somebody who cleared up may have come between the two
        if locked && path.exists() {
            file.write_all(text.as_bytes()).map_err(at(&path))?;
            return Ok((id, file));
        }
    }
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

/// Removes the files and staging directories of sessions that nobody holds.
fn clear(cache: &Path) -> Result<(), StoreError> {
    let running = cache.join("running");
    let mut living = Vec::new();
    for entry in fs::read_dir(&running).map_err(at(&running))?.flatten() {
        let path = entry.path();
        let Ok(file) = File::open(&path) else {
            continue;
        };
        // the lock is held while the file goes, so that a session that is just entering sees that it lost it
        if file.try_lock_exclusive().unwrap_or(false) {
            let _ = sys::fs::remove(&path);
        } else {
            living.push(entry.file_name());
        }
    }
    let staging = cache.join("staging");
    for entry in fs::read_dir(&staging).map_err(at(&staging))?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let session = name.rsplit_once('-').map_or("", |(id, _)| id);
        // one that was entered after the list was made is found by its file
        let lives = living.iter().any(|id| id.to_str() == Some(session))
            || is_locked(&running.join(session));
        if !lives {
            let _ = sys::fs::remove(&entry.path());
        }
    }
    Ok(())
}

fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) if path.is_file() => {
            matches!(fs4::fs_std::FileExt::try_lock_shared(&file), Ok(false))
        }
        _ => false,
    }
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
