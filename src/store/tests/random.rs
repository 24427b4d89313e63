//! Whatever projects build, forget and collect, and whoever is killed meanwhile: what is needed stays, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{DiskState, Drives, MachineState, StageKey};
use crate::plan::{Ingredients, Record, sample_hardware};

/// What happens; the numbers choose a project, a forge, a chain of layers and how far up it.
#[derive(Clone, Debug)]
enum Act {
    /// A stage is built: its layers are put, and it is recorded.
    Build(usize, usize, usize),
    /// A checkpoint takes the place of the one before.
    Checkpoint(usize, usize, usize),
    /// A stage fails, and its machine is kept.
    Fail(usize, usize, usize),
    /// A forge is killed after it put layers that it has not recorded.
    Die(usize, usize),
    /// A machine runs over the layers of a record.
    Run(usize, usize),
    /// That forge ends, or is killed.
    End(usize, bool),
    /// `forge clean`.
    Forget(usize),
    /// `forge cache gc`.
    Collect(Option<u64>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0usize..2, 0usize..3, 1usize..4).prop_map(|(p, c, n)| Act::Build(p, c, n)),
        2 => (0usize..2, 0usize..3, 1usize..4).prop_map(|(p, c, n)| Act::Checkpoint(p, c, n)),
        1 => (0usize..2, 0usize..3, 1usize..4).prop_map(|(p, c, n)| Act::Fail(p, c, n)),
        1 => (0usize..3, 1usize..4).prop_map(|(c, n)| Act::Die(c, n)),
        2 => (0usize..2, 0usize..2).prop_map(|(f, p)| Act::Run(f, p)),
        1 => (0usize..2, any::<bool>()).prop_map(|(f, killed)| Act::End(f, killed)),
        1 => (0usize..2).prop_map(Act::Forget),
        2 => proptest::option::of(0u64..60).prop_map(Act::Collect),
    ];
    proptest::collection::vec(act, 1..14)
}

struct Project {
    root: PathBuf,
    db: Db,
    record: BTreeSet<Digest>,
    checkpoint: BTreeSet<Digest>,
    failed: BTreeSet<Digest>,
}

struct World {
    dir: tempfile::TempDir,
    projects: Vec<Project>,
    forges: Vec<Option<(Store, BTreeSet<Digest>)>>,
    count: usize,
}

fn stage() -> StageKey {
    StageKey {
        name: Name::parse("a").unwrap(),
        axes: BTreeMap::new(),
    }
}

