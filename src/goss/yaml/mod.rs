//! Text of YAML and JSON as a tree that knows where everything stands, with the scalars that goss's readers see in it.

mod json;
mod node;
mod reader;
mod scalar;

#[cfg(test)]
mod tests;

pub(super) use node::{Entry, Kind, Node};
pub(super) use scalar::integer;

use crate::diag::{Diagnostic, FileId};

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// YAML 1.2 with goss's leniencies.
    Yaml,
    /// JSON: all numbers are floats.
    Json,
}

impl Syntax {
    /// By the file's extension.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// Parses one document; an empty one is null.
pub(super) fn parse(file: FileId, text: &str, syntax: Syntax) -> Result<Node, Diagnostic> {
    match syntax {
        Syntax::Yaml => reader::parse(file, text),
        Syntax::Json => json::parse(file, text),
    }
}

/// Parses a text that does not say what it is: JSON if it can be read so.
pub(super) fn sniff(file: FileId, text: &str) -> Result<Node, Diagnostic> {
    json::parse(file, text).or_else(|_| reader::parse(file, text))
}

fn fault(message: &str, span: crate::diag::Span) -> Diagnostic {
    Diagnostic::error("yaml", message).label(span, "")
}
