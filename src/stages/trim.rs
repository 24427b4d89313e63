//! Before a provisioned guest is turned off: what its disks hold and no file needs is given back, so that layers, exported disks
//! and appliances hold what is there and not what once was.
//!
//! It is the last thing that can be done from within; an export has disks at rest. Discarded clusters of a qcow2 layer read as
//! zeros, whatever the layers below hold, and zeros are not exported.

use std::time::Duration;

use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest, GuestError, Stream};
use crate::model::Trim;

const SCRIPT: &str = include_str!("trim.sh");

/// Discarding takes seconds.
const DISCARDING: Duration = Duration::from_secs(600);
/// Filling writes all of the free space.
const FILLING: Duration = Duration::from_secs(7200);

/// Gives back what can be. A guest that cannot is told of, and nothing is wrong with it.
pub(super) async fn trim(
    guest: &Guest,
    context: &StageContext,
    trim: Trim,
) -> Result<(), ExecError> {
    let (mode, timeout) = match trim {
        Trim::Off => return Ok(()),
        Trim::Auto => ("auto", DISCARDING),
        Trim::Zero => ("zero", FILLING),
    };
    context.output.step("giving free space back");
    let mut text = Vec::new();
    let result = run(guest, context, mode, timeout, &mut text).await;
    match result {
        Err(GuestError::Cancelled) => return Err(ExecError::Cancelled),
        Err(error) => context
            .output
            .line(&format!("free space was not given back: {error}")),
        Ok(0) => {}
        Ok(_) => context
            .output
            .line("free space was not given back: that takes root, or sudo"),
    }
    for line in String::from_utf8_lossy(&text).lines() {
        context.output.line(line);
    }
    Ok(())
}

async fn run(
    guest: &Guest,
    context: &StageContext,
    mode: &str,
    timeout: Duration,
    text: &mut Vec<u8>,
) -> Result<i32, GuestError> {
    let mut keep = |stream: Stream, bytes: &[u8]| {
        if stream == Stream::Stdout {
            text.extend_from_slice(bytes);
        }
    };
    let exec = |command: String, stdin: String| Exec {
        command,
        stdin: Some(stdin.into_bytes()),
        timeout: Some(timeout),
    };
    let command = format!(
        "if [ \"$(id -u)\" = 0 ]; then exec sh -s {mode}; else exec sudo -n sh -s {mode}; fi"
    );
    let first = exec(command, SCRIPT.to_owned());
    let code = guest.run(&first, &mut keep, &context.cancel).await?;
    let Some(password) = guest.target().password.as_ref().filter(|_| code != 0) else {
        return Ok(code);
    };
    // sudo takes its line from what the shell would read.
    let stdin = format!("{}\n{SCRIPT}", password.reveal());
    let second = exec(format!("sudo -S -p '' sh -s {mode}"), stdin);
    guest.run(&second, &mut keep, &context.cancel).await
}
