//! Machines on servers: whether they are still as they were left, their names, their removal.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Host;
use super::failure::failure;
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::model::{
    Artifact, Clone, Hardware, MachineSource, MachineState, Name, Remote, Stage, StageKey,
    StageKind,
};
use crate::provider::{Mark, Provider, ProviderError};
use crate::store::StepCheckpoint;
use crate::sys::{Dead, LeftMachine};

/// A provider whose machines could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Its name in `builds.toml`.
    pub provider: Name,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { provider, why } = self;
        write!(
            f,
            "the machines of the provider `{provider}` are taken to be as they were left: {why}"
        )
    }
}

/// Removes machines that killed forges have left on servers. Returns what was removed, and what went wrong: that stays in
/// the journal.
pub async fn reclaim(host: &Host) -> (Vec<String>, Vec<String>) {
    let (mut removed, mut wrong) = (Vec::new(), Vec::new());
    let machines = match left(host) {
        Ok(machines) => machines,
        Err(error) => {
            wrong.push(format!("cannot clean up after an earlier run: {error}"));
            return (removed, wrong);
        }
    };
    // the records are read only where there is something to compare with them
    if machines.is_empty() {
        return (removed, wrong);
    }
    let recorded = recorded(host);
    for left in machines {
        let name = &left.machine.provider;
        let machines = machines_of(&recorded, name);
        let done = match host.provider(name) {
            Ok(provider) => provider.reclaim(&left.machine.name, &machines).await,
            Err(failure) => Err(ProviderError::Failed(failure.message)),
        };
        let what = left.what.clone();
        match done {
            Ok(()) => match left.strike() {
                Ok(()) => removed.push(what),
                Err(error) => wrong.push(error.to_string()),
            },
            Err(error) => wrong.push(format!(
                "the {what}, which a killed forge has left, could not be removed: {error}"
            )),
        }
    }
    (removed, wrong)
}

/// The machines that stand in the project's journal and belong to nobody who lives.
fn left(host: &Host) -> std::io::Result<Vec<LeftMachine>> {
    let mut machines = Vec::new();
    for dead in Dead::all(&host.root.join(".forge/journal"))? {
        machines.extend(dead.undo()?.machines);
        dead.strike()?;
    }
    Ok(machines)
}

/// Asks the servers for the machines that records refer to, and notes those that are gone or changed: they count as
/// missing from then on. One question for each server; none where there are no machines.
pub async fn look_for_lost<'s>(
    host: &Host,
    stages: impl Iterator<Item = &'s Stage>,
) -> Vec<Unreachable> {
    let used: BTreeSet<&Name> = stages.filter_map(|stage| server_of(host, stage)).collect();
    // most projects have none: the records are not read then
    if used.is_empty() {
        return Vec::new();
    }
    let mut unreachable = Vec::new();
    let recorded = recorded(host);
    for name in used {
        let machines = machines_of(&recorded, name.as_str());
        let Some(provider) = host.providers.get(name).filter(|_| !machines.is_empty()) else {
            continue;
        };
        match provider.lost(&machines).await {
            Ok(lost) => {
                for (machine, why) in lost {
                    host.db.note_lost(&machine.uuid, &machine.snapshot, why);
                }
            }
            Err(error) => unreachable.push(Unreachable {
                provider: name.clone(),
                why: error.to_string(),
            }),
        }
    }
    unreachable
}

/// The provider that a stage names, if its machines live on a server.
pub fn server_of<'s>(host: &Host, stage: &'s Stage) -> Option<&'s Name> {
    let named = named_provider(stage)?;
    let provider = host.providers.get(named)?;
    provider.on_server().then_some(named)
}

/// The provider that a stage names.
fn named_provider(stage: &Stage) -> Option<&Name> {
    match &stage.kind {
        StageKind::IsoBase(kind) => Some(&kind.provider),
        StageKind::Verify(kind) => Some(&kind.provider),
        StageKind::Publish(kind) => Some(&kind.provider),
        StageKind::Clone(kind) => Some(&kind.source.as_ref()?.provider),
        _ => None,
    }
}

