//! One check: its attributes, sorted into what must hold and how to ask.

use serde_json::Value;

use super::attributes::Kind::{self, Expect, Flag, Later, Port, Texts, Time, Url};
use super::attributes::{Attributes, attributes};
use super::matcher::matcher;
use super::raw::wrong_type;
use super::{Raw, RawEntry, RawValue};
use crate::diag::{Diagnostic, Diagnostics, closest};
use crate::model::{Check, Duration, Resource};

/// goss's resources that forge has not yet.
const LATER: [&str; 7] = [
    "addr",
    "dns",
    "gossfile",
    "interface",
    "matching",
    "mount",
    "registry",
];
/// The resource of a top-level key.
pub(super) fn known(entry: &RawEntry, faults: &mut Diagnostics) -> Option<Resource> {
    let key = entry.key.as_str();
    let found = Resource::ALL.into_iter().find(|r| r.as_str() == key);
    if found.is_some() {
        return found;
    }
    let names = Resource::ALL.map(Resource::as_str);
    let fault = if LATER.contains(&key) {
        let message = format!("checks of `{key}` are not supported yet");
        Diagnostic::error("unsupported-check", message)
    } else {
        let near = closest(key, names.iter().chain(&LATER).copied());
        Diagnostic::error("unknown-key", format!("unknown kind of check `{key}`"))
            .maybe_help(near.map(|near| format!("did you mean `{near}`?")))
    };
    let fault = fault.label(entry.key_span, "");
    faults.push(fault.help(format!("supported: {}", names.join(", "))));
    None
}

/// One check. None: a fault has been told that leaves nothing of it.
pub(super) fn check(
    resource: Resource,
    entry: &RawEntry,
    faults: &mut Diagnostics,
) -> Option<Check> {
    let RawValue::Map(entries) = &entry.node.value else {
        faults.push(wrong_type(&entry.node, "attributes of the check"));
        return None;
    };
    let mut check = Check {
        resource,
        name: entry.key.clone(),
        title: None,
        skip: false,
        settings: Vec::new(),
        expect: Vec::new(),
    };
    for attribute in entries {
        put(&mut check, attribute, faults);
    }
    let attributes = attributes(resource);
    let rank = |name: &str| attributes.iter().position(|(known, _)| *known == name);
    let gate = |name: &str| rank(name) != Some(0);
    check.expect.sort_by_key(|(name, _)| gate(name));
    complete(&check, entry, attributes, faults);
    Some(check)
}

/// Faults of a check as a whole.
fn complete(check: &Check, entry: &RawEntry, attributes: Attributes, faults: &mut Diagnostics) {
    let expected: Vec<_> = attributes
        .iter()
        .filter(|(_, kind)| matches!(kind, Expect(_)))
        .map(|(name, _)| *name)
        .collect();
    let RawValue::Map(entries) = &entry.node.value else {
        return;
    };
    if !check.skip && !entries.iter().any(|e| expected.contains(&e.key.as_str())) {
        faults.push(
            Diagnostic::error(
                "empty-check",
                format!("this check of `{}` asks nothing", check.name),
            )
            .label(entry.key_span, "")
            .help(format!("what can be asked: {}", expected.join(", "))),
        );
    }
    let named_otherwise = |setting: &str| check.setting(setting).is_some();
    let name = Raw {
        span: entry.key_span,
        value: RawValue::Text(check.name.clone()),
    };
    match check.resource {
        Resource::Port if !named_otherwise("port") => drop(port(&name, faults)),
        Resource::Http if !named_otherwise("url") => drop(url(&name, faults)),
        _ => {}
    }
}

fn put(check: &mut Check, attribute: &RawEntry, faults: &mut Diagnostics) {
    let RawEntry { key, node, .. } = attribute;
    match key.as_str() {
        "title" => check.title = text(node, faults),
        "skip" => check.skip = flag(node, faults).unwrap_or_default(),
        "meta" => {}
        _ => {
            let attributes = attributes(check.resource);
            let found = attributes.iter().find(|(name, _)| *name == key.as_str());
            match found {
                Some((name, Expect(answer))) => {
                    // goss's old name
                    let name = if *name == "contains" {
                        "contents"
                    } else {
                        name
                    };
                    if let Some(matcher) = matcher(node, *answer, faults) {
                        check.expect.push((name.to_owned(), matcher));
                    }
                }
                Some((name, kind)) if !matches!(kind, Later) => {
                    if let Some(value) = setting(*kind, node, faults) {
                        check.settings.push(((*name).to_owned(), value));
                    }
                }
                later => faults.push(unknown(check.resource, attribute, later.is_some())),
            }
        }
    }
}

