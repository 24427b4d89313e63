//! Checkpoints of running machines: what a `provision` stage can go on from when one of its steps has changed.

use std::net::SocketAddr;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::records::{json, key, parse, since};
use super::{Db, now};
use crate::model::{Digest, Drives, MachineState, StageKey};
use crate::store::StoreError;

/// A running machine after some of a stage's steps. A stage has one after each step at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCheckpoint {
    /// How many steps had been done.
    pub step: usize,
    /// The identity of all that had led there, those steps included.
    pub fingerprint: Digest,
    /// What the hypervisor must be to go on from it.
    pub identity: String,
    /// The disks and firmware variables.
    pub machine: MachineState,
    /// The memory, a file in the store; none: the server that the machine lives on keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Digest>,
    /// The drives for install media that the machine still has.
    #[serde(default)]
    pub drives: Drives,
    /// Where the guest was, on a server that tells it only after a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<Met>,
}

/// A guest as it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Its SSH port.
    pub address: SocketAddr,
    /// What tells its boot from any other one, of this machine and of all others.
    pub boot_id: String,
}

impl StepCheckpoint {
    /// Every digest in the store that it needs.
    pub fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        self.machine.digests().chain(self.memory)
    }
}

impl Db {
    /// The checkpoint with this fingerprint that `stage` can go on from; its use is noted. Any stage's will do, but for a
    /// machine on a server: going on from there takes it back, and it is the one of the stage that made it.
    #[must_use]
    pub fn checkpoint(&self, stage: &StageKey, fingerprint: &Digest) -> Option<StepCheckpoint> {
        let (owner, found) = self.find_checkpoint(stage, fingerprint)?;
        // a use that is not noted only means that it is not kept as long
        let _ = self.with(|db| {
            db.prepare_cached(
                "UPDATE checkpoints SET used = ?3 WHERE stage = ?1 AND fingerprint = ?2",
            )?
            .execute(params![owner, fingerprint.as_bytes(), now()])
        });
        Some(found)
    }

    /// As [`Db::checkpoint`], without using it.
    pub(super) fn look_at_checkpoint(
        &self,
        stage: &StageKey,
        fingerprint: &Digest,
    ) -> Option<StepCheckpoint> {
        self.find_checkpoint(stage, fingerprint)
            .map(|(_, found)| found)
    }

    /// The stage's own first; with the one that it is of, as it stands in the table.
    fn find_checkpoint(
        &self,
        stage: &StageKey,
        fingerprint: &Digest,
    ) -> Option<(String, StepCheckpoint)> {
        let own = key(stage);
        self.ask(|db| {
            let mut query = db.prepare_cached(
                "SELECT state, stage FROM checkpoints WHERE fingerprint = ?1
                 ORDER BY stage <> ?2, stage",
            )?;
            let found = query.query_map(params![fingerprint.as_bytes(), own], |row| {
                Ok((row.get::<_, String>(1)?, state(row)?))
            })?;
            let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
            let usable = |(owner, found): &(String, StepCheckpoint)| {
                *owner == own || found.machine.remote.is_none()
            };
            Ok(found.into_iter().find(usable))
        })
    }

    /// Keeps a checkpoint whose objects are in the store, in the place of the one after the same step, which is returned.
    pub fn put_checkpoint(
        &self,
        stage: &StageKey,
        checkpoint: &StepCheckpoint,
    ) -> Result<Option<StepCheckpoint>, StoreError> {
        let step = i64::try_from(checkpoint.step).unwrap_or(i64::MAX);
        self.with(|db| {
            let transaction = db.transaction()?;
            let old = transaction
                .prepare_cached("SELECT state FROM checkpoints WHERE stage = ?1 AND step = ?2")?
                .query_row(params![key(stage), step], state)
                .optional()?;
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO checkpoints (stage, step, fingerprint, state, used)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    key(stage),
                    step,
                    checkpoint.fingerprint.as_bytes(),
                    json(checkpoint),
                    now(),
                ])?;
            transaction.commit()?;
            Ok(old)
        })
    }

    /// The stage's checkpoints that were not used within `age`, or all of them.
    pub fn checkpoints_of(
        &self,
        stage: &StageKey,
        age: Option<Duration>,
    ) -> Result<Vec<StepCheckpoint>, StoreError> {
        self.states(
            "SELECT state FROM checkpoints WHERE stage = ?1 AND used < ?2",
            stage,
            age,
        )
    }

    /// Removes [`Db::checkpoints_of`] and returns them.
    pub fn forget_checkpoints(
        &self,
        stage: &StageKey,
        age: Option<Duration>,
    ) -> Result<Vec<StepCheckpoint>, StoreError> {
        self.states(
            "DELETE FROM checkpoints WHERE stage = ?1 AND used < ?2 RETURNING state",
            stage,
            age,
        )
    }

    fn states(
        &self,
        sql: &str,
        stage: &StageKey,
        age: Option<Duration>,
    ) -> Result<Vec<StepCheckpoint>, StoreError> {
        let before = age.map_or(i64::MAX, since);
        self.with(|db| {
            db.prepare_cached(sql)?
                .query_map(params![key(stage), before], state)?
                .collect()
        })
    }

    /// Removes one checkpoint: it could not be gone on from.
    pub fn drop_checkpoint(&self, fingerprint: &Digest) -> Result<(), StoreError> {
        self.with(|db| {
            db.prepare_cached("DELETE FROM checkpoints WHERE fingerprint = ?1")?
                .execute([fingerprint.as_bytes()])
                .map(drop)
        })
    }
}

/// The checkpoint in the column `state`, which is the first one asked for.
pub(super) fn state(row: &Row<'_>) -> rusqlite::Result<StepCheckpoint> {
    parse(&row.get::<_, String>(0)?)
}
