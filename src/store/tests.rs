//! The store on a real file system.

mod collection;
mod faults;
mod random;
mod survey;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::model::{Artifact, Digest, Name, StoredFile};

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    Scene { dir, store }
}

impl Scene {
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn put(&self, content: &str) -> Digest {
        self.store.put_bytes(content.as_bytes()).unwrap().digest
    }

    /// Changes an object as a disk or a careless program would.
    fn overwrite(&self, digest: &Digest, content: &[u8]) {
        let path = self.store.path(digest);
        objects::set_mode(&path, 0o644).unwrap();
        fs::write(&path, content).unwrap();
    }
}

fn artifact(file: StoredFile) -> Artifact {
    Artifact {
        files: BTreeMap::from([(Name::parse("out").unwrap(), file)]),
        ..Artifact::default()
    }
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

#[test]
fn what_is_put_is_found_under_its_digest_and_cannot_be_written() {
    let scene = scene();
    let store = &scene.store;
    let moved = scene.file("a", b"content");
    let stored = store.put_file(&moved, Put::Move).unwrap();
    assert_eq!(stored.digest, Digest::of(b"content"));
    assert_eq!((stored.size.bytes(), stored.executable), (7, false));
    assert!(!moved.exists());
    assert!(store.contains(&stored.digest));
    let path = store.path(&stored.digest);
    assert_eq!(fs::read(&path).unwrap(), b"content");
    assert!(fs::metadata(&path).unwrap().permissions().readonly());

    let copied = scene.file("b", b"other");
    let other = store.put_file(&copied, Put::Copy).unwrap();
    assert!(copied.exists() && store.contains(&other.digest));
    assert_eq!(store.put_bytes(b"other").unwrap(), other);
    for put in [Put::Copy, Put::Move] {
        let again = scene.file("c", b"other");
        assert_eq!(store.put_hashed(&again, &other.digest, put).unwrap(), other);
        assert_eq!(again.exists(), put == Put::Copy);
    }
    let hashed = scene.file("d", b"hashed");
    let stored = store.put_hashed(&hashed, &Digest::of(b"hashed"), Put::Move);
    assert!(store.contains(&stored.unwrap().digest));
    assert_eq!(store.list().unwrap().len(), 3);
    assert_eq!(count(&store.root().join("staging")), 0);
}

#[test]
fn an_executable_is_remembered_as_one() {
    let scene = scene();
    for put in [Put::Copy, Put::Move] {
        let path = scene.file("tool", format!("#!/bin/sh {put:?}").as_bytes());
        objects::set_mode(&path, 0o755).unwrap();
        let stored = scene.store.put_file(&path, put).unwrap();
        assert!(stored.executable);
        let placed = scene.dir.path().join("deep/tool");
        for place in [Place::Copy, Place::Link] {
            scene.store.place(&stored, &placed, place).unwrap();
            assert!(content::executable(&fs::metadata(&placed).unwrap()));
        }
        let object = fs::metadata(scene.store.path(&stored.digest)).unwrap();
        assert!(!content::executable(&object), "objects are shared");
    }
}

#[test]
fn a_file_with_other_names_is_copied_so_that_nobody_can_write_to_the_object() {
    let scene = scene();
    let first = scene.file("first", b"linked");
    let second = scene.dir.path().join("second");
    fs::hard_link(&first, &second).unwrap();
    let stored = scene.store.put_file(&first, Put::Move).unwrap();
    assert!(!first.exists());
    fs::write(&second, b"changed").unwrap();
    assert!(scene.store.contains(&stored.digest));

    let target = scene.file("target", b"behind a link");
    let link = scene.dir.path().join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let stored = scene.store.put_file(&link, Put::Move).unwrap();
    assert_eq!(stored.digest, Digest::of(b"behind a link"));
    assert!(
        scene
            .store
            .path(&stored.digest)
            .symlink_metadata()
            .unwrap()
            .is_file()
    );
    assert!(target.exists() && !link.is_symlink());
}

#[test]
fn a_move_from_another_file_system_is_a_copy() {
    let scene = scene();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let path = elsewhere.path().join("file");
    fs::write(&path, b"from afar").unwrap();
    let stored = scene.store.put_file(&path, Put::Move).unwrap();
    assert!(scene.store.contains(&stored.digest) && !path.exists());
    let target = elsewhere.path().join("back");
    scene.store.place(&stored, &target, Place::Link).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"from afar");
}

