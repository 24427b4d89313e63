//! Random projects, random changes and interruptions, against a reference that builds everything anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use crate::model::{
    Artifact, Command, CommandLine, Digest, Discovery, Input, MachineState, Name, Origin, Project,
    Resources, Stage, StageKey, StageKind,
};
use crate::plan::{Facts, FileFact, FileFacts, FileKind, inputs_of, sample_hardware};
use crate::store::{Db, Store};
use crate::sys::{Cancel, CancelKind};

const FILES: usize = 4;

/// How a stage's artifact depends on what it is made from.
#[derive(Clone, Copy, Debug)]
enum Nature {
    /// Every change shows.
    Exact,
    /// Half of the changes do not show.
    Coarse,
    /// None shows.
    Constant,
}

#[derive(Clone, Debug)]
struct Node {
    /// Which of the stages before it it needs, by bit.
    needs: u8,
    /// Which of the files it declares, by bit. A file's content says which other file it includes, and the stage tells
    /// that it has read it.
    reads: u8,
    nature: Nature,
    run: u8,
    pool: bool,
}

#[derive(Clone, Debug)]
enum Edit {
    Write { file: usize, content: u8 },
    Run { node: usize, run: u8 },
    Needs { node: usize, needs: u8 },
    Reads { node: usize, reads: u8 },
}

#[derive(Clone, Debug)]
struct World {
    nodes: Vec<Node>,
    files: [u8; FILES],
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn key(node: usize) -> StageKey {
    StageKey {
        name: name(&format!("s{node}")),
        axes: BTreeMap::new(),
    }
}

fn number(key: &StageKey) -> usize {
    key.name.as_str()[1..].parse().unwrap()
}

fn bits(mask: u8, below: usize) -> impl Iterator<Item = usize> {
    (0..below.min(8)).filter(move |i| mask >> i & 1 == 1)
}

fn file(number: usize) -> Input {
    Input::Path(format!("f{number}"))
}

impl World {
    fn stage(&self, number: usize) -> Stage {
        let node = &self.nodes[number];
        let command = Command {
            run: CommandLine::Shell(format!("stage {number} run {}", node.run).as_str().into()),
            inputs: bits(node.reads, FILES).map(file).collect(),
            discovers: Some(Discovery::Depfile("x.d".into())),
            outputs: BTreeMap::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            dir: None,
            always: false,
        };
        Stage {
            key: key(number),
            origin: Origin {
                file: "builds.toml".into(),
                line: 1,
            },
            kind: StageKind::Command(command),
            from: None,
            needs: bits(node.needs, number).map(key).collect(),
            timeout: None,
            retries: 0,
            pool: node.pool.then(|| name("one")),
        }
    }

    fn project(&self) -> Project {
        Project {
            root: "/project".into(),
            name: "x".into(),
            version: "1".into(),
            axes: Vec::new(),
            stages: (0..self.nodes.len()).map(|i| self.stage(i)).collect(),
            targets: BTreeMap::new(),
            default: Vec::new(),
            providers: BTreeMap::new(),
            resources: Resources::default(),
            pools: [(name("one"), 1)].into(),
        }
    }

    /// The files that a stage reads, declared or not.
    fn read(&self, number: usize) -> BTreeSet<usize> {
        let declared = bits(self.nodes[number].reads, FILES);
        let both = declared.flat_map(|file| [file, usize::from(self.files[file]) % FILES]);
        both.collect()
    }

    /// All that the result of a stage depends on.
    fn made_from(&self, number: usize, upstream: &dyn Fn(&StageKey) -> Digest) -> String {
        let node = &self.nodes[number];
        let read: Vec<(usize, u8)> = self
            .read(number)
            .into_iter()
            .map(|f| (f, self.files[f]))
            .collect();
        let needs = bits(node.needs, number).map(|n| (n, upstream(&key(n)).hex()));
        let declared: Vec<usize> = bits(node.reads, FILES).collect();
        format!(
            "{number} {} {declared:?} {read:?} {:?}",
            node.run,
            needs.collect::<Vec<_>>()
        )
    }

    fn artifact(&self, number: usize, made_from: &str) -> Artifact {
        let content = match self.nodes[number].nature {
            Nature::Exact => made_from.to_owned(),
            Nature::Coarse => format!(
                "{number} {}",
                Digest::of(made_from.as_bytes()).as_bytes()[0] % 2
            ),
            Nature::Constant => number.to_string(),
        };
        Artifact {
            machine: Some(MachineState {
                provider: content,
                hardware: sample_hardware(),
                disks: Vec::new(),
                nvram: None,
                remote: None,
            }),
            ..Artifact::default()
        }
    }

