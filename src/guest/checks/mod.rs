//! Checks of a guest, asked from outside: no agent and nothing of goss in it.
//!
//! One script gathers most facts in one round trip; commands and HTTP requests are asked one after the other, and beside
//! each other as soon as one takes its time, so that one that hangs does not hold up the rest.

mod answer;
mod facts;
mod http;
mod matcher;
mod report;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{Exec, Guest, GuestError, Stream};
use crate::model::{Check, CheckSet, Matcher, Resource};
use crate::sys::Cancel;
use facts::Facts;
use matcher::Actual;
pub use report::{CheckReport, CheckResult, Outcome, to_json, to_junit};

/// How many checks may be under way at once.
const WIDTH: usize = 4;
/// When nothing has been finished for so long, one more is begun.
const STALL: Duration = Duration::from_millis(300);
/// How much of a command's output is kept.
const OUTPUT: usize = 8 << 20;
/// goss's limits when none is given.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
const HTTP_LIMIT: Duration = Duration::from_secs(5);

/// How long to ask again until all checks hold.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Give up after this time.
    pub timeout: Duration,
    /// Between two rounds.
    pub sleep: Duration,
}

/// Asks the guest all checks once. An error means that the guest could not be asked at all.
pub async fn run(
    guest: &Guest,
    set: &CheckSet,
    cancel: &Cancel,
) -> Result<CheckReport, GuestError> {
    let start = Instant::now();
    let asked: Vec<(usize, &Check)> = set.checks.iter().enumerate().collect();
    let live = || asked.iter().copied().filter(|(_, check)| !check.skip);
    let by_script: Vec<_> = live().filter(|(_, check)| !is_own(check)).collect();
    let facts = Facts::gather(guest, &by_script, cancel).await?;
    let gathered = start.elapsed() / u32::try_from(by_script.len().max(1)).unwrap_or(1);
    let own = live().filter(|(_, check)| is_own(check)).collect();
    let mut answers = ask_each(guest, own, cancel).await?;
    let mut report = CheckReport::default();
    for (number, check) in asked {
        let results = &mut report.results;
        match answers.remove(&number) {
            Some((own, took)) => judge(check, &|property| own.get(property), took, results),
            None => {
                let ask = |property: &str| answer::answer(&facts, number, check, property);
                judge(check, &ask, gathered, results);
            }
        }
    }
    report.duration = start.elapsed();
    Ok(report)
}

/// Asks again and again until all checks hold or `retry` is over; the last round's report counts.
pub async fn run_until(
    guest: &Guest,
    set: &CheckSet,
    retry: Option<Retry>,
    cancel: &Cancel,
    note: &(dyn Fn(&str) + Send + Sync),
) -> Result<CheckReport, GuestError> {
    let start = Instant::now();
    loop {
        let report = run(guest, set, cancel).await?;
        let Some(Retry { timeout, sleep }) = retry else {
            return Ok(report);
        };
        if report.passed() || start.elapsed() + sleep > timeout {
            return Ok(report);
        }
        note(&format!("not yet: {}", report.summary()));
        let pause = tokio::time::sleep(sleep);
        cancel.run(pause).await.ok_or(GuestError::Cancelled)?;
    }
}

/// Whether a check is asked by itself and not by the script.
const fn is_own(check: &Check) -> bool {
    matches!(check.resource, Resource::Command | Resource::Http)
}

