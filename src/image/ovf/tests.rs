use proptest::prelude::*;

use super::*;
use crate::model::{Disk, Firmware, Nic, NicAdapter};

fn properties() -> Vec<Property> {
    vec![
        Property {
            key: "BUILD_DATE".into(),
            value: "2026-01-01".into(),
            ..Property::default()
        },
        Property {
            key: "keys".into(),
            value: "one\n\"two\"\t<three>".into(),
            user_configurable: true,
            category: Some("Access".into()),
            label: Some("SSH keys".into()),
            description: Some("One a line".into()),
            ..Property::default()
        },
        Property {
            key: "password".into(),
            kind: "string".into(),
            password: true,
            qualifiers: Some("MinLen(8) MaxLen(64)".into()),
            user_configurable: true,
            category: Some("Access".into()),
            ..Property::default()
        },
    ]
}

fn machine() -> Description {
    Description {
        name: "k3s-mini".into(),
        hardware: Hardware {
            cpus: 4,
            cores_per_socket: 2,
            memory: Size::from_mib(2048),
            firmware: Firmware::EfiSecure,
            disks: vec![Disk {
                size: Size::from_mib(8192),
                controller: Controller::Pvscsi,
            }],
            nics: vec![Nic {
                adapter: NicAdapter::Vmxnet3,
                network: "VM Network".into(),
                mac: None,
            }],
            guest_id: Some("debian12_64Guest".into()),
            hardware_version: 15,
            vsphere: None,
        },
        disks: vec![DiskFile {
            href: "k3s-mini-disk1.vmdk".into(),
            size: Size::from_bytes(123_456),
            capacity: Size::from_mib(8192),
            populated: Size::from_bytes(65_536 * 7),
        }],
        nvram: Some(NvramFile {
            href: "k3s-mini.nvram".into(),
            size: Size::from_bytes(270_840),
        }),
        product: Product {
            name: "k3s <mini> & more".into(),
            vendor: Some("Forge".into()),
            version: Some("1.0".into()),
            full_version: Some("1.0-g123".into()),
            product_url: Some("https://example.com/k3s".into()),
            vendor_url: Some("https://example.com".into()),
            app_url: Some("https://${vmguest.ip}".into()),
            properties: properties(),
        },
        annotation: Some("first line\nsecond line".into()),
        eulas: vec!["You may & must <agree>.".into(), "Second.".into()],
        deploy: Deploy::default(),
    }
}

fn with_disks(controllers: &[Controller]) -> Description {
    let mut description = machine();
    let disk = description.disks[0].clone();
    description.hardware.disks = controllers
        .iter()
        .map(|c| Disk {
            size: Size::from_mib(1024),
            controller: *c,
        })
        .collect();
    description.disks = (0..controllers.len())
        .map(|i| DiskFile {
            href: format!("d{i}.vmdk"),
            capacity: Size::from_mib(1024),
            ..disk.clone()
        })
        .collect();
    description
}

fn back(description: &Description) -> Appliance {
    let text = write(description).unwrap().text;
    parse(text.as_bytes()).unwrap().lower().unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let description = machine();
    let written = write(&description).unwrap();
    assert_eq!(written.warnings, Vec::<String>::new());
    let appliance = back(&description);
    assert_eq!(appliance.name, description.name);
    assert_eq!(appliance.hardware, description.hardware);
    assert_eq!(appliance.product, description.product);
    assert_eq!(appliance.annotation, description.annotation);
    assert_eq!(appliance.eulas, description.eulas);
    assert_eq!(appliance.notes, Vec::<String>::new());
    let file = appliance.disks[0].file.as_ref().unwrap();
    assert_eq!(
        (file.href.as_str(), file.size),
        ("k3s-mini-disk1.vmdk", Some(123_456))
    );
    assert_eq!(appliance.disks[0].format, STREAM_OPTIMIZED);
}

#[test]
fn the_hardware_section_is_as_importers_want_it() {
    let text = write(&machine()).unwrap().text;
    let start = text.find("<OperatingSystemSection").unwrap();
    let end = text.find("<AnnotationSection").unwrap();
    insta::assert_snapshot!(&text[start..end]);
}

