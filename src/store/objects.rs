//! Content under its digest.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::content;
use super::error::at;
use super::mark::{has_mark, mark};
use super::session::{Part, Session, make_dirs};
use super::{Staging, StoreError};
use crate::model::{Artifact, Digest, Size, StoredFile};
use crate::sys::{self, Journal, Recovered};

/// How an object is shown at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file of its own: a reflink where the file system can.
    Copy,
    /// The object itself under a second name, read-only, if the path is on its file system; else a copy. For files that
    /// nobody writes to in place.
    Link,
}

/// How an object is, as far as a `stat` can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// As it was put.
    Intact,
    /// Not there.
    Missing,
    /// Not as it was put.
    Damaged,
}

/// An object in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Its content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// The content store. Any number of processes and threads may have one open.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    session: Session,
    pub(super) quota: Option<Size>,
    recovered: Mutex<Recovered>,
}

impl Store {
    /// Opens the store in `cache`, makes it if need be, and finishes what killed forges have left: their processes, their
    /// files, objects that no record needs.
    pub fn open(cache: &Path) -> Result<Self, StoreError> {
        Self::open_as(cache, &std::process::id().to_string())
    }

    /// As [`Store::open`], for the run `run`, whose id marks child processes.
    pub fn open_as(cache: &Path, run: &str) -> Result<Self, StoreError> {
        let tag = cache.join("CACHEDIR.TAG");
        if !tag.exists() {
            make_private(cache).map_err(at(cache))?;
            make_dirs(cache).map_err(at(cache))?;
            // last, so that its presence says that the others are there
            let text =
                "Signature: 8a477f597d28d172789f06886806bc55\n# made by forge: see `forge cache`\n";
            sys::fs::write_atomic(&tag, text.as_bytes()).map_err(at(&tag))?;
        }
        let (session, left) = Session::open(cache, run)?;
        let store = Self {
            root: cache.to_owned(),
            session,
            recovered: Mutex::new(left.recovered),
            quota: None,
        };
        store.drop_unneeded(&left.loose, &left.dead)?;
        for dead in left.dead {
            dead.strike().map_err(at(cache))?;
        }
        Ok(store)
    }

