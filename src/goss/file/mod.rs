//! Gossfiles: templates are rendered, files included, resources read; later ones win.

mod include;
mod lower;
mod vars;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use include::{Files, Spec};
pub use vars::Vars;

use super::Resource;
use super::template::{self, World};
use super::yaml::{self, Syntax};
use crate::diag::{Diagnostic, Diagnostics, SourceMap};

/// All resources of a gossfile and of those that it includes.
#[derive(Clone, Debug)]
pub struct Suite {
    /// In goss's order of types; within a type as they were read.
    pub resources: Vec<Resource>,
    /// What does not keep it from being used: old spellings, resources that override others.
    pub warnings: Diagnostics,
}

/// Loads a gossfile with all that it includes.
pub fn load(
    spec: &Spec<'_>,
    files: &dyn Files,
    vars: &Vars,
    world: &dyn World,
) -> Result<Suite, Diagnostics> {
    let loaded = include::load(spec, files, vars, world)?;
    let mut resources = loaded.resources;
    // stable: what was read first stays first
    resources.sort_by_key(|resource| resource.kind);
    Ok(Suite {
        resources,
        warnings: loaded.warnings,
    })
}

/// What a gossfile's template makes of the variables, without looking at what it is.
pub fn render(
    spec: &Spec<'_>,
    files: &dyn Files,
    vars: &Vars,
    world: &dyn World,
) -> Result<String, Diagnostics> {
    include::render(spec, files, vars, world)
}

/// What can be told of a gossfile that stands alone without any system: its template's syntax; and, if it has no template, all of
/// its faults.
#[must_use]
pub fn check(name: &str, text: &str) -> Diagnostics {
    let mut sources = SourceMap::default();
    let file = sources.add(name, text);
    let mut faults = Diagnostics::default();
    if template::is_template(text) {
        if let Err(fault) = template::check(text) {
            faults.push(fault.diagnostic(file, text));
        }
    } else {
        match yaml::parse(file, text, Syntax::of(name).unwrap_or(Syntax::Yaml)) {
            Ok(node) => {
                let read = lower::read(&node, &mut faults);
                for (resource, span) in &read.resources {
                    for (attribute, fault) in resource.faults() {
                        let message = format!(
                            "`{attribute}` of `{}` can never hold: {fault}",
                            resource.key
                        );
                        faults.push(Diagnostic::error("matcher", message).label(*span, ""));
                    }
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    faults.sources = Arc::new(sources);
    faults
}
