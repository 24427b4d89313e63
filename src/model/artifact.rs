//! What a stage leaves behind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, Hardware, Name, Size};

/// What a finished stage has left; immutable once recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Files by output name.
    pub files: BTreeMap<Name, StoredFile>,
    /// The state of a machine, for stages that leave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineState>,
    /// Small facts for people and reports (`tests = "12 passed"`); they do not count for the digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Of an artifact with nothing in it: the fingerprint of what it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Digest>,
}

/// A file in the store, or a directory kept as one tar file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub size: Size,
    /// Where users find it, relative to the project, if it is shown outside the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    /// A directory, kept as one tar file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tree: bool,
}

/// A machine at rest: its hardware and its disks as layers in the store, or the place where it lives on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineState {
    /// The provider's name in `builds.toml`.
    pub provider: String,
    /// What it consists of.
    pub hardware: Hardware,
    /// Its disks, in the hardware's order.
    pub disks: Vec<DiskState>,
    /// The UEFI variables' store, as a file in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nvram: Option<Digest>,
    /// Where it lives, if that is a server; it has no disks in the store then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
}

/// A machine on a server, at a snapshot of it; nothing that starts from there changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// What it is called there when its stage is done.
    pub name: String,
    /// Its identity on every server: vSphere's `config.instanceUuid`.
    pub uuid: String,
    /// The snapshot's id on its server; empty: the machine has none, and is meant as it stands.
    pub snapshot: String,
    /// How the machine stands where no snapshot says it: vSphere's `config.changeVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The drives for removable media that a machine has beside its hardware, as install media need them; empty ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drives {
    /// How many for CDs.
    pub cds: usize,
    /// Whether there is one for floppies.
    pub floppy: bool,
}

/// A disk as a chain of layers, the base first; each is a qcow2 file in the store whose backing is the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskState {
    /// The layers' digests.
    pub layers: Vec<Digest>,
}

impl MachineState {
    /// Every digest in the store that the machine needs.
    pub fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        let layers = self.disks.iter().flat_map(|disk| &disk.layers);
        layers.chain(&self.nvram).copied()
    }

    /// A digest of the disks' contents alone: machines with the same go on from the same checkpoint.
    #[must_use]
    pub fn lineage(&self) -> Digest {
        let layers: Vec<_> = self.disks.iter().map(|disk| &disk.layers).collect();
        let content = match &self.remote {
            None => serde_json::to_vec(&("lineage", layers)),
            Some(Remote {
                uuid,
                snapshot,
                version: None,
                ..
            }) => serde_json::to_vec(&("lineage", uuid, snapshot)),
            Some(remote) => serde_json::to_vec(&("lineage", remote)),
        };
        Digest::of(&content.unwrap_or_default())
    }
}

impl Artifact {
    /// The digest of what matters to those who consume the artifact: contents, not times or places.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let Self {
            files,
            machine,
            facts: _,
            trace,
        } = self;
        let files: Vec<_> = files
            .iter()
            .map(|(name, file)| (name, file.digest, file.executable))
            .collect();
        Digest::of(&serde_json::to_vec(&(files, machine, trace)).unwrap_or_default())
    }

    /// The artifact as a stage with this fingerprint leaves it. One with nothing in it (a command without outputs, a
    /// verification) takes on the fingerprint: what depends on such a stage can only know it by what went in, and runs
    /// again when that has changed.
    #[must_use]
    pub fn traced(mut self, fingerprint: &Digest) -> Self {
        let empty = self.files.is_empty() && self.machine.is_none();
        self.trace = empty.then_some(*fingerprint);
        self
    }

    /// Every digest in the store that the artifact needs.
    pub fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        let files = self.files.values().map(|file| file.digest);
        files.chain(self.machine.iter().flat_map(MachineState::digests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_with_nothing_in_it_is_known_by_what_it_was_made_from() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let empty = |fingerprint: &Digest| Artifact::default().traced(fingerprint);
        assert_ne!(empty(&one).digest(), empty(&two).digest());
        let file = StoredFile {
            digest: one,
            size: Size::from_bytes(1),
            path: None,
            executable: false,
            tree: false,
        };
        let name = Name::parse("x").unwrap();
        let full = |fingerprint: &Digest| {
            let files = BTreeMap::from([(name.clone(), file.clone())]);
            let artifact = Artifact {
                files,
                ..Artifact::default()
            };
            artifact.traced(fingerprint)
        };
        assert_eq!(full(&one).digest(), full(&two).digest());
    }
}
