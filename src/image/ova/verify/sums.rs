//! The manifest: its form, and every digest in it.

use super::super::OvaError;
use super::super::archive::{Member, Package, has_extension};
use super::super::hash;
use super::super::manifest::{Manifest, ManifestEntry};
use super::{EVERYBODY, Importer, Report, Severity};
use crate::image::ovf::Envelope;
use crate::model::Algorithm;
use crate::sys::Cancel;

/// Checks the manifest and all digests.
pub(super) fn check(
    package: &Package,
    envelope: Option<&Envelope>,
    report: &mut Report,
    cancel: &Cancel,
) -> Result<(), OvaError> {
    let Some(member) = package.with_extension("mf") else {
        let message = "there is none, so nothing guards the files";
        report.warning("manifest", ".mf", message, &[]);
        return Ok(());
    };
    let bytes = member.read()?;
    let manifest = Manifest::parse(&String::from_utf8_lossy(&bytes));
    for (line, why) in &manifest.bad_lines {
        let message = format!("{why}: `{line}`");
        report.error(
            "manifest-line",
            &member.name,
            message,
            &[Importer::Esxi, Importer::Vcenter],
        );
    }
    algorithms(member, &manifest, envelope, report);
    for entry in &manifest.entries {
        digest(package, member, entry, report, cancel)?;
    }
    for other in &package.members {
        let name = other.bare_name();
        let exempt = has_extension(name, "mf") || has_extension(name, "cert");
        let bad = |(line, _): &(String, _)| line.contains(&format!("({name})"));
        if !exempt && manifest.entry(name).is_none() && !manifest.bad_lines.iter().any(bad) {
            let message = format!("it does not list `{name}`");
            report.error(
                "manifest-lacks",
                &member.name,
                message,
                &[Importer::Ovftool],
            );
        }
    }
    Ok(())
}

/// Refuses a package whose manifest is not true, or does not list all files.
pub(in super::super) fn digests_hold(package: &Package, cancel: &Cancel) -> Result<(), OvaError> {
    let mut report = Report::default();
    check(package, None, &mut report, cancel)?;
    let wrong = report
        .findings
        .into_iter()
        .find(|f| f.severity == Severity::Error);
    wrong.map_or(Ok(()), |f| {
        Err(OvaError::Unsound(format!("`{}`: {}", f.file, f.message)))
    })
}

fn algorithms(
    member: &Member,
    manifest: &Manifest,
    envelope: Option<&Envelope>,
    report: &mut Report,
) {
    let version = envelope.and_then(|e| e.hardware_versions().next());
    let used = |algorithm| manifest.entries.iter().any(|e| e.algorithm == algorithm);
    let name = &member.name;
    if used(Algorithm::Md5) {
        let message = "MD5 is no digest that a manifest may have";
        report.error(
            "manifest-digest",
            name,
            message,
            &[Importer::Esxi, Importer::Vcenter],
        );
    }
    if used(Algorithm::Sha1) {
        let message = "SHA1 digests are refused by the web import of vSphere 7 and later";
        report.warning("manifest-digest", name, message, &[Importer::Vcenter]);
    }
    if used(Algorithm::Sha512) && version.is_none_or(|version| version < 15) {
        let message = "SHA512 digests need a hypervisor that knows vmx-15 (ESXi 6.7U2)";
        report.warning("manifest-digest", name, message, &[Importer::Esxi]);
    }
    if used(Algorithm::Sha512) {
        let message = "SHA512 digests are not checked by virt-v2v";
        report.change("manifest-unchecked", name, message, &[Importer::VirtV2v]);
    }
}

fn digest(
    package: &Package,
    manifest: &Member,
    entry: &ManifestEntry,
    report: &mut Report,
    cancel: &Cancel,
) -> Result<(), OvaError> {
    let mut members = package.members.iter();
    let Some(member) = members.find(|m| m.bare_name() == entry.file) else {
        let message = format!("it lists `{}`, which is not there", entry.file);
        report.error("manifest-file", &manifest.name, message, EVERYBODY);
        return Ok(());
    };
    let found = hash::of_window(entry.algorithm, &member.data, &|| !cancel.is_cancelled())
        .map_err(|source| OvaError::Io {
            path: member.name.clone().into(),
            source,
        })?
        .ok_or(OvaError::Cancelled)?;
    if found != entry.hex {
        let message = format!(
            "its {} is {found}, the manifest says {}",
            entry.algorithm, entry.hex
        );
        report.error("digest", &member.name, message, EVERYBODY);
    }
    Ok(())
}
