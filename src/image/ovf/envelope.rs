//! A descriptor as it stands: every part that matters, nothing resolved yet, so that a linter sees what is wrong.

use super::xml::{self, Element};
use super::{OvfError, Product, Property, schema};

/// An OVF envelope as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The major version of the name space: 1 or 2.
    pub version: u32,
    /// The files that belong to it, in order.
    pub files: Vec<FileRef>,
    /// The disks, in order.
    pub disks: Vec<DiskRef>,
    /// The networks, in order.
    pub networks: Vec<Network>,
    /// The deployment option that is the default.
    pub configuration: Option<String>,
    /// How many machines it describes.
    pub machines: usize,
    /// The first machine's `ovf:id`.
    pub id: String,
    /// The machine's name, if it has one beside its id.
    pub name: Option<String>,
    /// CIM's code for the operating system.
    pub os_id: Option<String>,
    /// vSphere's guest id.
    pub os_type: Option<String>,
    /// The hardware families (`vmx-15`).
    pub system_types: Vec<String>,
    /// How properties reach the guest.
    pub transports: Vec<String>,
    /// The hardware.
    pub items: Vec<Item>,
    /// VMware's settings: key and value.
    pub settings: Vec<(String, String)>,
    /// The product sections, merged; the first name counts.
    pub product: Product,
    /// A note for people.
    pub annotation: Option<String>,
    /// License texts.
    pub eulas: Vec<String>,
    /// What the schema has against it otherwise.
    pub schema_faults: Vec<String>,
    /// Sections without the `Info` that the schema asks for.
    pub without_info: Vec<String>,
    /// Sections that must be understood and are not known here.
    pub unknown_sections: Vec<String>,
}

/// A file that belongs to an appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRef {
    /// Its id.
    pub id: String,
    /// Its name: a relative URL with percent signs decoded.
    pub href: String,
    /// Its size, as far as it is said.
    pub size: Option<u64>,
    /// The size of its pieces, when it is cut into pieces.
    pub chunk_size: Option<u64>,
    /// How it is compressed as a whole.
    pub compression: Option<String>,
}

/// A disk of an appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskRef {
    /// Its id.
    pub id: String,
    /// The id of its file; none: an empty disk.
    pub file: Option<String>,
    /// Its size as written; may be `${property}`.
    pub capacity: String,
    /// The unit of the size.
    pub units: Option<String>,
    /// Bytes that are not zeros, as written.
    pub populated: Option<String>,
    /// The URI of its format.
    pub format: String,
}

/// A network of an appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
}

/// A piece of hardware, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub instance: String,
    /// CIM's resource type.
    pub kind: String,
    /// What exactly it is.
    pub subtype: Option<String>,
    /// Its name for people.
    pub name: Option<String>,
    /// The id of what it hangs on.
    pub parent: Option<String>,
    /// Its place there.
    pub place: Option<String>,
    /// What it shows of the host: `ovf:/disk/ID`.
    pub host_resources: Vec<String>,
    /// The network.
    pub connection: Option<String>,
    /// How much of it.
    pub quantity: Option<String>,
    /// The quantity's unit.
    pub units: Option<String>,
    /// VMware's cores per socket.
    pub cores_per_socket: Option<String>,
    /// Whether a hypervisor that does not know it must refuse.
    pub required: bool,
    /// The deployment options that it is for; none: all.
    pub configuration: Option<String>,
    /// The element's children are in the order of the alphabet.
    pub ordered: bool,
}

/// Reads a descriptor.
pub fn parse(bytes: &[u8]) -> Result<Envelope, OvfError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| OvfError::Xml {
        offset: e.valid_up_to() as u64,
        what: "it is not UTF-8".into(),
    })?;
    let root = xml::read(text)?;
    if root.name != "Envelope" {
        return Err(OvfError::NotOvf(format!(
            "its root is `{}`, not `Envelope`",
            root.name
        )));
    }
    let version = match root.namespace.rsplit_once("/ovf/envelope/") {
        Some((_, "1")) => 1,
        Some((_, "2")) => 2,
        _ => {
            return Err(OvfError::NotOvf(format!(
                "its name space is `{}`",
                root.namespace
            )));
        }
    };
    let mut envelope = Envelope {
        version,
        schema_faults: schema::check(&root),
        ..Envelope::default()
    };
    envelope.head(&root);
    let mut machines = Vec::new();
    find_machines(&root, &mut machines);
    envelope.machines = machines.len();
    if let Some(machine) = machines.first() {
        envelope.machine(machine);
    }
    Ok(envelope)
}

