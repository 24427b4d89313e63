//! Random projects and random changes, against a reference that builds everything anew.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// How a stage's artifact depends on its ingredients.
#[derive(Clone, Copy, Debug)]
enum Nature {
    /// Every change shows.
    Exact,
    /// Most changes do not show.
    Coarse,
    /// None shows.
    Constant,
    /// There is nothing to show.
    Empty,
}

#[derive(Clone, Debug)]
struct Node {
    /// Which of the stages before it it needs, by bit.
    needs: u8,
    /// Which of the files it reads, by bit.
    reads: u8,
    nature: Nature,
    /// Its command.
    run: u8,
}

#[derive(Clone, Debug)]
struct World {
    nodes: Vec<Node>,
    files: [u8; FILES],
}

const FILES: usize = 3;

#[derive(Clone, Debug)]
enum Edit {
    Write {
        file: usize,
        content: u8,
    },
    Run {
        node: usize,
        run: u8,
    },
    Needs {
        node: usize,
        needs: u8,
    },
    Reads {
        node: usize,
        reads: u8,
    },
    /// The artifact of a stage is lost.
    Lose {
        node: usize,
    },
}

impl World {
    fn project(&self) -> Project {
        let stage_of = |(i, node): (usize, &Node)| {
            let mut command = plain(&format!("stage {i} run {}", node.run));
            command.inputs = bits(node.reads, FILES).map(input).collect();
            let mut stage = stage(&format!("s{i}"), &[], StageKind::Command(command));
            stage.needs = bits(node.needs, i).map(|n| key(&format!("s{n}"))).collect();
            stage
        };
        let mut stages: Vec<Stage> = self.nodes.iter().enumerate().map(stage_of).collect();
        // the order of the file must not matter
        stages.reverse();
        project(stages)
    }

    fn facts(&self) -> Facts {
        let found = |file: usize| {
            let content = self.files[file].to_string();
            let fact = samples::file(&format!("f{file}"), &content);
            (input(file), FileFacts::Found(vec![fact]))
        };
        Facts {
            files: (0..FILES).map(found).collect(),
            ..Facts::default()
        }
    }

    fn edit(&mut self, edit: &Edit) {
        let count = self.nodes.len();
        match *edit {
            Edit::Write { file, content } => self.files[file % FILES] = content,
            Edit::Run { node, run } => self.nodes[node % count].run = run,
            Edit::Needs { node, needs } => self.nodes[node % count].needs = needs,
            Edit::Reads { node, reads } => self.nodes[node % count].reads = reads,
            Edit::Lose { .. } => {}
        }
    }

    fn outcome(&self, stage: &Stage, ingredients: &Ingredients) -> Artifact {
        let number: usize = stage.key.name.as_str()[1..].parse().unwrap();
        let fingerprint = ingredients.fingerprint();
        match self.nodes[number].nature {
            Nature::Exact => artifact(&fingerprint.hex()),
            Nature::Coarse => artifact(&format!("{number} {}", fingerprint.as_bytes()[0] % 2)),
            Nature::Constant => artifact(&number.to_string()),
            Nature::Empty => Artifact::default(),
        }
    }
}

fn input(file: usize) -> Input {
    Input::Path(format!("f{file}"))
}

fn bits(mask: u8, below: usize) -> impl Iterator<Item = usize> {
    (0..below.min(8)).filter(move |i| mask >> i & 1 == 1)
}

/// What a plan and a run must come to, worked out from nothing but what has been built before.
struct Reference {
    artifacts: HashMap<StageKey, Artifact>,
    stale: BTreeSet<StageKey>,
    /// Something that it needs, over any number of steps, is stale.
    downstream: BTreeSet<StageKey>,
}