/// The machine of somebody else's that a stage's machines are clones of.
pub(super) async fn locate(
    host: &Host,
    source: &MachineSource,
    hardware: &Hardware,
) -> Result<MachineState, ExecError> {
    let provider = host.provider(source.provider.as_str())?;
    let found = provider.locate(source, hardware).await;
    let remote = found.map_err(|errors| {
        let first = errors.into_iter().next();
        first.unwrap_or_else(|| ProviderError::Failed(format!("there is no `{}`", source.vm)))
    })?;
    Ok(MachineState {
        hardware: hardware.clone(),
        disks: Vec::new(),
        nvram: None,
        provider: source.provider.to_string(),
        remote: Some(remote),
    })
}

/// What stands in the way of these stages, all of it at once: each provider is asked about each hardware that one of them
/// runs, about the way of disks to and from it, and about the libraries that media come from and appliances are put into.
/// Without `local`, providers of this host are not asked.
pub async fn preflight<'s>(
    host: &Host,
    stages: impl Iterator<Item = &'s Stage>,
    local: bool,
) -> Vec<(Name, ProviderError)> {
    let stages: Vec<&Stage> = stages.collect();
    let mut asked: Vec<(&Name, &Hardware)> = Vec::new();
    let mut errors: Vec<(Name, ProviderError)> = Vec::new();
    for stage in &stages {
        let (name, hardware, source) = match &stage.kind {
            StageKind::IsoBase(kind) => (&kind.provider, &kind.hardware, None),
            StageKind::Clone(Clone {
                source: Some(source),
                hardware,
                ..
            }) => (&source.provider, hardware, Some(source)),
            StageKind::Publish(kind) => {
                let error = super::publish::preflight(host, stage, kind).await;
                note(&mut errors, &kind.provider, error);
                continue;
            }
            _ => continue,
        };
        let known = host.providers.get(name);
        let Some(provider) = known.filter(|provider| local || provider.on_server()) else {
            continue;
        };
        let mut found = Vec::new();
        if !asked.contains(&(name, hardware)) {
            asked.push((name, hardware));
            found = provider.preflight(hardware).await;
        }
        if let StageKind::IsoBase(kind) = &stage.kind {
            found.extend(super::iso_base::preflight(provider.as_ref(), &kind.iso).await);
        }
        match source {
            Some(source) if found.is_empty() => {
                let located = provider.locate(source, hardware).await;
                found.extend(located.err().into_iter().flatten());
            }
            Some(_) => {}
            None => found.extend(provider.clash(&mark(host, stage)).await),
        }
        note(&mut errors, name, found);
    }
    let servers: BTreeSet<&Name> = stages
        .iter()
        .filter_map(|stage| transfers(&stages, stage))
        .collect();
    for name in servers {
        if let Some(provider) = host.providers.get(name) {
            let found = provider.transfers().await;
            note(&mut errors, name, found);
        }
    }
    errors
}

/// The provider that a stage's disks come from or go to.
fn transfers<'s>(stages: &[&'s Stage], stage: &'s Stage) -> Option<&'s Name> {
    match &stage.kind {
        StageKind::Verify(kind) => Some(&kind.provider),
        StageKind::Export(_) => provider_below(stages, stage),
        _ => None,
    }
}

/// The provider of the machine that a stage starts from, as far as that is among `stages`.
pub(super) fn provider_below<'s>(stages: &[&'s Stage], stage: &'s Stage) -> Option<&'s Name> {
    let mut at = stage;
    loop {
        let from = at.from.as_ref()?;
        at = stages.iter().find(|known| known.key == *from)?;
        if let Some(name) = named_provider(at) {
            return Some(name);
        }
    }
}

/// Notes errors, each once.
fn note(
    errors: &mut Vec<(Name, ProviderError)>,
    provider: &Name,
    found: impl IntoIterator<Item = ProviderError>,
) {
    for error in found {
        let known = errors
            .iter()
            .any(|(_, known)| known.to_string() == error.to_string());
        if !known {
            errors.push((provider.clone(), error));
        }
    }
}

/// The machines on servers that records refer to, each once, with its provider's name.
fn recorded(host: &Host) -> Vec<(String, Remote)> {
    let mut machines = Vec::new();
    for state in host.db.remote_machines(None) {
        let machine = state.remote.map(|remote| (state.provider, remote));
        if let Some(machine) = machine.filter(|machine| !machines.contains(machine)) {
            machines.push(machine);
        }
    }
    machines
}

