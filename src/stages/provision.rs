//! `kind = "provision"`: runs steps inside a machine.

use std::time::Duration;

use super::again;
use super::checkpoints::{self, Keeper};
use super::login;
use super::machine::Session;
use super::resolve::Resolver;
use super::start::Start;
use super::{Host, step, upstream_machine};
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest};
use crate::model::{Artifact, MachineState, Provision, Ssh};
use crate::store::StepCheckpoint;
use crate::sys::Cancel;

/// How long a guest that goes on from a checkpoint may take to be logged in to: it runs already.
const RESUMED: crate::model::Duration = crate::model::Duration::from_secs(90);

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
) -> Result<Artifact, ExecError> {
    let below = upstream_machine(context)?;
    let resolver = Resolver::new(host, context);
    let mut keeper = Keeper::new(host, context, kind, &below.provider).await?;
    let begun = match resumed(host, context, kind, below, &mut keeper).await? {
        Some(begun) => begun,
        None => booted(host, context, kind, below, &mut keeper).await?,
    };
    let Begun {
        mut session,
        guest,
        state: mut below,
        done: resumed_after,
    } = begun;
    for (index, step) in kind.steps.iter().enumerate().skip(resumed_after) {
        context.output.step(format!(
            "[{}/{}] {}",
            index + 1,
            kind.steps.len(),
            step.title
        ));
        let done = tokio::select! {
            done = run_step(host, context, kind, step, &guest) => done,
            error = session.trouble() => Err(error),
        };
        if let Err(error) = done {
            if host.on_error == super::OnError::Keep {
                flush(&guest, &context.cancel).await;
            }
            let mut error = session.evidence(error).await;
            if let (1.., ExecError::Failed(failure)) = (resumed_after, &mut error) {
                let name = &context.stage.key.name;
                failure.help.push(format!("the first {resumed_after} steps were not done again: `forge run --force {name}` starts from the disks"));
            }
            return Err(session
                .abandon(host, &context.stage.key, &below, error)
                .await);
        }
        keeper
            .keep(&mut session, &guest, index + 1, &mut below)
            .await?;
    }
    let shutdown = step::optional(&resolver, kind.shutdown.as_ref())?;
    let parts = session
        .shut_down(host, guest, shutdown.as_deref(), Some(&below))
        .await?;
    let machine = MachineState {
        hardware: kind.hardware.clone(),
        disks: parts.disks,
        nvram: parts.nvram.or(below.nvram),
        provider: below.provider,
        remote: parts.remote,
    };
    Ok(Artifact {
        machine: Some(machine),
        ..Artifact::default()
    })
}

/// A machine that steps can be run in.
struct Begun {
    session: Session,
    guest: Guest,
    /// What its disks are laid over.
    state: MachineState,
    /// How many steps it has behind it.
    done: usize,
}

/// Starts the machine from its disks.
async fn booted(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    below: &MachineState,
    keeper: &mut Keeper<'_>,
) -> Result<Begun, ExecError> {
    keeper.restart_clock();
    let start = Start::over(host, below, &kind.hardware, &kind.ssh)?;
    let mut session = Session::launch(host, context, start).await?;
    let guest = match login(&mut session, host, context, &kind.ssh, kind.ssh.timeout).await {
        Ok(guest) => guest,
        Err(error) => {
            return Err(session
                .abandon(host, &context.stage.key, below, error)
                .await);
        }
    };
    let mut state = below.clone();
    keeper.keep(&mut session, &guest, 0, &mut state).await?;
    Ok(Begun {
        session,
        guest,
        state,
        done: 0,
    })
}

/// Goes on from the newest checkpoint, if there is one that works.
async fn resumed(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    below: &MachineState,
    keeper: &mut Keeper<'_>,
) -> Result<Option<Begun>, ExecError> {
    let Some(checkpoint) = keeper.newest(below).await else {
        return Ok(None);
    };
    match resume(host, context, kind, &checkpoint).await {
        Ok(begun) => {
            let (done, all) = (checkpoint.step, kind.steps.len());
            context.output.line(&match done {
                0 => "going on from the running machine".to_owned(),
                _ => format!("{done} of {all} steps are as they were, going on from there"),
            });
            keeper.restart_clock();
            Ok(Some(begun))
        }
        Err(ExecError::Cancelled) => Err(ExecError::Cancelled),
        Err(error) => {
            keeper.forget(&checkpoint, &error);
            Ok(None)
        }
    }
}

async fn resume(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    checkpoint: &StepCheckpoint,
) -> Result<Begun, ExecError> {
    let state = checkpoint.machine.clone();
    let mut start = Start::over(host, &state, &kind.hardware, &kind.ssh)?;
    match &checkpoint.memory {
        Some(memory) => start.memory = Some((host.store.path(memory), checkpoint.drives)),
        None => start.resume = true,
    }
    let mut session = Session::launch(host, context, start).await?;
    let resolver = Resolver::new(host, context);
    let target = |address| login::target(&resolver, host, &kind.ssh, address);
    let met = match &checkpoint.met {
        Some(met) => again::meet(&mut session, context, &target, met).await?,
        None => None,
    };
    let guest = match met {
        Some(guest) => guest,
        None => {
            let timeout = kind.ssh.timeout.min(RESUMED);
            login(&mut session, host, context, &kind.ssh, timeout).await?
        }
    };
    checkpoints::wake(&guest, context).await?;
    Ok(Begun {
        session,
        guest,
        state,
        done: checkpoint.step,
    })
}

async fn login(
    session: &mut Session,
    host: &Host,
    context: &StageContext,
    ssh: &Ssh,
    timeout: crate::model::Duration,
) -> Result<Guest, ExecError> {
    let resolver = Resolver::new(host, context);
    let target = |address| login::target(&resolver, host, ssh, address);
    let mut watch = |_: Duration| None;
    session.login(&target, timeout, &mut watch).await
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
