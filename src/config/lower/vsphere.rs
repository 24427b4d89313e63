//! What only vSphere knows of a machine: `machine.vsphere`.

use std::net::IpAddr;

use crate::config::tree::{Node, Table};
use crate::diag::Diagnostic;
use crate::model::{CustomNic, Customization, Network, Provisioning, VsphereHardware};

use super::site::Site;

/// Changes what is known by what a table says.
pub(super) fn change(site: &Site<'_>, known: &mut VsphereHardware, table: &Table) {
    let flag = |key: &str, old: bool| table.get(key).and_then(|n| site.bool(n)).unwrap_or(old);
    known.cpu_hot_add = flag("cpu_hot_add", known.cpu_hot_add);
    known.memory_hot_add = flag("memory_hot_add", known.memory_hot_add);
    known.nested = flag("nested", known.nested);
    known.tpm = flag("tpm", known.tpm);
    known.tools_upgrade = flag("tools_upgrade", known.tools_upgrade);
    known.sync_time = flag("sync_time", known.sync_time);
    known.full_clone = !flag("linked", !known.full_clone);
    known.template = flag("template", known.template);
    if let Some(node) = table.get("cpu_reservation") {
        known.cpu_reservation = site.u32(node, 0);
    }
    let size = |key: &str| table.get(key).and_then(|node| site.size(node));
    known.memory_reservation = size("memory_reservation").or(known.memory_reservation);
    known.video_memory = size("video_memory").or(known.video_memory);
    let words = Provisioning::WORDS;
    if let Some(word) = table.get("provisioning").and_then(|n| site.word(n, words)) {
        known.provisioning = Provisioning::from_word(&word).unwrap_or_default();
    }
    if let Some(node) = table.get("notes") {
        known.notes = site.literal(node);
    }
    for (key, map) in [
        ("extra_config", &mut known.extra_config),
        ("vapp_properties", &mut known.vapp_properties),
    ] {
        for entry in table.table(key).into_iter().flat_map(|t| &t.entries) {
            if let Some(value) = site.literal(&entry.node) {
                map.insert(entry.key.clone(), value);
            }
        }
    }
    if let Some(table) = table.table("customization") {
        known.customization = Some(Box::new(customization(site, table)));
    }
}

fn customization(site: &Site<'_>, table: &Table) -> Customization {
    let text = |key: &str| table.get(key).and_then(|node| site.literal(node));
    let list = |key: &str| table.get(key).map(|n| site.literals(n)).unwrap_or_default();
    if let Some(spec) = table.get("spec")
        && table.entries.len() > 1
    {
        site.push(
            Diagnostic::error("bad-value", "`spec` stands alone: it says all of it")
                .label(spec.span, "")
                .help("remove `spec` or the other keys of `customization`"),
        );
    }
    let nics = table.get("nics").map(|node| site.list(node));
    let nics = nics.as_deref().unwrap_or_default();
    Customization {
        spec: text("spec"),
        hostname: text("hostname"),
        domain: text("domain").unwrap_or_default(),
        time_zone: text("time_zone"),
        dns_servers: list("dns_servers"),
        dns_suffixes: list("dns_suffixes"),
        nics: nics.iter().filter_map(|node| nic(site, node)).collect(),
    }
}

fn nic(site: &Site<'_>, node: &Node) -> Option<CustomNic> {
    let table = node.as_table()?;
    let checked = |key: &str, fits: fn(&str) -> bool, example: &str| {
        let node = table.get(key)?;
        let text = site.literal(node)?;
        if !fits(&text) {
            site.push(
                Diagnostic::error("bad-value", format!("`{text}` is no {key}"))
                    .label(node.span, "")
                    .help(format!("such as `{example}`")),
            );
        }
        Some(text)
    };
    Some(CustomNic {
        address: checked("address", is_address, "10.20.0.7/24"),
        gateway: checked("gateway", is_gateway, "10.20.0.1"),
    })
}

fn is_address(text: &str) -> bool {
    text.contains('/') && Network::parse(text).is_some()
}

fn is_gateway(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}
