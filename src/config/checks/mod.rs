//! Checks in goss's language: a gossfile (YAML) or a table of `builds.toml` → [`CheckSet`], or every fault with its place.
//!
//! goss forgives unknown top-level keys and finds a wrong type only when it asks; here every fault is told on reading.
//! What goss knows and forge does not yet is told apart from what nobody knows.

mod attributes;
mod matcher;
mod raw;
mod resource;
mod yaml;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::diag::{Diagnostic, Diagnostics, FileId, SourceMap};
use crate::model::CheckSet;

pub(super) use raw::{Raw, RawEntry, RawValue};

/// Reads a gossfile that stands alone; `name` is what people call it.
pub fn parse_gossfile(name: &str, text: &str) -> Result<CheckSet, Diagnostics> {
    let mut sources = SourceMap::default();
    let file = sources.add(name, text);
    let mut faults = Diagnostics::default();
    faults.sources = Arc::new(sources);
    let checks = read_gossfile(file, text, &mut faults);
    if faults.has_errors() {
        return Err(faults);
    }
    Ok(checks)
}

/// Reads a gossfile; what can be read of a faulty one is returned.
pub(super) fn read_gossfile(file: FileId, text: &str, faults: &mut Diagnostics) -> CheckSet {
    if let Some(span) = yaml::template(file, text) {
        faults.push(
            Diagnostic::error(
                "unsupported-check",
                "templates in gossfiles are not supported yet",
            )
            .label(span, "")
            .help("write the value itself, or write the check in builds.toml, where variables can be used"),
        );
        return CheckSet::default();
    }
    match yaml::parse(file, text) {
        Ok(root) => lower(&root, faults),
        Err(fault) => {
            faults.push(fault);
            CheckSet::default()
        }
    }
}

/// Resource types, each with its checks.
pub(super) fn lower(root: &Raw, faults: &mut Diagnostics) -> CheckSet {
    let mut set = CheckSet::default();
    let entries = match &root.value {
        RawValue::Null => return set,
        RawValue::Map(entries) => entries,
        _ => {
            faults.push(raw::wrong_type(root, "resource types with their checks"));
            return set;
        }
    };
    for entry in entries {
        let Some(resource) = resource::known(entry, faults) else {
            continue;
        };
        match &entry.node.value {
            RawValue::Null => {}
            RawValue::Map(checks) => {
                let checks = checks
                    .iter()
                    .filter_map(|check| resource::check(resource, check, faults));
                set.checks.extend(checks);
            }
            _ => faults.push(raw::wrong_type(&entry.node, "checks by name")),
        }
    }
    set
}
