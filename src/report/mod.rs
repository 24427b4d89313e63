//! Events and plans for people and programs: live lines on a terminal, plain lines in CI, JSON lines for machines.
//!
//! Nothing here decides or does anything. All output of guests passes through `clean` before it is shown: a script that
//! prints binary, or escape sequences, changes nothing but its own line.

mod clean;
mod json;
mod live;
mod plain;
mod screen;
mod style;
mod summary;
mod terminal;
mod words;

pub use json::{Clock, Json};
pub use plain::Plain;
pub use screen::Measure;
pub use style::{ColourChoice, Env, OutputChoice, OutputKind, Paint};
pub use terminal::{Monotonic, Terminal, TerminalOptions, Verbosity};

#[cfg(test)]
mod tests;
