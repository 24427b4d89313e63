//! Commands of this machine, run beside each other. Their records are those that the script would have brought.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::KEEP;
use super::near::Told;
use super::script::part;
use super::system::System;
use crate::goss::Question;
use crate::guest::GuestError;
use crate::sys::{Cancel, process};

/// How many commands run at once for each processor, at most: so many does the script run.
const PER_PROCESSOR: usize = 5;
/// No file that a command writes gets longer.
const FILE_LIMIT: u64 = 256 << 20;
/// How long a command whose time is up may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Runs all that this machine runs without the script.
pub(super) async fn run(
    system: &System<'_>,
    questions: &[Question],
    at_once: usize,
    cancel: &Cancel,
) -> Result<Told, GuestError> {
    if !system.is_here() {
        return Ok(Told::new());
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let commands = questions
        .iter()
        .enumerate()
        .filter_map(|(number, question)| match question {
            Question::Command { exec, timeout } => Some(one(number, exec, *timeout, cancel)),
            _ => None,
        });
    // boxed: a stream of futures with borrowed names is more than the compiler takes as `Send`
    let commands: Vec<_> = commands.map(futures_util::FutureExt::boxed).collect();
    let all: Vec<_> = stream::iter(commands)
        .buffer_unordered(at_once.min(processors * PER_PROCESSOR).max(1))
        .collect()
        .await;
    let mut told = Told::new();
    for records in all {
        told.extend(records?);
    }
    Ok(told)
}

/// Runs one.
async fn one(
    number: usize,
    exec: &str,
    timeout: Duration,
    cancel: &Cancel,
) -> Result<Told, GuestError> {
    if cancel.is_cancelled() {
        return Err(GuestError::Cancelled);
    }
    let part = part(number);
    let start = Instant::now();
    let ran = go(exec, timeout, cancel).await;
    let (status, late, streams) = match ran {
        Ok(Some(ran)) => ran,
        Ok(None) => return Err(GuestError::Cancelled),
        // no record: it was not run
        Err(_) => return Ok(Told::new()),
    };
    let status = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1);
    let late = if late { " late" } else { "" };
    let took = start.elapsed().as_millis() / 10;
    let mut told = vec![(
        format!("{part}.s"),
        format!("{status} {took}{late}").into_bytes(),
    )];
    for ((key, complaint), mut file) in [
        (part.clone(), format!("{part}.o!")),
        (format!("{part}.e"), format!("{part}.e!")),
    ]
    .into_iter()
    .zip(streams)
    {
        match kept(&mut file) {
            Some(bytes) => told.push((key, bytes)),
            None => told.push((complaint, b"long".to_vec())),
        }
    }
    Ok(told)
}

/// Runs a command to its end, or until its time is up (then the second value is true): its status and what it has printed. Its
/// output goes to files: what it leaves running may go on writing.
async fn go(
    exec: &str,
    timeout: Duration,
    cancel: &Cancel,
) -> std::io::Result<Option<(ExitStatus, bool, [File; 2])>> {
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = process::command("sh", "check");
    command
        .args(["-c", exec])
        .stdout(Stdio::from(stdout.try_clone()?))
        .stderr(Stdio::from(stderr.try_clone()?));
    let mut group = process::Group::spawn(&mut command)?;
    group.limit_files(FILE_LIMIT);
    let ended = tokio::time::timeout(timeout, cancel.run(group.wait())).await;
    let (status, late) = match ended {
        Ok(Some(status)) => (status?, false),
        Ok(None) => {
            group.end(GRACE).await?;
            return Ok(None);
        }
        Err(_) => (group.end(GRACE).await?, true),
    };
    group.leave();
    Ok(Some((status, late, [stdout, stderr])))
}

/// What was printed, if it is not too much.
fn kept(file: &mut File) -> Option<Vec<u8>> {
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    (length <= KEEP).then_some(())?;
    file.take(length as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
