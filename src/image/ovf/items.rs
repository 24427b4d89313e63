//! The `Item` elements of a hardware section: CPU, memory, controllers, disks, network adapters.

use super::devices::{ControllerItem, Devices};
use super::xml::XmlWriter;
use crate::model::{Controller, Hardware};

/// One `Item`: its children stand in the order of the alphabet, which the schema asks for.
#[derive(Default)]
struct ItemFields<'a> {
    address: Option<usize>,
    address_on_parent: Option<usize>,
    units: Option<&'a str>,
    automatic: bool,
    connection: Option<&'a str>,
    description: &'a str,
    name: String,
    host_resource: Option<String>,
    parent: Option<usize>,
    subtype: Option<&'a str>,
    kind: u32,
    quantity: Option<u64>,
    cores_per_socket: Option<u32>,
}

impl ItemFields<'_> {
    fn write(&self, xml: &mut XmlWriter, instance: usize) {
        let mut leaf = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                xml.leaf(&format!("rasd:{name}"), &value);
            }
        };
        let number = |n: Option<usize>| n.map(|n| n.to_string());
        let text = |t: Option<&str>| t.map(str::to_owned);
        leaf("Address", number(self.address));
        leaf("AddressOnParent", number(self.address_on_parent));
        leaf("AllocationUnits", text(self.units));
        leaf("AutomaticAllocation", self.automatic.then(|| "true".into()));
        leaf("Connection", text(self.connection));
        leaf("Description", Some(self.description.to_owned()));
        leaf("ElementName", Some(self.name.clone()));
        leaf("HostResource", self.host_resource.clone());
        leaf("InstanceID", Some(instance.to_string()));
        leaf("Parent", number(self.parent));
        leaf("ResourceSubType", text(self.subtype));
        leaf("ResourceType", Some(self.kind.to_string()));
        leaf("VirtualQuantity", self.quantity.map(|n| n.to_string()));
        if let Some(cores) = self.cores_per_socket {
            let optional = [("ovf:required", "false")];
            xml.leaf_with("vmw:CoresPerSocket", &optional, &cores.to_string());
        }
    }
}

/// Writes the `Item` elements of a machine.
pub(super) fn write(xml: &mut XmlWriter, hardware: &Hardware, devices: &Devices, tpm: bool) {
    let mut list = vec![
        ItemFields {
            units: Some("hertz * 10^6"),
            description: "Number of virtual CPUs",
            name: format!("{} virtual CPU(s)", hardware.cpus),
            kind: 3,
            quantity: Some(u64::from(hardware.cpus)),
            cores_per_socket: Some(hardware.cores_per_socket),
            ..ItemFields::default()
        },
        ItemFields {
            units: Some("byte * 2^20"),
            description: "Memory size",
            name: format!("{}MB of memory", hardware.memory.mib()),
            kind: 4,
            quantity: Some(hardware.memory.mib()),
            ..ItemFields::default()
        },
    ];
    // Instance ids count from 1, so the first controller has this one.
    let first = list.len() + 1;
    list.extend(devices.controllers.iter().map(controller_item));
    for (i, (controller, place)) in devices.places.iter().enumerate() {
        list.push(ItemFields {
            address_on_parent: Some(*place),
            description: "Disk drive",
            name: format!("Hard disk {}", i + 1),
            host_resource: Some(format!("ovf:/disk/vmdisk{}", i + 1)),
            parent: Some(first + controller),
            kind: 17,
            ..ItemFields::default()
        });
    }
    for (i, (subtype, network)) in devices.nics.iter().enumerate() {
        list.push(ItemFields {
            address_on_parent: Some(7 + i),
            automatic: true,
            connection: Some(network),
            description: "Network adapter",
            name: format!("Network adapter {}", i + 1),
            subtype: Some(subtype),
            kind: 10,
            ..ItemFields::default()
        });
    }
    list.extend(tpm.then(tpm_item));
    for (i, item) in list.iter().enumerate() {
        let optional: &[_] = if item.kind == 1 {
            &[("ovf:required", "false")]
        } else {
            &[]
        };
        xml.open("Item", optional);
        item.write(xml, i + 1);
        xml.close("Item");
    }
}

/// Who cannot give one runs the machine without.
fn tpm_item<'a>() -> ItemFields<'a> {
    ItemFields {
        description: "Trusted platform module",
        name: "Virtual TPM".into(),
        subtype: Some("vmware.vtpm"),
        kind: 1,
        ..ItemFields::default()
    }
}

fn controller_item<'a>(controller: &ControllerItem) -> ItemFields<'a> {
    let number = controller.address;
    let (kind, subtype, what, description) = match controller.kind {
        Controller::Lsilogic => (6, Some("lsilogic"), "SCSI", "SCSI controller"),
        Controller::LsilogicSas => (6, Some("lsilogicsas"), "SCSI", "SCSI controller"),
        Controller::Pvscsi | Controller::Virtio => {
            (6, Some("VirtualSCSI"), "SCSI", "SCSI controller")
        }
        Controller::Sata => (20, Some("vmware.sata.ahci"), "SATA", "SATA controller"),
        Controller::Nvme => (
            20,
            Some("vmware.nvme.controller"),
            "NVMe",
            "NVMe controller",
        ),
        // ESXi refuses the subtype that VirtualBox writes.
        Controller::Ide => (5, None, "IDE", "IDE controller"),
    };
    ItemFields {
        address: Some(number),
        description,
        name: format!("{what} controller {number}"),
        subtype,
        kind,
        ..ItemFields::default()
    }
}
