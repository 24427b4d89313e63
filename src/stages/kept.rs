//! Machines of failed stages that were kept (`--on-error keep`), for `forge ssh STAGE --failed`.

use std::path::{Path, PathBuf};

use crate::model::{Digest, MachineState, StageKey};

/// What becomes of a machine whose stage has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It is thrown away.
    #[default]
    Cleanup,
    /// Its disks are kept.
    Keep,
}

/// The failed machines of a project: one file per stage.
#[derive(Clone, Debug)]
pub struct Kept {
    dir: PathBuf,
}

impl Kept {
    /// Those in `.forge/failed` of the project's state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("failed"),
        }
    }

    /// Keeps a machine; it takes the place of an earlier one of the same stage.
    pub fn put(&self, stage: &StageKey, state: &MachineState) -> std::io::Result<()> {
        crate::sys::fs::write_atomic(&self.file(stage), &serde_json::to_vec_pretty(state)?)
    }

    /// The machine that a stage's failure has left.
    #[must_use]
    pub fn get(&self, stage: &StageKey) -> Option<MachineState> {
        serde_json::from_slice(&std::fs::read(self.file(stage)).ok()?).ok()
    }

    /// Lets a machine go.
    pub fn remove(&self, stage: &StageKey) -> std::io::Result<()> {
        crate::sys::fs::remove(&self.file(stage))
    }

    /// The digests that kept machines need.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let Ok(files) = std::fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        files
            .filter_map(|file| {
                serde_json::from_slice::<MachineState>(&std::fs::read(file.ok()?.path()).ok()?).ok()
            })
            .flat_map(|state| state.digests().collect::<Vec<_>>())
            .collect()
    }

    fn file(&self, stage: &StageKey) -> PathBuf {
        self.dir.join(format!("{}.json", stage.slug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DiskState, Firmware, Hardware, Name, Size};

    #[test]
    fn a_kept_machine_is_found_again_and_needs_its_layers() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path());
        let stage = StageKey {
            name: Name::parse("provision").unwrap(),
            axes: Default::default(),
        };
        assert_eq!((kept.get(&stage), kept.digests()), (None, vec![]));
        let hardware = Hardware {
            cpus: 1,
            cores_per_socket: 1,
            memory: Size::from_mib(512),
            firmware: Firmware::Bios,
            disks: vec![],
            nics: vec![],
            guest_id: None,
            hardware_version: 15,
            vsphere: None,
        };
        let layer = Digest::of(b"layer");
        let disks = vec![DiskState {
            layers: vec![layer],
        }];
        let state = MachineState {
            remote: None,
            provider: "local".into(),
            hardware,
            disks,
            nvram: None,
        };
        kept.put(&stage, &state).unwrap();
        assert_eq!(
            (kept.get(&stage), kept.digests()),
            (Some(state), vec![layer])
        );
        kept.remove(&stage).unwrap();
        assert_eq!(kept.get(&stage), None);
    }
}
