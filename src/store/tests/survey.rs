//! Files on disk as the planner sees them.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::model::Input;
use crate::plan::{FileFact, FileFacts, FileKind};

struct Tree {
    dir: tempfile::TempDir,
    db: Db,
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let db = Db::open(&dir.path().join(".forge/forge.db")).unwrap();
    Tree { dir, db }
}

impl Tree {
    fn look(&self, input: &Input) -> FileFacts {
        let stat = self.db.stat_cache();
        let mut facts = facts(self.dir.path(), &[input.clone(), input.clone()], &stat);
        assert_eq!(facts.len(), 1);
        facts.remove(input).unwrap()
    }

    fn found(&self, input: &Input) -> Vec<FileFact> {
        match self.look(input) {
            FileFacts::Found(files) => files,
            other => panic!("{input:?}: {other:?}"),
        }
    }

    fn paths(&self, input: &Input) -> Vec<String> {
        self.found(input)
            .into_iter()
            .map(|fact| fact.path)
            .collect()
    }
}

fn path(text: &str) -> Input {
    Input::Path(text.into())
}

fn glob(text: &str) -> Input {
    Input::Glob(text.into())
}

#[test]
fn files_trees_and_globs_are_found_sorted() {
    let tree = tree(&[
        ("scripts/b.sh", "b"),
        ("scripts/a.sh", "a"),
        ("scripts/deep/c.sh", "c"),
        ("scripts/deep/d.txt", "d"),
        ("other", "o"),
    ]);
    let scripts = [
        "scripts/a.sh",
        "scripts/b.sh",
        "scripts/deep/c.sh",
        "scripts/deep/d.txt",
    ];
    assert_eq!(tree.paths(&path("scripts")), scripts);
    assert_eq!(tree.paths(&path("./scripts/")), scripts);
    assert_eq!(tree.paths(&glob("scripts/**")), scripts);
    assert_eq!(tree.paths(&glob("./scripts/*.sh")), &scripts[..2]);
    assert_eq!(
        tree.paths(&glob("**/*.sh")),
        ["scripts/a.sh", "scripts/b.sh", "scripts/deep/c.sh"]
    );
    assert_eq!(tree.paths(&glob("scripts/deep/{c,d}.*")), &scripts[2..]);
    assert_eq!(tree.paths(&glob("nowhere/**")), Vec::<String>::new());
    assert_eq!(
        tree.found(&path("other")),
        [FileFact {
            path: "other".into(),
            digest: Digest::of(b"o"),
            kind: FileKind::File
        }]
    );
    assert_eq!(tree.found(&path("scripts"))[2].digest, Digest::of(b"c"));
}

#[test]
fn what_forge_and_git_write_is_left_out() {
    let tree = tree(&[
        ("a", ""),
        (".git/config", ""),
        ("sub/.git/config", ""),
        ("sub/output/x", ""),
        ("output/old.ova", ""),
        (".hidden", ""),
    ]);
    assert_eq!(tree.paths(&path(".")), [".hidden", "a", "sub/output/x"]);
    assert_eq!(tree.paths(&glob("**")), [".hidden", "a", "sub/output/x"]);
    assert_eq!(tree.paths(&path("output")), ["output/old.ova"]);
    assert_eq!(tree.paths(&path("output/old.ova")), ["output/old.ova"]);
}

#[test]
fn modes_links_and_empty_directories_count() {
    let tree = tree(&[("t/tool", "x"), ("behind", "one"), ("d/in", "")]);
    let at = |name: &str| tree.dir.path().join(name);
    fs::set_permissions(at("t/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(at("t/empty")).unwrap();
    symlink("../behind", at("t/link")).unwrap();
    symlink("nowhere", at("t/dangling")).unwrap();
    symlink("..", at("t/loop")).unwrap();
    let kinds = |facts: &[FileFact]| -> Vec<(String, FileKind)> {
        facts.iter().map(|f| (f.path.clone(), f.kind)).collect()
    };
    let before = tree.found(&path("t"));
    assert_eq!(
        kinds(&before),
        [
            ("t/dangling".to_owned(), FileKind::Link),
            ("t/empty".to_owned(), FileKind::EmptyDir),
            ("t/link".to_owned(), FileKind::Link),
            ("t/loop".to_owned(), FileKind::Link),
            ("t/tool".to_owned(), FileKind::Executable),
        ]
    );
    // what is behind a link counts, and so does where it leads
    fs::write(at("behind"), "two").unwrap();
    let after = tree.found(&path("t"));
    assert_ne!(before[2], after[2]);
    assert_eq!(before[0], after[0]);
    fs::remove_file(at("t/dangling")).unwrap();
    symlink("elsewhere", at("t/dangling")).unwrap();
    assert_ne!(tree.found(&path("t"))[0], after[0]);

    symlink("d", at("dirlink")).unwrap();
    assert_eq!(tree.paths(&path("dirlink")), ["dirlink/in"]);
    assert_eq!(
        kinds(&tree.found(&path("t/link"))),
        [("t/link".to_owned(), FileKind::Link)]
    );
}

#[test]
fn what_is_missing_or_cannot_be_read_is_said() {
    let tree = tree(&[("a", "")]);
    assert_eq!(tree.look(&path("nothing")), FileFacts::Missing);
    assert_eq!(
        tree.look(&path("a/b")),
        FileFacts::Unreadable("a/b: Not a directory (os error 20)".into())
    );
    let socket = std::os::unix::net::UnixListener::bind(tree.dir.path().join("s")).unwrap();
    let odd = FileFacts::Unreadable("s: neither a file nor a directory".into());
    assert_eq!(tree.look(&path("s")), odd);
    drop(socket);
    let FileFacts::Unreadable(why) = tree.look(&glob("a/[")) else {
        panic!("a broken glob was taken")
    };
    assert!(why.contains("unclosed character class"), "{why}");
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    fs::create_dir(tree.dir.path().join("odd")).unwrap();
    fs::write(tree.dir.path().join("odd").join(name), "").unwrap();
    let FileFacts::Unreadable(why) = tree.look(&path("odd")) else {
        panic!("a name that is no text was taken")
    };
    assert!(why.ends_with("the name is not UTF-8"), "{why}");
}

#[test]
fn many_files_are_read_by_two_threads_and_known_afterwards() {
    let names: Vec<String> = (0..300).map(|i| format!("many/{i:03}")).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), name.as_str()))
        .collect();
    let tree = tree(&files);
    let found = tree.found(&path("many"));
    assert_eq!(found.len(), 300);
    for (fact, name) in found.iter().zip(&names) {
        assert_eq!(
            (&fact.path, fact.digest),
            (name, Digest::of(name.as_bytes()))
        );
    }
    assert_eq!(tree.found(&path("many")), found);
}
