//! What ran when, for how long, why, and how it ended.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};

use super::records::{json, key, parse, signed};
use super::{Db, now};
use crate::model::StageKey;
use crate::store::StoreError;

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub targets: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Everything is done.
    Done,
    /// A stage failed.
    Failed,
    /// Somebody stopped it.
    Interrupted,
}

/// How a stage ended in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutcome {
    /// It left its artifact.
    Done,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
    /// It was up to date.
    Cached,
}

/// A stage in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStage {
    /// Which.
    pub stage: StageKey,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// How long it took.
    pub duration: Duration,
    /// Why it ran, in words.
    pub reasons: Vec<String>,
    /// How it ended.
    pub outcome: StageOutcome,
    /// What went wrong.
    pub message: Option<String>,
    /// Its log, relative to the project.
    pub log: Option<String>,
}

/// A run in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Its id.
    pub id: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// What was asked for.
    pub targets: Vec<String>,
    /// How it ended; none: it runs still, or was killed.
    pub outcome: Option<RunOutcome>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// Its stages, in the order in which they ended.
    pub stages: Vec<RunStage>,
}

macro_rules! words {
    ($type:ty, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// The word in the database and in reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(RunOutcome, Done => "done", Failed => "failed", Interrupted => "interrupted");
words!(StageOutcome, Done => "done", Failed => "failed", Cancelled => "cancelled", Cached => "cached");

impl Db {
    /// A run begins.
    pub fn start_run(&self, run: &NewRun) -> Result<(), StoreError> {
        self.with(|db| {
            db.execute(
                "INSERT OR REPLACE INTO runs (id, number, started, targets)
                 VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM runs), ?2, ?3)",
                params![run.id, now(), json(&run.targets)],
            )
            .map(|_| ())
        })
    }

    /// A stage of a run has ended. Its duration is remembered if it is done.
    pub fn add_run_stage(&self, run: &str, stage: &RunStage) -> Result<(), StoreError> {
        let duration = millis(stage.duration);
        self.gathered(|db| {
            db.prepare_cached(
                "INSERT INTO run_stages (run, number, stage, started, duration_ms, reasons, outcome, message, log)
                 VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM run_stages WHERE run = ?1),
                    ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                run,
                key(&stage.stage),
                signed(stage.started),
                duration,
                json(&stage.reasons),
                stage.outcome.as_str(),
                stage.message,
                stage.log,
            ])
            .map(|_| ())
        })?;
        if stage.outcome == StageOutcome::Done {
            self.set_duration(&stage.stage, "", stage.duration)?;
        }
        Ok(())
    }

    /// A run is over.
    pub fn finish_run(
        &self,
        id: &str,
        outcome: RunOutcome,
        duration: Duration,
    ) -> Result<(), StoreError> {
        self.with(|db| {
            db.execute(
                "UPDATE runs SET outcome = ?2, duration_ms = ?3 WHERE id = ?1",
                params![id, outcome.as_str(), millis(duration)],
            )
            .map(|_| ())
        })
    }

    /// The last `limit` runs, the newest first.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunEntry>, StoreError> {
        self.with(|db| {
            let mut runs = db
                .prepare_cached(
                    "SELECT id, started, targets, outcome, duration_ms FROM runs ORDER BY number DESC LIMIT ?1",
                )?
                .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], run)?
                .collect::<rusqlite::Result<Vec<RunEntry>>>()?;
            for run in &mut runs {
                run.stages = db
                    .prepare_cached(
                        "SELECT stage, started, duration_ms, reasons, outcome, message, log
                         FROM run_stages WHERE run = ?1 ORDER BY number",
                    )?
                    .query_map([&run.id], run_stage)?
                    .collect::<rusqlite::Result<_>>()?;
            }
            Ok(runs)
        })
    }

    /// Remembers how long a step of a stage took; the empty step is the whole stage.
    pub fn set_duration(
        &self,
        stage: &StageKey,
        step: &str,
        duration: Duration,
    ) -> Result<(), StoreError> {
        self.gathered(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO durations VALUES (?1, ?2, ?3)")?
                .execute(params![key(stage), step, millis(duration)])
                .map(|_| ())
        })
    }

    /// How long a step of a stage took last time; the empty step is the whole stage.
    #[must_use]
    pub fn duration(&self, stage: &StageKey, step: &str) -> Option<Duration> {
        let millis: i64 = self.ask(|db| {
            db.prepare_cached("SELECT duration_ms FROM durations WHERE stage = ?1 AND step = ?2")?
                .query_row(params![key(stage), step], |row| row.get(0))
                .optional()
        })?;
        Some(Duration::from_millis(millis.unsigned_abs()))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunEntry> {
    let outcome: Option<String> = row.get(3)?;
    let duration: Option<i64> = row.get(4)?;
    Ok(RunEntry {
        id: row.get(0)?,
        started: row.get::<_, i64>(1)?.unsigned_abs(),
        targets: parse(&row.get::<_, String>(2)?)?,
        outcome: outcome.as_deref().and_then(RunOutcome::from_word),
        duration: duration.map(|ms| Duration::from_millis(ms.unsigned_abs())),
        stages: Vec::new(),
    })
}

fn run_stage(row: &Row<'_>) -> rusqlite::Result<RunStage> {
    let outcome: String = row.get(4)?;
    Ok(RunStage {
        stage: parse(&row.get::<_, String>(0)?)?,
        started: row.get::<_, i64>(1)?.unsigned_abs(),
        duration: Duration::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
        reasons: parse(&row.get::<_, String>(3)?)?,
        // a word of a newer forge
        outcome: StageOutcome::from_word(&outcome).unwrap_or(StageOutcome::Failed),
        message: row.get(5)?,
        log: row.get(6)?,
    })
}
