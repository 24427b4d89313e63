//! A run as a trace: the JSON array of Chrome's trace events, as Perfetto and `chrome://tracing` open it.
//!
//! What runs at one time lies in lanes; a stage is a slice with its steps inside. The file is written as the run goes on
//! and may lack its end, which the format allows: the trace of a forge that was killed can be looked at, too.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::json::outcome_word;
use super::terminal::Monotonic;
use crate::engine::{Event, Outcome, Sink};
use crate::model::StageKey;

/// A sink that writes a trace, before a reporter.
pub struct Trace {
    inner: Arc<dyn Sink>,
    clock: Monotonic,
    state: Mutex<State>,
}

struct State {
    /// None after an error.
    out: Option<Box<dyn Write + Send>>,
    begun: bool,
    /// What runs: its lane, and whether a step is open.
    running: BTreeMap<StageKey, (usize, bool)>,
    free: BTreeSet<usize>,
    lanes: usize,
    ran: usize,
    cached: usize,
}

impl Trace {
    /// Writes to `out` what goes to `inner`, at the times of `clock`.
    #[must_use]
    pub fn new(inner: Arc<dyn Sink>, out: Box<dyn Write + Send>, clock: Monotonic) -> Self {
        let state = State {
            out: Some(out),
            begun: false,
            running: BTreeMap::new(),
            free: BTreeSet::new(),
            lanes: 0,
            ran: 0,
            cached: 0,
        };
        Self {
            inner,
            clock,
            state: Mutex::new(state),
        }
    }
}

impl Sink for Trace {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = u64::try_from((self.clock)().as_micros()).unwrap_or(u64::MAX);
        if let Err(error) = state.take(&event, now) {
            state.out = None;
            self.inner.event(Event::Warning {
                stage: None,
                message: format!("cannot write the trace: {error}"),
            });
        }
        drop(state);
        self.inner.event(event);
    }
}

impl State {
    fn take(&mut self, event: &Event, now: u64) -> std::io::Result<()> {
        match event {
            Event::RunStarted { run, targets, .. } => {
                let name = format!("forge run {}", targets.join(" "));
                let args = json!({"name": name, "labels": run});
                self.put(&json!({"name": "process_name", "ph": "M", "pid": 1, "args": args}))?;
                self.counts(now)
            }
            Event::StageCached { .. } => {
                self.cached += 1;
                self.counts(now)
            }
            Event::StageStarted {
                stage,
                kind,
                reasons,
                attempt,
                ..
            } => {
                let lane = self.lane()?;
                self.running.insert(stage.clone(), (lane, false));
                let args = json!({"reasons": reasons, "attempt": attempt});
                self.put(&json!({
                    "name": stage.to_string(), "cat": kind, "ph": "B", "ts": now, "pid": 1, "tid": lane, "args": args,
                }))?;
                self.counts(now)
            }
            Event::Step { stage, text } => {
                let Some((lane, open)) = self.running.get_mut(stage) else {
                    return Ok(());
                };
                let (lane, open) = (*lane, std::mem::replace(open, true));
                if open {
                    self.put(&json!({"ph": "E", "ts": now, "pid": 1, "tid": lane}))?;
                }
                let name = text.lines().next().unwrap_or_default();
                self.put(&json!({
                    "name": name, "cat": "step", "ph": "B", "ts": now, "pid": 1, "tid": lane,
                }))
            }
            Event::Warning { stage, message } => {
                let lane = stage.as_ref().and_then(|stage| self.running.get(stage));
                let (lane, scope) = lane.map_or((0, "p"), |(lane, _)| (*lane, "t"));
                self.put(&json!({
                    "name": message, "cat": "warning", "ph": "i", "ts": now, "pid": 1, "tid": lane, "s": scope,
                }))
            }
            Event::StageFinished { stage, outcome, .. } => self.finished(stage, outcome, now),
            Event::RunFinished(_) => self.end(),
            // what is told within a step has no length
            Event::Progress { .. }
            | Event::Log { .. }
            | Event::Request { .. }
            | Event::Report { .. }
            | Event::Watching { .. }
            | Event::Changed { .. } => Ok(()),
        }
    }

    fn finished(&mut self, stage: &StageKey, outcome: &Outcome, now: u64) -> std::io::Result<()> {
        // what never started has no slice
        let Some((lane, open)) = self.running.remove(stage) else {
            return Ok(());
        };
        self.free.insert(lane);
        self.ran += usize::from(matches!(outcome, Outcome::Done(_)));
        if open {
            self.put(&json!({"ph": "E", "ts": now, "pid": 1, "tid": lane}))?;
        }
        let args = match outcome {
            Outcome::Failed(why) | Outcome::Retrying(why) => {
                json!({"outcome": outcome_word(outcome), "message": why.message})
            }
            _ => json!({"outcome": outcome_word(outcome)}),
        };
        self.put(&json!({"ph": "E", "ts": now, "pid": 1, "tid": lane, "args": args}))?;
        self.counts(now)
    }

    /// The lowest lane that is free.
    fn lane(&mut self) -> std::io::Result<usize> {
        if let Some(lane) = self.free.pop_first() {
            return Ok(lane);
        }
        self.lanes += 1;
        let lane = self.lanes;
        let args = json!({"name": format!("lane {lane}")});
        self.put(&json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": lane, "args": args}))?;
        Ok(lane)
    }

    fn counts(&mut self, now: u64) -> std::io::Result<()> {
        let running = json!({"stages": self.running.len()});
        self.put(&json!({"name": "running", "ph": "C", "ts": now, "pid": 1, "args": running}))?;
        let settled = json!({"ran": self.ran, "up to date": self.cached});
        self.put(&json!({"name": "settled", "ph": "C", "ts": now, "pid": 1, "args": settled}))
    }

    fn put(&mut self, event: &Value) -> std::io::Result<()> {
        let begin = if self.begun { ",\n" } else { "[\n" };
        self.begun = true;
        match &mut self.out {
            Some(out) => write!(out, "{begin}{event}"),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> std::io::Result<()> {
        match self.out.take() {
            Some(mut out) => out.write_all(b"\n]\n").and_then(|()| out.flush()),
            None => Ok(()),
        }
    }
}
