//! Variables as leaves of a scope's tree: how they are set, replaced, shown and given to templates.

use std::collections::BTreeMap;

use minijinja::Value as TemplateValue;

use crate::config::loader::Loader;
use crate::config::tree::{self, Node, Table, Value};
use crate::diag::{FileId, Span};

use super::ScopeDecl;

/// A variable, a leaf of the scope's tree.
pub(in crate::config) struct Variable {
    pub(super) node: Node,
    /// `vars/common.toml:3`, `env NAME`, `--var`.
    pub(in crate::config) source: String,
    /// Where it is set, if that is a place in a file.
    pub(in crate::config) span: Option<Span>,
}

/// Adds what the command line gives.
pub(super) fn add_layer(
    loader: &Loader<'_>,
    decl: &ScopeDecl<'_>,
    variables: &mut BTreeMap<String, Variable>,
    (table, source): (&Table, &str),
) {
    if source != "--var" {
        add(variables, table, "", &|span| loader.place(span));
        return;
    }
    for entry in &table.entries {
        let text = entry.node.as_text().unwrap_or_default();
        let file = entry.node.span.file;
        let node = if decl.is_secret(&entry.key) {
            plain(file, text)
        } else {
            typed(file, text, variables.get(&entry.key).map(|v| &v.node))
        };
        set(variables, &entry.key, node, "--var".to_owned(), None);
    }
}

/// Adds the leaves of a table.
pub(super) fn add(
    variables: &mut BTreeMap<String, Variable>,
    table: &Table,
    prefix: &str,
    place: &dyn Fn(Span) -> String,
) {
    for entry in &table.entries {
        let path = format!("{prefix}{}", entry.key);
        match &entry.node.value {
            Value::Table(inner) if !inner.entries.is_empty() => {
                add(variables, inner, &format!("{path}."), place);
            }
            _ => set(
                variables,
                &path,
                entry.node.clone(),
                place(entry.key_span),
                Some(entry.key_span),
            ),
        }
    }
}

/// Sets a variable; a leaf replaces a branch of the same name, and the other way round.
pub(super) fn set(
    variables: &mut BTreeMap<String, Variable>,
    path: &str,
    node: Node,
    source: String,
    span: Option<Span>,
) {
    variables.retain(|old, _| {
        let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        !below(old, path) && !below(path, old)
    });
    variables.insert(path.to_owned(), Variable { node, source, span });
}

/// A value given as text: where it replaces one that is not a string, it is read as TOML.
pub(super) fn typed(file: FileId, text: &str, old: Option<&Node>) -> Node {
    let plain = plain(file, text);
    match old.map(|node| &node.value) {
        Some(Value::Text(_)) => plain,
        Some(_) => tree::parse_value(file, text).unwrap_or(plain),
        None => match tree::parse_value(file, text) {
            Some(node)
                if matches!(
                    node.value,
                    Value::Int(_) | Value::Bool(_) | Value::List(_) | Value::Table(_)
                ) =>
            {
                node
            }
            _ => plain,
        },
    }
}

pub(super) fn plain(file: FileId, text: &str) -> Node {
    Node {
        span: Span::new(file, 0..text.len()),
        value: Value::Text(text.to_owned()),
    }
}

/// A value as `forge vars` shows it.
pub(super) fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        _ => value_of(node).to_string(),
    }
}

/// A node as a value for templates.
pub(super) fn value_of(node: &Node) -> TemplateValue {
    match &node.value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::List(nodes) => nodes.iter().map(value_of).collect(),
        Value::Table(table) => table
            .entries
            .iter()
            .map(|e| (e.key.clone(), value_of(&e.node)))
            .collect(),
    }
}

/// `` `a`, `b` and 3 more ``.
pub(super) fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "no variables".to_owned();
    }
    let shown: Vec<String> = names
        .iter()
        .take(12)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len() - shown.len();
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &tail
}

/// A tree of values that is filled by dotted paths.
#[derive(Default)]
pub(super) struct Branch {
    leaves: BTreeMap<String, TemplateValue>,
    branches: BTreeMap<String, Branch>,
}

impl Branch {
    pub(super) fn put(&mut self, path: &str, value: TemplateValue) {
        match path.split_once('.') {
            Some((first, rest)) => self
                .branches
                .entry(first.to_owned())
                .or_default()
                .put(rest, value),
            None => {
                self.leaves.insert(path.to_owned(), value);
            }
        }
    }

    pub(super) fn into_value(self) -> TemplateValue {
        let branches = self
            .branches
            .into_iter()
            .map(|(name, branch)| (name, branch.into_value()));
        self.leaves.into_iter().chain(branches).collect()
    }
}
