//! A machine's hardware as one specification: everything in one call.

use super::place::{Misfit, Place};
use crate::model::{Controller, Firmware, Hardware, NicAdapter, Provisioning, Size};
use crate::provider::Mark;
use crate::vim::{
    BootDevice, ConfigSpec, Device, DeviceChange, DeviceSpec, DiskSpec, NicKind, NicSpec, ScsiKind,
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
}

/// Gives keys and places on controllers.
#[derive(Default)]
struct Bench {
    devices: Vec<DeviceChange>,
    /// The controllers of each kind: key, the next unit.
    controllers: Vec<(Controller, i32, i32)>,
    used: i32,
}

impl Bench {
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

/// Whether a controller is one of the SCSI family.
const fn is_scsi(kind: Controller) -> bool {
    matches!(
        kind,
        Controller::Lsilogic | Controller::Pvscsi | Controller::Virtio
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

fn processor(mut spec: ConfigSpec, hardware: &Hardware) -> ConfigSpec {
    let more = hardware.vsphere.clone().unwrap_or_default();
    let extra = more.extra_config.into_iter();
    spec.extra.extend(extra);
    if let (Some(notes), Some(mark)) = (more.notes, &mut spec.annotation) {
        *mark = format!("{notes}\n\n{mark}");
    }
    ConfigSpec {
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
    for disk in &hardware.disks {
        let key = add_disk(&mut bench, disk.controller, disk.size, (place, how));
        order.push(BootDevice::Disk(key));
    }
    for nic in &hardware.nics {
        add_nic(
            &mut bench,
            nic.adapter,
            &place.network(&nic.network, network)?.1,
        );
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

fn provisioning(hardware: &Hardware) -> Provisioning {
    let more = hardware.vsphere.as_ref();
    more.map_or_else(Provisioning::default, |more| more.provisioning)
}

fn add_disk(
    bench: &mut Bench,
    kind: Controller,
    capacity: Size,
    (place, how): (&Place, Provisioning),
) -> i32 {
    let (controller, unit) = bench.place(kind);
    bench.add(|key| {
        DeviceSpec::Disk(DiskSpec {
            key,
            controller,
            unit,
            capacity,
            thin: how == Provisioning::Thin,
            eager: how == Provisioning::Eager,
            backing_file: None,
            datastore: Some(place.datastore.clone()),
            storage_policy: None,
        })
    })
}

fn add_nic(bench: &mut Bench, adapter: NicAdapter, network: &crate::vim::NetworkBacking) {
    bench.add(|key| {
        DeviceSpec::Nic(NicSpec {
            key,
            kind: match adapter {
                NicAdapter::E1000 => NicKind::E1000,
                NicAdapter::E1000e => NicKind::E1000e,
                NicAdapter::Vmxnet3 | NicAdapter::Virtio => NicKind::Vmxnet3,
            },
            network: network.clone(),
            mac: None,
            controller: None,
            unit: None,
        })
    });
}

/// How a clone differs from its source, whose devices are `devices`: processor, memory, and what it has more. Tells
/// whether a disk grows, which a linked clone cannot.
pub(super) fn clone(
    hardware: &Hardware,
    mark: &Mark,
    place: &Place,
    devices: &[Device],
    network: Option<&str>,
) -> Result<(ConfigSpec, bool), Misfit> {
    let mut bench = Bench::default();
    let mut grows = false;
    let disks: Vec<&Device> = devices.iter().filter(|d| d.kind == "VirtualDisk").collect();
    for (index, disk) in hardware.disks.iter().enumerate() {
        let Some(old) = disks.get(index) else {
            add_disk(
                &mut bench,
                disk.controller,
                disk.size,
                (place, provisioning(hardware)),
            );
            continue;
        };
        if old.capacity.is_some_and(|capacity| capacity < disk.size) {
            grows = true;
            let mut raw = old.raw.clone();
            raw.set("capacityInKB", (disk.size.bytes() >> 10).to_string());
            raw.set("capacityInBytes", disk.size.bytes().to_string());
            bench.devices.push(DeviceChange::edit(DeviceSpec::Raw(raw)));
        }
    }
    let nics = devices.iter().filter(|d| d.mac.is_some()).count();
    for nic in hardware.nics.iter().skip(nics) {
        add_nic(
            &mut bench,
            nic.adapter,
            &place.network(&nic.network, network)?.1,
        );
    }
    let spec = ConfigSpec {
        devices: bench.devices,
        ..processor(marked(mark), hardware)
    };
    Ok((spec, grows))
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
