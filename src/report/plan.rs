//! A plan: what would run, and why.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::StageKey;
use crate::plan::{Plan, PlanStep, Reason, StepDecision, words};

use super::json::{millis, put_stage};
use super::style::{Paint, Tone};
use super::words::{about, columns, count};

/// The plan for people: a line per stage, and one that counts.
#[must_use]
pub fn plan_text(plan: &Plan, paint: Paint) -> String {
    let mut rows = Vec::new();
    for step in &plan.steps {
        let expected = match step.expected {
            Some(expected) if !step.is_fresh() => about(expected),
            _ => String::new(),
        };
        let (tone, word, mut reasons) = describe(step);
        if let Some((kept, all)) = step.kept {
            reasons.push(format!(
                "{kept} of {} cached, from step {}",
                count(all, "step"),
                kept + 1
            ));
        }
        let mut reasons = reasons.into_iter();
        let first = reasons.next().unwrap_or_default();
        let dimmed = |text: &str| paint.tone(Tone::Dim, text);
        rows.push(vec![
            paint.tone(tone, word),
            step.key.to_string(),
            first,
            dimmed(&expected),
        ]);
        rows.extend(
            reasons.map(|reason| vec![String::new(), String::new(), reason, String::new()]),
        );
    }
    format!("{}\n{}\n", columns(&rows, "  "), totals(plan))
}

/// The plan for programs. The fields are documented in `docs/ci.md`.
#[must_use]
pub fn plan_json(plan: &Plan) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| {
            let mut fields = Map::new();
            put_stage(&mut fields, &step.key);
            let texts =
                |reasons: &[Reason]| reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
            let (decision, reasons, upstreams) = match &step.decision {
                StepDecision::Fresh(_) => ("fresh", Vec::new(), &[][..]),
                StepDecision::Stale { reasons } => ("run", texts(reasons), &[][..]),
                StepDecision::Pending { upstreams, reasons } => {
                    (pending_word(reasons), texts(reasons), upstreams.as_slice())
                }
            };
            let upstreams: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
            fields.insert("decision".to_owned(), decision.into());
            fields.insert("reasons".to_owned(), json!(reasons));
            fields.insert("upstreams".to_owned(), json!(upstreams));
            fields.insert("expected_ms".to_owned(), json!(step.expected.map(millis)));
            let kept = step.kept.map(|(kept, _)| kept);
            fields.insert("steps_cached".to_owned(), json!(kept));
            Value::Object(fields)
        })
        .collect();
    json!({
        "work": plan.has_work(),
        "expected_ms": millis(expected(plan).0),
        "stages": steps,
    })
}

fn describe(step: &PlanStep) -> (Tone, &'static str, Vec<String>) {
    match &step.decision {
        StepDecision::Fresh(_) => (Tone::Dim, "fresh", Vec::new()),
        StepDecision::Stale { reasons } => (Tone::Active, "run", words(reasons)),
        StepDecision::Pending { upstreams, reasons } => {
            let mut texts = words(reasons);
            texts.push(upstream_will_run(upstreams));
            let tone = if reasons.is_empty() {
                Tone::Warn
            } else {
                Tone::Active
            };
            (tone, pending_word(reasons), texts)
        }
    }
}

/// With reasons of its own a stage runs whatever those before it leave.
const fn pending_word(reasons: &[Reason]) -> &'static str {
    if reasons.is_empty() { "pending" } else { "run" }
}

pub(super) fn upstream_will_run(upstreams: &[StageKey]) -> String {
    let names: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
    format!("upstream {} will run", names.join(", "))
}

/// How long all that will or may run took last time, and how many of these have never run.
fn expected(plan: &Plan) -> (Duration, usize) {
    let work = plan.steps.iter().filter(|step| !step.is_fresh());
    work.fold((Duration::ZERO, 0), |(sum, new), step| {
        match step.expected {
            Some(expected) => (sum + expected, new),
            None => (sum, new + 1),
        }
    })
}

fn totals(plan: &Plan) -> String {
    let fresh = plan.fresh();
    if !plan.has_work() {
        let are = if fresh == 1 { "is" } else { "are" };
        return format!("nothing to do: {} {are} up to date", count(fresh, "stage"));
    }
    let maybe = plan
        .steps
        .iter()
        .filter(|step| describe(step).1 == "pending")
        .count();
    let sure = plan.steps.len() - fresh - maybe;
    let mut parts = vec![format!("{} will run", count(sure, "stage"))];
    if maybe > 0 {
        parts.push(format!("{maybe} may run"));
    }
    if fresh > 0 {
        parts.push(format!("{fresh} up to date"));
    }
    let expected = match expected(plan) {
        (_, new) if new == plan.steps.len() - fresh => String::new(),
        (sum, 0) => format!("; expected: {}", about(sum)),
        (sum, new) => format!(
            "; expected: {}, and {} for the first time",
            about(sum),
            count(new, "stage")
        ),
    };
    format!("{}{expected}", parts.join(", "))
}
