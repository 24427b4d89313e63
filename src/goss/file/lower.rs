//! From a tree to resources: every fault is told with its place.

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Diagnostics, Span, closest};
use crate::goss::kinds::{Attribute, Role};
use crate::goss::resource::Expectation;
use crate::goss::yaml::{Entry, Kind, Node};
use crate::goss::{Resource, ResourceKind, Value};

/// What a gossfile says.
#[derive(Default)]
pub(super) struct Read {
    /// Its own resources, with the places of their keys.
    pub(super) resources: Vec<(Resource, Span)>,
    /// What it includes, by path.
    pub(super) includes: BTreeMap<String, Include>,
}

/// Files that a gossfile includes.
pub(super) struct Include {
    /// A path, perhaps with wildcards.
    pub(super) path: String,
    pub(super) span: Span,
}

const COMMON: [&str; 3] = ["title", "meta", "skip"];

/// Reads a document; what can be read of a faulty one is returned.
pub(super) fn read(root: &Node, faults: &mut Diagnostics) -> Read {
    let mut read = Read::default();
    let entries = match &root.kind {
        Kind::Map(entries) => entries,
        _ if root.is_null() => return read,
        _ => {
            faults.push(wrong_type(root, "resource types with their checks"));
            return read;
        }
    };
    for entry in entries {
        let kind = ResourceKind::ALL
            .into_iter()
            .find(|kind| kind.key() == entry.key);
        let own = match (&kind, entry.key.as_str()) {
            (Some(_), _) | (None, "gossfile") => bodies(entry, faults),
            // goss ignores them; people keep anchors there
            _ => continue,
        };
        for body in own {
            match kind {
                Some(kind) => {
                    if let Some(resource) = resource(kind, body, faults) {
                        read.resources.push((resource, body.key_span));
                    }
                }
                None => include(body, &mut read, faults),
            }
        }
    }
    read
}

/// The entries of a resource type.
fn bodies<'a>(entry: &'a Entry, faults: &mut Diagnostics) -> Vec<&'a Entry> {
    match &entry.node.kind {
        Kind::Map(entries) => {
            let (good, bad): (Vec<_>, Vec<_>) = entries
                .iter()
                .partition(|body| matches!(body.node.kind, Kind::Map(_)));
            for body in bad {
                let message = format!("`{}` of `{}` has no attributes", body.key, entry.key);
                let fault = Diagnostic::error("wrong-type", message).label(body.key_span, "");
                faults.push(fault.help("write `{}` for none"));
            }
            good
        }
        _ if entry.node.is_null() => Vec::new(),
        _ => {
            faults.push(wrong_type(&entry.node, "checks by name"));
            Vec::new()
        }
    }
}

fn attributes(entry: &Entry) -> &[Entry] {
    match &entry.node.kind {
        Kind::Map(attributes) => attributes,
        _ => &[],
    }
}

fn include(body: &Entry, read: &mut Read, faults: &mut Diagnostics) {
    let mut path = body.key.clone();
    let mut skip = false;
    for attribute in attributes(body) {
        match attribute.key.as_str() {
            "title" | "file" => {
                let text = text(&attribute.node, faults);
                if let (Some(text), "file") = (text, attribute.key.as_str())
                    && !text.is_empty()
                {
                    path = text;
                }
            }
            "meta" => {
                meta(&attribute.node, faults);
            }
            "skip" => skip = flag(&attribute.node, faults) == Some(true),
            other => faults.push(unknown(
                "gossfile",
                other,
                attribute,
                ["file", "title", "meta", "skip"],
            )),
        }
    }
    if !skip {
        read.includes.insert(
            body.key.clone(),
            Include {
                path,
                span: body.key_span,
            },
        );
    }
}

fn resource(kind: ResourceKind, body: &Entry, faults: &mut Diagnostics) -> Option<Resource> {
    let mut resource = Resource {
        kind,
        key: body.key.clone(),
        title: None,
        meta: None,
        skip: false,
        settings: BTreeMap::new(),
        expectations: Vec::new(),
    };
    let mut expected: BTreeMap<&'static str, Value> = BTreeMap::new();
    for entry in attributes(body) {
        let node = &entry.node;
        match entry.key.as_str() {
            "title" => resource.title = text(node, faults).filter(|title| !title.is_empty()),
            "meta" => resource.meta = meta(node, faults),
            "skip" => resource.skip = flag(node, faults) == Some(true),
            // an old spelling, which goss takes without a word
            "resolveable" if kind == ResourceKind::Dns => {
                let value = node.to_value();
                if value != Value::Null {
                    faults.push(old(entry, "`resolveable` is now written `resolvable`"));
                    expected.entry("resolvable").or_insert(value);
                }
            }
            name => match kind
                .attributes()
                .iter()
                .find(|attribute| attribute.name == name)
            {
                Some(attribute) => {
                    one(kind, attribute, entry, &mut resource, &mut expected, faults);
                }
                None => {
                    let known = kind.attributes().iter().map(|attribute| attribute.name);
                    faults.push(unknown(kind.key(), name, entry, known.chain(COMMON)));
                }
            },
        }
    }
    for attribute in kind.attributes() {
        let value = expected.remove(attribute.name).unwrap_or(Value::Null);
        if Expectation::counts(attribute.role, &value) {
            resource.expectations.push(Expectation {
                attribute,
                expected: value,
            });
        }
    }
    headers_are_whole(body, &resource, faults).then_some(resource)
}

