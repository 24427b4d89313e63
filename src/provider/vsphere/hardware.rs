//! A machine's hardware as one specification: everything in one call.

use super::place::{Misfit, Place};
use crate::model::{Controller, Disk, Firmware, Hardware, Nic, NicAdapter, Provisioning};
use crate::provider::Mark;
use crate::vim::{
    BootDevice, ConfigSpec, Device, DeviceChange, DeviceSpec, DiskSpec, NetworkBacking, NicKind,
    NicSpec, ScsiKind, ToolsSpec,
};

/// The guest id of a machine that names none: a Linux that every release knows.
const GUEST_ID: &str = "otherLinux64Guest";
/// The IDE controllers and the floppy's: every machine has them.
const IDE: i32 = 200;
/// Device keys of our own count down from here; the server gives others.
const FIRST_KEY: i32 = -200;

/// The media of a machine, as places on datastores.
#[derive(Clone, Debug, Default)]
pub(super) struct Media {
    pub(super) cds: Vec<String>,
    pub(super) floppy: Option<String>,
    /// Files of disks that are there already, in order; disks without one are made.
    pub(super) disks: Vec<String>,
}

/// Gives keys and places on controllers.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) devices: Vec<DeviceChange>,
    /// The controllers of each kind: key, the next unit.
    controllers: Vec<(Controller, i32, i32)>,
    used: i32,
}

impl Bench {
    /// One with the controllers that a machine has already.
    pub(super) fn over(devices: &[Device]) -> Self {
        let controller = |device: &Device| {
            let on_it = devices.iter().filter(|d| d.controller == Some(device.key));
            let last = on_it.filter_map(|d| d.unit).max().unwrap_or(-1);
            Some((controller_kind(&device.kind)?, device.key, last + 1))
        };
        Self {
            controllers: devices.iter().filter_map(controller).collect(),
            ..Self::default()
        }
    }

    fn key(&mut self) -> i32 {
        self.used += 1;
        FIRST_KEY - self.used
    }

    /// Adds a device; gives its key.
    fn add(&mut self, device: impl FnOnce(i32) -> DeviceSpec) -> i32 {
        let key = self.key();
        self.devices.push(DeviceChange::add(device(key)));
        key
    }

    /// A place on a controller of this kind, which is added if need be.
    fn place(&mut self, kind: Controller) -> (i32, i32) {
        let limit = match kind {
            Controller::Sata => 30,
            Controller::Ide => 2,
            Controller::Nvme => 15,
            _ => 16,
        };
        let scsi = is_scsi(kind);
        for (known, key, next) in &mut self.controllers {
            // unit 7 of a SCSI bus is the controller itself
            if scsi && *next == 7 {
                *next = 8;
            }
            if *known == kind && *next < limit {
                *next += 1;
                return (*key, *next - 1);
            }
        }
        // buses are counted by family
        let same = |other: Controller| other == kind || scsi && is_scsi(other);
        let count = self
            .controllers
            .iter()
            .filter(|(known, ..)| same(*known))
            .count();
        let bus = i32::try_from(count).unwrap_or(i32::MAX);
        let key = match kind {
            Controller::Ide => IDE + bus,
            _ => self.key(),
        };
        let device = match kind {
            Controller::Lsilogic => Some(DeviceSpec::Scsi {
                key,
                kind: ScsiKind::LsiLogic,
                bus,
            }),
            Controller::LsilogicSas => Some(DeviceSpec::Scsi {
                key,
                kind: ScsiKind::LsiLogicSas,
                bus,
            }),
            // preflight has refused virtio
            Controller::Pvscsi | Controller::Virtio => Some(DeviceSpec::Scsi {
                key,
                kind: ScsiKind::Pvscsi,
                bus,
            }),
            Controller::Sata => Some(DeviceSpec::Sata { key, bus }),
            Controller::Nvme => Some(DeviceSpec::Nvme { key, bus }),
            Controller::Ide => None,
        };
        self.devices.extend(device.map(DeviceChange::add));
        self.controllers.push((kind, key, 1));
        (key, 0)
    }
}

