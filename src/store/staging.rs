//! A directory for work in progress, on the store's file system.

use std::path::{Path, PathBuf};

use crate::sys;

/// A directory that vanishes with all that is in it when this is dropped, or when a later forge opens the store.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
}

impl Staging {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Staging {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = sys::fs::remove(&self.path);
    }
}
