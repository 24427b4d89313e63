//! What may stand where: the shapes of settings, and the check of a file against them.
//!
//! The tables in [`keys`] are the one place that knows the language's keys. The check here, the near names
//! and the JSON schema all read them, so they cannot drift apart.

use crate::diag::{Diagnostic, Diagnostics, closest, or_list};
use crate::model::{Duration, Name, Size};

use super::keys;
use super::template::is_template;
use super::tree::{Node, Table, Value};

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Any text; a template unless the key says otherwise.
    Text,
    /// A [`Name`]; no template.
    Name,
    Bool,
    Int(i64, i64),
    Size,
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    List(&'static Shape),
    /// An array, or one element of it.
    OneOrMany(&'static Shape),
    /// Keys that the user names.
    Map(&'static Shape),
    Keys(&'static Keys),
    Either(&'static Shape, &'static Shape),
    /// Values of the user's own.
    Any,
    /// A provider, by its `type`.
    Provider,
    /// A stage, by its `kind`.
    Stage,
}

/// The known keys of a table.
#[derive(Debug)]
pub(super) struct Keys {
    /// What the table is, for messages: `a disk`.
    pub(super) what: &'static str,
    /// The keys, in groups that tables share.
    pub(super) groups: &'static [&'static [Key]],
}

/// A known key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// A sentence for the schema.
    pub(super) doc: &'static str,
}

impl Keys {
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static Key> {
        self.iter().find(|key| key.name == name)
    }
}

impl Shape {
    /// With an article, for messages.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text | Self::Name => "a string".into(),
            Self::Bool => "`true` or `false`".into(),
            Self::Int(..) => "an integer".into(),
            Self::Size => "a size such as `4GiB`".into(),
            Self::Duration => "a duration such as `1m30s`".into(),
            Self::Word(words) => or_list(words.iter().copied()),
            Self::List(_) => "an array".into(),
            Self::OneOrMany(one) => format!("{} or an array", one.expected()),
            Self::Map(_) | Self::Keys(_) | Self::Provider | Self::Stage => "a table".into(),
            Self::Either(a, b) => format!("{} or {}", a.expected(), b.expected()),
            Self::Any => "a value".into(),
        }
    }

    /// Whether a value of this TOML type can have this shape at all.
    fn admits(&self, node: &Node) -> bool {
        match (self, &node.value) {
            (Self::Any, _)
            | (Self::Bool, Value::Bool(_))
            | (Self::Int(..), Value::Int(_))
            | (Self::List(_) | Self::OneOrMany(_), Value::List(_))
            | (
                Self::Text | Self::Name | Self::Size | Self::Duration | Self::Word(_),
                Value::Text(_),
            )
            | (Self::Map(_) | Self::Keys(_) | Self::Provider | Self::Stage, Value::Table(_)) => {
                true
            }
            // `expected a duration, found an integer` comes with more help from the value's own check
            (Self::Bool | Self::Int(..) | Self::List(_), Value::Text(text)) => is_template(text),
            (Self::OneOrMany(one), _) => one.admits(node),
            (Self::Either(a, b), _) => a.admits(node) || b.admits(node),
            _ => false,
        }
    }
}

/// `expected …, found …`.
pub(super) fn wrong_type(shape: &Shape, node: &Node) -> Diagnostic {
    let message = format!("expected {}, found {}", shape.expected(), node.kind());
    let help = match (shape, &node.value) {
        (Shape::Size, Value::Int(n)) => Some(format!("add a unit: `\"{n}GiB\"`, `\"{n}MiB\"`")),
        (Shape::Duration, Value::Int(n)) => Some(format!("add a unit: `\"{n}s\"`, `\"{n}m\"`")),
        (Shape::Text | Shape::Word(_), Value::Int(n)) => {
            Some(format!("write it as a string: `\"{n}\"`"))
        }
        (Shape::Int(..), Value::Text(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write it without quotes: `{text}`"))
        }
        (Shape::Bool, Value::Text(text)) if matches!(text.as_str(), "true" | "false") => {
            Some(format!("write it without quotes: `{text}`"))
        }
        _ => None,
    };
    Diagnostic::error("wrong-type", message)
        .label(node.span, "")
        .maybe_help(help)
}

/// Why a text is not of the shape: message and hint.
pub(super) fn text_fault(shape: &Shape, text: &str) -> Option<(String, Option<String>)> {
    match shape {
        Shape::Size => Size::parse(text).err().map(|e| (e.to_string(), None)),
        Shape::Duration => Duration::parse(text).err().map(|e| (e.to_string(), None)),
        Shape::Name => Name::parse(text).err().map(|e| (e.to_string(), None)),
        Shape::Word(words) => (!words.contains(&text)).then(|| {
            let near =
                closest(text, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("expected {}, found `{text}`", shape.expected());
            (message, near)
        }),
        _ => None,
    }
}

/// The fault of an integer outside of its bounds.
pub(super) fn int_fault(min: i64, max: i64, number: i64) -> Option<String> {
    (number < min || number > max).then(|| {
        if max == i64::MAX {
            format!("expected at least {min}, found {number}")
        } else {
            format!("expected {min} to {max}, found {number}")
        }
    })
}

/// Finds everything in `node` that is not of the shape: unknown keys, wrong types, values that no template could save.
pub(super) fn check(node: &Node, shape: &Shape, faults: &mut Diagnostics) {
    if !shape.admits(node) {
        faults.push(wrong_type(shape, node));
        return;
    }
    match (shape, &node.value) {
        (Shape::Either(a, b), _) => check(node, if a.admits(node) { a } else { b }, faults),
        (Shape::OneOrMany(one) | Shape::List(one), Value::List(nodes)) => {
            nodes.iter().for_each(|node| check(node, one, faults));
        }
        (Shape::OneOrMany(one), _) => check(node, one, faults),
        (Shape::Map(inner), Value::Table(table)) => {
            table
                .entries
                .iter()
                .for_each(|e| check(&e.node, inner, faults));
        }
        (Shape::Keys(known), Value::Table(table)) => check_table(table, known, faults),
        (Shape::Provider, Value::Table(table)) => {
            if let Some(known) = keys::provider(table) {
                check_table(table, known, faults);
            }
        }
        (Shape::Int(min, max), Value::Int(number)) => {
            if let Some(message) = int_fault(*min, *max, *number) {
                faults.push(Diagnostic::error("bad-value", message).label(node.span, ""));
            }
        }
        (_, Value::Text(text)) if matches!(shape, Shape::Name) || !is_template(text) => {
            if let Some((message, help)) = text_fault(shape, text) {
                faults.push(
                    Diagnostic::error("bad-value", message)
                        .label(node.span, "")
                        .maybe_help(help),
                );
            }
        }
        _ => {}
    }
}

/// Finds unknown keys in a table, and checks the values of the known ones.
pub(super) fn check_table(table: &Table, known: &Keys, faults: &mut Diagnostics) {
    for entry in &table.entries {
        match known.find(&entry.key) {
            Some(key) => check(&entry.node, &key.shape, faults),
            None => faults.push(
                Diagnostic::error(
                    "unknown-key",
                    format!("unknown key `{}` in {}", entry.key, known.what),
                )
                .label(entry.key_span, "")
                .help(key_help(&entry.key, known)),
            ),
        }
    }
}

fn key_help(key: &str, known: &Keys) -> String {
    match closest(key, known.iter().map(|key| key.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = known.iter().map(|key| key.name).collect();
            format!("known keys: {}", names.join(", "))
        }
    }
}
