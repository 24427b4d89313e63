//! Lists: runs, variables, what the store has, what a host lacks.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::config::VariableRow;
use crate::store::{RunEntry, RunOutcome, StageOutcome, VerifyReport};

use super::clean::clean;
use super::json::millis;
use super::style::{Paint, Tone};
use super::words::{at, columns, count, exact, size};

/// Runs, a line each; with `Detail::Stages` their stages below.
#[must_use]
pub fn runs_text(runs: &[RunEntry], detail: Detail, zone: &TimeZone, paint: Paint) -> String {
    if runs.is_empty() {
        return "no runs yet\n".to_owned();
    }
    let mut rows = Vec::new();
    for run in runs {
        let (tone, word) = match run.outcome {
            Some(RunOutcome::Done) => (Tone::Good, "done"),
            Some(RunOutcome::Failed) => (Tone::Bad, "failed"),
            Some(RunOutcome::Interrupted) => (Tone::Warn, "interrupted"),
            None => (Tone::Warn, "unfinished"),
        };
        let ran = run
            .stages
            .iter()
            .filter(|stage| stage.outcome != StageOutcome::Cached)
            .count();
        let ran = if ran == 0 {
            "nothing ran".to_owned()
        } else {
            format!("{} ran", count(ran, "stage"))
        };
        rows.push(vec![
            run.id.clone(),
            at(run.started, zone),
            paint.tone(tone, word),
            run.duration.map(exact).unwrap_or_default(),
            run.targets.join(", "),
            paint.tone(Tone::Dim, &ran),
        ]);
        if detail == Detail::Stages {
            rows.extend(run.stages.iter().map(|stage| {
                let (tone, word) = match stage.outcome {
                    StageOutcome::Done => (Tone::Good, "done"),
                    StageOutcome::Failed => (Tone::Bad, "failed"),
                    StageOutcome::Cancelled => (Tone::Warn, "stopped"),
                    StageOutcome::Cached => (Tone::Dim, "cached"),
                };
                let cached = stage.outcome == StageOutcome::Cached;
                let why = stage
                    .message
                    .clone()
                    .unwrap_or_else(|| stage.reasons.join(", "));
                vec![
                    format!("  {}", stage.stage),
                    at(stage.started, zone),
                    paint.tone(tone, word),
                    if cached {
                        String::new()
                    } else {
                        exact(stage.duration)
                    },
                    clean(why.lines().next().unwrap_or_default()).into_owned(),
                ]
            }));
        }
    }
    columns(&rows, "  ")
}

/// How much is shown of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The run.
    #[default]
    Run,
    /// Its stages too.
    Stages,
}

/// Runs for programs.
#[must_use]
pub fn runs_json(runs: &[RunEntry]) -> Value {
    let runs = runs.iter().map(|run| {
        let stages = run.stages.iter().map(|stage| {
            json!({
                "stage": stage.stage.to_string(),
                "started": stage.started,
                "duration_ms": millis(stage.duration),
                "outcome": stage.outcome.as_str(),
                "reasons": stage.reasons,
                "message": stage.message,
                "log": stage.log,
            })
        });
        json!({
            "run": run.id,
            "started": run.started,
            "targets": run.targets,
            "outcome": run.outcome.map(RunOutcome::as_str),
            "duration_ms": run.duration.map(millis),
            "stages": stages.collect::<Vec<_>>(),
        })
    });
    runs.collect()
}

/// Variables for people; where one has several values, each with the axis values at which it has it.
#[must_use]
pub fn vars_text(rows: &[&VariableRow], paint: Paint) -> String {
    if rows.is_empty() {
        return "no variables\n".to_owned();
    }
    let row = |row: &&VariableRow| {
        let value = clean(&row.value.replace('\n', "\\n")).into_owned();
        let source = match axes(row) {
            axes if axes.is_empty() => row.source.clone(),
            axes => format!("{}  ({axes})", row.source),
        };
        vec![
            format!("{}.{}", row.scope, row.name),
            value,
            paint.tone(Tone::Dim, &source),
        ]
    };
    columns(&rows.iter().map(row).collect::<Vec<_>>(), "  ")
}

fn axes(row: &VariableRow) -> String {
    let axes: Vec<String> = row
        .axes
        .iter()
        .map(|(axis, value)| format!("{axis}={value}"))
        .collect();
    axes.join(",")
}

/// Variables for programs.
#[must_use]
pub fn vars_json(rows: &[&VariableRow]) -> Value {
    let row = |row: &&VariableRow| {
        let VariableRow {
            scope,
            axes,
            name,
            value,
            source,
        } = row;
        json!({"scope": scope, "name": name, "axes": axes, "value": value, "source": source})
    };
    rows.iter().map(row).collect()
}

/// Whether something is only said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// Nothing is changed.
    Yes,
    /// It is done.
    No,
}

/// What reading the whole store has found.
#[must_use]
pub fn verify_text(report: &VerifyReport, paint: Paint) -> String {
    let VerifyReport {
        objects,
        bytes,
        corrupt,
    } = report;
    let mut text = String::new();
    for object in corrupt {
        let kept = object
            .moved_to
            .as_ref()
            .map_or_else(String::new, |path| format!("; moved to {}", path.display()));
        let head = paint.tone(Tone::Bad, "damaged");
        text.push_str(&format!(
            "{head} {}: {}{kept}\n",
            object.digest.short(),
            object.fault
        ));
    }
    let found = if corrupt.is_empty() {
        "all intact".to_owned()
    } else {
        format!("{} damaged", corrupt.len())
    };
    text.push_str(&format!(
        "{}, {}: {found}\n",
        count(*objects, "object"),
        size(*bytes)
    ));
    text
}

/// Something that `forge doctor` has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: `qemu-system-x86_64`, `KVM`, `disk space`.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What was found, in words.
    pub detail: String,
    /// What to do about it, one entry per line.
    pub fix: Vec<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Good,
    /// Works, but not well.
    Poor,
    /// Something will not work.
    Bad,
}

impl Health {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Poor => "warning",
            Self::Bad => "missing",
        }
    }
}

/// Findings for people.
#[must_use]
pub fn doctor_text(findings: &[Finding], paint: Paint) -> String {
    let wide = findings
        .iter()
        .map(|finding| finding.what.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let tone = match finding.health {
            Health::Good => Tone::Good,
            Health::Poor => Tone::Warn,
            Health::Bad => Tone::Bad,
        };
        let word = paint.tone(tone, &format!("{:<7}", finding.health.as_str()));
        text.push_str(
            format!(
                "{word}  {:<wide$}  {}",
                finding.what,
                clean(&finding.detail)
            )
            .trim_end(),
        );
        text.push('\n');
        for fix in &finding.fix {
            text.push_str(&format!(
                "{:9}{:wide$}  {} {fix}\n",
                "",
                "",
                paint.tone(Tone::Dim, "fix:")
            ));
        }
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.health == Health::Bad)
        .count();
    let poor = findings
        .iter()
        .filter(|finding| finding.health == Health::Poor)
        .count();
    text.push_str(&match (bad, poor) {
        (0, 0) => "\nthis host has all that forge needs\n".to_owned(),
        (0, poor) => format!(
            "\nthis host has all that forge needs; {}\n",
            count(poor, "warning")
        ),
        (bad, _) => format!("\n{} missing\n", count(bad, "thing")),
    });
    text
}

/// Findings for programs.
#[must_use]
pub fn doctor_json(findings: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        let Finding {
            what,
            health,
            detail,
            fix,
        } = finding;
        json!({"what": what, "health": health.as_str(), "detail": detail, "fix": fix})
    };
    findings.iter().map(finding).collect()
}
