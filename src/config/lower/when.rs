//! Conditions on axis values: `when`, `only`, `except`.

use std::collections::BTreeMap;

use crate::config::loader::Loader;
use crate::config::tree::Node;
use crate::diag::{Diagnostic, Span, closest, or_list};
use crate::model::{Axis, Name};

/// Axis values: all axes must have one of theirs.
#[derive(Default)]
pub(super) struct When(Vec<(String, Vec<String>)>);

impl When {
    pub(super) fn holds(&self, axes: &BTreeMap<Name, String>) -> bool {
        self.0.iter().all(|(axis, values)| {
            let here = axes.iter().find(|(name, _)| name.as_str() == axis);
            here.is_some_and(|(_, value)| values.contains(value))
        })
    }

    /// Reads `{ axis = value | [value…] }`, with all its faults.
    pub(super) fn read(loader: &Loader<'_>, axes: &[Axis], node: &Node) -> Self {
        let mut when = Vec::new();
        for entry in node.as_table().into_iter().flat_map(|table| &table.entries) {
            let Some(axis) = axes.iter().find(|axis| axis.name.as_str() == entry.key) else {
                loader.push(unknown_axis(&entry.key, entry.key_span, axes));
                continue;
            };
            let mut values = Vec::new();
            for node in entry.node.one_or_many() {
                let Some(value) = node.as_text() else {
                    continue;
                };
                if !axis.values.iter().any(|known| known == value) {
                    loader.push(unknown_value(axis, value, node.span));
                }
                values.push(value.to_owned());
            }
            when.push((entry.key.clone(), values));
        }
        Self(when)
    }
}

/// The fault of a name that is no axis.
pub(super) fn unknown_axis(name: &str, span: Span, axes: &[Axis]) -> Diagnostic {
    let known = || axes.iter().map(|axis| axis.name.as_str());
    let help = match closest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if axes.is_empty() => "declare it: `[axes]`".to_owned(),
        None => format!("the axes are {}", or_list(known())),
    };
    Diagnostic::error("unknown-axis", format!("unknown axis `{name}`"))
        .label(span, "")
        .help(help)
}

fn unknown_value(axis: &Axis, value: &str, span: Span) -> Diagnostic {
    let known = || axis.values.iter().map(String::as_str);
    let help = match closest(value, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its values are {}", or_list(known())),
    };
    Diagnostic::error(
        "unknown-axis-value",
        format!("the axis `{}` has no value `{value}`", axis.name),
    )
    .label(span, "")
    .help(help)
}
