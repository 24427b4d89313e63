//! Drives a plan: states, resources, retries, cancellation, events. Names no provider, no format and no shell.

mod event;

pub use event::{Event, Outcome, RunSummary, Sink, StageFailure};
