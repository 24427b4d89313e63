//! What the store has, as trees of layers; what a collection takes, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::tables::DryRun;
use super::words::{age, columns, count, size};
use crate::model::Digest;
use crate::net::Swept;
use crate::store::{
    GcReport, Held, Inventory, Kind, Limits, Owner, Root, Stored, Why, project_name,
};

/// In which order objects are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheSort {
    /// The newest use first.
    #[default]
    Used,
    /// The largest first.
    Size,
    /// By what has left them.
    Name,
}

/// What `forge cache ls` lists.
#[derive(Clone, Copy, Debug)]
pub struct CacheListing<'a> {
    /// The objects.
    pub inventory: &'a Inventory,
    /// Where contents came from that were fetched.
    pub origins: &'a BTreeMap<Digest, String>,
    /// Downloads that nobody has finished.
    pub unfinished: &'a Swept,
    /// In which order.
    pub sort: CacheSort,
}

/// The objects in sections; layers with what lies on them.
#[must_use]
pub fn cache_text(listing: &CacheListing<'_>, now: SystemTime) -> String {
    let mut text = String::new();
    let mut section = |name: &str, rows: &[Vec<String>]| {
        if !rows.is_empty() {
            text.push_str(&format!("{name}\n{}\n", columns(rows, "  ")));
        }
    };
    let tree = Tree::new(listing);
    let mut layers = Vec::new();
    for root in tree.on(None) {
        tree.grow(root, "", "", now, &mut layers);
    }
    section("layers of machines", &layers);
    let of_kind = |kind: Kind, fetched: bool| {
        let objects = listing.inventory.objects.iter();
        let chosen = objects.filter(|object| {
            object.kind == kind && listing.origins.contains_key(&object.digest) == fetched
        });
        let mut chosen: Vec<&Stored> = chosen.collect();
        tree.sort(&mut chosen);
        let row = |object: &&Stored| tree.row(object, "", now);
        chosen.iter().map(row).collect::<Vec<_>>()
    };
    let mut files = of_kind(Kind::File, false);
    files.extend(of_kind(Kind::File, true));
    section("files", &files);
    section("downloads", &of_kind(Kind::Other, true));
    section("nothing leads to", &of_kind(Kind::Other, false));
    let Swept { files, bytes } = listing.unfinished;
    if !files.is_empty() {
        let all = count(files.len(), "file");
        text.push_str(&format!("unfinished downloads: {all}, {}\n", size(*bytes)));
    }
    let Inventory {
        objects,
        total,
        reclaimable,
    } = listing.inventory;
    text.push_str(&format!(
        "{}, {}; {} of it can be removed\n",
        count(objects.len(), "object"),
        size(*total),
        size(*reclaimable)
    ));
    text
}

/// The objects with what lies on them.
struct Tree<'a> {
    listing: &'a CacheListing<'a>,
    /// What lies on each layer, in order; without one: what lies on nothing.
    on: BTreeMap<Option<Digest>, Vec<&'a Stored>>,
    /// Whether projects have to be told apart.
    several: bool,
}

impl<'a> Tree<'a> {
    fn new(listing: &'a CacheListing<'a>) -> Self {
        let objects = &listing.inventory.objects;
        let known: BTreeSet<Digest> = objects.iter().map(|object| object.digest).collect();
        let owners = objects.iter().flat_map(|object| &object.owners);
        let projects: BTreeSet<_> = owners.map(|owner| &owner.project).collect();
        let mut tree = Self {
            listing,
            on: BTreeMap::new(),
            several: projects.len() > 1,
        };
        for object in objects.iter().filter(|object| object.kind < Kind::File) {
            // of a chain whose lower layers are gone the rest is shown
            let below = object.below.filter(|below| known.contains(below));
            tree.on.entry(below).or_default().push(object);
        }
        let mut on = std::mem::take(&mut tree.on);
        on.values_mut().for_each(|objects| tree.sort(objects));
        tree.on = on;
        tree
    }

    fn on(&self, below: Option<Digest>) -> &[&'a Stored] {
        self.on.get(&below).map_or(&[], Vec::as_slice)
    }

    fn sort(&self, objects: &mut [&Stored]) {
        use std::cmp::Reverse;
        // the digest makes it the same each time
        match self.listing.sort {
            CacheSort::Used => objects.sort_by_key(|o| (Reverse(o.used), o.digest)),
            CacheSort::Size => objects.sort_by_key(|o| (Reverse(o.size), o.digest)),
            CacheSort::Name => objects.sort_by_cached_key(|o| (self.what(o), o.digest)),
        }
    }

