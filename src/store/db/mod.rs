//! The project's database, `.forge/forge.db`: records, history, durations, the stat cache.
//!
//! One `SQLite` file in WAL mode, so that `forge plan` reads while `forge run` writes. `synchronous = NORMAL`: a power cut
//! may cost the last commits, never the file; a lost record means a rebuild. What a record refers to is durable before it
//! is committed, but for small outputs of commands, whose marks tell if they are lost.

mod checkpoints;
mod costs;
mod history;
mod records;
mod schema;
mod stat;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::StoreError;
use super::error::is_damage;
use crate::model::Remote;

pub use checkpoints::{Met, StepCheckpoint};
pub use costs::CheckpointCost;
pub use history::{NewRun, RunEntry, RunOutcome, RunStage, StageOutcome};
pub(in crate::store) use records::RECENT;
pub use records::StoredRecords;
pub use stat::StatCache;
pub(in crate::store) use stat::{Links, Stamp};

/// The project's database.
#[derive(Debug)]
pub struct Db {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Writes wait in a transaction of their own until [`Db::flush`].
    gathering: AtomicBool,
    warnings: Mutex<Vec<String>>,
    stat: Mutex<stat::State>,
    lost: Mutex<BTreeMap<(String, String), String>>,
}

impl Db {
    /// Opens the database, or makes it. A damaged one is set aside, with a warning, and a new one begun.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (connection, warnings) = schema::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            gathering: AtomicBool::new(false),
            warnings: Mutex::new(warnings),
            stat: Mutex::default(),
            lost: Mutex::default(),
        })
    }

    /// Opens the database of another project, which must be there, to read from it; a damaged one is an error.
    pub(in crate::store) fn open_other(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(schema::open_other(path)?),
            gathering: AtomicBool::new(false),
            warnings: Mutex::default(),
            stat: Mutex::default(),
            lost: Mutex::default(),
        })
    }

    /// What users should hear: that the database was damaged, that reading failed. Each is told once.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut unpoisoned(&self.warnings))
    }

    /// Notes that a machine on a server, at this snapshot, is not as it was left: artifacts that need it are missing.
    pub fn note_lost(&self, uuid: &str, snapshot: &str, why: String) {
        unpoisoned(&self.lost).insert((uuid.to_owned(), snapshot.to_owned()), why);
    }

    /// Why a machine on a server is not as it was left, if that is known.
    fn lost(&self, remote: &Remote) -> Option<String> {
        let place = (remote.uuid.clone(), remote.snapshot.clone());
        unpoisoned(&self.lost).get(&place).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        unpoisoned(&self.connection)
    }

    /// Whether what stages leave is gathered from now on, so that many are written together. Whoever asks for it sees to it
    /// that [`Db::flush`] is called within some tens of milliseconds of a write: until then no other process can write, and
    /// a kill costs what was gathered.
    pub fn gather(&self, gathering: bool) -> Result<(), StoreError> {
        self.gathering.store(gathering, Ordering::Relaxed);
        self.flush()
    }

    /// Has closing leave the log as it is, without waiting for the disk: for a run that wrote next to nothing. The next one
    /// that writes more takes it in.
    pub fn leave_log(&self) {
        let option = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        // without it closing takes a little longer
        let _ = self.lock().set_db_config(option, true);
    }

    /// Writes what was gathered.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.with(|_| Ok(()))
    }

    /// Whether something was gathered that is not written yet.
    #[must_use]
    pub fn has_gathered(&self) -> bool {
        self.gathering.load(Ordering::Relaxed) && !self.lock().is_autocommit()
    }

    /// Runs `work` on the connection; what was gathered is written before.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let written = if connection.is_autocommit() {
            Ok(())
        } else {
            connection.execute_batch("COMMIT")
        };
        self.told(written.and_then(|()| work(&mut connection)))
    }

    /// Runs `work`, which writes with single statements, as part of what is gathered.
    fn gathered<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let begun = if self.gathering.load(Ordering::Relaxed) && connection.is_autocommit() {
            connection.execute_batch("BEGIN IMMEDIATE")
        } else {
            Ok(())
        };
        self.told(begun.and_then(|()| work(&mut connection)))
    }

    fn told<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|source| {
            if is_damage(&source) {
                schema::suspect(&self.path);
            }
            StoreError::Database {
                path: self.path.clone(),
                source,
            }
        })
    }

    /// As [`Self::with`], for questions whose answer may be "nothing known": a failure becomes a warning.
    fn ask<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<Option<T>>,
    ) -> Option<T> {
        let result = work(&mut self.lock());
        self.told(result).unwrap_or_else(|error| {
            let warning = format!("{error}; going on as if nothing was recorded");
            let mut warnings = unpoisoned(&self.warnings);
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
            None
        })
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
pub(in crate::store) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
