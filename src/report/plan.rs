//! A plan: what would run, and why.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::StageKey;
use crate::plan::{Plan, PlanStep, Reason, StepDecision, words};

use super::json::{millis, put_stage};
use super::style::{Paint, Tone};
use super::why::decision_word;
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
        let (tone, reasons) = describe(step);
        let mut reasons = reasons.into_iter();
        let first = reasons.next().unwrap_or_default();
        let dimmed = |text: &str| paint.tone(Tone::Dim, text);
        rows.push(vec![
            paint.tone(tone, decision_word(&step.decision)),
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
            let (reasons, upstreams) = match &step.decision {
                StepDecision::Fresh(_) => (Vec::new(), &[][..]),
                StepDecision::Stale { reasons } => (texts(reasons), &[][..]),
                StepDecision::Pending { upstreams, reasons } => {
                    (texts(reasons), upstreams.as_slice())
                }
            };
            let upstreams: Vec<String> = upstreams.iter().map(ToString::to_string).collect();
            fields.insert("decision".to_owned(), decision_word(&step.decision).into());
            fields.insert("reasons".to_owned(), json!(reasons));
            fields.insert("upstreams".to_owned(), json!(upstreams));
            fields.insert("expected_ms".to_owned(), json!(step.expected.map(millis)));
            let kept = step.kept.as_ref();
            let cached = kept.map(|kept| kept.done).filter(|done| *done > 0);
            let unfit = kept.and_then(|kept| kept.unfit.as_ref());
            fields.insert("steps_cached".to_owned(), json!(cached));
            let changed = kept.and_then(|kept| kept.changed.as_ref());
            let changed = changed.map(|(number, _)| number);
            fields.insert("step_changed".to_owned(), json!(changed));
            let why = kept.and_then(crate::plan::KeptSteps::why);
            fields.insert("step_reason".to_owned(), json!(why));
            let unfit = unfit.map(ToString::to_string);
            fields.insert("checkpoint_unfit".to_owned(), json!(unfit));
            Value::Object(fields)
        })
        .collect();
    json!({
        "work": plan.has_work(),
        "expected_ms": millis(plan.expected.unwrap_or(expected(plan).0)),
        "stages": steps,
    })
}

fn describe(step: &PlanStep) -> (Tone, Vec<String>) {
    match &step.decision {
        StepDecision::Fresh(_) => (Tone::Dim, Vec::new()),
        StepDecision::Stale { reasons } => (Tone::Active, why(step, reasons)),
        StepDecision::Pending { upstreams, reasons } => {
            let mut texts = words(reasons);
            texts.push(upstream_will_run(upstreams));
            let tone = if reasons.is_empty() {
                Tone::Warn
            } else {
                Tone::Active
            };
            (tone, texts)
        }
    }
}

/// Why a stage will run. What is kept of it stands first, with the cause that it names; the other reasons follow.
fn why(step: &PlanStep, reasons: &[Reason]) -> Vec<String> {
    let Some(kept) = &step.kept else {
        return words(reasons);
    };
    let others: Vec<Reason> = reasons
        .iter()
        .filter(|reason| !kept.says(reason))
        .cloned()
        .collect();
    let first = kept.words().into_iter();
    let unfit = kept.unfit.iter().map(ToString::to_string);
    first.chain(words(&others)).chain(unfit).collect()
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
        .filter(|step| decision_word(&step.decision) == "pending")
        .count();
    let sure = plan.steps.len() - fresh - maybe;
    let mut parts = vec![format!("{} will run", count(sure, "stage"))];
    if maybe > 0 {
        parts.push(format!("{maybe} may run"));
    }
    if fresh > 0 {
        parts.push(format!("{fresh} up to date"));
    }
    let (sum, new) = expected(plan);
    let expected = match (plan.expected.unwrap_or(sum), new) {
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
