//! Restarting a guest and knowing that it did.

use std::time::{Duration, Instant};

use super::{Captured, Exec, Guest, GuestError};
use crate::sys::Cancel;

/// What restarts a guest when nothing else is said.
const REBOOT: &str = "reboot";
/// How long the command may go on before the guest is asked whether it has restarted.
const COMMAND: Duration = Duration::from_secs(30);

impl Guest {
    /// What tells this boot of the guest from any other.
    pub async fn boot_id(&self, cancel: &Cancel) -> Result<String, GuestError> {
        let exec = Exec {
            timeout: Some(Duration::from_secs(30)),
            ..Exec::new(&self.boot_id)
        };
        let captured = self.capture(&exec, cancel).await?;
        let id = String::from_utf8_lossy(&captured.stdout).trim().to_owned();
        if captured.status != 0 || id.is_empty() {
            return Err(GuestError::Failed(format!(
                "the guest has no boot id: {}",
                captured.complaint()
            )));
        }
        Ok(id)
    }

    /// [`Guest::boot_id`], asked once as long as the connection holds.
    pub async fn this_boot(&self, cancel: &Cancel) -> Result<String, GuestError> {
        if let Some(known) = self.boot.lock().ok().and_then(|boot| boot.clone()) {
            return Ok(known);
        }
        let id = self.boot_id(cancel).await?;
        if let Ok(mut boot) = self.boot.lock() {
            *boot = Some(id.clone());
        }
        Ok(id)
    }

    /// Restarts the guest (by `command`, else by `reboot`) and returns when another boot of it lets us in.
    pub async fn reboot(
        &self,
        command: Option<&str>,
        deadline: Instant,
        cancel: &Cancel,
        note: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), GuestError> {
        let start = Instant::now();
        let before = self.boot_id(cancel).await?;
        let exec = Exec {
            timeout: Some(COMMAND.min(deadline.saturating_duration_since(start))),
            ..Exec::new(command.unwrap_or(REBOOT))
        };
        note("restarting");
        match self.capture(&exec, cancel).await {
            // ended by a signal: the shutdown was quicker than the command's answer
            Ok(Captured { status, .. }) if status == 0 || status > 128 => {}
            Ok(captured) => {
                return Err(GuestError::Failed(format!(
                    "`{}` failed: {}",
                    exec.command,
                    captured.complaint()
                )));
            }
            Err(GuestError::Lost(_) | GuestError::Timeout { .. }) => {}
            Err(error) => return Err(error),
        }
        let late = |met: &str| GuestError::Timeout {
            what: format!("restarting the guest ({met})"),
            limit: start.elapsed(),
        };
        loop {
            match self.reconnect(deadline, cancel, note).await {
                Err(GuestError::Refused { reason, .. }) => return Err(late(&reason)),
                other => other?,
            }
            match self.boot_id(cancel).await {
                Ok(id) if id != before => return Ok(()),
                Ok(_) => note("waiting for the guest to go down"),
                Err(GuestError::Cancelled) => return Err(GuestError::Cancelled),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Err(late("it has not gone down"));
            }
            // the old boot still answers: give it a moment to end
            let pause = tokio::time::sleep(Duration::from_millis(250));
            cancel.run(pause).await.ok_or(GuestError::Cancelled)?;
        }
    }
}
