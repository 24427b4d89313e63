//! The descriptor: what hypervisors are known to stumble over.

use std::collections::BTreeSet;

use super::super::archive::Package;
use super::{EVERYBODY, Report};
use crate::image::ovf::{Envelope, Item};

/// Checks the descriptor by itself.
pub(super) fn check(package: &Package, envelope: &Envelope, report: &mut Report) {
    let name = package
        .with_extension("ovf")
        .map_or(".ovf", |member| member.name.as_str());
    let mut lint = Lint {
        envelope,
        name,
        report,
    };
    lint.form();
    lint.system();
    lint.items();
    lint.properties();
    if let Err(e) = envelope.lower() {
        lint.report.error("hardware", name, e.to_string(), &[]);
    }
}

struct Lint<'a> {
    envelope: &'a Envelope,
    name: &'a str,
    report: &'a mut Report,
}

type By = &'static [&'static str];

impl Lint<'_> {
    fn error(&mut self, code: &'static str, message: impl Into<String>, by: By) {
        self.report.error(code, self.name, message, by);
    }

    fn warning(&mut self, code: &'static str, message: impl Into<String>, by: By) {
        self.report.warning(code, self.name, message, by);
    }

    fn form(&mut self) {
        if self.envelope.version == 2 {
            let message = "it is an OVF of version 2, which few importers know";
            self.warning("ovf-version", message, &["Workstation"]);
        }
        for section in &self.envelope.without_info {
            let message = format!("`{section}` has no `Info`, which the schema asks for");
            self.warning("ovf-info", message, &[]);
        }
        for section in &self.envelope.unknown_sections {
            let message = format!("`{section}` is not known and not `ovf:required=\"false\"`");
            self.warning("ovf-section", message, &[]);
        }
        let mut ids = BTreeSet::new();
        for disk in &self.envelope.disks {
            if !ids.insert(&disk.id) {
                let message = format!("two disks have the id `{}`", disk.id);
                self.error("disk-id", message, EVERYBODY);
            }
        }
    }

    fn system(&mut self) {
        let versions: Vec<u32> = self
            .envelope
            .system_types
            .iter()
            .filter_map(|family| family.strip_prefix("vmx-")?.parse().ok())
            .collect();
        let families = self.envelope.system_types.join(" ");
        if versions.is_empty() {
            let message = format!("the hardware family `{families}` is none of VMware's");
            self.error("hardware-family", message, &["ESXi"]);
        } else if versions.iter().all(|version| matches!(version, 12 | 16)) {
            let message = format!("the hardware family `{families}` exists on Workstation only");
            self.error("hardware-family", message, &["ESXi"]);
        }
        let setting = |key: &str| {
            let found = self.envelope.settings.iter().find(|(k, _)| k == key);
            found.map(|(_, value)| value.as_str())
        };
        let secure = setting("bootOptions.efiSecureBootEnabled") == Some("true");
        let least = match setting("firmware") {
            Some("efi") if secure => 13,
            Some("efi") => 8,
            _ => 0,
        };
        if versions.first().is_some_and(|version| *version < least) {
            let message = format!("its firmware needs vmx-{least:02}, it has `{families}`");
            self.error("firmware", message, &["ESXi"]);
        }
        match &self.envelope.os_type {
            None => {
                let message = "it does not name the guest as vSphere does (`vmw:osType`)";
                self.warning("os-type", message, &[]);
            }
            Some(id) if !id.contains("Guest") => {
                let message =
                    format!("`{id}` is no guest id of vSphere, such as `debian12_64Guest`");
                self.error("os-type", message, &["vCenter"]);
            }
            Some(_) => {}
        }
    }

    fn items(&mut self) {
        let mut ids = BTreeSet::new();
        for item in &self.envelope.items {
            let label = item.name.clone().unwrap_or_else(|| item.instance.clone());
            // The same device may be there once for each deployment option.
            if !ids.insert((&item.instance, &item.configuration)) {
                let message = format!("two items have the id `{}`", item.instance);
                self.error("item-id", message, &["COT", "ovftool"]);
            }
            if !item.ordered {
                let message = format!("the parts of item `{label}` are not in alphabetical order");
                self.error("item-order", message, &["the OVF schema"]);
            }
            self.network(item, &label);
            self.kind(item, &label);
        }
    }

    fn network(&mut self, item: &Item, label: &str) {
        if item.kind != "10" {
            return;
        }
        let known = |name: &String| self.envelope.networks.iter().any(|n| n.name == *name);
        match &item.connection {
            None => {
                let message = format!("`{label}` is on no network");
                self.warning("network", message, &["vCenter"]);
            }
            Some(network) if !known(network) => {
                let message =
                    format!("`{label}` is on the network `{network}`, which no section describes");
                self.warning("network", message, &["vCenter"]);
            }
            Some(_) => {}
        }
    }

    fn kind(&mut self, item: &Item, label: &str) {
        let subtype = item.subtype.as_deref().unwrap_or_default();
        match item.kind.as_str() {
            "3" | "4" | "10" | "14" | "15" | "16" | "17" | "23" | "35" => {}
            "5" => {
                if subtype.eq_ignore_ascii_case("PIIX4") {
                    let message = format!("the IDE controller `{label}` has the subtype PIIX4");
                    self.error("item-subtype", message, &["ESXi"]);
                }
            }
            "6" => {
                let known = ["lsilogic", "buslogic", "lsilogicsas", "VirtualSCSI", ""];
                let first = subtype.split([' ', ',']).next().unwrap_or_default();
                if !known.contains(&first) {
                    let message = format!(
                        "the SCSI controller `{label}` has the unknown subtype `{subtype}`"
                    );
                    self.warning("item-subtype", message, &["ESXi"]);
                }
            }
            "20" => {
                let known = ["AHCI", "vmware.sata.ahci", "vmware.nvme.controller"];
                if !known.iter().any(|k| k.eq_ignore_ascii_case(subtype)) && item.required {
                    let message = format!("the controller `{label}` has the subtype `{subtype}`");
                    self.warning("item-subtype", message, &["VirtualBox"]);
                }
            }
            other => {
                if item.required {
                    let message = format!(
                        "`{label}` is of resource type {other} and not `ovf:required=\"false\"`"
                    );
                    self.warning("item-type", message, &["VirtualBox"]);
                }
            }
        }
    }

    fn properties(&mut self) {
        let properties = &self.envelope.product.properties;
        let mut keys = BTreeSet::new();
        for property in properties {
            if !keys.insert(&property.key) {
                let message = format!("two properties are called `{}`", property.key);
                self.error("property", message, &["vCenter"]);
            }
        }
        let open = properties.iter().any(|p| p.user_configurable);
        if open && self.envelope.transports.is_empty() {
            let message = "properties may be set, but no `ovf:transport` carries them to the guest";
            self.warning("transport", message, &[]);
        }
    }
}