    fn grow(
        &self,
        object: &Stored,
        head: &str,
        trunk: &str,
        now: SystemTime,
        rows: &mut Vec<Vec<String>>,
    ) {
        rows.push(self.row(object, head, now));
        let above = self.on(Some(object.digest));
        for (index, child) in above.iter().enumerate() {
            let (branch, further) = match index + 1 == above.len() {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            let (head, trunk) = (format!("{trunk}{branch}"), format!("{trunk}{further}"));
            self.grow(child, &head, &trunk, now, rows);
        }
    }

    fn row(&self, object: &Stored, head: &str, now: SystemTime) -> Vec<String> {
        let unused = now.duration_since(object.used).unwrap_or(Duration::ZERO);
        vec![
            format!("{head}{}", object.digest.short()),
            size(object.size),
            format!("used {} ago", age(unused)),
            self.what(object),
        ]
    }

    /// What the object is, in words.
    fn what(&self, object: &Stored) -> String {
        let kind = match object.kind {
            Kind::Memory => "memory of ",
            Kind::Firmware => "UEFI variables of ",
            Kind::Layer | Kind::File | Kind::Other => "",
        };
        let mut owners: Vec<String> = object.owners.iter().map(|o| self.owner(o)).collect();
        owners.dedup();
        owners.extend(self.listing.origins.get(&object.digest).cloned());
        match owners.is_empty() {
            true => String::new(),
            false => format!("{kind}{}", owners.join(", ")),
        }
    }

    fn owner(&self, owner: &Owner) -> String {
        let mut text = owner.stage.clone();
        if self.several {
            text = format!("{}: {text}", project_name(&owner.project));
        }
        if !owner.part.is_empty() {
            text.push_str(&format!(" {}", owner.part));
        }
        if !owner.last && owner.part.is_empty() {
            text.push_str(" (earlier)");
        }
        text
    }
}

/// The objects for programs.
#[must_use]
pub fn cache_json(listing: &CacheListing<'_>) -> Value {
    let tree = Tree::new(listing);
    let mut objects: Vec<&Stored> = listing.inventory.objects.iter().collect();
    tree.sort(&mut objects);
    let objects = objects.iter().map(|object| {
        let owners = object.owners.iter().map(|owner| {
            let Owner {
                project,
                stage,
                part,
                last,
            } = owner;
            json!({"project": project, "stage": stage, "part": part, "last": last})
        });
        json!({
            "digest": object.digest,
            "size": object.size,
            "used": seconds(object.used),
            "kind": object.kind.as_str(),
            "below": object.below,
            "owners": owners.collect::<Vec<_>>(),
            "origin": listing.origins.get(&object.digest),
            "reclaimable": object.reclaimable,
        })
    });
    let Swept { files, bytes } = listing.unfinished;
    json!({
        "objects": objects.collect::<Vec<_>>(),
        "total": listing.inventory.total,
        "reclaimable": listing.inventory.reclaimable,
        "unfinished_downloads": {"files": files, "bytes": bytes},
    })
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What was collected, or would be, each with its reason.
#[must_use]
pub fn gc_text(report: &GcReport, limits: Limits, dry_run: DryRun) -> String {
    let verb = if dry_run == DryRun::Yes {
        "would remove"
    } else {
        "removed"
    };
    let GcReport {
        removed,
        leftovers,
        freed,
        kept,
        kept_bytes,
    } = report;
    let also = match leftovers {
        0 => String::new(),
        n => format!(" and {}", count(*n, "leftover")),
    };
    let rows = removed.iter().map(|gone| {
        let what = gone.of.first().map_or("nothing leads to it".to_owned(), of);
        let why = match gone.why {
            Why::Age(unused) => format!("not used for {}", age(unused)),
            Why::Quota => "over the quota".to_owned(),
        };
        vec![
            format!("{verb} {}", gone.digest.short()),
            size(gone.size),
            format!("{what}, {why}"),
        ]
    });
    let list = columns(&rows.collect::<Vec<_>>(), "  ");
    let mut text = format!(
        "{list}{verb} {}{also}, {}; {} {}, {}\n",
        count(removed.len(), "object"),
        size(*freed),
        count(*kept, "object"),
        if *kept == 1 { "stays" } else { "stay" },
        size(*kept_bytes)
    );
    if let Some(quota) = limits.quota.filter(|quota| kept_bytes > quota) {
        text.push_str(&format!(
            "that is more than the quota of {}, but stages' last results and machines need it: `forge clean` gives them up\n",
            size(quota)
        ));
    }
    text
}

fn of(root: &Root) -> String {
    let stage = &root.stage;
    match &root.held {
        Held::Record { .. } => format!("an earlier result of {stage}"),
        Held::Checkpoint(_) => format!("a checkpoint of {stage}"),
        Held::Failed(_) => format!("the failed machine of {stage}"),
    }
}
