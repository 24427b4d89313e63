//! `export`, `pack-ova`, `verify`, and the checks that stages and steps name.

use std::path::PathBuf;

use crate::config::checks::{self, Raw, RawEntry, RawValue};
use crate::config::loader::unreadable;
use crate::config::tree::{Node, Table, Value};
use crate::model::{CheckSet, CheckSource, Duration, Export, PackOva, Property, Text, Verify};

use super::command::relative;
use super::machine;
use super::stage::{Here, Lowering};

/// The compression level when nothing is said.
const LEVEL: u32 = 6;

/// `kind = "export"`.
pub(super) fn export(here: &Here<'_>) -> Option<Export> {
    let name = here.get("name").map(|node| file_name(here, node));
    let level = here
        .get("level")
        .and_then(|node| here.site.int(node, 1, 12));
    Some(Export {
        name: match name {
            Some(name) => name?,
            None => Text::literal(format!("{}{}", here.project.0, here.suffix())),
        },
        level: level
            .and_then(|level| level.try_into().ok())
            .unwrap_or(LEVEL),
    })
}

/// A name that becomes one of a file.
fn file_name(here: &Here<'_>, node: &Node) -> Option<Text> {
    let name = here.site.text(node)?;
    let shown = name.to_string();
    if shown.contains('/') || matches!(shown.as_str(), "" | "." | "..") {
        here.site.fault(
            "bad-name",
            format!("`{shown}` cannot be the name of a file"),
            node.span,
        );
        return None;
    }
    Some(name)
}

/// `kind = "pack-ova"`.
pub(super) fn pack_ova(here: &Here<'_>) -> Option<PackOva> {
    let (project, version) = here.project;
    let name = here.get("name").map(|node| file_name(here, node));
    let or_literal =
        |key: &str, default: &str| here.text(key).unwrap_or_else(|| Text::literal(default));
    let properties = here.table("properties").map(|table| {
        let entries = table.entries.iter();
        entries
            .filter_map(|entry| property(here, &entry.key, &entry.node))
            .collect()
    });
    Some(PackOva {
        properties: properties.unwrap_or_default(),
        product: or_literal("product", project),
        vendor: here.text("vendor"),
        version: or_literal("version", version),
        annotation: here.text("annotation"),
        eula: here.text("eula"),
        manifest: here.site.text_map(here.table("manifest")),
        name: match name {
            Some(name) => name?,
            None => Text::literal(format!("{project}{}-{version}", here.suffix())),
        },
    })
}

fn property(here: &Here<'_>, key: &str, node: &Node) -> Option<Property> {
    let (value, configurable) = match &node.value {
        Value::Table(table) => {
            let value = here
                .site
                .required(table, "value", "a property", node.span)?;
            (value, table.get("user_configurable"))
        }
        _ => (node, None),
    };
    Some(Property {
        key: key.to_owned(),
        value: here.site.text(value)?,
        user_configurable: configurable
            .and_then(|node| here.site.bool(node))
            .unwrap_or(true),
    })
}

/// `kind = "verify"`.
pub(super) fn verify(lowering: &Lowering<'_>, here: &Here<'_>) -> Option<Verify> {
    let provider = lowering.provider(here);
    let ssh = machine::ssh(here);
    let checks = checks(here, &here.table);
    let retry_timeout = here
        .get("retry_timeout")
        .and_then(|node| here.site.duration(node));
    let sleep = here.get("sleep").and_then(|node| here.site.duration(node));
    Some(Verify {
        provider: provider?,
        ssh: ssh?,
        checks,
        retry_timeout,
        sleep: sleep.unwrap_or(Duration::from_secs(1)),
    })
}

/// `gossfile` and `checks` of a stage or a step.
pub(super) fn checks(here: &Here<'_>, table: &Table) -> Vec<CheckSource> {
    let mut sources = Vec::new();
    if let Some(node) = table.get("gossfile") {
        let nodes = here.site.list(node);
        sources.extend(nodes.iter().filter_map(|node| gossfile(here, node)));
    }
    if let Some(node) = table.get("checks") {
        let loader = here.site.loader;
        let before = loader.errors();
        let raw = raw(here, node);
        let mut checks = CheckSet::default();
        // a value that could not be rendered would be taken for one that is missing
        if loader.errors() == before {
            loader.with_faults(|faults| checks = checks::lower(&raw, faults));
        }
        sources.push(CheckSource { file: None, checks });
    }
    sources
}

fn gossfile(here: &Here<'_>, node: &Node) -> Option<CheckSource> {
    let path = relative(&here.site, node)?;
    let loader = here.site.loader;
    let file = match loader.text_file(&path) {
        Ok(Some(file)) => file,
        Ok(None) => {
            here.site.fault(
                "bad-value",
                format!("`{path}` is not UTF-8 text"),
                node.span,
            );
            return None;
        }
        Err(error) => {
            here.site
                .push(unreadable("the gossfile", &path, &error, node.span));
            return None;
        }
    };
    let checks = loader.gossfile(&path, &file);
    Some(CheckSource {
        file: Some(PathBuf::from(path)),
        checks: CheckSet::clone(&checks),
    })
}

/// A node for the reader of checks, strings rendered.
fn raw(here: &Here<'_>, node: &Node) -> Raw {
    let value = match &node.value {
        Value::Text(_) => here.site.checked_value(node),
        Value::Int(number) => RawValue::Int(*number),
        Value::Float(number) => RawValue::Float(*number),
        Value::Bool(flag) => RawValue::Bool(*flag),
        Value::List(nodes) => RawValue::List(nodes.iter().map(|node| raw(here, node)).collect()),
        Value::Table(table) => {
            let entries = table.entries.iter().map(|entry| RawEntry {
                key: entry.key.clone(),
                key_span: entry.key_span,
                node: raw(here, &entry.node),
            });
            RawValue::Map(entries.collect())
        }
    };
    Raw {
        span: node.span,
        value,
    }
}
