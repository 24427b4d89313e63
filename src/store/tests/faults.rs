//! Damage, dead processes, full and forbidden places.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn altered_and_truncated_objects_are_noticed_and_replaced() {
    let scene = scene();
    let stored = scene.store.put_bytes(b"content").unwrap();
    let artifact = artifact(stored.clone());
    let short = stored.digest.short();
    assert_eq!(scene.store.intact(&artifact), Ok(()));
    for damage in [&b"tampered"[..], b"conten", b""] {
        scene.overwrite(&stored.digest, damage);
        assert_eq!(scene.store.state(&stored.digest), ObjectState::Damaged);
        assert_eq!(
            scene.store.intact(&artifact),
            Err(format!("object {short} is damaged"))
        );
        assert_eq!(scene.store.put_bytes(b"content").unwrap(), stored);
        assert_eq!(scene.store.intact(&artifact), Ok(()));
    }
    fs::remove_file(scene.store.path(&stored.digest)).unwrap();
    assert_eq!(
        scene.store.intact(&artifact),
        Err(format!("object {short} is gone"))
    );
    fs::create_dir(scene.store.path(&stored.digest)).unwrap();
    assert_eq!(scene.store.state(&stored.digest), ObjectState::Damaged);
}

#[test]
fn an_object_under_another_name_is_not_taken_for_it() {
    let scene = scene();
    let (a, b) = (scene.put("a"), scene.put("b"));
    fs::rename(scene.store.path(&a), scene.store.path(&b)).unwrap();
    assert_eq!(scene.store.state(&b), ObjectState::Damaged);
}

#[test]
fn an_object_that_lost_its_mark_is_read_once() {
    let scene = scene();
    let digest = scene.put("content");
    let path = scene.store.path(&digest);
    let file = fs::File::open(&path).unwrap();
    let whole_seconds = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    file.set_modified(whole_seconds).unwrap();
    let marked = || mark::has_mark(&fs::metadata(&path).unwrap(), &digest);
    assert!(!marked());
    assert!(scene.store.contains(&digest));
    assert!(marked());
}

#[test]
fn verify_reads_everything_and_moves_bad_objects_aside() {
    let scene = scene();
    let good: Vec<Digest> = (0..10).map(|i| scene.put(&format!("good {i}"))).collect();
    let bad = scene.put("bad");
    // as a failing disk does: other content, the same times
    let path = scene.store.path(&bad);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    scene.overwrite(&bad, b"bit");
    fs::File::open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let progress = std::sync::Mutex::new(Vec::new());
    let report = scene
        .store
        .verify(&|done, total| progress.lock().unwrap().push((done, total)))
        .unwrap();
    assert_eq!(report.objects, 11);
    let [corrupt] = &report.corrupt[..] else {
        panic!("{report:?}")
    };
    assert_eq!(corrupt.digest, bad);
    assert_eq!(
        corrupt.fault,
        format!("its content is {}", Digest::of(b"bit").short())
    );
    assert_eq!(
        fs::read(corrupt.moved_to.as_ref().unwrap()).unwrap(),
        b"bit"
    );
    assert_eq!(scene.store.state(&bad), ObjectState::Missing);
    assert!(good.iter().all(|digest| scene.store.contains(digest)));
    let progress = progress.into_inner().unwrap();
    assert_eq!(progress.len(), 11);
    assert_eq!(progress[10], (report.bytes, report.bytes));
    assert_eq!(scene.store.verify(&|_, _| {}).unwrap().corrupt, []);
}

#[test]
fn what_dead_processes_left_goes_and_what_living_ones_have_stays() {
    let scene = scene();
    let root = scene.store.root().to_owned();
    let mine = scene.store.staging().unwrap();
    let digest = scene.put("kept");
    // a process killed at any point leaves a session that nobody holds, and files in staging
    fs::write(root.join("running/4000000-dead"), b"{}").unwrap();
    fs::create_dir_all(root.join("staging/4000000-dead-0/deep")).unwrap();
    fs::write(root.join("staging/4000000-dead-1"), b"half an obj").unwrap();
    fs::write(root.join("staging/stray"), b"").unwrap();
    let second = Store::open(&root).unwrap();
    assert!(mine.path().exists());
    assert_eq!(count(&root.join("staging")), 1);
    // two that live, one of them with notes
    assert_eq!(count(&root.join("running")), 3);
    assert_eq!(second.list().unwrap().len(), 1);
    assert!(second.contains(&digest));
    drop(second);
    assert_eq!(count(&root.join("running")), 2);
}

#[test]
fn a_killed_process_leaves_a_store_that_the_next_one_clears() {
    let scene = scene();
    let root = scene.store.root().to_owned();
    // a process of its own that holds a session's lock, as a forge does
    let session = root.join("running/1-other");
    fs::write(&session, br#"{"pid":1,"what":"forge run ova"}"#).unwrap();
    fs::create_dir(root.join("staging/1-other-0")).unwrap();
    let mut child = std::process::Command::new("flock")
        .arg("--no-fork")
        .arg(&session)
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 4];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    drop(Store::open(&root).unwrap());
    assert!(root.join("staging/1-other-0").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(Store::open(&root).unwrap());
    assert!(!root.join("staging/1-other-0").exists());
    assert!(!session.exists());
}

#[test]
fn what_cannot_be_used_is_named() {
    let scene = scene();
    let missing = scene.dir.path().join("missing");
    let error = scene.store.put_file(&missing, Put::Move).unwrap_err();
    let expected = format!(
        "{}: No such file or directory (os error 2)",
        missing.display()
    );
    assert_eq!((error.to_string(), error.help()), (expected, None));
    let file = scene.file("a file", b"");
    let error = Store::open(&file.join("cache")).unwrap_err();
    assert!(error.to_string().contains("Not a directory"), "{error}");
    let full = StoreError::Io {
        path: missing,
        source: std::io::ErrorKind::StorageFull.into(),
    };
    assert!(full.to_string().ends_with(": the disk is full"), "{full}");
    assert_eq!(
        full.help().unwrap(),
        "make room, for example with `forge cache gc`, or set FORGE_CACHE_DIR to a place with more"
    );
}

#[test]
fn a_file_that_cannot_become_an_object_stays_where_it_was() {
    let scene = scene();
    let path = scene.file("precious", b"content");
    let digest = Digest::of(b"content");
    let shard = scene.store.path(&digest).parent().unwrap().to_owned();
    fs::write(&shard, b"a file where a directory should be").unwrap();
    let error = scene.store.put_file(&path, Put::Move).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"content");
    assert!(scene.store.put_file(&path, Put::Copy).is_err());
    assert_eq!(count(&scene.store.root().join("staging")), 0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