/// Those among them that are at one provider.
fn machines_of(recorded: &[(String, Remote)], provider: &str) -> Vec<Remote> {
    let there = recorded.iter().filter(|(known, _)| known == provider);
    there.map(|(_, machine)| machine.clone()).collect()
}

/// Gives the machine that a stage has left its name.
pub(super) async fn publish(
    host: &Host,
    stage: &Stage,
    artifact: &Artifact,
) -> Result<(), StageFailure> {
    let Some((state, remote)) = of_server(artifact) else {
        return Ok(());
    };
    let mark = mark(host, stage);
    let provider = host.provider(&state.provider)?;
    provider.publish(remote, &mark).await.map_err(|error| {
        let message = format!("the machine could not be called `{}`: {error}", mark.name);
        failure(message)
    })
}

/// What is written on the machines of a stage; the fingerprint is that of no machine yet.
pub(super) fn mark(host: &Host, stage: &Stage) -> Mark {
    let name = match stage.vm_name() {
        Some(name) => name.to_owned(),
        None => {
            let parts = [host.project.as_str(), stage.key.name.as_str()].into_iter();
            let parts = parts.chain(stage.key.axes.values().map(String::as_str));
            parts.collect::<Vec<_>>().join("-")
        }
    };
    Mark {
        project: host.project.clone(),
        stage: stage.key.to_string(),
        fingerprint: String::new(),
        name,
        template: super::running_hardware(stage)
            .and_then(|hardware| hardware.vsphere.as_ref())
            .is_some_and(|more| more.template),
    }
}

/// Gives a failed machine that is kept a name of its own.
pub(super) async fn publish_failed(
    host: &Host,
    stage: &StageKey,
    state: &MachineState,
    output: &Output,
) {
    let (Some(remote), Ok(provider)) = (&state.remote, host.provider(&state.provider)) else {
        return;
    };
    // one that went on from a checkpoint is the stage's own machine, at another snapshot
    if recorded(host)
        .iter()
        .any(|(_, known)| known.uuid == remote.uuid)
    {
        return;
    }
    let mark = Mark {
        project: host.project.clone(),
        stage: stage.to_string(),
        fingerprint: String::new(),
        name: format!("{}-failed", remote.name),
        template: false,
    };
    if let Err(error) = provider.publish(remote, &mark).await {
        output.warn(format!(
            "the failed machine has no name of its own: {error}"
        ));
    }
}

/// Lets the state of a replaced checkpoint go; that it stays costs space, and nothing else.
pub(super) fn discard(host: &Host, context: &StageContext, old: StepCheckpoint) {
    let (Some(remote), Ok(provider)) = (old.machine.remote, host.provider(&old.machine.provider))
    else {
        return;
    };
    let (provider, output) = (Arc::clone(provider), context.output.clone());
    tokio::spawn(async move {
        if let Err(error) = provider.discard(&remote).await {
            output.note(&format!("an old checkpoint stays: {error}"));
        }
    });
}

fn of_server(artifact: &Artifact) -> Option<(&MachineState, &Remote)> {
    let state = artifact.machine.as_ref()?;
    Some((state, state.remote.as_ref()?))
}

/// Removes the machines that a stage has left on servers, not those that it only hands on; returns the names of those that
/// were there, and what went wrong.
pub async fn remove_machines(
    host: &Host,
    stage: &StageKey,
    machines: &[MachineState],
) -> (Vec<String>, Vec<ProviderError>) {
    let (mut removed, mut wrong) = (Vec::new(), Vec::new());
    for state in machines {
        let Some(remote) = &state.remote else {
            continue;
        };
        let Ok(provider) = host.provider(&state.provider) else {
            wrong.push(ProviderError::Failed(format!(
                "builds.toml has no provider `{}` any more: `{}` is left there",
                state.provider, remote.name
            )));
            continue;
        };
        match provider.remove(remote, &stage.to_string()).await {
            Ok(true) => removed.push(remote.name.clone()),
            Ok(false) => {}
            Err(error) => wrong.push(error),
        }
    }
    (removed, wrong)
}

/// The machine of a server that a stage is to export.
pub(super) fn exported<'h>(
    host: &'h Host,
    state: &'h MachineState,
) -> Result<Option<(&'h dyn Provider, &'h Remote)>, ExecError> {
    let Some(remote) = &state.remote else {
        return Ok(None);
    };
    Ok(Some((host.provider(&state.provider)?.as_ref(), remote)))
}
