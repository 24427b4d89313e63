//! The database on a real file system.

mod checkpoints;
mod stat;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::model::{Artifact, Digest, Name, Size, StageKey, StoredFile};
use crate::plan::{Ingredients, Record, Records as _};
use crate::store::{Root, Store};

fn key(name: &str) -> StageKey {
    StageKey {
        name: Name::parse(name).unwrap(),
        axes: BTreeMap::new(),
    }
}

fn record(stage: &str, fingerprint: &str, content: &str) -> Record {
    let file = StoredFile {
        digest: Digest::of(content.as_bytes()),
        size: Size::from_bytes(1),
        path: Some("output/x".into()),
        executable: false,
        tree: false,
    };
    Record {
        stage: key(stage),
        fingerprint: Digest::of(fingerprint.as_bytes()),
        ingredients: Ingredients::default(),
        artifact: Artifact {
            files: BTreeMap::from([(Name::parse("x").unwrap(), file)]),
            ..Artifact::default()
        },
        started: 1000,
        duration_ms: 1500,
        run: "r1".into(),
        log: Some("log".into()),
    }
}

#[test]
fn records_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".forge/forge.db");
    let (one, two) = (record("a", "f1", "one"), record("a", "f2", "two"));
    {
        let db = Db::open(&path).unwrap();
        db.commit(&one).unwrap();
        db.commit(&two).unwrap();
    }
    let db = Db::open(&path).unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let records = db.records(&store);
    assert_eq!(records.find(&one.fingerprint), Some(one.clone()));
    assert_eq!(records.last(&key("a")), Some(two));
    assert_eq!(records.last(&key("b")), None);
    let gone = records.intact(&one.artifact).unwrap_err();
    assert!(gone.ends_with("is gone"), "{gone}");
    db.touch([&one]).unwrap();
    assert_eq!(db.last(&key("a")), Some(one));
    assert_eq!(db.forget(&key("a")).unwrap(), 2);
    assert_eq!(db.last(&key("a")), None);
    assert_eq!(db.take_warnings(), Vec::<String>::new());
}

#[test]
fn history_and_durations_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("forge.db")).unwrap();
    let stage = RunStage {
        stage: key("a"),
        started: 5,
        duration: Duration::from_millis(1500),
        reasons: vec!["never built".into()],
        outcome: StageOutcome::Done,
        message: None,
        log: Some("log".into()),
    };
    for id in ["r1", "r2"] {
        let run = NewRun {
            id: id.into(),
            targets: vec!["ova".into()],
        };
        db.start_run(&run).unwrap();
    }
    db.add_run_stage("r1", &stage).unwrap();
    db.finish_run("r1", RunOutcome::Done, Duration::from_secs(2))
        .unwrap();
    let runs = db.runs(10).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].id.as_str(), runs[0].outcome), ("r2", None));
    assert_eq!(runs[1].outcome, Some(RunOutcome::Done));
    assert_eq!(runs[1].stages, std::slice::from_ref(&stage));
    assert_eq!(db.duration(&key("a"), ""), Some(stage.duration));
    assert_eq!(db.duration(&key("a"), "x"), None);
}

fn open(dir: &Path) -> Db {
    Db::open(&dir.join("forge.db")).unwrap()
}

#[test]
fn a_newer_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = dir.path().join("forge.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    for error in [Db::open(&path), Db::open_other(&path)] {
        let error = error.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{} was written by a newer forge (format 99; this one knows 4)",
                path.display()
            )
        );
        assert_eq!(
            error.help().unwrap(),
            "use the newer forge, or remove the file"
        );
    }
}

#[test]
fn a_damaged_file_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forge.db");
    for _ in 0..2 {
        std::fs::write(&path, "this is no database at all, whatever its name says").unwrap();
        let db = open(dir.path());
        let warnings = db.take_warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("was damaged"), "{warnings:?}");
        assert_eq!(db.take_warnings(), Vec::<String>::new());
        db.commit(&record("a", "f", "x")).unwrap();
        drop(db);
        assert!(open(dir.path()).last(&key("a")).is_some());
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(dir.path().join(format!("forge.db{end}")));
        }
    }
    let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
    let aside = aside.filter(|e| e.file_name().to_string_lossy().contains(".damaged-"));
    assert_eq!(aside.count(), 2);
}

#[test]
fn damage_found_in_use_is_a_warning_and_the_next_forge_starts_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forge.db");
    {
        let db = open(dir.path());
        for i in 0..500 {
            db.commit(&record("a", &i.to_string(), &"x".repeat(50)))
                .unwrap();
        }
        db.with(|db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
            .unwrap();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in &mut bytes[4096..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).unwrap();
    {
        let db = open(dir.path());
        assert_eq!(db.last(&key("a")), None);
        let warnings = db.take_warnings();
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].ends_with("going on as if nothing was recorded"),
            "{warnings:?}"
        );
        let error = db.commit(&record("b", "f", "x")).unwrap_err();
        assert!(error.to_string().contains("malformed"), "{error}");
        let help = error.help().unwrap();
        assert_eq!(help, "run it again: the damaged file will be set aside");
    }
    let db = open(dir.path());
    assert!(db.take_warnings()[0].contains("was damaged"));
    db.commit(&record("b", "f", "x")).unwrap();
    drop(db);
    assert_eq!(open(dir.path()).take_warnings(), Vec::<String>::new());
}

