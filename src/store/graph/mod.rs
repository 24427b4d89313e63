//! The kept graph: a project's commands as they were when all of them were up to date, in one file.
//!
//! What `forge run` needs to see that nothing has changed, and to run only what something has changed for, without reading
//! `builds.toml`, asking for records, or hashing anything: one `stat` for each file. There is one in `.forge/graphs/` for
//! each way of asking (targets, variables, …). It is only ever a shortcut: whatever it does not fit exactly (another forge,
//! a changed project file, records written by another run) is done the long way, which writes a new one.
//!
//! All numbers are little-endian.
//!
//! ```text
//! prefix   magic, and the lengths of the six parts that follow
//! head     JSON: the generation of the records, the project's limits, what loading asked, …
//! places   80 bytes for each file: what it is kept for and how it was
//! names    the paths
//! keys     a line of JSON for each stage: its key; in the order of the plan
//! stages   numbers for each stage: what it needs, its places and inputs, the lengths of its bodies
//! bodies   JSON for each stage: its settings and its artifact
//! ```
//!
//! The first four parts say whether anything has changed and are read each time; the others only when something has.

mod check;
mod edit;
mod format;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::{Change, Checked};
pub use edit::{Drawn, Sketch};
pub use format::KeptGraph;

use super::db::{RECENT, Stamp, now};
use crate::config::Asked;
use crate::model::{
    Artifact, Command, Digest, Duration, Input, Name, Origin, Resources, Stage, StageKey, StageKind,
};
use crate::plan::{FileFacts, FileKind};

/// What is known of all stages together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// [`super::Db::generation`] when it was written.
    pub generation: i64,
    /// When the records' last use was noted, in seconds since 1970.
    pub used: i64,
    /// The project's name.
    pub project: String,
    /// The project's version.
    pub version: String,
    /// What was asked for, for people.
    pub targets: Vec<String>,
    /// What may be used at one time.
    pub resources: Resources,
    /// The places of the pools.
    pub pools: BTreeMap<Name, u32>,
    /// Whether there are stages that are looked at each time.
    pub unsure: bool,
    /// The warnings of loading, as they are shown.
    pub warnings: String,
    /// What loading asked beside files that are among the places.
    pub asked: Vec<Asked>,
    /// Trees, globs and whatever else is not one file, with the digest of what is behind them.
    pub inputs: Vec<(Input, Digest)>,
}

impl Head {
    /// Whether the last use of the records should be noted.
    #[must_use]
    pub fn use_is_due(&self) -> bool {
        now().saturating_sub(self.used) >= RECENT
    }

    /// It is noted.
    pub fn used_now(&mut self) {
        self.used = now();
    }
}

/// How something at a path was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Was {
    /// A file with this content; the stamp says that it is the same if it is trusted.
    File {
        stamp: Stamp,
        trusted: bool,
        digest: Digest,
    },
    /// A directory that is kept as a tar file of this content and size.
    Tree { digest: Digest, size: i64 },
    /// Nothing.
    Missing,
}

impl Was {
    /// Whether the content is the same, whatever the stamps are.
    fn has_content_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { digest, .. }, Self::File { digest: other, .. })
            | (Self::Tree { digest, .. }, Self::Tree { digest: other, .. }) => digest == other,
            (Self::Missing, Self::Missing) => true,
            _ => false,
        }
    }
}

/// What a place is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// The project was loaded from it.
    Loaded,
    /// Stages read it.
    Input,
    /// A stage made it; its content is in the store as well.
    Output,
}

/// A path that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Relative to the project, or absolute.
    pub(super) path: String,
    pub(super) role: Role,
    pub(super) was: Was,
}

/// A command's settings, as they are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    origin: Origin,
    command: Command,
    needs: Vec<StageKey>,
    timeout: Option<Duration>,
    retries: u32,
    pool: Option<Name>,
}

impl Settings {
    /// Of a stage that can be kept: a command that comes from no other stage.
    fn of(stage: &Stage) -> Option<Self> {
        match (&stage.kind, &stage.from) {
            (StageKind::Command(command), None) => Some(Self {
                origin: stage.origin.clone(),
                command: command.clone(),
                needs: stage.needs.clone(),
                timeout: stage.timeout,
                retries: stage.retries,
                pool: stage.pool.clone(),
            }),
            _ => None,
        }
    }

    fn stage(self, key: StageKey) -> Stage {
        Stage {
            key,
            origin: self.origin,
            kind: StageKind::Command(self.command),
            from: None,
            needs: self.needs,
            timeout: self.timeout,
            retries: self.retries,
            pool: self.pool,
        }
    }
}

/// A stage and what it has left, to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The stage.
    pub stage: &'a Stage,
    /// What it has left.
    pub artifact: &'a Artifact,
    /// Whether its record says that it was made of what is there now; otherwise it is looked at each time.
    pub sure: bool,
}

/// Whether a stage is one that can be kept: a command that comes from no other stage.
#[must_use]
pub const fn can_be_kept(stage: &Stage) -> bool {
    matches!((&stage.kind, &stage.from), (StageKind::Command(_), None))
}

/// What lies behind an input, as one digest.
#[must_use]
pub fn digest_of_facts(facts: Option<&FileFacts>) -> Digest {
    let mut bytes = Vec::new();
    match facts {
        Some(FileFacts::Found(files)) => {
            for file in files {
                bytes.extend_from_slice(file.path.as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(file.digest.as_bytes());
                bytes.push(match file.kind {
                    FileKind::File => 0,
                    FileKind::Executable => 1,
                    FileKind::Link => 2,
                    FileKind::EmptyDir => 3,
                });
            }
        }
        Some(FileFacts::Missing) | None => bytes.extend_from_slice(b"missing"),
        Some(FileFacts::Unreadable(why)) => bytes.extend_from_slice(why.as_bytes()),
    }
    Digest::of(&bytes)
}
