//! Checkpoints of running machines, and the format before them.

use std::collections::BTreeSet;

use super::{key, open, record};
use crate::model::{Digest, DiskState, Drives, MachineState};
use crate::plan::sample_hardware;
use crate::store::{CheckpointCost, Db, Held, StepCheckpoint};

fn digests(db: &Db) -> BTreeSet<Digest> {
    let of = |held: Held| -> Vec<Digest> {
        match held {
            Held::Record { artifact, .. } => artifact.digests().collect(),
            Held::Checkpoint(checkpoint) => checkpoint.digests().collect(),
            Held::Failed(machine) => machine.digests().collect(),
        }
    };
    let roots = db.roots().unwrap().into_iter();
    roots.flat_map(|(_, _, held)| of(held)).collect()
}

fn checkpoint(step: usize, name: &str) -> StepCheckpoint {
    let of = |part: &str| Digest::of(format!("{name} {part}").as_bytes());
    StepCheckpoint {
        step,
        fingerprint: of("fingerprint"),
        identity: "qemu 1".into(),
        machine: MachineState {
            remote: None,
            provider: "local".into(),
            hardware: sample_hardware(),
            disks: vec![DiskState {
                layers: vec![of("layer")],
            }],
            nvram: None,
        },
        memory: Some(of("memory")),
        drives: Drives::default(),
        met: None,
    }
}

#[test]
fn the_newest_after_each_step_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let stage = key("a");
    let (one, two, new) = (checkpoint(0, "x"), checkpoint(2, "y"), checkpoint(2, "z"));
    assert_eq!(db.put_checkpoint(&stage, &one).unwrap(), None);
    assert_eq!(db.put_checkpoint(&stage, &two).unwrap(), None);
    assert_eq!(db.checkpoint(&stage, &two.fingerprint), Some(two.clone()));
    assert_eq!(db.put_checkpoint(&stage, &new).unwrap(), Some(two.clone()));
    assert_eq!(db.checkpoint(&stage, &two.fingerprint), None);
    // their content is needed
    let needed = digests(&db);
    assert_eq!(needed, one.digests().chain(new.digests()).collect());
    assert_eq!(needed.len(), 4);

    let hour = Some(std::time::Duration::from_secs(3600));
    assert!(db.checkpoints_of(&stage, hour).unwrap().is_empty());
    assert_eq!(db.recorded_stages().unwrap(), std::slice::from_ref(&stage));
    db.drop_checkpoint(&one.fingerprint).unwrap();
    assert_eq!(db.forget_checkpoints(&stage, None).unwrap(), [new]);
    assert!(digests(&db).is_empty());
}

#[test]
fn a_file_of_the_format_before_is_read_and_gets_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forge.db");
    let old = record("a", "f", "one");
    open(dir.path()).commit(&old).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(
        "DROP TABLE checkpoints; DROP TABLE checkpoint_costs; DROP TABLE failed_steps;
         DROP TABLE generation; DROP TRIGGER record_added; DROP TRIGGER record_removed; DROP TRIGGER record_succeeded;
         PRAGMA user_version = 1",
    )
    .unwrap();
    drop(raw);
    let needed = old.artifact.digests().collect();
    let as_other = Db::open_other(&path).unwrap();
    assert_eq!(digests(&as_other), needed);
    drop(as_other);
    let db = open(dir.path());
    assert_eq!(db.last(&key("a")), Some(old));
    let new = checkpoint(1, "x");
    assert_eq!(db.put_checkpoint(&key("a"), &new).unwrap(), None);
    assert_eq!(db.checkpoint(&key("a"), &new.fingerprint), Some(new));
    assert_eq!(db.checkpoint_cost(&key("a")), None);
}

#[test]
fn a_machine_on_a_server_is_gone_on_from_by_its_own_stage_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (one, two) = (key("one"), key("two"));
    let local = checkpoint(1, "local");
    let mut remote = checkpoint(2, "remote");
    remote.machine.remote = Some(crate::model::Remote {
        name: "m".into(),
        uuid: "u".into(),
        snapshot: "s".into(),
        version: None,
    });
    db.put_checkpoint(&one, &local).unwrap();
    db.put_checkpoint(&one, &remote).unwrap();
    assert_eq!(db.checkpoint(&two, &local.fingerprint), Some(local));
    assert_eq!(db.checkpoint(&two, &remote.fingerprint), None);
    assert_eq!(
        db.checkpoint(&one, &remote.fingerprint),
        Some(remote.clone())
    );
    // another stage's does not stand in the way of one's own
    let own = StepCheckpoint {
        step: 3,
        ..remote.clone()
    };
    db.put_checkpoint(&two, &own).unwrap();
    assert_eq!(db.checkpoint(&two, &remote.fingerprint), Some(own));
    assert_eq!(db.checkpoint(&one, &remote.fingerprint), Some(remote));
}

#[test]
fn costs_and_failures_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let stage = key("a");
    let cost = CheckpointCost {
        time: std::time::Duration::from_millis(350),
        size: crate::model::Size::from_mib(40),
    };
    let state = Digest::of(b"state");
    let db = open(dir.path());
    assert_eq!(
        (db.checkpoint_cost(&stage), db.failed_after(&stage)),
        (None, None)
    );
    db.note_checkpoint_cost(&stage, &cost).unwrap();
    db.note_failed_after(&stage, Some(&state)).unwrap();
    drop(db);
    let db = open(dir.path());
    assert_eq!(db.checkpoint_cost(&stage), Some(cost));
    assert_eq!(db.failed_after(&stage), Some(state));
    db.note_failed_after(&stage, None).unwrap();
    assert_eq!(db.failed_after(&stage), None);
    assert_eq!(db.checkpoint_cost(&key("b")), None);
}
