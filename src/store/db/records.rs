//! Records: what was made of what.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Db, now};
use crate::model::{Artifact, Digest, MachineState, StageKey};
use crate::plan::{Ingredients, Record, Records};
use crate::store::roots::{Held, Root};
use crate::store::{Store, StoreError};

/// The records of a project together with the store that holds their artifacts: what the planner asks.
#[derive(Clone, Copy, Debug)]
pub struct StoredRecords<'a> {
    db: &'a Db,
    store: &'a Store,
}

impl Records for StoredRecords<'_> {
    fn find(&self, fingerprint: &Digest) -> Option<Record> {
        self.db.find(fingerprint)
    }

    fn last(&self, stage: &StageKey) -> Option<Record> {
        self.db.last(stage)
    }

    fn all(&self, stage: &StageKey) -> Vec<Record> {
        self.db.all(stage)
    }

    fn kept_under(&self, stage: &StageKey, state: &Digest) -> Option<String> {
        let found = self.db.look_at_checkpoint(stage, state)?;
        let whole = found.digests().all(|digest| self.store.contains(&digest));
        whole.then_some(found.identity)
    }

    fn failed_after(&self, stage: &StageKey) -> Option<Digest> {
        self.db.failed_after(stage)
    }

    fn intact(&self, artifact: &Artifact) -> Result<(), String> {
        let remote = artifact.machine.as_ref().and_then(|m| m.remote.as_ref());
        if let Some(why) = remote.and_then(|remote| self.db.lost(remote)) {
            return Err(why);
        }
        self.store.intact(artifact)
    }
}

/// How old, in seconds, the note of a record's last use may become: to the hour is enough for an age in days.
pub(in crate::store) const RECENT: i64 = 3600;

const COLUMNS: &str = "stage, fingerprint, ingredients, artifact, started, duration_ms, run, log";

impl Db {
    /// The records with the store that holds their artifacts.
    #[must_use]
    pub const fn records<'a>(&'a self, store: &'a Store) -> StoredRecords<'a> {
        StoredRecords { db: self, store }
    }

