//! The descriptor: its form, and what it says about the machine as a whole.

use std::collections::BTreeSet;

use super::super::archive::Package;
use super::{EVERYBODY, Importer, Report, hardware, properties};
use crate::image::ovf::Envelope;

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
    hardware::check(&mut lint);
    properties::check(&mut lint);
    if let Err(e) = envelope.lower() {
        lint.error("hardware", e.to_string(), &[]);
    }
}

/// A descriptor, and where to put what is wrong with it.
pub(super) struct Lint<'a> {
    pub(super) envelope: &'a Envelope,
    name: &'a str,
    report: &'a mut Report,
}

pub(super) type By = &'static [Importer];

/// The newest hardware version that a release of ESXi knows.
const NEWEST: u32 = 22;

/// The first hardware version with which new wizards still deploy.
const OLDEST: u32 = 11;

impl Lint<'_> {
    pub(super) fn error(&mut self, code: &'static str, message: impl Into<String>, by: By) {
        self.report.error(code, self.name, message, by);
    }

    pub(super) fn warning(&mut self, code: &'static str, message: impl Into<String>, by: By) {
        self.report.warning(code, self.name, message, by);
    }

    pub(super) fn change(&mut self, code: &'static str, message: impl Into<String>, by: By) {
        self.report.change(code, self.name, message, by);
    }

    fn form(&mut self) {
        if self.envelope.version == 2 {
            let message = "it is an OVF of version 2, which few importers know";
            self.warning(
                "ovf-version",
                message,
                &[Importer::Workstation, Importer::VirtV2v],
            );
        }
        for section in &self.envelope.without_info {
            let message = format!("`{section}` has no `Info`, which the schema asks for");
            self.warning("ovf-info", message, &[]);
        }
        for fault in &self.envelope.schema_faults {
            self.warning(
                "schema",
                format!("the schema has it otherwise: {fault}"),
                &[],
            );
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
        let versions: Vec<u32> = self.envelope.hardware_versions().collect();
        self.families(&versions);
        self.firmware(&versions);
        let numbered = self.envelope.os_id.as_ref();
        if numbered.is_none_or(|id| id.parse::<u16>().is_err()) {
            let message = "no `ovf:id` names the guest's operating system by its number";
            self.error("os-id", message, &[Importer::Virtualbox]);
        }
        match &self.envelope.os_type {
            None => {
                let message = "it does not name the guest as vSphere does (`vmw:osType`)";
                self.change("os-type", message, &[Importer::Esxi, Importer::Vcenter]);
            }
            Some(id) if !id.contains("Guest") => {
                let message =
                    format!("`{id}` is no guest id of vSphere, such as `debian12_64Guest`");
                self.error("os-type", message, &[Importer::Vcenter]);
            }
            Some(_) => {}
        }
    }

    fn families(&mut self, versions: &[u32]) {
        let families = self.envelope.system_types.join(" ");
        let lowest = versions.iter().min().copied().unwrap_or_default();
        if versions.is_empty() {
            let message = format!("the hardware family `{families}` is none of VMware's");
            self.error("hardware-family", message, &[Importer::Esxi]);
        } else if versions.iter().all(|version| matches!(version, 12 | 16)) {
            let message = format!("the hardware family `{families}` exists on Workstation only");
            self.error("hardware-family", message, &[Importer::Esxi]);
        } else if lowest > NEWEST {
            let message = format!("no ESXi knows the hardware family `{families}`");
            self.error("hardware-family", message, &[Importer::Esxi]);
        } else if lowest > 15 {
            let since = match lowest {
                ..=17 => "7.0",
                18 => "7.0U1",
                19 => "7.0U2",
                20 => "8.0",
                21 => "8.0U2",
                _ => "9.0",
            };
            let message = format!("`{families}` needs ESXi {since} or later");
            self.warning("hardware-new", message, &[Importer::Esxi]);
        } else if lowest < OLDEST {
            let message =
                format!("`{families}` is so old that wizards of vSphere 7 and later refuse it");
            self.warning("hardware-old", message, &[Importer::Vcenter]);
        }
    }

    fn firmware(&mut self, versions: &[u32]) {
        let families = self.envelope.system_types.join(" ");
        let secure = self.envelope.setting("bootOptions.efiSecureBootEnabled") == Some("true");
        let efi = self.envelope.setting("firmware") == Some("efi");
        let least = match (efi, secure) {
            (true, true) => 13,
            (true, false) => 8,
            _ => 0,
        };
        if versions.first().is_some_and(|version| *version < least) {
            let message = format!("its firmware needs vmx-{least:02}, it has `{families}`");
            self.error("firmware", message, &[Importer::Esxi]);
        }
        if efi {
            let message = "it wants UEFI, which is not read here: the machine gets BIOS until that is changed (`VBoxManage modifyvm NAME --firmware efi`)";
            self.change("firmware-lost", message, &[Importer::Virtualbox]);
        }
        let tpm = self
            .envelope
            .items
            .iter()
            .any(|item| item.subtype.as_deref() == Some("vmware.vtpm"));
        if tpm && (!efi || versions.first().is_some_and(|version| *version < 14)) {
            let message = "a virtual TPM needs UEFI and vmx-14";
            self.error("tpm", message, &[Importer::Esxi]);
        }
    }
}
