//! The planner as a whole.

mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::samples::{self, key, name, plain, project, stage};
use super::*;
use crate::model::{
    Artifact, Axis, Digest, Input, Project, Size, Stage, StageKey, StageKind, StoredFile,
};

/// Records in memory.
#[derive(Default)]
struct Memory {
    records: Vec<Record>,
    missing: BTreeSet<Digest>,
}

impl Records for Memory {
    fn find(&self, fingerprint: &Digest) -> Option<Record> {
        let mut found = self.records.iter().rev();
        found.find(|r| r.fingerprint == *fingerprint).cloned()
    }

    fn last(&self, stage: &StageKey) -> Option<Record> {
        self.records
            .iter()
            .rev()
            .find(|r| r.stage == *stage)
            .cloned()
    }

    fn intact(&self, artifact: &Artifact) -> Result<(), String> {
        match artifact.digests().find(|d| self.missing.contains(d)) {
            Some(digest) => Err(format!("object {} is gone", digest.short())),
            None => Ok(()),
        }
    }
}

fn artifact(content: &str) -> Artifact {
    let file = StoredFile {
        digest: Digest::of(content.as_bytes()),
        size: Size::from_bytes(content.len() as u64),
        path: None,
        executable: false,
        tree: false,
    };
    Artifact {
        files: BTreeMap::from([(name("out"), file)]),
        ..Artifact::default()
    }
}

fn command(key_: &str, needs: &[&str], run: &str) -> Stage {
    stage(key_, needs, StageKind::Command(plain(run)))
}

fn reader(key_: &str, needs: &[&str], file: &str) -> Stage {
    let mut command = plain("make");
    command.inputs = vec![Input::Path(file.into())];
    stage(key_, needs, StageKind::Command(command))
}

/// Runs a plan as the engine does: what is pending is decided again. What a stage leaves is said by `outcome`.
fn run(
    project: &Project,
    facts: &Facts,
    memory: &mut Memory,
    outcome: &dyn Fn(&Stage, &Ingredients) -> Artifact,
) -> (Vec<String>, HashMap<StageKey, Artifact>) {
    let graph = Graph::new(project).unwrap();
    let plan = make(
        project,
        &graph,
        &graph.order(),
        facts,
        memory,
        &BTreeSet::new(),
    )
    .unwrap();
    let mut ran = Vec::new();
    let mut artifacts: HashMap<StageKey, Artifact> = HashMap::new();
    for step in plan.steps {
        let stage = project.stage(&step.key).unwrap();
        let upstream = |key: &StageKey| artifacts.get(key).map(Artifact::digest);
        let ingredients = ingredients(stage, facts, &upstream).unwrap();
        let made = match decide(stage, &ingredients, facts, memory, false) {
            Decision::Fresh(record) => record.artifact,
            Decision::Stale(reasons) => {
                assert!(!reasons.is_empty());
                assert!(!step.is_fresh(), "{} was said to be fresh", step.key);
                ran.push(step.key.to_string());
                let artifact = outcome(stage, &ingredients).traced(&ingredients.fingerprint());
                for digest in artifact.digests() {
                    memory.missing.remove(&digest);
                }
                memory.records.push(Record {
                    stage: step.key.clone(),
                    fingerprint: ingredients.fingerprint(),
                    ingredients,
                    artifact: artifact.clone(),
                    started: 0,
                    duration_ms: 1500,
                    run: "r".into(),
                    log: None,
                });
                artifact
            }
        };
        artifacts.insert(step.key, made);
    }
    (ran, artifacts)
}

fn shown(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| match &step.decision {
            StepDecision::Fresh(_) => format!("{}: fresh", step.key),
            StepDecision::Stale { reasons } => {
                format!("{}: {}", step.key, words(reasons).join(", "))
            }
            StepDecision::Pending { upstreams, reasons } => {
                let upstreams: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
                let own = words(reasons).join(", ");
                format!("{}: after {} [{own}]", step.key, upstreams.join(" "))
            }
        })
        .collect()
}

fn planned(project: &Project, facts: &Facts, memory: &Memory, forced: &[&str]) -> Vec<String> {
    let graph = Graph::new(project).unwrap();
    let forced = forced.iter().map(|n| name(n)).collect();
    shown(&make(project, &graph, &graph.order(), facts, memory, &forced).unwrap())
}

