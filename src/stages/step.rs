//! The steps of `provision`.

use std::collections::BTreeMap;
use std::time::Instant;

use super::failure::failure;
use super::resolve::Resolver;
use super::{Host, command, shell, verify};
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::guest::{Guest, GuestError};
use crate::model::{Provision, Step, StepAction, Text};

/// Runs a step once, within its timeout.
pub(super) async fn run(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    step: &Step,
    guest: &Guest,
) -> Result<(), ExecError> {
    let work = act(host, context, kind, step, guest);
    // a script's own timeout also ends it in the guest
    let Some(limit) = step
        .timeout
        .filter(|_| !matches!(step.action, StepAction::Shell(_)))
    else {
        return work.await;
    };
    tokio::time::timeout(limit.std(), work)
        .await
        .unwrap_or_else(|_| {
            Err(StageFailure {
                message: format!("the step was not done within its timeout of {limit}"),
                help: vec!["raise the step's `timeout` if it needs longer".into()],
                ..StageFailure::default()
            }
            .into())
        })
}

async fn act(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    step: &Step,
    guest: &Guest,
) -> Result<(), ExecError> {
    let resolver = Resolver::new(host, context);
    match &step.action {
        StepAction::Upload { source, to } => {
            let (source, to) = (host.root.join(source), resolver.text(to)?);
            let output = context.output.clone();
            let progress = move |done| output.progress(done, None);
            guest
                .upload(&source, &to, &progress, &context.cancel)
                .await?;
        }
        StepAction::Shell(shell) => {
            shell::run(host, context, kind, (shell, step.timeout), guest).await?;
        }
        StepAction::Local(line) => {
            command::check(command::run(host, context, line, &environment(guest)).await?)?;
        }
        StepAction::Reboot { command, timeout } => {
            let command = optional(&resolver, command.as_ref())?;
            let output = context.output.clone();
            let note = move |text: &str| output.note(text);
            guest
                .reboot(
                    command.as_deref(),
                    Instant::now() + timeout.std(),
                    &context.cancel,
                    &note,
                )
                .await?;
        }
        StepAction::Pause(duration) => {
            context
                .cancel
                .run(tokio::time::sleep(duration.std()))
                .await
                .ok_or(ExecError::Cancelled)?;
        }
        StepAction::Check(source) => {
            let report = verify::run_checks(host, context, guest, source, None).await?;
            verify::judge(&report)?;
        }
    }
    Ok(())
}

/// What a local command is told of the guest.
fn environment(guest: &Guest) -> BTreeMap<String, String> {
    let target = guest.target();
    BTreeMap::from([
        ("FORGE_SSH_HOST".to_owned(), target.addr.ip().to_string()),
        ("FORGE_SSH_PORT".to_owned(), target.addr.port().to_string()),
        ("FORGE_SSH_USER".to_owned(), target.user.clone()),
    ])
}

/// A lost connection in words that say what it means here.
pub(super) fn lost(error: GuestError) -> ExecError {
    match error {
        GuestError::Lost(reason) => StageFailure {
            message: format!("the connection to the guest was lost while the script ran: {reason}"),
            help: vec![
                "if the script restarts the guest or its network, set `expect_disconnect = true`, or use a `reboot` step".into(),
                "if the guest turned itself off or crashed, the screenshot and the serial log tell".into(),
            ],
            ..StageFailure::default()
        }
        .into(),
        other => other.into(),
    }
}

/// A text that must be there.
pub(super) fn optional(
    resolver: &Resolver<'_>,
    text: Option<&Text>,
) -> Result<Option<String>, StageFailure> {
    text.map(|text| resolver.text(text)).transpose()
}

/// A failure for what cannot be read.
pub(super) fn unreadable(path: &std::path::Path, error: &std::io::Error) -> StageFailure {
    let mut failed = failure(format!("cannot read {}: {error}", path.display()));
    failed
        .help
        .push("it was there when the project was loaded".into());
    failed
}
