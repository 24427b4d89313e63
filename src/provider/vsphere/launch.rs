//! From a specification to a running machine: made, cloned or imported, under a name of its own.

use std::sync::Arc;

use super::error::Attempts;
use super::hardware::{self, Media};
use super::machine::VsphereMachine;
use super::{Lab, Shared, locked, media, misfit, owned, transfer, translate};
use crate::model::{Hardware, Remote};
use crate::provider::{LaunchSpec, ProviderError};
use crate::sys::{Cancel, Entry, Guard, Journal, RemoteMachine};
use crate::vim::{CloneSpec, DatastorePath, DiskMove, Ref, RelocateSpec, Waiting};

/// vSphere's longest name for a machine.
const LONGEST: usize = 80;

/// A machine that vanishes with this, and its files; nothing of it outlives the run.
pub(super) struct Draft {
    shared: Arc<Shared>,
    lab: Arc<Lab>,
    name: String,
    pub(super) vm: Option<Ref>,
    /// There may be a machine of this name although nobody has said so.
    lost: bool,
    files: Vec<DatastorePath>,
    guard: Option<Guard>,
    /// The machine stood there before and stays: it is only turned off.
    lent: bool,
}

impl Draft {
    /// The machine is done and stays; its files go.
    pub(super) async fn finish(mut self, uuid: &str) {
        for file in std::mem::take(&mut self.files) {
            media::remove(&self.lab, &file).await;
        }
        if self.lent {
            self.vm = None;
        } else if let (Some(vm), Some(guard)) = (self.vm.take(), self.guard.take()) {
            locked(&self.shared.finished).insert(uuid.to_owned(), (vm, guard));
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let (vm, files) = (self.vm.take(), std::mem::take(&mut self.files));
        let (name, lost) = (std::mem::take(&mut self.name), self.lost);
        // what could not be removed stays in the journal: the next run tries again
        let guard = std::mem::ManuallyDrop::new(self.guard.take());
        if vm.is_none() && files.is_empty() && !lost {
            drop(std::mem::ManuallyDrop::into_inner(guard));
            return;
        }
        let (lab, lent) = (Arc::clone(&self.lab), self.lent);
        let tell = Arc::clone(&self.shared.around.tell);
        self.shared.clean_up(async move {
            let gone = match &vm {
                Some(vm) if lent => {
                    lab.client
                        .power_off(vm, &Waiting::quiet(&Cancel::new()))
                        .await
                }
                Some(vm) => lab.destroy(vm).await,
                None if lost => lab.destroy_named(&name).await,
                None => Ok(()),
            };
            for file in &files {
                media::remove(&lab, file).await;
            }
            match gone {
                Ok(()) => drop(std::mem::ManuallyDrop::into_inner(guard)),
                Err(error) => tell(format!(
                    "the machine `{name}` stays until the next run, which tries to remove it again: {error}"
                )),
            }
        });
    }
}

/// The name under which a machine is made.
fn temporary_name(name: &str, stamp: &str) -> String {
    let tail = format!(".forge-{stamp}");
    let room = LONGEST.saturating_sub(tail.len());
    let head: String = name.chars().take(room).collect();
    head + &tail
}

/// Starts a machine; a new one when the server goes away meanwhile, or a transfer breaks off.
pub(super) async fn launch(
    shared: &Arc<Shared>,
    lab: Arc<Lab>,
    spec: LaunchSpec,
    journal: &Journal,
    cancel: Cancel,
) -> Result<VsphereMachine, ProviderError> {
    let what = format!("the start of {}", spec.mark.stage);
    let tell = |text: &str| (shared.around.tell)(text.to_owned());
    let mut attempts = Attempts::new(&what, &cancel, &tell);
    let (vm, draft) = loop {
        match start(shared, &lab, &spec, journal, &cancel).await {
            Err(error) => attempts.after(error).await?,
            Ok(started) => break started,
        }
    };
    Ok(VsphereMachine::new(shared, lab, vm, draft, spec, cancel))
}

async fn start(
    shared: &Arc<Shared>,
    lab: &Arc<Lab>,
    spec: &LaunchSpec,
    journal: &Journal,
    cancel: &Cancel,
) -> Result<(Ref, Draft), ProviderError> {
    let name = match spec.resume {
        true => spec.mark.name.clone(),
        false => temporary_name(&spec.mark.name, &lab.stamp()),
    };
    let entry = Entry {
        what: format!("machine `{name}` of {}", spec.mark.stage),
        paths: Vec::new(),
        machine: Some(RemoteMachine {
            provider: shared.name.clone(),
            name: name.clone(),
        }),
    };
    let guard = journal.enter(entry).map_err(|source| ProviderError::Io {
        path: "the journal".into(),
        source,
    })?;
    let mut draft = Draft {
        shared: Arc::clone(shared),
        lab: Arc::clone(lab),
        name: name.clone(),
        vm: None,
        lost: false,
        files: Vec::new(),
        guard: Some(guard),
        lent: spec.resume,
    };
    if let (true, Some(from)) = (spec.resume, &spec.from) {
        let vm = resume(lab, from, &mut draft, cancel).await?;
        return Ok((vm, draft));
    }
    let made = make(shared, lab, &name, spec, &mut draft, cancel).await;
    // what the server has refused is not there; anything else may be
    draft.lost = matches!(
        made,
        Err(ProviderError::Broken { .. } | ProviderError::Cancelled)
    );
    let vm = made?;
    draft.vm = Some(vm.clone());
    power_on(lab, &vm, cancel).await?;
    Ok((vm, draft))
}

/// Turns a machine on. One that asks something first is not what was meant: the question is answered with the choice that
/// calls it off, so that the machine can be removed.
async fn power_on(lab: &Lab, vm: &Ref, cancel: &Cancel) -> Result<(), ProviderError> {
    let Err(error) = lab.client.power_on(vm, &Waiting::quiet(cancel)).await else {
        return Ok(());
    };
    if let Some(question) = error.question() {
        let off = |(_, label): &&(String, String)| label.to_lowercase().contains("cancel");
        let choice = question.choices.iter().find(off);
        if let Some((key, _)) = choice.or(question.choices.first()) {
            let _ = lab.client.answer(vm, &question.id, key).await;
        }
    }
    Err(translate(error))
}

async fn make(
    shared: &Shared,
    lab: &Lab,
    name: &str,
    spec: &LaunchSpec,
    draft: &mut Draft,
    cancel: &Cancel,
) -> Result<Ref, ProviderError> {
    let network = shared.settings.network.as_deref();
    let folder = lab.place.folder(&lab.client).await.map_err(translate)?;
    if let Some(ovf) = &spec.ovf {
        return transfer::import(lab, name, ovf, (spec, &folder, network), cancel).await;
    }
    if let Some(from) = &spec.from {
        return clone(lab, name, from, (spec, &folder, network), cancel).await;
    }
    let [floppy, cd, _] = media::own(&shared.settings, &lab.place, name);
    draft.files.extend(spec.floppy.as_ref().map(|_| floppy));
    draft.files.extend((spec.cds.len() > 1).then_some(cd));
    let media: Media = media::place(lab, &shared.settings, name, spec, cancel).await?;
    let config = hardware::create(
        name,
        &spec.hardware,
        &spec.mark,
        &lab.place,
        (&media, network),
    )
    .map_err(misfit)?;
    let (pool, host) = (&lab.place.pool, lab.place.host.as_ref());
    let waiting = Waiting::quiet(cancel);
    let made = lab.client.create_vm(&folder, &config, pool, host, &waiting);
    made.await.map_err(translate)
}

/// Takes a machine back to where it stood at a snapshot with memory; it runs on from there.
async fn resume(
    lab: &Lab,
    from: &Remote,
    draft: &mut Draft,
    cancel: &Cancel,
) -> Result<Ref, ProviderError> {
    let (vm, _) = lab.there(from).await?;
    draft.vm = Some(vm.clone());
    let snapshot = owned::snapshot(from);
    let waiting = Waiting::quiet(cancel);
    lab.client
        .revert(&snapshot, &waiting)
        .await
        .map_err(translate)?;
    let power = lab.client.read(&vm, &["runtime.powerState"]).await;
    // a snapshot without memory leaves it off
    if power.map_err(translate)?.text("runtime.powerState") != Some("poweredOn") {
        power_on(lab, &vm, cancel).await?;
    }
    Ok(vm)
}

/// A clone of a machine's snapshot: linked, unless one of its disks grows.
async fn clone(
    lab: &Lab,
    name: &str,
    from: &Remote,
    (spec, folder, network): (&LaunchSpec, &Ref, Option<&str>),
    cancel: &Cancel,
) -> Result<Ref, ProviderError> {
    let known = lab.known(&from.uuid).await.map_err(translate)?;
    let Some((source, _)) = known else {
        return Err(ProviderError::Failed(format!(
            "the machine `{}` that this one is a clone of is gone",
            from.name
        )));
    };
    let snapshot = owned::snapshot(from);
    let devices = lab.client.devices(&source).await.map_err(translate)?;
    let (config, grows) =
        hardware::clone(&spec.hardware, &spec.mark, &lab.place, &devices, network)
            .map_err(misfit)?;
    let clone = CloneSpec {
        location: RelocateSpec {
            datastore: Some(lab.place.datastore.clone()),
            disk_move_type: (!grows).then_some(DiskMove::CreateNewChild),
            pool: Some(lab.place.pool.clone()),
            host: lab.place.host.clone(),
            ..RelocateSpec::default()
        },
        config: Some(config),
        snapshot: Some(snapshot),
        ..CloneSpec::default()
    };
    let waiting = Waiting::quiet(cancel);
    let made = lab.client.clone_vm(&source, folder, name, &clone, &waiting);
    made.await.map_err(translate)
}

/// Removes what was made under a temporary name, unless a record refers to it by now.
pub(super) async fn reclaim(
    shared: &Shared,
    lab: &Lab,
    name: &str,
    recorded: &[Remote],
) -> Result<(), ProviderError> {
    if let Some(vm) = lab.named(name).await.map_err(translate)? {
        let read = lab
            .client
            .read(&vm, &["config.instanceUuid"])
            .await
            .map_err(translate)?;
        let uuid = read.text("config.instanceUuid").unwrap_or_default();
        let cancel = Cancel::new();
        let gone = match recorded.iter().any(|remote| remote.uuid == uuid) {
            // it was going on from a checkpoint
            true => lab.client.power_off(&vm, &Waiting::quiet(&cancel)).await,
            false => lab.destroy(&vm).await,
        };
        gone.map_err(translate)?;
    }
    for file in media::own(&shared.settings, &lab.place, name) {
        media::remove(lab, &file).await;
    }
    Ok(())
}

impl Lab {
    /// What stands in the way of such a machine.
    pub(super) async fn preflight(
        &self,
        hardware: &Hardware,
        network: Option<&str>,
    ) -> Vec<ProviderError> {
        /// What a build does, as the privileges that it needs.
        const PRIVILEGES: &[&str] = &[
            "Resource.AssignVMToPool",
            "Datastore.AllocateSpace",
            "Datastore.Browse",
            "Datastore.FileManagement",
            "VirtualMachine.Inventory.Create",
            "VirtualMachine.Inventory.Delete",
            "VirtualMachine.Interact.PowerOn",
            "VirtualMachine.Interact.PowerOff",
            "VirtualMachine.Interact.PutUsbScanCodes",
            "VirtualMachine.State.CreateSnapshot",
            "VirtualMachine.Provisioning.Clone",
            "VApp.Export",
        ];
        let mut errors = Vec::new();
        for nic in &hardware.nics {
            errors.extend(self.place.network(&nic.network, network).err().map(misfit));
        }
        // the machine's memory has a file of its size while it runs
        if self.place.free < hardware.memory {
            errors.push(ProviderError::Environment {
                message: format!(
                    "the datastore `{}` has only {} free, and a machine with {} of memory needs more than that",
                    self.place.datastore_name, self.place.free, hardware.memory
                ),
                help: "remove what is not needed there, or choose another `datastore`".into(),
            });
        }
        match self
            .client
            .privileges(&self.place.machines, PRIVILEGES)
            .await
        {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => errors.push(ProviderError::Environment {
                message: format!("the account lacks privileges: {}", missing.join(", ")),
                help: "grant them on the datacenter, or use another account".into(),
            }),
            Err(error) => errors.push(translate(error)),
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_unique_and_fits() {
        assert_eq!(temporary_name("k3s-base", "r1-0"), "k3s-base.forge-r1-0");
        let long = temporary_name(&"n".repeat(80), "20261127-0");
        assert_eq!(long.len(), LONGEST);
        assert!(long.ends_with(".forge-20261127-0"));
    }
}
