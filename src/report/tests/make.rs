//! Runs of many commands: their output in one piece, their trace, their picture, the causes of their running.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Event, Outcome, RunSummary, Sink};
use crate::plan::{Cause, Change, How, PlanStep, Reason, StepDecision, Why};

use super::super::svg::{SvgNode, svg};
use super::super::{Ordered, Paint, Plain, Trace, Verbosity, why_json, why_text};
use super::story::{done, failure, finished, log, run_started, started, step};
use super::{Paper, stage};

/// Three commands at one time, and a machine; the second one fails.
fn together() -> Vec<Event> {
    vec![
        run_started(4),
        started("cmd-a", &["never built"], None, 1),
        started("cmd-b", &["never built"], None, 1),
        started("cmd-c", &["never built"], None, 1),
        started("vm", &["never built"], None, 1),
        step("cmd-a", "make a"),
        log("cmd-a", "a 1"),
        log("cmd-b", "b 1"),
        log("cmd-c", "c 1"),
        log("vm", "vm 1"),
        log("cmd-a", "a 2"),
        log("cmd-b", "b 2"),
        finished("cmd-b", Outcome::Failed(failure()), 1.0),
        log("cmd-c", "c 2"),
        log("cmd-a", "a 3"),
        finished("cmd-a", done(), 2.0),
        log("cmd-c", "c 3"),
        finished("cmd-c", Outcome::Cancelled, 3.0),
        finished("vm", done(), 4.0),
        Event::RunFinished(RunSummary::default()),
    ]
}

#[test]
fn the_output_of_commands_comes_in_one_piece() {
    let paper = Paper::default();
    let plain = Plain::new(Box::new(paper.clone()), Paint::plain(), Verbosity::Normal);
    let sink = Ordered::new(Arc::new(plain));
    together().into_iter().for_each(|event| sink.event(event));
    let text = paper.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" | ")).collect();
    let output: Vec<&str> = lines
        .into_iter()
        .filter(|line| !line.contains("--"))
        .collect();
    assert_eq!(
        output,
        [
            "cmd-a | a 1",
            "vm | vm 1",
            "cmd-a | a 2",
            // it failed: this is shown at once
            "cmd-b | b 1",
            "cmd-b | b 2",
            "cmd-a | a 3",
            "cmd-c | c 1",
            "cmd-c | c 2",
            "cmd-c | c 3",
        ]
    );
    let at = |what: &str| text.find(what).unwrap();
    assert!(at("cmd-b | b 2") < at("cmd-b | -- failed"), "{text}");
}

#[test]
fn what_is_held_back_comes_when_the_run_ends() {
    let paper = Paper::default();
    let plain = Plain::new(Box::new(paper.clone()), Paint::plain(), Verbosity::Normal);
    let sink = Ordered::new(Arc::new(plain));
    let mut events = together();
    events.truncate(12);
    events.push(Event::RunFinished(RunSummary::default()));
    events.into_iter().for_each(|event| sink.event(event));
    for line in ["a 2", "b 1", "b 2", "c 1"] {
        assert!(paper.text().contains(line), "{line}");
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn event(&self, _event: Event) {}
}

fn trace(events: Vec<Event>) -> String {
    let paper = Paper::default();
    // a second passes with every event
    let time = std::sync::atomic::AtomicU64::new(0);
    let clock =
        move || Duration::from_secs(time.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let sink = Trace::new(Arc::new(Nowhere), Box::new(paper.clone()), Box::new(clock));
    events.into_iter().for_each(|event| sink.event(event));
    paper.text()
}

#[test]
fn a_trace_has_a_slice_for_each_stage_with_its_steps_inside() {
    insta::assert_snapshot!(trace(together()));
}

#[test]
fn every_slice_of_a_trace_ends_and_no_lane_has_two_at_a_time() {
    for events in [together(), super::story::good(), super::story::bad()] {
        let events: Vec<serde_json::Value> = serde_json::from_str(&trace(events)).unwrap();
        let mut depth = std::collections::BTreeMap::new();
        for event in &events {
            let lane = event["tid"].as_u64();
            let depth: &mut i32 = depth.entry(lane).or_default();
            match event["ph"].as_str().unwrap() {
                "B" if event["cat"] == "step" => *depth += 10,
                "B" => *depth += 1,
                "E" if *depth > 9 => *depth -= 10,
                "E" => *depth -= 1,
                _ => continue,
            }
            assert!([0, 1, 11].contains(depth), "{event}");
        }
        assert!(depth.values().all(|depth| *depth == 0), "{depth:?}");
    }
}

#[test]
fn a_graph_as_a_picture() {
    let node = |label: &str, kind, needs: &[usize]| SvgNode {
        label: label.to_owned(),
        kind,
        needs: needs.to_vec(),
    };
    insta::assert_snapshot!(svg(&[
        node("iso", "command", &[]),
        node("base[os=<mini>]", "iso-base", &[0]),
        node("ova", "pack-ova", &[0, 1]),
    ]));
}

#[test]
fn why_a_stage_runs() {
    let change = |name: &str, before: Option<&str>, now: Option<&str>| Change {
        name: name.to_owned(),
        before: before.map(str::to_owned),
        now: now.map(str::to_owned),
    };
    let path = |names: &[&str]| names.iter().map(|name| stage(name)).collect::<Vec<_>>();
    let why = Why {
        causes: vec![
            Cause {
                path: path(&["app", "link", "a"]),
                reasons: vec![Reason::File("src/a.c".into(), How::Changed)],
                changes: vec![
                    change("file:src/a.c", Some(&"0".repeat(64)), Some(&"1".repeat(64))),
                    change("env B", None, Some("x")),
                    change("env C", Some("y"), None),
                ],
                run: None,
            },
            Cause {
                path: path(&["app", "b", "c", "d", "e", "f", "g", "h"]),
                reasons: Vec::new(),
                changes: Vec::new(),
                run: Some("20261127-130038-1497".into()),
            },
            Cause {
                path: path(&["app"]),
                reasons: vec![Reason::Forced],
                changes: (0..12)
                    .map(|i| change(&format!("env {i}"), Some("a"), Some("b")))
                    .collect(),
                run: None,
            },
        ],
        more: 2,
    };
    let step = PlanStep {
        key: stage("app"),
        decision: StepDecision::Pending {
            upstreams: path(&["link"]),
            reasons: Vec::new(),
        },
        expected: None,
        kept: None,
    };
    insta::assert_snapshot!(why_text(&step, &why, Paint::plain()));
    let json = why_json(&step, &why);
    insta::assert_snapshot!(
        "why_json",
        serde_json::to_string_pretty(&json["causes"][0]).unwrap()
    );
}
