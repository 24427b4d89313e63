//! How forge's hardware becomes OVF's: controllers of their own, places on them, named networks.

use std::collections::BTreeMap;

use super::{Deploy, OvfError};
use crate::model::{Controller, Firmware, Hardware, NicAdapter};

/// Says what a hypervisor will not like.
pub(super) fn advise(hardware: &Hardware, deploy: &Deploy, warnings: &mut Vec<String>) {
    let least = deploy.hardware_versions.iter().min();
    let version = least.copied().unwrap_or(hardware.hardware_version);
    let mut needs = |what: &str, least: u32| {
        if version < least {
            warnings.push(format!(
                "{what} needs hardware version {least}, the machine has {version}"
            ));
        }
    };
    match hardware.firmware {
        Firmware::Bios => {}
        Firmware::Efi => needs("firmware `efi`", 8),
        Firmware::EfiSecure => needs("secure boot", 13),
    }
    if hardware
        .disks
        .iter()
        .any(|d| d.controller == Controller::Nvme)
    {
        needs("an nvme controller", 13);
    }
    if deploy.tpm {
        needs("a virtual TPM", 14);
        if hardware.firmware == Firmware::Bios {
            warnings.push("a virtual TPM needs firmware `efi`".into());
        }
    }
    if matches!(version, 12 | 16) {
        warnings.push(format!(
            "hardware version {version} exists on Workstation only; ESXi refuses it"
        ));
    }
    if !hardware.memory.bytes().is_multiple_of(4 << 20) {
        warnings.push(format!(
            "memory of {} is no multiple of 4MiB; ESXi refuses it",
            hardware.memory
        ));
    }
}

/// The hardware as OVF has it: controllers of their own, disks on them, networks by name.
pub(super) struct Devices {
    pub(super) controllers: Vec<ControllerItem>,
    /// For each disk its controller (an index) and its place there.
    pub(super) places: Vec<(usize, usize)>,
    /// Subtype and network of each adapter.
    pub(super) nics: Vec<(&'static str, String)>,
    pub(super) networks: Vec<String>,
}

pub(super) struct ControllerItem {
    pub(super) kind: Controller,
    /// Among those of its kind.
    number: usize,
    /// Among those that share its bus numbers: all SCSI controllers do.
    pub(super) address: usize,
}

impl Devices {
    pub(super) fn new(hardware: &Hardware, warnings: &mut Vec<String>) -> Result<Self, OvfError> {
        let mut devices = Self {
            controllers: Vec::new(),
            places: Vec::new(),
            nics: Vec::new(),
            networks: Vec::new(),
        };
        let mut counts: BTreeMap<Controller, usize> = BTreeMap::new();
        for disk in &hardware.disks {
            let kind = match disk.controller {
                Controller::Virtio => Controller::Pvscsi,
                other => other,
            };
            let count = counts.entry(kind).or_default();
            devices.place(kind, *count);
            *count += 1;
        }
        for (kind, disks) in counts {
            let (each, most) = room(kind);
            let beyond = |c: &ControllerItem| c.kind == kind && c.address >= most;
            if devices.controllers.iter().any(beyond) {
                return Err(OvfError::TooManyDisks {
                    controller: kind,
                    disks,
                    most: each * most,
                });
            }
        }
        if hardware
            .disks
            .iter()
            .any(|d| d.controller == Controller::Virtio)
        {
            warnings.push("ovf has no virtio disks; the appliance gets pvscsi".into());
        }
        if hardware
            .nics
            .iter()
            .any(|n| n.adapter == NicAdapter::Virtio)
        {
            warnings.push("ovf has no virtio network cards; the appliance gets vmxnet3".into());
        }
        for nic in &hardware.nics {
            let network = match nic.network.trim() {
                "" => "VM Network",
                name => name,
            };
            if !devices.networks.iter().any(|n| n == network) {
                devices.networks.push(network.to_owned());
            }
            devices
                .nics
                .push((nic_type(nic.adapter), network.to_owned()));
        }
        Ok(devices)
    }

    /// Puts the next disk on a controller of its kind, the `count`-th there.
    fn place(&mut self, kind: Controller, count: usize) {
        let (each, _) = room(kind);
        let (number, place) = (count / each, count % each);
        let known = self
            .controllers
            .iter()
            .position(|c| c.kind == kind && c.number == number);
        let controller = known.unwrap_or_else(|| {
            let shares = |other: Controller| other == kind || is_scsi(other) && is_scsi(kind);
            let address = self.controllers.iter().filter(|c| shares(c.kind)).count();
            self.controllers.push(ControllerItem {
                kind,
                number,
                address,
            });
            self.controllers.len() - 1
        });
        let skip_itself = is_scsi(kind) && place >= 7;
        self.places
            .push((controller, place + usize::from(skip_itself)));
    }
}

/// Disks on a controller, and controllers of the kind.
const fn room(kind: Controller) -> (usize, usize) {
    match kind {
        Controller::Lsilogic
        | Controller::LsilogicSas
        | Controller::Pvscsi
        | Controller::Virtio => (15, 4),
        Controller::Sata => (30, 4),
        Controller::Ide => (2, 2),
        Controller::Nvme => (15, 4),
    }
}

const fn is_scsi(kind: Controller) -> bool {
    matches!(
        kind,
        Controller::Lsilogic | Controller::LsilogicSas | Controller::Pvscsi
    )
}

const fn nic_type(adapter: NicAdapter) -> &'static str {
    match adapter {
        NicAdapter::E1000 => "E1000",
        NicAdapter::E1000e => "E1000e",
        NicAdapter::Vmxnet3 | NicAdapter::Virtio => "VmxNet3",
    }
}
