//! The output of commands in one piece: what runs at one time is not mixed.
//!
//! One command at a time *has the floor*: its lines are shown as they come. Those of the others are held back and shown
//! whole when it is their turn, or at once when they fail. Stages of other kinds run for long, and speak when they have
//! something to say.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Event, Outcome, Sink};
use crate::model::StageKey;

/// A sink that orders the lines of commands, before a reporter.
pub struct Ordered {
    inner: Arc<dyn Sink>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Commands that run.
    commands: BTreeSet<StageKey>,
    /// Whose lines are shown as they come.
    floor: Option<StageKey>,
    /// What is held back, in the order of the first lines. While nobody has the floor there is nothing.
    held: Vec<(StageKey, Vec<Event>)>,
}

impl Ordered {
    /// Orders what goes to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Sink>) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    fn release(&self, state: &mut State, stage: &StageKey) {
        if let Some(at) = state.held.iter().position(|(key, _)| key == stage) {
            for event in state.held.remove(at).1 {
                self.inner.event(event);
            }
        }
    }

    /// The floor is free: what has ended in the meantime is shown, and the next one that runs takes it.
    fn pass_on(&self, state: &mut State) {
        state.floor = None;
        while let Some((stage, _)) = state.held.first() {
            let stage = stage.clone();
            self.release(state, &stage);
            if state.commands.contains(&stage) {
                state.floor = Some(stage);
                return;
            }
        }
    }
}

impl Sink for Ordered {
    fn event(&self, event: Event) {
        // held while the reporter is told: the order of events is the order of the lines
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            Event::StageStarted { stage, kind, .. } if *kind == "command" => {
                state.commands.insert(stage.clone());
            }
            Event::Log { stage, .. } if state.commands.contains(stage) => {
                let stage = stage.clone();
                if *state.floor.get_or_insert_with(|| stage.clone()) != stage {
                    match state.held.iter_mut().find(|(key, _)| *key == stage) {
                        Some((_, lines)) => lines.push(event),
                        None => state.held.push((stage, vec![event])),
                    }
                    return;
                }
            }
            Event::StageFinished { stage, outcome, .. } if state.commands.remove(stage) => {
                let stage = stage.clone();
                if matches!(outcome, Outcome::Failed(_) | Outcome::Retrying(_)) {
                    self.release(&mut state, &stage);
                }
                self.inner.event(event);
                if state.floor.as_ref() == Some(&stage) {
                    self.pass_on(&mut state);
                }
                return;
            }
            Event::RunFinished(_) => {
                state.commands.clear();
                self.pass_on(&mut state);
            }
            _ => {}
        }
        self.inner.event(event);
    }
}
