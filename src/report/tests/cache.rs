//! The store as people and programs see it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::super::{CacheListing, CacheSort, DryRun, cache_json, cache_text, gc_text};
use crate::model::{Artifact, Digest};
use crate::net::Swept;
use crate::store::{GcReport, Held, Inventory, Kind, Limits, Owner, Removed, Root, Stored, Why};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_491_696)
}

/// An object of the stages `owners`, each `PROJECT STAGE[|PART]`.
fn object(
    text: &str,
    (kind, below): (Kind, Option<&str>),
    (size, age): (u64, u64),
    owners: &[&str],
) -> Stored {
    let owner = |text: &&str| {
        let (project, stage) = text.split_once(' ').unwrap();
        let (stage, part) = stage.split_once('|').unwrap_or((stage, ""));
        let (stage, last) = match stage.strip_prefix('-') {
            Some(stage) => (stage, false),
            None => (stage, true),
        };
        Owner {
            project: format!("/home/user/{project}").into(),
            stage: stage.into(),
            part: part.into(),
            last,
        }
    };
    Stored {
        digest: Digest::of(text.as_bytes()),
        size,
        used: now() - Duration::from_secs(age),
        kind,
        below: below.map(|text| Digest::of(text.as_bytes())),
        owners: owners.iter().map(owner).collect(),
        reclaimable: owners.is_empty(),
    }
}

fn inventory(objects: Vec<Stored>) -> Inventory {
    let reclaimable = objects.iter().filter(|o| o.reclaimable);
    Inventory {
        total: objects.iter().map(|o| o.size).sum(),
        reclaimable: reclaimable.map(|o| o.size).sum(),
        objects,
    }
}

fn all() -> Inventory {
    let layer = |below| (Kind::Layer, below);
    inventory(vec![
        object(
            "base",
            layer(None),
            (200 << 20, 60),
            &["k3s iso-base", "k3s clone"],
        ),
        object(
            "one",
            layer(Some("base")),
            (12 << 20, 50),
            &["k3s provision|after 1 step"],
        ),
        object(
            "memory",
            (Kind::Memory, Some("one")),
            (45 << 20, 50),
            &["k3s provision|after 1 step"],
        ),
        object(
            "two",
            layer(Some("one")),
            (3 << 20, 40),
            &["k3s provision", "k3s export"],
        ),
        object(
            "other",
            layer(Some("base")),
            (4 << 20, 9000),
            &["k3s -provision"],
        ),
        object(
            "lost",
            layer(Some("not there")),
            (1 << 20, 9001),
            &["k3s docs|failed"],
        ),
        object(
            "vmdk",
            (Kind::File, None),
            (80 << 20, 30),
            &["k3s export|disk-1"],
        ),
        object("iso", (Kind::Other, None), (700 << 20, 80), &[]),
        object("garbage", (Kind::Other, None), (7, 90), &[]),
    ])
}

/// What programs see.
pub(super) fn sample() -> serde_json::Value {
    cache_json(&CacheListing {
        inventory: &all(),
        origins: &BTreeMap::new(),
        unfinished: &Swept::default(),
        sort: CacheSort::Used,
    })
}