/// One attribute of a resource.
fn one(
    kind: ResourceKind,
    attribute: &'static Attribute,
    entry: &Entry,
    resource: &mut Resource,
    expected: &mut BTreeMap<&'static str, Value>,
    faults: &mut Diagnostics,
) {
    let node = &entry.node;
    let setting = match attribute.role {
        Role::Text => text(node, faults).map(Value::Text),
        Role::Int => whole(node, faults).map(Value::Int),
        Role::Bool => flag(node, faults).map(Value::Bool),
        Role::Texts => texts(node, faults).map(Value::Texts),
        Role::Any => Some(node.to_value()),
        Role::Required | Role::Expected | Role::Searched => {
            let mut value = node.to_value();
            if let (Value::Text(text), true) = (&value, kind.was_text(attribute.name)) {
                faults.push(old(
                    entry,
                    &format!("`{}` should be an integer, not a string", entry.key),
                ));
                match text.parse::<i32>() {
                    Ok(number) => value = Value::Float(number.into()),
                    Err(_) => faults.push(wrong_type(node, "an integer")),
                }
            }
            if attribute.name == "contains" && Expectation::counts(attribute.role, &value) {
                faults.push(old(entry, "`contains` is now written `contents`"));
            }
            expected.insert(attribute.name, value);
            None
        }
    };
    if let Some(value) = setting {
        resource.settings.insert(attribute.name, value);
    }
}

/// goss falls over headers that have no value.
fn headers_are_whole(body: &Entry, resource: &Resource, faults: &mut Diagnostics) -> bool {
    let Some(Value::Texts(lines)) = resource.settings.get("request-headers") else {
        return true;
    };
    let broken = lines.iter().find(|line| !line.contains(": "));
    if let Some(line) = broken {
        let message = format!("the header `{line}` is not `Name: value`");
        faults.push(Diagnostic::error("wrong-type", message).label(body.key_span, ""));
    }
    broken.is_none()
}

fn old(entry: &Entry, message: &str) -> Diagnostic {
    Diagnostic::warning("old-spelling", message).label(entry.key_span, "")
}

fn unknown<'a>(
    kind: &str,
    name: &str,
    entry: &Entry,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let near = closest(name, known).map(|near| format!("did you mean `{near}`?"));
    Diagnostic::error("unknown-key", format!("`{kind}` has no attribute `{name}`"))
        .label(entry.key_span, "")
        .maybe_help(near)
}

fn wrong_type(node: &Node, expected: &str) -> Diagnostic {
    let message = format!("expected {expected}, found {}", node.what());
    Diagnostic::error("wrong-type", message).label(node.span, "")
}

/// Any scalar, as it is written; nothing is none.
fn text(node: &Node, faults: &mut Diagnostics) -> Option<String> {
    match &node.kind {
        Kind::Scalar {
            value: Value::Null, ..
        } => None,
        Kind::Scalar { text, .. } => Some(text.clone()),
        Kind::List(_) | Kind::Map(_) => {
            faults.push(wrong_type(node, "a string"));
            None
        }
    }
}

fn texts(node: &Node, faults: &mut Diagnostics) -> Option<Vec<String>> {
    match &node.kind {
        Kind::List(all) => Some(all.iter().filter_map(|node| text(node, faults)).collect()),
        _ if node.is_null() => None,
        _ => {
            faults.push(wrong_type(node, "a list of strings"));
            None
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "goss cuts the fraction off too"
)]
fn whole(node: &Node, faults: &mut Diagnostics) -> Option<i64> {
    match &node.kind {
        Kind::Scalar {
            value: Value::Int(number),
            ..
        } => Some(*number),
        Kind::Scalar {
            value: Value::Float(number),
            ..
        } => Some(*number as i64),
        _ if node.is_null() => None,
        _ => {
            faults.push(wrong_type(node, "an integer"));
            None
        }
    }
}

/// A boolean, in the spellings of YAML 1.1 too.
fn flag(node: &Node, faults: &mut Diagnostics) -> Option<bool> {
    let Kind::Scalar { value, text } = &node.kind else {
        faults.push(wrong_type(node, "a boolean"));
        return None;
    };
    match (value, text.as_str()) {
        (Value::Null, _) => None,
        (Value::Bool(flag), _) => Some(*flag),
        (Value::Text(_), "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON") => Some(true),
        (Value::Text(_), "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF") => Some(false),
        _ => {
            faults.push(wrong_type(node, "a boolean"));
            None
        }
    }
}

fn meta(node: &Node, faults: &mut Diagnostics) -> Option<BTreeMap<String, Value>> {
    match node.to_value() {
        Value::Map(map) => Some(map),
        Value::Null => None,
        _ => {
            faults.push(wrong_type(node, "a map"));
            None
        }
    }
}
