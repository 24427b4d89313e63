//! From forge's words to an OVF 1.1 descriptor.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::devices::{Devices, advise};
use super::xml::{XmlWriter, can_hold};
use super::{
    Deploy, Description, DiskFile, NvramFile, OvfError, Product, Property, STREAM_OPTIMIZED, guest,
    items,
};
use crate::model::{Firmware, Hardware, Size};

/// A descriptor, and what the one who asked for it should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The descriptor.
    pub text: String,
    /// What was replaced, or which hypervisors will refuse it.
    pub warnings: Vec<String>,
}

/// Writes the descriptor of an appliance.
pub fn write(description: &Description) -> Result<Written, OvfError> {
    let Description {
        name,
        hardware,
        disks,
        nvram,
        product,
        annotation,
        eulas,
        deploy,
    } = description;
    check(description)?;
    let mut warnings = Vec::new();
    advise(hardware, deploy, &mut warnings);
    let devices = Devices::new(hardware, &mut warnings)?;
    let mut xml = XmlWriter::new();
    xml.open("Envelope", NAMESPACES);
    references(&mut xml, disks, nvram.as_ref());
    disk_section(&mut xml, disks);
    network_section(&mut xml, &devices.networks);
    xml.open("VirtualSystem", &[("ovf:id", name)]);
    xml.leaf("Info", "A virtual machine");
    xml.leaf("Name", name);
    os_section(&mut xml, hardware);
    hardware_section(&mut xml, description, &devices);
    if let Some(text) = annotation {
        xml.open("AnnotationSection", &[("ovf:required", "false")]);
        xml.leaf("Info", "A note about the machine");
        xml.leaf("Annotation", text);
        xml.close("AnnotationSection");
    }
    product_section(&mut xml, product, deploy);
    for text in eulas {
        xml.open("EulaSection", &[]);
        xml.leaf("Info", "The license that must be accepted");
        xml.leaf("License", text);
        xml.close("EulaSection");
    }
    xml.close("VirtualSystem");
    xml.close("Envelope");
    Ok(Written {
        text: xml.finish(),
        warnings,
    })
}

