//! The run itself: the one place with tasks and time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::{
    Demand, Event, Limits, Outcome, Output, Redact, RunSummary, Schedule, Sink, StageFailure,
};
use crate::model::{Artifact, Digest, Name, Project, Stage, StageKey};
use crate::plan::{self, Decision, Facts, Record};
use crate::store::{Db, Store};
use crate::sys::Cancel;

/// How a stage did not end with an artifact.
#[derive(Debug)]
pub enum ExecError {
    /// It failed.
    Failed(Box<StageFailure>),
    /// It stopped because it was asked to.
    Cancelled,
}

impl From<StageFailure> for ExecError {
    fn from(failure: StageFailure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// What a stage is given while it runs.
pub struct StageContext {
    /// The stage.
    pub stage: Arc<Stage>,
    /// The artifacts of all that it needs.
    pub upstream: BTreeMap<StageKey, Arc<Artifact>>,
    /// Its voice.
    pub output: Output,
    /// Asked to stop.
    pub cancel: Cancel,
}

/// How stages are done. Implemented by `stages`, and by fakes in tests.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What the outside contributes to the stage's ingredients. Blocking: reads and hashes files.
    fn facts(&self, stage: &Stage) -> Result<Facts, String>;

    /// What the stage uses while it runs.
    fn demand(&self, stage: &Stage) -> Demand;

    /// Does the stage.
    async fn execute(&self, context: StageContext) -> Result<Artifact, ExecError>;

    /// Puts what users see of an artifact (`output/…`) in place again where it is missing or altered.
    async fn restore(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure>;
}

/// What to run and how.
#[derive(Clone)]
pub struct RunRequest {
    /// The project.
    pub project: Arc<Project>,
    /// The selected stages in topological order, closed under needs.
    pub stages: Vec<StageKey>,
    /// What was asked for, for people.
    pub targets: Vec<String>,
    /// Stages that run whatever their record says.
    pub forced: BTreeSet<Name>,
    /// What may be used at one time.
    pub limits: Limits,
    /// The first failure stops everything.
    pub fail_fast: bool,
    /// The run's id.
    pub run_id: String,
    /// Where logs go: one file per stage.
    pub logs: PathBuf,
}

struct Shared {
    request: RunRequest,
    executor: Arc<dyn Executor>,
    store: Arc<Store>,
    db: Arc<Db>,
    sink: Arc<dyn Sink>,
    redact: Redact,
    cancel: Cancel,
}

enum Settled {
    Cached(Arc<Artifact>),
    Ran(Arc<Artifact>, Duration),
    Failed(Box<StageFailure>, Duration),
    Cancelled,
}

/// Runs the request to its end; failures are in the summary, not an error.
pub async fn run(
    request: RunRequest,
    executor: Arc<dyn Executor>,
    (store, db): (Arc<Store>, Arc<Db>),
    sink: Arc<dyn Sink>,
    redact: Redact,
    cancel: Cancel,
) -> RunSummary {
    let started = Instant::now();
    let stages: Vec<Arc<Stage>> = request
        .stages
        .iter()
        .filter_map(|key| request.project.stage(key))
        .cloned()
        .map(Arc::new)
        .collect();
    let shared = Arc::new(Shared {
        request,
        executor,
        store,
        db,
        sink,
        redact,
        cancel,
    });
    shared.sink.event(Event::RunStarted {
        run: shared.request.run_id.clone(),
        targets: shared.request.targets.clone(),
        total: stages.len(),
    });
    let mut driver = Driver::new(shared, stages);
    driver.drive().await;
    let mut summary = driver.summary;
    summary.interrupted = driver.shared.cancel.is_cancelled() && !driver.stopped_by_failure;
    summary.elapsed = started.elapsed();
    driver
        .shared
        .sink
        .event(Event::RunFinished(summary.clone()));
    summary
}

struct Driver {
    shared: Arc<Shared>,
    stages: Vec<Arc<Stage>>,
    schedule: Schedule,
    artifacts: BTreeMap<StageKey, Arc<Artifact>>,
    ran: BTreeSet<StageKey>,
    summary: RunSummary,
    stopped_by_failure: bool,
}

impl Driver {
    fn new(shared: Arc<Shared>, stages: Vec<Arc<Stage>>) -> Self {
        let index: BTreeMap<&StageKey, usize> = stages
            .iter()
            .enumerate()
            .map(|(i, s)| (&s.key, i))
            .collect();
        let needs: Vec<Vec<usize>> = stages
            .iter()
            .map(|s| {
                s.needs
                    .iter()
                    .filter_map(|key| index.get(key).copied())
                    .collect()
            })
            .collect();
        let demands = stages.iter().map(|s| shared.executor.demand(s)).collect();
        let cost: Vec<u64> = stages
            .iter()
            .map(|s| {
                shared.db.duration(&s.key, "").map_or(1, |d| {
                    u64::try_from(d.as_millis()).unwrap_or(u64::MAX / 4096)
                })
            })
            .collect();
        let schedule = Schedule::new(&needs, demands, &cost, shared.request.limits);
        Self {
            shared,
            stages,
            schedule,
            artifacts: BTreeMap::new(),
            ran: BTreeSet::new(),
            summary: RunSummary::default(),
            stopped_by_failure: false,
        }
    }

    async fn drive(&mut self) {
        let mut tasks: JoinSet<(usize, Settled)> = JoinSet::new();
        loop {
            while !self.shared.cancel.is_cancelled() {
                let Some(next) = self.schedule.start_next() else {
                    break;
                };
                let task = self.settle(next);
                tasks.spawn(async move { (next, task.await) });
            }
            let Some(joined) = tasks.join_next().await else {
                break;
            };
            match joined {
                Ok((index, settled)) => self.ended(index, settled),
                Err(error) => self.shared.sink.event(Event::Warning {
                    stage: None,
                    message: format!("a stage's task ended unexpectedly: {error}; please report this as forge's bug"),
                }),
            }
        }
    }

    fn settle(&self, index: usize) -> impl Future<Output = Settled> + Send + 'static {
        let stage = Arc::clone(&self.stages[index]);
        let upstream: BTreeMap<StageKey, Arc<Artifact>> = stage
            .needs
            .iter()
            .filter_map(|key| {
                self.artifacts
                    .get(key)
                    .map(|artifact| (key.clone(), Arc::clone(artifact)))
            })
            .collect();
        let upstream_ran = stage.needs.iter().any(|key| self.ran.contains(key));
        settle(Arc::clone(&self.shared), stage, upstream, upstream_ran)
    }

    fn ended(&mut self, index: usize, settled: Settled) {
        let key = self.stages[index].key.clone();
        match settled {
            Settled::Cached(artifact) => {
                self.artifacts.insert(key.clone(), artifact);
                self.summary.cached.push(key);
                self.schedule.done(index);
            }
            Settled::Ran(artifact, elapsed) => {
                self.artifacts.insert(key.clone(), artifact);
                self.ran.insert(key.clone());
                self.summary.ran.push((key, elapsed));
                self.schedule.done(index);
            }
            Settled::Failed(failure, elapsed) => {
                self.summary.failed.push((key.clone(), (*failure).clone()));
                self.shared.sink.event(Event::StageFinished {
                    stage: key.clone(),
                    outcome: Outcome::Failed(*failure),
                    elapsed,
                });
                self.block(index, &key);
                if self.shared.request.fail_fast {
                    self.stopped_by_failure = true;
                    self.shared.cancel.cancel(crate::sys::CancelKind::Graceful);
                }
            }
            Settled::Cancelled => {
                self.shared.sink.event(Event::StageFinished {
                    stage: key,
                    outcome: Outcome::Cancelled,
                    elapsed: Duration::ZERO,
                });
                self.schedule.failed(index);
            }
        }
        self.collect_files(index);
    }

    fn block(&mut self, index: usize, key: &StageKey) {
        for blocked in self.schedule.failed(index) {
            let stage = self.stages[blocked].key.clone();
            self.summary.blocked.push(stage.clone());
            self.shared.sink.event(Event::StageFinished {
                stage,
                outcome: Outcome::Blocked { by: key.clone() },
                elapsed: Duration::ZERO,
            });
        }
    }

    fn collect_files(&mut self, index: usize) {
        let Some(artifact) = self.artifacts.get(&self.stages[index].key) else {
            return;
        };
        for file in artifact.files.values() {
            if let Some(path) = &file.path {
                self.summary
                    .artifacts
                    .push((path.clone(), file.size.bytes()));
            }
        }
    }
}

async fn settle(
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    upstream: BTreeMap<StageKey, Arc<Artifact>>,
    upstream_ran: bool,
) -> Settled {
    let (executor, asked) = (Arc::clone(&shared.executor), Arc::clone(&stage));
    let facts = tokio::task::spawn_blocking(move || executor.facts(&asked)).await;
    let facts = match facts.unwrap_or_else(|e| Err(e.to_string())) {
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
        &shared.db.records(&shared.store),
        forced,
    ) {
        Decision::Fresh(record) => {
            if let Err(error) = shared.db.touch([record.as_ref()]) {
                shared.sink.event(Event::Warning {
                    stage: Some(stage.key.clone()),
                    message: error.to_string(),
                });
            }
            let artifact = Arc::new(record.artifact);
            if let Err(failure) = shared.executor.restore(&stage, &artifact).await {
                return Settled::Failed(Box::new(failure), Duration::ZERO);
            }
            shared.sink.event(Event::StageCached {
                stage: stage.key.clone(),
                early_cutoff: upstream_ran,
            });
            return Settled::Cached(artifact);
        }
        Decision::Stale(reasons) => reasons,
    };
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    attempts(&shared, &stage, upstream, ingredients, reasons).await
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
    ingredients: plan::Ingredients,
    reasons: Vec<String>,
) -> Settled {
    let log = shared
        .request
        .logs
        .join(format!("{}.log", stage.key.slug()));
    let mut attempt = 1;
    loop {
        let started = Instant::now();
        let started_at = SystemTime::now();
        shared.sink.event(Event::StageStarted {
            stage: stage.key.clone(),
            reasons: reasons.clone(),
            expected: shared.db.duration(&stage.key, ""),
            attempt,
        });
        let output = match Output::create(
            &stage.key,
            &log,
            Arc::clone(&shared.sink),
            Arc::clone(&shared.redact),
        ) {
            Ok(output) => output,
            Err(error) => {
                return fail_early(format!("cannot write the log {}: {error}", log.display()));
            }
        };
        let result = attempt_once(shared, stage, &upstream, &output).await;
        output.flush();
        let elapsed = started.elapsed();
        let failure = match result {
            Ok(artifact) => {
                let times = (started_at, elapsed);
                match commit(shared, stage, &ingredients, artifact, times, &log) {
                    Ok(artifact) => return Settled::Ran(artifact, elapsed),
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

/// Records an artifact; only then is the stage done.
fn commit(
    shared: &Shared,
    stage: &Stage,
    ingredients: &plan::Ingredients,
    artifact: Artifact,
    (started, elapsed): (SystemTime, Duration),
    log: &std::path::Path,
) -> Result<Arc<Artifact>, StageFailure> {
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
    Ok(artifact)
}

async fn attempt_once(
    shared: &Shared,
    stage: &Arc<Stage>,
    upstream: &BTreeMap<StageKey, Arc<Artifact>>,
    output: &Output,
) -> Result<Artifact, ExecError> {
    // its own token: a timeout stops this attempt and its clean-up still runs
    let cancel = shared.cancel.child();
    let context = StageContext {
        stage: Arc::clone(stage),
        upstream: upstream.clone(),
        output: output.clone(),
        cancel: cancel.clone(),
    };
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
