//! What a descriptor has beside the machine: properties, a variant, a user's template, the schema.

use super::*;

#[test]
fn a_descriptor_has_everything_that_deployers_want_to_know() {
    let mut description = machine();
    description.deploy = Deploy {
        transports: vec!["iso".into(), "com.vmware.guestInfo".into()],
        hardware_versions: vec![14, 15],
        tpm: true,
        class: Some("com.acme".into()),
        instance: Some("1".into()),
    };
    let written = write(&description).unwrap();
    assert_eq!(written.warnings, Vec::<String>::new());
    let text = &written.text;
    let start = text.find("<ProductSection").unwrap();
    let end = text.find("</VirtualSystem>").unwrap();
    insta::assert_snapshot!(&text[start..end]);
    assert!(text.contains("<VirtualHardwareSection ovf:transport=\"iso com.vmware.guestInfo\">"));
    assert!(
        text.contains(">vmx-14 vmx-15<") && text.contains(">vmware.vtpm<"),
        "{text}"
    );
    let envelope = parse(text.as_bytes()).unwrap();
    assert_eq!(envelope.schema_faults, Vec::<String>::new());
    assert_eq!(envelope.product.properties[0].key, "com.acme.BUILD_DATE.1");
    description.hardware.firmware = Firmware::Bios;
    description.deploy.hardware_versions = vec![13];
    assert_eq!(
        write(&description).unwrap().warnings,
        [
            "a virtual TPM needs hardware version 14, the machine has 13",
            "a virtual TPM needs firmware `efi`"
        ]
    );
    description.product.properties[0].kind = "boolean".into();
    assert_eq!(
        write(&description).unwrap_err().to_string(),
        "the property `BUILD_DATE`: `2026-01-01` is no value of type boolean"
    );
}

#[test]
fn for_virtualbox_a_descriptor_has_what_virtualbox_knows() {
    let mut description = with_disks(&[Controller::Pvscsi, Controller::Nvme]);
    description.deploy.tpm = true;
    description.hardware.firmware = Firmware::Efi;
    let text = write(&description).unwrap().text;
    let adapted = for_virtualbox(&text).unwrap();
    assert_eq!(
        adapted.changes,
        [
            "`VirtualSCSI` becomes `lsilogic`",
            "`vmware.nvme.controller` becomes `AHCI`",
            "`VmxNet3` becomes `E1000`",
        ]
    );
    let machine = parse(adapted.text.as_bytes())
        .unwrap()
        .lower()
        .unwrap()
        .hardware;
    assert_eq!(machine.disks[0].controller, Controller::Lsilogic);
    assert_eq!(machine.disks[1].controller, Controller::Sata);
    assert_eq!(machine.nics[0].adapter, NicAdapter::E1000);
    // and nothing else
    let back = adapted
        .text
        .replace("lsilogic", "VirtualSCSI")
        .replace(">AHCI<", ">vmware.nvme.controller<")
        .replace("E1000", "VmxNet3");
    assert_eq!(back, text);
    assert_eq!(
        for_virtualbox(&adapted.text).unwrap().changes,
        Vec::<String>::new()
    );
}

#[test]
fn devices_that_virtualbox_does_not_know_need_not_be_there() {
    for (from, to) in [
        ("<Item>", "<Item ovf:required=\"false\">"),
        (
            "<Item ovf:required=\"true\" a=\"b\">",
            "<Item a=\"b\" ovf:required=\"false\">",
        ),
        (
            "<Item ovf:required=\"false\">",
            "<Item ovf:required=\"false\">",
        ),
    ] {
        let text = |start: &str| {
            format!(
                "<V xmlns:ovf=\"x\">{start}<r:ResourceType>24</r:ResourceType></Item> <!-- a --></V>\n"
            )
        };
        assert_eq!(for_virtualbox(&text(from)).unwrap().text, text(to));
    }
    let error = for_virtualbox("<V><Item><a>").unwrap_err().to_string();
    assert!(error.ends_with("an item is not closed"), "{error}");
    assert!(for_virtualbox("<V></W>").is_err());
}

