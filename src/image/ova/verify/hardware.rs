//! The hardware's items, one by one and together.

use std::collections::{BTreeMap, BTreeSet};

use super::Importer;
use super::descriptor::Lint;
use crate::image::ovf::{Envelope, Item, first_word};

/// Checks the items of a descriptor.
pub(super) fn check(lint: &mut Lint<'_>) {
    let envelope = lint.envelope;
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for item in &envelope.items {
        let label = item.name.as_deref().unwrap_or(&item.instance);
        // The same device may be there once for each deployment option.
        if !ids.insert((&item.instance, &item.configuration)) {
            let message = format!("two items have the id `{}`", item.instance);
            let by = &[Importer::Ovftool, Importer::Others];
            lint.error("item-id", message, by);
        }
        if !item.ordered {
            let message = format!("the parts of item `{label}` are not in alphabetical order");
            lint.error("item-order", message, &[Importer::Ovftool]);
        }
        match item.kind.as_str() {
            "4" => memory(lint, item),
            "10" => network(lint, item, label),
            "15" | "16" | "17" => {
                let place = (&item.parent, &item.place, &item.configuration);
                if item.parent.is_some() && item.place.is_some() && !places.insert(place) {
                    let message = format!("`{label}` has the place of another disk");
                    lint.error("item-place", message, &[Importer::Esxi]);
                }
                on_controller(lint, item, label);
            }
            "5" | "6" | "20" => controller(lint, item, label),
            "3" | "14" | "23" | "35" => {}
            other => {
                if item.required {
                    let message = format!(
                        "`{label}` is of resource type {other} and not `ovf:required=\"false\"`"
                    );
                    lint.warning("item-type", message, &[Importer::Virtualbox]);
                }
            }
        }
    }
    counts(lint, envelope);
}

fn memory(lint: &mut Lint<'_>, item: &Item) {
    let units = item.units.as_deref().unwrap_or_default();
    if ![
        "MegaBytes",
        "MB",
        "byte * 2^20",
        "GigaBytes",
        "GB",
        "byte * 2^30",
    ]
    .contains(&units)
    {
        let message = format!("the unit of the memory is `{units}`, not `byte * 2^20`");
        lint.error("memory-unit", message, &[Importer::Virtualbox]);
    }
    let mib = ["MegaBytes", "MB", "byte * 2^20"].contains(&units);
    let number = item.quantity.as_deref().and_then(|n| n.parse::<u64>().ok());
    if let Some(number) = number.filter(|n| mib && !n.is_multiple_of(4)) {
        let message = format!("memory of {number} MiB is no multiple of 4 MiB");
        lint.error("memory-size", message, &[Importer::Esxi]);
    }
}

fn network(lint: &mut Lint<'_>, item: &Item, label: &str) {
    let known = |name: &String| lint.envelope.networks.iter().any(|n| n.name == *name);
    match &item.connection {
        None => {
            let message = format!("`{label}` is on no network");
            lint.warning("network", message, &[Importer::Vcenter]);
        }
        Some(network) if !known(network) => {
            let message =
                format!("`{label}` is on the network `{network}`, which no section describes");
            lint.warning("network", message, &[Importer::Vcenter]);
        }
        Some(_) => {}
    }
    let subtype = first_word(item.subtype.as_deref().unwrap_or_default());
    match subtype.as_str() {
        "pcnet32" | "e1000" | "virtio" => {}
        "vmxnet" | "vmxnet2" | "vmxnet3" | "e1000e" | "flexible" | "" => {
            let message = format!("the network card `{label}` (`{subtype}`) becomes another one");
            lint.change("nic-type", message, &[Importer::Virtualbox]);
        }
        _ => {
            let message = format!("the network card `{label}` is of unknown kind: `{subtype}`");
            lint.warning("nic-type", message, &[Importer::Esxi]);
        }
    }
    if subtype == "virtio" {
        let message = format!("the network card `{label}` is one of virtio, which VMware lacks");
        lint.error(
            "nic-type",
            message,
            &[Importer::Esxi, Importer::Workstation],
        );
    }
}

/// A disk or a CD drive must hang on a controller that is there.
fn on_controller(lint: &mut Lint<'_>, item: &Item, label: &str) {
    let parent = item.parent.as_ref().and_then(|parent| {
        let mut items = lint.envelope.items.iter();
        items.find(|other| other.instance == *parent)
    });
    let Some(parent) = parent.filter(|p| matches!(p.kind.as_str(), "5" | "6" | "20")) else {
        let message = format!("`{label}` hangs on no controller");
        lint.error("item-parent", message, &[Importer::Virtualbox]);
        return;
    };
    if parent.kind == "6" && item.place.as_deref() == Some("7") {
        let message = format!("`{label}` has place 7, which is the SCSI controller's own");
        lint.error("item-place", message, &[Importer::Esxi]);
    }
}

fn controller(lint: &mut Lint<'_>, item: &Item, label: &str) {
    let subtype = item.subtype.as_deref().unwrap_or_default();
    match (
        item.kind.as_str(),
        first_word(item.subtype.as_deref().unwrap_or_default()).as_str(),
    ) {
        ("5", "piix4") => {
            let message = format!("the IDE controller `{label}` has the subtype PIIX4");
            lint.error("item-subtype", message, &[Importer::Esxi]);
        }
        ("6", "virtualscsi") => {
            let message = format!("the controller `{label}` (`{subtype}`) becomes an lsilogic");
            lint.change("scsi-type", message, &[Importer::Virtualbox]);
        }
        // the spelling counts, VMware knows these
        ("6", _) if ["lsilogic", "buslogic", "lsilogicsas", ""].contains(&subtype) => {}
        ("6", _) => {
            let message =
                format!("the SCSI controller `{label}` has the unknown subtype `{subtype}`");
            lint.warning("item-subtype", message, &[Importer::Esxi]);
        }
        ("20", "ahci" | "vmware.sata.ahci") => {}
        // VirtualBox stops at them even if they need not be there
        ("20", _) => {
            let message = format!("the controller `{label}` has the subtype `{subtype}`");
            lint.error("item-subtype", message, &[Importer::Virtualbox]);
        }
        _ => {}
    }
}

/// VirtualBox has one controller of each kind, and two channels of IDE.
fn counts(lint: &mut Lint<'_>, envelope: &Envelope) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &envelope.items {
        *counts.entry(item.kind.as_str()).or_default() += 1;
    }
    for (kind, name, most) in [("5", "IDE", 2), ("6", "SCSI", 1), ("20", "SATA", 1)] {
        let count = counts.get(kind).copied().unwrap_or_default();
        if count > most {
            let message = format!("there are {count} {name} controllers, more than {most}");
            lint.error("controllers", message, &[Importer::Virtualbox]);
        }
    }
}