    fn edit(&mut self, edit: &Edit) {
        let count = self.nodes.len();
        match *edit {
            Edit::Write { file, content } => self.files[file % FILES] = content,
            Edit::Run { node, run } => self.nodes[node % count].run = run,
            Edit::Needs { node, needs } => self.nodes[node % count].needs = needs,
            Edit::Reads { node, reads } => self.nodes[node % count].reads = reads,
        }
    }

    /// What a build from scratch leaves, and which stages have to run for it.
    fn reference(
        &self,
        built: &mut HashSet<String>,
    ) -> (BTreeMap<StageKey, Digest>, BTreeSet<StageKey>) {
        let (mut left, mut ran) = (BTreeMap::<StageKey, Digest>::new(), BTreeSet::new());
        for number in 0..self.nodes.len() {
            let made_from = self.made_from(number, &|key| left[key]);
            left.insert(key(number), self.artifact(number, &made_from).digest());
            if built.insert(made_from) {
                ran.insert(key(number));
            }
        }
        (left, ran)
    }
}

/// Does the stages of a world; from the `last`-th on it is interrupted.
struct Worker {
    world: World,
    db: Arc<Db>,
    done: Mutex<Vec<(StageKey, String)>>,
    left: Mutex<BTreeMap<StageKey, Digest>>,
    last: usize,
    cancel: Cancel,
    in_pool: Mutex<u32>,
}

impl Worker {
    fn facts_of(&self, stage: &Stage, found: Vec<Vec<String>>) -> Facts {
        let mut inputs = inputs_of(stage);
        inputs.extend(found.iter().flatten().cloned().map(Input::Path));
        let fact = |input: Input| {
            let Input::Path(path) = &input else {
                panic!("{input:?}")
            };
            let number: usize = path[1..].parse().unwrap();
            let fact = FileFact {
                path: path.clone(),
                digest: Digest::of(&[self.world.files[number]]),
                kind: FileKind::File,
            };
            (input, FileFacts::Found(vec![fact]))
        };
        Facts {
            files: inputs.into_iter().map(fact).collect(),
            found: [(stage.key.clone(), found)].into(),
            ..Facts::default()
        }
    }
}

#[async_trait]
impl Executor for Worker {
    fn facts(&self, stage: &Stage) -> Result<Facts, String> {
        Ok(self.facts_of(stage, self.db.found(&stage.key)))
    }

    fn facts_after(
        &self,
        stage: &Stage,
        found: &BTreeSet<String>,
        _started: SystemTime,
    ) -> Result<(Facts, BTreeSet<String>), String> {
        let found = found.iter().cloned().collect();
        Ok((self.facts_of(stage, vec![found]), BTreeSet::new()))
    }

    fn demand(&self, _stage: &Stage) -> Demand {
        Demand::default()
    }

    async fn execute(&self, context: StageContext) -> Result<Artifact, ExecError> {
        let (stage, number) = (&context.stage, number(&context.stage.key));
        if stage.pool.is_some() {
            let mut others = self.in_pool.lock().unwrap();
            assert_eq!(*others, 0, "the pool has one place");
            *others += 1;
        }
        // others get their turn
        tokio::task::yield_now().await;
        if stage.pool.is_some() {
            *self.in_pool.lock().unwrap() -= 1;
        }
        if self.done.lock().unwrap().len() >= self.last {
            self.cancel.cancel(CancelKind::Graceful);
            return Err(ExecError::Cancelled);
        }
        let upstream = |key: &StageKey| context.upstream[key].digest();
        let made_from = self.world.made_from(number, &upstream);
        let read = self
            .world
            .read(number)
            .into_iter()
            .map(|file| format!("f{file}"));
        context.found.lock().unwrap().extend(read);
        let artifact = self.world.artifact(number, &made_from);
        self.done
            .lock()
            .unwrap()
            .push((stage.key.clone(), made_from));
        Ok(artifact)
    }