#[test]
fn a_plan_tells_what_runs_and_why() {
    let mut project = project(vec![
        reader("a", &[], "a.txt"),
        command("b", &["a"], "two"),
        command("c", &["b"], "three"),
        command("d", &[], "four"),
    ]);
    let mut facts = samples::facts(&project.stages);
    let mut memory = Memory::default();
    assert_eq!(
        planned(&project, &facts, &memory, &[]),
        [
            "a: never built",
            "b: after a [never built]",
            "c: after b [never built]",
            "d: never built"
        ]
    );
    let one = |_: &Stage, i: &Ingredients| artifact(&i.fingerprint().hex());
    assert_eq!(run(&project, &facts, &mut memory, &one).0.len(), 4);
    assert_eq!(
        planned(&project, &facts, &memory, &["d"]),
        ["a: fresh", "b: fresh", "c: fresh", "d: forced"]
    );

    let changed = FileFacts::Found(vec![samples::file("a.txt", "other")]);
    facts.files.insert(Input::Path("a.txt".into()), changed);
    project.stages[2] = command("c", &["b"], "3");
    assert_eq!(
        planned(&project, &facts, &memory, &[]),
        [
            "a: a.txt changed",
            "b: after a []",
            "c: after b [run three → 3]",
            "d: fresh"
        ]
    );
    memory.missing.extend(memory.records[3].artifact.digests());
    let gone = planned(&project, &facts, &memory, &[]);
    assert!(
        gone[3].starts_with("d: artifact missing: object"),
        "{gone:?}"
    );
}

#[test]
fn an_upstream_that_leaves_the_same_stops_the_wave() {
    let mut project = project(vec![
        command("a", &[], "one"),
        command("b", &["a"], "two"),
        command("c", &["b"], "three"),
    ]);
    let facts = Facts::default();
    let mut memory = Memory::default();
    let same = |stage: &Stage, _: &Ingredients| artifact(stage.key.name.as_str());
    run(&project, &facts, &mut memory, &same);
    project.stages[0] = command("a", &[], "one # with a comment");
    assert_eq!(run(&project, &facts, &mut memory, &same).0, ["a"]);
    project.stages[0] = command("a", &[], "one");
    assert_eq!(
        run(&project, &facts, &mut memory, &same).0,
        Vec::<String>::new(),
        "what was built before is found again"
    );
}

#[test]
fn always_runs_and_expected_durations() {
    let mut always = plain("date");
    always.always = true;
    let project = project(vec![
        stage("a", &[], StageKind::Command(always)),
        command("b", &["a"], "two"),
    ]);
    let facts = Facts::default();
    let mut memory = Memory::default();
    let same = |stage: &Stage, _: &Ingredients| artifact(stage.key.name.as_str());
    assert_eq!(run(&project, &facts, &mut memory, &same).0, ["a", "b"]);
    assert_eq!(run(&project, &facts, &mut memory, &same).0, ["a"]);
    let graph = Graph::new(&project).unwrap();
    let none = BTreeSet::new();
    let plan = make(&project, &graph, &graph.order(), &facts, &memory, &none).unwrap();
    assert_eq!(shown(&plan), ["a: always runs", "b: after a []"]);
    let second = Some(std::time::Duration::from_millis(1500));
    assert_eq!(
        (plan.steps[0].expected, plan.steps[1].expected),
        (second, second)
    );
    assert_eq!((plan.has_work(), plan.fresh()), (true, 0));
}

#[test]
fn missing_inputs_are_told_all_at_once_but_not_those_that_a_stage_will_write() {
    let mut writer = plain("make");
    writer.outputs = BTreeMap::from([(name("x"), "build/x".to_owned())]);
    let project = project(vec![
        stage("w", &[], StageKind::Command(writer)),
        reader("r", &["w"], "build/x"),
        reader("s", &["w"], "src/s.c"),
        reader("t", &[], "t.c"),
    ]);
    let mut facts = Facts::default();
    for file in ["build/x", "src/s.c"] {
        facts
            .files
            .insert(Input::Path(file.into()), FileFacts::Missing);
    }
    let unreadable = FileFacts::Unreadable("t.c: permission denied".into());
    facts.files.insert(Input::Path("t.c".into()), unreadable);
    let graph = Graph::new(&project).unwrap();
    let records = Memory::default();
    let none = BTreeSet::new();
    let error = make(&project, &graph, &graph.order(), &facts, &records, &none).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 inputs cannot be read:\n  stage `s` (builds.toml:7) needs `src/s.c`: does not exist\n  \
         stage `t` (builds.toml:7) needs `t.c`: t.c: permission denied"
    );
    assert_eq!(error.help(), None);
}

fn with_axes() -> Project {
    let at = |stage_: &str, needs: &[&str], os: &str| {
        let mut stage = command(stage_, needs, "x");
        stage.key.axes.insert(name("os"), os.into());
        for key in &mut stage.needs {
            key.axes.insert(name("os"), os.into());
        }
        stage
    };
    let mut project = project(vec![
        at("base", &[], "mini"),
        at("base", &[], "photon3"),
        at("ova", &["base"], "mini"),
        at("ova", &["base"], "photon3"),
        command("lint", &[], "x"),
        at("only", &[], "photon3"),
    ]);
    project.axes = vec![Axis {
        name: name("os"),
        values: vec!["mini".into(), "photon3".into()],
    }];
    project.targets = BTreeMap::from([(name("all"), vec![name("ova"), name("lint")])]);
    project.default = vec![name("ova")];
    project
}

