//! `forge run` without loading the project, where a kept graph says that nothing, or only some of it, has changed.
//!
//! A run of commands that ends well keeps its graph ([`Way::keep`]); the next one that is asked the same way ([`Way::of`])
//! begins with it ([`Way::go`]), and is done the long way where it does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::common::Global;
use super::run::{Job, RunArgs, display, lock_holder, lock_path, traced, work};
use super::session::{
    Session, cache_dir, find_project, open_for, open_records, plan_error, run_facts, show_warnings,
};
use super::world::RealWorld;
use super::{CliError, Exit};
use crate::config::{Loaded, Secrets, VariableTable};
use crate::diag::Diagnostics;
use crate::engine::{Ended, Event, History, RunSummary, Sink, Untouched};
use crate::model::{Artifact, Digest, Input, Project, Stage, StageKey};
use crate::plan::{self, FileFacts, Graph};
use crate::report::{self, OutputKind};
use crate::stages::Host;
use crate::store::{self, Checked, Db, Drawn, Head, KeptGraph, Settled, Sketch};
use crate::sys::FileLock;

/// So many graphs are kept for one project, the newest.
const KEPT: usize = 16;

/// A way of asking: the project, the targets, all that is said on the command line.
pub(super) struct Way {
    root: PathBuf,
    cache: PathBuf,
    /// Its graph.
    path: PathBuf,
}

/// A kept graph that has been looked at, under the project's lock.
struct Ready {
    graph: KeptGraph,
    checked: Checked,
    /// Numbers of inputs that are not one file.
    inputs: Vec<usize>,
    db: Arc<Db>,
    lock: FileLock,
    started: Instant,
}

impl Way {
    /// The way that is asked here; none where everything has to be looked at.
    pub(super) fn of(global: &Global, args: &RunArgs) -> Result<Option<Self>, CliError> {
        if args.dry_run || args.watch || args.debug || !args.force.is_empty() {
            return Ok(None);
        }
        let (root, cache) = (find_project(global)?, cache_dir(global)?);
        let choice = &args.choice;
        let files: Option<Vec<PathBuf>> = choice
            .var_files
            .iter()
            .map(|file| std::path::absolute(file).ok())
            .collect();
        let asked = (&args.targets, &choice.set, &choice.all, &choice.vars, files);
        let how = (&choice.provider, &root, &cache, global.colour_stderr());
        let (Some(program), Ok(key)) = (program(), serde_json::to_vec(&(asked, how))) else {
            return Ok(None);
        };
        let key = [program.as_bytes(), &key].concat();
        let path = graphs(&root).join(Digest::of(&key).short());
        Ok(Some(Self { root, cache, path }))
    }

    /// Runs with the kept graph; none if the project has to be loaded.
    pub(super) fn go(&self, global: &Global, args: &RunArgs) -> Result<Option<Exit>, CliError> {
        let Some(ready) = self.ready(args)? else {
            return Ok(None);
        };
        let same = ready.checked.is_unchanged() && ready.inputs.is_empty();
        if same && !ready.graph.head.unsure {
            return self.nothing_to_do(global, args, ready).map(Some);
        }
        match ready.graph.draw(&ready.checked, &ready.inputs) {
            Some(drawn) => self.some(global, args, ready, drawn).map(Some),
            None => Ok(None),
        }
    }

    /// The kept graph and what has changed since; none if it does not fit.
    fn ready(&self, args: &RunArgs) -> Result<Option<Ready>, CliError> {
        let started = Instant::now();
        if !self.path.exists() {
            return Ok(None);
        }
        let state_dir = self.root.join(".forge");
        let Ok(lock) = FileLock::try_acquire(&lock_path(&state_dir), &lock_holder(&args.targets))
        else {
            return Ok(None);
        };
        let Some(mut graph) = KeptGraph::open(&self.path) else {
            return Ok(None);
        };
        let db = open_records(&state_dir)?;
        if db.generation().ok() != Some(graph.head.generation) {
            return Ok(None);
        }
        // machines on servers that a killed forge has left
        let left = std::fs::read_dir(state_dir.join("journal"));
        if left.is_ok_and(|mut entries| entries.next().is_some()) {
            return Ok(None);
        }
        if !graph
            .head
            .asked
            .iter()
            .all(|asked| asked.still_so(&RealWorld))
        {
            return Ok(None);
        }
        let Ok(checked) = graph.check(&self.root, &self.cache.join("objects")) else {
            return Ok(None);
        };
        let Some(inputs) = self.changed_inputs(&graph, &db) else {
            return Ok(None);
        };
        Ok(Some(Ready {
            graph,
            checked,
            inputs,
            db,
            lock,
            started,
        }))
    }

