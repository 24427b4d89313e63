//! Devices as the API's schema wants them written: `VirtualDevice` and what derives from it.

use super::{DeviceSpec, DiskSpec, NetworkBacking, NicKind, NicSpec, ScsiKind};
use crate::vim::{Element, Xml};

impl DeviceSpec {
    pub(super) fn write(&self, xml: &mut Xml) {
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
