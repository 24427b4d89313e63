//! A stage's ingredients, and which of them are different from the last time.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::model::Stage;
use crate::plan::{Ingredients, Record, StepDecision, Why};

use super::json::put_stage;
use super::plan::upstream_will_run;
use super::style::{Paint, Tone};
use super::why::{causes_json, causes_text, decision_word};
use super::words::{at, columns, count, exact};

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a> {
    /// The stage.
    pub stage: &'a Stage,
    /// What becomes of it.
    pub decision: &'a StepDecision,
    /// What it would be made from now; of stages that run first, nothing is in here.
    pub ingredients: &'a Ingredients,
    /// What it was made from last time.
    pub last: Option<&'a Record>,
    /// The first causes of its running.
    pub why: &'a Why,
}

impl Explanation<'_> {
    /// The causes that lie in other stages, or in other runs: its own are seen in its ingredients.
    fn elsewhere(&self) -> Why {
        let causes = self.why.causes.iter();
        let causes = causes.filter(|cause| cause.path.len() > 1 || cause.run.is_some());
        Why {
            causes: causes.cloned().collect(),
            more: self.why.more,
        }
    }
}

/// Longer values are cut for people.
const LONGEST: usize = 72;

/// The explanation for people.
#[must_use]
pub fn explain_text(explanation: &Explanation<'_>, zone: &TimeZone, paint: Paint) -> String {
    let Explanation {
        stage,
        decision,
        ingredients,
        last,
        why: _,
    } = *explanation;
    let (kind, file, line) = (stage.kind.name(), &stage.origin.file, stage.origin.line);
    let mut text = format!(
        "{}  {kind}, {file}:{line}\n",
        paint.tone(Tone::Bold, &stage.key.to_string())
    );
    text.push_str(&verdict(decision, paint));
    text.push_str(&causes_text(&explanation.elsewhere(), paint));
    let rows: Vec<Vec<String>> = compare(ingredients, last)
        .iter()
        .map(|line| line.row(paint))
        .collect();
    text.push_str(&format!("\n{}\n", columns(&rows, "  ")));
    // what is pending has no fingerprint yet
    if !matches!(decision, StepDecision::Pending { .. }) {
        text.push_str(&format!("fingerprint  {}\n", ingredients.fingerprint()));
    }
    match last {
        Some(last) => {
            let took = exact(Duration::from_millis(last.duration_ms));
            text.push_str(&format!(
                "last built   {}, run {}, in {took}\n",
                at(last.started, zone),
                last.run
            ));
        }
        None => text.push_str("last built   never\n"),
    }
    text
}

/// The explanation for programs.
#[must_use]
pub fn explain_json(explanation: &Explanation<'_>) -> Value {
    let Explanation {
        stage,
        decision,
        ingredients,
        last,
        why,
    } = *explanation;
    let mut fields = Map::new();
    put_stage(&mut fields, &stage.key);
    fields.insert("kind".to_owned(), stage.kind.name().into());
    fields.insert(
        "origin".to_owned(),
        format!("{}:{}", stage.origin.file, stage.origin.line).into(),
    );
    let reasons = match decision {
        StepDecision::Fresh(_) => &[][..],
        StepDecision::Stale { reasons } | StepDecision::Pending { reasons, .. } => reasons,
    };
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    fields.insert("decision".to_owned(), decision_word(decision).into());
    fields.insert("reasons".to_owned(), json!(reasons));
    let lines = compare(ingredients, last);
    let listed: Vec<Value> = lines
        .iter()
        .map(|line| json!({"name": line.name, "now": line.now, "before": line.before, "change": line.change().word()}))
        .collect();
    fields.insert("ingredients".to_owned(), listed.into());
    fields.insert(
        "fingerprint".to_owned(),
        ingredients.fingerprint().hex().into(),
    );
    let last = last.map(|last| {
        json!({"run": last.run, "started": last.started, "duration_ms": last.duration_ms, "fingerprint": last.fingerprint})
    });
    fields.insert("last".to_owned(), json!(last));
    fields.insert("causes".to_owned(), causes_json(why));
    Value::Object(fields)
}

/// What becomes of a stage, and why, for people: a line, and one for each reason.
pub(super) fn verdict(decision: &StepDecision, paint: Paint) -> String {
    let run = paint.tone(Tone::Active, "will run");
    match decision {
        StepDecision::Fresh(_) => format!("{}\n", paint.tone(Tone::Good, "up to date")),
        StepDecision::Stale { reasons } => {
            let reasons: Vec<String> = reasons
                .iter()
                .map(|reason| format!("  {reason}\n"))
                .collect();
            format!(
                "{run}: {}\n{}",
                count(reasons.len(), "reason"),
                reasons.concat()
            )
        }
        StepDecision::Pending { upstreams, reasons } => {
            let head = if reasons.is_empty() {
                paint.tone(Tone::Warn, "may run")
            } else {
                run
            };
            let reasons: Vec<String> = reasons
                .iter()
                .map(|reason| format!("  {reason}\n"))
                .collect();
            format!(
                "{head}: {}\n{}",
                upstream_will_run(upstreams),
                reasons.concat()
            )
        }
    }
}

/// An ingredient, now and before.
struct Line<'a> {
    name: &'a str,
    now: Option<&'a str>,
    /// Equal to `now` if there is no record to compare with.
    before: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Same,
    Changed,
    New,
    Gone,
}

fn compare<'a>(now: &'a Ingredients, last: Option<&'a Record>) -> Vec<Line<'a>> {
    let before = |name: &str, value| last.map_or(Some(value), |last| last.ingredients.get(name));
    let mut lines: Vec<Line<'_>> = now
        .iter()
        .map(|(name, value)| Line {
            name,
            now: Some(value),
            before: before(name, value),
        })
        .collect();
    if let Some(last) = last {
        let gone = last
            .ingredients
            .iter()
            .filter(|(name, _)| now.get(name).is_none());
        lines.extend(gone.map(|(name, value)| Line {
            name,
            now: None,
            before: Some(value),
        }));
    }
    lines
}

impl Line<'_> {
    fn change(&self) -> Change {
        match (self.now, self.before) {
            (None, _) => Change::Gone,
            (_, None) => Change::New,
            (now, before) if now == before => Change::Same,
            _ => Change::Changed,
        }
    }

    fn row(&self, paint: Paint) -> Vec<String> {
        let change = self.change();
        let (mark, tone) = match change {
            Change::Same => (" ", Tone::Dim),
            Change::Changed => ("~", Tone::Warn),
            Change::New => ("+", Tone::Good),
            Change::Gone => ("-", Tone::Bad),
        };
        let value = short(self.now.or(self.before).unwrap_or_default());
        let was = match (change, self.before) {
            (Change::Changed, Some(before)) => format!("{value}  (was {})", short(before)),
            _ => value,
        };
        vec![format!("{} {}", paint.tone(tone, mark), self.name), was]
    }
}

impl Change {
    const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

/// Digests by their first digits, long values by their start.
pub(super) fn short(value: &str) -> String {
    if value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()) {
        return value[..12].to_owned();
    }
    let clean = super::clean::clean(value);
    if clean.chars().count() <= LONGEST {
        return clean.into_owned();
    }
    clean.chars().take(LONGEST - 1).chain(['…']).collect()
}
