//! Copies of machines on a host without vCenter, which has no clones: the disks are copied, and a machine is made around
//! them.

use super::hardware::{self, Media};
use super::launch::Draft;
use super::{Lab, clone, misfit, owned, translate};
use crate::model::{Firmware, Hardware, Remote};
use crate::provider::{LaunchSpec, ProviderError};
use crate::sys::Cancel;
use crate::vim::{ConfigSpec, DatastorePath, Device, Ref, VimError, Waiting};

/// Makes the machine `name` with copies of another's disks.
pub(super) async fn machine(
    lab: &Lab,
    name: &str,
    (source, from): (&Ref, &Remote),
    (spec, folder, network): (&LaunchSpec, &Ref, Option<&str>),
    (draft, cancel): (&mut Draft, &Cancel),
) -> Result<Ref, ProviderError> {
    impossible(&spec.hardware)?;
    let home = home(lab, name);
    // it goes if no machine comes to own it
    draft.files.push(home.clone());
    let snapshot = owned::snapshot(from);
    let devices = lab.client.devices(snapshot.as_ref().unwrap_or(source));
    let devices = devices.await.map_err(translate)?;
    let made = lab.client.make_directory(&lab.place.datacenter, &home);
    made.await.map_err(translate)?;
    let media = Media {
        disks: copy_disks(lab, &home, name, &devices, cancel)
            .await
            .map_err(translate)?,
        ..Media::default()
    };
    let (hardware, mark) = (&spec.hardware, &spec.mark);
    let config = hardware::create(name, hardware, mark, &lab.place, (&media, network));
    let config = ConfigSpec {
        vm_path_name: Some(home.join(&format!("{name}.vmx")).to_string()),
        ..config.map_err(misfit)?
    };
    let (pool, host) = (&lab.place.pool, lab.place.host.as_ref());
    let waiting = Waiting::quiet(cancel);
    let made = lab.client.create_vm(folder, &config, pool, host, &waiting);
    let vm = made.await.map_err(translate)?;
    draft.vm = Some(vm.clone());
    draft.files.retain(|file| *file != home);
    grow(lab, &vm, hardware, cancel).await.map_err(translate)?;
    if hardware.firmware != Firmware::Bios {
        let to = home.join(&format!("{name}.nvram"));
        let copied = copy_variables(lab, source, &to, cancel);
        copied.await.map_err(translate)?;
    }
    Ok(vm)
}

/// Where the files of a copy lie.
pub(super) fn home(lab: &Lab, name: &str) -> DatastorePath {
    lab.place.file(name)
}

/// What only vCenter does.
fn impossible(hardware: &Hardware) -> Result<(), ProviderError> {
    let more = hardware.vsphere.as_deref();
    let asked = [
        (
            "customization",
            more.is_some_and(|m| m.customization.is_some()),
        ),
        (
            "vapp_properties",
            more.is_some_and(|m| !m.vapp_properties.is_empty()),
        ),
        ("template", more.is_some_and(|m| m.template)),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        None => Ok(()),
        Some((what, _)) => Err(ProviderError::Environment {
            message: format!("`vsphere.{what}` needs a vCenter: a host alone has no such thing"),
            help: "leave it out, or use a provider that is a vCenter".into(),
        }),
    }
}

async fn copy_disks(
    lab: &Lab,
    home: &DatastorePath,
    name: &str,
    devices: &[Device],
    cancel: &Cancel,
) -> Result<Vec<String>, VimError> {
    let mut copies = Vec::new();
    for (index, disk) in clone::disks(devices).enumerate() {
        let from = disk.file.as_deref().and_then(DatastorePath::parse);
        let from = from.ok_or_else(|| {
            VimError::Protocol(format!("the server does not say where {} lies", disk.label))
        })?;
        let to = home.join(&match index {
            0 => format!("{name}.vmdk"),
            number => format!("{name}_{number}.vmdk"),
        });
        let waiting = Waiting::quiet(cancel);
        let datacenter = &lab.place.datacenter;
        let copied = lab.client.copy_disk(datacenter, &from, &to, &waiting);
        copied.await?;
        copies.push(to.to_string());
    }
    Ok(copies)
}

/// Lets disks that are copies of smaller ones be as large as they should.
async fn grow(lab: &Lab, vm: &Ref, hardware: &Hardware, cancel: &Cancel) -> Result<(), VimError> {
    let devices = lab.client.devices(vm).await?;
    let larger = clone::disks(&devices)
        .zip(&hardware.disks)
        .filter_map(|(old, disk)| clone::grown(old, disk));
    let change = ConfigSpec {
        devices: larger.chain(hardware::video(hardware, &devices)).collect(),
        ..ConfigSpec::default()
    };
    if change.devices.is_empty() {
        return Ok(());
    }
    let waiting = Waiting::quiet(cancel);
    lab.client.reconfigure(vm, &change, &waiting).await
}

/// The firmware's variables: without them a system that relies on its boot entry does not start.
async fn copy_variables(
    lab: &Lab,
    source: &Ref,
    to: &DatastorePath,
    cancel: &Cancel,
) -> Result<(), VimError> {
    let read = lab
        .client
        .read(source, &["config.files.vmPathName"])
        .await?;
    let vmx = read.text("config.files.vmPathName");
    let Some(from) = vmx.and_then(|vmx| DatastorePath::parse(&vmx.replace(".vmx", ".nvram")))
    else {
        return Ok(());
    };
    let waiting = Waiting::quiet(cancel);
    let datacenter = &lab.place.datacenter;
    match lab.client.copy_file(datacenter, &from, to, &waiting).await {
        // it was never started
        Err(error) if error.is("FileNotFound") => Ok(()),
        copied => copied,
    }
}