#[test]
fn layers_are_trees_with_what_belongs_to_them() {
    let inventory = all();
    let origins = BTreeMap::from([(Digest::of(b"iso"), "https://example.com/photon.iso".into())]);
    let unfinished = Swept {
        files: vec!["x.part".into()],
        bytes: 5 << 20,
    };
    let mut listing = CacheListing {
        inventory: &inventory,
        origins: &origins,
        unfinished: &unfinished,
        sort: CacheSort::Used,
    };
    insta::assert_snapshot!(cache_text(&listing, now()), @r"
    layers of machines
    cae662172fd4        200MiB  used 1m ago     iso-base, clone
    ├─ 7692c3ad3540     12MiB   used 50s ago    provision after 1 step
    │  ├─ 3fc4ccfe7458  3MiB    used 40s ago    provision, export
    │  └─ c064fbca9d9d  45MiB   used 50s ago    memory of provision after 1 step
    └─ d9298a10d1b0     4MiB    used 2h30m ago  provision (earlier)
    76f75e6129fe        1MiB    used 2h30m ago  docs failed

    files
    e0361263a9f5  80MiB  used 30s ago  export disk-1

    downloads
    e0e4548df88a  700MiB  used 1m20s ago  https://example.com/photon.iso

    nothing leads to
    795b6904e54f  7B  used 1m30s ago

    unfinished downloads: 1 file, 5MiB
    9 objects, 1.0GiB; 700.0MiB of it can be removed
    ");
    listing.sort = CacheSort::Size;
    let text = cache_text(&listing, now());
    let first: Vec<&str> = text
        .lines()
        .take(3)
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    insta::assert_snapshot!(first.join("\n"), @r"
    layers of machines
    cae662172fd4
    ├─ 7692c3ad3540
    ");
    listing.sort = CacheSort::Name;
    let json = cache_json(&listing);
    assert_eq!(json["objects"].as_array().unwrap().len(), 9);
    let iso = &json["objects"].as_array().unwrap()[0];
    insta::assert_snapshot!(iso.to_string(), @r#"{"digest":"795b6904e54f82411df4b0e27a373a55eea3f9d66dac5a9bce1dd92f7b401da5","size":7,"used":1795491606,"kind":"other","below":null,"owners":[],"origin":null,"reclaimable":true}"#);
    insta::assert_snapshot!(json["unfinished_downloads"].to_string(), @r#"{"files":["x.part"],"bytes":5242880}"#);
}

#[test]
fn several_projects_are_told_apart_and_nothing_is_nothing() {
    let layers = inventory(vec![object(
        "base",
        (Kind::Layer, None),
        (1, 1),
        &["a iso-base", "b iso-base"],
    )]);
    let (origins, unfinished) = (BTreeMap::new(), Swept::default());
    let listing = |inventory| CacheListing {
        inventory,
        origins: &origins,
        unfinished: &unfinished,
        sort: CacheSort::Used,
    };
    insta::assert_snapshot!(cache_text(&listing(&layers), now()), @r"
    layers of machines
    cae662172fd4  1B  used 1s ago  a: iso-base, b: iso-base

    1 object, 1B; 0B of it can be removed
    ");
    let nothing = Inventory::default();
    assert_eq!(
        cache_text(&listing(&nothing), now()),
        "0 objects, 0B; 0B of it can be removed\n"
    );
}

#[test]
fn a_collection_says_what_goes_and_why() {
    let root = |held| Root {
        project: "/p".into(),
        stage: "provision[os=mini]".into(),
        used: 0,
        held,
    };
    let record = Held::Record {
        fingerprint: Digest::of(b"f"),
        artifact: Artifact::default(),
        last: false,
    };
    let gone = |text: &str, of: Vec<Root>, why| Removed {
        digest: Digest::of(text.as_bytes()),
        size: 5 << 20,
        of,
        why,
    };
    let report = GcReport {
        removed: vec![
            gone(
                "old",
                vec![root(record)],
                Why::Age(Duration::from_secs(9 * 86_400)),
            ),
            gone("new", Vec::new(), Why::Quota),
        ],
        leftovers: 1,
        freed: 10 << 20,
        kept: 2,
        kept_bytes: 24 << 20,
    };
    let mut limits = Limits::default();
    insta::assert_snapshot!(gc_text(&report, limits, DryRun::Yes), @r"
    would remove cba06b5736fa  5MiB  an earlier result of provision[os=mini], not used for 9d
    would remove 11507a0e2f5e  5MiB  nothing leads to it, over the quota
    would remove 2 objects and 1 leftover, 10MiB; 2 objects stay, 24MiB
    ");
    limits.quota = Some(1 << 20);
    let nothing = GcReport {
        kept: 1,
        kept_bytes: 5 << 20,
        ..GcReport::default()
    };
    insta::assert_snapshot!(gc_text(&nothing, limits, DryRun::No), @r"
    removed 0 objects, 0B; 1 object stays, 5MiB
    that is more than the quota of 1MiB, but stages' last results and machines need it: `forge clean` gives them up
    ");
}
