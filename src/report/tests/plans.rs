use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::{
    Artifact, Command, CommandLine, Digest, Origin, Project, Resources, Stage, StageKind, Text,
};
use crate::plan::{
    Graph, How, Ingredients, KeptSteps, Plan, PlanStep, Reason, Record, StepDecision, Why,
};

use super::super::{
    Explanation, GraphView, Paint, explain_json, explain_text, plan_json, plan_text,
};
use super::stage;

fn ingredients(parts: &[(&str, &str)]) -> Ingredients {
    let map: BTreeMap<&str, &str> = parts.iter().copied().collect();
    serde_json::from_value(serde_json::to_value(map).unwrap()).unwrap()
}

fn record(name: &str, parts: &[(&str, &str)]) -> Record {
    let ingredients = ingredients(parts);
    Record {
        stage: stage(name),
        fingerprint: ingredients.fingerprint(),
        ingredients,
        artifact: Artifact::default(),
        started: 1_795_491_696,
        duration_ms: 34_600,
        run: "20261124-034136-7f3a".into(),
        log: None,
    }
}

fn planned(name: &str, decision: StepDecision, expected: Option<u64>) -> PlanStep {
    PlanStep {
        key: stage(name),
        decision,
        expected: expected.map(Duration::from_millis),
        kept: None,
    }
}

pub(super) fn plan() -> Plan {
    let fresh = |name| {
        planned(
            name,
            StepDecision::Fresh(Box::new(record(name, &[]))),
            Some(52_000),
        )
    };
    let reasons = vec![
        Reason::File("scripts/install.sh".into(), How::Changed),
        Reason::Setting("memory".into(), Some("2GiB".into()), Some("4GiB".into())),
    ];
    let pending = |upstream, reasons| StepDecision::Pending {
        upstreams: vec![stage(upstream)],
        reasons,
    };
    Plan {
        steps: vec![
            fresh("test-iso"),
            fresh("iso-base[os=mini]"),
            PlanStep {
                kept: Some(KeptSteps {
                    done: 2,
                    all: 6,
                    changed: Some((3, reasons[..1].to_vec())),
                    unfit: None,
                }),
                ..planned(
                    "provision[os=mini]",
                    StepDecision::Stale { reasons },
                    Some(34_600),
                )
            },
            planned(
                "export[os=mini]",
                pending("provision[os=mini]", Vec::new()),
                Some(4_000),
            ),
            planned(
                "verify[os=mini]",
                pending("export[os=mini]", vec![Reason::NeverBuilt]),
                None,
            ),
        ],
        expected: None,
    }
}

#[test]
fn a_plan_says_what_runs_and_why() {
    insta::assert_snapshot!(plan_text(&plan(), Paint::plain()), @r"
    fresh    test-iso
    fresh    iso-base[os=mini]
    run      provision[os=mini]  2 of 6 steps cached, from step 3: scripts/install.sh changed  ~35s
                                 memory 2GiB → 4GiB
    pending  export[os=mini]     upstream provision[os=mini] will run                          ~4s
    run      verify[os=mini]     never built
                                 upstream export[os=mini] will run

    2 stages will run, 1 may run, 2 up to date; expected: ~39s, and 1 stage for the first time
    ");
}

#[test]
fn a_plan_for_programs() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan_json(&plan())).unwrap());
}

#[test]
fn plans_count_what_they_have() {
    let mut plan = plan();
    plan.steps.truncate(3);
    assert!(
        plan_text(&plan, Paint::plain())
            .ends_with("\n\n1 stage will run, 2 up to date; expected: ~35s\n")
    );
    plan.steps[2].expected = None;
    assert!(plan_text(&plan, Paint::plain()).ends_with("\n\n1 stage will run, 2 up to date\n"));
    plan.steps.truncate(2);
    assert!(
        plan_text(&plan, Paint::plain()).ends_with("\n\nnothing to do: 2 stages are up to date\n")
    );
}