#[test]
fn every_item_is_in_the_order_of_the_alphabet_and_has_its_own_id() {
    let envelope = parse(write(&machine()).unwrap().text.as_bytes()).unwrap();
    assert!(envelope.items.iter().all(|item| item.ordered));
    let ids: Vec<&str> = envelope.items.iter().map(|i| i.instance.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
    assert_eq!(envelope.without_info, Vec::<String>::new());
    assert_eq!(envelope.unknown_sections, Vec::<String>::new());
    assert_eq!(envelope.transports, ["com.vmware.guestInfo"]);
}

#[test]
fn disks_get_controllers_of_their_kind_and_places_there() {
    use Controller::{Ide, Lsilogic, Nvme, Pvscsi, Sata};
    let mut mixed = vec![Lsilogic, Sata, Pvscsi, Ide, Ide, Ide, Nvme];
    mixed.extend([Lsilogic; 16]);
    let description = with_disks(&mixed);
    assert_eq!(back(&description).hardware, description.hardware);
    let envelope = parse(write(&description).unwrap().text.as_bytes()).unwrap();
    let disks: Vec<_> = envelope.items.iter().filter(|i| i.kind == "17").collect();
    let mut places: Vec<_> = disks.iter().map(|d| (&d.parent, &d.place)).collect();
    let count = places.len();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), count, "two disks share a place");
    let first = disks[0].parent.clone();
    let scsi = disks.iter().filter(|d| d.parent == first);
    assert!(
        scsi.into_iter().all(|d| d.place.as_deref() != Some("7")),
        "7 is the controller itself"
    );
}

#[test]
fn virtio_becomes_what_vmware_has_and_is_told() {
    let mut description = with_disks(&[Controller::Virtio]);
    description.hardware.nics[0].adapter = NicAdapter::Virtio;
    let written = write(&description).unwrap();
    assert_eq!(
        written.warnings,
        [
            "ovf has no virtio disks; the appliance gets pvscsi",
            "ovf has no virtio network cards; the appliance gets vmxnet3",
        ]
    );
    let hardware = back(&description).hardware;
    assert_eq!(hardware.disks[0].controller, Controller::Pvscsi);
    assert_eq!(hardware.nics[0].adapter, NicAdapter::Vmxnet3);
}

#[test]
fn hypervisors_limits_are_told() {
    let mut description = with_disks(&[Controller::Nvme]);
    description.hardware.hardware_version = 12;
    description.hardware.memory = Size::from_mib(1023);
    assert_eq!(
        write(&description).unwrap().warnings,
        [
            "secure boot needs hardware version 13, the machine has 12",
            "an nvme controller needs hardware version 13, the machine has 12",
            "hardware version 12 exists on Workstation only; ESXi refuses it",
            "memory of 1023MiB is no multiple of 4MiB; ESXi refuses it",
        ]
    );
}

#[test]
fn bad_descriptions_are_refused() {
    let refused = |change: &dyn Fn(&mut Description)| {
        let mut description = machine();
        change(&mut description);
        write(&description).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|d| d.disks.clear()),
        "the machine has 1 disk(s), but there are files for 0"
    );
    assert_eq!(
        refused(&|d| d.annotation = Some("bell \u{7}".into())),
        "the annotation has a character that xml cannot hold"
    );
    assert_eq!(
        refused(&|d| d.product.properties[1].key = "BUILD_DATE".into()),
        "two properties are called `BUILD_DATE`"
    );
    let many = with_disks(&[Controller::Ide; 5]);
    assert_eq!(
        write(&many).unwrap_err().to_string(),
        "5 disks on ide controllers; an ovf can describe 4"
    );
}

