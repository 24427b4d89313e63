//! Collection: removing what nobody needs. Others may use the store meanwhile: what they have noted stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::claims::{Choice, Claim, Item, Limits, Rank, Why, choose};
use super::error::at;
use super::roots::{Held, Root};
use super::session::Part;
use super::{Db, ObjectSummary, Store, StoreError};
use crate::model::Digest;
use crate::sys::{self, Dead};

/// What a collection has removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Removed objects, by digest.
    pub removed: Vec<Removed>,
    /// Quarantined objects that were removed.
    pub leftovers: usize,
    /// The bytes of all that was removed.
    pub freed: u64,
    /// How many objects stay.
    pub kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// An object that is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// What led to it until now, the last used first.
    pub of: Vec<Root>,
    /// Why it goes.
    pub why: Why,
}

impl Store {
    /// Removes what no last record, failed or running machine needs, by age and quota; gives up the records and
    /// checkpoints that need it. A dry run only tells.
    pub fn gc(&self, limits: Limits, dry_run: bool) -> Result<GcReport, StoreError> {
        let _access = self.session().alone()?;
        let roots = self.roots()?;
        let (items, choice) = self.choice(&self.list()?, &roots, limits);
        let mut report = GcReport {
            kept: items.len() - choice.objects.len(),
            kept_bytes: choice.kept,
            ..GcReport::default()
        };
        if !dry_run {
            // first what leads to the objects: killed in between, they are garbage of this forge's
            self.doom(choice.objects.keys().copied())?;
            give_up(&roots, &choice)?;
        }
        let mut leading: BTreeMap<Digest, Vec<&Root>> = BTreeMap::new();
        for root in &roots {
            for digest in root.digests().into_iter().collect::<BTreeSet<_>>() {
                leading.entry(digest).or_default().push(root);
            }
        }
        for (digest, why) in choice.objects {
            let size = items.get(&digest).map_or(0, |item| item.size);
            if !dry_run {
                self.remove_object(&digest)?;
            }
            let of = leading.remove(&digest).unwrap_or_default();
            let mut of: Vec<Root> = of.into_iter().cloned().collect();
            of.sort_by_key(|root| std::cmp::Reverse(root.used));
            report.freed += size;
            report.removed.push(Removed {
                digest,
                size,
                of,
                why,
            });
        }
        self.drop_leftovers(limits.age, dry_run, &mut report);
        Ok(report)
    }

    /// What a collection would do with these objects.
    pub(super) fn choice(
        &self,
        objects: &[ObjectSummary],
        roots: &[Root],
        limits: Limits,
    ) -> (BTreeMap<Digest, Item>, Choice) {
        let item = |object: &ObjectSummary| {
            let (size, used) = (object.size, seconds(object.used));
            (object.digest, Item { size, used })
        };
        let items: BTreeMap<Digest, Item> = objects.iter().map(item).collect();
        let mut claims: Vec<Claim> = roots.iter().map(claim).collect();
        claims.push(Claim {
            rank: Rank::Needed,
            used: 0,
            digests: self.session().used_by_others(&[]).into_iter().collect(),
        });
        let choice = choose(&items, &claims, seconds(SystemTime::now()), limits);
        (items, choice)
    }

    /// The objects go unless something still leads to them when this forge is done: what led to them is about to go.
    pub fn doom(&self, digests: impl IntoIterator<Item = Digest>) -> Result<(), StoreError> {
        for digest in digests {
            self.session().note(&digest, Part::Loose, true)?;
        }
        Ok(())
    }

    /// Removes what this forge has put into the store, or doomed, and nothing leads to. To be called when no stage runs: what
    /// they make is recorded only at their end. Returns the freed bytes.
    pub fn tidy(&self) -> Result<u64, StoreError> {
        self.drop_unneeded(&self.session().loose(), &[])
    }

    /// Removes those of `loose` that nothing leads to and nobody uses but the `dead`. Where another project's needs are not
    /// known, they stay until a collection.
    pub(super) fn drop_unneeded(
        &self,
        loose: &BTreeSet<Digest>,
        dead: &[Dead],
    ) -> Result<u64, StoreError> {
        let there = |digest: &&Digest| self.path(digest).exists();
        if loose.iter().find(there).is_none() {
            return Ok(0);
        }
        let _access = self.session().alone()?;
        let Ok(roots) = self.roots() else {
            return Ok(0);
        };
        let mut needed: BTreeSet<Digest> = roots.iter().flat_map(Root::digests).collect();
        needed.extend(self.session().used_by_others(dead));
        let mut freed = 0;
        for digest in loose.difference(&needed) {
            freed += fs::metadata(self.path(digest)).map_or(0, |meta| meta.len());
            self.remove_object(digest)?;
        }
        Ok(freed)
    }

    fn remove_object(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        sys::fs::remove(&path).map_err(at(&path))?;
        let _ = sys::fs::remove(&self.used_path(digest));
        Ok(())
    }

    /// Damaged objects that nobody has looked at.
    fn drop_leftovers(&self, age: Duration, dry_run: bool, report: &mut GcReport) {
        let now = SystemTime::now();
        let entries = fs::read_dir(self.root().join("quarantine"));
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else {
                continue;
            };
            let changed = meta.modified().unwrap_or(now);
            if now.duration_since(changed).unwrap_or_default() < age {
                continue;
            }
            if dry_run || sys::fs::remove(&entry.path()).is_ok() {
                report.leftovers += 1;
                report.freed += meta.len();
            }
        }
    }
}

fn claim(root: &Root) -> Claim {
    Claim {
        rank: match &root.held {
            _ if root.is_needed() => Rank::Needed,
            Held::Checkpoint(_) => Rank::Checkpoint,
            Held::Record { .. } | Held::Failed(_) => Rank::Other,
        },
        used: root.used,
        digests: root.digests(),
    }
}

/// Has the projects forget what the choice gives up.
fn give_up(roots: &[Root], choice: &Choice) -> Result<(), StoreError> {
    let mut projects: BTreeMap<_, Vec<&Root>> = BTreeMap::new();
    // what lives on a server is not in the store, and is known by its record only
    let given_up = choice.claims.keys().filter_map(|number| roots.get(*number));
    let local = |root: &&Root| root.machine().is_none_or(|m| m.remote.is_none());
    for root in given_up.filter(local) {
        projects.entry(&root.project).or_default().push(root);
    }
    for (project, roots) in projects {
        Db::open_other(&project.join(".forge/forge.db"))?.give_up(&roots)?;
    }
    Ok(())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