    async fn restore(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure> {
        self.left
            .lock()
            .unwrap()
            .insert(stage.key.clone(), artifact.digest());
        Ok(())
    }

    async fn publish(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure> {
        self.left
            .lock()
            .unwrap()
            .insert(stage.key.clone(), artifact.digest());
        Ok(())
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn event(&self, _event: Event) {}
}

/// Runs the world; returns what ran with what it was made from, what is left, and whether it was interrupted.
fn build(
    world: &World,
    (store, db): (&Arc<Store>, &Arc<Db>),
    dir: &Path,
    last: usize,
) -> (Vec<(StageKey, String)>, BTreeMap<StageKey, Digest>, bool) {
    let project = Arc::new(world.project());
    let cancel = Cancel::new();
    let worker = Arc::new(Worker {
        world: world.clone(),
        db: Arc::clone(db),
        done: Mutex::default(),
        left: Mutex::default(),
        last,
        cancel: cancel.clone(),
        in_pool: Mutex::default(),
    });
    let request = RunRequest {
        untouched: Untouched::default(),
        expected: None,
        stages: (0..world.nodes.len()).map(key).collect(),
        project,
        targets: Vec::new(),
        forced: BTreeSet::new(),
        limits: Limits {
            jobs: 3,
            machines: 1,
            memory: 1,
        },
        fail_fast: false,
        run_id: "r".into(),
        logs: dir.join("logs"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(run(
        request,
        Arc::clone(&worker) as Arc<dyn Executor>,
        (Arc::clone(store), Arc::clone(db)),
        Arc::new(Nowhere),
        Arc::new(str::to_owned),
        cancel,
    ));
    let summary = ended.summary;
    assert_eq!(summary.failed.len(), 0, "{:?}", summary.failed);
    let done = std::mem::take(&mut *worker.done.lock().unwrap());
    let left = std::mem::take(&mut *worker.left.lock().unwrap());
    (done, left, summary.interrupted)
}

fn nodes() -> impl Strategy<Value = Node> {
    let nature = prop_oneof![
        Just(Nature::Exact),
        Just(Nature::Coarse),
        Just(Nature::Constant)
    ];
    let parts = (any::<u8>(), any::<u8>(), nature, 0..3_u8, any::<bool>());
    parts.prop_map(|(needs, reads, nature, run, pool)| Node {
        needs,
        reads,
        nature,
        run,
        pool,
    })
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (0..FILES, 0..8_u8).prop_map(|(file, content)| Edit::Write { file, content }),
        1 => (0..8_usize, 0..3_u8).prop_map(|(node, run)| Edit::Run { node, run }),
        1 => (0..8_usize, any::<u8>()).prop_map(|(node, needs)| Edit::Needs { node, needs }),
        1 => (0..8_usize, any::<u8>()).prop_map(|(node, reads)| Edit::Reads { node, reads }),
    ]
}

type Rounds = Vec<(Vec<Edit>, usize)>;

/// Random stages, and rounds of changes; each round's first run is interrupted after so many stages.
fn worlds() -> impl Strategy<Value = (Vec<Node>, Rounds)> {
    let round = (vec(edits(), 0..3), 0..12_usize);
    (vec(nodes(), 1..8), vec(round, 1..6))
}

/// Whatever is changed and wherever a run is interrupted: what runs is exactly what has to, and what is left is what a
/// build from scratch gives.
fn a_run_does_what_is_needed((nodes, rounds): (Vec<Node>, Rounds)) -> Result<(), TestCaseError> {
    let dir = in_memory();
    let store = Arc::new(Store::open(&dir.path().join("cache")).unwrap());
    let db = Arc::new(Db::open(&dir.path().join("forge.db")).unwrap());
    let mut world = World {
        nodes,
        files: [0, 1, 2, 3],
    };
    let mut built = HashSet::new();
    for (edits, last) in rounds {
        edits.iter().for_each(|edit| world.edit(edit));
        let (first, _, interrupted) = build(&world, (&store, &db), dir.path(), last);
        let mut expected = built.clone();
        let (left, needed) = world.reference(&mut expected);
        prop_assert_eq!(interrupted, needed.len() > last);
        built.extend(first.iter().map(|(_, made_from)| made_from.clone()));
        // what was done before the interruption is not done again
        let (rest, now_left, interrupted) = build(&world, (&store, &db), dir.path(), usize::MAX);
        prop_assert!(!interrupted);
        prop_assert_eq!(now_left, left);
        let ran: Vec<StageKey> = first
            .iter()
            .chain(&rest)
            .map(|(key, _)| key.clone())
            .collect();
        prop_assert_eq!(ran.len(), needed.len());
        prop_assert_eq!(ran.into_iter().collect::<BTreeSet<_>>(), needed);
        built.extend(rest.into_iter().map(|(_, made_from)| made_from));
        prop_assert_eq!(&built, &expected);
    }
    Ok(())
}

/// A directory in memory, where there is such a place: there are very many cases.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A quarter of 10,000 cases each, so that all processors have something to do.
macro_rules! quarters {
    ($($name:ident)+) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(world in worlds()) {
                    a_run_does_what_is_needed(world)?;
                }
            )+
        }
    };
}

quarters! {
    an_interrupted_run_is_gone_on_with_1
    an_interrupted_run_is_gone_on_with_2
    an_interrupted_run_is_gone_on_with_3
    an_interrupted_run_is_gone_on_with_4
}
