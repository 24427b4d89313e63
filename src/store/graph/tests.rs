//! Graphs that are written and read again, and bytes that are none.

use proptest::prelude::*;

use super::format::{self, Numbers};
use super::*;
use crate::plan::Facts;
use crate::store::db::{Db, Stamp};

fn head() -> Head {
    Head {
        generation: 3,
        used: 5,
        project: "p".into(),
        version: "1".into(),
        targets: vec!["all".into()],
        resources: Resources::default(),
        pools: BTreeMap::new(),
        unsure: false,
        warnings: String::new(),
        asked: Vec::new(),
        inputs: Vec::new(),
    }
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let list = || proptest::collection::vec(any::<u32>(), 0..5);
    let parts = (
        any::<bool>(),
        list(),
        list(),
        list(),
        0..9_usize,
        0..9_usize,
    );
    parts.prop_map(
        |(unsure, needs, places, inputs, settings, artifact)| Numbers {
            unsure,
            needs,
            places,
            inputs,
            settings,
            artifact,
        },
    )
}

proptest! {
    #[test]
    fn numbers_come_back(all in proptest::collection::vec(numbers(), 0..6)) {
        let mut bytes = Vec::new();
        all.iter().for_each(|numbers| numbers.encode(&mut bytes));
        prop_assert_eq!(Numbers::decode_all(&bytes), Some(all));
    }

    /// Whatever stands in the file: nothing but a graph or none comes of it.
    #[test]
    fn bytes_are_a_graph_or_none(
        cut in prop_oneof![9 => Just(0), 1 => 0..400_usize],
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, value) in flips {
            *at.get_mut(&mut bytes) = value;
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        if let Some(mut graph) = KeptGraph::open(&path) {
            let checked = graph.check(dir.path(), dir.path()).unwrap_or_default();
            let _ = graph.draw(&checked, &[0]);
            let _ = graph.sketch().map(|sketch| sketch.save(&path));
        }
    }
}

/// A graph of two stages, one of which needs the other, in a project in `dir`.
fn written(dir: &std::path::Path) -> std::path::PathBuf {
    let db = Db::open(&dir.join("forge.db")).unwrap();
    std::fs::write(dir.join("in"), "x").unwrap();
    let stage = |name: &str, inputs: &[&str], needs: &[&str]| {
        let key = |name: &str| StageKey {
            name: Name::parse(name).unwrap(),
            axes: BTreeMap::new(),
        };
        let mut stage = Stage {
            key: key(name),
            needs: needs.iter().map(|n| key(n)).collect(),
            from: None,
            ..crate::plan::sample_command()
        };
        if let StageKind::Command(command) = &mut stage.kind {
            command.inputs = inputs
                .iter()
                .map(|i| Input::Path((*i).to_owned()))
                .collect();
            command.discovers = None;
            command.outputs.clear();
        }
        stage
    };
    let stages = [stage("a", &["in"], &[]), stage("b", &[], &["a"])];
    let keys: Vec<StageKey> = stages.iter().map(|stage| stage.key.clone()).collect();
    let inputs = [Input::Path("in".into())];
    let stat = db.stat_cache();
    let facts = Facts {
        files: crate::store::facts(dir, &inputs, &stat),
        ..Facts::default()
    };
    let mut sketch = Sketch::new(head(), &keys);
    for stage in &stages {
        let settled = Settled {
            stage,
            artifact: &Artifact::default(),
            sure: true,
        };
        sketch.put(dir, &settled, &facts, &stat).unwrap();
    }
    let path = dir.join("graph");
    sketch.save(&path).unwrap();
    path
}

#[test]
fn what_has_changed_and_what_needs_it_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let mut graph = KeptGraph::open(&path).unwrap();
    assert_eq!(graph.head, head());
    let names = |keys: Vec<StageKey>| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(graph.keys().unwrap()), ["a", "b"]);
    let checked = graph.check(dir.path(), dir.path()).unwrap();
    assert_eq!(checked.changed, Vec::<usize>::new());
    let drawn = graph.draw(&checked, &[]).unwrap();
    assert_eq!(names(drawn.untouched), ["a", "b"]);

    std::fs::write(dir.path().join("in"), "y").unwrap();
    let checked = graph.check(dir.path(), dir.path()).unwrap();
    let drawn = graph.draw(&checked, &[]).unwrap();
    let keys = drawn.stages.iter().map(|stage| stage.key.clone()).collect();
    assert_eq!(names(keys), ["a", "b"]);
    std::fs::remove_file(dir.path().join("in")).unwrap();
    assert_eq!(graph.check(dir.path(), dir.path()), Err(Change::Gone));
    // a graph that was sketched again is the same
    let before = std::fs::read(&path).unwrap();
    graph.sketch().unwrap().save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    graph.save().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn places_come_back() {
    let stamp = Stamp {
        size: 1,
        mtime: -2,
        ctime: i64::MAX,
        inode: 4,
        mode: 0o100_755,
    };
    let digest = Digest::of(b"x");
    for was in [
        Was::File {
            stamp,
            trusted: true,
            digest,
        },
        Was::File {
            stamp,
            trusted: false,
            digest,
        },
        Was::Tree { digest, size: 9 },
        Was::Missing,
    ] {
        let row = format::encode(1, 3, 2, &was);
        let decoded = format::decode(&row, b"xa/by");
        assert_eq!(decoded, Some(("a/b", Role::Output, was)));
    }
}
