//! The snapshot of the outside that a plan is made from.

use std::collections::BTreeMap;

use crate::model::{Digest, Input, Name, StageKey};

/// All that the outside contributes to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What lies behind each input.
    pub files: BTreeMap<Input, FileFacts>,
    /// Named parts of each provider's identity.
    pub identities: BTreeMap<Name, Vec<(String, String)>>,
    /// What commands that tell what they read have read before, as paths relative to the project or absolute ones; for
    /// each stage the newest first. The content behind them is in `files`.
    pub found: BTreeMap<StageKey, Vec<Vec<String>>>,
    /// What kept machines must fit to be gone on from, of stages for which that is known without asking anybody.
    pub checkpoints: BTreeMap<StageKey, String>,
}

impl Facts {
    /// The sets of files that the stage has read before, the newest first.
    pub(super) fn found(&self, stage: &StageKey) -> &[Vec<String>] {
        self.found.get(stage).map(Vec::as_slice).unwrap_or_default()
    }

    /// What a file that was found counts as: the digest of its content, or why there is none.
    pub(super) fn value(&self, path: &str) -> String {
        match self.files.get(&Input::Path(path.to_owned())) {
            Some(FileFacts::Found(files)) => match files.as_slice() {
                [file] if file.path == path || path.starts_with('/') => file.value(),
                files => {
                    let mut text = String::new();
                    for file in files {
                        text.push_str(&format!("{}\n{}\n", file.path, file.value()));
                    }
                    format!("{} tree", Digest::of(text.as_bytes()))
                }
            },
            Some(FileFacts::Unreadable(why)) => why.clone(),
            Some(FileFacts::Missing) | None => MISSING.to_owned(),
        }
    }
}

/// What a file that was found counts as when it is gone.
pub(super) const MISSING: &str = "missing";

/// What lies behind an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFacts {
    /// These files, sorted by path; empty for a glob that matches nothing and for an empty directory.
    Found(Vec<FileFact>),
    /// There is no such file.
    Missing,
    /// It cannot be read; the text says which file and why.
    Unreadable(String),
}

/// A file as it enters a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Its path relative to the project, with `/`.
    pub path: String,
    /// Of its content; of a link: of its target, and of the content behind it if that is a file.
    pub digest: Digest,
    /// What it is.
    pub kind: FileKind,
}

impl FileFact {
    /// The value of its ingredient.
    pub(super) fn value(&self) -> String {
        match self.kind {
            FileKind::File => self.digest.hex(),
            FileKind::Executable => format!("{} executable", self.digest),
            FileKind::Link => format!("{} link", self.digest),
            FileKind::EmptyDir => "empty directory".to_owned(),
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// An ordinary file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Link,
    /// A directory with nothing in it.
    EmptyDir,
}
