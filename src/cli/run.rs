//! `forge run`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::ask::{Asker, Lend};
use super::common::{Choice, Global};
use super::session::{Session, plan_error, run_facts};
use super::shortcut::Way;
use super::{CliError, Exit, signals};
use crate::engine::{
    self, Ended, Event, History, Limits, Redact, RunRequest, RunSummary, Sink, Untouched,
};
use crate::model::{Name, Redactor, Stage, StageKey};
use crate::provider::vsphere::WhileAway;
use crate::report::{self, Ordered, OutputKind, Paint, TerminalOptions, Verbosity};
use crate::stages::{Executors, Host, OnError, RunFacts, server_of};
use crate::sys::{Cancel, FileLock, Holder, LockError};

/// Build; only what is out of date runs
#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// Targets or stages; none: the project's default
    pub(super) targets: Vec<String>,
    #[command(flatten)]
    pub(super) choice: Choice,
    /// Run this stage even if it is up to date (may be repeated)
    #[arg(long, value_name = "STAGE")]
    pub(super) force: Vec<String>,
    /// How many stages run at one time
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Stop everything at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// What becomes of a machine whose stage fails: thrown away, kept for `forge ssh STAGE`, or what you answer when asked
    #[arg(long, value_name = "WHAT", default_value = "cleanup")]
    on_error: OnErrorArg,
    /// Stop before each step of `provision` stages, for a look into the machine
    #[arg(long)]
    pub(super) debug: bool,
    /// Run again whenever something that the stages are made from changes, until Ctrl-C
    #[arg(short, long, conflicts_with_all = ["dry_run", "debug"])]
    pub(super) watch: bool,
    /// Do not show the stages' output (it is in the logs)
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Write a trace of the run to this file, for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    /// Show what would run instead, as `forge plan` does
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
}

/// `--on-error`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnErrorArg {
    /// Throw it away
    Cleanup,
    /// Keep it
    Keep,
    /// Ask at the terminal
    Ask,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: RunArgs) -> Result<Exit, CliError> {
    match args.on_error {
        OnErrorArg::Ask => super::ask::need_terminal(global, "`--on-error ask`")?,
        OnErrorArg::Cleanup | OnErrorArg::Keep => {}
    }
    if args.debug {
        super::ask::need_terminal(global, "`--debug`")?;
    }
    if args.watch {
        return super::watch::run(global, &args);
    }
    let way = Way::of(global, &args)?;
    if let Some(way) = &way
        && let Some(exit) = way.go(global, &args)?
    {
        return Ok(exit);
    }
    let session = Session::load(global, &args.choice)?;
    let shown = display(global, args.quiet);
    once(global, &args, &session, shown, way.as_ref())
}

/// One run of a loaded project; `way` keeps its graph.
pub(super) fn once(
    global: &Global,
    args: &RunArgs,
    session: &Session,
    shown: (Arc<dyn Sink>, Lend),
    way: Option<&Way>,
) -> Result<Exit, CliError> {
    let stages = session.select(&args.choice, &args.targets)?;
    if args.dry_run {
        return super::plan::show(global, session, &stages, &args.force);
    }
    let job = Job {
        stages,
        untouched: Untouched::default(),
        targets: session.target_names(&args.targets),
        forced: forced(session, &args.force)?,
        facts: run_facts(),
        lock: None,
    };
    let targets = job.targets.clone();
    work(args, session, job, shown, &|host, ended| {
        if let Some(way) = way {
            way.keep(session, host, ended, &targets);
        }
    })
}

/// What is to be done.
pub(super) struct Job {
    /// In topological order.
    pub(super) stages: Vec<StageKey>,
    pub(super) untouched: Untouched,
    /// What was asked for, for people.
    pub(super) targets: Vec<String>,
    pub(super) forced: BTreeSet<Name>,
    pub(super) facts: RunFacts,
    /// The project's lock, if it is held already.
    pub(super) lock: Option<FileLock>,
}

