//! Formats for people, and the text of one result.

use std::time::Duration;

use super::{Counts, Options, diff};
use crate::goss::matcher::{Shown, chain};
use crate::goss::{Outcome, TestResult, Value};

/// Whether a text stands on one line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Compact,
    Long,
}

pub(super) fn sort_key(group: &[TestResult]) -> String {
    group.first().map_or_else(String::new, |first| {
        format!("{}:{}", first.kind.reported(), first.id)
    })
}

fn paint(text: &str, outcome: Outcome, color: bool) -> String {
    let code = match outcome {
        Outcome::Pass => 32,
        Outcome::Fail => 31,
        Outcome::Skip => 33,
    };
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// One result in goss's words, on one line.
#[must_use]
pub fn summary_line(result: &TestResult) -> String {
    text(result, Shape::Compact, true)
}

/// One result in goss's words.
pub(super) fn text(result: &TestResult, shape: Shape, raw: bool) -> String {
    let head = format!(
        "{}: {}: {}",
        result.kind.reported(),
        result.id,
        result.property
    );
    match result.outcome {
        Outcome::Pass => format!(
            "{head}: {}: {}",
            result.told.message,
            result.told.expected.line()
        ),
        Outcome::Skip => format!("{head}: skipped"),
        Outcome::Fail => {
            let gap = if shape == Shape::Compact { " " } else { "\n" };
            format!("{head}:{gap}{}", failure(result, shape, raw))
        }
    }
}

fn failure(result: &TestResult, shape: Shape, raw: bool) -> String {
    let compact = shape == Shape::Compact;
    let line = |text: String| if compact { text } else { indent(&text) };
    let told = &result.told;
    let mut parts: Vec<String> = Vec::new();
    match &result.error {
        Some(error) => {
            parts.push("Error".into());
            parts.push(if compact {
                single(error)
            } else {
                indent(error)
            });
        }
        None => {
            parts.push("Expected".into());
            parts.push(line(told.actual.line()));
            parts.push(told.message.clone());
            parts.push(line(told.expected.line()));
            if let (Shown::Value(Value::Text(want)), Shown::Value(Value::Text(got)), false) =
                (&told.expected, &told.actual, compact)
                && want != got
            {
                parts.push("diff".into());
                parts.push(indent(&diff::unified(want, got)));
            }
        }
    }
    if let Some(missing) = &told.missing_elements {
        parts.push("the missing elements were".into());
        parts.push(line(Shown::All(missing.clone()).line()));
    }
    if let Some(extra) = &told.extra_elements {
        parts.push("the extra elements were".into());
        parts.push(line(Shown::All(extra.clone()).line()));
    }
    if let Some(transforms) = &told.transform_chain {
        parts.push("the transform chain was".into());
        parts.push(line(Shown::Value(chain(transforms)).line()));
        if raw {
            parts.push("the raw value was".into());
            parts.push(line(told.untransformed_value.line()));
        }
    }
    parts.join(if compact { " " } else { "\n" })
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text
        .trim_end_matches('\n')
        .split('\n')
        .map(|line| format!("    {line}"))
        .collect();
    lines.join("\n")
}

/// Every stretch of white space is one space.
fn single(text: &str) -> String {
    let mut out = String::new();
    let mut space = false;
    for c in text.chars() {
        let is_space = matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
        match (is_space, space) {
            (true, true) => {}
            (true, false) => out.push(' '),
            (false, _) => out.push(c),
        }
        space = is_space;
    }
    out
}

fn header(group: &[TestResult]) -> String {
    let mut out = String::new();
    let Some(first) = group.first() else {
        return out;
    };
    if let Some(title) = &first.title {
        out.push_str(&format!("Title: {title}\n"));
    }
    if let Some(meta) = &first.meta {
        out.push_str("Meta:\n");
        for (key, value) in meta {
            out.push_str(&format!("    {key}: {value}\n"));
        }
    }
    out
}

fn seconds(took: Duration) -> String {
    format!("{:.3}s", took.as_secs_f64())
}

fn summary(counts: Counts, options: &Options) -> String {
    let Counts {
        total,
        failed,
        skipped,
    } = counts;
    let outcome = if failed > 0 {
        Outcome::Fail
    } else {
        Outcome::Pass
    };
    let line = format!("Count: {total}, Failed: {failed}, Skipped: {skipped}\n");
    format!(
        "Total Duration: {}\n{}",
        seconds(options.took),
        paint(&line, outcome, options.color)
    )
}

fn colored(result: &TestResult, shape: Shape, options: &Options) -> String {
    paint(
        &text(result, shape, !options.exclude_raw),
        result.outcome,
        options.color,
    )
}

/// Everything that does not hold, by resource, in the order of types and ids.
fn failed_or_skipped(groups: &[&[TestResult]], options: &Options) -> String {
    let mut some: Vec<(&[TestResult], Vec<&TestResult>)> = groups
        .iter()
        .map(|group| {
            (
                *group,
                group
                    .iter()
                    .filter(|r| r.outcome != Outcome::Pass)
                    .collect(),
            )
        })
        .filter(|(_, results): &(_, Vec<&TestResult>)| !results.is_empty())
        .collect();
    if some.is_empty() {
        return String::new();
    }
    some.sort_by_key(|(group, _)| sort_key(group));
    let mut out = String::from("Failures/Skipped:\n\n");
    for (group, results) in some {
        out.push_str(&header(group));
        for result in results {
            out.push_str(&colored(result, Shape::Long, options));
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

pub(super) fn rspecish(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let mut out = String::new();
    for result in groups.iter().copied().flatten() {
        let letter = match result.outcome {
            Outcome::Pass => ".",
            Outcome::Fail => "F",
            Outcome::Skip => "S",
        };
        out.push_str(&paint(letter, result.outcome, options.color));
    }
    out.push_str("\n\n");
    out.push_str(&failed_or_skipped(groups, options));
    out.push_str(&summary(counts, options));
    out
}

pub(super) fn documentation(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let mut out = String::new();
    for group in groups {
        out.push_str(&header(group));
        for result in *group {
            out.push_str(&colored(result, Shape::Long, options));
            out.push('\n');
        }
    }
    out.push_str("\n\n");
    out.push_str(&failed_or_skipped(groups, options));
    out.push_str(&summary(counts, options));
    out
}

pub(super) fn tap(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let mut out = format!("1..{}\n", counts.total);
    for (number, result) in groups.iter().copied().flatten().enumerate() {
        let line = colored(result, Shape::Compact, options);
        let number = number + 1;
        out.push_str(&match result.outcome {
            Outcome::Pass => format!("ok {number} - {line}\n"),
            Outcome::Fail => format!("not ok {number} - {line}\n"),
            Outcome::Skip => format!("ok {number} - # SKIP {line}\n"),
        });
    }
    out
}

pub(super) fn nagios(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let Counts {
        total,
        failed,
        skipped,
    } = counts;
    let took = seconds(options.took);
    let word = if failed > 0 { "CRITICAL" } else { "OK" };
    let mut out = format!(
        "GOSS {word} - Count: {total}, Failed: {failed}, Skipped: {skipped}, Duration: {took}"
    );
    if options.perfdata {
        out.push_str(&format!(
            "|total={total} failed={failed} skipped={skipped} duration={took}"
        ));
    }
    out.push('\n');
    if options.verbose {
        let fails = groups
            .iter()
            .copied()
            .flatten()
            .filter(|r| r.outcome == Outcome::Fail);
        for (number, result) in fails.enumerate() {
            let line = colored(result, Shape::Compact, options);
            out.push_str(&format!("Fail {} - {line}\n", number + 1));
        }
    }
    out
}
