//! Collection: removing what nobody needs.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::error::at;
use super::{Db, Store, StoreError};
use crate::model::Digest;
use crate::sys;

/// What a collection has removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Removed objects, by digest.
    pub removed: Vec<(Digest, u64)>,
    /// Their bytes.
    pub freed: u64,
    /// How many objects stay.
    pub kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// What the records of all projects that use the store need: of each stage the last record, and all that were used within
/// `age`. `own` is the database that is open already.
pub fn keep_set(
    store: &Store,
    own: Option<(&Path, &Db)>,
    age: Option<Duration>,
) -> Result<HashSet<Digest>, StoreError> {
    let mut keep = HashSet::new();
    if let Some((_, db)) = own {
        keep.extend(db.all_digests(age)?);
    }
    for root in store.projects()? {
        if own.is_some_and(|(path, _)| path == root) {
            continue;
        }
        let needed = Db::open(&root.join(".forge/forge.db")).and_then(|db| db.all_digests(age));
        keep.extend(needed.map_err(|source| StoreError::Project {
            root,
            source: Box::new(source),
        })?);
    }
    Ok(keep)
}

impl Store {
    /// Removes every object that is not in `keep` and, with `older_than`, was not used for that long. Fails if another
    /// forge has the store open, and says which.
    pub fn gc(
        &self,
        keep: &HashSet<Digest>,
        older_than: Option<Duration>,
        dry_run: bool,
    ) -> Result<GcReport, StoreError> {
        let collect = || self.collect(keep, older_than, dry_run);
        if dry_run {
            collect()
        } else {
            self.session().alone(collect)
        }
    }

    fn collect(
        &self,
        keep: &HashSet<Digest>,
        older_than: Option<Duration>,
        dry_run: bool,
    ) -> Result<GcReport, StoreError> {
        let now = SystemTime::now();
        let mut report = GcReport::default();
        for object in self.list()? {
            let recent = older_than.is_some_and(|age| {
                // a time in the future counts as now
                now.duration_since(object.used).unwrap_or_default() < age
            });
            if recent || keep.contains(&object.digest) {
                report.kept += 1;
                report.kept_bytes += object.size;
                continue;
            }
            if !dry_run {
                let path = self.path(&object.digest);
                sys::fs::remove(&path).map_err(at(&path))?;
                let _ = sys::fs::remove(&self.used_path(&object.digest));
            }
            report.freed += object.size;
            report.removed.push((object.digest, object.size));
        }
        if !dry_run {
            self.drop_dead_aliases();
        }
        Ok(report)
    }

    fn drop_dead_aliases(&self) {
        let Ok(entries) = std::fs::read_dir(self.root().join("aliases")) else {
            return;
        };
        for entry in entries.flatten() {
            let digest = std::fs::read_to_string(entry.path())
                .ok()
                .and_then(|text| Digest::parse(text.trim()).ok());
            if digest.is_none_or(|digest| !self.path(&digest).exists()) {
                let _ = sys::fs::remove(&entry.path());
            }
        }
    }
}
