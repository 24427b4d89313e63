//! Machines that are forge's own on the server: known by their mark, named, looked for, removed. Nothing without the mark
//! is ever touched.

use super::error::translate;
use super::{Lab, locked};
use crate::model::Remote;
use crate::provider::{Mark, ProviderError};
use crate::sys::Cancel;
use crate::vim::{Element, Properties, Ref, VimError, Waiting};

/// The mark: keys of `config.extraConfig`.
pub(super) const PROJECT: &str = "forge.project";
pub(super) const STAGE: &str = "forge.stage";
pub(super) const FINGERPRINT: &str = "forge.fingerprint";

/// How long machines may take to be made that somebody has begun who is gone.
const MAKING: std::time::Duration = std::time::Duration::from_secs(60);

/// What is read of a machine to know it.
const ABOUT: &[&str] = &[
    "name",
    "config.instanceUuid",
    "config.extraConfig",
    "config.changeVersion",
    "config.template",
    "snapshot",
];

fn extra<'p>(read: &'p Properties, key: &str) -> Option<&'p str> {
    let options = read.get("config.extraConfig")?;
    let option = options
        .children
        .iter()
        .find(|o| o.text_of("key") == Some(key))?;
    option.text_of("value")
}

/// Whether forge has made a machine.
pub(super) fn is_marked(read: &Properties) -> bool {
    extra(read, PROJECT).is_some() && extra(read, STAGE).is_some()
}

/// Refuses to touch what is not of this project and stage, which `told` says of it; `key` is the setting that gives it
/// another name.
pub(super) fn claimed(
    told: (Option<&str>, Option<&str>),
    mark: &Mark,
    what: &str,
    key: &str,
) -> Result<(), ProviderError> {
    match told {
        (Some(project), Some(stage)) if project == mark.project && stage == mark.stage => Ok(()),
        (Some(project), Some(stage)) => Err(ProviderError::Environment {
            message: format!("there is {what} already, of project {project}, stage {stage}"),
            help: format!("set `{key}` of one of the two stages"),
        }),
        _ => Err(ProviderError::Environment {
            message: format!("there is {what} already, and forge did not make it"),
            help: format!("rename or remove it, or set the stage's `{key}`"),
        }),
    }
}

/// The snapshot that a machine was left at; somebody else's machine need not have one.
pub(super) fn snapshot(machine: &Remote) -> Option<Ref> {
    let id = Some(&machine.snapshot).filter(|id| !id.is_empty());
    id.map(|id| Ref::new("VirtualMachineSnapshot", id))
}

/// The snapshot that the machine stands at, if it has this description.
pub(super) fn current_snapshot(read: &Properties, about: &str) -> Option<Ref> {
    let tree = read.get("snapshot")?;
    let current = tree.reference_of("currentSnapshot")?;
    let trees = ["rootSnapshotList", "childSnapshotList"];
    let mut all = trees.into_iter().flat_map(|name| tree.find_all(name));
    let found = all.find(|one| one.reference_of("snapshot").as_ref() == Some(&current))?;
    (found.text_of("description") == Some(about)).then_some(current)
}

/// How many snapshots in a row a machine can have; more are refused (VMware's "configuration maximums").
pub(super) const LONGEST_CHAIN: usize = 32;

/// How many snapshots lie below the point where a machine stands.
pub(super) fn depth(snapshots: Option<&Element>) -> usize {
    fn below(tree: &Element, current: &Ref) -> Option<usize> {
        if tree.reference_of("snapshot").as_ref() == Some(current) {
            return Some(1);
        }
        let mut children = tree.children_named("childSnapshotList");
        children
            .find_map(|child| below(child, current))
            .map(|n| n + 1)
    }
    let found = snapshots.and_then(|known| {
        let current = known.reference_of("currentSnapshot")?;
        let mut roots = known.children_named("rootSnapshotList");
        roots.find_map(|root| below(root, &current))
    });
    found.unwrap_or(0)
}

/// Whether the machine has a snapshot with this id.
fn has_snapshot(read: &Properties, id: &str) -> bool {
    read.get("snapshot").is_some_and(|snapshot: &Element| {
        snapshot
            .find_all("snapshot")
            .iter()
            .any(|found| found.as_reference().is_some_and(|r| r.id == id))
    })
}

