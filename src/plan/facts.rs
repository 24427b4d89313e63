//! The snapshot of the outside that a plan is made from.

use std::collections::BTreeMap;

use crate::model::{Digest, Input, Name};

/// All that the outside contributes to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What lies behind each input.
    pub files: BTreeMap<Input, FileFacts>,
    /// Named parts of each provider's identity.
    pub identities: BTreeMap<Name, Vec<(String, String)>>,
}

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
