//! Writes what happens into the run history, and passes it on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Event, Outcome, RunSummary, Sink};
use crate::model::StageKey;
use crate::store::{Db, NewRun, RunOutcome, RunStage, StageOutcome, StoreError};

/// A sink that remembers: between the engine and the reporter.
pub struct History {
    inner: Arc<dyn Sink>,
    db: Arc<Db>,
    run: String,
    started: Mutex<HashMap<StageKey, (u64, Vec<String>)>>,
}

impl History {
    /// Writes the history of `run` to `db`, passing all on to `inner`.
    #[must_use]
    pub fn new(run: String, db: Arc<Db>, inner: Arc<dyn Sink>) -> Self {
        Self {
            inner,
            db,
            run,
            started: Mutex::default(),
        }
    }

    fn note(&self, event: &Event) -> Result<(), StoreError> {
        match event {
            Event::RunStarted { targets, .. } => self.db.start_run(&NewRun {
                id: self.run.clone(),
                targets: targets.clone(),
            }),
            Event::StageStarted { stage, reasons, .. } => {
                let now = SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .map_or(0, |d| d.as_secs());
                let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
                started.insert(stage.clone(), (now, reasons.clone()));
                Ok(())
            }
            Event::StageFinished {
                stage,
                outcome,
                elapsed,
            } => self.finished(stage, outcome, *elapsed),
            Event::RunFinished(summary) => {
                self.db
                    .finish_run(&self.run, outcome_of(summary), summary.elapsed)
            }
            _ => Ok(()),
        }
    }

    fn finished(
        &self,
        stage: &StageKey,
        outcome: &Outcome,
        duration: Duration,
    ) -> Result<(), StoreError> {
        let (outcome, failure) = match outcome {
            Outcome::Done(_) => (StageOutcome::Done, None),
            Outcome::Failed(failure) => (StageOutcome::Failed, Some(failure)),
            Outcome::Cancelled => (StageOutcome::Cancelled, None),
            Outcome::Retrying(_) | Outcome::Blocked { .. } => return Ok(()),
        };
        let started = self
            .started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(stage);
        let (started, reasons) = started.unwrap_or_default();
        let stage = RunStage {
            stage: stage.clone(),
            started,
            duration,
            reasons,
            outcome,
            message: failure.map(|f| f.message.clone()),
            log: failure
                .and_then(|f| f.log.as_ref())
                .map(|log| log.display().to_string()),
        };
        self.db.add_run_stage(&self.run, &stage)
    }
}

impl Sink for History {
    fn event(&self, event: Event) {
        if let Err(error) = self.note(&event) {
            self.inner.event(Event::Warning {
                stage: None,
                message: format!("cannot write the history: {error}"),
            });
        }
        self.inner.event(event);
    }
}

fn outcome_of(summary: &RunSummary) -> RunOutcome {
    if summary.interrupted {
        RunOutcome::Interrupted
    } else if summary.failed.is_empty() {
        RunOutcome::Done
    } else {
        RunOutcome::Failed
    }
}
