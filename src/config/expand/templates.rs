//! `[stage-templates]`: settings that several stages share. A stage that names one has all its settings, but for those that
//! it has itself; tables are put together, everything else is replaced. `params` fill in what differs.

use super::section;
use super::values::{Values, put_all};
use crate::config::loader::Loader;
use crate::config::tree::{Entry, Node, Table, Value};
use crate::diag::{Diagnostic, closest};

/// Gives every stage with a `template` the settings of that.
pub(super) fn apply(loader: &Loader<'_>, table: &mut Table) {
    let templates = table.table("stage-templates").cloned().unwrap_or_default();
    for entry in section(table, "stages")
        .into_iter()
        .flat_map(|t| &mut t.entries)
    {
        if let Value::Table(stage) = &mut entry.node.value {
            inherit(loader, &templates, stage);
        }
    }
}

fn inherit(loader: &Loader<'_>, templates: &Table, stage: &mut Table) {
    let mut seen: Vec<String> = Vec::new();
    while let Some(entry) = remove(stage, "template") {
        let Some(name) = entry.node.as_text() else {
            let message = format!("expected a string, found {}", entry.node.kind());
            loader.push(Diagnostic::error("wrong-type", message).label(entry.node.span, ""));
            return;
        };
        let template = templates.get(name).and_then(Node::as_table);
        let fault = match template {
            Some(_) if seen.iter().any(|known| known == name) => {
                seen.push(name.to_owned());
                let circle = seen.join(" → ");
                let message = format!("templates use each other in a circle: {circle}");
                Some(Diagnostic::error("template-circle", message))
            }
            Some(_) => None,
            None => {
                let near = closest(name, templates.keys());
                let help = near.map_or_else(
                    || format!("declare it: `[stage-templates.{name}]`"),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("unknown template `{name}`");
                Some(Diagnostic::error("unknown-template", message).help(help))
            }
        };
        if let Some(fault) = fault {
            loader.push(fault.label(entry.node.span, ""));
            return;
        }
        seen.push(name.to_owned());
        if let Some(template) = template {
            put_under(stage, template);
        }
    }
}

/// Adds what `stage` has not got itself.
fn put_under(stage: &mut Table, template: &Table) {
    for entry in &template.entries {
        let own = stage.entries.iter_mut().find(|own| own.key == entry.key);
        match (own.map(|own| &mut own.node.value), &entry.node.value) {
            (Some(Value::Table(own)), Value::Table(template)) => put_under(own, template),
            (Some(_), _) => {}
            (None, _) => stage.entries.push(entry.clone()),
        }
    }
}

/// Puts the values of `params` into the stage's other settings.
pub(super) fn fill_in(loader: &Loader<'_>, stage: &mut Table, owner: &str) {
    let params = remove(stage, "params");
    let params = match params.map(|entry| entry.node) {
        Some(Node {
            value: Value::Table(params),
            ..
        }) => params,
        Some(other) => {
            let message = format!("expected a table, found {}", other.kind());
            loader.push(Diagnostic::error("wrong-type", message).label(other.span, ""));
            return;
        }
        None => Table::default(),
    };
    let values = Values {
        root: "params",
        table: &params,
        owner: owner.to_owned(),
    };
    put_all(loader, stage, &values);
}

/// Takes an entry out of a table.
pub(super) fn remove(table: &mut Table, key: &str) -> Option<Entry> {
    let at = table.entries.iter().position(|entry| entry.key == key)?;
    Some(table.entries.remove(at))
}