fn unknown(resource: Resource, attribute: &RawEntry, later: bool) -> Diagnostic {
    let key = &attribute.key;
    let known = || {
        let supported = |kind: &Kind| !matches!(kind, Later);
        let known = attributes(resource).iter().filter(move |a| supported(&a.1));
        known
            .map(|(name, _)| *name)
            .chain(["title", "meta", "skip"])
    };
    let fault = if later {
        let message = format!("`{key}` of `{resource}` is not supported yet");
        Diagnostic::error("unsupported-check", message)
    } else {
        let near = closest(key, known());
        Diagnostic::error(
            "unknown-key",
            format!("unknown attribute `{key}` of `{resource}`"),
        )
        .maybe_help(near.map(|near| format!("did you mean `{near}`?")))
    };
    let all: Vec<_> = known().collect();
    fault
        .label(attribute.key_span, "")
        .help(format!("supported: {}", all.join(", ")))
}

fn setting(kind: Kind, node: &Raw, faults: &mut Diagnostics) -> Option<Value> {
    match kind {
        Expect(_) | Later => None,
        Kind::Text => text(node, faults).map(Value::String),
        Port => port(node, faults),
        Url => url(node, faults),
        Flag => flag(node, faults).map(Value::Bool),
        Time => time(node, faults),
        Texts => {
            let RawValue::List(nodes) = &node.value else {
                faults.push(wrong_type(node, "a list of strings"));
                return None;
            };
            let texts = nodes.iter().filter_map(|n| text(n, faults));
            Some(texts.map(Value::String).collect())
        }
    }
}

fn text(node: &Raw, faults: &mut Diagnostics) -> Option<String> {
    match node.scalar() {
        Some(Value::String(text)) => Some(text),
        Some(value @ Value::Number(_)) => Some(value.to_string()),
        _ => {
            faults.push(wrong_type(node, "a string"));
            None
        }
    }
}

fn flag(node: &Raw, faults: &mut Diagnostics) -> Option<bool> {
    if let RawValue::Bool(flag) = node.value {
        return Some(flag);
    }
    faults.push(wrong_type(node, "true or false"));
    None
}

/// Milliseconds.
fn time(node: &Raw, faults: &mut Diagnostics) -> Option<Value> {
    let millis = match &node.value {
        RawValue::Int(millis) => u64::try_from(*millis).ok(),
        RawValue::Text(text) => Duration::parse(text)
            .ok()
            .and_then(|time| u64::try_from(time.std().as_millis()).ok()),
        _ => None,
    };
    if millis.is_none() {
        faults.push(wrong_type(node, "milliseconds, or a time like \"10s\""));
    }
    millis.map(Value::from)
}

/// A port as `protocol:number`.
fn port(node: &Raw, faults: &mut Diagnostics) -> Option<Value> {
    let written = text(node, faults)?;
    let (protocol, number) = written.split_once(':').unwrap_or(("tcp", &written));
    let known = ["tcp", "tcp6", "udp", "udp6"].contains(&protocol);
    if known && number.parse::<u16>().is_ok_and(|n| n > 0) {
        return Some(format!("{protocol}:{number}").into());
    }
    faults.push(
        Diagnostic::error("wrong-value", format!("`{written}` is no port"))
            .label(node.span, "")
            .help("a port is written as tcp:22, tcp6:22, udp:53 or udp6:53"),
    );
    None
}

fn url(node: &Raw, faults: &mut Diagnostics) -> Option<Value> {
    let written = text(node, faults)?;
    let parsed = url::Url::parse(&written);
    let http = |url: &url::Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
    if parsed.is_ok_and(|url| http(&url)) {
        return Some(written.into());
    }
    faults.push(
        Diagnostic::error("wrong-value", format!("`{written}` is no address"))
            .label(node.span, "")
            .help("an address starts with http:// or https://"),
    );
    None
}
