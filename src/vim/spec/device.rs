//! `VirtualDeviceConfigSpec` and the devices in it.

use crate::model::Size;
use crate::vim::{Element, Ref, Xml};

/// A device to add, change or remove; `VirtualDeviceConfigSpec` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceChange {
    /// What to do with it.
    pub operation: Operation,
    /// What to do with the file behind it; none: leave it.
    pub file: Option<FileOperation>,
    /// The device.
    pub device: DeviceSpec,
}

/// What to do with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Add it.
    Add,
    /// Change it.
    Edit,
    /// Remove it.
    Remove,
}

/// What to do with the file behind a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOperation {
    /// Make it.
    Create,
    /// Delete it.
    Destroy,
}

/// A device. A new one gets a negative key of its own, by which others in the same specification name it; the server
/// gives it another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSpec {
    /// A SCSI controller.
    Scsi {
        /// Its key.
        key: i32,
        /// Its kind.
        kind: ScsiKind,
        /// Its number among those of its family, from 0.
        bus: i32,
    },
    /// A SATA controller.
    Sata {
        /// Its key.
        key: i32,
        /// Its number among those of its family, from 0.
        bus: i32,
    },
    /// An `NVMe` controller.
    Nvme {
        /// Its key.
        key: i32,
        /// Its number among those of its family, from 0.
        bus: i32,
    },
    /// An IDE controller; a machine has two, with the keys 200 and 201.
    Ide {
        /// Its key.
        key: i32,
        /// Its number among those of its family, from 0.
        bus: i32,
    },
    /// A disk.
    Disk(DiskSpec),
    /// A network card.
    Nic(NicSpec),
    /// A CD-ROM drive.
    Cdrom {
        /// Its key.
        key: i32,
        /// Its controller's key.
        controller: i32,
        /// Its place on the controller.
        unit: i32,
        /// The image in it, as `[datastore] path`; none: it is empty.
        medium: Option<String>,
    },
    /// A floppy drive.
    Floppy {
        /// Its key.
        key: i32,
        /// The image in it, as `[datastore] path`; none: it is empty.
        medium: Option<String>,
    },
    /// A USB 2 controller.
    Usb {
        /// Its key.
        key: i32,
    },
    /// A USB 3 controller.
    Xhci {
        /// Its key.
        key: i32,
    },
    /// A trusted platform module.
    Tpm {
        /// Its key.
        key: i32,
    },
    /// A device as it was read, changed in place; its `xsi:type` is its kind.
    Raw(Element),
}

/// The kind of a SCSI controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScsiKind {
    /// LSI Logic parallel.
    LsiLogic,
    /// LSI Logic SAS.
    LsiLogicSas,
    /// VMware paravirtual.
    Pvscsi,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Its key.
    pub key: i32,
    /// Its controller's key.
    pub controller: i32,
    /// Its place on the controller.
    pub unit: i32,
    /// How large it is.
    pub capacity: Size,
    /// Whether its space is taken only when written.
    pub thin: bool,
    /// Whether its space is zeroed when it is made; not with `thin`.
    pub eager: bool,
    /// Its file, as `[datastore] path`; none: the server chooses one in the machine's folder.
    pub backing_file: Option<String>,
    /// Where its file lies, if not with the machine.
    pub datastore: Option<Ref>,
    /// The identifier of a storage policy.
    pub storage_policy: Option<String>,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicSpec {
    /// Its key.
    pub key: i32,
    /// Its kind.
    pub kind: NicKind,
    /// Where it is plugged in.
    pub network: NetworkBacking,
    /// Its address; none: the server makes one.
    pub mac: Option<String>,
    /// Its controller's key; none: the server chooses.
    pub controller: Option<i32>,
    /// Its place on the controller.
    pub unit: Option<i32>,
}

/// The kind of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicKind {
    /// Intel 82545EM.
    E1000,
    /// Intel 82574L.
    E1000e,
    /// VMware paravirtual.
    Vmxnet3,
    /// VMware's older one.
    Vmxnet2,
    /// AMD PCnet.
    Pcnet32,
    /// SR-IOV passthrough.
    Sriov,
}

/// What a network card is plugged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkBacking {
    /// A port group of a host.
    Standard {
        /// Its name.
        name: String,
        /// Itself.
        network: Option<Ref>,
    },
    /// A port group of a distributed switch.
    Distributed {
        /// The switch's uuid.
        switch_uuid: String,
        /// The port group's key.
        portgroup_key: String,
    },
    /// A network of NSX.
    Opaque {
        /// Its identifier.
        id: String,
        /// Its type, such as `nsx.LogicalSwitch`.
        kind: String,
    },
}

impl DeviceChange {
    /// Adds a device, with its file if it is a disk without one.
    #[must_use]
    pub fn add(device: DeviceSpec) -> Self {
        let new_disk = matches!(&device, DeviceSpec::Disk(disk) if disk.backing_file.is_none());
        Self {
            operation: Operation::Add,
            file: new_disk.then_some(FileOperation::Create),
            device,
        }
    }

    /// Changes a device.
    #[must_use]
    pub fn edit(device: DeviceSpec) -> Self {
        Self {
            operation: Operation::Edit,
            file: None,
            device,
        }
    }

    /// Removes a device; the file behind it stays.
    #[must_use]
    pub fn remove(device: DeviceSpec) -> Self {
        Self {
            operation: Operation::Remove,
            file: None,
            device,
        }
    }

    /// Writes it as a `deviceChange`.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.typed("deviceChange", "VirtualDeviceConfigSpec", |xml| {
            let operation = match self.operation {
                Operation::Add => "add",
                Operation::Edit => "edit",
                Operation::Remove => "remove",
            };
            let file = self.file.map(|file| match file {
                FileOperation::Create => "create",
                FileOperation::Destroy => "destroy",
            });
            xml.element("operation", operation)
                .maybe("fileOperation", file);
            self.device.write(xml);
            if let DeviceSpec::Disk(DiskSpec {
                storage_policy: Some(policy),
                ..
            }) = &self.device
            {
                xml.typed("profile", "VirtualMachineDefinedProfileSpec", |xml| {
                    xml.element("profileId", policy);
                });
            }
        });
    }
}
