//! One stage from its facts to its record: decided, tried, recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::run::{ExecError, Found, Shared, StageContext, tell};
use super::{Event, Outcome, Output, StageFailure};
use crate::model::{Artifact, Digest, Stage, StageKey, StageKind};
use crate::plan::{self, Decision, Facts, Record};

/// How a stage was settled.
pub(super) enum Settled {
    /// Its artifact was there, under this fingerprint.
    Cached(Arc<Artifact>, Digest),
    /// It ran, and its artifact was recorded under this fingerprint.
    Ran(Arc<Artifact>, Digest, Duration),
    /// It failed for good.
    Failed(Box<StageFailure>, Duration),
    /// It was asked to stop.
    Cancelled,
}

/// Settles a stage whose needs are settled.
pub(super) async fn settle(
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    upstream: BTreeMap<StageKey, Arc<Artifact>>,
    upstream_ran: bool,
) -> Settled {
    let facts = match facts(&shared, &stage).await {
        Ok(facts) => facts,
        Err(message) => return fail_early(message),
    };
    let digest =
        |key: &StageKey| -> Option<Digest> { upstream.get(key).map(|artifact| artifact.digest()) };
    let ingredients = match plan::ingredients(&stage, &facts, &digest) {
        Ok(ingredients) => ingredients,
        Err(error) => return fail_early(error.to_string()),
    };
    let forced = shared.request.forced.contains(&stage.key.name);
    let reasons = match plan::decide(
        &stage,
        &ingredients,
        &facts,
        &shared.db.records(&shared.store),
        forced,
    ) {
        Decision::Fresh(record) => {
            let touched = shared.db.touch([record.as_ref()]);
            tell(&shared, Some(&stage.key), touched);
            let fingerprint = record.fingerprint;
            let artifact = Arc::new(record.artifact);
            if let Err(failure) = shared.executor.restore(&stage, &artifact).await {
                return Settled::Failed(Box::new(failure), Duration::ZERO);
            }
            publish(&shared, &stage, &artifact).await;
            shared.sink.event(Event::StageCached {
                stage: stage.key.clone(),
                early_cutoff: upstream_ran,
            });
            return Settled::Cached(artifact, fingerprint);
        }
        Decision::Stale(reasons) => reasons,
    };
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let settled = attempts(&shared, &stage, upstream, Arc::new(ingredients), reasons).await;
    if let Settled::Ran(artifact, ..) = &settled {
        publish(&shared, &stage, artifact).await;
    }
    settled
}

/// What the outside contributes. Files are read on a thread that may wait for the disk.
async fn facts(shared: &Shared, stage: &Arc<Stage>) -> Result<Facts, String> {
    let (executor, asked) = (Arc::clone(&shared.executor), Arc::clone(stage));
    if plan::inputs_of(stage).is_empty() && !plan::rereads(stage) {
        return executor.facts(&asked);
    }
    let facts = tokio::task::spawn_blocking(move || executor.facts(&asked)).await;
    facts.unwrap_or_else(|e| Err(e.to_string()))
}

fn fail_early(message: String) -> Settled {
    Settled::Failed(
        Box::new(StageFailure {
            message,
            ..StageFailure::default()
        }),
        Duration::ZERO,
    )
}

async fn attempts(
    shared: &Shared,
    stage: &Arc<Stage>,
    upstream: BTreeMap<StageKey, Arc<Artifact>>,
    ingredients: Arc<plan::Ingredients>,
    reasons: Vec<String>,
) -> Settled {
    let name = format!("{}.log", stage.key.slug());
    let log = shared.request.logs.join(name);
    let forced = shared.request.forced.contains(&stage.key.name);
    let mut attempt = 1;
    loop {
        let started = Instant::now();
        let started_at = SystemTime::now();
        shared.sink.event(Event::StageStarted {
            stage: stage.key.clone(),
            kind: stage.kind.name(),
            reasons: reasons.clone(),
            expected: shared.db.duration(&stage.key, ""),
            attempt,
        });
        let (sink, redact) = (Arc::clone(&shared.sink), Arc::clone(&shared.redact));
        let output = match Output::create(&stage.key, &log, sink, redact) {
            Ok(output) => output,
            Err(error) => {
                return fail_early(format!("cannot write the log {}: {error}", log.display()));
            }
        };
        let context = StageContext {
            stage: Arc::clone(stage),
            upstream: upstream.clone(),
            ingredients: Arc::clone(&ingredients),
            from_scratch: forced || attempt > 1,
            output: output.clone(),
            // its own token: a timeout stops this attempt and its clean-up still runs
            cancel: shared.cancel.child(),
            found: Found::default(),
        };
        let found = Arc::clone(&context.found);
        let result = attempt_once(shared, stage, context).await;
        output.flush();
        let elapsed = started.elapsed();
        let failure = match result {
            Ok(artifact) => {
                let made_from = (&ingredients, &upstream);
                let times = (started_at, elapsed);
                match keep(shared, stage, artifact, made_from, found, times, &output).await {
                    Ok(settled) => return settled,
                    Err(failure) => failure,
                }
            }
            Err(ExecError::Cancelled) => return Settled::Cancelled,
            Err(ExecError::Failed(failure)) => *failure,
        };
        let failure = complete(failure, &output);
        if attempt > stage.retries || shared.cancel.is_cancelled() {
            return Settled::Failed(Box::new(failure), elapsed);
        }
        let outcome = Outcome::Retrying(failure);
        shared.sink.event(Event::StageFinished {
            stage: stage.key.clone(),
            outcome,
            elapsed,
        });
        attempt += 1;
    }
}