/// The values of one check's attributes, or why there are none.
enum Answers {
    Values(Vec<(&'static str, Actual)>),
    Unknown(String),
    /// Nobody answers: every question about it fails, without being unknown.
    Nothing(String),
}

impl Answers {
    fn get(&self, property: &str) -> Result<Actual, String> {
        match self {
            Self::Values(values) => {
                let found = values.iter().find(|(name, _)| *name == property);
                found
                    .map(|(_, v)| v.clone())
                    .ok_or_else(|| "the guest did not tell".to_owned())
            }
            Self::Unknown(reason) => Err(reason.clone()),
            Self::Nothing(reason) => Ok(Actual::Absent(reason.clone())),
        }
    }
}

type Told = std::collections::BTreeMap<usize, (Answers, Duration)>;

/// Asks commands and HTTP requests.
async fn ask_each(
    guest: &Guest,
    checks: Vec<(usize, &Check)>,
    cancel: &Cancel,
) -> Result<Told, GuestError> {
    let mut told = Told::new();
    let mut waiting = checks.into_iter().peekable();
    let mut running = Vec::new();
    let mut width = 1;
    let mut trouble = None;
    loop {
        while running.len() < width && trouble.is_none() {
            let Some((number, check)) = waiting.next() else {
                break;
            };
            running.push(Box::pin(async move {
                let start = Instant::now();
                let answers = match check.resource {
                    Resource::Command => command(guest, check, cancel).await,
                    _ => http::ask(guest, check, cancel).await,
                };
                (number, answers, start.elapsed())
            }));
        }
        tokio::select! {
            done = next(&mut running) => match done {
                Some((number, Ok(answers), took)) => drop(told.insert(number, (answers, took))),
                // the others are let end: they clean up in the guest
                Some((_, Err(error), _)) => trouble = trouble.or(Some(error)),
                None => return trouble.map_or(Ok(told), Err),
            },
            () = tokio::time::sleep(STALL), if width < WIDTH && waiting.peek().is_some() => width += 1,
        }
    }
}

/// The first of these futures that is done, taken out; none if there are none.
async fn next<T, F: Future<Output = T> + Unpin>(running: &mut Vec<F>) -> Option<T> {
    std::future::poll_fn(|context| {
        for at in 0..running.len() {
            if let Poll::Ready(done) = Pin::new(&mut running[at]).poll(context) {
                drop(running.swap_remove(at));
                return Poll::Ready(Some(done));
            }
        }
        if running.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// Runs a check's command.
async fn command(guest: &Guest, check: &Check, cancel: &Cancel) -> Result<Answers, GuestError> {
    let exec = Exec {
        timeout: Some(limit(check, COMMAND_LIMIT)),
        ..Exec::new(facts::subject(check, "exec"))
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut keep = |stream: Stream, bytes: &[u8]| {
        let kept = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        let room = OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    };
    let status = match guest.run(&exec, &mut keep, cancel).await {
        Ok(status) => status,
        Err(error @ (GuestError::Timeout { .. } | GuestError::Failed(_))) => {
            return Ok(Answers::Unknown(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let text = |bytes: &[u8]| Actual::Text(String::from_utf8_lossy(bytes).into_owned());
    Ok(Answers::Values(vec![
        ("exit-status", Actual::Number(status.into())),
        ("stdout", text(&stdout)),
        ("stderr", text(&stderr)),
    ]))
}

/// A check's own limit; none and zero mean the default, as with goss.
fn limit(check: &Check, default: Duration) -> Duration {
    let millis = check.setting("timeout").and_then(serde_json::Value::as_u64);
    match millis {
        Some(millis) if millis > 0 => Duration::from_millis(millis),
        _ => default,
    }
}

/// Compares all attributes of a check. When the first one of a thing fails or is false (it does not exist, say), the
/// others are not asked.
fn judge(
    check: &Check,
    answer: &dyn Fn(&str) -> Result<Actual, String>,
    took: Duration,
    results: &mut Vec<CheckResult>,
) {
    let gated = !matches!(check.resource, Resource::Command | Resource::Service);
    let mut closed = check.skip;
    for (at, (property, matcher)) in check.expect.iter().enumerate() {
        let (outcome, found) = if closed {
            (Outcome::Skip, String::new())
        } else {
            let actual = answer(property);
            let no = actual == Ok(Actual::Bool(false));
            let (outcome, found) = verdict(matcher, actual);
            closed |= gated && at == 0 && (no || outcome != Outcome::Pass);
            (outcome, found)
        };
        results.push(CheckResult {
            resource: check.resource,
            name: check.name.clone(),
            title: check.title.clone(),
            property: property.clone(),
            expected: matcher.to_string(),
            found,
            outcome,
            duration: took,
        });
    }
}

fn verdict(matcher: &Matcher, actual: Result<Actual, String>) -> (Outcome, String) {
    let actual = match actual {
        Ok(Actual::Absent(reason)) => return (Outcome::Fail, reason),
        Ok(actual) => actual,
        Err(reason) => return (Outcome::Error, reason),
    };
    match matcher::holds(matcher, &actual) {
        Ok(true) => (Outcome::Pass, matcher::found(matcher, &actual)),
        Ok(false) => (Outcome::Fail, matcher::found(matcher, &actual)),
        Err(reason) => (Outcome::Error, reason),
    }
}