    /// The newest record with this fingerprint.
    #[must_use]
    pub fn find(&self, fingerprint: &Digest) -> Option<Record> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE fingerprint = ?1 ORDER BY number DESC LIMIT 1"
        );
        self.ask(|db| {
            db.prepare_cached(&sql)?
                .query_row([fingerprint.as_bytes()], record)
                .optional()
        })
    }

    /// The record of this stage that was made or used last.
    #[must_use]
    pub fn last(&self, stage: &StageKey) -> Option<Record> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE stage = ?1 ORDER BY use_number DESC LIMIT 1"
        );
        self.ask(|db| {
            db.prepare_cached(&sql)?
                .query_row([key(stage)], record)
                .optional()
        })
    }

    /// The newest records of this stage, the last one that was made or used first.
    #[must_use]
    pub fn all(&self, stage: &StageKey) -> Vec<Record> {
        /// Nobody looks further back.
        const RECORDS: usize = 100;
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE stage = ?1 ORDER BY use_number DESC LIMIT ?2"
        );
        let records = self.with(|db| {
            db.prepare_cached(&sql)?
                .query_map(params![key(stage), RECORDS], record)?
                .collect::<rusqlite::Result<Vec<Record>>>()
        });
        records.unwrap_or_default()
    }

    /// The files that the stage's command has told that it read, as its records have them: each set once, the newest
    /// first.
    #[must_use]
    pub fn found(&self, stage: &StageKey) -> Vec<Vec<String>> {
        /// Whoever goes to and fro between more states than these builds again.
        const RECORDS: usize = 16;
        let found = self.with(|db| {
            db.prepare_cached(
                "SELECT ingredients FROM records WHERE stage = ?1 ORDER BY use_number DESC LIMIT ?2",
            )?
            .query_map(params![key(stage), RECORDS], |row| {
                parse::<Ingredients>(&row.get::<_, String>(0)?)
            })?
            .collect::<rusqlite::Result<Vec<Ingredients>>>()
        });
        let mut sets: Vec<Vec<String>> = Vec::new();
        for ingredients in found.unwrap_or_default() {
            let set: Vec<String> = ingredients.found().map(str::to_owned).collect();
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        sets
    }

    /// Commits a record; the objects of its artifact must be in the store. One with the same stage and fingerprint is
    /// replaced.
    pub fn commit(&self, record: &Record) -> Result<(), StoreError> {
        self.gathered(|db| {
            db.prepare_cached(
                "INSERT OR REPLACE INTO records (stage, fingerprint, ingredients, artifact, started, duration_ms,
                    run, log, used, use_number)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                    (SELECT coalesce(max(use_number), 0) + 1 FROM records WHERE stage = ?1))",
            )?
            .execute(params![
                key(&record.stage),
                record.fingerprint.as_bytes(),
                json(&record.ingredients),
                json(&record.artifact),
                signed(record.started),
                signed(record.duration_ms),
                record.run,
                record.log,
                now(),
            ])
            .map(|_| ())
        })
    }

    /// Notes that stages were found fresh with these records: they are the last ones now, and are kept longer. That costs
    /// a write only where it says something new.
    pub fn touch<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<(), StoreError> {
        self.with(|db| {
            let mut due = Vec::new();
            for record in records {
                let (stage, fingerprint) = (key(&record.stage), record.fingerprint);
                let noted = db
                    .prepare_cached(
                        "SELECT used > ?3 AND use_number =
                            (SELECT max(use_number) FROM records WHERE stage = ?1)
                         FROM records WHERE stage = ?1 AND fingerprint = ?2",
                    )?
                    .query_row(
                        params![stage, fingerprint.as_bytes(), now() - RECENT],
                        |row| row.get::<_, bool>(0),
                    )
                    .optional()?;
                if noted == Some(false) {
                    due.push((stage, fingerprint));
                }
            }
            if due.is_empty() {
                return Ok(());
            }
            let transaction = db.transaction()?;
            for (stage, fingerprint) in due {
                transaction
                    .prepare_cached(
                        "UPDATE records SET used = ?3, use_number =
                            (SELECT max(use_number) + 1 FROM records WHERE stage = ?1)
                         WHERE stage = ?1 AND fingerprint = ?2",
                    )?
                    .execute(params![stage, fingerprint.as_bytes(), now()])?;
            }
            transaction.commit()
        })
    }

    /// A number that is another one whenever records have been added or removed, or an older one has become a stage's last.
    pub fn generation(&self) -> Result<i64, StoreError> {
        self.with(|db| {
            db.prepare_cached("SELECT number FROM generation")?
                .query_row([], |row| row.get(0))
        })
    }

    /// Notes that the last records of these stages, given as they stand in the database, were found fresh.
    pub fn touch_last<'a>(
        &self,
        stages: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), StoreError> {
        self.with(|db| {
            let transaction = db.transaction()?;
            {
                let mut note = transaction.prepare_cached(
                    "UPDATE records SET used = ?2 WHERE stage = ?1 AND use_number =
                        (SELECT max(use_number) FROM records WHERE stage = ?1)",
                )?;
                for stage in stages {
                    note.execute(params![stage, now()])?;
                }
            }
            transaction.commit()
        })
    }

    /// All that is recorded of a stage, the last used first.
    pub fn recorded(&self, stage: &StageKey) -> Result<Vec<Record>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM records WHERE stage = ?1 ORDER BY use_number DESC");
        self.with(|db| {
            db.prepare_cached(&sql)?
                .query_map([key(stage)], record)?
                .collect()
        })
    }

    /// Forgets what is recorded of a stage; tells how many records that were.
    pub fn forget(&self, stage: &StageKey) -> Result<usize, StoreError> {
        self.with(|db| db.execute("DELETE FROM records WHERE stage = ?1", [key(stage)]))
    }

    /// The machines on servers that records refer to, those of one stage or of all, each with its provider.
    #[must_use]
    pub fn remote_machines(&self, stage: Option<&StageKey>) -> Vec<MachineState> {
        // records of other machines are not parsed
        let sql = "SELECT artifact FROM records
             WHERE artifact LIKE '%\"remote\":%' AND (?1 IS NULL OR stage = ?1)";
        let found = self.with(|db| {
            db.prepare_cached(sql)?
                .query_map([stage.map(key)], |row| {
                    parse::<Artifact>(&row.get::<_, String>(0)?)
                })?
                .collect::<rusqlite::Result<Vec<Artifact>>>()
        });
        let artifacts = found.unwrap_or_default().into_iter();
        let machines = artifacts.filter_map(|artifact| artifact.machine);
        machines
            .filter(|machine| machine.remote.is_some())
            .collect()
    }

    /// All stages with records or checkpoints.
    pub fn recorded_stages(&self) -> Result<Vec<StageKey>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT stage FROM records UNION SELECT stage FROM checkpoints ORDER BY stage",
            )?
            .query_map([], |row| parse(&row.get::<_, String>(0)?))?
            .collect()
        })
    }

    /// All that leads to objects: records and checkpoints, each with its stage and its last use.
    pub(in crate::store) fn roots(&self) -> Result<Vec<(String, u64, Held)>, StoreError> {
        self.with(|db| {
            let mut roots = Vec::new();
            let mut query = db.prepare(
                "SELECT stage, used, fingerprint, artifact, use_number =
                    (SELECT max(use_number) FROM records AS other WHERE other.stage = records.stage)
                 FROM records ORDER BY number",
            )?;
            let records = query.query_map([], |row| {
                let held = Held::Record {
                    fingerprint: Digest::from_bytes(row.get(2)?),
                    artifact: parse(&row.get::<_, String>(3)?)?,
                    last: row.get(4)?,
                };
                Ok((shown(row)?, row.get::<_, i64>(1)?.unsigned_abs(), held))
            })?;
            for record in records {
                roots.push(record?);
            }
            // another project's file may be of the format before
            let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            if version < 2 {
                return Ok(roots);
            }
            let mut query =
                db.prepare("SELECT stage, used, state FROM checkpoints ORDER BY stage, step")?;
            let checkpoints = query.query_map([], |row| {
                let held = Held::Checkpoint(parse(&row.get::<_, String>(2)?)?);
                Ok((shown(row)?, row.get::<_, i64>(1)?.unsigned_abs(), held))
            })?;
            for checkpoint in checkpoints {
                roots.push(checkpoint?);
            }
            Ok(roots)
        })
    }

    /// Forgets records and checkpoints of this project.
    pub(in crate::store) fn give_up(&self, roots: &[&Root]) -> Result<(), StoreError> {
        self.with(|db| {
            let transaction = db.transaction()?;
            for root in roots {
                let (sql, fingerprint) = match &root.held {
                    // one that was used meanwhile stays
                    Held::Record { fingerprint, .. } => (
                        "DELETE FROM records WHERE fingerprint = ?1 AND used <= ?2 AND use_number <
                            (SELECT max(use_number) FROM records AS other WHERE other.stage = records.stage)",
                        fingerprint,
                    ),
                    Held::Checkpoint(checkpoint) => (
                        "DELETE FROM checkpoints WHERE fingerprint = ?1 AND used <= ?2",
                        &checkpoint.fingerprint,
                    ),
                    Held::Failed(_) => continue,
                };
                transaction.execute(sql, params![fingerprint.as_bytes(), signed(root.used)])?;
            }
            transaction.commit()
        })
    }
}

/// The stage in the column `stage`, as it is shown.
fn shown(row: &Row<'_>) -> rusqlite::Result<String> {
    Ok(parse::<StageKey>(&row.get::<_, String>("stage")?)?.to_string())
}

pub(super) fn since(age: Duration) -> i64 {
    now().saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        stage: parse(&row.get::<_, String>(0)?)?,
        fingerprint: Digest::from_bytes(row.get(1)?),
        ingredients: parse(&row.get::<_, String>(2)?)?,
        artifact: parse(&row.get::<_, String>(3)?)?,
        started: row.get::<_, i64>(4)?.unsigned_abs(),
        duration_ms: row.get::<_, i64>(5)?.unsigned_abs(),
        run: row.get(6)?,
        log: row.get(7)?,
    })
}

/// A stage's key as it stands in the database.
pub(super) fn key(stage: &StageKey) -> String {
    json(stage)
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    // these types have string keys only, so that nothing can fail
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