/// Records what a stage has made, of what it turned out to be made from.
async fn keep(
    shared: &Shared,
    stage: &Arc<Stage>,
    artifact: Artifact,
    made_from: (&Arc<plan::Ingredients>, &BTreeMap<StageKey, Arc<Artifact>>),
    found: Found,
    times: (SystemTime, Duration),
    output: &Output,
) -> Result<Settled, StageFailure> {
    let ingredients = looked_again(shared, stage, made_from, (found, times.0), output).await;
    let (artifact, fingerprint) = commit(
        shared,
        stage,
        &ingredients,
        artifact,
        times,
        output.log_path(),
    )?;
    Ok(Settled::Ran(artifact, fingerprint, times.1))
}

/// What the stage was made from, now that it is known what it has read: with the files that it found, and without trust in
/// those that changed while it ran.
async fn looked_again(
    shared: &Shared,
    stage: &Arc<Stage>,
    (before, upstream): (&Arc<plan::Ingredients>, &BTreeMap<StageKey, Arc<Artifact>>),
    (found, started): (Found, SystemTime),
    output: &Output,
) -> Arc<plan::Ingredients> {
    if !plan::rereads(stage) {
        return Arc::clone(before);
    }
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    let (executor, asked) = (Arc::clone(&shared.executor), Arc::clone(stage));
    let facts =
        tokio::task::spawn_blocking(move || executor.facts_after(&asked, &found, started)).await;
    let digest = |key: &StageKey| upstream.get(key).map(|artifact| artifact.digest());
    let after = facts
        .unwrap_or_else(|e| Err(e.to_string()))
        .and_then(|(facts, touched)| {
            let after = plan::ingredients(stage, &facts, &digest).map_err(|e| e.to_string())?;
            Ok(before.after(after, &touched))
        });
    match after {
        Ok((after, changed)) => {
            if !changed.is_empty() {
                let files = listed(&changed);
                output.warn(format!(
                    "{files} changed while it ran: the next run does it again"
                ));
            }
            Arc::new(after)
        }
        Err(why) => {
            output.warn(format!(
                "{why}, now that it has run: the next run does it again"
            ));
            Arc::new(before.spoilt())
        }
    }
}

/// As many names as people read.
#[must_use]
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}

/// Shows a recorded artifact; a failure is a warning, for the next run does it again.
async fn publish(shared: &Shared, stage: &Stage, artifact: &Artifact) {
    // a server may take its time, and what is gathered holds others up
    if !matches!(stage.kind, StageKind::Command(_)) {
        tell(shared, Some(&stage.key), shared.db.flush());
    }
    if let Err(failure) = shared.executor.publish(stage, artifact).await {
        shared.sink.event(Event::Warning {
            stage: Some(stage.key.clone()),
            message: (shared.redact)(&failure.message),
        });
    }
}

/// Records an artifact; only then is the stage done.
fn commit(
    shared: &Shared,
    stage: &Stage,
    ingredients: &plan::Ingredients,
    artifact: Artifact,
    (started, elapsed): (SystemTime, Duration),
    log: &std::path::Path,
) -> Result<(Arc<Artifact>, Digest), StageFailure> {
    let fingerprint = ingredients.fingerprint();
    let record = Record {
        stage: stage.key.clone(),
        fingerprint,
        ingredients: ingredients.clone(),
        artifact: artifact.traced(&fingerprint),
        started: started
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs()),
        duration_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        run: shared.request.run_id.clone(),
        log: Some(log.display().to_string()),
    };
    shared.db.commit(&record).map_err(|error| StageFailure {
        message: format!("cannot record the stage: {error}"),
        environment: true,
        ..StageFailure::default()
    })?;
    let artifact = Arc::new(record.artifact);
    let outcome = Outcome::Done(Arc::clone(&artifact));
    shared.sink.event(Event::StageFinished {
        stage: stage.key.clone(),
        outcome,
        elapsed,
    });
    Ok((artifact, fingerprint))
}

async fn attempt_once(
    shared: &Shared,
    stage: &Stage,
    context: StageContext,
) -> Result<Artifact, ExecError> {
    let cancel = context.cancel.clone();
    let work = shared.executor.execute(context);
    let Some(limit) = stage.timeout else {
        return work.await;
    };
    tokio::pin!(work);
    match tokio::time::timeout(limit.std(), &mut work).await {
        Ok(result) => result,
        Err(_) => {
            cancel.cancel(crate::sys::CancelKind::Graceful);
            let _ = work.await;
            if shared.cancel.is_cancelled() {
                return Err(ExecError::Cancelled);
            }
            Err(StageFailure {
                message: format!("not done within its timeout of {limit}"),
                help: vec![format!(
                    "raise `timeout` of stage `{}` if it needs longer",
                    stage.key.name
                )],
                ..StageFailure::default()
            }
            .into())
        }
    }
}

/// Fills in what every failure carries: the step, the last lines, the log.
fn complete(mut failure: StageFailure, output: &Output) -> StageFailure {
    let (step, tail) = output.tail();
    failure.message = output.redact(&failure.message);
    failure.step = failure.step.or(step);
    if failure.tail.is_empty() {
        failure.tail = tail;
    }
    failure.log = Some(output.log_path().to_owned());
    output.note(&format!("failed: {}", failure.message));
    failure
}
