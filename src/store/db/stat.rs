//! The stat cache: the digest of a file that has not changed is known without reading it.
//!
//! An entry holds while size, modification and change time, inode and mode are the same. A file that changed within two
//! seconds before it was hashed (or later: clocks differ) may change once more without a new time, so its entry is not
//! trusted; the file is hashed again, and when that happens late enough the entry counts. This is git's racy rule, with
//! room for file systems that keep whole seconds.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Db, unpoisoned};
use crate::model::Digest;
use crate::store::content::{self, FileDigest};

/// How old a change must be when a file is hashed, in nanoseconds.
const RACY: i64 = 2_000_000_000;
/// So many entries are asked for one by one before all are read at once.
const SINGLY: usize = 64;

/// What a `stat` says of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Stamp {
    pub(in crate::store) size: i64,
    pub(in crate::store) mtime: i64,
    pub(in crate::store) ctime: i64,
    pub(in crate::store) inode: i64,
    pub(in crate::store) mode: i64,
}

impl Stamp {
    /// Of what is at `path`, relative to `dir` or absolute; none if there is nothing.
    pub(in crate::store) fn at(
        dir: BorrowedFd<'_>,
        path: &str,
        links: Links,
    ) -> io::Result<Option<Self>> {
        use rustix::fs::{AtFlags, StatxFlags, statx};
        let flags = match links {
            Links::Followed => AtFlags::empty(),
            Links::Looked => AtFlags::SYMLINK_NOFOLLOW,
        };
        let found = match statx(dir, path, flags, StatxFlags::BASIC_STATS) {
            Ok(found) => found,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let nanos = |time: rustix::fs::StatxTimestamp| {
            let secs = time.tv_sec.saturating_mul(1_000_000_000);
            secs.saturating_add(i64::from(time.tv_nsec))
        };
        Ok(Some(Self {
            size: i64::try_from(found.stx_size).unwrap_or(i64::MAX),
            mtime: nanos(found.stx_mtime),
            ctime: nanos(found.stx_ctime),
            inode: found.stx_ino.cast_signed(),
            mode: i64::from(found.stx_mode),
        }))
    }

    /// Whether it is an ordinary file.
    pub(in crate::store) const fn is_file(self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// The wall clock, as stamps have it.
    pub(in crate::store) fn clock() -> i64 {
        wall_clock()
    }

    /// Whether anybody may execute the file.
    pub(in crate::store) const fn executable(self) -> bool {
        self.mode & 0o111 != 0
    }

    /// Whether a file that was read at this time may change once more without another stamp.
    pub(in crate::store) const fn is_racy(self, read_at: i64) -> bool {
        let Self { mtime, ctime, .. } = self;
        let changed = if mtime > ctime { mtime } else { ctime };
        changed > read_at.saturating_sub(RACY)
    }
}

/// What is looked at where a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Links {
    /// What it leads to.
    Followed,
    /// The link itself.
    Looked,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stamp: Stamp,
    digest: Digest,
    /// When the file was read, in nanoseconds since 1970: at the start of it.
    recorded: i64,
}

/// What is known in this process: all handles share it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// All entries, read when there have been several questions.
    known: Option<HashMap<Vec<u8>, Entry>>,
    /// How many have been asked for one by one.
    asked: usize,
    /// Not written yet.
    fresh: HashMap<Vec<u8>, Entry>,
}

/// Digests of files, by what a `stat` says of them. Dropping it writes what is new.
#[derive(Debug)]
pub struct StatCache<'a> {
    db: &'a Db,
    /// The time in nanoseconds since 1970, where it is not that of the clock.
    time: Option<i64>,
}

impl Db {
    /// The stat cache.
    #[must_use]
    pub fn stat_cache(&self) -> StatCache<'_> {
        StatCache {
            db: self,
            time: None,
        }
    }

    /// The stat cache at a given time, in nanoseconds since 1970.
    #[cfg(test)]
    pub(super) const fn stat_cache_at(&self, time: i64) -> StatCache<'_> {
        StatCache {
            db: self,
            time: Some(time),
        }
    }
}

