//! What gc takes, and what it leaves.

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

fn older_than(age: Duration) -> Limits {
    Limits { age, quota: None }
}

fn removed(report: &GcReport) -> Vec<Digest> {
    report.removed.iter().map(|gone| gone.digest).collect()
}

#[test]
fn what_nobody_needs_goes() {
    let scene = scene();
    let needed = commit(&scene.dir.path().join("project"), &scene, "needed");
    let (recent, old) = (scene.put("recent"), scene.put("old"));
    age(&scene, &needed, 9 * DAY);
    age(&scene, &old, 9 * DAY);
    let dry = scene.store.gc(older_than(7 * DAY), true).unwrap();
    assert_eq!(removed(&dry), [old]);
    assert!(matches!(dry.removed[0].why, Why::Age(age) if age >= 9 * DAY));
    assert_eq!((dry.freed, dry.kept, dry.kept_bytes), (3, 2, 12));
    assert!(scene.store.contains(&old), "a dry run removes nothing");
    let done = scene.store.gc(older_than(7 * DAY), false).unwrap();
    assert_eq!((removed(&done), done.freed), (vec![old], 3));
    assert!(!scene.store.contains(&old) && scene.store.contains(&recent));
    assert!(!scene.store.used_path(&old).exists());
    let all = scene.store.gc(Limits::default(), false).unwrap();
    assert_eq!(removed(&all), [recent]);
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
    scene.put("two");
    let report = scene.store.gc(older_than(DAY), false).unwrap();
    assert_eq!(report.removed, []);
}

#[test]
fn damaged_objects_go_too() {
    let scene = scene();
    let dir = scene.store.root().join("quarantine");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("x"), b"1234").unwrap();
    let report = scene.store.gc(older_than(DAY), false).unwrap();
    assert_eq!((report.leftovers, report.freed), (0, 0));
    for dry_run in [true, false] {
        let report = scene.store.gc(Limits::default(), dry_run).unwrap();
        assert_eq!((report.leftovers, report.freed), (1, 4));
    }
    assert_eq!(count(&dir), 0);
}

#[test]
fn what_another_forge_uses_stays_as_long_as_it_runs() {
    let scene = scene();
    let (used, made, not) = (scene.put("used"), Digest::of(b"made"), scene.put("not"));
    let other = Store::open(scene.store.root()).unwrap();
    other.use_object(&used).unwrap();
    assert_eq!(other.put_bytes(b"made").unwrap().digest, made);
    let report = scene.store.gc(Limits::default(), false).unwrap();
    assert_eq!(removed(&report), [not]);
    assert!(
        other.use_object(&not).is_err(),
        "told before it is relied on"
    );
    // what it has made and nothing leads to goes with it
    drop(other);
    assert!(!scene.store.contains(&made) && scene.store.contains(&used));
    let report = scene.store.gc(Limits::default(), false).unwrap();
    assert_eq!(removed(&report), [used]);
}

#[test]
fn what_is_adopted_outlives_its_forge_and_what_is_not_goes() {
    let scene = scene();
    let root = scene.store.root().to_owned();
    for killed in [false, true] {
        let other = Store::open(&root).unwrap();
        let download = Digest::of(b"download");
        other.adopt(&download).unwrap();
        other.put_bytes(b"download").unwrap();
        let made = other.put_bytes(b"made").unwrap().digest;
        if killed {
            other.journal().die();
            std::mem::forget(other);
            let next = Store::open(&root).unwrap();
            assert!(next.take_recovered().is_empty(), "nobody has to hear of it");
        } else {
            drop(other);
        }
        assert!(scene.store.contains(&download) && !scene.store.contains(&made));
        scene.store.gc(Limits::default(), false).unwrap();
        assert!(!scene.store.contains(&download));
    }
    // it lives, and has notes
    assert_eq!(count(&root.join("running")), 2);
}

#[test]
fn what_is_doomed_goes_unless_something_leads_to_it() {
    let scene = scene();
    let (one, two) = (scene.dir.path().join("one"), scene.dir.path().join("two"));
    let shared = commit(&one, &scene, "shared");
    commit(&two, &scene, "shared");
    let alone = scene.put("alone");
    scene.store.adopt(&alone).unwrap();
    assert_eq!(scene.store.tidy().unwrap(), 0);
    scene.store.doom([shared, alone]).unwrap();
    assert_eq!(scene.store.tidy().unwrap(), 5);
    assert!(scene.store.contains(&shared));
    fs::remove_dir_all(&one).unwrap();
    assert_eq!(scene.store.tidy().unwrap(), 0);
    // what a project needs that cannot be asked is not known
    fs::write(
        two.join(".forge/forge.db"),
        b"not a database, but long enough",
    )
    .unwrap();
    assert_eq!(scene.store.tidy().unwrap(), 0);
    assert!(scene.store.contains(&shared));
    fs::remove_dir_all(&two).unwrap();
    assert_eq!(scene.store.tidy().unwrap(), 6);
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
    let present = |scene: &Scene| -> Vec<Digest> {
        let objects = scene.store.list().unwrap();
        objects.iter().map(|object| object.digest).collect()
    };
    scene.store.gc(Limits::default(), false).unwrap();
    let mut both = vec![a, b];
    both.sort();
    assert_eq!(present(&scene), both);

    fs::write(
        two.join(".forge/forge.db"),
        b"not a database, but long enough to be looked at",
    )
    .unwrap();
    let error = scene.store.gc(Limits::default(), false).unwrap_err();
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
    scene.store.gc(Limits::default(), false).unwrap();
    assert_eq!(present(&scene), [a]);
    assert_eq!(scene.store.projects().unwrap(), [one]);
}
