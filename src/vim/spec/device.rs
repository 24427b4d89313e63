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

impl DeviceSpec {
    fn write(&self, xml: &mut Xml) {
        match self {
            Self::Scsi { key, kind, bus } => {
                xml.typed("device", kind.as_str(), |xml| {
                    xml.element("key", key)
                        .element("busNumber", bus)
                        .element("sharedBus", "noSharing")
                        .element("scsiCtlrUnitNumber", 7);
                });
            }
            Self::Sata { key, bus } => controller(xml, "VirtualAHCIController", *key, *bus),
            Self::Nvme { key, bus } => controller(xml, "VirtualNVMEController", *key, *bus),
            Self::Ide { key, bus } => controller(xml, "VirtualIDEController", *key, *bus),
            Self::Disk(disk) => disk.write(xml),
            Self::Nic(nic) => nic.write(xml),
            Self::Cdrom {
                key,
                controller,
                unit,
                medium,
            } => removable(
                xml,
                "VirtualCdrom",
                *key,
                medium.as_deref(),
                Some((*controller, *unit)),
            ),
            Self::Floppy { key, medium } => {
                removable(xml, "VirtualFloppy", *key, medium.as_deref(), None);
            }
            Self::Usb { key } => {
                xml.typed("device", "VirtualUSBController", |xml| {
                    xml.element("key", key)
                        .element("busNumber", 0)
                        .element("autoConnectDevices", false)
                        .element("ehciEnabled", true);
                });
            }
            Self::Xhci { key } => {
                xml.typed("device", "VirtualUSBXHCIController", |xml| {
                    xml.element("key", key)
                        .element("busNumber", 0)
                        .element("autoConnectDevices", false);
                });
            }
            Self::Tpm { key } => {
                xml.typed("device", "VirtualTPM", |xml| {
                    xml.element("key", key);
                });
            }
            Self::Raw(device) => {
                xml.copy("device", device);
            }
        }
    }
}

impl ScsiKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::LsiLogic => "VirtualLsiLogicController",
            Self::LsiLogicSas => "VirtualLsiLogicSASController",
            Self::Pvscsi => "ParaVirtualSCSIController",
        }
    }
}

impl NicKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::E1000 => "VirtualE1000",
            Self::E1000e => "VirtualE1000e",
            Self::Vmxnet3 => "VirtualVmxnet3",
            Self::Vmxnet2 => "VirtualVmxnet2",
            Self::Pcnet32 => "VirtualPCNet32",
            Self::Sriov => "VirtualSriovEthernetCard",
        }
    }
}

impl DiskSpec {
    fn write(&self, xml: &mut Xml) {
        xml.typed("device", "VirtualDisk", |xml| {
            xml.element("key", self.key);
            xml.typed("backing", "VirtualDiskFlatVer2BackingInfo", |xml| {
                xml.element("fileName", self.backing_file.as_deref().unwrap_or_default())
                    .maybe_reference("datastore", self.datastore.as_ref())
                    .element("diskMode", "persistent")
                    .element("thinProvisioned", self.thin)
                    .element("eagerlyScrub", self.eager);
            });
            xml.element("controllerKey", self.controller)
                .element("unitNumber", self.unit)
                .element("capacityInKB", self.capacity.bytes().div_ceil(1024))
                .element("capacityInBytes", self.capacity.bytes());
        });
    }
}

impl NicSpec {
    fn write(&self, xml: &mut Xml) {
        xml.typed("device", self.kind.as_str(), |xml| {
            xml.element("key", self.key);
            xml.copy("backing", &self.network.to_element());
            connected(xml, true);
            xml.maybe("controllerKey", self.controller)
                .maybe("unitNumber", self.unit)
                .element(
                    "addressType",
                    if self.mac.is_some() {
                        "manual"
                    } else {
                        "generated"
                    },
                )
                .maybe("macAddress", self.mac.as_ref());
        });
    }
}

impl NetworkBacking {
    /// It as the `backing` element of a device that is to be changed.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let leaf = |name: &str, text: &str| Element {
            name: name.into(),
            text: text.into(),
            ..Element::default()
        };
        let (kind, children) = match self {
            Self::Standard { name, network } => {
                let mut children = vec![leaf("deviceName", name)];
                children.extend(network.as_ref().map(|network| Element {
                    attributes: vec![("type".into(), network.kind.clone())],
                    ..leaf("network", &network.id)
                }));
                ("VirtualEthernetCardNetworkBackingInfo", children)
            }
            Self::Distributed {
                switch_uuid,
                portgroup_key,
            } => {
                let port = Element {
                    name: "port".into(),
                    children: vec![
                        leaf("switchUuid", switch_uuid),
                        leaf("portgroupKey", portgroup_key),
                    ],
                    ..Element::default()
                };
                (
                    "VirtualEthernetCardDistributedVirtualPortBackingInfo",
                    vec![port],
                )
            }
            Self::Opaque { id, kind } => (
                "VirtualEthernetCardOpaqueNetworkBackingInfo",
                vec![leaf("opaqueNetworkId", id), leaf("opaqueNetworkType", kind)],
            ),
        };
        Element {
            name: "backing".into(),
            kind: Some(kind.into()),
            children,
            ..Element::default()
        }
    }
}

fn controller(xml: &mut Xml, kind: &str, key: i32, bus: i32) {
    xml.typed("device", kind, |xml| {
        xml.element("key", key).element("busNumber", bus);
    });
}

/// A drive with a medium in it, or with an empty backing of the client's own drive.
fn removable(xml: &mut Xml, kind: &str, key: i32, medium: Option<&str>, place: Option<(i32, i32)>) {
    xml.typed("device", kind, |xml| {
        xml.element("key", key);
        let (image, remote) = match kind {
            "VirtualCdrom" => (
                "VirtualCdromIsoBackingInfo",
                "VirtualCdromRemotePassthroughBackingInfo",
            ),
            _ => (
                "VirtualFloppyImageBackingInfo",
                "VirtualFloppyRemoteDeviceBackingInfo",
            ),
        };
        match medium {
            Some(path) => xml.typed("backing", image, |xml| {
                xml.element("fileName", path);
            }),
            None => xml.typed("backing", remote, |xml| {
                xml.element("deviceName", "")
                    .element("useAutoDetect", false);
                if kind == "VirtualCdrom" {
                    xml.element("exclusive", false);
                }
            }),
        };
        connected(xml, medium.is_some());
        if let Some((controller, unit)) = place {
            xml.element("controllerKey", controller)
                .element("unitNumber", unit);
        }
    });
}

fn connected(xml: &mut Xml, connected: bool) {
    xml.within("connectable", |xml| {
        xml.element("startConnected", connected)
            .element("allowGuestControl", true)
            .element("connected", connected);
    });
}
