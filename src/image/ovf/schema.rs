//! What the schema of OVF (DSP8023) says about a descriptor's form: which elements stand where, how often, and with which
//! attributes. Elements of other name spaces are the business of those who put them there.

use super::xml::Element;

/// An element's content: its children in order, and its attributes.
struct Rule {
    name: &'static str,
    children: &'static [Child],
    attributes: &'static [Attribute],
}

/// A child, or several that may alternate, and how often.
struct Child {
    names: &'static [&'static str],
    least: usize,
    most: usize,
}

/// A required or typed attribute.
struct Attribute {
    name: &'static str,
    required: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    /// A whole number from 0 up to this.
    Number(u64),
}

const MANY: usize = usize::MAX;

const fn some(names: &'static [&'static str], least: usize, most: usize) -> Child {
    Child { names, least, most }
}

const fn must(name: &'static str) -> Attribute {
    typed(name, true, Kind::Text)
}

const fn typed(name: &'static str, required: bool, kind: Kind) -> Attribute {
    Attribute {
        name,
        required,
        kind,
    }
}

const INFO: Child = some(&["Info"], 1, 1);
const SHORT: Kind = Kind::Number(u16::MAX as u64);
const LONG: Kind = Kind::Number(i64::MAX as u64);

/// The rules, by the name of the element; `Item` of a `StartupSection` is another than that of the hardware.
const RULES: &[Rule] = &[
    rule("References", &[some(&["File"], 0, MANY)], &[]),
    rule(
        "File",
        &[],
        &[
            must("id"),
            must("href"),
            typed("size", false, Kind::Number(u64::MAX)),
            typed("chunkSize", false, LONG),
        ],
    ),
    rule("DiskSection", &[INFO, some(&["Disk"], 0, MANY)], &[]),
    rule(
        "Disk",
        &[],
        &[
            must("diskId"),
            must("capacity"),
            typed("populatedSize", false, LONG),
        ],
    ),
    rule("NetworkSection", &[INFO, some(&["Network"], 0, MANY)], &[]),
    rule("Network", &[some(&["Description"], 0, 1)], &[must("name")]),
    rule(
        "DeploymentOptionSection",
        &[INFO, some(&["Configuration"], 1, MANY)],
        &[],
    ),
    rule(
        "Configuration",
        &[some(&["Label"], 1, 1), some(&["Description"], 1, 1)],
        &[must("id"), typed("default", false, Kind::Bool)],
    ),
    rule(
        "AnnotationSection",
        &[INFO, some(&["Annotation"], 1, 1)],
        &[],
    ),
    rule("EulaSection", &[INFO, some(&["License"], 1, 1)], &[]),
    rule(
        "OperatingSystemSection",
        &[INFO, some(&["Description"], 0, 1)],
        &[typed("id", true, SHORT)],
    ),
    rule(
        "InstallSection",
        &[INFO],
        &[typed("initialBootStopDelay", true, SHORT)],
    ),
    rule(
        "ProductSection",
        &[
            INFO,
            some(&["Product"], 0, 1),
            some(&["Vendor"], 0, 1),
            some(&["Version"], 0, 1),
            some(&["FullVersion"], 0, 1),
            some(&["ProductUrl"], 0, 1),
            some(&["VendorUrl"], 0, 1),
            some(&["AppUrl"], 0, 1),
            some(&["Icon"], 0, MANY),
            some(&["Category", "Property"], 0, MANY),
        ],
        &[],
    ),
    rule(
        "Icon",
        &[],
        &[
            must("fileRef"),
            typed("height", false, SHORT),
            typed("width", false, SHORT),
        ],
    ),
    rule(
        "Property",
        &[
            some(&["Label"], 0, 1),
            some(&["Description"], 0, 1),
            some(&["Value"], 0, MANY),
        ],
        &[
            must("key"),
            must("type"),
            typed("userConfigurable", false, Kind::Bool),
            typed("password", false, Kind::Bool),
        ],
    ),
    rule("Value", &[], &[must("value")]),
    rule(
        "VirtualHardwareSection",
        &[
            INFO,
            some(&["System"], 0, 1),
            some(&["Item"], 0, MANY),
            some(&["StorageItem"], 0, MANY),
            some(&["EthernetPortItem"], 0, MANY),
        ],
        &[],
    ),
    rule(
        "ResourceAllocationSection",
        &[INFO, some(&["Item"], 0, MANY)],
        &[],
    ),
];