/// Does the job; `done` hears of a run that ended well.
pub(super) fn work(
    args: &RunArgs,
    session: &Session,
    mut job: Job,
    (sink, lend): (Arc<dyn Sink>, Lend),
    done: &dyn Fn(&Host, &Ended),
) -> Result<Exit, CliError> {
    let runtime = super::common::runtime()?;
    let exit = runtime.block_on(async {
        let sink = traced(sink, args.trace.as_deref())?;
        let _lock = match job.lock.take() {
            Some(lock) => lock,
            None => project_lock(session, &args.targets, sink.as_ref()).await?,
        };
        let cancel = Cancel::new();
        let teller = Arc::clone(&sink);
        let tell: Arc<dyn Fn(String) + Send + Sync> = Arc::new(move |message| {
            teller.event(Event::Warning {
                stage: None,
                message,
            });
        });
        let around = WhileAway {
            cancel: cancel.clone(),
            tell: Arc::clone(&tell),
        };
        let host = session.host_while(job.facts.clone(), args.on_error.into(), &around)?;
        if args.debug || matches!(args.on_error, OnErrorArg::Ask) {
            let _ = host.attendant.set(Arc::new(Asker::new(args.debug, lend)));
        }
        signals::watch(&cancel, move |message| tell(message.to_owned()));
        recover(&host, sink.as_ref()).await;
        lost(session, &job.stages, &host, sink.as_ref()).await;
        let expected = match preflight(session, &job.stages, &host, &job.forced).await {
            Ok(known) => known,
            Err(error) => {
                host.close().await;
                return Err(error);
            }
        };
        let request = request(session, args, (job, expected), &host);
        let ended = drive(session, request, Arc::clone(&host), sink, cancel).await;
        let exit = exit(&ended.summary);
        if exit == Exit::Done {
            done(&host, &ended);
        }
        host.close().await;
        Ok::<_, CliError>(exit)
    })?;
    // a blocking look-up that hangs must not keep a finished run alive
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    Ok(exit)
}

async fn drive(
    session: &Session,
    request: RunRequest,
    host: Arc<Host>,
    sink: Arc<dyn Sink>,
    cancel: Cancel,
) -> Ended {
    let redactor = Redactor::new(session.loaded.secrets.values());
    let redact: Redact = Arc::new(move |line| redactor.redact(line).into_owned());
    let (store, db) = (Arc::clone(&host.store), Arc::clone(&host.db));
    let teller = Arc::clone(&sink);
    let history = Arc::new(History::new(request.run_id.clone(), Arc::clone(&db), sink));
    let ended = engine::run(
        request,
        Arc::new(Executors { host }),
        (Arc::clone(&store), db),
        history,
        redact,
        cancel,
    )
    .await;
    // what stages have made that is in no record: of those that failed, and checkpoints that newer ones have replaced
    if let Err(error) = store.tidy() {
        let message = format!("what no record needs could not be removed: {error}");
        teller.event(Event::Warning {
            stage: None,
            message,
        });
    }
    ended
}

fn request(
    session: &Session,
    args: &RunArgs,
    (job, expected): (Job, Option<Duration>),
    host: &Host,
) -> RunRequest {
    RunRequest {
        project: Arc::clone(&session.project),
        stages: job.stages,
        untouched: job.untouched,
        expected,
        targets: job.targets,
        forced: job.forced,
        limits: limits(session, args.jobs),
        fail_fast: args.fail_fast,
        run_id: host.run.id.clone(),
        logs: session.state_dir().join("logs").join(&host.run.id),
    }
}

/// What may be used at one time.
pub(super) fn limits(session: &Session, jobs: Option<u32>) -> Limits {
    let cores =
        std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2));
    let resources = session.project.resources;
    Limits {
        jobs: jobs.or(resources.jobs).unwrap_or(cores).max(1),
        machines: resources.machines.unwrap_or(cores).max(1),
        memory: resources
            .memory
            .map_or_else(default_memory, crate::model::Size::bytes),
    }
}

/// Three quarters of this host's memory.
fn default_memory() -> u64 {
    let info = rustix::system::sysinfo();
    (u64::from(info.mem_unit) * info.totalram) / 4 * 3
}

pub(super) fn forced(session: &Session, names: &[String]) -> Result<BTreeSet<Name>, CliError> {
    let known: BTreeSet<&str> = session
        .project
        .stages
        .iter()
        .map(|s| s.key.name.as_str())
        .collect();
    names
        .iter()
        .map(|name| match Name::parse(name) {
            Ok(parsed) if known.contains(name.as_str()) => Ok(parsed),
            _ => {
                let error = CliError::input(format!("there is no stage `{name}` to force"));
                Err(match crate::diag::closest(name, known.iter().copied()) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.help(format!(
                        "stages here: {}",
                        known.iter().copied().collect::<Vec<_>>().join(", ")
                    )),
                })
            }
        })
        .collect()
}

/// What others hear who wait for the project.
pub(super) fn lock_holder(targets: &[String]) -> String {
    format!("forge run {}", targets.join(" ")).trim().to_owned()
}

/// The file whose lock the forge has that works on a project.
pub(super) fn lock_path(state_dir: &Path) -> PathBuf {
    state_dir.join("lock")
}

