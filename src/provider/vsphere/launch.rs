//! From a specification to a running machine: made, cloned or imported, under a name of its own.

use std::sync::Arc;

use super::error::Attempts;
use super::hardware::{self, Media};
use super::labels::under;
use super::machine::VsphereMachine;
use super::{Lab, Shared, locked, media, misfit, owned, transfer, translate};
use super::{clone, copy};
use crate::model::{Hardware, Remote};
use crate::provider::{LaunchSpec, ProviderError};
use crate::sys::{Cancel, Entry, Guard, Journal, RemoteMachine};
use crate::vim::{
    ApiType, CloneSpec, ConfigSpec, Customization, DatastorePath, DiskMove, Ref, RelocateSpec,
    Waiting,
};

/// vSphere's longest name for a machine.
const LONGEST: usize = 80;
/// What the names of machines have in them that are not done.
const TEMPORARY: &str = ".forge-";

/// A machine that vanishes with this, and its files; nothing of it outlives the run.
pub(super) struct Draft {
    shared: Arc<Shared>,
    lab: Arc<Lab>,
    name: String,
    pub(super) vm: Option<Ref>,
    /// There may be a machine of this name although nobody has said so.
    lost: bool,
    pub(super) files: Vec<DatastorePath>,
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
    let tail = format!("{TEMPORARY}{stamp}");
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
    let entry = Entry::of_machine(
        format!("machine `{name}` of {}", spec.mark.stage),
        RemoteMachine {
            provider: shared.name.clone(),
            name: name.clone(),
        },
    );
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
    lab.tag(&vm, &spec.hardware).await?;
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
        return clone(lab, name, from, (spec, &folder, network), (draft, cancel)).await;
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
    let policy = lab.storage_policy(&spec.hardware).await?;
    let config = under(policy.as_ref(), config);
    let (pool, host) = (&lab.place.pool, lab.place.host.as_ref());
    let waiting = Waiting::quiet(cancel);
    let made = lab.client.create_vm(&folder, &config, pool, host, &waiting);
    let vm = made.await.map_err(translate)?;
    draft.vm = Some(vm.clone());
    set_video(lab, &vm, &spec.hardware, cancel).await?;
    Ok(vm)
}

/// The video card is one of the devices that every machine has: it is there to be changed only when the machine is.
async fn set_video(
    lab: &Lab,
    vm: &Ref,
    hardware: &Hardware,
    cancel: &Cancel,
) -> Result<(), ProviderError> {
    let wanted = hardware.vsphere.as_ref();
    if wanted.and_then(|more| more.video_memory).is_none() {
        return Ok(());
    }
    let devices = lab.client.devices(vm).await.map_err(translate)?;
    let change = ConfigSpec {
        devices: hardware::video(hardware, &devices).into_iter().collect(),
        ..ConfigSpec::default()
    };
    let waiting = Waiting::quiet(cancel);
    let done = lab.client.reconfigure(vm, &change, &waiting).await;
    done.map_err(translate)
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
    lab.as_machine(&vm).await.map_err(translate)?;
    let waiting = Waiting::quiet(cancel);
    if let Some(snapshot) = owned::snapshot(from) {
        let reverted = lab.client.revert(&snapshot, &waiting).await;
        reverted.map_err(translate)?;
    }
    let power = lab.client.read(&vm, &["runtime.powerState"]).await;
    // a snapshot without memory leaves it off
    if power.map_err(translate)?.text("runtime.powerState") != Some("poweredOn") {
        power_on(lab, &vm, cancel).await?;
    }
    Ok(vm)
}

/// A clone of a machine's snapshot, or of a machine that has none: linked, unless one of its disks grows or it is to
/// share none.
async fn clone(
    lab: &Lab,
    name: &str,
    from: &Remote,
    (spec, folder, network): (&LaunchSpec, &Ref, Option<&str>),
    (draft, cancel): (&mut Draft, &Cancel),
) -> Result<Ref, ProviderError> {
    let known = lab.known(&from.uuid).await.map_err(translate)?;
    let Some((machine, _)) = known else {
        return Err(ProviderError::Failed(format!(
            "the machine `{}` that this one is a clone of is gone",
            from.name
        )));
    };
    if lab.client.about().api == ApiType::HostAgent {
        let (what, how) = ((&machine, from), (spec, folder, network));
        return copy::machine(lab, name, what, how, (draft, cancel)).await;
    }
    let snapshot = owned::snapshot(from);
    let at = snapshot.as_ref().unwrap_or(&machine);
    let source = lab.source(at).await.map_err(translate)?;
    let (config, grows) =
        clone::config(&spec.hardware, &spec.mark, &lab.place, &source, network).map_err(misfit)?;
    let policy = lab.storage_policy(&spec.hardware).await?;
    let more = spec.hardware.vsphere.as_deref();
    let whole = grows || snapshot.is_none() || more.is_some_and(|more| more.full_clone);
    let clone = CloneSpec {
        location: RelocateSpec {
            datastore: Some(lab.place.datastore.clone()),
            disk_move_type: Some(match whole {
                true => DiskMove::Consolidate,
                false => DiskMove::CreateNewChild,
            }),
            pool: Some(lab.place.pool.clone()),
            host: lab.place.host.clone(),
            storage_policy: policy.clone(),
        },
        config: Some(under(policy.as_ref(), config)),
        customization: customization(lab, &spec.hardware).await?,
        snapshot,
        ..CloneSpec::default()
    };
    let waiting = Waiting::quiet(cancel);
    let made = lab
        .client
        .clone_vm(&machine, folder, name, &clone, &waiting);
    made.await.map_err(translate)
}

/// What the guest of a clone is told at its first start.
async fn customization(
    lab: &Lab,
    hardware: &Hardware,
) -> Result<Option<Customization>, ProviderError> {
    let more = hardware.vsphere.as_deref();
    let Some(told) = more.and_then(|more| more.customization.as_deref()) else {
        return Ok(None);
    };
    let Some(name) = &told.spec else {
        let told = clone::customization(told, hardware);
        return Ok(Some(Customization::Linux(told)));
    };
    let kept = lab.client.customization(name).await;
    kept.map(|kept| Some(Customization::Kept(kept)))
        .map_err(|error| match error.is("NotFound") {
            true => ProviderError::Environment {
                message: format!("the server has no customization specification `{name}`"),
                help: "make it there, or say in `customization` what it should hold".into(),
            },
            false => translate(error),
        })
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
    // disks that were copied for a machine that did not come
    if lab.client.about().api == ApiType::HostAgent && name.contains(TEMPORARY) {
        media::remove(lab, &copy::home(lab, name)).await;
    }
    Ok(())
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
