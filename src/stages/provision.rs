//! `kind = "provision"`: runs steps inside a machine.

use std::time::Duration;

use super::machine::{self, Session, Start};
use super::resolve::Resolver;
use super::{Host, step, upstream_machine};
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest};
use crate::model::{Artifact, MachineState, Provision};
use crate::sys::Cancel;

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
) -> Result<Artifact, ExecError> {
    let below = upstream_machine(context)?.clone();
    let resolver = Resolver::new(host, context);
    let start = Start::over(host, &below, &kind.hardware, &kind.ssh)?;
    let mut session = Session::launch(host, context, start).await?;
    let ssh = &kind.ssh;
    let mut watch = |_: Duration| None;
    let login = session
        .login(
            async |address| machine::target(&resolver, host, ssh, address),
            ssh.timeout,
            &mut watch,
        )
        .await;
    let guest = match login {
        Ok(guest) => guest,
        Err(error) => {
            return Err(session
                .abandon(host, &context.stage.key, &below, error)
                .await);
        }
    };
    for (index, step) in kind.steps.iter().enumerate() {
        context.output.step(format!(
            "[{}/{}] {}",
            index + 1,
            kind.steps.len(),
            step.title
        ));
        if let Err(error) = run_step(host, context, kind, step, &guest).await {
            if host.on_error == super::OnError::Keep {
                flush(&guest, &context.cancel).await;
            }
            let error = session.evidence(error).await;
            return Err(session
                .abandon(host, &context.stage.key, &below, error)
                .await);
        }
    }
    let shutdown = kind
        .shutdown
        .as_ref()
        .map(|text| resolver.text(text))
        .transpose()?;
    let parts = session
        .shut_down(host, guest, shutdown.as_deref(), Some(&below))
        .await?;
    let machine = MachineState {
        hardware: kind.hardware.clone(),
        disks: parts.disks,
        nvram: parts.nvram.or(below.nvram),
        provider: below.provider,
    };
    Ok(Artifact {
        machine: Some(machine),
        ..Artifact::default()
    })
}

/// Has the guest write its disks, so that what is kept is what it had. A guest that cannot is kept as it is.
async fn flush(guest: &Guest, cancel: &Cancel) {
    let exec = Exec {
        timeout: Some(Duration::from_secs(20)),
        ..Exec::new("sync")
    };
    let _ = guest.run(&exec, &mut |_, _| {}, cancel).await;
}

async fn run_step(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    step: &crate::model::Step,
    guest: &Guest,
) -> Result<(), ExecError> {
    if let Some(pause) = step.pause_before {
        context
            .cancel
            .run(tokio::time::sleep(pause.std()))
            .await
            .ok_or(ExecError::Cancelled)?;
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        match step::run(host, context, kind, step, guest).await {
            Err(ExecError::Failed(failure)) if attempt <= step.retries => {
                context.output.warn(format!(
                    "{}: {}; trying again ({attempt} of {})",
                    step.title, failure.message, step.retries
                ));
            }
            other => return other,
        }
    }
}
