//! Machines on servers: whether they are still as they were left, their names, their removal.

use std::collections::BTreeMap;

use super::Host;
use super::failure::failure;
use crate::engine::{ExecError, StageFailure};
use crate::model::{Artifact, MachineState, Name, Remote, Stage};
use crate::provider::{Mark, Provider, ProviderError};

/// A provider whose machines could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Its name in `builds.toml`.
    pub provider: Name,
    /// Why.
    pub why: String,
}

/// Asks the servers for the machines that records refer to, and notes those that are gone or changed: they count as
/// missing from then on. One question for each server; none where there are no machines.
pub async fn look_for_lost(host: &Host) -> Vec<Unreachable> {
    let mut unreachable = Vec::new();
    for (name, machines) in recorded(host) {
        let Some(provider) = host.providers.get(&name) else {
            continue;
        };
        match provider.lost(&machines).await {
            Ok(lost) => {
                for (machine, why) in lost {
                    host.db.note_lost(&machine.uuid, &machine.snapshot, why);
                }
            }
            Err(error) => unreachable.push(Unreachable {
                provider: name,
                why: error.to_string(),
            }),
        }
    }
    unreachable
}

fn recorded(host: &Host) -> BTreeMap<Name, Vec<Remote>> {
    let mut machines: BTreeMap<Name, Vec<Remote>> = BTreeMap::new();
    for state in host.db.remote_machines() {
        if let (Ok(provider), Some(remote)) = (Name::parse(&state.provider), state.remote) {
            let known = machines.entry(provider).or_default();
            if !known.contains(&remote) {
                known.push(remote);
            }
        }
    }
    machines
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
    let mark = Mark {
        fingerprint: String::new(),
        ..mark(host, stage)
    };
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
        None => format!("{}-{}", host.project, stage.key.slug()),
    };
    Mark {
        project: host.project.clone(),
        stage: stage.key.to_string(),
        fingerprint: String::new(),
        name,
    }
}

fn of_server(artifact: &Artifact) -> Option<(&MachineState, &Remote)> {
    let state = artifact.machine.as_ref()?;
    Some((state, state.remote.as_ref()?))
}

/// Removes machines from their servers; returns the names of those that were there, and what went wrong.
pub async fn remove_machines(
    host: &Host,
    machines: &[MachineState],
) -> (Vec<String>, Vec<ProviderError>) {
    let (mut removed, mut wrong) = (Vec::new(), Vec::new());
    for state in machines {
        let Some(remote) = &state.remote else {
            continue;
        };
        let provider: Option<&dyn Provider> = Name::parse(&state.provider)
            .ok()
            .and_then(|name| host.providers.get(&name))
            .map(AsRef::as_ref);
        let Some(provider) = provider else {
            wrong.push(ProviderError::Failed(format!(
                "builds.toml has no provider `{}` any more: `{}` is left there",
                state.provider, remote.name
            )));
            continue;
        };
        match provider.remove(remote).await {
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
