//! `kind = "provision"`: runs steps inside a machine.

use std::time::Duration;

use super::again;
use super::checkpoints::{self, Keeper};
use super::login;
use super::machine::Session;
use super::resolve::Resolver;
use super::start::Start;
use super::taking;
use super::{Host, OnError, attended, step, upstream_machine};
use crate::engine::{ExecError, StageContext};
use crate::guest::{Exec, Guest};
use crate::model::{Artifact, MachineState, Provision, Ssh};
use crate::store::StepCheckpoint;
use crate::sys::Cancel;

/// How long a guest that goes on from a checkpoint may take to be logged in to: it runs already.
pub(super) const RESUMED: crate::model::Duration = crate::model::Duration::from_secs(90);

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
) -> Result<Artifact, ExecError> {
    let below = upstream_machine(context)?;
    let resolver = Resolver::new(host, context);
    let mut keeper = Keeper::new(host, context, kind, below).await?;
    let begun = match resumed(host, context, kind, below, &mut keeper).await? {
        Some(begun) => begun,
        None => booted(host, context, kind, below, &mut keeper).await?,
    };
    let Begun {
        mut session,
        guest,
        done: resumed_after,
    } = begun;
    for (index, step) in kind.steps.iter().enumerate().skip(resumed_after) {
        context.output.step(format!(
            "[{}/{}] {}",
            index + 1,
            kind.steps.len(),
            step.title
        ));
        let work = attempt(host, context, kind, index, (&mut session, &guest));
        // what was kept before the step is put away while it runs
        let (done, settled) = tokio::join!(work, keeper.settle());
        if let Err((error, decided)) = done {
            if matches!(error, ExecError::Failed(_)) {
                keeper.note_failed(Some(index));
            }
            let below = settled.is_ok().then(|| keeper.state());
            let machine = (session, &guest, below);
            return Err(failed(host, context, machine, resumed_after, (error, decided)).await);
        }
        settled?;
        keeper.keep(&mut session, &guest, index + 1).await?;
    }
    keeper.note_failed(None);
    super::trim::trim(&guest, context, kind.trim).await?;
    let shutdown = step::optional(&resolver, kind.shutdown.as_ref())?;
    let finished = keeper.finished(shutdown.as_deref())?;
    let machine = taking::finish(host, context, (session, guest), finished).await?;
    Ok(Artifact {
        machine: Some(machine),
        ..Artifact::default()
    })
}

/// A step has failed: what can be seen of the machine, which is kept if the run was asked to. Without `below` there is
/// nothing to keep: what its disks are laid over could not be put away.
async fn failed(
    host: &Host,
    context: &StageContext,
    (mut session, guest, below): (Session, &Guest, Option<&MachineState>),
    resumed_after: usize,
    (error, decided): (ExecError, Option<OnError>),
) -> ExecError {
    let key = &context.stage.key;
    if decided.unwrap_or(host.on_error) != OnError::Cleanup {
        flush(guest, &context.cancel).await;
    }
    let mut error = session.evidence(error).await;
    if let (1.., ExecError::Failed(failure)) = (resumed_after, &mut error) {
        let name = &key.name;
        failure.help.push(format!("the first {resumed_after} steps were not done again: `forge run --force {name}` starts from the disks"));
    }
    match below {
        Some(below) => session.abandon(host, key, below, error, decided).await,
        None => error,
    }
}

/// A machine that steps can be run in.
struct Begun {
    session: Session,
    guest: Guest,
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
    keeper.starts_from(below.clone());
    let start = Start::over(host, below, &kind.hardware, &kind.ssh)?;
    let mut session = Session::launch(host, context, start).await?;
    let guest = match login(&mut session, host, context, &kind.ssh, kind.ssh.timeout).await {
        Ok(guest) => guest,
        Err(error) => {
            return Err(session
                .abandon(host, &context.stage.key, below, error, None)
                .await);
        }
    };
    keeper.keep(&mut session, &guest, 0).await?;
    Ok(Begun {
        session,
        guest,
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
    let Some((done, checkpoint)) = keeper.newest(below).await else {
        return Ok(None);
    };
    match resume(host, context, kind, &checkpoint).await {
        Ok((session, guest)) => {
            let all = kind.steps.len();
            context.output.line(&match done {
                0 => "going on from the running machine".to_owned(),
                _ => format!("{done} of {all} steps are as they were, going on from there"),
            });
            keeper.starts_from(checkpoint.machine);
            Ok(Some(Begun {
                session,
                guest,
                done,
            }))
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
) -> Result<(Session, Guest), ExecError> {
    let mut start = Start::over(host, &checkpoint.machine, &kind.hardware, &kind.ssh)?;
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
    Ok((session, guest))
}

/// Logs in to a machine that has been started, within `timeout`.
pub(super) async fn login(
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
pub(super) async fn flush(guest: &Guest, cancel: &Cancel) {
    let exec = Exec {
        timeout: Some(Duration::from_secs(20)),
        ..Exec::new("sync")
    };
    let _ = guest.run(&exec, &mut |_, _| {}, cancel).await;
}

/// Runs a step, as often as somebody at the terminal wants; with the failure comes what they want of the machine.
async fn attempt(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    index: usize,
    (session, guest): (&mut Session, &Guest),
) -> Result<(), (ExecError, Option<OnError>)> {
    let stopped = attended::before(host, context, kind, index, guest).await;
    stopped.map_err(|error| (error, None))?;
    let Some(step) = kind.steps.get(index) else {
        return Ok(());
    };
    loop {
        let done = tokio::select! {
            done = run_step(host, context, kind, step, guest) => done,
            error = session.trouble() => Err(error),
        };
        match done {
            Err(ExecError::Failed(failure)) => {
                let wanted =
                    attended::after(host, context, kind, (index, failure.as_ref()), guest).await;
                if wanted.is_some() {
                    return Err((ExecError::Failed(failure), wanted));
                }
            }
            done => return done.map_err(|error| (error, None)),
        }
    }
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