fn select(targets: &[&str], axes: &[(&str, &str)]) -> Result<String, PlanError> {
    let project = with_axes();
    let graph = Graph::new(&project)?;
    let mut selection = Selection {
        targets: targets.iter().map(ToString::to_string).collect(),
        ..Selection::default()
    };
    for (axis, value) in axes {
        match *value {
            "*" => selection.choose_all(&project, axis)?,
            value => selection.choose(&project, axis, value)?,
        }
    }
    let keys = graph.select(&project, &selection)?;
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    Ok(keys.join(" "))
}

#[test]
fn targets_are_selected_at_axis_values() {
    for (targets, axes, selected) in [
        (&[][..], &[][..], "base[os=mini] ova[os=mini]"),
        (
            &["all"],
            &[("os", "photon3")],
            "base[os=photon3] ova[os=photon3] lint",
        ),
        (
            &["ova"],
            &[("os", "*")],
            "base[os=mini] base[os=photon3] ova[os=mini] ova[os=photon3]",
        ),
        (&["base[os=photon3]"], &[], "base[os=photon3]"),
    ] {
        assert_eq!(select(targets, axes).unwrap(), selected);
    }
}

#[test]
fn what_cannot_be_selected_is_told_with_what_could() {
    for (targets, axes, message, help) in [
        (
            "ovaa",
            &[][..],
            "unknown target `ovaa`",
            "did you mean `ova`?",
        ),
        (
            "nothing",
            &[],
            "unknown target `nothing`",
            "known: all, base, ova, lint, only",
        ),
        (
            "ova",
            &[("oss", "mini")],
            "unknown axis `oss`",
            "did you mean `os`?",
        ),
        (
            "ova",
            &[("os", "photon")],
            "axis `os` has no value `photon`",
            "did you mean `photon3`?",
        ),
        (
            "base[os=x]",
            &[],
            "axis `os` has no value `x`",
            "known: mini, photon3",
        ),
        (
            "only",
            &[],
            "stage `only` does not exist at os=mini",
            "choose another value with `--set axis=value`",
        ),
    ] {
        let error = select(&[targets], axes).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.help().as_deref(), Some(help), "{message}");
    }
}

#[test]
fn no_target_and_no_default_is_an_error() {
    let mut project = with_axes();
    project.default.clear();
    let graph = Graph::new(&project).unwrap();
    let error = graph.select(&project, &Selection::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no target given, and `builds.toml` names no `default`"
    );
    assert_eq!(error.help().unwrap(), "known: all, base, ova, lint, only");
}

#[test]
fn a_circle_is_shown_as_a_path() {
    let error = Graph::new(&project(vec![
        command("x", &["c"], "x"),
        command("b", &["a"], "x"),
        command("a", &["c"], "x"),
        command("c", &["b"], "x"),
    ]))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "stages depend on each other in a circle: `b → a → c → b`"
    );
    assert_eq!(error.help().unwrap(), "remove one of these dependencies");
    let alone = Graph::new(&project(vec![command("a", &["a"], "x")])).unwrap_err();
    assert_eq!(alone, PlanError::Cycle(vec![key("a"), key("a")]));
}

#[test]
fn a_dependency_that_does_not_exist_is_an_error() {
    let error = Graph::new(&project(vec![
        command("base", &[], "x"),
        command("b", &["bse"], "x"),
    ]))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "stage `b` needs `bse`, which does not exist"
    );
    assert_eq!(error.help().unwrap(), "did you mean `base`?");
}

#[test]
fn long_chains_and_long_circles_need_no_stack() {
    let chain = |first: &[&str]| {
        let mut stages = vec![command("s0", first, "x")];
        for i in 1..100_000 {
            stages.push(command(&format!("s{i}"), &[&format!("s{}", i - 1)], "x"));
        }
        project(stages)
    };
    let graph = Graph::new(&chain(&[])).unwrap();
    let order = graph.closure(&[key("s99999")]);
    assert_eq!((order.len(), &order[0]), (100_000, &key("s0")));
    let error = Graph::new(&chain(&["s99999"])).unwrap_err();
    assert!(matches!(&error, PlanError::Cycle(path) if path.len() == 100_001));
    assert!(error.to_string().contains("(99989 more)"), "{error}");
}

#[test]
fn the_order_is_that_of_the_file_where_needs_leave_a_choice() {
    let project = project(vec![
        command("z", &["m"], "x"),
        command("b", &[], "x"),
        command("m", &[], "x"),
        command("a", &[], "x"),
    ]);
    let graph = Graph::new(&project).unwrap();
    let order: Vec<String> = graph.order().iter().map(ToString::to_string).collect();
    assert_eq!(order, ["b", "m", "z", "a"]);
    let after: Vec<StageKey> = graph.downstream(&[key("m")]);
    assert_eq!(after, [key("m"), key("z")]);
    assert_eq!(graph.dependents(&key("m")).collect::<Vec<_>>(), [&key("z")]);
    assert_eq!(
        graph.dependencies(&key("z")).collect::<Vec<_>>(),
        [&key("m")]
    );
}