fn command(name: &str, needs: &[&str]) -> Stage {
    Stage {
        key: stage(name),
        origin: Origin {
            file: "builds.toml".into(),
            line: 63,
        },
        kind: StageKind::Command(Command {
            run: CommandLine::Shell(Text::from("true")),
            inputs: Vec::new(),
            outputs: BTreeMap::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            dir: None,
            discovers: None,
            always: false,
        }),
        from: None,
        needs: needs.iter().map(|need| stage(need)).collect(),
        timeout: None,
        retries: 0,
        pool: None,
    }
}

#[test]
fn an_explanation_marks_what_is_different() {
    let digest = Digest::of(b"x").hex();
    let old = record(
        "a",
        &[
            ("kind", "command/1"),
            ("file:gone", &digest),
            ("memory", "2GiB"),
            ("run", "make"),
        ],
    );
    let now = ingredients(&[
        ("kind", "command/1"),
        ("file:new", &digest),
        ("memory", "4GiB"),
        ("run", "make"),
    ]);
    let decision = StepDecision::Stale {
        reasons: now.diff(&old.ingredients),
    };
    let stage_a = command("a", &[]);
    let explanation = Explanation {
        stage: &stage_a,
        decision: &decision,
        ingredients: &now,
        last: Some(&old),
        why: &Why::default(),
    };
    insta::assert_snapshot!(
        "stale",
        explain_text(&explanation, &TimeZone::UTC, Paint::plain())
    );
    insta::assert_snapshot!(
        "stale_json",
        serde_json::to_string_pretty(&explain_json(&explanation)).unwrap()
    );
}

#[test]
fn an_explanation_says_when_all_is_well_and_when_it_cannot_know() {
    let old = record("a", &[("kind", "command/1"), ("memory", "2GiB")]);
    let stage_a = command("a", &[]);
    let long = "long ".repeat(30);
    let now = ingredients(&[("run", &long)]);
    let decision = StepDecision::Pending {
        upstreams: vec![stage("b")],
        reasons: Vec::new(),
    };
    let explanation = Explanation {
        stage: &stage_a,
        decision: &decision,
        ingredients: &now,
        last: None,
        why: &Why::default(),
    };
    insta::assert_snapshot!(
        "pending",
        explain_text(&explanation, &TimeZone::UTC, Paint::plain())
    );
    let decision = StepDecision::Fresh(Box::new(old.clone()));
    let explanation = Explanation {
        decision: &decision,
        ingredients: &old.ingredients,
        last: Some(&old),
        why: &Why::default(),
        ..explanation
    };
    insta::assert_snapshot!(
        "fresh",
        explain_text(&explanation, &TimeZone::UTC, Paint::plain())
    );
}

#[test]
fn graphs_have_three_forms() {
    let stages = vec![
        command("iso", &[]),
        command("base[os=mini]", &["iso"]),
        command("clone[os=mini]", &["base[os=mini]"]),
        command("ova[os=mini]", &["clone[os=mini]", "iso"]),
        command("test[os=mini]", &["clone[os=mini]", "ova[os=mini]"]),
        command("other", &[]),
    ];
    let project = Project {
        root: "/project".into(),
        name: "x".into(),
        version: "1".into(),
        axes: Vec::new(),
        stages,
        targets: BTreeMap::new(),
        default: Vec::new(),
        providers: BTreeMap::new(),
        resources: Resources::default(),
        pools: BTreeMap::new(),
    };
    let graph = Graph::new(&project).unwrap();
    let view = GraphView::new(&project, &graph, &graph.order());
    insta::assert_snapshot!(view.text(Paint::plain()), @r"
    other  command
    test[os=mini]  command
    ├─ clone[os=mini]  command
    │  └─ base[os=mini]  command
    │     └─ iso  command
    └─ ova[os=mini]  command
       ├─ iso  command
       └─ clone[os=mini]  command …
    ");
    insta::assert_snapshot!("dot", view.dot());
    insta::assert_snapshot!("mermaid", view.mermaid());
}
