//! Faults between stages: two that write the same thing.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::config::loader::Loader;
use crate::diag::{Diagnostic, Span};
use crate::model::{Stage, StageKey, StageKind};

use super::stage::Lowering;

/// Reports outputs and appliances that two stages, or one at two axis values, would write.
pub(super) fn check(loader: &Loader<'_>, lowering: &Lowering<'_>) {
    let stages = lowering.stages.borrow();
    let mut writers: BTreeMap<String, StageKey> = BTreeMap::new();
    for stage in stages.iter() {
        for (path, setting) in written(stage) {
            match writers.get(&path) {
                Some(first) => {
                    let span = place(lowering, stage, setting);
                    loader.push(clash(first, stage, &path, span));
                }
                None => {
                    if let Some((outer, first)) = around(&writers, &path, &stage.key) {
                        let span = place(lowering, stage, setting);
                        loader.push(nested((outer, first), (&stage.key, &path), span));
                    }
                    writers.insert(path, stage.key.clone());
                }
            }
        }
    }
}

/// Another stage's output that is a directory above `path`, or that lies below it.
fn around<'w>(
    writers: &'w BTreeMap<String, StageKey>,
    path: &str,
    own: &StageKey,
) -> Option<(&'w str, &'w StageKey)> {
    let not_own = |(_, key): &(&String, &StageKey)| *key != own;
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    let mut above = above.filter_map(|outer| writers.get_key_value(outer));
    let found = above.find(not_own).or_else(|| {
        // what lies below stands together in the map's order
        let inside = format!("{path}/");
        writers
            .range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded))
            .take_while(|(other, _)| other.starts_with(&inside))
            .find(not_own)
    });
    found.map(|(other, key)| (other.as_str(), key))
}

/// A stage that runs removes its outputs first: it would take the other's with it.
fn nested(first: (&str, &StageKey), second: (&StageKey, &str), span: Span) -> Diagnostic {
    let ((outer, a), (b, path)) = (first, second);
    Diagnostic::error(
        "nested-output",
        format!("`{b}` writes `{path}`, and `{a}` writes `{outer}`: one lies inside of the other"),
    )
    .label(span, "")
    .help("give each stage a directory of its own")
}

/// What a stage writes, with the setting that says so.
fn written(stage: &Stage) -> Vec<(String, &'static str)> {
    match &stage.kind {
        StageKind::Command(command) => {
            let outputs = command.outputs.values().map(|path| (path, "outputs"));
            // one that is an output, too, is in already
            let depfile = command.depfile();
            let depfile = depfile.filter(|path| outputs.clone().all(|(o, _)| o != *path));
            let written = outputs.chain(depfile.map(|path| (path, "depfile")));
            written
                .map(|(path, setting)| (path.clone(), setting))
                .collect()
        }
        StageKind::PackOva(pack) => vec![(format!("output/{0}/{0}.ova", pack.name), "name")],
        _ => Vec::new(),
    }
}

fn place(lowering: &Lowering<'_>, stage: &Stage, setting: &str) -> Span {
    match lowering.decl(&stage.key.name) {
        Some(decl) => decl.table.get(setting).map_or(decl.span, |node| node.span),
        None => unreachable_span(lowering),
    }
}

/// Every lowered stage has a declaration; the first one's place stands in should that ever not hold.
fn unreachable_span(lowering: &Lowering<'_>) -> Span {
    lowering.decls[0].span
}

fn clash(first: &StageKey, second: &Stage, path: &str, span: Span) -> Diagnostic {
    let second = &second.key;
    let fault = Diagnostic::error(
        "duplicate-output",
        format!("`{first}` and `{second}` both write `{path}`"),
    )
    .label(span, "");
    if first.name != second.name {
        return fault;
    }
    let axes = first
        .axes
        .iter()
        .filter(|(axis, value)| second.axes.get(*axis) != Some(value));
    let names: Vec<String> = axes
        .map(|(axis, _)| format!("{{{{ axis.{axis} }}}}"))
        .collect();
    fault.help(format!("put `{}` into it", names.join("-")))
}
