//! Events and plans for people and programs: live lines on a terminal, plain lines in CI, JSON lines for machines.
//!
//! Nothing here decides or does anything. All output of guests passes through `clean` before it is shown: a script that
//! prints binary, or escape sequences, changes nothing but its own line.

mod cache;
mod clean;
mod explain;
mod graph;
mod json;
mod layout;
mod live;
mod ordered;
mod plain;
mod plan;
mod screen;
mod style;
mod summary;
mod svg;
mod tables;
mod terminal;
mod trace;
mod why;
mod words;

pub use cache::{CacheListing, CacheSort, cache_json, cache_text, gc_text};
pub use explain::{Explanation, explain_json, explain_text};
pub use graph::GraphView;
pub use json::{Clock, Json};
pub use ordered::Ordered;
pub use plain::Plain;
pub use plan::{plan_json, plan_text};
pub use screen::Measure;
pub use style::{ColourChoice, Env, OutputChoice, OutputKind, Paint};
pub use tables::{
    Detail, DryRun, Finding, Health, doctor_json, doctor_text, runs_json, runs_text, vars_json,
    vars_text, verify_text,
};
pub use terminal::{Monotonic, Terminal, TerminalOptions, Verbosity};
pub use trace::Trace;
pub use why::{why_json, why_text};
pub use words::NAMED;

#[cfg(test)]
mod tests;