fn machine(layers: Vec<Digest>) -> MachineState {
    MachineState {
        remote: None,
        provider: "local".into(),
        hardware: sample_hardware(),
        disks: vec![DiskState { layers }],
        nvram: None,
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = |name: &str| {
            let root = dir.path().join(name);
            Project {
                db: Db::open(&root.join(".forge/forge.db")).unwrap(),
                root,
                record: BTreeSet::new(),
                checkpoint: BTreeSet::new(),
                failed: BTreeSet::new(),
            }
        };
        let world = Self {
            projects: vec![project("one"), project("two")],
            forges: vec![None, None],
            count: 0,
            dir,
        };
        let store = world.open();
        world
            .projects
            .iter()
            .for_each(|p| store.register(&p.root).unwrap());
        world
    }

    fn open(&self) -> Store {
        Store::open(&self.dir.path().join("cache")).unwrap()
    }

    /// The first layers of a chain, in the store.
    fn put(store: &Store, chain: usize, layers: usize) -> Vec<Digest> {
        let content = |layer| format!("{chain} {layer} padding").into_bytes();
        (0..layers)
            .map(|layer| store.put_bytes(&content(layer)).unwrap().digest)
            .collect()
    }

    fn act(&mut self, act: &Act) {
        self.count += 1;
        match *act {
            Act::Build(project, chain, layers) => self.build(project, chain, layers),
            Act::Checkpoint(project, chain, layers) => self.checkpoint(project, chain, layers),
            Act::Fail(project, chain, layers) => self.fail(project, chain, layers),
            Act::Die(chain, layers) => {
                let store = self.open();
                Self::put(&store, chain, layers);
                die(store);
            }
            Act::Run(forge, project) => {
                let used = self.projects[project].record.clone();
                if self.forges[forge].is_none() {
                    let store = self.open();
                    store.use_all(used.iter().copied()).unwrap();
                    self.forges[forge] = Some((store, used));
                }
            }
            Act::End(forge, killed) => match self.forges[forge].take() {
                Some((store, _)) if killed => die(store),
                _ => {}
            },
            Act::Forget(project) => {
                let store = self.open();
                let project = &mut self.projects[project];
                let old = project.db.recorded(&stage()).unwrap();
                let digests = old.iter().flat_map(|record| record.artifact.digests());
                store.doom(digests).unwrap();
                project.db.forget(&stage()).unwrap();
                project.record.clear();
            }
            Act::Collect(quota) => {
                let age = Duration::ZERO;
                self.open().gc(Limits { age, quota }, false).unwrap();
                self.projects.iter_mut().for_each(|p| p.checkpoint.clear());
                assert_eq!(self.present(), self.needed(), "nothing else is left");
            }
        }
    }

    fn fingerprint(&self) -> Digest {
        Digest::of(&self.count.to_le_bytes())
    }

    fn build(&mut self, project: usize, chain: usize, layers: usize) {
        let store = self.open();
        let layers = Self::put(&store, chain, layers);
        let fingerprint = self.fingerprint();
        let project = &mut self.projects[project];
        project.record = layers.iter().copied().collect();
        let artifact = Artifact {
            machine: Some(machine(layers)),
            ..Artifact::default()
        };
        let record = Record {
            stage: stage(),
            fingerprint,
            ingredients: Ingredients::default(),
            artifact,
            started: 0,
            duration_ms: 0,
            run: "r".into(),
            log: None,
        };
        project.db.commit(&record).unwrap();
    }

    fn checkpoint(&mut self, project: usize, chain: usize, layers: usize) {
        let store = self.open();
        let layers = Self::put(&store, chain, layers);
        let memory = store.put_bytes(format!("memory {}", self.count).as_bytes());
        let checkpoint = StepCheckpoint {
            step: 1,
            fingerprint: self.fingerprint(),
            identity: "q".into(),
            machine: machine(layers),
            memory: Some(memory.unwrap().digest),
            drives: Drives::default(),
            met: None,
        };
        let project = &mut self.projects[project];
        project.checkpoint = checkpoint.digests().collect();
        if let Some(old) = project.db.put_checkpoint(&stage(), &checkpoint).unwrap() {
            store.doom(old.digests()).unwrap();
        }
    }

    fn fail(&mut self, project: usize, chain: usize, layers: usize) {
        let store = self.open();
        let project = &mut self.projects[project];
        let kept = Kept::new(&project.root.join(".forge"));
        if let Some(old) = kept.get(&stage()) {
            store.doom(old.digests()).unwrap();
        }
        let layers = Self::put(&store, chain, layers);
        project.failed = layers.iter().copied().collect();
        kept.put(&stage(), &machine(layers)).unwrap();
    }

    fn present(&self) -> BTreeSet<Digest> {
        let objects = self.open().list().unwrap();
        objects.into_iter().map(|object| object.digest).collect()
    }

    fn needed(&self) -> BTreeSet<Digest> {
        let projects = self.projects.iter();
        let kept = projects.flat_map(|p| p.record.iter().chain(&p.checkpoint).chain(&p.failed));
        let running = self.forges.iter().flatten().flat_map(|(_, used)| used);
        kept.chain(running).copied().collect()
    }
}

fn die(store: Store) {
    store.journal().die();
    std::mem::forget(store);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_needed_stays_and_nothing_is_lost(acts in acts()) {
        let mut world = World::new();
        let mut in_use = false;
        for act in &acts {
            let before = world.present();
            world.act(act);
            let (present, needed) = (world.present(), world.needed());
            prop_assert!(present.is_superset(&needed), "{:?} took too much", act);
            if matches!(act, Act::Die(..)) {
                prop_assert_eq!(present, before, "what was put and not recorded is gone");
            }
            // what is given up while somebody uses it waits for a collection
            in_use |= world.forges.iter().any(Option::is_some);
        }
        for project in 0..2 {
            world.act(&Act::End(project, project == 0));
            world.act(&Act::Forget(project));
        }
        if !in_use {
            prop_assert_eq!(world.present(), world.needed());
        }
        world.act(&Act::Collect(None));
        let cache = world.dir.path().join("cache");
        prop_assert_eq!((count(&cache.join("running")), count(&cache.join("staging"))), (0, 0));
    }
}
