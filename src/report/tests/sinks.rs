use std::time::{Duration, SystemTime};

use crate::engine::{Event, RunSummary, Sink};

use super::super::summary::summary;
use super::super::{Json, Paint, Plain, Verbosity};
use super::story::{bad, good, progress, seconds, watched};
use super::{Paper, stage};

fn plain(events: Vec<Event>, paint: Paint, verbosity: Verbosity) -> String {
    let paper = Paper::default();
    let sink = Plain::new(Box::new(paper.clone()), paint, verbosity);
    events.into_iter().for_each(|event| sink.event(event));
    paper.text()
}

fn json(events: Vec<Event>) -> String {
    let paper = Paper::default();
    // a millisecond passes with every event
    let time = std::sync::atomic::AtomicU64::new(1_795_491_696_000);
    let clock = move || {
        let millis = time.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    };
    let sink = Json::new(Box::new(paper.clone()), Box::new(clock));
    events.into_iter().for_each(|event| sink.event(event));
    paper.text()
}

#[test]
fn a_good_run_in_plain_lines() {
    insta::assert_snapshot!(plain(good(), Paint::plain(), Verbosity::Normal));
}

#[test]
fn a_good_run_in_quiet_plain_lines() {
    insta::assert_snapshot!(plain(good(), Paint::plain(), Verbosity::Quiet));
}

#[test]
fn a_bad_run_in_plain_lines() {
    insta::assert_snapshot!(plain(bad(), Paint::plain(), Verbosity::Normal));
}

#[test]
fn a_bad_run_in_colour() {
    insta::assert_snapshot!(
        plain(bad(), Paint::new(true), Verbosity::Normal).replace('\u{1b}', "␛")
    );
}

#[test]
fn what_is_watched_is_told_even_when_quiet() {
    assert_eq!(
        plain(watched(), Paint::plain(), Verbosity::Quiet),
        "forge | -- watching 3 places; Ctrl-C ends\n\
         forge | -- changed: scripts/install.sh, vars/mini.toml\n"
    );
    assert_eq!(
        json(watched()),
        "{\"time\":\"2026-11-24T03:41:36.000Z\",\"event\":\"watching\",\"places\":3}\n\
         {\"time\":\"2026-11-24T03:41:36.001Z\",\"event\":\"changed\",\
         \"paths\":[\"scripts/install.sh\",\"vars/mini.toml\"]}\n"
    );
}

#[test]
fn a_good_run_in_json() {
    insta::assert_snapshot!(json(good()));
}

#[test]
fn a_bad_run_in_json() {
    insta::assert_snapshot!(json(bad()));
}

#[test]
fn json_progress_is_told_now_and_then_and_at_its_end() {
    let events = (0..=1000).map(|i| progress("a", i, Some(1000))).collect();
    let told: Vec<u64> = json(events)
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["done"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(told, [0, 500, 1000]);
}

#[test]
fn summaries_say_what_the_run_was() {
    let run = |change: &dyn Fn(&mut RunSummary)| {
        let mut run = RunSummary {
            elapsed: seconds(0.08),
            ..RunSummary::default()
        };
        change(&mut run);
        summary(&run, Paint::plain())
    };
    assert_eq!(
        run(&|run| run.cached = vec![stage("a"), stage("b")]),
        "nothing to do: 2 stages are up to date (80ms)\n"
    );
    assert_eq!(
        run(&|run| run.cached = vec![stage("a")]),
        "nothing to do: 1 stage is up to date (80ms)\n"
    );
    assert_eq!(
        run(&|run| run.interrupted = true),
        "interrupted after 80ms\n"
    );
    assert_eq!(
        run(&|run| {
            run.interrupted = true;
            run.ran = vec![(stage("a"), seconds(3.0))];
            run.blocked = vec![stage("b")];
        }),
        "interrupted after 80ms: 1 stage ran, 1 not reached\n\n  ran          a  3s\n  not reached  b\n"
    );
}