/// What VirtualBox, ovftool and image-builder write, boiled down.
const FOREIGN: &str = r#"<?xml version="1.0"?>
<!-- made elsewhere -->
<o:Envelope xmlns:o="http://schemas.dmtf.org/ovf/envelope/1" xmlns:v="http://www.vmware.com/schema/ovf"
  xmlns:r="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:s="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
 <o:References><o:File o:id="f" o:href="my%20disk.vmdk"/></o:References>
 <o:DiskSection><o:Info/><o:Disk o:diskId="d" o:fileRef="f" o:capacity="${size}" o:capacityAllocationUnits="byte * 2^30" o:format="x"/></o:DiskSection>
 <o:DeploymentOptionSection><o:Info/><o:Configuration o:id="small"/><o:Configuration o:id="big" o:default="true"/></o:DeploymentOptionSection>
 <o:VirtualSystem o:id="vm">
  <o:Info/>
  <o:ProductSection o:class="com.x"><o:Info/><o:Property o:key="k" o:value="v"/></o:ProductSection>
  <o:ProductSection><o:Info/><o:Product>P</o:Product><o:Property o:key="size" o:value="3"/></o:ProductSection>
  <o:VirtualHardwareSection><o:Info/>
   <o:System><s:VirtualSystemType>virtualbox-2.2</s:VirtualSystemType></o:System>
   <o:Item o:configuration="small"><r:InstanceID>1</r:InstanceID><r:ResourceType>3</r:ResourceType><r:VirtualQuantity>1</r:VirtualQuantity></o:Item>
   <o:Item o:configuration="big"><r:InstanceID>1</r:InstanceID><r:ResourceType>3</r:ResourceType><r:VirtualQuantity>6</r:VirtualQuantity></o:Item>
   <o:Item><r:AllocationUnits>MegaBytes</r:AllocationUnits><r:InstanceID>2</r:InstanceID><r:ResourceType>4</r:ResourceType><r:VirtualQuantity>512</r:VirtualQuantity></o:Item>
   <o:Item><r:InstanceID>3</r:InstanceID><r:ResourceSubType>buslogic</r:ResourceSubType><r:ResourceType>6</r:ResourceType></o:Item>
   <o:Item><r:HostResource>/disk/d</r:HostResource><r:InstanceID>4</r:InstanceID><r:Parent>3</r:Parent><r:ResourceType>17</r:ResourceType></o:Item>
   <o:Item><r:Connection>NAT</r:Connection><r:InstanceID>5</r:InstanceID><r:ResourceSubType>PCNet32</r:ResourceSubType><r:ResourceType>10</r:ResourceType></o:Item>
   <o:Item o:required="false"><r:InstanceID>6</r:InstanceID><r:ResourceSubType>vmware.vmci</r:ResourceSubType><r:ResourceType>1</r:ResourceType></o:Item>
   <o:Item><r:InstanceID>7</r:InstanceID><r:ResourceType>24</r:ResourceType></o:Item>
  </o:VirtualHardwareSection>
  <v:BootOrderSection/>
 </o:VirtualSystem>
</o:Envelope>"#;

#[test]
fn a_foreign_ovf_is_understood_and_what_is_left_out_is_told() {
    let appliance = parse(FOREIGN.as_bytes()).unwrap().lower().unwrap();
    let hardware = &appliance.hardware;
    assert_eq!((hardware.cpus, hardware.memory.mib()), (6, 512));
    assert_eq!(hardware.disks[0].size, Size::from_mib(3072));
    assert_eq!(hardware.disks[0].controller, Controller::Lsilogic);
    assert_eq!(hardware.hardware_version, 15);
    assert_eq!(
        appliance.disks[0].file.as_ref().unwrap().href,
        "my disk.vmdk"
    );
    assert_eq!(appliance.product.properties[0].key, "com.x.k");
    assert_eq!(
        appliance.notes,
        [
            "the controller `buslogic` is read as lsilogic",
            "the network card `PCNet32` is read as e1000",
            "`vmware.vmci` is left out",
            "a video card is left out",
            "the hardware family `virtualbox-2.2` is read as `vmx-15`",
        ]
    );
}

