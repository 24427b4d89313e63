//! Drives a plan: states, resources, retries, cancellation, events. Names no provider, no format and no shell.
//!
//! Every selected stage is *settled* once all that it needs is settled: its ingredients are computed, its record looked
//! up, and it runs only if there is none. Because a stage is decided after its upstream, an upstream that yields the
//! artifact it had before stops the wave there (early cutoff).

mod event;
mod history;
mod output;
mod run;
mod schedule;
mod settle;

#[cfg(test)]
mod tests;

pub use event::{Event, Outcome, RunSummary, Sink, StageFailure, reported};
pub use history::History;
pub use output::{Output, Redact};
pub use run::{Ended, ExecError, Executor, Found, RunRequest, StageContext, Untouched, run};
pub use schedule::{Demand, Limits, Pools, Schedule};
pub use settle::listed;
