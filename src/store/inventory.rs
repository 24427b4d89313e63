//! What the store has, what each object is, and what leads to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::claims::Limits;
use super::roots::{Held, Root};
use super::{Store, StoreError};
use crate::model::Digest;

/// All objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// By digest.
    pub objects: Vec<Stored>,
    /// Their bytes.
    pub total: u64,
    /// The bytes of those that a collection may remove at the utmost.
    pub reclaimable: u64,
}

/// An object with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// When it was last used.
    pub used: SystemTime,
    /// What it is.
    pub kind: Kind,
    /// The layer that it lies on, or belongs to.
    pub below: Option<Digest>,
    /// What has left it; empty for a layer of which only the ones above are named, and for what nothing leads to.
    pub owners: Vec<Owner>,
    /// Whether a collection may remove it: no last record and no machine that runs or was kept needs it.
    pub reclaimable: bool,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A layer of a machine's disk.
    Layer,
    /// The memory of a checkpoint.
    Memory,
    /// A machine's UEFI variables.
    Firmware,
    /// An output of a stage.
    File,
    /// Nothing leads to it: a download, or what a collection may take.
    Other,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Memory => "memory",
            Self::Firmware => "firmware",
            Self::File => "file",
            Self::Other => "other",
        }
    }
}

/// What has left an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The project's directory.
    pub project: PathBuf,
    /// The stage.
    pub stage: String,
    /// What of the stage, in words: `after 2 steps`, an output's name; empty: its result.
    pub part: String,
    /// Whether it is the stage's last result.
    pub last: bool,
}

impl Store {
    /// Lists everything.
    pub fn inventory(&self) -> Result<Inventory, StoreError> {
        let _access = self.session().shared()?;
        let roots = self.roots()?;
        let nothing_is_recent = Limits {
            age: Duration::ZERO,
            quota: None,
        };
        let objects = self.list()?;
        let (_, choice) = self.choice(&objects, &roots, nothing_is_recent);
        let mut facts: BTreeMap<Digest, Facts> = BTreeMap::new();
        for root in &roots {
            note(&mut facts, root);
        }
        let mut inventory = Inventory::default();
        for object in objects {
            let known = facts.remove(&object.digest).unwrap_or_default();
            let reclaimable = choice.objects.contains_key(&object.digest);
            let mut owners = known.owners;
            owners.sort();
            owners.dedup();
            inventory.total += object.size;
            inventory.reclaimable += if reclaimable { object.size } else { 0 };
            inventory.objects.push(Stored {
                digest: object.digest,
                size: object.size,
                used: object.used,
                kind: known.kind.unwrap_or(Kind::Other),
                below: known.below,
                owners,
                reclaimable,
            });
        }
        Ok(inventory)
    }
}

/// What the roots tell of an object.
#[derive(Default)]
struct Facts {
    kind: Option<Kind>,
    below: Option<Digest>,
    owners: Vec<Owner>,
}

fn note(facts: &mut BTreeMap<Digest, Facts>, root: &Root) {
    let mut tell = |digest: &Digest, kind: Kind, below: Option<Digest>, owner: Option<Owner>| {
        let known = facts.entry(*digest).or_default();
        // what is a layer anywhere is shown among the layers
        known.kind = Some(known.kind.map_or(kind, |before| before.min(kind)));
        known.below = known.below.or(below);
        known.owners.extend(owner);
    };
    let last = root.is_needed();
    let owner = |part: String| Owner {
        project: root.project.clone(),
        stage: root.stage.clone(),
        part,
        last,
    };
    let part = match &root.held {
        Held::Record { .. } => String::new(),
        Held::Checkpoint(checkpoint) => match checkpoint.step {
            0 => "as it ran".to_owned(),
            1 => "after 1 step".to_owned(),
            steps => format!("after {steps} steps"),
        },
        Held::Failed(_) => "failed".to_owned(),
    };
    let mut top = None;
    if let Some(machine) = root.machine() {
        for disk in &machine.disks {
            let mut below = None;
            for (index, layer) in disk.layers.iter().enumerate() {
                let is_top = index + 1 == disk.layers.len();
                tell(
                    layer,
                    Kind::Layer,
                    below,
                    is_top.then(|| owner(part.clone())),
                );
                below = Some(*layer);
            }
            top = top.or(below);
        }
        if let Some(nvram) = &machine.nvram {
            tell(nvram, Kind::Firmware, top, Some(owner(part.clone())));
        }
    }
    match &root.held {
        Held::Record { artifact, .. } => {
            for (name, file) in &artifact.files {
                tell(
                    &file.digest,
                    Kind::File,
                    None,
                    Some(owner(name.to_string())),
                );
            }
        }
        Held::Checkpoint(checkpoint) => {
            if let Some(memory) = &checkpoint.memory {
                tell(memory, Kind::Memory, top, Some(owner(part)));
            }
        }
        Held::Failed(_) => {}
    }
}

/// What a project is called among others: the name of its directory.
#[must_use]
pub fn project_name(project: &Path) -> String {
    let name = project.file_name().unwrap_or(project.as_os_str());
    name.to_string_lossy().into_owned()
}