/// What is replaced in [`FOREIGN`], by what, and the message that this gives.
const FAULTS: &[(&str, &str, &str)] = &[
    ("</o:Envelope>", "", "the ovf is no well-formed xml"),
    (
        "Envelope",
        "Envelop",
        "not an ovf: its root is `Envelop`, not `Envelope`",
    ),
    (
        "envelope/1",
        "envelope/9",
        "not an ovf: its name space is `http://schemas.dmtf.org/ovf/envelope/9`",
    ),
    (
        "<!-- made elsewhere -->",
        "<!DOCTYPE x [<!ENTITY a \"b\">]>",
        "a document type has no place in it",
    ),
    ("<o:Info/>", "&lol;", "`&lol;` is not known"),
    (
        "o:id=\"vm\"",
        "o:id=&quot;",
        "the ovf is no well-formed xml",
    ),
    (
        "<r:ResourceType>4<",
        "<r:ResourceType>99<",
        "the ovf has no memory item in its hardware",
    ),
    (
        ">6</r:VirtualQ",
        ">0</r:VirtualQ",
        "the ovf says `0` for the number of CPUs; expected a whole number above 0",
    ),
    (
        ">MegaBytes<",
        ">furlongs<",
        "the ovf says `furlongs` for the unit of the memory; expected a unit such as `byte * 2^20`",
    ),
    (
        "${size}",
        "${nix}",
        "the capacity of disk `d` of the ovf refers to `${nix}`, which does not exist",
    ),
    (
        "2^30",
        "2^63",
        "the ovf says `3` for the capacity of disk `d`; expected a whole number that makes a sensible size",
    ),
    (
        ">/disk/d<",
        ">/disk/e<",
        "disk `4` of the ovf refers to `/disk/e`, which does not exist",
    ),
    (
        "o:fileRef=\"f\"",
        "o:fileRef=\"g\"",
        "disk `d` of the ovf refers to `g`, which does not exist",
    ),
    (
        "<r:Parent>3</r:Parent>",
        "",
        "the ovf has no `Parent` (its controller) in disk `4`",
    ),
    (
        "<r:Parent>3<",
        "<r:Parent>33<",
        "disk `4` of the ovf refers to `33`, which does not exist",
    ),
    (
        "<r:Parent>3<",
        "<r:Parent>2<",
        "the ovf says `4` for the resource type of the controller of disk `4`; expected 5 (IDE), 6 (SCSI) or 20 (SATA, NVMe)",
    ),
    (
        "</o:VirtualSystem>",
        "</o:VirtualSystem><o:VirtualSystem/>",
        "the ovf describes 2 machines at once, which forge does not run",
    ),
    (
        "<v:BootOrderSection/>",
        "<o:VirtualHardwareSection><o:Info/><v:Config v:key=\"firmware\" v:value=\"uboot\"/></o:VirtualHardwareSection>",
        "the ovf says `uboot` for the firmware; expected `bios` or `efi`",
    ),
];

#[test]
fn a_disk_without_a_file_has_its_size_in_the_item() {
    let text = FOREIGN.replace(
        "<r:HostResource>/disk/d</r:HostResource>",
        "<r:AllocationUnits>byte*1024 * 2^10</r:AllocationUnits><r:VirtualQuantity>7</r:VirtualQuantity>",
    );
    let appliance = parse(text.as_bytes()).unwrap().lower().unwrap();
    assert_eq!(appliance.disks[0].capacity, Size::from_mib(7));
    assert_eq!(appliance.disks[0].file, None);
    let error = parse(
        text.replace("<r:VirtualQuantity>7</r:VirtualQuantity>", "")
            .as_bytes(),
    );
    assert_eq!(
        error.unwrap().lower().unwrap_err().to_string(),
        "the ovf has no `HostResource` in disk `4`"
    );
}

#[test]
fn each_fault_of_an_ovf_has_its_message() {
    let lowered = |from: &str, to: &str| {
        assert!(FOREIGN.contains(from), "{from}");
        let text = FOREIGN.replace(from, to);
        match parse(text.as_bytes()) {
            Ok(envelope) => envelope.lower().unwrap_err().to_string(),
            Err(e) => e.to_string(),
        }
    };
    for (from, to, message) in FAULTS {
        let found = lowered(from, to);
        assert!(found.contains(message), "{found}\nexpected: {message}");
    }
    assert!(
        parse(b"\xff\xfe<\0")
            .unwrap_err()
            .to_string()
            .contains("it is not UTF-8")
    );
    assert_eq!(
        parse(b"").unwrap_err().to_string(),
        "not an ovf: there is no element in it"
    );
    let deep = "<a>".repeat(100_000);
    assert!(
        parse(deep.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("too deep")
    );
}

proptest! {
    #[test]
    fn garbled_descriptors_never_panic(
        cut in 0_usize..4000,
        changes in prop::collection::vec((0_usize..4000, any::<u8>()), 0..12),
    ) {
        let mut bytes = FOREIGN.as_bytes().to_vec();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 2));
        if let Ok(envelope) = parse(&bytes) {
            let _ = envelope.lower();
        }
    }

    #[test]
    fn any_text_survives(value in "[ -~\n\tä€]{0,60}", annotation in "[ -~ä]{1,40}") {
        let mut description = machine();
        description.product.properties[0].value.clone_from(&value);
        description.annotation = Some(annotation.trim().to_owned()).filter(|a| !a.is_empty());
        let appliance = back(&description);
        prop_assert_eq!(&appliance.product.properties[0].value, &value);
        prop_assert_eq!(appliance.annotation, description.annotation);
    }
}

mod extras;