fn reference(world: &World, memory: &Memory) -> Reference {
    let (project, facts) = (world.project(), world.facts());
    let mut all = Reference {
        artifacts: HashMap::new(),
        stale: BTreeSet::new(),
        downstream: BTreeSet::new(),
    };
    for number in 0..world.nodes.len() {
        let stage = project.stage(&key(&format!("s{number}"))).unwrap();
        let upstream = |key: &StageKey| all.artifacts.get(key).map(Artifact::digest);
        let ingredients = ingredients(stage, &facts, &upstream).unwrap();
        let fingerprint = ingredients.fingerprint();
        let artifact = world.outcome(stage, &ingredients).traced(&fingerprint);
        let built = memory.records.iter().any(|r| r.fingerprint == fingerprint);
        let lost = artifact.digests().any(|d| memory.missing.contains(&d));
        if stage
            .needs
            .iter()
            .any(|n| all.stale.contains(n) || all.downstream.contains(n))
        {
            all.downstream.insert(stage.key.clone());
        }
        if !built || lost {
            all.stale.insert(stage.key.clone());
        }
        all.artifacts.insert(stage.key.clone(), artifact);
    }
    all
}

fn check(world: &World, memory: &mut Memory) -> Result<(), TestCaseError> {
    let (project, facts) = (world.project(), world.facts());
    let expected = reference(world, memory);
    let graph = Graph::new(&project).unwrap();
    let none = BTreeSet::new();
    let plan = make(&project, &graph, &graph.order(), &facts, memory, &none).unwrap();
    for step in &plan.steps {
        let (stale, downstream) = (
            expected.stale.contains(&step.key),
            expected.downstream.contains(&step.key),
        );
        match &step.decision {
            StepDecision::Pending { .. } => prop_assert!(downstream, "{}", step.key),
            StepDecision::Stale { reasons } => {
                prop_assert!(stale && !downstream, "{}", step.key);
                prop_assert!(!reasons.is_empty());
            }
            StepDecision::Fresh(record) => {
                prop_assert!(!stale && !downstream, "{}", step.key);
                prop_assert_eq!(&record.artifact, &expected.artifacts[&step.key]);
            }
        }
    }
    let outcome = |stage: &Stage, ingredients: &Ingredients| world.outcome(stage, ingredients);
    let (ran, artifacts) = run(&project, &facts, memory, &outcome);
    let ran: BTreeSet<String> = ran.into_iter().collect();
    let stale: BTreeSet<String> = expected.stale.iter().map(ToString::to_string).collect();
    prop_assert_eq!(ran, stale);
    prop_assert_eq!(artifacts, expected.artifacts);
    Ok(())
}

fn nodes() -> impl Strategy<Value = Node> {
    let nature = prop_oneof![
        Just(Nature::Exact),
        Just(Nature::Coarse),
        Just(Nature::Constant),
        Just(Nature::Empty)
    ];
    (any::<u8>(), any::<u8>(), nature, 0..3_u8).prop_map(|(needs, reads, nature, run)| Node {
        needs,
        reads,
        nature,
        run,
    })
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..FILES, 0..3_u8).prop_map(|(file, content)| Edit::Write { file, content }),
        (0..8_usize, 0..3_u8).prop_map(|(node, run)| Edit::Run { node, run }),
        (0..8_usize, any::<u8>()).prop_map(|(node, needs)| Edit::Needs { node, needs }),
        (0..8_usize, any::<u8>()).prop_map(|(node, reads)| Edit::Reads { node, reads }),
        (0..8_usize).prop_map(|node| Edit::Lose { node }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What runs is exactly what has to, and what comes out is what a build from scratch gives.
    #[test]
    fn no_more_and_no_less_than_needed_runs(
        nodes in vec(nodes(), 1..8),
        edits in vec(vec(edits(), 1..3), 1..8),
    ) {
        let mut world = World { nodes, files: [0; FILES] };
        let mut memory = Memory::default();
        check(&world, &mut memory)?;
        for step in edits {
            for edit in &step {
                world.edit(edit);
                if let Edit::Lose { node } = edit {
                    let key = key(&format!("s{}", node % world.nodes.len()));
                    if let Some(last) = memory.last(&key) {
                        memory.missing.extend(last.artifact.digests());
                    }
                }
            }
            check(&world, &mut memory)?;
        }
    }
}
