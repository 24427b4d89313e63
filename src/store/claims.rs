//! What a collection keeps and what it gives up: pure, over claims to objects.
//!
//! A claim is kept or given up as a whole, so that a chain of layers that is kept is whole. An object stays as long as a kept
//! claim has it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::Digest;

/// An object, as far as a collection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// In bytes.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) used: u64,
}

/// How a claim may be given up; the lower ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A running machine that was kept: doing its steps again brings it back.
    Checkpoint,
    /// What somebody may come back to.
    Other,
    /// Never.
    Needed,
}

/// Something that needs objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) rank: Rank,
    /// Seconds since 1970.
    pub(super) used: u64,
    pub(super) digests: Vec<Digest>,
}

/// Why something is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was not used for this long.
    Age(Duration),
    /// The store would be larger than it may be.
    Quota,
}

/// What is wanted of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What nobody needs is kept if it was used within this time.
    pub age: Duration,
    /// The bytes that the store may have. What is needed stays, even if it has more.
    pub quota: Option<u64>,
}

/// What a collection does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The objects that go.
    pub(super) objects: BTreeMap<Digest, Why>,
    /// The claims that are given up, by number.
    pub(super) claims: BTreeMap<usize, Why>,
    /// The bytes of all that stays.
    pub(super) kept: u64,
}

/// Chooses at the time `now`, in seconds since 1970.
pub(super) fn choose(
    items: &BTreeMap<Digest, Item>,
    claims: &[Claim],
    now: u64,
    limits: Limits,
) -> Choice {
    let mut table = Table {
        items,
        holders: BTreeMap::new(),
        kept: 0,
    };
    // a time in the future counts as now
    let age = |used: u64| Duration::from_secs(now.saturating_sub(used));
    let mut choice = Choice::default();
    let mut optional = Vec::new();
    for (number, claim) in claims.iter().enumerate() {
        if claim.rank != Rank::Needed && age(claim.used) >= limits.age {
            choice.claims.insert(number, Why::Age(age(claim.used)));
            continue;
        }
        table.take(&claim.digests);
        if claim.rank != Rank::Needed {
            optional.push((claim.rank, claim.used, Some(number), claim.digests.clone()));
        }
    }
    // objects that nothing leads to any more have an age of their own
    for (digest, item) in items {
        if table.holders.contains_key(digest) {
            continue;
        }
        if age(item.used) >= limits.age {
            choice.objects.insert(*digest, Why::Age(age(item.used)));
        } else {
            let alone = vec![*digest];
            table.take(&alone);
            optional.push((Rank::Other, item.used, None, alone));
        }
    }
    optional.sort();
    for (.., number, digests) in optional {
        if limits.quota.is_none_or(|quota| table.kept <= quota) {
            break;
        }
        let gone = table.give_up(&digests);
        choice
            .objects
            .extend(gone.map(|digest| (digest, Why::Quota)));
        choice
            .claims
            .extend(number.map(|number| (number, Why::Quota)));
    }
    choice.kept = table.kept;
    choice
}

/// Who holds what.
struct Table<'i> {
    items: &'i BTreeMap<Digest, Item>,
    /// How many kept claims have an object.
    holders: BTreeMap<Digest, usize>,
    kept: u64,
}

impl Table<'_> {
    fn size(&self, digest: &Digest) -> u64 {
        self.items.get(digest).map_or(0, |item| item.size)
    }

    fn take(&mut self, digests: &[Digest]) {
        for digest in digests.iter().collect::<BTreeSet<_>>() {
            let holders = self.holders.entry(*digest).or_default();
            *holders += 1;
            if *holders == 1 {
                self.kept += self.size(digest);
            }
        }
    }

    /// What nobody holds any more.
    fn give_up(&mut self, digests: &[Digest]) -> std::vec::IntoIter<Digest> {
        let mut gone = Vec::new();
        for digest in digests.iter().collect::<BTreeSet<_>>() {
            let Some(holders) = self.holders.get_mut(digest) else {
                continue;
            };
            *holders -= 1;
            if *holders == 0 {
                self.holders.remove(digest);
                self.kept -= self.size(digest);
                if self.items.contains_key(digest) {
                    gone.push(*digest);
                }
            }
        }
        gone.into_iter()
    }
}

#[cfg(test)]
mod tests;
