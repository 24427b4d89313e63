//! The project's database, `.forge/forge.db`: records, history, durations, the stat cache.
//!
//! One `SQLite` file in WAL mode, so that `forge plan` reads while `forge run` writes. `synchronous = NORMAL`: a power cut
//! may cost the last commits, never the file; a lost record means a rebuild. What a record refers to is durable before it
//! is committed.

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
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::StoreError;
use super::error::is_damage;
use crate::model::Remote;

pub use checkpoints::{Met, StepCheckpoint};
pub use costs::CheckpointCost;
pub use history::{NewRun, RunEntry, RunOutcome, RunStage, StageOutcome};
pub use records::StoredRecords;
pub use stat::StatCache;

/// The project's database.
#[derive(Debug)]
pub struct Db {
    path: PathBuf,
    connection: Mutex<Connection>,
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

    /// Runs `work` on the connection.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        work(&mut self.lock()).map_err(|source| {
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
        self.with(work).unwrap_or_else(|error| {
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
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