const NAMESPACES: &[(&str, &str)] = &[
    ("xmlns", "http://schemas.dmtf.org/ovf/envelope/1"),
    ("xmlns:ovf", "http://schemas.dmtf.org/ovf/envelope/1"),
    (
        "xmlns:rasd",
        "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    ),
    ("xmlns:vmw", "http://www.vmware.com/schema/ovf"),
    (
        "xmlns:vssd",
        "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
    ),
    ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
];

fn check(description: &Description) -> Result<(), OvfError> {
    let Description {
        name,
        hardware,
        disks,
        nvram: _,
        product,
        annotation,
        eulas,
        deploy,
    } = description;
    if hardware.disks.len() != disks.len() {
        return Err(OvfError::DiskCount {
            disks: hardware.disks.len(),
            files: disks.len(),
        });
    }
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut texts = vec![
        ("the name", name.clone()),
        ("the product", product.name.clone()),
        ("the vendor", optional(&product.vendor)),
        ("the version", optional(&product.version)),
        ("the annotation", optional(annotation)),
        ("the full version", optional(&product.full_version)),
        ("the product's address", optional(&product.product_url)),
        ("the vendor's address", optional(&product.vendor_url)),
        ("the application's address", optional(&product.app_url)),
        ("the class", optional(&deploy.class)),
        ("the instance", optional(&deploy.instance)),
        ("a transport", deploy.transports.join(" ")),
        ("the guest id", optional(&hardware.guest_id)),
    ];
    texts.extend(
        hardware
            .nics
            .iter()
            .map(|n| ("a network", n.network.clone())),
    );
    texts.extend(eulas.iter().map(|text| ("the license", text.clone())));
    for property in &product.properties {
        texts.push(("a property's key", property.key.clone()));
        texts.push(("a property", property.value.clone()));
        texts.push(("a property's qualifiers", optional(&property.qualifiers)));
        texts.push(("a property's category", optional(&property.category)));
        texts.push(("a property's label", optional(&property.label)));
        texts.push(("a property's description", optional(&property.description)));
    }
    check_properties(&product.properties)?;
    match texts.into_iter().find(|(_, text)| !can_hold(text)) {
        Some((what, _)) => Err(OvfError::Text(what.to_owned())),
        None => Ok(()),
    }
}

fn check_properties(properties: &[Property]) -> Result<(), OvfError> {
    let mut keys = BTreeSet::new();
    for property in properties {
        if let Some(why) = property.faults().into_iter().next() {
            return Err(OvfError::Property {
                key: property.key.clone(),
                why,
            });
        }
        if !keys.insert(&property.key) {
            return Err(OvfError::Twice {
                what: "properties",
                name: property.key.clone(),
            });
        }
    }
    Ok(())
}

fn references(xml: &mut XmlWriter, disks: &[DiskFile], nvram: Option<&NvramFile>) {
    xml.open("References", &[]);
    let files = disks.iter().map(|disk| (&disk.href, disk.size));
    let files = files.chain(nvram.map(|file| (&file.href, file.size)));
    for (i, (href, size)) in files.enumerate() {
        xml.empty(
            "File",
            &[
                ("ovf:href", &percent_encode(href)),
                ("ovf:id", &format!("file{}", i + 1)),
                ("ovf:size", &size.bytes().to_string()),
            ],
        );
    }
    xml.close("References");
}

fn disk_section(xml: &mut XmlWriter, disks: &[DiskFile]) {
    xml.open("DiskSection", &[]);
    xml.leaf("Info", "The machine's disks");
    for (i, disk) in disks.iter().enumerate() {
        let (capacity, units) = in_units(disk.capacity);
        xml.empty(
            "Disk",
            &[
                ("ovf:capacity", &capacity.to_string()),
                ("ovf:capacityAllocationUnits", units),
                ("ovf:diskId", &format!("vmdisk{}", i + 1)),
                ("ovf:fileRef", &format!("file{}", i + 1)),
                ("ovf:format", STREAM_OPTIMIZED),
                ("ovf:populatedSize", &disk.populated.bytes().to_string()),
            ],
        );
    }
    xml.close("DiskSection");
}

const fn in_units(size: Size) -> (u64, &'static str) {
    let bytes = size.bytes();
    if bytes.is_multiple_of(1 << 20) {
        (bytes >> 20, "byte * 2^20")
    } else {
        (bytes, "byte")
    }
}

fn network_section(xml: &mut XmlWriter, networks: &[String]) {
    if networks.is_empty() {
        return;
    }
    xml.open("NetworkSection", &[]);
    xml.leaf("Info", "The networks that the machine is on");
    for network in networks {
        xml.open("Network", &[("ovf:name", network)]);
        xml.leaf("Description", &format!("The network `{network}`"));
        xml.close("Network");
    }
    xml.close("NetworkSection");
}

fn os_section(xml: &mut XmlWriter, hardware: &Hardware) {
    let os = guest::os(hardware.guest_id.as_deref(), hardware.hardware_version);
    let id = os.id.to_string();
    let mut attributes = vec![("ovf:id", id.as_str())];
    if let Some(version) = &os.version {
        attributes.push(("ovf:version", version));
    }
    attributes.push(("vmw:osType", &os.guest_id));
    xml.open("OperatingSystemSection", &attributes);
    xml.leaf("Info", "The guest's operating system");
    xml.close("OperatingSystemSection");
}

fn hardware_section(xml: &mut XmlWriter, description: &Description, devices: &Devices) {
    let Description {
        name,
        hardware,
        disks,
        nvram,
        product,
        deploy,
        ..
    } = description;
    let transports = deploy.transports(&product.properties).join(" ");
    let transport = [("ovf:transport", transports.as_str())];
    let transport = if transports.is_empty() {
        &[]
    } else {
        &transport[..]
    };
    xml.open("VirtualHardwareSection", transport);
    xml.leaf("Info", "The machine's hardware");
    xml.open("System", &[]);
    xml.leaf("vssd:ElementName", "Virtual Hardware Family");
    xml.leaf("vssd:InstanceID", "0");
    xml.leaf("vssd:VirtualSystemIdentifier", name);
    xml.leaf(
        "vssd:VirtualSystemType",
        &deploy.families(hardware).join(" "),
    );
    xml.close("System");
    items::write(xml, hardware, devices, deploy.tpm);
    settings(xml, hardware);
    // as ovftool and vCenter write it
    if nvram.is_some() {
        xml.empty(
            "vmw:ExtraConfig",
            &[
                ("ovf:required", "false"),
                ("vmw:key", "nvram"),
                ("vmw:value", &format!("ovf:/file/file{}", disks.len() + 1)),
            ],
        );
    }
    xml.close("VirtualHardwareSection");
}

/// What VMware has no item for.
fn settings(xml: &mut XmlWriter, hardware: &Hardware) {
    let config = |xml: &mut XmlWriter, key: &str, value: &str| {
        xml.empty(
            "vmw:Config",
            &[
                ("ovf:required", "false"),
                ("vmw:key", key),
                ("vmw:value", value),
            ],
        );
    };
    let firmware = match hardware.firmware {
        Firmware::Bios => "bios",
        Firmware::Efi | Firmware::EfiSecure => "efi",
    };
    config(xml, "firmware", firmware);
    if hardware.firmware == Firmware::EfiSecure {
        config(xml, "bootOptions.efiSecureBootEnabled", "true");
    }
    let more = hardware.vsphere.clone().unwrap_or_default();
    for (key, set) in [
        ("cpuHotAddEnabled", more.cpu_hot_add),
        ("memoryHotAddEnabled", more.memory_hot_add),
        ("nestedHVEnabled", more.nested),
    ] {
        if set {
            config(xml, key, "true");
        }
    }
}

fn product_section(xml: &mut XmlWriter, product: &Product, deploy: &Deploy) {
    let mut attributes = Vec::new();
    for (name, value) in [
        ("ovf:class", &deploy.class),
        ("ovf:instance", &deploy.instance),
    ] {
        attributes.extend(value.as_deref().map(|value| (name, value)));
    }
    xml.open("ProductSection", &attributes);
    xml.leaf("Info", "What the appliance is");
    xml.leaf("Product", &product.name);
    for (element, value) in [
        ("Vendor", &product.vendor),
        ("Version", &product.version),
        ("FullVersion", &product.full_version),
        ("ProductUrl", &product.product_url),
        ("VendorUrl", &product.vendor_url),
        ("AppUrl", &product.app_url),
    ] {
        if let Some(value) = value {
            xml.leaf(element, value);
        }
    }
    // a category is a heading: it holds for all that follow
    let mut category = None;
    for property in &product.properties {
        if property.category != category {
            xml.leaf("Category", property.category.as_deref().unwrap_or_default());
            category.clone_from(&property.category);
        }
        write_property(xml, property);
    }
    xml.close("ProductSection");
}

fn write_property(xml: &mut XmlWriter, property: &Property) {
    let configurable = property.user_configurable.to_string();
    let mut attributes = vec![("ovf:key", property.key.as_str())];
    if property.password {
        attributes.push(("ovf:password", "true"));
    }
    if let Some(qualifiers) = &property.qualifiers {
        attributes.push(("ovf:qualifiers", qualifiers));
    }
    attributes.extend([
        ("ovf:type", property.kind.as_str()),
        ("ovf:userConfigurable", &configurable),
        ("ovf:value", &property.value),
    ]);
    if property.label.is_none() && property.description.is_none() {
        xml.empty("Property", &attributes);
        return;
    }
    xml.open("Property", &attributes);
    if let Some(label) = &property.label {
        xml.leaf("Label", label);
    }
    if let Some(description) = &property.description {
        xml.leaf("Description", description);
    }
    xml.close("Property");
}

/// A file name as a relative URL.
fn percent_encode(name: &str) -> String {
    let mut url = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}
