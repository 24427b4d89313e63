//! `export`, `pack-ova`, `verify`.

use crate::config::keys::{MANIFEST_DIGESTS, TRANSPORTS};
use crate::config::tree::{Node, Value};
use crate::model::{
    Algorithm, Duration, Export, OvfVersion, PROPERTY_TYPES, PackOva, Property, Signing, Text,
    Variant, Verify, property_faults,
};

use super::checks::checks;
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
        full_version: here.text("full_version"),
        product_url: here.text("product_url"),
        vendor_url: here.text("vendor_url"),
        app_url: here.text("app_url"),
        class: here.text("class"),
        instance: here.text("instance"),
        annotation: here.text("annotation"),
        eulas: here
            .get("eula")
            .map_or_else(Vec::new, |node| here.site.texts(node)),
        transports: transports(here),
        hardware_versions: hardware_versions(here),
        tpm: here
            .get("tpm")
            .and_then(|node| here.site.bool(node))
            .unwrap_or(false),
        digest: match word(here, "digest", MANIFEST_DIGESTS).as_deref() {
            Some("sha512") => Algorithm::Sha512,
            _ => Algorithm::Sha256,
        },
        variant: word(here, "variant", Variant::WORDS)
            .and_then(|word| Variant::from_word(&word))
            .unwrap_or_default(),
        ovf: word(here, "ovf", OvfVersion::WORDS)
            .and_then(|word| OvfVersion::from_word(&word))
            .unwrap_or_default(),
        sign: match here.get("sign") {
            Some(node) => Some(signing(here, node)?),
            None => None,
        },
        template: match here.get("ovf_template") {
            Some(node) => Some(relative(&here.site, node)?),
            None => None,
        },
        manifest: here.site.text_map(here.table("manifest")),
        name: match name {
            Some(name) => name?,
            None => Text::literal(format!("{project}{}-{version}", here.suffix())),
        },
    })
}

fn word(here: &Here<'_>, key: &str, words: &'static [&'static str]) -> Option<String> {
    here.get(key).and_then(|node| here.site.word(node, words))
}

fn transports(here: &Here<'_>) -> Vec<String> {
    let nodes = here.get("transport").map(|node| here.site.list(node));
    let nodes = nodes.iter().flat_map(|nodes| nodes.iter());
    nodes
        .filter_map(|node| here.site.word(node, TRANSPORTS))
        .collect()
}

fn hardware_versions(here: &Here<'_>) -> Vec<u32> {
    let nodes = here
        .get("hardware_versions")
        .map(|node| here.site.list(node));
    let nodes = nodes.iter().flat_map(|nodes| nodes.iter());
    nodes.filter_map(|node| here.site.u32(node, 4)).collect()
}

fn signing(here: &Here<'_>, node: &Node) -> Option<Signing> {
    let Value::Table(table) = &node.value else {
        return None;
    };
    let needed = |key| {
        let node = here.site.required(table, key, "a signature", node.span)?;
        here.site.text(node)
    };
    let (key_file, certificate) = (needed("key_file"), needed("certificate"));
    Some(Signing {
        key_file: key_file?,
        certificate: certificate?,
    })
}

fn property(here: &Here<'_>, key: &str, node: &Node) -> Option<Property> {
    let plain = |value: Text| Property {
        key: key.to_owned(),
        value,
        user_configurable: true,
        kind: "string".into(),
        password: false,
        qualifiers: None,
        category: None,
        label: None,
        description: None,
    };
    let Value::Table(table) = &node.value else {
        return Some(plain(here.site.text(node)?));
    };
    let flag = |key| table.get(key).and_then(|node| here.site.bool(node));
    let text = |key| table.get(key).and_then(|node| here.site.text(node));
    let kind = table
        .get("type")
        .and_then(|node| here.site.word(node, PROPERTY_TYPES));
    let value = match table.get("value") {
        Some(value) => here.site.text(value)?,
        // it is for the deployer to say
        None if flag("user_configurable") != Some(false) => Text::literal(""),
        None => here
            .site
            .required(table, "value", "a property", node.span)
            .and(None)?,
    };
    let qualifiers = table
        .get("qualifiers")
        .and_then(|node| here.site.literal(node));
    // what is known only when it runs is looked at then
    let known = value.as_literal().unwrap_or_default();
    let type_ = kind.as_deref().unwrap_or("string");
    for fault in property_faults(type_, qualifiers.as_deref(), &known) {
        let message = format!("the property `{key}`: {fault}");
        here.site.fault("bad-value", message, node.span);
    }
    Some(Property {
        user_configurable: flag("user_configurable").unwrap_or(true),
        kind: kind.unwrap_or_else(|| "string".into()),
        password: flag("password").unwrap_or(false),
        qualifiers,
        category: text("category"),
        label: text("label"),
        description: text("description"),
        ..plain(value)
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
