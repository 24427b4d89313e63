//! What stands at the end of a run, and what is said of a failure.

use crate::engine::{RunSummary, StageFailure};
use crate::model::StageKey;

use super::clean::clean;
use super::style::{Paint, Tone};
use super::words::{NAMED, count, exact, readable, size};

/// A failed stage, with all that helps: several lines, the last one ended.
pub(super) fn failure(stage: &StageKey, failure: &StageFailure, paint: Paint) -> String {
    let mut lines = failure.message.lines();
    let mut text = format!(
        "{} {}: {}\n",
        paint.tone(Tone::Bad, "failed"),
        paint.tone(Tone::Bold, &stage.to_string()),
        clean(lines.next().unwrap_or("no reason given"))
    );
    for line in lines {
        text.push_str(&format!("  {}\n", clean(line)));
    }
    let named = |name: &str, value: &str| {
        format!(
            "  {} {value}\n",
            paint.tone(Tone::Dim, &format!("{name:<11}"))
        )
    };
    if let Some(step) = &failure.step {
        text.push_str(&named("at", &clean(step)));
    }
    for line in &failure.tail {
        let line = format!("  {} {}", paint.tone(Tone::Dim, "|"), clean(line));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if let Some(log) = &failure.log {
        text.push_str(&named("log", &log.display().to_string()));
    }
    if let Some(screenshot) = &failure.screenshot {
        text.push_str(&named("screenshot", &screenshot.display().to_string()));
    }
    for help in failure.help.iter().flat_map(|help| help.lines()) {
        text.push_str(&named("help", &clean(help)));
    }
    text
}

/// The whole end of a run: failures, a line that says it all, what ran, what there is to take away.
pub(super) fn summary(run: &RunSummary, paint: Paint) -> String {
    let mut text = String::new();
    for (stage, why) in &run.failed {
        text.push_str(&failure(stage, why, paint));
        text.push('\n');
    }
    text.push_str(&headline(run, paint));
    text.push('\n');
    let rows = rows(run, paint);
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", readable(rows, 0, "  ")));
    }
    if !run.artifacts.is_empty() {
        let rows: Vec<Vec<String>> = run
            .artifacts
            .iter()
            .map(|(path, bytes)| vec![format!("  {path}"), size(*bytes)])
            .collect();
        text.push_str(&format!("\n{}", readable(rows, run.unnamed.1, "  ")));
    }
    text
}

fn headline(run: &RunSummary, paint: Paint) -> String {
    let RunSummary {
        ran,
        cached,
        failed,
        blocked,
        interrupted,
        elapsed,
        artifacts: _,
        unnamed,
    } = run;
    let cached = cached.len() + unnamed.0;
    let elapsed = exact(*elapsed);
    if failed.is_empty() && !interrupted && ran.is_empty() {
        let what = if cached == 1 { "is" } else { "are" };
        let what = format!(": {} {what} up to date ({elapsed})", count(cached, "stage"));
        return format!("{}{what}", paint.tone(Tone::Good, "nothing to do"));
    }
    let mut parts = Vec::new();
    if !failed.is_empty() {
        parts.push(format!("{} failed", count(failed.len(), "stage")));
    }
    if !ran.is_empty() {
        parts.push(format!("{} ran", count(ran.len(), "stage")));
    }
    if cached > 0 {
        parts.push(format!("{cached} up to date"));
    }
    if !blocked.is_empty() {
        parts.push(format!("{} not reached", blocked.len()));
    }
    let head = match (failed.is_empty(), interrupted) {
        (false, _) => paint.tone(Tone::Bad, "failed") + &format!(" after {elapsed}"),
        (true, true) => paint.tone(Tone::Warn, "interrupted") + &format!(" after {elapsed}"),
        (true, false) => paint.tone(Tone::Good, "done") + &format!(" in {elapsed}"),
    };
    if parts.is_empty() {
        head
    } else {
        format!("{head}: {}", parts.join(", "))
    }
}

fn rows(run: &RunSummary, paint: Paint) -> Vec<Vec<String>> {
    let row = |tone, word: &str, stage: &StageKey, more: String| {
        vec![
            format!("  {}", paint.tone(tone, word)),
            stage.to_string(),
            more,
        ]
    };
    let cached = |stage| row(Tone::Dim, "cached", stage, String::new());
    let ran = |(stage, elapsed): &(StageKey, _)| row(Tone::Good, "ran", stage, exact(*elapsed));
    let failed = |(stage, _): &(StageKey, _)| row(Tone::Bad, "failed", stage, String::new());
    let blocked = |stage| row(Tone::Warn, "not reached", stage, String::new());
    if run.ran.is_empty() && run.failed.is_empty() && run.blocked.is_empty() {
        return Vec::new();
    }
    // they are counted above
    let named = if run.cached.len() > NAMED {
        &[]
    } else {
        run.cached.as_slice()
    };
    named
        .iter()
        .map(cached)
        .chain(run.ran.iter().map(ran))
        .chain(run.failed.iter().map(failed))
        .chain(run.blocked.iter().map(blocked))
        .collect()
}
