//! Pure: a project and a snapshot of facts to a graph, fingerprints, what runs and why.
//!
//! The planner has no clock, no files, no network and no processes. What the outside contributes comes in as [`Facts`]
//! (digests of files, identities of providers) and [`Records`] (what was built before); what comes out is a [`Plan`].
//!
//! - [`Graph::new`] proves the project acyclic; [`Graph::select`] turns targets into stages in a deterministic order.
//! - [`ingredients()`] names everything that a stage's result depends on. The same description makes the fingerprint and
//!   the explanation: [`Ingredients::fingerprint`] and [`Ingredients::diff`] have one source.
//! - [`decide()`] compares with the records: `Fresh`, or `Stale` with reasons in words. [`make`] does so for a whole
//!   selection; what lies behind a stage that will run is `Pending` and is decided again by the engine when its upstream
//!   has finished, so that an upstream that yields the same artifact stops the wave (early cutoff).
//!
//! Invariants: a secret's value and `run.*` never get in here, because a [`crate::model::Text`] does not hold them; and
//! every field of every kind is destructured where it is described, so that a new one does not compile until placed.

mod decide;
mod describe;
mod error;
mod facts;
mod graph;
mod ingredients;
mod inputs;
mod kept;
mod reason;
mod restored;
mod symbolic;
mod why;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use decide::{
    Decision, Plan, PlanStep, Record, Records, StepDecision, decide, make, make_part,
};
pub use describe::{ingredients, revision};
pub use error::{InputFault, PlanError};
pub use facts::{Facts, FileFact, FileFacts, FileKind};
pub use graph::{Graph, Selection};
pub use ingredients::Ingredients;
pub use inputs::{inputs_of, rereads};
pub use kept::{KeptSteps, Unfit};
pub use reason::{How, Reason, words};
#[cfg(test)]
pub(crate) use samples::{command as sample_command, hardware as sample_hardware};
pub use why::{Cause, Change, Why, why};
