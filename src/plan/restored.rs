//! Outputs of fresh stages that are not in their place: a run puts them back before anything reads them, so that a plan
//! reads them from the records.

use std::collections::BTreeMap;

use globset::GlobBuilder;

use super::{Facts, FileFact, FileFacts, FileKind, Record, inputs_of};
use crate::model::{Input, Stage};

/// What `stage` will find when the outputs of `upstream` are in place again; nothing if they are all there.
pub(super) fn restored(stage: &Stage, facts: &Facts, upstream: &[&Record]) -> Option<Facts> {
    let mut outputs: BTreeMap<&str, FileFact> = BTreeMap::new();
    for record in upstream {
        for file in record.artifact.files.values() {
            let Some(path) = file.path.as_deref().filter(|_| !file.tree) else {
                continue;
            };
            let fact = FileFact {
                path: path.to_owned(),
                digest: file.digest,
                kind: match file.executable {
                    true => FileKind::Executable,
                    false => FileKind::File,
                },
            };
            outputs.insert(path, fact);
        }
    }
    if outputs.is_empty() {
        return None;
    }
    let mut inputs = inputs_of(stage);
    let found = facts.found(&stage.key).iter().flatten();
    inputs.extend(found.cloned().map(Input::Path));
    let mut changed = BTreeMap::new();
    for input in &inputs {
        let Some(before) = facts.files.get(input) else {
            continue;
        };
        if let Some(after) = with(input, before, &outputs) {
            changed.insert(input.clone(), after);
        }
    }
    if changed.is_empty() {
        return None;
    }
    let mut facts = Facts {
        files: inputs
            .into_iter()
            .filter_map(|input| Some((input.clone(), facts.files.get(&input)?.clone())))
            .collect(),
        identities: facts.identities.clone(),
        checkpoints: facts.checkpoints.clone(),
        found: [(stage.key.clone(), facts.found(&stage.key).to_vec())].into(),
    };
    facts.files.extend(changed);
    Some(facts)
}

/// What lies behind an input with the outputs in place, if that is something else.
fn with(
    input: &Input,
    before: &FileFacts,
    outputs: &BTreeMap<&str, FileFact>,
) -> Option<FileFacts> {
    let mut files: BTreeMap<&str, &FileFact> = match before {
        FileFacts::Found(files) => files
            .iter()
            .map(|file| (file.path.as_str(), file))
            .collect(),
        FileFacts::Missing => BTreeMap::new(),
        FileFacts::Unreadable(_) => return None,
    };
    let differs = |path: &str, fact: &FileFact| files.get(path).is_none_or(|old| *old != fact);
    let matches: Vec<&FileFact> = match input {
        Input::Path(path) => {
            let fact = outputs.get(path.as_str());
            fact.filter(|fact| differs(path, fact))
                .into_iter()
                .collect()
        }
        Input::Glob(glob) => {
            let different = outputs.iter().filter(|(path, fact)| differs(path, fact));
            let different: Vec<(&&str, &FileFact)> = different.collect();
            if different.is_empty() {
                return None;
            }
            let glob = GlobBuilder::new(glob).literal_separator(true).build();
            let matcher = glob.ok()?.compile_matcher();
            let matching = different
                .into_iter()
                .filter(|(path, _)| matcher.is_match(path));
            matching.map(|(_, fact)| fact).collect()
        }
        // whether `.gitignore` leaves it out is not known here
        Input::Unignored(_) => Vec::new(),
    };
    if matches.is_empty() {
        return None;
    }
    for fact in matches {
        files.insert(fact.path.as_str(), fact);
    }
    Some(FileFacts::Found(files.into_values().cloned().collect()))
}