#[test]
fn a_users_template_gives_the_descriptor() {
    let description = machine();
    let same = render("{{ ovf | safe }}", &description).unwrap();
    assert_eq!(same, write(&description).unwrap());
    let changed = render(
        "{{ ovf | replace(\"<Name>\", \"<Name>The \") | safe }}",
        &description,
    )
    .unwrap();
    assert_eq!(
        parse(changed.text.as_bytes()).unwrap().name.unwrap(),
        "The k3s-mini"
    );
    let written = include_str!("template.ovf.j2");
    let rendered = render(written, &description).unwrap().text;
    let appliance = parse(rendered.as_bytes()).unwrap().lower().unwrap();
    assert_eq!(appliance.hardware, description.hardware);
    assert_eq!(
        appliance.product.properties[1].value,
        "one\n\"two\"\t<three>"
    );
    assert_eq!(appliance.product.name, "k3s <mini> & more");
    let fault = |template: &str| render(template, &description).unwrap_err().to_string();
    assert_eq!(
        fault("\n{{ product.nmae }}"),
        "the template of the ovf cannot be rendered: line 2: undefined value"
    );
    assert!(
        fault("{% if %}")
            .starts_with("the template of the ovf cannot be rendered: line 1: syntax error")
    );
    assert!(fault("<a/>").starts_with("not an ovf"));
    assert_eq!(
        fault("{{ ovf | replace(\"ovf:diskId=\", \"ovf:id=\") | safe }}"),
        "the ovf is not as the schema wants it: `Disk` has no attribute `diskId`"
    );
    assert_eq!(
        fault("{{ ovf | replace(\"<Info>The machine's disks</Info>\", \"\") | safe }}"),
        "the ovf is not as the schema wants it: `DiskSection` has no `Info`"
    );
}

/// What is replaced in a good descriptor, by what, and what the schema has against that.
const SCHEMA: &[(&str, &str, &str)] = &[
    (
        "<References>",
        "<Strings/><References>",
        "`References` stands behind `Strings` in `Envelope`, where it belongs before it",
    ),
    (
        "<References>",
        "<References/><References>",
        "`Envelope` has 2 `References`, not 1",
    ),
    (
        "ovf:size=\"123456\"",
        "ovf:size=\"-1\"",
        "`size` of `File` is `-1`; expected a whole number",
    ),
    ("ovf:href=", "ovf:ref=", "`File` has no attribute `href`"),
    (
        "ovf:capacity=",
        "ovf:cap=",
        "`Disk` has no attribute `capacity`",
    ),
    (
        "<Network ovf:name=\"VM Network\"",
        "<Network",
        "`Network` has no attribute `name`",
    ),
    (
        "<Info>A virtual machine</Info>",
        "",
        "`VirtualSystem` has no `Info`",
    ),
    (
        "<VirtualSystem ovf:id=\"k3s-mini\"",
        "<VirtualSystem",
        "`VirtualSystem` has no attribute `id`",
    ),
    (
        "<Name>k3s-mini</Name>",
        "<AnnotationSection><Info/><Annotation/></AnnotationSection><Name>x</Name>",
        "`Name` stands behind `AnnotationSection` in `VirtualSystem`, where it belongs before it",
    ),
    (
        "<Annotation>",
        "<Note/><Annotation>",
        "`Note` has no place in `AnnotationSection`",
    ),
    (
        "<License>Second.</License>",
        "",
        "`EulaSection` has no `License`",
    ),
    (
        "<License>Second.</License>",
        "<License/><License/>",
        "`EulaSection` has `License` 2 times",
    ),
    (
        "<Vendor>Forge</Vendor>",
        "<Version>2</Version><Vendor>Forge</Vendor>",
        "`Vendor` stands too late in `ProductSection`; the order is Info, Product, Vendor, Version, FullVersion, ProductUrl, VendorUrl, AppUrl, Icon, Category, Property",
    ),
    (
        "ovf:userConfigurable=\"true\"",
        "ovf:userConfigurable=\"yes\"",
        "`userConfigurable` of `Property` is `yes`; expected `true` or `false`",
    ),
    (
        "ovf:type=\"string\"",
        "",
        "`Property` has no attribute `type`",
    ),
    (
        "OperatingSystemSection ovf:id=\"96\"",
        "OperatingSystemSection ovf:id=\"99999\"",
        "`id` of `OperatingSystemSection` is `99999`; expected a whole number",
    ),
    (
        "<Name>k3s-mini</Name>",
        "<Name>k3s-mini</Name><Zork/>",
        "`Zork` has no place in `VirtualSystem`",
    ),
    (
        "<rasd:InstanceID>1</rasd:InstanceID>",
        "",
        "`Item` has no `InstanceID`",
    ),
    (
        "<rasd:InstanceID>1</rasd:InstanceID>",
        "<rasd:InstanceID>1</rasd:InstanceID><rasd:InstanceID>1</rasd:InstanceID>",
        "`Item` has `InstanceID` twice",
    ),
    (
        "<rasd:AllocationUnits>hertz",
        "<vmw:X/><rasd:AllocationUnits>hertz",
        "`AllocationUnits` stands behind `X` in `Item`, where it belongs before it",
    ),
    (
        "<Network ovf:name=",
        "<vmw:X/><Network ovf:name=",
        "`Network` stands behind `X` in `NetworkSection`, where it belongs before it",
    ),
];

