//! Checkpoints of running machines, and the format before them.

use super::{key, open, record};
use crate::model::{Digest, DiskState, Drives, MachineState};
use crate::plan::sample_hardware;
use crate::store::{Db, StepCheckpoint, Store};

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
    assert_eq!(db.checkpoint(&two.fingerprint), Some(two.clone()));
    assert_eq!(db.put_checkpoint(&stage, &new).unwrap(), Some(two.clone()));
    assert_eq!(db.checkpoint(&two.fingerprint), None);
    // their content is needed
    let needed = db.all_digests(None, None).unwrap();
    assert_eq!(needed, one.digests().chain(new.digests()).collect());
    assert_eq!(needed.len(), 4);

    let hour = Some(std::time::Duration::from_secs(3600));
    assert!(db.checkpoints_of(&stage, hour).unwrap().is_empty());
    assert_eq!(db.recorded_stages().unwrap(), std::slice::from_ref(&stage));
    db.drop_checkpoint(&one.fingerprint).unwrap();
    assert_eq!(db.forget_checkpoints(&stage, None).unwrap(), [new]);
    assert!(db.all_digests(None, None).unwrap().is_empty());
}

#[test]
fn a_replaced_memory_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut old = checkpoint(1, "x");
    let memory = store.put_bytes(b"memory").unwrap().digest;
    old.memory = Some(memory);
    store.discard_memory(&old);
    assert!(!store.contains(&memory));
}

#[test]
fn a_file_of_the_format_before_is_read_and_gets_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forge.db");
    let old = record("a", "f", "one");
    open(dir.path()).commit(&old).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("DROP TABLE checkpoints; PRAGMA user_version = 1")
        .unwrap();
    drop(raw);
    let needed = old.artifact.digests().collect();
    let as_other = Db::open_other(&path).unwrap();
    assert_eq!(as_other.all_digests(None, None).unwrap(), needed);
    drop(as_other);
    let db = open(dir.path());
    assert_eq!(db.last(&key("a")), Some(old));
    let new = checkpoint(1, "x");
    assert_eq!(db.put_checkpoint(&key("a"), &new).unwrap(), None);
    assert_eq!(db.checkpoint(&new.fingerprint), Some(new));
}
