//! What happens in a run, told sideways: the engine and the stages emit, reporters draw.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Artifact, StageKey};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// The run's id.
        run: String,
        /// What was asked for, for people.
        targets: Vec<String>,
        /// How many stages are selected, fresh ones included.
        total: usize,
        /// How long it will take, by how long everything that will or may run took last time; none if some of it is new.
        expected: Option<Duration>,
    },
    /// A stage is up to date: nothing to do.
    StageCached {
        /// Which.
        stage: StageKey,
        /// Decided after its upstream ran and gave the same artifact (early cutoff).
        early_cutoff: bool,
    },
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: StageKey,
        /// Its kind: `command`, …
        kind: &'static str,
        /// Why, in words.
        reasons: Vec<String>,
        /// How long it took last time.
        expected: Option<Duration>,
        /// 1 for the first try.
        attempt: u32,
    },
    /// A stage is at a new step; shown in its live line.
    Step {
        /// Which stage.
        stage: StageKey,
        /// What it does now: `waiting for ssh`, `[2/5] scripts/install.sh`.
        text: String,
    },
    /// Progress within a step, in bytes.
    Progress {
        /// Which stage.
        stage: StageKey,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// A line of output; also in the stage's log.
    Log {
        /// Which stage.
        stage: StageKey,
        /// The line, without its end, secrets masked.
        line: String,
    },
    /// The guest has asked forge's server for a file.
    Request {
        /// Which stage's guest.
        stage: StageKey,
        /// The path asked for, without the leading `/`.
        path: String,
        /// The HTTP status answered.
        status: u16,
        /// How long after the machine was started.
        after: Duration,
        /// It in words, for people: `ks.cfg fetched after 14s`.
        text: String,
    },
    /// An installer has called its report URL.
    Report {
        /// Which stage's installer.
        stage: StageKey,
        /// What it calls the moment or matter; may be empty.
        name: String,
        /// What it says, control characters stripped, secrets masked; may be empty, may have lines.
        message: String,
        /// How long after the machine was started.
        after: Duration,
    },
    /// Something that users should know though nothing failed.
    Warning {
        /// Which stage, if one.
        stage: Option<StageKey>,
        /// What.
        message: String,
    },
    /// A stage is done.
    StageFinished {
        /// Which.
        stage: StageKey,
        /// How it ended.
        outcome: Outcome,
        /// How long this attempt took.
        elapsed: Duration,
    },
    /// The run is over.
    RunFinished(RunSummary),
    /// `forge run --watch` waits for a change.
    Watching {
        /// How many files and directories it looks at.
        places: usize,
    },
    /// Something has changed, and another run begins.
    Changed {
        /// Paths relative to the project, the first few.
        paths: Vec<String>,
    },
}

/// How a stage ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With an artifact.
    Done(Arc<Artifact>),
    /// It failed and will be tried again.
    Retrying(StageFailure),
    /// It failed.
    Failed(StageFailure),
    /// Never started: something that it needs failed.
    Blocked {
        /// The stage that failed.
        by: StageKey,
    },
    /// Stopped by request.
    Cancelled,
}

/// Why a stage failed, with all that helps.
#[derive(Clone, Debug, Default)]
pub struct StageFailure {
    /// What went wrong: lower case, no final stop.
    pub message: String,
    /// The step it was at.
    pub step: Option<String>,
    /// What to do next, one entry per line.
    pub help: Vec<String>,
    /// The last lines of output (at most 20).
    pub tail: Vec<String>,
    /// The whole log.
    pub log: Option<PathBuf>,
    /// A picture of the screen.
    pub screenshot: Option<PathBuf>,
    /// The host lacks something (exit code 3), rather than the stage having failed (1).
    pub environment: bool,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct RunSummary {
    /// Stages that ran, in the order in which they ended, with how long they took.
    pub ran: Vec<(StageKey, Duration)>,
    /// Stages that were up to date.
    pub cached: Vec<StageKey>,
    /// Stages that failed.
    pub failed: Vec<(StageKey, StageFailure)>,
    /// Stages not reached.
    pub blocked: Vec<StageKey>,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// From start to end.
    pub elapsed: Duration,
    /// What users take away: paths relative to the project, with sizes in bytes.
    pub artifacts: Vec<(String, u64)>,
    /// How many stages that were up to date, and how many files, there are beside those that are named.
    pub unnamed: (usize, usize),
}

/// What an installer has reported, in one text; name and message may be empty.
#[must_use]
pub fn reported(name: &str, message: &str) -> String {
    match (name, message) {
        ("", text) | (text, "") => text.to_owned(),
        _ => format!("{name}: {message}"),
    }
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// Takes an event; must not block for long.
    fn event(&self, event: Event);
}
