//! `foreach = "images/*.toml"`: a stage for each file. They are called `NAME-ID`, and `NAME` stands for all of them.

use std::collections::BTreeMap;

use super::include::files;
use super::section;
use super::templates::{fill_in, remove};
use super::values::{Values, put_all};
use crate::config::loader::Loader;
use crate::config::tree::{Entry, Node, Table, Value};
use crate::diag::{Diagnostic, Span};
use crate::model::{Input, Name, StageKind};

/// Writes out every stage with a `foreach`, and every name that stands for several.
pub(super) fn write_out(loader: &Loader<'_>, table: &mut Table) {
    let Some(stages) = section(table, "stages") else {
        return;
    };
    let mut groups: BTreeMap<String, (Span, Vec<String>)> = BTreeMap::new();
    let mut all: Vec<Entry> = Vec::with_capacity(stages.entries.len());
    for mut entry in std::mem::take(&mut stages.entries) {
        let Value::Table(stage) = &mut entry.node.value else {
            all.push(entry);
            continue;
        };
        match remove(stage, "foreach") {
            Some(patterns) => {
                let made = each(loader, &entry, &patterns.node);
                let names = made.iter().map(|made| made.key.clone()).collect();
                groups.insert(entry.key.clone(), (entry.key_span, names));
                all.extend(made);
            }
            None => {
                fill_in(loader, stage, &format!("the stage `{}`", entry.key));
                all.push(entry);
            }
        }
    }
    all.dedup_by(|b, a| twice(loader, a, b));
    stages.entries = all;
    if groups.is_empty() {
        return;
    }
    for entry in &mut stages.entries {
        if let Value::Table(stage) = &mut entry.node.value {
            widen(stage, "needs", &groups);
            let overrides = stage.entries.iter_mut().find(|e| e.key == "overrides");
            if let Some(Value::List(nodes)) = overrides.map(|e| &mut e.node.value) {
                for node in nodes {
                    if let Value::Table(change) = &mut node.value {
                        widen(change, "needs", &groups);
                    }
                }
            }
        }
    }
    name_groups(table, groups);
}

/// Two files whose names give one stage.
fn twice(loader: &Loader<'_>, a: &Entry, b: &Entry) -> bool {
    let same = a.key == b.key;
    if same {
        let message = format!("two files of `foreach` give the stage `{}`", a.key);
        loader.push(
            Diagnostic::error("duplicate", message)
                .label(a.key_span, "")
                .help("rename one of them"),
        );
    }
    same
}

/// The stages of `entry`, one for each file.
fn each(loader: &Loader<'_>, entry: &Entry, patterns: &Node) -> Vec<Entry> {
    let mut made = Vec::new();
    for pattern in patterns.one_or_many() {
        let Some(text) = pattern.as_text() else {
            let message = format!("expected a string or an array, found {}", pattern.kind());
            loader.push(Diagnostic::error("wrong-type", message).label(pattern.span, ""));
            continue;
        };
        let found = files(loader, text, pattern.span);
        if found.is_empty() && loader.errors() == 0 {
            let message = format!(
                "no file matches `{text}`: there is no stage `{}`",
                entry.key
            );
            loader.push(Diagnostic::warning("no-file", message).label(pattern.span, ""));
        }
        let base = Input::fixed_part(text.trim_start_matches("./"));
        for path in found {
            made.extend(stage(loader, entry, &path, base, pattern.span));
        }
    }
    made.sort_by(|a, b| a.key.cmp(&b.key));
    made
}

fn stage(loader: &Loader<'_>, entry: &Entry, path: &str, base: &str, span: Span) -> Option<Entry> {
    let inside = path[base.len()..].trim_start_matches('/');
    let id = inside.rsplit_once('.').map_or(inside, |(stem, _)| stem);
    let id = id.replace('/', "-");
    let key = format!("{}-{id}", entry.key);
    if let Err(error) = Name::parse(&key) {
        let message = format!("`{path}` gives no name for a stage, `{key}`: {error}");
        loader.push(Diagnostic::error("bad-name", message).label(span, ""));
        return None;
    }
    let each = values(loader, path, &id, span)?;
    let mut made = entry.clone();
    made.key.clone_from(&key);
    let Value::Table(stage) = &mut made.node.value else {
        return None;
    };
    if StageKind::NAMES.contains(&entry.key.as_str()) && stage.get("kind").is_none() {
        stage.put(text("kind", &entry.key, entry.key_span));
    }
    let values = Values {
        root: "each",
        table: &each,
        owner: format!("the file `{path}`"),
    };
    put_all(loader, stage, &values);
    fill_in(loader, stage, &format!("the stage `{}`", entry.key));
    Some(made)
}

/// `each` of a file.
fn values(loader: &Loader<'_>, path: &str, id: &str, span: Span) -> Option<Table> {
    let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let mut each = Table::default();
    for (name, value) in [
        ("path", path),
        ("dir", dir),
        ("file", file),
        ("stem", stem),
        ("id", id),
    ] {
        each.put(text(name, value, span));
    }
    if file.ends_with(".toml") {
        let (table, whole) = loader.toml_file("the file", path, span)?;
        if !whole {
            return None;
        }
        each.put(Entry {
            key: "values".to_owned(),
            key_span: span,
            node: Node {
                span,
                value: Value::Table(table),
            },
        });
    }
    Some(each)
}

fn text(key: &str, value: &str, span: Span) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: span,
        node: Node {
            span,
            value: Value::Text(value.to_owned()),
        },
    }
}

/// Puts the stages of a group in the place of its name.
fn widen(table: &mut Table, key: &str, groups: &BTreeMap<String, (Span, Vec<String>)>) {
    let Some(entry) = table.entries.iter_mut().find(|entry| entry.key == key) else {
        return;
    };
    let nodes = entry.node.one_or_many();
    let named = |node: &Node| node.as_text().and_then(|name| groups.get(name)).cloned();
    if !nodes.iter().any(|node| named(node).is_some()) {
        return;
    }
    let wide = nodes.iter().flat_map(|node| match named(node) {
        Some((_, names)) => {
            let nodes = names.into_iter().map(|name| Node {
                span: node.span,
                value: Value::Text(name),
            });
            nodes.collect()
        }
        None => vec![node.clone()],
    });
    entry.node.value = Value::List(wide.collect());
}

/// The name of a group is a target; other targets may use it.
fn name_groups(table: &mut Table, groups: BTreeMap<String, (Span, Vec<String>)>) {
    if section(table, "targets").is_none() {
        let Some((span, _)) = groups.values().next() else {
            return;
        };
        table.entries.push(Entry {
            key: "targets".to_owned(),
            key_span: *span,
            node: Node {
                span: *span,
                value: Value::Table(Table::default()),
            },
        });
    }
    let Some(targets) = section(table, "targets") else {
        return;
    };
    let names: Vec<String> = targets.keys().map(str::to_owned).collect();
    for name in names {
        widen(targets, &name, &groups);
    }
    for (name, (span, stages)) in groups {
        let nodes = stages.into_iter().map(|stage| Node {
            span,
            value: Value::Text(stage),
        });
        let new = Entry {
            key: name,
            key_span: span,
            node: Node {
                span,
                value: Value::List(nodes.collect()),
            },
        };
        // one of this name is reported where targets are read
        targets.put(new);
    }
}