#[test]
fn what_the_schema_has_against_a_descriptor_is_told() {
    let text = write(&machine()).unwrap().text;
    for (from, to, fault) in SCHEMA {
        assert!(text.contains(from), "{from} is not in\n{text}");
        let envelope = parse(text.replacen(from, to, 1).as_bytes()).unwrap();
        assert!(
            envelope.schema_faults.iter().any(|f| f == fault),
            "{fault}\n{:?}",
            envelope.schema_faults
        );
    }
    let twice = text.replace(
        "</Envelope>",
        "<VirtualSystem ovf:id=\"b\"><Info/></VirtualSystem></Envelope>",
    );
    let faults = parse(twice.as_bytes()).unwrap().schema_faults;
    assert_eq!(
        faults,
        ["`Envelope` has more than one machine or collection"]
    );
    let many = text.replace(
        "<References>",
        &format!("<References>{}", "<File/>".repeat(1000)),
    );
    assert_eq!(parse(many.as_bytes()).unwrap().schema_faults.len(), 50);
}

#[test]
fn an_ovf_of_version_2_is_read() {
    let text = write(&machine())
        .unwrap()
        .text
        .replace("ovf/envelope/1", "ovf/envelope/2");
    let envelope = parse(text.as_bytes()).unwrap();
    assert_eq!((envelope.version, envelope.schema_faults.len()), (2, 0));
    // its disks and cards have elements of their own
    let disk = text
        .rfind("<Item>\n        <rasd:AddressOnParent>0<")
        .unwrap();
    let (head, tail) = text.split_at(disk);
    let tail = tail
        .replacen("<Item>", "<StorageItem>", 1)
        .replacen("</Item>", "</StorageItem>", 1);
    let text = format!("{head}{tail}").replace(
        "<OperatingSystemSection",
        "<BootDeviceSection><Info/></BootDeviceSection><OperatingSystemSection",
    );
    let appliance = parse(text.as_bytes()).unwrap().lower().unwrap();
    assert_eq!(appliance.hardware, machine().hardware);
}