    /// The inputs beside single files that have changed; none if one of them is not there.
    fn changed_inputs(&self, graph: &KeptGraph, db: &Db) -> Option<Vec<usize>> {
        let known = &graph.head.inputs;
        if known.is_empty() {
            return Some(Vec::new());
        }
        let inputs: Vec<Input> = known.iter().map(|(input, _)| input.clone()).collect();
        let facts = store::facts(&self.root, &inputs, &db.stat_cache());
        let mut changed = Vec::new();
        for (number, (input, digest)) in known.iter().enumerate() {
            let facts = facts.get(input);
            if store::digest_of_facts(facts) == *digest {
                continue;
            }
            match facts {
                Some(FileFacts::Found(files)) if !files.is_empty() => changed.push(number),
                _ => return None,
            }
        }
        Some(changed)
    }

    /// Everything is up to date.
    fn nothing_to_do(
        &self,
        global: &Global,
        args: &RunArgs,
        ready: Ready,
    ) -> Result<Exit, CliError> {
        let Ready {
            mut graph,
            checked,
            db,
            lock,
            started,
            ..
        } = ready;
        let summary = summary(&graph, names(global, args, &graph));
        show_warnings(&graph.head.warnings);
        let sink = traced(display(global, args.quiet).0, args.trace.as_deref())?;
        let facts = run_facts();
        let _store = open_for(&self.root, &self.cache, &facts.id, &|message| {
            sink.event(Event::Warning {
                stage: None,
                message,
            });
        })?;
        let sink = History::new(facts.id.clone(), Arc::clone(&db), sink);
        sink.event(Event::RunStarted {
            run: facts.id,
            targets: graph.head.targets.clone(),
            total: summary.cached.len() + summary.unnamed.0,
            expected: None,
        });
        for stage in &summary.cached {
            sink.event(Event::StageCached {
                stage: stage.clone(),
                early_cutoff: false,
            });
        }
        sink.event(Event::RunFinished(RunSummary {
            elapsed: started.elapsed(),
            ..summary
        }));
        let due = graph.head.use_is_due();
        if due && db.touch_last(graph.key_texts()).is_ok() {
            graph.head.used_now();
        }
        if due || checked.refreshed {
            // without it the next run takes longer
            let _ = graph.save();
        }
        db.leave_log();
        drop(lock);
        Ok(Exit::Done)
    }

    /// Some of it may have to run.
    fn some(
        &self,
        global: &Global,
        args: &RunArgs,
        ready: Ready,
        drawn: Drawn,
    ) -> Result<Exit, CliError> {
        let Ready {
            graph, db, lock, ..
        } = ready;
        // the session opens them for itself
        drop(db);
        show_warnings(&graph.head.warnings);
        let given = drawn.artifacts.keys().cloned().collect();
        let session = self.session(&graph.head, drawn.stages, given)?;
        let artifacts: BTreeMap<StageKey, Arc<Artifact>> = drawn
            .artifacts
            .into_iter()
            .map(|(key, artifact)| (key, Arc::new(artifact)))
            .collect();
        let stages = session.project.stages.iter();
        let job = Job {
            stages: stages.map(|stage| stage.key.clone()).collect(),
            untouched: Untouched {
                stages: drawn.untouched,
                artifacts: artifacts.clone(),
                files: drawn.files,
            },
            targets: graph.head.targets.clone(),
            forced: BTreeSet::new(),
            facts: run_facts(),
            lock: Some(lock),
        };
        let shown = display(global, args.quiet);
        work(args, &session, job, shown, &|host, ended| {
            let sketch = graph.sketch();
            let kept =
                sketch.and_then(|sketch| self.draw(sketch, &session, host, ended, &artifacts));
            self.kept_or_gone(kept);
        })
    }

    /// A session that knows these stages and no more.
    fn session(
        &self,
        head: &Head,
        stages: Vec<Stage>,
        given: Vec<StageKey>,
    ) -> Result<Session, CliError> {
        let project = Project {
            root: self.root.clone(),
            name: head.project.clone(),
            version: head.version.clone(),
            axes: Vec::new(),
            stages,
            targets: BTreeMap::new(),
            default: Vec::new(),
            providers: BTreeMap::new(),
            resources: head.resources,
            pools: head.pools.clone(),
        };
        let graph = Graph::part(&project).map_err(|e| plan_error(&e))?;
        Ok(Session {
            root: self.root.clone(),
            cache: self.cache.clone(),
            project: Arc::new(project.clone()),
            loaded: Loaded {
                project,
                warnings: Diagnostics::default(),
                secrets: Secrets::default(),
                variables: VariableTable::default(),
            },
            graph,
            given,
            asked: Vec::new(),
            warned: String::new(),
        })
    }

    /// Keeps the graph of a run that ended well, if it is one that can be kept.
    pub(super) fn keep(&self, session: &Session, host: &Host, ended: &Ended, targets: &[String]) {
        self.kept_or_gone(self.drawn_anew(session, host, ended, targets));
    }

