//! Files that a command leaves beside its outputs, in the directories where those are, and in its working directory.
//!
//! Nobody knows of them: they are not kept, not put back and not removed. What is found there is told, not held against
//! the command, for another stage or a person may have written it at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Host;
use super::command::lies_in;
use crate::engine::{StageContext, listed};
use crate::model::{Command, StageKind};

/// Directories with more entries are not looked at: it would cost more than what it tells.
const LARGE: usize = 512;

/// What was there before the command ran.
pub(super) struct Around {
    /// Directories relative to the project, with the names in them.
    before: BTreeMap<String, BTreeSet<String>>,
}

impl Around {
    /// Looks at where the command may write.
    pub(super) fn look(host: &Host, kind: &Command) -> Self {
        let parent = |path: &String| path.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned();
        let mut dirs: BTreeSet<String> = kind.outputs.values().map(parent).collect();
        dirs.extend(kind.dir.clone());
        let before = dirs.into_iter().filter_map(|dir| {
            let names = names(&host.root.join(&dir))?;
            Some((dir, names))
        });
        Self {
            before: before.collect(),
        }
    }

    /// Tells what has come since and is no stage's output.
    pub(super) fn tell(&self, host: &Host, context: &StageContext) {
        let mut new = Vec::new();
        for (dir, before) in &self.before {
            let after = names(&host.root.join(dir)).unwrap_or_default();
            new.extend(after.difference(before).map(|name| match dir.as_str() {
                "" => name.clone(),
                dir => format!("{dir}/{name}"),
            }));
        }
        new.retain(|path| !is_declared(host, path));
        if new.is_empty() {
            return;
        }
        let (is, none) = match new.len() {
            1 => ("is", "no output"),
            _ => ("are", "no outputs"),
        };
        context.output.warn(format!(
            "{} appeared while it ran and {is} {none}: declare in `outputs` what others need",
            listed(&new)
        ));
    }
}

/// The names in a directory, but for forge's own; none if it cannot be read or is large.
fn names(dir: &Path) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for (count, entry) in std::fs::read_dir(dir).ok()?.enumerate() {
        if count == LARGE {
            return None;
        }
        let name = entry.ok()?.file_name().to_string_lossy().into_owned();
        if !name.starts_with(".forge") {
            names.insert(name);
        }
    }
    Some(names)
}

/// Whether a stage says that it writes `path`, something in it, or something that it lies in. Stages of other kinds write
/// into `output/`.
fn is_declared(host: &Host, path: &str) -> bool {
    path == "output"
        || host.whole.stages.iter().any(|stage| {
            let StageKind::Command(command) = &stage.kind else {
                return lies_in(path, "output");
            };
            let mut written = command.outputs.values().chain(command.depfile());
            written.any(|output| lies_in(output, path) || lies_in(path, output))
        })
}