impl Lab {
    /// The machine with this identity, and what is known of it.
    pub(super) async fn known(&self, uuid: &str) -> Result<Option<(Ref, Properties)>, VimError> {
        // found once, it is asked itself whether it still is that machine
        let before = locked(&self.machines).get(uuid).cloned();
        if let Some(vm) = before
            && let Ok(read) = self.client.read(&vm, ABOUT).await
            && read.text("config.instanceUuid") == Some(uuid)
        {
            return Ok(Some((vm, read)));
        }
        let Some(vm) = self.client.find_vm_by_uuid(uuid).await? else {
            return Ok(None);
        };
        match self.client.read(&vm, ABOUT).await {
            Ok(read) => {
                locked(&self.machines).insert(uuid.to_owned(), vm.clone());
                Ok(Some((vm, read)))
            }
            Err(error) if error.is("ManagedObjectNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// [`Lab::known`] where it must be there.
    pub(super) async fn there(&self, machine: &Remote) -> Result<(Ref, Properties), ProviderError> {
        let known = self.known(&machine.uuid).await.map_err(translate)?;
        known
            .ok_or_else(|| ProviderError::Failed(format!("the machine `{}` is gone", machine.name)))
    }

    /// Why a machine is not as it was left; none: it is.
    pub(super) async fn lost(&self, machine: &Remote) -> Result<Option<String>, VimError> {
        let server = self.client.server();
        let Some((_, read)) = self.known(&machine.uuid).await? else {
            return Ok(Some(format!(
                "the machine `{}` is gone from {server}",
                machine.name
            )));
        };
        let name = read.text("name").unwrap_or_default();
        self.note_name(&machine.uuid, name);
        if let Some(version) = &machine.version
            && read.text("config.changeVersion") != Some(version)
        {
            return Ok(Some(format!(
                "the machine `{name}` has been changed on {server}"
            )));
        }
        if !machine.snapshot.is_empty() && !has_snapshot(&read, &machine.snapshot) {
            return Ok(Some(format!(
                "the snapshot of the machine `{name}` is gone from {server}"
            )));
        }
        Ok(None)
    }

    /// Gives a machine its name. One of the same project and stage that has it is removed afterwards; any other keeps it.
    pub(super) async fn name(&self, machine: &Remote, mark: &Mark) -> Result<(), ProviderError> {
        if !mark.template && self.has_name(&machine.uuid, &mark.name) {
            return Ok(());
        }
        let cancel = Cancel::new();
        let waiting = Waiting::quiet(&cancel);
        let (vm, read) = self.there(machine).await?;
        if read.text("name") == Some(mark.name.as_str()) {
            self.note_name(&machine.uuid, &mark.name);
            return self.as_template(&vm, &read, mark).await;
        }
        let old = self
            .place
            .machine(&self.client, &mark.name)
            .await
            .map_err(translate)?;
        if let Some(old) = &old {
            self.ours(old, mark).await?;
            let aside = format!("{}.old-{}", mark.name, self.stamp());
            self.client
                .rename(old, &aside, &waiting)
                .await
                .map_err(translate)?;
        }
        self.client
            .rename(&vm, &mark.name, &waiting)
            .await
            .map_err(translate)?;
        self.note_name(&machine.uuid, &mark.name);
        if let Some(old) = old {
            self.destroy(&old).await.map_err(translate)?;
        }
        self.as_template(&vm, &read, mark).await
    }

    /// Makes a machine a template if it is to be one.
    async fn as_template(
        &self,
        vm: &Ref,
        read: &Properties,
        mark: &Mark,
    ) -> Result<(), ProviderError> {
        if !mark.template || read.bool("config.template") == Some(true) {
            return Ok(());
        }
        let marked = self.client.mark_as_template(vm).await;
        marked.map_err(translate)
    }

    /// Refuses to touch a machine that is not of this project and stage.
    pub(super) async fn ours(&self, vm: &Ref, mark: &Mark) -> Result<(), ProviderError> {
        let read = self.client.read(vm, ABOUT).await.map_err(translate)?;
        let name = read.text("name").unwrap_or_default();
        let told = (extra(&read, PROJECT), extra(&read, STAGE));
        claimed(told, mark, &format!("a machine `{name}`"), "vm_name")
    }

    /// Removes a machine if it bears the mark of this stage.
    pub(super) async fn remove(&self, uuid: &str, stage: &str) -> Result<bool, VimError> {
        match self.known(uuid).await? {
            Some((vm, read)) if extra(&read, STAGE) == Some(stage) => {
                self.destroy(&vm).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The machine of this name in the folder, also one that is being made at the moment by somebody who is gone.
    pub(super) async fn named(&self, name: &str) -> Result<Option<Ref>, VimError> {
        let found = self.place.machine(&self.client, name).await?;
        if found.is_some() || !self.client.let_machines_be_made(MAKING).await? {
            return Ok(found);
        }
        self.place.machine(&self.client, name).await
    }

    /// Removes the machine of this name in the folder, if there is one.
    pub(super) async fn destroy_named(&self, name: &str) -> Result<(), VimError> {
        match self.named(name).await? {
            Some(vm) => self.destroy(&vm).await,
            None => Ok(()),
        }
    }

    /// Turns a machine off and removes it with its disks; one that is gone is fine.
    pub(super) async fn destroy(&self, vm: &Ref) -> Result<(), VimError> {
        // clean-up goes on when everything else has been told to stop
        let cancel = Cancel::new();
        let waiting = Waiting::quiet(&cancel);
        let off = self.client.power_off(vm, &waiting).await;
        if let Err(error) = off
            // a template is off, and cannot be turned off
            && !error.is("InvalidPowerState")
            && !error.is("NotSupported")
        {
            if error.is("ManagedObjectNotFound") {
                return Ok(());
            }
            return Err(error);
        }
        match self.client.destroy(vm, &waiting).await {
            Err(error) if error.is("ManagedObjectNotFound") => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_counted_down_to_the_first() {
        let tree = |inner: &str| {
            let current = "<currentSnapshot type=\"S\">c</currentSnapshot>";
            Element::parse(&format!("<v>{current}{inner}</v>")).unwrap()
        };
        let one = |name: &str, id: &str, inner: &str| {
            format!("<{name}><snapshot type=\"S\">{id}</snapshot>{inner}</{name}>")
        };
        let other = one("childSnapshotList", "x", "");
        let current = one("childSnapshotList", "c", &one("childSnapshotList", "d", ""));
        let second = one("childSnapshotList", "b", &(other + &current));
        let chain = tree(&one("rootSnapshotList", "a", &second));
        assert_eq!(depth(Some(&chain)), 3);
        assert_eq!(depth(Some(&tree(""))), 0);
        assert_eq!(depth(None), 0);
    }
}