    /// What killed forges had left when the store was opened; told once.
    #[must_use]
    pub fn take_recovered(&self) -> Recovered {
        let mut recovered = self
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut recovered)
    }

    /// The journal of all that this forge makes on this host.
    #[must_use]
    pub const fn journal(&self) -> &Arc<Journal> {
        self.session.journal()
    }

    /// The store's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the object is, or would be. Never write to it.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.sharded("objects", digest)
    }

    pub(super) fn used_path(&self, digest: &Digest) -> PathBuf {
        self.sharded("used", digest)
    }

    fn sharded(&self, dir: &str, digest: &Digest) -> PathBuf {
        self.root.join(dir).join(sharded(digest))
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the object is there and as it was put.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.state(digest) == ObjectState::Intact
    }

    /// How the object is. One `stat`, unless it has lost its mark: then it is read.
    #[must_use]
    pub fn state(&self, digest: &Digest) -> ObjectState {
        let path = self.path(digest);
        let Ok(meta) = fs::symlink_metadata(&path) else {
            return ObjectState::Missing;
        };
        if !meta.is_file() {
            return ObjectState::Damaged;
        }
        if has_mark(&meta, digest) || self.heal(&path, digest) {
            ObjectState::Intact
        } else {
            ObjectState::Damaged
        }
    }

    /// The path of an intact object, its last use noted. As long as this store is open, no collection takes it away.
    pub fn use_object(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let _access = self.session.shared()?;
        let state = match self.state(digest) {
            ObjectState::Intact => {
                self.session.note(digest, Part::Used, false)?;
                self.touch(digest);
                return Ok(self.path(digest));
            }
            ObjectState::Missing => "missing",
            ObjectState::Damaged => "damaged",
        };
        Err(StoreError::Object {
            digest: *digest,
            state,
        })
    }

    /// [`Store::use_object`] for all that an artifact, a machine or a checkpoint needs.
    pub fn use_all(&self, digests: impl IntoIterator<Item = Digest>) -> Result<(), StoreError> {
        for digest in digests {
            self.use_object(&digest)?;
        }
        Ok(())
    }

    /// The object is worth keeping though no record refers to it: a download, say.
    pub fn adopt(&self, digest: &Digest) -> Result<(), StoreError> {
        self.session.note(digest, Part::Used, true)
    }

    /// Whether all objects of an artifact are there, or in words what is not.
    pub fn intact(&self, artifact: &Artifact) -> Result<(), String> {
        for digest in artifact.digests() {
            let what = match self.state(&digest) {
                ObjectState::Intact => continue,
                ObjectState::Missing => "gone",
                ObjectState::Damaged => "damaged",
            };
            return Err(format!("object {} is {what}", digest.short()));
        }
        Ok(())
    }

    /// Notes that the object is in use, so that it is kept longer. A failure only means that it is not.
    pub fn touch(&self, digest: &Digest) {
        let path = self.used_path(digest);
        let now = SystemTime::now();
        let set = |path: &Path| File::options().write(true).open(path)?.set_modified(now);
        if set(&path).is_err() {
            if let Some(dir) = path.parent() {
                let _ = fs::create_dir_all(dir);
            }
            let _ = File::create(&path);
        }
    }

    /// A directory for work in progress on the store's file system.
    pub fn staging(&self) -> Result<Staging, StoreError> {
        let path = self.session.staging_path();
        fs::create_dir(&path).map_err(at(&path))?;
        Ok(Staging::new(path))
    }

    /// Shows an object at `to`, replacing what is there.
    pub fn place(&self, file: &StoredFile, to: &Path, place: Place) -> Result<(), StoreError> {
        let object = self.use_object(&file.digest)?;
        let dir = sys::fs::directory(to);
        fs::create_dir_all(dir).map_err(at(dir))?;
        let temporary = dir.join(format!(".forge-{}", self.journal().unique()));
        let linked =
            place == Place::Link && !file.executable && fs::hard_link(&object, &temporary).is_ok();
        if !linked {
            content::duplicate(&object, &temporary).map_err(at(&temporary))?;
            set_mode(&temporary, if file.executable { 0o755 } else { 0o644 })
                .map_err(at(&temporary))?;
        }
        if let Err(e) = fs::rename(&temporary, to) {
            let _ = sys::fs::remove(&temporary);
            return Err(at(to)(e));
        }
        // a rename of one name of a file to another of its names does nothing, and leaves both
        sys::fs::remove(&temporary).map_err(at(&temporary))
    }

    /// All objects, by digest.
    pub fn list(&self) -> Result<Vec<ObjectSummary>, StoreError> {
        let mut all = Vec::new();
        for path in self.object_files()? {
            let Some(digest) = digest_of(&path) else {
                continue;
            };
            // another process may have removed it by now
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            all.push(ObjectSummary {
                digest,
                size: meta.len(),
                used: self.last_used(&digest, &meta),
            });
        }
        all.sort_by_key(|object| object.digest);
        Ok(all)
    }

    fn last_used(&self, digest: &Digest, meta: &Metadata) -> SystemTime {
        fs::metadata(self.used_path(digest))
            .and_then(|used| used.modified())
            .or_else(|_| meta.modified())
            .unwrap_or(UNIX_EPOCH)
    }

    fn object_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let root = self.root.join("objects");
        let mut files = Vec::new();
        for shard in fs::read_dir(&root).map_err(at(&root))?.flatten() {
            let Ok(entries) = fs::read_dir(shard.path()) else {
                continue;
            };
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        Ok(files)
    }

    /// Reads an object without its mark; if its content is right, it gets the mark again.
    fn heal(&self, path: &Path, digest: &Digest) -> bool {
        let Ok(found) = content::hash(path) else {
            return false;
        };
        if found.digest != *digest {
            return false;
        }
        // without permission to set it (a cache that only others may write) it is read again each time
        let _ = File::open(path).and_then(|file| mark(&file, digest, found.size));
        true
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // nothing is being made any more: what is in no record now will never be
        let _ = self.tidy();
    }
}

/// Where what belongs to an object lies in its directory.
pub(super) fn sharded(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}/{hex}", &hex[..2])
}

/// The digest that an object's file name says.
pub(super) fn digest_of(path: &Path) -> Option<Digest> {
    Digest::parse(path.file_name()?.to_str()?).ok()
}

pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode);
        Ok(())
    }
}

/// Makes the cache's directory so that others cannot look into it: machines' memory holds what they were told in
/// confidence. One that is there stays as its owner made it.
fn make_private(dir: &Path) -> std::io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
