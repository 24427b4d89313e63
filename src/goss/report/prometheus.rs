//! Metrics in the text format of prometheus.

use std::collections::BTreeMap;

use super::Options;
use crate::goss::{Outcome, TestResult};

/// A metric's values by their labels: name and value, in the order of names.
type Series = BTreeMap<Vec<(&'static str, String)>, u128>;

pub(super) fn metrics(groups: &[&[TestResult]], options: &Options) -> String {
    let mut outcomes = Series::new();
    let mut durations = Series::new();
    let mut overall = "unknown";
    for group in groups {
        for (number, result) in group.iter().enumerate() {
            let outcome = word(result.outcome);
            let mut labels = vec![("outcome", outcome.to_owned())];
            if options.verbose {
                labels.push(("resource_id", result.id.clone()));
            }
            labels.push(("type", result.kind.reported().to_lowercase()));
            *outcomes.entry(labels.clone()).or_default() += 1;
            *durations.entry(labels).or_default() += result.took.as_millis();
            if number == 0 || changes(overall, outcome) {
                overall = outcome;
            }
        }
    }
    let whole = vec![("outcome", overall.to_owned())];
    let run = Series::from([(whole.clone(), 1)]);
    let took = Series::from([(whole, options.took.as_millis())]);
    [
        family(
            "outcomes_duration_milliseconds",
            "The duration of tests from this run. Note; tests run concurrently.",
            &durations,
        ),
        family(
            "outcomes_total",
            "The number of test-outcomes from this run.",
            &outcomes,
        ),
        family(
            "run_duration_milliseconds",
            "The end-to-end duration of this run.",
            &took,
        ),
        family(
            "run_outcomes_total",
            "The outcomes of this run as a whole.",
            &run,
        ),
    ]
    .concat()
}

/// One metric with its words; nothing if it has no values.
fn family(name: &str, help: &str, series: &Series) -> String {
    if series.is_empty() {
        return String::new();
    }
    let mut out = format!("# HELP goss_tests_{name} {help}\n# TYPE goss_tests_{name} counter\n");
    for (labels, value) in series {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)))
            .collect();
        out.push_str(&format!(
            "goss_tests_{name}{{{}}} {value}\n",
            labels.join(",")
        ));
    }
    out
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Skip => "skip",
    }
}

/// Whether one more result changes what is said of all. (The first result of each resource always does: goss's own quirk.)
fn changes(current: &str, result: &str) -> bool {
    match current {
        "skip" => true,
        "fail" => false,
        "pass" => result != "skip",
        _ => result == "fail",
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}
