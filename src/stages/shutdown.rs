//! Turning a guest off, and saying why it stayed on.

use super::failure::failure;
use crate::engine::{ExecError, StageFailure};
use crate::guest::{Exec, Guest, GuestError, Stream};
use crate::model;
use crate::provider::{Machine, ProviderError};
use crate::sys::Cancel;

/// How long a guest may take to turn off once asked.
const SHUTDOWN: model::Duration = model::Duration::from_secs(300);

/// Asks the guest by `command`, else by the power button, and returns when the machine is off.
pub(super) async fn turn_off(
    machine: &mut Box<dyn Machine>,
    guest: &Guest,
    command: Option<&str>,
    cancel: &Cancel,
) -> Result<(), ExecError> {
    let Some(command) = command else {
        machine.power_button().await?;
        let off = machine.wait_off(SHUTDOWN).await;
        return off.map_err(|error| explain_shutdown(error, None));
    };
    off_by_command(machine, guest, command, cancel).await
}

/// Runs the shutdown command and waits for the power to go. The command's connection may be cut at any moment; a command
/// that fails is told at once instead of after the whole wait.
async fn off_by_command(
    machine: &mut Box<dyn Machine>,
    guest: &Guest,
    command: &str,
    cancel: &Cancel,
) -> Result<(), ExecError> {
    let exec = Exec::new(command);
    let mut ignore = |_: Stream, _: &[u8]| {};
    let asked = guest.run(&exec, &mut ignore, cancel);
    let off = machine.wait_off(SHUTDOWN);
    tokio::pin!(asked, off);
    let mut answered = false;
    loop {
        tokio::select! {
            status = &mut asked, if !answered => match status {
                Err(GuestError::Cancelled) => return Err(ExecError::Cancelled),
                // 128 and more: ended by a signal, as a shutdown does to what is running
                Ok(code @ 1..128) => return Err(failure(format!("`{command}` failed with exit code {code}")).into()),
                _ => answered = true,
            },
            result = &mut off => return result.map_err(|error| explain_shutdown(error, Some(command))),
            () = cancel.cancelled() => return Err(ExecError::Cancelled),
        }
    }
}

fn explain_shutdown(error: ProviderError, command: Option<&str>) -> ExecError {
    match (error, command) {
        (ProviderError::Timeout(message), Some(command)) => StageFailure {
            message: format!("{message} after `{command}`"),
            help: vec!["set `shutdown` to a command that turns this system off".into()],
            ..StageFailure::default()
        }
        .into(),
        (ProviderError::Timeout(message), None) => StageFailure {
            message: format!("{message} after the power button"),
            help: vec!["the guest does not listen to the power button (acpid): set `shutdown`, such as `shutdown -P now`".into()],
            ..StageFailure::default()
        }
        .into(),
        (other, _) => other.into(),
    }
}
