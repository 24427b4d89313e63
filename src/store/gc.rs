//! Collection: removing what nobody needs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
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
    /// Partial downloads and quarantined objects that were removed.
    pub leftovers: usize,
    /// The bytes of all that was removed.
    pub freed: u64,
    /// How many objects stay.
    pub kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// What the records of all projects that use the store need: of each stage the last record, and all that were used within
/// `age`; and the checkpoints that were used within `kept`. `own` is the database that is open already.
pub fn keep_set(
    store: &Store,
    own: Option<(&Path, &Db)>,
    age: Option<Duration>,
    kept: Option<Duration>,
) -> Result<HashSet<Digest>, StoreError> {
    let mut keep = HashSet::new();
    if let Some((_, db)) = own {
        keep.extend(db.all_digests(age, kept)?);
    }
    for root in store.projects()? {
        if own.is_some_and(|(path, _)| path == root) {
            continue;
        }
        let path = root.join(".forge/forge.db");
        let needed = Db::open_other(&path).and_then(|db| db.all_digests(age, kept));
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
        self.drop_leftovers(older_than, dry_run, &mut report);
        Ok(report)
    }

    fn drop_dead_aliases(&self) {
        for path in files_in(&self.root().join("aliases")) {
            let digest = fs::read_to_string(&path)
                .ok()
                .and_then(|text| Digest::parse(text.trim()).ok());
            if digest.is_none_or(|digest| !self.path(&digest).exists()) {
                let _ = sys::fs::remove(&path);
            }
        }
    }

    /// Partial downloads and damaged objects that nobody has come back to.
    fn drop_leftovers(&self, older_than: Option<Duration>, dry_run: bool, report: &mut GcReport) {
        let now = SystemTime::now();
        for dir in ["downloads", "quarantine"] {
            for path in files_in(&self.root().join(dir)) {
                let Ok(meta) = fs::symlink_metadata(&path) else {
                    continue;
                };
                let changed = meta.modified().unwrap_or(now);
                let age = now.duration_since(changed).unwrap_or_default();
                if older_than.is_some_and(|limit| age < limit) {
                    continue;
                }
                if dry_run || sys::fs::remove(&path).is_ok() {
                    report.leftovers += 1;
                    report.freed += meta.len();
                }
            }
        }
    }
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.path()).collect(),
    )
}
