//! What leads to objects: the records, checkpoints and failed machines of all projects that use the store.

use std::path::{Path, PathBuf};

use super::{Db, Kept, StepCheckpoint, Store, StoreError};
use crate::model::{Artifact, Digest, MachineState};

/// What leads to objects, in one of the projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The project's directory.
    pub project: PathBuf,
    /// The stage that has left it.
    pub stage: String,
    /// When it was last used, in seconds since 1970.
    pub used: u64,
    /// What it is.
    pub held: Held,
}

/// What a [`Root`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A record.
    Record {
        /// The fingerprint that it stands under.
        fingerprint: Digest,
        /// What it refers to.
        artifact: Artifact,
        /// Whether it is the last one of its stage; others are only kept to go back to.
        last: bool,
    },
    /// A checkpoint of a running machine.
    Checkpoint(StepCheckpoint),
    /// A failed machine that is kept.
    Failed(MachineState),
}

impl Root {
    /// Every object that it needs.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        match &self.held {
            Held::Record { artifact, .. } => artifact.digests().collect(),
            Held::Checkpoint(checkpoint) => checkpoint.digests().collect(),
            Held::Failed(machine) => machine.digests().collect(),
        }
    }

    /// The machine, if it has one.
    #[must_use]
    pub fn machine(&self) -> Option<&MachineState> {
        match &self.held {
            Held::Record { artifact, .. } => artifact.machine.as_ref(),
            Held::Checkpoint(checkpoint) => Some(&checkpoint.machine),
            Held::Failed(machine) => Some(machine),
        }
    }

    /// Whether it is never given up by a collection.
    #[must_use]
    pub const fn is_needed(&self) -> bool {
        matches!(self.held, Held::Record { last: true, .. } | Held::Failed(_))
    }
}

impl Store {
    /// All roots. A project whose records cannot be read is an error: what it needs is not known.
    pub(super) fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let mut roots = Vec::new();
        for project in self.projects()? {
            let found = roots_of(&project);
            roots.extend(found.map_err(|source| StoreError::Project {
                root: project,
                source: Box::new(source),
            })?);
        }
        Ok(roots)
    }
}

fn roots_of(project: &Path) -> Result<Vec<Root>, StoreError> {
    let state = project.join(".forge");
    let found = Db::open_other(&state.join("forge.db"))?.roots()?;
    let mut roots: Vec<Root> = found
        .into_iter()
        .map(|(stage, used, held)| Root {
            project: project.to_owned(),
            stage,
            used,
            held,
        })
        .collect();
    let failed = state.join("failed");
    let kept = Kept::new(&state).all().map_err(super::error::at(&failed))?;
    roots.extend(kept.into_iter().map(|(stage, machine)| Root {
        project: project.to_owned(),
        stage,
        used: 0,
        held: Held::Failed(machine),
    }));
    Ok(roots)
}