const fn rule(
    name: &'static str,
    children: &'static [Child],
    attributes: &'static [Attribute],
) -> Rule {
    Rule {
        name,
        children,
        attributes,
    }
}

/// More is of no use to anybody.
const MOST: usize = 50;

/// What the schema has against a descriptor, in words.
pub(super) fn check(root: &Element) -> Vec<String> {
    let mut faults = Vec::new();
    envelope(root, &mut faults);
    walk(root, &root.namespace, &mut faults);
    faults.truncate(MOST);
    faults
}

const CONTENT: [&str; 2] = ["VirtualSystem", "VirtualSystemCollection"];

/// `References`, sections, the machine, strings.
fn envelope(root: &Element, faults: &mut Vec<String>) {
    let rank = |name: &str| match name {
        "References" => 0,
        "Strings" => 3,
        _ if CONTENT.contains(&name) => 2,
        _ => 1,
    };
    ranked(root, rank, faults);
    let count =
        |wanted: &dyn Fn(&str) -> bool| root.children.iter().filter(|c| wanted(&c.name)).count();
    match count(&|name| name == "References") {
        1 => {}
        n => faults.push(format!("`Envelope` has {n} `References`, not 1")),
    }
    match count(&|name| CONTENT.contains(&name)) {
        0 => faults.push("`Envelope` has no machine".into()),
        1 => {}
        _ => faults.push("`Envelope` has more than one machine or collection".into()),
    }
}

/// `Info`, `Name`, sections, machines of a collection.
fn content(element: &Element, faults: &mut Vec<String>) {
    let rank = |name: &str| match name {
        "Info" => 0,
        "Name" => 1,
        _ if CONTENT.contains(&name) => 3,
        _ => 2,
    };
    ranked(element, rank, faults);
    if element.child("Info").is_none() {
        faults.push(format!("`{}` has no `Info`", element.name));
    }
    if element.attribute("id").is_none() {
        faults.push(format!("`{}` has no attribute `id`", element.name));
    }
}

fn ranked(element: &Element, rank: impl Fn(&str) -> u8, faults: &mut Vec<String>) {
    let own = element
        .children
        .iter()
        .filter(|c| c.namespace == element.namespace);
    let mut last = (0, "");
    for child in own {
        let name = child.name.as_str();
        let known = ["References", "Strings", "Info", "Name"].contains(&name);
        if !known && !CONTENT.contains(&name) && !name.ends_with("Section") {
            faults.push(format!("`{name}` has no place in `{}`", element.name));
        }
        let rank = rank(name);
        if rank < last.0 {
            faults.push(format!(
                "`{}` stands behind `{}` in `{}`, where it belongs before it",
                child.name, last.1, element.name
            ));
        }
        if rank >= last.0 {
            last = (rank, &child.name);
        }
    }
}

fn walk(element: &Element, namespace: &str, faults: &mut Vec<String>) {
    for child in element.children.iter().filter(|c| c.namespace == namespace) {
        if faults.len() >= MOST {
            return;
        }
        if CONTENT.contains(&child.name.as_str()) {
            content(child, faults);
        } else if let Some(rule) = RULES.iter().find(|rule| rule.name == child.name) {
            children(child, rule, namespace, faults);
            attributes(child, rule, faults);
        } else if HARDWARE.contains(&child.name.as_str()) {
            hardware(child, faults);
        }
        walk(child, namespace, faults);
    }
}