    fn drawn_anew(
        &self,
        session: &Session,
        host: &Host,
        ended: &Ended,
        targets: &[String],
    ) -> Option<()> {
        // secrets are written nowhere, not even as a digest
        if session.loaded.secrets.values().next().is_some() {
            return None;
        }
        let can_be_kept =
            |stage: &Stage| !ended.settled.contains_key(&stage.key) || store::can_be_kept(stage);
        let project = &session.project;
        if !project.stages.iter().all(can_be_kept) {
            return None;
        }
        let head = Head {
            generation: 0,
            used: 0,
            project: project.name.clone(),
            version: project.version.clone(),
            targets: targets.to_vec(),
            resources: project.resources,
            pools: project.pools.clone(),
            unsure: false,
            warnings: session.warned.clone(),
            asked: Vec::new(),
            inputs: Vec::new(),
        };
        let order = session
            .graph
            .closure(&ended.settled.keys().cloned().collect::<Vec<_>>());
        let mut sketch = Sketch::new(head, &order);
        sketch.head.used_now();
        let known = sketch.loaded(&self.root, session.asked.clone(), &host.db.stat_cache());
        known.then_some(())?;
        self.draw(sketch, session, host, ended, &BTreeMap::new())
    }

    /// Draws the stages that were settled, and writes the graph; `known` is what stages have left that were not.
    fn draw(
        &self,
        mut sketch: Sketch,
        session: &Session,
        host: &Host,
        ended: &Ended,
        known: &BTreeMap<StageKey, Arc<Artifact>>,
    ) -> Option<()> {
        let stages = session.project.stages.iter();
        let stages: Vec<&Stage> = stages
            .filter(|stage| ended.settled.contains_key(&stage.key))
            .collect();
        let facts = crate::stages::survey_all(host, stages.iter().copied());
        let stat = host.db.stat_cache();
        let upstream = |key: &StageKey| {
            let settled = ended.settled.get(key).map(|(artifact, _)| artifact);
            settled
                .or_else(|| known.get(key))
                .map(|artifact| artifact.digest())
        };
        for stage in stages {
            let (artifact, fingerprint) = ended.settled.get(&stage.key)?;
            let now = plan::ingredients(stage, &facts, &upstream).ok();
            let settled = Settled {
                stage,
                artifact,
                sure: now.is_some_and(|now| now.fingerprint() == *fingerprint),
            };
            sketch.put(&self.root, &settled, &facts, &stat)?;
        }
        sketch.head.generation = host.db.generation().ok()?;
        sketch.save(&self.path).ok()
    }

    /// A graph that could not be drawn is not there: the next run would look at it in vain.
    fn kept_or_gone(&self, kept: Option<()>) {
        match kept {
            Some(()) => prune(&graphs(&self.root)),
            None => drop(crate::sys::fs::remove(&self.path)),
        }
    }
}

/// Whether all stages are told of: to programs, and where there are few of them.
fn names(global: &Global, args: &RunArgs, graph: &KeptGraph) -> bool {
    let programs = global.output_kind() == OutputKind::Json || args.trace.is_some();
    programs || graph.count() <= report::NAMED
}

/// The end of a run in which everything was up to date.
fn summary(graph: &KeptGraph, names: bool) -> RunSummary {
    let (stages, files) = (graph.count(), graph.outputs().count());
    let cached = names.then(|| graph.keys()).flatten().unwrap_or_default();
    let shown = if names { files } else { report::NAMED };
    let artifacts = graph.outputs().take(shown);
    let artifacts: Vec<(String, u64)> = artifacts
        .map(|(path, size)| (path.to_owned(), size))
        .collect();
    RunSummary {
        unnamed: (stages - cached.len(), files - artifacts.len()),
        cached,
        artifacts,
        ..RunSummary::default()
    }
}

fn graphs(root: &Path) -> PathBuf {
    root.join(".forge/graphs")
}

/// Removes all but the newest graphs. What fails here is done the next time.
fn prune(dir: &Path) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let age = |entry: &std::fs::DirEntry| entry.metadata().and_then(|meta| meta.modified()).ok();
    let mut all: Vec<_> = entries.map(|entry| (age(&entry), entry.path())).collect();
    all.sort();
    let old = all.len().saturating_sub(KEPT);
    for (_, path) in all.drain(..old) {
        let _ = crate::sys::fs::remove(&path);
    }
}

/// Which forge this is: another one may do the same differently.
fn program() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let path = std::env::current_exe().ok()?;
    let meta = std::fs::metadata(&path).ok()?;
    let version = env!("CARGO_PKG_VERSION");
    let times = (
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    );
    Some(format!(
        "{version} {path:?} {} {} {times:?}",
        meta.len(),
        meta.ino()
    ))
}