#[test]
fn threads_and_connections_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let shared = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (shared, dir) = (&shared, dir.path());
            scope.spawn(move || {
                let own = (thread % 2 == 1).then(|| open(dir));
                let db = own.as_ref().unwrap_or(shared);
                for i in 0..25 {
                    let stage = format!("s{thread}");
                    let record = record(&stage, &format!("{thread}-{i}"), "x");
                    db.commit(&record).unwrap();
                    db.touch([&record]).unwrap();
                    assert_eq!(db.last(&key(&stage)), Some(record));
                }
            });
        }
    });
    assert_eq!(shared.recorded_stages().unwrap().len(), 4);
    for stage in shared.recorded_stages().unwrap() {
        assert_eq!(shared.recorded(&stage).unwrap().len(), 25);
        assert_eq!(shared.forget(&stage).unwrap(), 25);
    }
}

/// Makes everything that is recorded look older.
fn make_older(db: &Db, days: i64) {
    db.with(|db| db.execute("UPDATE records SET used = used - ?1", [days * 24 * 3600]))
        .unwrap();
}

#[test]
fn what_leads_to_objects_is_told_and_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.commit(&record("a", "f1", "one")).unwrap();
    db.commit(&record("a", "f2", "two")).unwrap();
    db.commit(&record("b", "f3", "three")).unwrap();
    make_older(&db, 9);
    let roots = || -> Vec<Root> {
        let roots = db.roots().unwrap().into_iter();
        roots
            .map(|(stage, used, held)| Root {
                project: dir.path().to_owned(),
                stage,
                used,
                held,
            })
            .collect()
    };
    let told = || -> Vec<(String, bool)> {
        let roots = roots().into_iter();
        roots
            .map(|root| (root.stage.clone(), root.is_needed()))
            .collect()
    };
    let of = |last: [(&str, bool); 3]| last.map(|(stage, last)| (stage.to_owned(), last));
    assert_eq!(told(), of([("a", false), ("a", true), ("b", true)]));
    let before = roots();
    let digests: Vec<_> = before.iter().flat_map(Root::digests).collect();
    assert_eq!(digests, [b"one" as &[u8], b"two", b"three"].map(Digest::of));
    // the older one is what is built now: it is not given up any more
    db.touch([&record("a", "f1", "one")]).unwrap();
    db.give_up(&before.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(told(), [("a".to_owned(), true), ("b".to_owned(), true)]);
    let left = roots();
    db.give_up(&left.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(roots(), left, "the last ones are never given up");
}

#[test]
fn touching_what_was_just_used_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (one, two) = (record("a", "f1", "one"), record("a", "f2", "two"));
    db.commit(&one).unwrap();
    db.commit(&two).unwrap();
    let changes = || {
        db.with(|db| db.query_row("SELECT total_changes()", [], |r| r.get(0)))
            .unwrap()
    };
    let before: i64 = changes();
    db.touch([&two]).unwrap();
    assert_eq!(changes(), before);
    db.touch([&one, &two]).unwrap();
    assert!(changes() > before);
    assert_eq!(
        db.last(&key("a")),
        Some(one.clone()),
        "two stood last when it was looked at"
    );
    make_older(&db, 1);
    let before = changes();
    db.touch([&one, &record("never", "x", "x")]).unwrap();
    // the record, and the number that says that the records have changed
    assert_eq!(changes(), before + 2);
}

#[test]
fn words_of_newer_forges_in_the_history_are_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let new = NewRun {
        id: "r".into(),
        targets: Vec::new(),
    };
    db.start_run(&new).unwrap();
    for outcome in [
        StageOutcome::Done,
        StageOutcome::Failed,
        StageOutcome::Cancelled,
        StageOutcome::Cached,
    ] {
        let stage = RunStage {
            stage: key("a"),
            started: 1,
            duration: Duration::from_secs(1),
            reasons: Vec::new(),
            outcome,
            message: Some("why".into()),
            log: None,
        };
        db.add_run_stage("r", &stage).unwrap();
        assert_eq!(db.runs(1).unwrap()[0].stages.last(), Some(&stage));
    }
    db.finish_run("r", RunOutcome::Interrupted, Duration::ZERO)
        .unwrap();
    assert_eq!(
        db.runs(1).unwrap()[0].outcome,
        Some(RunOutcome::Interrupted)
    );
    db.with(|db| db.execute("UPDATE runs SET outcome = 'dreamt'", []))
        .unwrap();
    assert_eq!(db.runs(1).unwrap()[0].outcome, None);
}

#[test]
fn many_may_be_the_first_to_open_it() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".forge/forge.db");
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let path = &path;
                scope.spawn(move || {
                    let db = Db::open(path).unwrap();
                    db.commit(&record(&format!("s{thread}"), "f", "x")).unwrap();
                });
            }
        });
        assert_eq!(Db::open(&path).unwrap().recorded_stages().unwrap().len(), 6);
    }
}