/// Elements whose children are CIM's.
const HARDWARE: [&str; 4] = ["System", "Item", "StorageItem", "EthernetPortItem"];

/// What of CIM's may be there more than once.
const REPEATED: [&str; 2] = ["Connection", "HostResource"];

/// CIM's children of a piece of hardware: some must be there, most only once, and what others have added comes behind.
/// That they are in the order of the alphabet is looked at elsewhere.
fn hardware(element: &Element, faults: &mut Vec<String>) {
    let owner = &element.name;
    let is_cim = |child: &Element| child.namespace.contains("/cim-schema/");
    // that of a `StartupSection` is something else
    if element.attribute("order").is_some() {
        return;
    }
    let mut behind = None;
    for (i, child) in element.children.iter().enumerate() {
        let name = &child.name;
        if !is_cim(child) {
            behind = behind.or(Some(name));
        } else if let Some(other) = behind {
            faults.push(format!(
                "`{name}` stands behind `{other}` in `{owner}`, where it belongs before it"
            ));
        }
        let twice = element.children[..i]
            .iter()
            .any(|c| is_cim(c) && c.name == *name);
        if is_cim(child) && twice && !REPEATED.contains(&name.as_str()) {
            faults.push(format!("`{owner}` has `{name}` twice"));
        }
    }
    for name in ["ElementName", "InstanceID"] {
        if !element.children.iter().any(|c| is_cim(c) && c.name == name) {
            faults.push(format!("`{owner}` has no `{name}`"));
        }
    }
}

fn children(element: &Element, rule: &Rule, namespace: &str, faults: &mut Vec<String>) {
    let name = &element.name;
    let mut place = 0;
    let mut counts = vec![0; rule.children.len()];
    let mut behind = None;
    for child in &element.children {
        if child.namespace != namespace {
            behind = behind.or(Some(&child.name));
            continue;
        }
        if let Some(other) = behind {
            faults.push(format!(
                "`{}` stands behind `{other}` in `{name}`, where it belongs before it",
                child.name
            ));
        }
        let found = rule
            .children
            .iter()
            .position(|c| c.names.contains(&child.name.as_str()));
        match found {
            None => faults.push(format!("`{}` has no place in `{name}`", child.name)),
            Some(at) if at < place => faults.push(format!(
                "`{}` stands too late in `{name}`; the order is {}",
                child.name,
                order(rule)
            )),
            Some(at) => {
                place = at;
                counts[at] += 1;
            }
        }
    }
    for (child, count) in rule.children.iter().zip(counts) {
        // a section without `Info` is told by itself
        let told = child.names == INFO.names && name.ends_with("Section");
        if count < child.least && !told {
            faults.push(format!("`{name}` has no `{}`", child.names[0]));
        }
        if count > child.most {
            faults.push(format!("`{name}` has `{}` {count} times", child.names[0]));
        }
    }
}

fn order(rule: &Rule) -> String {
    let names = rule.children.iter().flat_map(|child| child.names);
    names.copied().collect::<Vec<_>>().join(", ")
}

fn attributes(element: &Element, rule: &Rule, faults: &mut Vec<String>) {
    for attribute in rule.attributes {
        let (name, owner) = (attribute.name, &element.name);
        let Some(value) = element.attribute(name) else {
            if attribute.required {
                faults.push(format!("`{owner}` has no attribute `{name}`"));
            }
            continue;
        };
        let value = value.trim();
        let (fits, expected) = match attribute.kind {
            Kind::Text => (true, ""),
            Kind::Bool => (
                matches!(value, "true" | "false" | "1" | "0"),
                "`true` or `false`",
            ),
            Kind::Number(most) => (
                value.parse::<u64>().is_ok_and(|number| number <= most),
                "a whole number",
            ),
        };
        if !fits {
            faults.push(format!(
                "`{name}` of `{owner}` is `{value}`; expected {expected}"
            ));
        }
    }
}
