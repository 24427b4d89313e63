//! Why a stage runs: the chain up to the first causes, with what was and what is.

use serde_json::{Map, Value, json};

use crate::model::StageKey;
use crate::plan::{Cause, Change, PlanStep, StepDecision, Why, words};

use super::explain::{short, verdict};
use super::json::put_stage;
use super::style::{Paint, Tone};
use super::words::{columns, count};

/// Longer ways are cut in their middle.
const LONGEST: usize = 6;

/// How many differing ingredients are shown of a cause.
const CHANGES: usize = 10;

/// What becomes of a stage, and its first causes, for people.
#[must_use]
pub fn why_text(step: &PlanStep, why: &Why, paint: Paint) -> String {
    let head = paint.tone(Tone::Bold, &step.key.to_string());
    let verdict = verdict(&step.decision, paint);
    let first = verdict.lines().next().unwrap_or_default();
    let causes = causes_text(why, paint);
    format!("{head}  {first}\n{}\n", causes.trim_end())
        .trim_end()
        .to_owned()
        + "\n"
}

/// The same for programs. The fields are documented in `docs/ci.md`.
#[must_use]
pub fn why_json(step: &PlanStep, why: &Why) -> Value {
    let mut fields = Map::new();
    put_stage(&mut fields, &step.key);
    fields.insert("decision".to_owned(), decision_word(&step.decision).into());
    fields.insert("causes".to_owned(), causes_json(why));
    fields.insert("more".to_owned(), why.more.into());
    Value::Object(fields)
}

/// The causes for people; empty if there is none.
#[must_use]
pub(super) fn causes_text(why: &Why, paint: Paint) -> String {
    let mut text = String::new();
    for cause in &why.causes {
        text.push_str(&cause_text(cause, paint));
    }
    if why.more > 0 {
        let stages = count(why.more, "more stage");
        text.push_str(&format!(
            "and because of {stages} with reasons of their own\n"
        ));
    }
    text
}

fn cause_text(cause: &Cause, paint: Paint) -> String {
    let mut text = format!("because of {}", way(&cause.path, paint));
    if let Some(run) = &cause.run {
        text.push_str(&format!(", built by run {run}"));
    }
    text.push_str(":\n");
    for reason in words(&cause.reasons) {
        text.push_str(&format!("  {reason}\n"));
    }
    if cause.reasons.is_empty() {
        text.push_str("  it came out different from the same ingredients\n");
    }
    let rows: Vec<Vec<String>> = cause
        .changes
        .iter()
        .take(CHANGES)
        .map(|change| {
            let was = change
                .before
                .as_deref()
                .map_or_else(|| "(new)".to_owned(), short);
            let is = change
                .now
                .as_deref()
                .map_or_else(|| "(gone)".to_owned(), short);
            vec![
                format!("    {}", paint.tone(Tone::Dim, &change.name)),
                format!("{was} → {is}"),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&columns(&rows, "  "));
        text.push('\n');
    }
    let left = cause.changes.len().saturating_sub(CHANGES);
    if left > 0 {
        text.push_str(&format!("    and {left} more\n"));
    }
    text
}

/// `main ← link ← a`: the stage that was asked about first.
fn way(path: &[StageKey], paint: Paint) -> String {
    let bold = |key: &StageKey| paint.tone(Tone::Bold, &key.to_string());
    let Some((last, before)) = path.split_last() else {
        return String::new();
    };
    let mut names: Vec<String> = before.iter().map(ToString::to_string).collect();
    if path.len() > LONGEST {
        let left = names.len() - 4;
        names.splice(2..2 + left, [format!("… {} …", count(left, "stage"))]);
    }
    if names.is_empty() {
        return bold(last);
    }
    format!("{} ({} ← {last})", bold(last), names.join(" ← "))
}

/// `fresh`, `run` or `pending`.
pub(super) const fn decision_word(decision: &StepDecision) -> &'static str {
    match decision {
        StepDecision::Fresh(_) => "fresh",
        StepDecision::Pending { reasons, .. } if reasons.is_empty() => "pending",
        StepDecision::Stale { .. } | StepDecision::Pending { .. } => "run",
    }
}

/// The causes for programs.
#[must_use]
pub(super) fn causes_json(why: &Why) -> Value {
    let causes = why.causes.iter().map(|cause| {
        let Cause {
            path,
            reasons,
            changes,
            run,
        } = cause;
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        let changes: Vec<Value> = changes
            .iter()
            .map(|Change { name, before, now }| json!({"name": name, "before": before, "now": now}))
            .collect();
        json!({"stage": path.last(), "path": path, "reasons": reasons, "changes": changes, "run": run})
    });
    causes.collect()
}