fn find_machines<'a>(element: &'a Element, found: &mut Vec<&'a Element>) {
    for child in &element.children {
        match child.name.as_str() {
            "VirtualSystem" => found.push(child),
            "VirtualSystemCollection" => find_machines(child, found),
            _ => {}
        }
    }
}

const ENVELOPE_SECTIONS: &[&str] = &[
    "DiskSection",
    "NetworkSection",
    "DeploymentOptionSection",
    "SharedDiskSection",
    "PlacementGroupSection",
    "EncryptionSection",
];

const MACHINE_SECTIONS: &[&str] = &[
    "OperatingSystemSection",
    "VirtualHardwareSection",
    "ProductSection",
    "AnnotationSection",
    "EulaSection",
    "InstallSection",
    "EnvironmentFilesSection",
    "BootOrderSection",
    "ResourceAllocationSection",
    "BootDeviceSection",
    "PlacementSection",
    "ScaleOutSection",
];

impl Envelope {
    fn head(&mut self, root: &Element) {
        for child in &root.children {
            match child.name.as_str() {
                "References" => self.files = child.all("File").map(file).collect(),
                "DiskSection" => self.disks = child.all("Disk").map(disk).collect(),
                "NetworkSection" => {
                    let name = |n: &Element| n.attribute("name").unwrap_or_default().to_owned();
                    let networks = child.all("Network");
                    self.networks = networks.map(|n| Network { name: name(n) }).collect();
                }
                "DeploymentOptionSection" => {
                    let default = |o: &Element| o.attribute("default") == Some("true");
                    let mut options = child.all("Configuration");
                    let chosen = child
                        .all("Configuration")
                        .find(|option| default(option))
                        .or_else(|| options.next());
                    self.configuration = chosen.and_then(|o| o.attribute("id")).map(str::to_owned);
                }
                _ => {}
            }
            self.section(child, ENVELOPE_SECTIONS);
        }
    }

    fn machine(&mut self, machine: &Element) {
        machine
            .attribute("id")
            .unwrap_or_default()
            .clone_into(&mut self.id);
        self.name = owned(machine.text_of("Name"));
        for child in &machine.children {
            match child.name.as_str() {
                "OperatingSystemSection" => {
                    self.os_id = owned(child.attribute("id"));
                    self.os_type = owned(child.attribute("osType"));
                }
                "VirtualHardwareSection" => self.hardware(child),
                "ProductSection" => self.product(child),
                "AnnotationSection" => self.annotation = owned(child.text_of("Annotation")),
                "EulaSection" => self.eulas.extend(owned(child.text_of("License"))),
                _ => {}
            }
            self.section(child, MACHINE_SECTIONS);
        }
    }

    /// Notes what is wrong with a section as such.
    fn section(&mut self, element: &Element, known: &[&str]) {
        if !element.name.ends_with("Section") {
            return;
        }
        if element.child("Info").is_none() {
            self.without_info.push(element.name.clone());
        }
        if !known.contains(&element.name.as_str()) && element.required() {
            self.unknown_sections.push(element.name.clone());
        }
    }

