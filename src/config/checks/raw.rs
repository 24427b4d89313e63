//! What YAML and TOML have in common: values that know their place.

use crate::diag::{Diagnostic, Span};

/// A value and its place.
#[derive(Clone, Debug)]
pub(in crate::config) struct Raw {
    pub(in crate::config) span: Span,
    pub(in crate::config) value: RawValue,
}

/// What can be written.
#[derive(Clone, Debug)]
pub(in crate::config) enum RawValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<RawEntry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(in crate::config) struct RawEntry {
    pub(in crate::config) key: String,
    pub(in crate::config) key_span: Span,
    pub(in crate::config) node: Raw,
}

impl Raw {
    /// What kind of value it is, with an article, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            RawValue::Null => "nothing",
            RawValue::Bool(_) => "a boolean",
            RawValue::Int(_) => "an integer",
            RawValue::Float(_) => "a float",
            RawValue::Text(_) => "a string",
            RawValue::List(_) => "a list",
            RawValue::Map(_) => "a map",
        }
    }

    /// The value, if it is neither a list nor a map nor missing.
    pub(super) fn scalar(&self) -> Option<serde_json::Value> {
        match &self.value {
            RawValue::Bool(flag) => Some((*flag).into()),
            RawValue::Int(number) => Some((*number).into()),
            RawValue::Float(number) => Some((*number).into()),
            RawValue::Text(text) => Some(text.as_str().into()),
            RawValue::Null | RawValue::List(_) | RawValue::Map(_) => None,
        }
    }
}

/// `expected …, found …` at the value's place.
pub(super) fn wrong_type(node: &Raw, expected: &str) -> Diagnostic {
    let message = format!("expected {expected}, found {}", node.kind());
    Diagnostic::error("wrong-type", message).label(node.span, "")
}
