//! `{{ each.… }}` and `{{ params.… }}`: values that are put into a stage's settings as they are written.

use crate::config::loader::Loader;
use crate::config::template::{Fault, Ref, Splice, Spliced, quoted, splice};
use crate::config::tree::{Node, Table, Value};
use crate::diag::closest;

/// Values under a name, for one stage.
pub(super) struct Values<'v> {
    /// `each` or `params`.
    pub(super) root: &'static str,
    pub(super) table: &'v Table,
    /// What has them, for messages: ``the file `images/a.toml` ``.
    pub(super) owner: String,
}

/// Puts the values into every string below `node`; what is missing is reported.
pub(super) fn put(loader: &Loader<'_>, node: &mut Node, values: &Values<'_>) {
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|node| put(loader, node, values)),
        Value::Table(table) => put_all(loader, table, values),
        Value::Text(text) => {
            let spliced = splice(text, &|variable| values.find(variable));
            match spliced {
                Ok(Spliced::Same) => {}
                Ok(Spliced::Text(new)) => *text = new,
                Ok(Spliced::Whole(variable)) => {
                    if let Some(found) = values.get(&variable) {
                        node.value = found.value.clone();
                    }
                }
                Err(fault) => loader.template_faults(node, &[fault]),
            }
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => {}
    }
}

/// [`put`] for all values of a table.
pub(super) fn put_all(loader: &Loader<'_>, table: &mut Table, values: &Values<'_>) {
    let nodes = table.entries.iter_mut().map(|entry| &mut entry.node);
    nodes.for_each(|node| put(loader, node, values));
}

impl Values<'_> {
    fn get(&self, variable: &Ref) -> Option<&Node> {
        let mut parts = variable.parts().skip(1);
        let mut found = self.table.get(parts.next()?)?;
        for part in parts {
            found = found.as_table()?.get(part)?;
        }
        Some(found)
    }

    fn find(&self, variable: &Ref) -> Result<Splice, Fault> {
        if variable.parts().next() != Some(self.root) {
            return Ok(Splice::Leave);
        }
        match self.get(variable) {
            Some(node) => Ok(match &node.value {
                Value::Text(text) => Splice::Text(text.clone()),
                other => Splice::Expression(expression(other)),
            }),
            None => Err(self.missing(variable)),
        }
    }

    fn missing(&self, variable: &Ref) -> Fault {
        let dotted = variable.dotted();
        let names: Vec<String> = self.names();
        let near = closest(&dotted, names.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => format!("there is no `{}` here", self.root),
            None => format!("known here: {}", names.join(", ")),
        };
        Fault {
            range: variable.range(),
            code: "undefined-variable",
            message: format!("{} has no `{dotted}`", self.owner),
            help: vec![help],
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut todo = vec![(self.root.to_owned(), self.table)];
        while let Some((prefix, table)) = todo.pop() {
            for entry in &table.entries {
                let name = format!("{prefix}.{}", entry.key);
                match entry.node.as_table() {
                    Some(table) => todo.push((name, table)),
                    None => names.push(name),
                }
            }
        }
        names.sort();
        names
    }
}

/// A value as expressions write it.
fn expression(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::List(nodes) => {
            let nodes: Vec<String> = nodes.iter().map(|node| expression(&node.value)).collect();
            format!("[{}]", nodes.join(", "))
        }
        Value::Table(table) => {
            let entries = table.entries.iter();
            let entries =
                entries.map(|e| format!("{}: {}", quoted(&e.key), expression(&e.node.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}