/// The controller that is a device of this type.
pub(super) fn controller_kind(device: &str) -> Option<Controller> {
    Some(match device {
        "VirtualLsiLogicController" => Controller::Lsilogic,
        "VirtualLsiLogicSASController" => Controller::LsilogicSas,
        "ParaVirtualSCSIController" => Controller::Pvscsi,
        "VirtualAHCIController" => Controller::Sata,
        "VirtualIDEController" => Controller::Ide,
        "VirtualNVMEController" => Controller::Nvme,
        _ => return None,
    })
}

/// Whether a controller is one of the SCSI family.
const fn is_scsi(kind: Controller) -> bool {
    matches!(
        kind,
        Controller::Lsilogic | Controller::LsilogicSas | Controller::Pvscsi | Controller::Virtio
    )
}

/// What vSphere has no device for.
pub(super) fn unsupported(hardware: &Hardware) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    if hardware
        .disks
        .iter()
        .any(|disk| disk.controller == Controller::Virtio)
    {
        misfits.push(Misfit {
            message: "vSphere has no virtio disks".into(),
            help: "use `controller = \"pvscsi\"`".into(),
        });
    }
    if hardware
        .nics
        .iter()
        .any(|nic| nic.adapter == NicAdapter::Virtio)
    {
        misfits.push(Misfit {
            message: "vSphere has no virtio network adapters".into(),
            help: "use `adapter = \"vmxnet3\"`".into(),
        });
    }
    misfits
}

