//! The database on a real file system.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::model::{Artifact, Digest, Name, Size, StageKey, StoredFile};
use crate::plan::{Ingredients, Record, Records as _};
use crate::store::Store;

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
    assert_eq!(db.forget(&key("a")).unwrap().len(), 2);
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
