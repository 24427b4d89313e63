//! The tree.

use crate::diag::Span;
use crate::goss::Value;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::goss) struct Node {
    pub(in crate::goss) span: Span,
    pub(in crate::goss) kind: Kind,
}

/// What can be written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::goss) enum Kind {
    /// A word, a number, nothing.
    Scalar {
        /// What it means.
        value: Value,
        /// As it is written; quoted text without its quotes.
        text: String,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in order.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::goss) struct Entry {
    pub(in crate::goss) key: String,
    pub(in crate::goss) key_span: Span,
    pub(in crate::goss) node: Node,
}

impl Node {
    /// What kind of value it is, with an article, for messages.
    pub(in crate::goss) const fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { value, .. } => match value {
                Value::Null => "nothing",
                Value::Bool(_) => "a boolean",
                Value::Int(_) => "an integer",
                Value::Float(_) => "a float",
                _ => "a string",
            },
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Whether it is nothing.
    pub(in crate::goss) const fn is_null(&self) -> bool {
        matches!(
            &self.kind,
            Kind::Scalar {
                value: Value::Null,
                ..
            }
        )
    }

    /// Without places.
    pub(in crate::goss) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar { value, .. } => value.clone(),
            Kind::List(all) => Value::List(all.iter().map(Self::to_value).collect()),
            Kind::Map(all) => Value::Map(
                all.iter()
                    .map(|entry| (entry.key.clone(), entry.node.to_value()))
                    .collect(),
            ),
        }
    }
}
