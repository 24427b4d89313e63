//! What earlier runs have taught about a stage's checkpoints: what one costs, and where the stage failed.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::Db;
use super::records::{key, signed};
use crate::model::{Digest, Size, StageKey};
use crate::store::StoreError;

/// What keeping a stage's running machine has cost the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointCost {
    /// How long the stage waited for it.
    pub time: Duration,
    /// What it took in the store beside the disks.
    pub size: Size,
}

impl Db {
    /// What the stage's last checkpoint has cost.
    #[must_use]
    pub fn checkpoint_cost(&self, stage: &StageKey) -> Option<CheckpointCost> {
        self.ask(|db| {
            db.prepare_cached("SELECT duration_ms, bytes FROM checkpoint_costs WHERE stage = ?1")?
                .query_row([key(stage)], |row| {
                    Ok(CheckpointCost {
                        time: Duration::from_millis(row.get::<_, i64>(0)?.unsigned_abs()),
                        size: Size::from_bytes(row.get::<_, i64>(1)?.unsigned_abs()),
                    })
                })
                .optional()
        })
    }

    /// Remembers what the stage's last checkpoint has cost.
    pub fn note_checkpoint_cost(
        &self,
        stage: &StageKey,
        cost: &CheckpointCost,
    ) -> Result<(), StoreError> {
        let millis = u64::try_from(cost.time.as_millis()).unwrap_or(u64::MAX);
        self.with(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO checkpoint_costs VALUES (?1, ?2, ?3)")?
                .execute(params![
                    key(stage),
                    signed(millis),
                    signed(cost.size.bytes())
                ])
                .map(drop)
        })
    }

    /// The state of the machine before the step at which the stage failed, if it did when it ran last.
    #[must_use]
    pub fn failed_after(&self, stage: &StageKey) -> Option<Digest> {
        self.ask(|db| {
            db.prepare_cached("SELECT state FROM failed_steps WHERE stage = ?1")?
                .query_row([key(stage)], |row| Ok(Digest::from_bytes(row.get(0)?)))
                .optional()
        })
    }

    /// Remembers at which step the stage failed, by the machine's state before it, or that it did not.
    pub fn note_failed_after(
        &self,
        stage: &StageKey,
        state: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let stage = key(stage);
        self.with(|db| match state {
            Some(state) => db
                .prepare_cached("INSERT OR REPLACE INTO failed_steps VALUES (?1, ?2)")?
                .execute(params![stage, state.as_bytes()])
                .map(drop),
            None => db
                .prepare_cached("DELETE FROM failed_steps WHERE stage = ?1")?
                .execute([stage])
                .map(drop),
        })
    }
}
