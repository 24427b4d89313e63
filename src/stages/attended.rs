//! Runs with somebody at the terminal: stops before steps, questions after failures, a shell in between.

use std::path::Path;

use async_trait::async_trait;

use super::resolve::Resolver;
use super::{Host, OnError, visit};
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::guest::Guest;
use crate::model::{Provision, StageKey};
use crate::sys::Cancel;

/// An answer that somebody can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Throw the machine away.
    CleanUp,
    /// Keep the machine.
    Keep,
    /// Do the step again.
    Retry,
    /// A shell in the machine.
    Shell,
    /// Go on.
    GoOn,
    /// Do not go on.
    Abort,
}

/// Somebody at the terminal.
#[async_trait]
pub trait Attendant: Send + Sync {
    /// Whether each step waits for them.
    fn stops(&self) -> bool;

    /// Asks; one at a time. None: they have gone, or everything is to stop.
    async fn ask(&self, question: &str, answers: &[Answer], cancel: &Cancel) -> Option<Answer>;

    /// The terminal is somebody else's for a while (true), or no longer.
    fn lend_terminal(&self, lent: bool);
}

/// What somebody wants to become of a failed machine.
pub(super) async fn fate(
    host: &Host,
    stage: &StageKey,
    failure: &StageFailure,
    cancel: &Cancel,
) -> OnError {
    let Some(attendant) = host.attendant() else {
        return OnError::Cleanup;
    };
    let question = format!("{stage}: {}", failure.message);
    let answers = [Answer::CleanUp, Answer::Keep];
    match attendant.ask(&question, &answers, cancel).await {
        Some(Answer::Keep) => OnError::Keep,
        _ => OnError::Cleanup,
    }
}

/// Stops before a step if that is wanted.
pub(super) async fn before(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    index: usize,
    guest: &Guest,
) -> Result<(), ExecError> {
    let Some(attendant) = host.attendant().filter(|attendant| attendant.stops()) else {
        return Ok(());
    };
    let question = format!("{}: next is {}", context.stage.key, title(kind, index));
    let answers = [Answer::GoOn, Answer::Shell, Answer::Abort];
    loop {
        match attendant.ask(&question, &answers, &context.cancel).await {
            Some(Answer::GoOn) => return Ok(()),
            Some(Answer::Shell) => enter(host, context, kind, guest, attendant).await,
            _ if context.cancel.is_cancelled() => return Err(ExecError::Cancelled),
            _ => {
                let message = format!("stopped before {}, as asked", title(kind, index));
                return Err(super::failure::failure(message).into());
            }
        }
    }
}

/// What is to be done after a step has failed: again (none), or what becomes of the machine.
pub(super) async fn after(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    (index, failure): (usize, &StageFailure),
    guest: &Guest,
) -> Option<OnError> {
    let Some(attendant) = host.attendant().filter(|_| host.on_error == OnError::Ask) else {
        return Some(host.on_error);
    };
    let (stage, step) = (&context.stage.key, title(kind, index));
    let question = format!("{stage}: {step} failed: {}", failure.message);
    let answers = [Answer::CleanUp, Answer::Keep, Answer::Retry, Answer::Shell];
    loop {
        match attendant.ask(&question, &answers, &context.cancel).await {
            Some(Answer::Shell) => enter(host, context, kind, guest, attendant).await,
            Some(Answer::Retry) => return None,
            Some(Answer::Keep) => return Some(OnError::Keep),
            _ => return Some(OnError::Cleanup),
        }
    }
}

fn title(kind: &Provision, index: usize) -> String {
    let title = kind.steps.get(index).map_or("", |step| step.title.as_str());
    format!("[{}/{}] {title}", index + 1, kind.steps.len())
}

/// A shell in the machine of a running stage.
async fn enter(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    guest: &Guest,
    attendant: &dyn Attendant,
) {
    context.output.warn(
        "a shell is open in the machine: what it changes stays there, and no later run does it again",
    );
    attendant.lend_terminal(true);
    let done = shell_in(host, context, kind, guest).await;
    attendant.lend_terminal(false);
    if let Err(ExecError::Failed(failure)) = done {
        context.output.warn(failure.message);
    }
}

async fn shell_in(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    guest: &Guest,
) -> Result<(), ExecError> {
    let resolver = Resolver::new(host, context);
    let user = resolver.text(&kind.ssh.user)?;
    let scratch = host.store.staging()?;
    let dir: &Path = scratch.path();
    visit::open_shell(host, guest, &user, dir, &context.cancel)
        .await
        .map(drop)
}
