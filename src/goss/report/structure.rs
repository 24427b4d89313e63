//! Formats for programs: JSON and `JUnit`.

use std::time::{Duration, SystemTime};

use super::lines::{Shape, text};
use super::{Counts, Options};
use crate::goss::json::{Html, indent, string};
use crate::goss::matcher::{MatcherResult, Shown, chain};
use crate::goss::{Outcome, TestResult, Value};

/// A field with its text of JSON.
type Field = (&'static str, String);

fn quoted(text: &str) -> String {
    let mut out = String::new();
    string(text, Html::Escaped, &mut out);
    out
}

fn object(fields: impl IntoIterator<Item = Field>) -> String {
    let fields: Vec<String> = fields
        .into_iter()
        .map(|(key, value)| format!("{}:{value}", quoted(key)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// As goss's own structure orders them.
fn fields(result: &TestResult, options: &Options) -> Vec<Field> {
    let meta = match &result.meta {
        Some(meta) => Shown::Value(Value::Map(meta.clone())).encoded(Html::Escaped),
        None => "null".into(),
    };
    let number = match result.outcome {
        Outcome::Pass => 0,
        Outcome::Fail => 1,
        Outcome::Skip => 2,
    };
    let ended = options.started + result.took;
    let raw = !options.exclude_raw;
    vec![
        // goss leaves it false here; its JSON sets it
        ("successful", "false".into()),
        ("skipped", (result.outcome == Outcome::Skip).to_string()),
        ("resource-id", quoted(&result.id)),
        ("resource-type", quoted(result.kind.reported())),
        ("property", quoted(result.property)),
        ("title", quoted(result.title.as_deref().unwrap_or_default())),
        ("meta", meta),
        ("result", number.to_string()),
        (
            "err",
            result
                .error
                .as_ref()
                .map_or_else(|| "null".into(), |error| quoted(error)),
        ),
        ("matcher-result", told(&result.told)),
        ("start-time", quoted(&time(options.started))),
        ("end-time", quoted(&time(ended))),
        ("duration", nanos(result.took)),
        ("summary-line", quoted(&text(result, Shape::Long, raw))),
        (
            "summary-line-compact",
            quoted(&text(result, Shape::Compact, raw)),
        ),
    ]
}

fn told(told: &MatcherResult) -> String {
    let all = |all: &Option<Vec<Shown>>| match all {
        Some(all) => Shown::All(all.clone()).encoded(Html::Escaped),
        None => "null".into(),
    };
    let chain = match &told.transform_chain {
        Some(transforms) => Shown::Value(chain(transforms)).encoded(Html::Escaped),
        None => "null".into(),
    };
    object([
        ("actual", told.actual.encoded(Html::Escaped)),
        ("message", quoted(&told.message)),
        ("expected", told.expected.encoded(Html::Escaped)),
        ("missing-elements", all(&told.missing_elements)),
        ("found-elements", all(&told.found_elements)),
        ("extra-elements", all(&told.extra_elements)),
        ("transform-chain", chain),
        (
            "untransformed-value",
            told.untransformed_value.encoded(Html::Escaped),
        ),
    ])
}

fn nanos(took: Duration) -> String {
    took.as_nanos().to_string()
}

/// RFC 3339 with nanoseconds.
fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.to_string())
}

pub(super) fn json(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let results: Vec<String> = groups
        .iter()
        .copied()
        .flatten()
        .map(|result| {
            let mut fields = fields(result, options);
            fields[0].1 = (result.outcome != Outcome::Fail).to_string();
            // goss makes maps of its structures, which sorts them at every depth
            sorted(&object(fields))
        })
        .collect();
    let Counts {
        total,
        failed,
        skipped,
    } = counts;
    let line = format!(
        "Count: {total}, Failed: {failed}, Skipped: {skipped}, Duration: {:.3}s",
        options.took.as_secs_f64()
    );
    let summary = object([
        ("failed-count", failed.to_string()),
        ("skipped-count", skipped.to_string()),
        ("summary-line", quoted(&line)),
        ("test-count", total.to_string()),
        ("total-duration", nanos(options.took)),
    ]);
    let results = if results.is_empty() {
        "null".into()
    } else {
        format!("[{}]", results.join(","))
    };
    finish(
        &object([("results", results), ("summary", summary)]),
        "    ",
        options,
    )
}

fn finish(line: &str, step: &str, options: &Options) -> String {
    let text = if options.pretty {
        indent(line, step)
    } else {
        line.to_owned()
    };
    format!("{text}\n")
}

/// The same JSON with sorted keys and Go's numbers.
fn sorted(json: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(value) => Shown::Value(Value::from(value)).encoded(Html::Escaped),
        Err(_) => json.to_owned(),
    }
}

pub(super) fn structured(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let results: Vec<String> = groups
        .iter()
        .copied()
        .flatten()
        .map(|result| object(fields(result, options)))
        .collect();
    let summary = object([
        ("test-count", counts.total.to_string()),
        ("failed-count", counts.failed.to_string()),
        ("total-duration", nanos(options.took)),
    ]);
    let line = format!(
        "Count: {}, Failed: {}, Duration: {:.3}s",
        counts.total,
        counts.failed,
        options.took.as_secs_f64()
    );
    let whole = object([
        ("results", format!("[{}]", results.join(","))),
        ("summary", summary),
        ("summary-line", quoted(&line)),
    ]);
    finish(&whole, "  ", options)
}

pub(super) fn junit(groups: &[&[TestResult]], counts: Counts, options: &Options) -> String {
    let Counts {
        total,
        failed,
        skipped,
    } = counts;
    let stamp = jiff::Timestamp::try_from(options.started).map_or_else(
        |_| String::new(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    );
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"goss\" errors=\"0\" tests=\"{total}\" \
         failures=\"{failed}\" skipped=\"{skipped}\" time=\"{:.3}\" timestamp=\"{stamp}\">\n",
        options.took.as_secs_f64()
    );
    for result in groups.iter().copied().flatten() {
        let line = escaped(&text(result, Shape::Compact, !options.exclude_raw));
        out.push_str(&format!(
            "<testcase name=\"{} {} {}\" time=\"{:.3}\">\n",
            result.kind.reported(),
            escaped(&result.id),
            result.property,
            result.took.as_secs_f64()
        ));
        out.push_str(&match result.outcome {
            Outcome::Fail => {
                format!("<system-err>{line}</system-err>\n<failure>{line}</failure>\n</testcase>\n")
            }
            Outcome::Skip => format!("<skipped/><system-out>{line}</system-out>\n</testcase>\n"),
            Outcome::Pass => format!("<system-out>{line}</system-out>\n</testcase>\n"),
        });
    }
    out.push_str("</testsuite>\n");
    out
}

/// Go's escapes for XML; what XML cannot say is a question mark in a box.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
