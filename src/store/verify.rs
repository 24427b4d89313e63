//! Reading everything again.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use super::error::at;
use super::{ObjectSummary, Store, StoreError, content};
use crate::model::Digest;
use crate::sys;

/// What reading everything again has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many objects were read.
    pub objects: usize,
    /// How many bytes.
    pub bytes: u64,
    /// What was wrong, by digest.
    pub corrupt: Vec<Corrupt>,
}

/// An object whose content is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Its name.
    pub digest: Digest,
    /// What is wrong, in words.
    pub fault: String,
    /// Where it is now; none: it could not be moved.
    pub moved_to: Option<PathBuf>,
}

impl Store {
    /// Reads every object; what is wrong is moved to `quarantine/`, so that it counts as missing. `progress` hears bytes
    /// done and in all.
    pub fn verify(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<VerifyReport, StoreError> {
        /// Two readers keep a disk busy; more of them only take turns.
        const READERS: usize = 2;
        let objects = self.list()?;
        let total = objects.iter().map(|object| object.size).sum();
        let report = Mutex::new(VerifyReport::default());
        let queue: Mutex<VecDeque<ObjectSummary>> = Mutex::new(objects.into());
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    while let Some(object) = lock(&queue).pop_front() {
                        let corrupt = self.check(&object);
                        let mut report = lock(&report);
                        report.objects += 1;
                        report.bytes += object.size;
                        report.corrupt.extend(corrupt);
                        progress(report.bytes, total);
                    }
                });
            }
        });
        let mut report = report
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        report.corrupt.sort_by_key(|corrupt| corrupt.digest);
        Ok(report)
    }

    fn check(&self, object: &ObjectSummary) -> Option<Corrupt> {
        let path = self.path(&object.digest);
        let fault = match content::hash(&path) {
            Ok(found) if found.digest == object.digest => return None,
            // a collection was here
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
            Ok(found) => format!("its content is {}", found.digest.short()),
            Err(e) => format!("it cannot be read: {e}"),
        };
        Some(Corrupt {
            digest: object.digest,
            fault,
            moved_to: self.quarantine(&object.digest).ok(),
        })
    }

    fn quarantine(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let dir = self.root().join("quarantine");
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        let target = dir.join(digest.hex());
        sys::fs::remove(&target).map_err(at(&target))?;
        fs::rename(self.path(digest), &target).map_err(at(&target))?;
        Ok(target)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
