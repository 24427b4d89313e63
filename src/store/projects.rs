//! The projects whose records need objects of the store.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::at;
use super::{Store, StoreError};
use crate::model::Digest;
use crate::sys;

impl Store {
    /// Notes that the project in `root` has records that need objects, so that no collection takes them away.
    pub fn register(&self, root: &Path) -> Result<(), StoreError> {
        let path = self.project_path(root);
        if path.exists() {
            return Ok(());
        }
        sys::fs::write_atomic(&path, root.as_os_str().as_encoded_bytes()).map_err(at(&path))
    }

    /// The registered projects that still have records, sorted. Others are struck off.
    pub fn projects(&self) -> Result<Vec<PathBuf>, StoreError> {
        let dir = self.root().join("projects");
        let mut roots = Vec::new();
        for entry in fs::read_dir(&dir).map_err(at(&dir))?.flatten() {
            let path = entry.path();
            match read_root(&path) {
                Some(root) if root.join(".forge/forge.db").exists() => roots.push(root),
                _ => {
                    let _ = sys::fs::remove(&path);
                }
            }
        }
        roots.sort();
        Ok(roots)
    }

    fn project_path(&self, root: &Path) -> PathBuf {
        let id = Digest::of(root.as_os_str().as_encoded_bytes()).short();
        self.root().join("projects").join(id)
    }
}

#[cfg(unix)]
fn read_root(path: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = fs::read(path).ok()?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn read_root(path: &Path) -> Option<PathBuf> {
    fs::read_to_string(path).ok().map(PathBuf::from)
}
