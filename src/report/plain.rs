//! Events as plain lines, for files, pipes and CI: `stage | text`, nothing that moves.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::engine::{Event, Outcome, Sink};
use crate::model::StageKey;

use super::clean::clean;
use super::style::{Paint, Tone};
use super::summary;
use super::terminal::Verbosity;
use super::words::{NAMED, about, count, exact, progress, report};

/// Progress of less than this is over soon and is not told.
const LARGE: u64 = 64 << 20;

/// Writes events as plain lines. What forge says itself has `--` before it; all else is output.
pub struct Plain {
    inner: Mutex<Inner>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    paint: Paint,
    verbosity: Verbosity,
    /// There are so many stages that those which are up to date are not named.
    many: bool,
    /// Tenths of the progress told.
    tenths: HashMap<StageKey, u64>,
}

impl Plain {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, paint: Paint, verbosity: Verbosity) -> Self {
        Self {
            inner: Mutex::new(Inner {
                out,
                paint,
                verbosity,
                many: false,
                tenths: HashMap::new(),
            }),
        }
    }
}

impl Sink for Plain {
    fn event(&self, event: Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let text = inner.text(&event);
        if text.is_empty() {
            return;
        }
        // a reader that has gone away must not stop the build
        let _ = inner
            .out
            .write_all(text.as_bytes())
            .and_then(|()| inner.out.flush());
    }
}

impl Inner {
    fn text(&mut self, event: &Event) -> String {
        let quiet = self.verbosity == Verbosity::Quiet;
        match event {
            Event::RunStarted { .. } => self.begun(event),
            Event::StageCached { .. } if self.many => String::new(),
            Event::StageCached {
                stage,
                early_cutoff,
            } => self.own(stage, Tone::Dim, cached(*early_cutoff)),
            Event::StageStarted {
                stage,
                kind: _,
                reasons,
                expected,
                attempt,
            } => {
                self.tenths.remove(stage);
                let text = started(reasons, *expected, *attempt);
                self.own(stage, Tone::Active, &text)
            }
            _ if quiet && is_output(event) => String::new(),
            Event::Request { stage, text, .. } => self.own(stage, Tone::Dim, text),
            Event::Report { stage, .. } => self.own(stage, Tone::Bold, &report(event)),
            Event::Step { stage, text } => {
                self.tenths.remove(stage);
                self.own(stage, Tone::Bold, text)
            }
            Event::Progress { stage, done, total } => self.progress(stage, *done, *total),
            Event::Log { stage, line } => {
                format!("{}\n", format!("{stage} | {}", clean(line)).trim_end())
            }
            Event::Warning { stage, message } => {
                let text = format!("warning: {message}");
                match stage {
                    Some(stage) => self.own(stage, Tone::Warn, &text),
                    None => self.lines("forge", Tone::Warn, &text),
                }
            }
            Event::StageFinished {
                stage,
                outcome,
                elapsed,
            } => {
                let (tone, text) = finished(outcome, &exact(*elapsed));
                self.own(stage, tone, &text)
            }
            Event::Watching { .. } | Event::Changed { .. } => {
                self.lines("forge", Tone::Dim, &watched(event))
            }
            Event::RunFinished(run) => format!("\n{}", summary::summary(run, self.paint)),
        }
    }

    fn begun(&mut self, event: &Event) -> String {
        let Event::RunStarted {
            run,
            targets,
            total,
            expected,
        } = event
        else {
            return String::new();
        };
        self.many = *total > NAMED;
        let expected = expected.filter(|time| *time >= Duration::from_secs(1));
        let expected =
            expected.map_or_else(String::new, |time| format!(", expected: {}", about(time)));
        format!(
            "forge | -- run {run} of {}: {}{expected}\n",
            targets.join(", "),
            count(*total, "stage")
        )
    }

    fn own(&self, stage: &StageKey, tone: Tone, text: &str) -> String {
        self.lines(&stage.to_string(), tone, text)
    }

    fn lines(&self, who: &str, tone: Tone, text: &str) -> String {
        text.lines()
            .map(|line| {
                format!(
                    "{who} | {}\n",
                    self.paint.tone(tone, &format!("-- {}", clean(line)))
                )
            })
            .collect()
    }

    /// A line at every tenth of what takes long: a CI that hears nothing for minutes takes the job for dead.
    fn progress(&mut self, stage: &StageKey, done: u64, total: Option<u64>) -> String {
        let Some(total) = total.filter(|total| *total >= LARGE) else {
            return String::new();
        };
        let tenth = done.saturating_mul(10) / total;
        let told = self.tenths.entry(stage.clone()).or_insert(0);
        if tenth <= *told || tenth >= 10 {
            return String::new();
        }
        *told = tenth;
        self.own(stage, Tone::Dim, &progress(done, Some(total)))
    }
}

fn started(reasons: &[String], expected: Option<std::time::Duration>, attempt: u32) -> String {
    let mut text = if attempt > 1 {
        format!("attempt {attempt}")
    } else {
        "started".to_owned()
    };
    if !reasons.is_empty() {
        text.push_str(&format!(": {}", reasons.join(", ")));
    }
    if let Some(expected) = expected {
        text.push_str(&format!(" ({})", about(expected)));
    }
    text
}

/// What `--quiet` leaves out.
pub(super) const fn is_output(event: &Event) -> bool {
    matches!(
        event,
        Event::Step { .. }
            | Event::Progress { .. }
            | Event::Log { .. }
            | Event::Request { .. }
            | Event::Report { .. }
    )
}

/// What `--watch` does, in a line.
pub(super) fn watched(event: &Event) -> String {
    match event {
        Event::Watching { places } => format!("watching {}; Ctrl-C ends", count(*places, "place")),
        Event::Changed { paths } => format!("changed: {}", paths.join(", ")),
        _ => String::new(),
    }
}

/// Why a stage is not run.
pub(super) fn cached(early_cutoff: bool) -> &'static str {
    if early_cutoff {
        "up to date: what it needs came out the same"
    } else {
        "up to date"
    }
}

/// How a stage ended, in a line (more if its message has more).
fn finished(outcome: &Outcome, elapsed: &str) -> (Tone, String) {
    match outcome {
        Outcome::Done(_) => (Tone::Good, format!("done in {elapsed}")),
        Outcome::Retrying(failure) => (
            Tone::Warn,
            format!("failed after {elapsed}, trying again: {}", failure.message),
        ),
        Outcome::Failed(failure) => (
            Tone::Bad,
            format!("failed after {elapsed}: {}", failure.message),
        ),
        Outcome::Blocked { by } => (Tone::Warn, format!("not started: {by} failed")),
        Outcome::Cancelled => (Tone::Warn, format!("stopped after {elapsed}")),
    }
}
