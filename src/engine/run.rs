//! The run itself: the one place with tasks and time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::settle::{Settled, settle};
use super::{
    Demand, Event, Limits, Outcome, Output, Pools, Redact, RunSummary, Schedule, Sink, StageFailure,
};
use crate::model::{Artifact, Digest, Name, Project, Stage, StageKey};
use crate::plan::{Facts, Ingredients};
use crate::store::{Db, Store, StoreError};
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
    /// What it is made from.
    pub ingredients: Arc<Ingredients>,
    /// Nothing that an earlier attempt has left may be gone on from.
    pub from_scratch: bool,
    /// Its voice.
    pub output: Output,
    /// Asked to stop.
    pub cancel: Cancel,
    /// Takes the files that the stage turns out to read.
    pub found: Found,
}

/// Files that a stage has turned out to read: paths relative to the project, or absolute ones.
pub type Found = Arc<Mutex<BTreeSet<String>>>;

/// How stages are done. Implemented by `stages`, and by fakes in tests.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What the outside contributes to the stage's ingredients. Blocking: reads and hashes files.
    fn facts(&self, stage: &Stage) -> Result<Facts, String>;

    /// As [`Executor::facts`], when the stage has ended and has turned out to read `found`; with those of them that were
    /// written at `started` or later.
    fn facts_after(
        &self,
        stage: &Stage,
        found: &BTreeSet<String>,
        started: SystemTime,
    ) -> Result<(Facts, BTreeSet<String>), String>;

    /// What the stage uses while it runs.
    fn demand(&self, stage: &Stage) -> Demand;

    /// Does the stage.
    async fn execute(&self, context: StageContext) -> Result<Artifact, ExecError>;

    /// Puts what users see of an artifact (`output/…`) in place again where it is missing or altered.
    async fn restore(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure>;

    /// Shows a recorded artifact where others look for it: a machine on a server gets its name. What fails here is done
    /// again by the next run.
    async fn publish(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure> {
        let _ = (stage, artifact);
        Ok(())
    }
}

/// What to run and how.
#[derive(Clone)]
pub struct RunRequest {
    /// The project.
    pub project: Arc<Project>,
    /// The selected stages in topological order, closed under needs but for those that are `untouched`.
    pub stages: Vec<StageKey>,
    /// What is known to be up to date.
    pub untouched: Untouched,
    /// How long it will take, if that is known.
    pub expected: Option<Duration>,
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

/// Stages of a run that are known to be up to date before it begins: they count, but are not looked at.
#[derive(Clone, Debug, Default)]
pub struct Untouched {
    /// Which, in topological order.
    pub stages: Vec<StageKey>,
    /// What they have left, as far as others need it.
    pub artifacts: BTreeMap<StageKey, Arc<Artifact>>,
    /// What users take away of them: paths relative to the project, with sizes in bytes.
    pub files: Vec<(String, u64)>,
}

/// How a run has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// In words and numbers.
    pub summary: RunSummary,
    /// What the stages have left that were up to date or ran, with the fingerprints of their records.
    pub settled: BTreeMap<StageKey, (Arc<Artifact>, Digest)>,
}

/// What the tasks of a run share.
pub(super) struct Shared {
    pub(super) request: RunRequest,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) store: Arc<Store>,
    pub(super) db: Arc<Db>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) redact: Redact,
    pub(super) cancel: Cancel,
}

/// Runs the request to its end; failures are in the summary, not an error.
pub async fn run(
    request: RunRequest,
    executor: Arc<dyn Executor>,
    (store, db): (Arc<Store>, Arc<Db>),
    sink: Arc<dyn Sink>,
    redact: Redact,
    cancel: Cancel,
) -> Ended {
    let started = Instant::now();
    let known: HashMap<&StageKey, &Stage> = request
        .project
        .stages
        .iter()
        .map(|stage| (&stage.key, stage))
        .collect();
    let stages: Vec<Arc<Stage>> = request
        .stages
        .iter()
        .filter_map(|key| known.get(key).copied().cloned())
        .map(Arc::new)
        .collect();
    drop(known);
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
        expected: shared.request.expected,
        total: stages.len() + shared.request.untouched.stages.len(),
    });
    let mut driver = Driver::new(shared, stages);
    tell(&driver.shared, None, driver.shared.db.gather(true));
    driver.drive().await;
    tell(&driver.shared, None, driver.shared.db.gather(false));
    let mut summary = driver.summary;
    summary.interrupted = driver.shared.cancel.is_cancelled() && !driver.stopped_by_failure;
    summary.elapsed = started.elapsed();
    driver
        .shared
        .sink
        .event(Event::RunFinished(summary.clone()));
    Ended {
        summary,
        settled: driver.settled,
    }
}

/// What could not be written is a warning: a record that is lost means that a stage runs again.
pub(super) fn tell(shared: &Shared, stage: Option<&StageKey>, written: Result<(), StoreError>) {
    if let Err(error) = written {
        shared.sink.event(Event::Warning {
            stage: stage.cloned(),
            message: error.to_string(),
        });
    }
}

struct Driver {
    shared: Arc<Shared>,
    stages: Vec<Arc<Stage>>,
    schedule: Schedule,
    artifacts: BTreeMap<StageKey, Arc<Artifact>>,
    settled: BTreeMap<StageKey, (Arc<Artifact>, Digest)>,
    ran: BTreeSet<StageKey>,
    summary: RunSummary,
    stopped_by_failure: bool,
    /// When the first of what is not written yet was left.
    gathered_since: Option<tokio::time::Instant>,
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
        let pools = Pools::of(&shared.request.project.pools, &stages);
        let limits = shared.request.limits;
        let schedule = Schedule::new(&needs, demands, &cost, limits).with_pools(pools);
        let Untouched {
            stages: untouched,
            artifacts,
            files,
        } = shared.request.untouched.clone();
        for stage in &untouched {
            shared.sink.event(Event::StageCached {
                stage: stage.clone(),
                early_cutoff: false,
            });
        }
        let summary = RunSummary {
            cached: untouched,
            artifacts: files,
            ..RunSummary::default()
        };
        Self {
            shared,
            stages,
            schedule,
            artifacts,
            settled: BTreeMap::new(),
            ran: BTreeSet::new(),
            summary,
            stopped_by_failure: false,
            gathered_since: None,
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
            let Some(joined) = self.next_end(&mut tasks).await else {
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

    /// The next stage to end. What those before it have left is written within a moment.
    async fn next_end<T: 'static>(
        &mut self,
        tasks: &mut JoinSet<T>,
    ) -> Option<Result<T, tokio::task::JoinError>> {
        /// Short stages end more often than this, and are written together.
        const MOMENT: Duration = Duration::from_millis(20);
        if self.shared.db.has_gathered() {
            let since = self
                .gathered_since
                .get_or_insert_with(tokio::time::Instant::now);
            let until = *since + MOMENT;
            if tokio::time::Instant::now() < until {
                tokio::select! {
                    joined = tasks.join_next() => return joined,
                    () = tokio::time::sleep_until(until) => {}
                }
            }
            tell(&self.shared, None, self.shared.db.flush());
        }
        self.gathered_since = None;
        tasks.join_next().await
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
            Settled::Cached(artifact, fingerprint) => {
                let settled = (Arc::clone(&artifact), fingerprint);
                self.settled.insert(key.clone(), settled);
                self.artifacts.insert(key.clone(), artifact);
                self.summary.cached.push(key);
                self.schedule.done(index);
            }
            Settled::Ran(artifact, fingerprint, elapsed) => {
                let settled = (Arc::clone(&artifact), fingerprint);
                self.settled.insert(key.clone(), settled);
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
