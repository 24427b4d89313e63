//! Source text, spans, diagnostics with hints, near names, and how they are drawn.
//!
//! Knows nothing of TOML or of projects: whoever finds a fault says where it is and what would be right, and this module
//! keeps the faults in one collection and draws them.

mod closest;
mod diagnostic;
mod render;
mod source;

pub use closest::{closest, or_list};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use render::render;
pub use source::{FileId, Source, SourceMap, Span};
