//! Go's `text/template` as goss uses it: missing keys are errors; Go's own functions, goss's, and those of Sprig that give the same
//! result at each run.

mod exec;
mod functions;
mod lex;
mod node;
mod parse;
mod pipe;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::diag::{Diagnostic, FileId, Span};
use crate::goss::Value;

/// What templates may know of the system that is checked. It is asked only if a template asks.
pub trait World {
    /// One variable of the environment (`getEnv`, `env`).
    fn env(&self, name: &str) -> Option<String>;
    /// The whole environment (`.Env`).
    fn environment(&self) -> BTreeMap<String, String>;
    /// A file's content (`readFile`).
    fn read_file(&self, path: &str) -> Result<Vec<u8>, String>;
    /// The time (`now`).
    fn now(&self) -> SystemTime;
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes of the template: first, and one past the last.
    pub(super) at: (usize, usize),
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fault {
    fn new(at: (usize, usize), message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn diagnostic(self, file: FileId, text: &str) -> Diagnostic {
        let end = self.at.1.min(text.len());
        let span = Span::new(file, self.at.0.min(end)..end);
        Diagnostic::error("template", self.message)
            .label(span, "")
            .maybe_help(self.help)
    }
}

/// Whether a text has actions at all.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Finds what is wrong with a template's syntax, unknown functions among it.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    parse::parse(text).map(|_| ())
}

/// The text that a template makes of variables.
pub(super) fn render(text: &str, vars: &Value, world: &dyn World) -> Result<String, Fault> {
    let templates = parse::parse(text)?;
    exec::run(&templates, vars, world)
}
