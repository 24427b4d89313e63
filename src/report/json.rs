//! Events as JSON, one object per line. The fields are documented in `docs/ci.md` and do not change their meaning;
//! new ones may come.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::engine::{Event, Outcome, RunSummary, Sink, StageFailure};
use crate::model::StageKey;

/// Tells the time.
pub type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// A stage's progress is told no more often than this, but for its end.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Writes events as JSON lines.
pub struct Json {
    inner: Mutex<Inner>,
    clock: Clock,
}

struct Inner {
    out: Box<dyn Write + Send>,
    progress_told: HashMap<StageKey, SystemTime>,
}

impl Json {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, clock: Clock) -> Self {
        Self {
            inner: Mutex::new(Inner {
                out,
                progress_told: HashMap::new(),
            }),
            clock,
        }
    }
}

impl Sink for Json {
    fn event(&self, event: Event) {
        let now = (self.clock)();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Progress { stage, done, total } = &event {
            let told = inner.progress_told.get(stage);
            let recently = told
                .is_some_and(|told| now.duration_since(*told).is_ok_and(|d| d < PROGRESS_EVERY));
            if recently && Some(*done) != *total {
                return;
            }
            inner.progress_told.insert(stage.clone(), now);
        }
        let mut line = Map::new();
        line.insert("time".to_owned(), timestamp(now).into());
        describe(&event, &mut line);
        let text = format!("{}\n", Value::Object(line));
        // a reader that has gone away must not stop the build
        let _ = inner
            .out
            .write_all(text.as_bytes())
            .and_then(|()| inner.out.flush());
    }
}

/// RFC 3339, UTC, milliseconds.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

fn describe(event: &Event, line: &mut Map<String, Value>) {
    let (name, stage, fields) = match event {
        Event::RunStarted {
            run,
            targets,
            total,
            expected,
        } => (
            "run_started",
            None,
            json!({"run": run, "targets": targets, "total": total, "expected_ms": expected.map(millis)}),
        ),
        Event::StageCached {
            stage,
            early_cutoff,
        } => (
            "stage_cached",
            Some(stage),
            json!({"early_cutoff": early_cutoff}),
        ),
        Event::StageStarted {
            stage,
            kind,
            reasons,
            expected,
            attempt,
        } => {
            let expected = expected.map(millis);
            let fields = json!({"kind": kind, "reasons": reasons, "expected_ms": expected, "attempt": attempt});
            ("stage_started", Some(stage), fields)
        }
        Event::Step { stage, text } => ("step", Some(stage), json!({"text": text})),
        Event::Progress { stage, done, total } => (
            "progress",
            Some(stage),
            json!({"done": done, "total": total}),
        ),
        Event::Log { stage, line } => ("log", Some(stage), json!({"line": line})),
        Event::Warning { stage, message } => {
            ("warning", stage.as_ref(), json!({"message": message}))
        }
        Event::StageFinished {
            stage,
            outcome,
            elapsed,
        } => (
            "stage_finished",
            Some(stage),
            describe_outcome(outcome, *elapsed),
        ),
        Event::RunFinished(run) => ("run_finished", None, describe_summary(run)),
        _ => describe_more(event),
    };
    line.insert("event".to_owned(), name.into());
    if let Some(stage) = stage {
        put_stage(line, stage);
    }
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
}

/// What is no part of a stage's course.
fn describe_more(event: &Event) -> (&'static str, Option<&StageKey>, Value) {
    match event {
        Event::Request {
            stage,
            path,
            status,
            after,
            text,
        } => (
            "request",
            Some(stage),
            json!({"path": path, "status": status, "after_ms": millis(*after), "text": text}),
        ),
        Event::Report {
            stage,
            name,
            message,
            after,
        } => (
            "report",
            Some(stage),
            // `name` is the stage's
            json!({"report": name, "message": message, "after_ms": millis(*after)}),
        ),
        Event::Watching { places } => ("watching", None, json!({"places": places})),
        Event::Changed { paths } => ("changed", None, json!({"paths": paths})),
        _ => ("", None, Value::Null),
    }
}

/// The key as shown, and its parts.
pub(super) fn put_stage(line: &mut Map<String, Value>, stage: &StageKey) {
    line.insert("stage".to_owned(), stage.to_string().into());
    line.insert("name".to_owned(), stage.name.as_str().into());
    line.insert("axes".to_owned(), json!(stage.axes));
}

/// How a stage ended, in a word.
pub(super) const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(_) => "done",
        Outcome::Retrying(_) => "retrying",
        Outcome::Failed(_) => "failed",
        Outcome::Blocked { .. } => "blocked",
        Outcome::Cancelled => "cancelled",
    }
}

fn describe_outcome(outcome: &Outcome, elapsed: Duration) -> Value {
    let (word, elapsed) = (outcome_word(outcome), millis(elapsed));
    match outcome {
        Outcome::Done(artifact) => {
            json!({"outcome": word, "elapsed_ms": elapsed, "artifact": **artifact})
        }
        Outcome::Retrying(failure) => {
            json!({"outcome": word, "elapsed_ms": elapsed, "failure": describe_failure(failure)})
        }
        Outcome::Failed(failure) => {
            json!({"outcome": word, "elapsed_ms": elapsed, "failure": describe_failure(failure)})
        }
        Outcome::Blocked { by } => {
            json!({"outcome": word, "elapsed_ms": elapsed, "by": by.to_string()})
        }
        Outcome::Cancelled => json!({"outcome": word, "elapsed_ms": elapsed}),
    }
}

fn describe_failure(failure: &StageFailure) -> Value {
    let StageFailure {
        message,
        step,
        help,
        tail,
        log,
        screenshot,
        environment,
    } = failure;
    json!({
        "message": message,
        "step": step,
        "help": help,
        "tail": tail,
        "log": log,
        "screenshot": screenshot,
        "environment": environment,
    })
}

fn describe_summary(run: &RunSummary) -> Value {
    let RunSummary {
        ran,
        cached,
        failed,
        blocked,
        interrupted,
        elapsed,
        artifacts,
        // programs get all names
        unnamed: _,
    } = run;
    let outcome = match (failed.is_empty(), interrupted) {
        (false, _) => "failed",
        (true, true) => "interrupted",
        (true, false) => "done",
    };
    let names = |stages: &[StageKey]| stages.iter().map(ToString::to_string).collect::<Vec<_>>();
    let ran = ran
        .iter()
        .map(|(stage, took)| json!({"stage": stage.to_string(), "elapsed_ms": millis(*took)}));
    let failed = failed
        .iter()
        .map(|(stage, why)| json!({"stage": stage.to_string(), "failure": describe_failure(why)}));
    let artifacts = artifacts
        .iter()
        .map(|(path, size)| json!({"path": path, "size": size}));
    json!({
        "outcome": outcome,
        "elapsed_ms": millis(*elapsed),
        "ran": ran.collect::<Vec<_>>(),
        "cached": names(cached),
        "failed": failed.collect::<Vec<_>>(),
        "blocked": names(blocked),
        "artifacts": artifacts.collect::<Vec<_>>(),
    })
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
