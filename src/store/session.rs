//! Who uses the store, and which objects: written down in the journal of the store, so that a collection knows what
//! others are about to need, and so that what a killed forge has left is found.
//!
//! Notes about objects are lines: `+HEX` for one that is garbage unless some record needs it in the end (it has just been
//! made, or its record is about to go), `=HEX` for one that is in use. A later line about an object counts.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs4::fs_std::FileExt as _;

use super::StoreError;
use super::error::at;
use crate::model::Digest;
use crate::sys::{self, Dead, Journal, Recovered};

/// What this forge has to do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It goes, unless a record needs it in the end.
    Loose,
    /// It is in use.
    Used,
}

/// A running forge that has the store open.
#[derive(Debug)]
pub(super) struct Session {
    cache: PathBuf,
    journal: Arc<Journal>,
    noted: Mutex<HashMap<Digest, Part>>,
}

/// What was left by forges that are dead.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) recovered: Recovered,
    /// Objects that may be garbage.
    pub(super) loose: BTreeSet<Digest>,
    /// Struck out when the objects are dealt with.
    pub(super) dead: Vec<Dead>,
}

/// The store, as one of many who use it or as the only one who removes from it, until this is dropped.
#[derive(Debug)]
pub(super) struct Access(File);

impl Drop for Access {
    fn drop(&mut self) {
        let _ = fs4::fs_std::FileExt::unlock(&self.0);
    }
}

impl Session {
    /// Enters the store; `run` marks this forge's children. What dead ones have left is ended and removed, but for
    /// objects.
    pub(super) fn open(cache: &Path, run: &str) -> Result<(Self, Left), StoreError> {
        let running = cache.join("running");
        let journal = Journal::open(&running, run).map_err(at(&running))?;
        let session = Self {
            cache: cache.to_owned(),
            journal: Arc::new(journal),
            noted: Mutex::default(),
        };
        let mut left = Left::default();
        for dead in Dead::all(&running).map_err(at(&running))? {
            // what runs still would write to what is removed
            left.recovered.merge(dead.undo().map_err(at(&running))?);
            dead.sweep(cache);
            let notes = parts(dead.notes()).into_iter();
            let loose = notes.filter(|(_, part)| *part == Part::Loose);
            left.loose.extend(loose.map(|(digest, _)| digest));
            left.dead.push(dead);
        }
        session.clear_staging(&left.dead)?;
        Ok((session, left))
    }

    pub(super) const fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// A path under `staging/` that nobody else uses.
    pub(super) fn staging_path(&self) -> PathBuf {
        self.cache.join("staging").join(self.journal.unique())
    }

    /// As one of many: nothing is removed meanwhile, so that what is there and noted stays.
    pub(super) fn shared(&self) -> Result<Access, StoreError> {
        let (file, path) = self.lock_file()?;
        fs4::fs_std::FileExt::lock_shared(&file).map_err(at(&path))?;
        Ok(Access(file))
    }

    /// As the only one: what the others have noted is all that they count on.
    pub(super) fn alone(&self) -> Result<Access, StoreError> {
        let (file, path) = self.lock_file()?;
        file.lock_exclusive().map_err(at(&path))?;
        Ok(Access(file))
    }

    // a file of its own each time: threads would share its lock
    fn lock_file(&self) -> Result<(File, PathBuf), StoreError> {
        let path = self.cache.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok((options.open(&path).map_err(at(&path))?, path))
    }

    /// Notes what this forge has to do with an object. What is noted already stays so, unless `anew`.
    pub(super) fn note(&self, digest: &Digest, part: Part, anew: bool) -> Result<(), StoreError> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = noted.get(digest).copied();
        if known == Some(part) || (known.is_some() && !anew) {
            return Ok(());
        }
        let sign = match part {
            Part::Loose => '+',
            Part::Used => '=',
        };
        self.journal
            .note(&format!("{sign}{}", digest.hex()))
            .map_err(at(&self.cache.join("running")))?;
        noted.insert(*digest, part);
        Ok(())
    }

    /// The objects that go unless a record needs them.
    pub(super) fn loose(&self) -> BTreeSet<Digest> {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let loose = noted.iter().filter(|(_, part)| **part == Part::Loose);
        loose.map(|(digest, _)| *digest).collect()
    }

    /// All objects that other living forges have to do with; those that are held as `dead` do not count.
    pub(super) fn used_by_others(&self, dead: &[Dead]) -> BTreeSet<Digest> {
        let notes = self.journal.notes_of_others(dead);
        parts(notes).into_keys().collect()
    }

    /// Removes the staging directories of the dead.
    fn clear_staging(&self, dead: &[Dead]) -> Result<(), StoreError> {
        let staging = self.cache.join("staging");
        for entry in fs::read_dir(&staging).map_err(at(&staging))?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let owner = name.rsplit_once('-').map_or("", |(id, _)| id);
            // those that are being cleared up after are locked as if they lived
            let is_dead = dead.iter().any(|dead| dead.id == owner);
            if is_dead || !self.journal.lives(owner) {
                let _ = sys::fs::remove(&entry.path());
            }
        }
        Ok(())
    }
}

fn parts(notes: Vec<String>) -> HashMap<Digest, Part> {
    let part = |line: String| {
        let (sign, hex) = line.split_at_checked(1)?;
        let part = match sign {
            "+" => Part::Loose,
            "=" => Part::Used,
            _ => return None,
        };
        Some((Digest::parse(hex).ok()?, part))
    };
    notes.into_iter().filter_map(part).collect()
}

/// Makes the store's directory.
pub(super) fn make_dirs(cache: &Path) -> io::Result<()> {
    for dir in ["objects", "used", "running", "staging", "projects"] {
        fs::create_dir_all(cache.join(dir))?;
    }
    Ok(())
}