/// One forge at a time works on a project; the second one waits and says for whom.
async fn project_lock(
    session: &Session,
    targets: &[String],
    sink: &dyn Sink,
) -> Result<FileLock, CliError> {
    let what = lock_holder(targets);
    let tell = |holder: Option<Holder>| {
        let who = holder.map_or_else(
            || "another forge".to_owned(),
            |h| format!("`{}` (process {})", h.what.trim(), h.pid),
        );
        sink.event(Event::Warning {
            stage: None,
            message: format!("waiting for {who}, which works on this project"),
        });
    };
    FileLock::acquire(&lock_path(&session.state_dir()), &what, tell)
        .await
        .map_err(|error| match error {
            LockError::Held(_) => CliError::environment("the project is locked"),
            LockError::Io { .. } => {
                CliError::environment(format!("cannot lock the project: {error}"))
            }
        })
}

impl From<OnErrorArg> for OnError {
    fn from(arg: OnErrorArg) -> Self {
        match arg {
            OnErrorArg::Cleanup => Self::Cleanup,
            OnErrorArg::Keep => Self::Keep,
            OnErrorArg::Ask => Self::Ask,
        }
    }
}

/// Finishes what killed forges have left on servers; what they have left here is gone by now.
async fn recover(host: &Host, sink: &dyn Sink) {
    let (removed, wrong) = crate::stages::reclaim(host).await;
    let removed = (!removed.is_empty()).then(|| {
        let what = removed.join(", ");
        format!("cleaned up after a forge that was killed: {what}")
    });
    for message in removed.into_iter().chain(wrong) {
        sink.event(Event::Warning {
            stage: None,
            message,
        });
    }
}

/// Tells all that stands in the way before anything runs: inputs that are not there, and what servers lack. Those are asked
/// nothing when nothing is to be done there. Gives how long the run will take, if that is known.
async fn preflight(
    session: &Session,
    stages: &[StageKey],
    host: &Host,
    forced: &BTreeSet<Name>,
) -> Result<Option<Duration>, CliError> {
    let plan = session.plan(host, stages, forced);
    let plan = plan.map_err(|e| plan_error(&e))?;
    let on_server = |stage: &Stage| server_of(host, stage).is_some();
    let expected = super::plan::known_expected(session, &plan);
    if !plan.has_work() || !session.stages(stages).any(on_server) {
        return Ok(expected);
    }
    let errors = crate::stages::preflight(host, session.stages(stages), false).await;
    super::error::unmet(errors).map_or(Ok(expected), Err)
}

/// Looks whether the machines on servers are as they were left.
async fn lost(session: &Session, stages: &[StageKey], host: &Host, sink: &dyn Sink) {
    for unreachable in crate::stages::look_for_lost(host, session.stages(stages)).await {
        sink.event(Event::Warning {
            stage: None,
            message: unreachable.to_string(),
        });
    }
}

/// Also writes a trace, if that is asked for.
pub(super) fn traced(sink: Arc<dyn Sink>, file: Option<&Path>) -> Result<Arc<dyn Sink>, CliError> {
    let Some(path) = file else { return Ok(sink) };
    let file = std::fs::File::create(path).map_err(|e| {
        CliError::environment(format!("cannot write the trace {}: {e}", path.display()))
    })?;
    let out = Box::new(std::io::BufWriter::new(file));
    let started = std::time::Instant::now();
    let clock = Box::new(move || started.elapsed());
    Ok(Arc::new(report::Trace::new(sink, out, clock)))
}

/// Where events are shown, and how it lends the terminal to others.
pub(super) fn display(global: &Global, quiet: bool) -> (Arc<dyn Sink>, Lend) {
    let nothing: Lend = Arc::new(|_| {});
    let stdout = std::io::stdout();
    let verbosity = if quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let paint = Paint::new(global.colour_stdout());
    match global.output_kind() {
        OutputKind::Json => {
            let clock = Box::new(std::time::SystemTime::now);
            (
                Arc::new(report::Json::new(Box::new(stdout), clock)),
                nothing,
            )
        }
        OutputKind::Terminal => {
            let started = std::time::Instant::now();
            let terminal = Arc::new(report::Terminal::new(TerminalOptions {
                out: Box::new(stdout),
                measure: Box::new(|| {
                    terminal_size::terminal_size()
                        .map_or((80, 24), |(width, height)| (width.0, height.0))
                }),
                paint,
                verbosity,
                clock: Box::new(move || started.elapsed()),
                tick: Some(std::time::Duration::from_millis(100)),
            }));
            let lender = Arc::clone(&terminal);
            let ordered = Ordered::new(terminal);
            (Arc::new(ordered), Arc::new(move |lent| lender.lend(lent)))
        }
        OutputKind::Plain => {
            let plain = report::Plain::new(Box::new(stdout), paint, verbosity);
            (Arc::new(Ordered::new(Arc::new(plain))), nothing)
        }
    }
}

fn exit(summary: &RunSummary) -> Exit {
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.failed.is_empty() {
        Exit::Done
    } else if summary
        .failed
        .iter()
        .all(|(_, failure)| failure.environment)
    {
        Exit::Environment
    } else {
        Exit::Failed
    }
}
