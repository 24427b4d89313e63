//! The machines of a project that run now: one file for each, so that other commands can look at them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::StageKey;
use crate::provider::Sight;
use crate::sys::process;

/// A machine that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its stage, as shown: `iso-base[os=mini]`.
    pub stage: String,
    /// The provider's name in `builds.toml`.
    pub provider: String,
    /// The forge that runs it.
    pub process: u32,
    /// How it is looked at.
    pub sight: Sight,
}

/// The machines of a project that run now.
#[derive(Clone, Debug)]
pub struct Running {
    dir: PathBuf,
}

impl Running {
    /// Those in `running/` of the project's state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("running"),
        }
    }

    /// The file for a machine of `stage` that this process runs.
    pub(super) fn file(&self, stage: &StageKey) -> PathBuf {
        let name = format!("{}-{}.json", stage.slug(), std::process::id());
        self.dir.join(name)
    }

    /// Writes down a machine of this process.
    pub(super) fn put(
        &self,
        stage: &StageKey,
        provider: &str,
        sight: Sight,
    ) -> std::io::Result<PathBuf> {
        let seen = Seen {
            stage: stage.to_string(),
            provider: provider.to_owned(),
            process: std::process::id(),
            sight,
        };
        let file = self.file(stage);
        crate::sys::fs::write_private(&file, &serde_json::to_vec_pretty(&seen)?)?;
        Ok(file)
    }

    /// Every machine whose forge still runs, the ones started last first.
    #[must_use]
    pub fn all(&self) -> Vec<Seen> {
        let files = std::fs::read_dir(&self.dir).into_iter().flatten();
        let mut found: Vec<_> = files
            .filter_map(|file| {
                let path = file.ok()?.path();
                let seen: Seen = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
                let since = path.metadata().ok()?.modified().ok()?;
                process::Identity::of(seen.process).map(|_| (since, seen))
            })
            .collect();
        found.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
        found.into_iter().map(|(_, seen)| seen).collect()
    }
}

/// A machine's file, gone when this is dropped.
pub(super) struct Line(pub(super) Option<PathBuf>);

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = crate::sys::fs::remove(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[test]
    fn a_machine_is_seen_while_it_runs_and_its_forge_lives() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path());
        assert_eq!(running.all(), []);
        let stage = StageKey {
            name: Name::parse("clone").unwrap(),
            axes: Default::default(),
        };
        let sight = Sight {
            id: Some("vm-7".into()),
            ..Sight::default()
        };
        let line = Line(running.put(&stage, "lab", sight.clone()).ok());
        let seen = running.all();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].stage.as_str(), &seen[0].sight), ("clone", &sight));
        // one of a process that is gone
        let dead = Seen {
            process: u32::MAX - 1,
            ..seen[0].clone()
        };
        let text = serde_json::to_vec(&dead).unwrap();
        std::fs::write(dir.path().join("running/dead.json"), text).unwrap();
        assert_eq!(running.all(), seen);
        drop(line);
        assert_eq!(running.all(), []);
    }
}