    fn hardware(&mut self, section: &Element) {
        let words = |text: &str| -> Vec<String> {
            text.split([' ', ','])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        self.transports = words(section.attribute("transport").unwrap_or_default());
        for child in &section.children {
            match child.name.as_str() {
                "System" => {
                    self.system_types =
                        words(child.text_of("VirtualSystemType").unwrap_or_default());
                }
                "Item" | "StorageItem" | "EthernetPortItem" => self.items.push(item(child)),
                "Config" | "ExtraConfig" => {
                    let (key, value) = (child.attribute("key"), child.attribute("value"));
                    if let (Some(key), Some(value)) = (key, value) {
                        self.settings.push((key.to_owned(), value.to_owned()));
                    }
                }
                _ => {}
            }
        }
    }

    fn product(&mut self, section: &Element) {
        if self.product.name.is_empty() {
            section
                .text_of("Product")
                .unwrap_or_default()
                .clone_into(&mut self.product.name);
            self.product.vendor = owned(section.text_of("Vendor"));
            self.product.version = owned(section.text_of("Version"));
            self.product.full_version = owned(section.text_of("FullVersion"));
            self.product.product_url = owned(section.text_of("ProductUrl"));
            self.product.vendor_url = owned(section.text_of("VendorUrl"));
            self.product.app_url = owned(section.text_of("AppUrl"));
        }
        // A vApp knows a property as CLASS.KEY.INSTANCE.
        let prefix = section.attribute("class").filter(|c| !c.is_empty());
        let suffix = section.attribute("instance").filter(|i| !i.is_empty());
        let mut category = None;
        for property in &section.children {
            if property.name == "Category" {
                category = owned(Some(property.text.trim()).filter(|c| !c.is_empty()));
            }
            if property.name != "Property" {
                continue;
            }
            let parts = [prefix, property.attribute("key"), suffix];
            let key: Vec<&str> = parts.into_iter().flatten().collect();
            // Several values are for deployment options; the plain one is the attribute.
            let value = property.attribute("value").or_else(|| {
                let value = property.child("Value")?;
                value.attribute("value")
            });
            self.product.properties.push(Property {
                key: key.join("."),
                value: value.unwrap_or_default().to_owned(),
                user_configurable: matches!(
                    property.attribute("userConfigurable"),
                    Some("true" | "1")
                ),
                kind: property.attribute("type").unwrap_or("string").to_owned(),
                password: matches!(property.attribute("password"), Some("true" | "1")),
                qualifiers: owned(property.attribute("qualifiers")),
                category: category.clone(),
                label: owned(property.text_of("Label")),
                description: owned(property.text_of("Description")),
            });
        }
    }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn file(element: &Element) -> FileRef {
    let number = |name| element.attribute(name).and_then(|n| n.trim().parse().ok());
    FileRef {
        id: element.attribute("id").unwrap_or_default().to_owned(),
        href: percent_decode(element.attribute("href").unwrap_or_default()),
        size: number("size"),
        chunk_size: number("chunkSize"),
        compression: owned(element.attribute("compression"))
            .filter(|c| !c.is_empty() && c != "identity"),
    }
}

fn disk(element: &Element) -> DiskRef {
    let text = |name| element.attribute(name).unwrap_or_default().to_owned();
    DiskRef {
        id: text("diskId"),
        file: owned(element.attribute("fileRef")),
        capacity: text("capacity"),
        units: owned(element.attribute("capacityAllocationUnits")),
        populated: owned(element.attribute("populatedSize")),
        format: text("format"),
    }
}

fn item(element: &Element) -> Item {
    let text = |name| owned(element.text_of(name));
    let names: Vec<&str> = element
        .children
        .iter()
        .filter(|child| child.namespace.contains("/cim-schema/"))
        .map(|child| child.name.as_str())
        .collect();
    Item {
        instance: text("InstanceID").unwrap_or_default(),
        kind: text("ResourceType").unwrap_or_default(),
        subtype: text("ResourceSubType"),
        name: text("ElementName"),
        parent: text("Parent"),
        place: text("AddressOnParent"),
        host_resources: element
            .all("HostResource")
            .map(|h| h.text.trim().to_owned())
            .collect(),
        connection: text("Connection"),
        quantity: text("VirtualQuantity"),
        units: text("AllocationUnits"),
        cores_per_socket: text("CoresPerSocket"),
        required: element.required(),
        configuration: owned(element.attribute("configuration")),
        ordered: names.is_sorted(),
    }
}

/// What does not decode stays as it is: the name is then simply not found.
fn percent_decode(url: &str) -> String {
    let bytes = url.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = url
            .get(at + 1..at + 3)
            .filter(|h| bytes[at] == b'%' && h.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| url.to_owned())
}
