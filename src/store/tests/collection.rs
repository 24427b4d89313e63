//! What gc takes, and what it leaves.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::*;
use crate::plan::{Ingredients, Record};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn age(scene: &Scene, digest: &Digest, age: Duration) {
    let used = fs::File::options()
        .write(true)
        .open(scene.store.used_path(digest))
        .unwrap();
    used.set_modified(SystemTime::now() - age).unwrap();
}

#[test]
fn what_nobody_needs_goes() {
    let scene = scene();
    let (needed, recent, old) = (scene.put("needed"), scene.put("recent"), scene.put("old"));
    age(&scene, &needed, 9 * DAY);
    age(&scene, &old, 9 * DAY);
    let keep = HashSet::from([needed]);
    let dry = scene.store.gc(&keep, Some(7 * DAY), true).unwrap();
    assert_eq!(dry.removed, [(old, 3)]);
    assert_eq!((dry.freed, dry.kept, dry.kept_bytes), (3, 2, 12));
    assert!(scene.store.contains(&old), "a dry run removes nothing");
    assert_eq!(scene.store.gc(&keep, Some(7 * DAY), false).unwrap(), dry);
    assert!(!scene.store.contains(&old) && scene.store.contains(&recent));
    assert!(!scene.store.used_path(&old).exists());
    let all = scene.store.gc(&keep, None, false).unwrap();
    assert_eq!(all.removed, [(recent, 6)]);
    assert!(scene.store.contains(&needed));
}

#[test]
fn use_makes_objects_young_again() {
    let scene = scene();
    let (one, two) = (scene.put("one"), scene.put("two"));
    for digest in [&one, &two] {
        age(&scene, digest, 9 * DAY);
    }
    scene.store.use_object(&one).unwrap();
    scene
        .store
        .touch_all(&artifact(scene.store.put_bytes(b"two").unwrap()));
    let report = scene.store.gc(&HashSet::new(), Some(DAY), false).unwrap();
    assert_eq!(report.removed, []);
}

#[test]
fn leftovers_and_dead_aliases_go_too() {
    let scene = scene();
    let root = scene.store.root().to_owned();
    for dir in ["downloads", "quarantine"] {
        fs::create_dir_all(root.join(dir)).unwrap();
        fs::write(root.join(dir).join("x"), b"1234").unwrap();
    }
    let sha1 = Checksum::parse("c2883a42e402a2330d9c39b4d1e071cf9b3b5898").unwrap();
    let iso = scene.put("iso");
    scene.store.remember_checksum(&sha1, &iso).unwrap();
    let report = scene
        .store
        .gc(&HashSet::from([iso]), Some(DAY), false)
        .unwrap();
    assert_eq!((report.leftovers, report.freed), (0, 0));
    assert_eq!(scene.store.find_checksum(&sha1), Some(iso));
    let report = scene.store.gc(&HashSet::new(), None, false).unwrap();
    assert_eq!((report.leftovers, report.freed), (2, 11));
    assert_eq!(count(&root.join("aliases")), 0);
}

#[test]
fn a_store_in_use_is_not_collected_and_it_is_told_by_whom() {
    let scene = scene();
    let digest = scene.put("x");
    let other = Store::open(scene.store.root()).unwrap();
    let error = scene.store.gc(&HashSet::new(), None, false).unwrap_err();
    let StoreError::InUse(holders) = &error else {
        panic!("{error}")
    };
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].pid, std::process::id());
    let told = error.to_string();
    assert!(told.starts_with("the cache is in use by `forge"), "{told}");
    assert!(told.ends_with(&format!("(process {})", std::process::id())));
    assert_eq!(error.help().unwrap(), "wait until it has finished");
    assert!(
        scene.store.gc(&HashSet::new(), None, true).is_ok(),
        "a dry run may"
    );
    drop(other);
    assert_eq!(
        scene
            .store
            .gc(&HashSet::new(), None, false)
            .unwrap()
            .removed
            .len(),
        1
    );
    assert!(!scene.store.contains(&digest));
    // the lock is shared again after it
    assert!(Store::open(scene.store.root()).is_ok());
    let nobody = StoreError::InUse(Vec::new());
    assert_eq!(nobody.to_string(), "the cache is in use by another forge");
}

fn commit(root: &Path, scene: &Scene, content: &str) -> Digest {
    let file = scene.store.put_bytes(content.as_bytes()).unwrap();
    let digest = file.digest;
    let db = Db::open(&root.join(".forge/forge.db")).unwrap();
    db.commit(&Record {
        stage: crate::model::StageKey {
            name: Name::parse("a").unwrap(),
            axes: BTreeMap::new(),
        },
        fingerprint: digest,
        ingredients: Ingredients::default(),
        artifact: artifact(file),
        started: 0,
        duration_ms: 0,
        run: "r".into(),
        log: None,
    })
    .unwrap();
    scene.store.register(root).unwrap();
    digest
}

#[test]
fn what_other_projects_need_stays() {
    let scene = scene();
    let (one, two) = (scene.dir.path().join("one"), scene.dir.path().join("two"));
    let (a, b) = (commit(&one, &scene, "a"), commit(&two, &scene, "b"));
    scene.store.register(&one).unwrap();
    assert_eq!(scene.store.projects().unwrap(), [one.clone(), two.clone()]);
    let db = Db::open(&one.join(".forge/forge.db")).unwrap();
    let keep = keep_set(&scene.store, Some((&one, &db)), None, None).unwrap();
    assert_eq!(keep, HashSet::from([a, b]));

    fs::write(
        two.join(".forge/forge.db"),
        b"not a database, but long enough to be looked at",
    )
    .unwrap();
    let error = keep_set(&scene.store, Some((&one, &db)), None, None).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!(
            "the records of {} cannot be read, so what it needs is not known: ",
            two.display()
        )),
        "{error}"
    );
    let help = format!("repair or remove {}", two.join(".forge").display());
    assert_eq!(error.help(), Some(help));
    assert_eq!(
        count(&two.join(".forge")),
        1,
        "another project's files are left alone"
    );

    fs::remove_dir_all(&two).unwrap();
    assert_eq!(
        keep_set(&scene.store, None, None, None).unwrap(),
        HashSet::from([a])
    );
    assert_eq!(scene.store.projects().unwrap(), [one]);
}
