//! How content gets into the store: complete and durable, or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::content::{self, FileDigest};
use super::error::at;
use super::mark::mark;
use super::objects::set_mode;
use super::session::Part;
use super::{Store, StoreError};
use crate::model::{Digest, Size, StoredFile};
use crate::sys;

/// What becomes of a file that is put into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It becomes the object; nobody may have it open for writing.
    Move,
    /// It stays.
    Copy,
}

/// When an object has to be safe from a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    /// Before it counts.
    Now,
    /// When the system gets to it.
    InTime,
}

impl Store {
    /// Puts a file's content into the store.
    pub fn put_file(&self, path: &Path, put: Put) -> Result<StoredFile, StoreError> {
        match put {
            Put::Move => {
                let found = content::hash(path).map_err(at(path))?;
                self.put_hashed(path, &found.digest, put)
            }
            Put::Copy => {
                // the digest is that of the copy: the file may change meanwhile
                let (temporary, found) = self.copy_in(path)?;
                self.settle(&temporary, found, Durable::Now)
            }
        }
    }

    /// Puts a copy of a file that a command has made. A small one is left to the system to write: a power cut may cost it,
    /// which its mark tells, and the command makes it again.
    pub fn put_output(&self, path: &Path) -> Result<StoredFile, StoreError> {
        /// Writing less than this takes no longer than waiting for the disk.
        const SMALL: u64 = 1 << 20;
        let (temporary, found) = self.copy_in(path)?;
        let durable = match found.size {
            0..=SMALL => Durable::InTime,
            _ => Durable::Now,
        };
        self.settle(&temporary, found, durable)
    }

    /// Puts a file whose digest the caller took while writing it; a moved one is not read again.
    pub fn put_hashed(
        &self,
        path: &Path,
        digest: &Digest,
        put: Put,
    ) -> Result<StoredFile, StoreError> {
        let meta = fs::metadata(path).map_err(at(path))?;
        let found = FileDigest {
            digest: *digest,
            size: meta.len(),
            executable: content::executable(&meta),
        };
        if self.use_object(digest).is_ok() {
            if put == Put::Move {
                sys::fs::remove(path).map_err(at(path))?;
            }
            return Ok(stored(&found));
        }
        if put == Put::Copy {
            return self.put_file(path, put);
        }
        // under a name that clean-up knows, before it is made an object
        let temporary = self.session().staging_path();
        let renamed = if crate::sys::fs::has_other_names(path) {
            Err(io::ErrorKind::CrossesDevices.into())
        } else {
            fs::rename(path, &temporary)
        };
        match renamed {
            Ok(()) => {
                let result = self.settle_in(&temporary, &found, Durable::Now);
                if result.is_err() {
                    // what could not become an object is the caller's again
                    let _ = fs::rename(&temporary, path);
                }
                result
            }
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                let (temporary, found) = self.copy_in(path)?;
                let stored = self.settle(&temporary, found, Durable::Now)?;
                sys::fs::remove(path).map_err(at(path))?;
                Ok(stored)
            }
            Err(e) => Err(at(path)(e)),
        }
    }

    /// Puts `bytes` into the store.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<StoredFile, StoreError> {
        let found = FileDigest {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            executable: false,
        };
        if self.use_object(&found.digest).is_ok() {
            return Ok(stored(&found));
        }
        let temporary = self.session().staging_path();
        File::create_new(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(at(&temporary))?;
        self.settle(&temporary, found, Durable::Now)
    }

    fn copy_in(&self, path: &Path) -> Result<(PathBuf, FileDigest), StoreError> {
        let temporary = self.session().staging_path();
        match content::copy(path, &temporary) {
            Ok(found) => Ok((temporary, found)),
            Err(e) => {
                let _ = sys::fs::remove(&temporary);
                // it is the cache's disk that is full, not the one of the file that is read
                let full = matches!(
                    e.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                );
                Err(at(if full { self.root() } else { path })(e))
            }
        }
    }

    /// Makes a finished file in `staging/` the object: durable first, then under its name, then the name durable, where it
    /// has to be so now.
    fn settle(
        &self,
        temporary: &Path,
        found: FileDigest,
        durable: Durable,
    ) -> Result<StoredFile, StoreError> {
        let result = self.settle_in(temporary, &found, durable);
        if result.is_err() {
            let _ = sys::fs::remove(temporary);
        }
        result
    }

    fn settle_in(
        &self,
        temporary: &Path,
        found: &FileDigest,
        durable: Durable,
    ) -> Result<StoredFile, StoreError> {
        let _access = self.session().shared()?;
        if self.contains(&found.digest) {
            self.session().note(&found.digest, Part::Used, false)?;
            sys::fs::remove(temporary).map_err(at(temporary))?;
        } else {
            // before it is there: if this forge is killed before it is recorded, it is garbage
            self.session().note(&found.digest, Part::Loose, false)?;
            let place = |e| at(&self.path(&found.digest))(e);
            self.settle_io(temporary, found, durable).map_err(place)?;
        }
        self.touch(&found.digest);
        Ok(stored(found))
    }

    fn settle_io(&self, temporary: &Path, found: &FileDigest, durable: Durable) -> io::Result<()> {
        let file = File::open(temporary)?;
        set_mode(temporary, 0o444)?;
        mark(&file, &found.digest, found.size)?;
        if durable == Durable::Now {
            file.sync_all()?;
        }
        let target = self.path(&found.digest);
        if let Some(dir) = target.parent() {
            if !dir.exists() {
                fs::create_dir_all(dir)?;
                content::sync_dir(&self.root().join("objects"))?;
            }
            fs::rename(temporary, &target)?;
            if durable == Durable::Now {
                content::sync_dir(dir)?;
            }
        }
        Ok(())
    }
}

fn stored(found: &FileDigest) -> StoredFile {
    StoredFile {
        digest: found.digest,
        size: Size::from_bytes(found.size),
        path: None,
        executable: found.executable,
        tree: false,
    }
}