/// What is written on a machine for people and for forge.
pub(super) fn marked(mark: &Mark) -> ConfigSpec {
    let note = format!(
        "Made by forge: project {}, stage {}. `forge clean` removes it.",
        mark.project, mark.stage
    );
    ConfigSpec {
        annotation: Some(note),
        extra: [
            (super::owned::PROJECT, &mark.project),
            (super::owned::STAGE, &mark.stage),
            (super::owned::FINGERPRINT, &mark.fingerprint),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into(),
        ..ConfigSpec::default()
    }
}

/// What a machine is beside its devices.
pub(super) fn processor(mut spec: ConfigSpec, hardware: &Hardware) -> ConfigSpec {
    let more = hardware.vsphere.clone().unwrap_or_default();
    let extra = more.extra_config.into_iter();
    spec.extra.extend(extra);
    if let (Some(notes), Some(mark)) = (more.notes, &mut spec.annotation) {
        *mark = format!("{notes}\n\n{mark}");
    }
    let tools = ToolsSpec {
        upgrade_policy: more.tools_upgrade.then(|| "upgradeAtPowerCycle".to_owned()),
        sync_time_allowed: more.sync_time.then_some(true),
        sync_time: more.sync_time.then_some(true),
    };
    ConfigSpec {
        tools: (tools != ToolsSpec::default()).then_some(tools),
        cpu_hot_add: more.cpu_hot_add.then_some(true),
        memory_hot_add: more.memory_hot_add.then_some(true),
        cpu_reservation_mhz: more.cpu_reservation.map(u64::from),
        memory_reservation_mib: more.memory_reservation.map(|size| size.bytes() >> 20),
        nested_hv: more.nested.then_some(true),
        cpus: Some(hardware.cpus),
        cores_per_socket: Some(hardware.cores_per_socket),
        memory_mib: Some(hardware.memory.bytes() >> 20),
        ..spec
    }
}

/// What the video card of a machine with these devices becomes.
pub(super) fn video(hardware: &Hardware, devices: &[Device]) -> Option<DeviceChange> {
    let memory = hardware.vsphere.as_ref()?.video_memory?;
    let card = devices
        .iter()
        .find(|d| d.kind == "VirtualMachineVideoCard")?;
    let mut raw = card.raw.clone();
    raw.set("videoRamSizeInKB", (memory.bytes() >> 10).to_string());
    // else the server chooses by itself
    raw.set("useAutoDetect", "false");
    Some(DeviceChange::edit(DeviceSpec::Raw(raw)))
}

/// A new machine with empty disks and its install media.
pub(super) fn create(
    name: &str,
    hardware: &Hardware,
    mark: &Mark,
    place: &Place,
    (media, network): (&Media, Option<&str>),
) -> Result<ConfigSpec, Misfit> {
    let mut bench = Bench::default();
    let mut order = Vec::new();
    let how = provisioning(hardware);
    for (index, disk) in hardware.disks.iter().enumerate() {
        let file = media.disks.get(index).cloned();
        let key = add_disk(&mut bench, disk, file, (place, how));
        order.push(BootDevice::Disk(key));
    }
    for nic in &hardware.nics {
        add_nic(&mut bench, nic, &place.network(&nic.network, network)?.1);
    }
    for medium in &media.cds {
        let (controller, unit) = bench.place(Controller::Ide);
        bench.add(|key| DeviceSpec::Cdrom {
            key,
            controller,
            unit,
            medium: Some(medium.clone()),
        });
    }
    if !media.cds.is_empty() {
        order.push(BootDevice::Cdrom);
    }
    if media.floppy.is_some() {
        bench.add(|key| DeviceSpec::Floppy {
            key,
            medium: media.floppy.clone(),
        });
    }
    if hardware.vsphere.as_ref().is_some_and(|more| more.tpm) {
        bench.add(|key| DeviceSpec::Tpm { key });
    }
    let firmware = match hardware.firmware {
        Firmware::Bios => "bios",
        Firmware::Efi | Firmware::EfiSecure => "efi",
    };
    Ok(ConfigSpec {
        name: Some(name.to_owned()),
        guest_id: Some(hardware.guest_id.clone().unwrap_or_else(|| GUEST_ID.into())),
        version: Some(format!("vmx-{:02}", hardware.hardware_version)),
        vm_path_name: Some(format!("[{}]", place.datastore_name)),
        firmware: Some(firmware.to_owned()),
        secure_boot: (hardware.firmware == Firmware::EfiSecure).then_some(true),
        devices: bench.devices,
        boot_order: order,
        ..processor(marked(mark), hardware)
    })
}

pub(super) fn provisioning(hardware: &Hardware) -> Provisioning {
    let more = hardware.vsphere.as_ref();
    more.map_or_else(Provisioning::default, |more| more.provisioning)
}

/// A disk whose file is there already, or is to be made.
pub(super) fn add_disk(
    bench: &mut Bench,
    disk: &Disk,
    file: Option<String>,
    (place, how): (&Place, Provisioning),
) -> i32 {
    let (controller, unit) = bench.place(disk.controller);
    bench.add(|key| {
        DeviceSpec::Disk(DiskSpec {
            key,
            controller,
            unit,
            capacity: disk.size,
            thin: how == Provisioning::Thin,
            eager: how == Provisioning::Eager,
            backing_file: file,
            datastore: Some(place.datastore.clone()),
            storage_policy: None,
        })
    })
}

pub(super) fn add_nic(bench: &mut Bench, nic: &Nic, network: &NetworkBacking) {
    bench.add(|key| {
        DeviceSpec::Nic(NicSpec {
            key,
            kind: match nic.adapter {
                NicAdapter::E1000 => NicKind::E1000,
                NicAdapter::E1000e => NicKind::E1000e,
                NicAdapter::Vmxnet3 | NicAdapter::Virtio => NicKind::Vmxnet3,
            },
            network: network.clone(),
            mac: nic.mac.clone(),
            controller: None,
            unit: None,
        })
    });
}

/// Takes the install media and their drives away, and lets the firmware choose again.
pub(super) fn without_media(devices: &[Device]) -> Option<ConfigSpec> {
    let media = devices
        .iter()
        .filter(|device| matches!(device.kind.as_str(), "VirtualCdrom" | "VirtualFloppy"));
    let changes: Vec<DeviceChange> = media
        .map(|device| DeviceChange::remove(DeviceSpec::Raw(device.raw.clone())))
        .collect();
    (!changes.is_empty()).then(|| ConfigSpec {
        devices: changes,
        boot_order: vec![BootDevice::Default],
        ..ConfigSpec::default()
    })
}