#[test]
fn holes_stay_holes() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    use std::os::unix::fs::MetadataExt as _;
    let scene = scene();
    let path = scene.file("disk.raw", b"head");
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(5 << 20)).unwrap();
    file.write_all(b"middle").unwrap();
    file.set_len(64 << 20).unwrap();
    drop(file);
    let whole = fs::read(&path).unwrap();
    let stored = scene.store.put_file(&path, Put::Copy).unwrap();
    assert_eq!(stored.digest, Digest::of(&whole));
    let object = scene.store.path(&stored.digest);
    assert_eq!(fs::read(&object).unwrap(), whole);
    let placed = scene.dir.path().join("placed");
    scene.store.place(&stored, &placed, Place::Copy).unwrap();
    assert_eq!(fs::read(&placed).unwrap(), whole);
    for path in [object, placed] {
        let blocks = fs::metadata(&path).unwrap().blocks();
        assert!(
            blocks * 512 < 4 << 20,
            "{} uses {blocks} blocks",
            path.display()
        );
    }
}

#[test]
fn objects_are_shown_at_paths() {
    let scene = scene();
    let stored = scene.store.put_bytes(b"content").unwrap();
    let target = scene.file("target", b"old");
    scene.store.place(&stored, &target, Place::Copy).unwrap();
    fs::write(&target, b"a user's change").unwrap();
    assert!(scene.store.contains(&stored.digest));
    for _ in 0..2 {
        scene.store.place(&stored, &target, Place::Link).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");
        assert!(fs::metadata(&target).unwrap().permissions().readonly());
    }
    let here = fs::read_dir(scene.dir.path()).unwrap().count();
    assert_eq!(here, 2, "the cache and the target, no temporary file");

    scene.overwrite(&stored.digest, b"x");
    let error = scene
        .store
        .place(&stored, &target, Place::Copy)
        .unwrap_err();
    assert!(error.to_string().ends_with("is damaged"), "{error}");
    let gone = StoredFile {
        digest: Digest::of(b"?"),
        ..stored
    };
    let error = scene.store.place(&gone, &target, Place::Copy).unwrap_err();
    assert!(error.to_string().ends_with("is missing"), "{error}");
    assert_eq!(error.help().unwrap(), "run the stage again, with `--force`");
}

#[test]
fn staging_vanishes() {
    let scene = scene();
    let staging = scene.store.staging().unwrap();
    let other = scene.store.staging().unwrap();
    assert_ne!(staging.path(), other.path());
    fs::create_dir(staging.path().join("deep")).unwrap();
    fs::write(staging.as_ref().join("deep/file"), b"x").unwrap();
    let path = staging.path().to_owned();
    drop(staging);
    assert!(!path.exists() && other.path().exists());
}

#[test]
fn many_threads_and_stores_put_the_same_at_once() {
    let scene = scene();
    let contents: Vec<String> = (0..20)
        .map(|i| format!("content {i}").repeat(5000))
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (scene, contents) = (&scene, &contents);
            scope.spawn(move || {
                // two of them as another process would
                let own = (thread % 2 == 1).then(|| Store::open(scene.store.root()).unwrap());
                let store = own.as_ref().unwrap_or(&scene.store);
                for (i, content) in contents.iter().enumerate() {
                    let path = scene.file(&format!("{thread}-{i}"), content.as_bytes());
                    let put = if i % 2 == 0 { Put::Move } else { Put::Copy };
                    let stored = store.put_file(&path, put).unwrap();
                    assert_eq!(stored.digest, Digest::of(content.as_bytes()));
                    assert!(store.contains(&stored.digest));
                }
            });
        }
    });
    assert_eq!(scene.store.list().unwrap().len(), contents.len());
    let report = scene.store.verify(&|_, _| {}).unwrap();
    assert_eq!((report.objects, report.corrupt.len()), (20, 0));
    assert_eq!(count(&scene.store.root().join("staging")), 0);
}