#[test]
fn an_ovf_of_version_1_becomes_one_of_version_2() {
    let hardware = |text: &str| {
        let envelope = parse(text.as_bytes()).unwrap();
        assert_eq!(envelope.schema_faults, Vec::<String>::new());
        assert!(envelope.items.iter().all(|item| item.ordered));
        let mut appliance = envelope.lower().unwrap();
        appliance.notes.sort();
        (envelope.version, appliance)
    };
    let own = write(&machine()).unwrap().text;
    for text in [&own, VMWARE, VIRTUALBOX, IMAGE_BUILDER] {
        let second = to_version_2(text).unwrap();
        let ((from, before), (to, after)) = (hardware(text), hardware(&second));
        assert_eq!((from, to), (1, 2));
        assert_eq!(before, after);
        assert!(!second.contains("ovf/envelope/1"));
        for (element, prefix, kinds) in [
            ("StorageItem", "sasd", &["15", "17"][..]),
            ("EthernetPortItem", "epasd", &["10"]),
        ] {
            let kind = |k: &&str| format!(":ResourceType>{k}</");
            let there = kinds.iter().any(|k| text.contains(&kind(k)));
            assert_eq!(second.contains(&format!("{element}>")), there, "{second}");
            for kind in kinds.iter().map(kind) {
                let own = second.matches(&format!("{prefix}{kind}")).count();
                assert_eq!(own, text.matches(&kind).count(), "{second}");
            }
        }
        assert_eq!(to_version_2(&second).unwrap(), second);
    }
    // What others have added stands behind, as it did.
    let second = to_version_2(&own).unwrap();
    let place = |text: &str| second.rfind(text).unwrap();
    assert!(place("</Item>") < place("<StorageItem>"));
    assert!(place("</StorageItem>") < place("<EthernetPortItem>"));
    assert!(place("</EthernetPortItem>") < place("<vmw:Config"));
    let undeclared = own.replace("/CIM_ResourceAllocationSettingData\"", "/another\"");
    let error = to_version_2(&undeclared).unwrap_err().to_string();
    assert!(error.contains("declares no prefix"), "{error}");
    let error = to_version_2("<Envelope").unwrap_err().to_string();
    assert!(
        error.starts_with("the ovf is no well-formed xml"),
        "{error}"
    );
}

const VMWARE: &str = include_str!("../../../../fuzz/corpus/ovf/vmware.ovf");
const VIRTUALBOX: &str = include_str!("../../../../fuzz/corpus/ovf/virtualbox.ovf");
const IMAGE_BUILDER: &str = include_str!("../../../../fuzz/corpus/ovf/image-builder.ovf");

#[test]
fn descriptors_of_other_programs_are_understood() {
    let read = |text: &str| {
        let envelope = parse(text.as_bytes()).unwrap();
        assert_eq!(envelope.schema_faults, Vec::<String>::new());
        assert_eq!(envelope.unknown_sections, Vec::<String>::new());
        envelope.lower().unwrap()
    };
    let web = read(VMWARE);
    let machine = &web.hardware;
    assert_eq!(
        (machine.cpus, machine.cores_per_socket),
        (8, 4),
        "the default is the large one"
    );
    assert_eq!(
        (machine.firmware, machine.memory.mib()),
        (Firmware::EfiSecure, 4096)
    );
    assert_eq!(machine.guest_id.as_deref(), Some("debian12_64Guest"));
    assert_eq!(machine.disks[0].controller, Controller::Pvscsi);
    assert_eq!(web.disks[0].capacity, Size::from_mib(16 << 10));
    assert_eq!(web.product.properties[1].key, "net.mask.0");
    assert_eq!(web.product.properties[1].value, "24");
    assert_eq!(
        web.product.properties[0].category.as_deref(),
        Some("Network")
    );
    assert_eq!(
        web.notes,
        [
            "a video card is left out",
            "a CD drive is left out",
            "`vmware.vmci` is left out"
        ]
    );
    let vbox = read(VIRTUALBOX);
    assert_eq!(vbox.hardware.disks[0].controller, Controller::Sata);
    assert_eq!(vbox.disks[0].capacity, Size::from_mib(8192));
    assert_eq!(vbox.name, "box");
    assert_eq!(
        vbox.notes,
        [
            "the network card `PCNet32` is read as e1000",
            "a sound card is left out",
            "the hardware family `virtualbox-2.2` is read as `vmx-15`",
        ]
    );
    let node = read(IMAGE_BUILDER);
    assert_eq!((node.hardware.cpus, node.hardware.disks.len()), (2, 1));
    assert_eq!(node.eulas, ["Free & open"]);
    assert_eq!(node.disks[0].file.as_ref().unwrap().href, "node-v1.vmdk");
}