impl StatCache<'_> {
    /// The digest of the file at `path`, links followed. Reads it only if it has changed.
    pub fn digest(&self, path: &Path) -> io::Result<FileDigest> {
        let meta = std::fs::metadata(path)?;
        self.digest_with(path, &meta)
    }

    /// As [`Self::digest`], for a file whose metadata (links followed) is known.
    fn digest_with(&self, path: &Path, meta: &Metadata) -> io::Result<FileDigest> {
        match self.known(path, meta) {
            Some(found) => Ok(found),
            None => self.read(path, meta),
        }
    }

    /// The digests of many files, whose metadata (links followed) is known, in their order. What has to be read is read by
    /// two threads.
    pub(in crate::store) fn digests(
        &self,
        files: &[&(PathBuf, Metadata)],
    ) -> Vec<io::Result<FileDigest>> {
        /// More of them only take turns at the disk, and leave nothing for stages that run.
        const READERS: usize = 2;
        let known = files.iter().map(|(path, meta)| self.known(path, meta));
        let known: Vec<Option<FileDigest>> = known.collect();
        let unknown = known.iter().filter(|found| found.is_none()).count();
        if unknown < 2 {
            let pairs = known.into_iter().zip(files);
            return pairs
                .map(|(found, (path, meta))| found.map_or_else(|| self.read(path, meta), Ok))
                .collect();
        }
        let results: Vec<OnceLock<io::Result<FileDigest>>> = known
            .into_iter()
            .map(|found| found.map_or_else(OnceLock::new, |found| OnceLock::from(Ok(found))))
            .collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(result), Some((path, meta))) = (results.get(at), files.get(at)) else {
                    break;
                };
                result.get_or_init(|| self.read(path, meta));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..READERS {
                scope.spawn(work);
            }
            work();
        });
        results
            .into_iter()
            .filter_map(OnceLock::into_inner)
            .collect()
    }

    /// The digest of a file that has not changed since it was read.
    fn known(&self, path: &Path, meta: &Metadata) -> Option<FileDigest> {
        let entry = self.entry(path.as_os_str().as_encoded_bytes())?;
        (entry.stamp == stamp(meta) && !entry.stamp.is_racy(entry.recorded)).then(|| FileDigest {
            digest: entry.digest,
            size: meta.len(),
            executable: content::executable(meta),
        })
    }

    fn read(&self, path: &Path, meta: &Metadata) -> io::Result<FileDigest> {
        let stamp = stamp(meta);
        let recorded = self.time.unwrap_or_else(wall_clock);
        let found = content::hash(path)?;
        // a file that changed while it was read has a digest that may be of neither content: it is not remembered
        let unchanged = std::fs::metadata(path).is_ok_and(|after| self::stamp(&after) == stamp);
        if unchanged {
            let entry = Entry {
                stamp,
                digest: found.digest,
                recorded,
            };
            let key = path.as_os_str().as_encoded_bytes().to_vec();
            unpoisoned(&self.db.stat).fresh.insert(key, entry);
        }
        Ok(found)
    }

    /// The digest that the file at `path` had when it was last read, the stamp that it had then, and whether the stamp says
    /// that it is the same still. Nothing is looked at.
    pub(in crate::store) fn last(&self, path: &Path) -> Option<(Stamp, bool, Digest)> {
        let entry = self.entry(path.as_os_str().as_encoded_bytes())?;
        let trusted = !entry.stamp.is_racy(entry.recorded);
        Some((entry.stamp, trusted, entry.digest))
    }

    fn entry(&self, key: &[u8]) -> Option<Entry> {
        let mut state = unpoisoned(&self.db.stat);
        if let Some(entry) = state.fresh.get(key) {
            return Some(*entry);
        }
        if state.known.is_none() && state.asked < SINGLY {
            state.asked += 1;
            return self.load_one(key);
        }
        let known = state
            .known
            .get_or_insert_with(|| self.load().unwrap_or_default());
        known.get(key).copied()
    }

    fn load_one(&self, key: &[u8]) -> Option<Entry> {
        self.db.ask(|db| {
            db.prepare_cached(
                "SELECT path, size, mtime, ctime, inode, mode, digest, recorded FROM stat WHERE path = ?1",
            )?
            .query_row([key], entry)
            .optional()
        })
    }

    fn load(&self) -> Option<HashMap<Vec<u8>, Entry>> {
        self.db.ask(|db| {
            db.prepare_cached(
                "SELECT path, size, mtime, ctime, inode, mode, digest, recorded FROM stat",
            )?
            .query_map([], |row| Ok((row.get(0)?, entry(row)?)))?
            .collect::<rusqlite::Result<_>>()
            .map(Some)
        })
    }

    /// Writes what is new. A failure costs time in the next run, nothing else.
    pub fn flush(&self) {
        let mut state = unpoisoned(&self.db.stat);
        if state.fresh.is_empty() {
            return;
        }
        let fresh = std::mem::take(&mut state.fresh);
        let written = self.db.with(|db| {
            let transaction = db.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO stat (path, size, mtime, ctime, inode, mode, digest, recorded)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?;
                for (path, entry) in &fresh {
                    let Entry {
                        stamp,
                        digest,
                        recorded,
                    } = entry;
                    insert.execute(params![
                        path,
                        stamp.size,
                        stamp.mtime,
                        stamp.ctime,
                        stamp.inode,
                        stamp.mode,
                        digest.as_bytes(),
                        recorded,
                    ])?;
                }
            }
            transaction.commit()
        });
        if let (Ok(()), Some(known)) = (written, state.known.as_mut()) {
            known.extend(fresh);
        }
    }
}

impl Drop for StatCache<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        stamp: Stamp {
            size: row.get(1)?,
            mtime: row.get(2)?,
            ctime: row.get(3)?,
            inode: row.get(4)?,
            mode: row.get(5)?,
        },
        digest: Digest::from_bytes(row.get(6)?),
        recorded: row.get(7)?,
    })
}

#[cfg(unix)]
fn stamp(meta: &Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let nanos = |secs: i64, nanos: i64| secs.saturating_mul(1_000_000_000).saturating_add(nanos);
    Stamp {
        size: i64::try_from(meta.size()).unwrap_or(i64::MAX),
        mtime: nanos(meta.mtime(), meta.mtime_nsec()),
        ctime: nanos(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino().cast_signed(),
        mode: i64::from(meta.mode()),
    }
}

#[cfg(not(unix))]
fn stamp(meta: &Metadata) -> Stamp {
    let mtime = meta.modified().map_or(i64::MAX, nanos_of);
    Stamp {
        size: i64::try_from(meta.len()).unwrap_or(i64::MAX),
        mtime,
        ctime: mtime,
        inode: 0,
        mode: 0,
    }
}

fn wall_clock() -> i64 {
    nanos_of(SystemTime::now())
}

fn nanos_of(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
