//! Machines of failed stages that were kept (`--on-error keep`) and those that visitors wanted to
//! come back to (`forge ssh --keep`), for `forge ssh STAGE`.

use std::path::{Path, PathBuf};

use crate::model::{MachineState, StageKey};

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

    /// All of them, each with the name of its stage as it stands in file names. One that cannot be read is an error: what it
    /// needs is not known.
    pub fn all(&self) -> std::io::Result<Vec<(String, MachineState)>> {
        let files = match std::fs::read_dir(&self.dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut all = Vec::new();
        for file in files {
            let path = file?.path();
            // others are being written
            if path.extension().is_some_and(|e| e == "json") {
                let stage = path.file_stem().unwrap_or_default().to_string_lossy();
                all.push((
                    stage.into_owned(),
                    serde_json::from_slice(&std::fs::read(&path)?)?,
                ));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    fn file(&self, stage: &StageKey) -> PathBuf {
        self.dir.join(format!("{}.json", stage.slug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, DiskState, Firmware, Hardware, Name, Size};

    #[test]
    fn a_kept_machine_is_found_again_and_needs_its_layers() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path());
        let stage = StageKey {
            name: Name::parse("provision").unwrap(),
            axes: Default::default(),
        };
        assert_eq!((kept.get(&stage), kept.all().unwrap()), (None, vec![]));
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
        assert_eq!(kept.get(&stage), Some(state.clone()));
        assert_eq!(kept.all().unwrap(), [("provision".to_owned(), state)]);
        std::fs::write(dir.path().join("failed/other.json"), "{").unwrap();
        assert!(kept.all().is_err(), "what it needs is not known");
        kept.remove(&stage).unwrap();
        assert_eq!(kept.get(&stage), None);
    }
}
