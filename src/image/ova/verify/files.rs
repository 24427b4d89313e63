//! The tar file and its names, and what the descriptor says about the files.

use std::collections::BTreeSet;

use super::super::archive::{Format, Package, has_extension};
use super::super::{OvaError, check_name};
use super::{EVERYBODY, Importer, Report};
use crate::image::ovf::{Envelope, FileRef};

/// Checks the members as such.
pub(super) fn check(package: &Package, report: &mut Report) {
    if let Some((offset, what)) = &package.damage {
        let message = format!("damaged at byte {offset}: {what}");
        report.error("tar-damage", "the tar file", message, EVERYBODY);
    }
    if !package.terminated {
        let message = "the two blocks of zeros that end a tar file are missing";
        report.warning("tar-end", "the tar file", message, &[]);
    }
    let mut seen = BTreeSet::new();
    for member in &package.members {
        let name = &member.name;
        if let Some(special) = member.special {
            let message = format!("it is {special}, not a file");
            report.error("tar-member", name, message, EVERYBODY);
        }
        if let Some(bare) = name.strip_prefix("./") {
            let message = format!("the name should be `{bare}`");
            report.error(
                "tar-name",
                name,
                message,
                &[Importer::Virtualbox, Importer::VirtV2v],
            );
        } else if let Err(OvaError::Name { why, .. }) = check_name(name) {
            report.error("tar-name", name, why, &[Importer::Ovftool]);
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            report.error("tar-twice", name, "it is there twice", &[Importer::Ovftool]);
        }
        let dialect = match member.format {
            Format::Ustar | Format::Plain => None,
            Format::Gnu => Some("GNU tar's"),
            Format::Pax => Some("pax's (an extended header stands in front)"),
            Format::Old => Some("older than ustar"),
        };
        if let Some(dialect) = dialect {
            let message = format!("the specification asks for ustar, this header is {dialect}");
            report.warning("tar-format", name, message, &[]);
        }
        if member.binary_size {
            let message = "it is larger than 8GiB, which ustar cannot say; GNU tar's form is used";
            report.warning("tar-size", name, message, &[]);
        }
    }
    order(package, report);
}

/// The descriptor comes first; the manifest follows it, or ends the package.
fn order(package: &Package, report: &mut Report) {
    let places = |extension: &str| -> Vec<usize> {
        let members = package.members.iter().enumerate();
        members
            .filter(|(_, member)| has_extension(&member.name, extension))
            .map(|(place, _)| place)
            .collect()
    };
    let name = |place: usize| package.members[place].name.as_str();
    let (descriptors, manifests) = (places("ovf"), places("mf"));
    for (kind, extra) in [(&descriptors, "descriptors"), (&manifests, "manifests")] {
        if let Some(second) = kind.get(1) {
            let message = format!("there are {} {extra}", kind.len());
            report.error("tar-twice", name(*second), message, &[Importer::Ovftool]);
        }
    }
    let Some(descriptor) = descriptors.first() else {
        return;
    };
    if *descriptor != 0 {
        let message = "it is not the first file of the package";
        let by = &[Importer::Ovftool, Importer::Workstation, Importer::Others];
        report.error("tar-order", name(*descriptor), message, by);
    }
    if let Some(manifest) = manifests.first() {
        let stem = |place: usize| name(place).rsplit_once('.').map(|(stem, _)| stem);
        if stem(*descriptor) != stem(*manifest) {
            let message = format!("it is not named after `{}`", name(*descriptor));
            report.error(
                "manifest-name",
                name(*manifest),
                message,
                &[Importer::Ovftool],
            );
        }
        let rest = &package.members[manifest + 1..];
        let last = rest.iter().all(|m| has_extension(&m.name, "cert"));
        if package.archive && *descriptor == 0 && *manifest != 1 && !last {
            let message = "it stands neither after the descriptor nor at the end";
            report.warning("tar-order", name(*manifest), message, &[]);
        }
    }
}

/// Checks that the descriptor's files are there, as it says and in its order, and nothing else.
pub(super) fn check_references(package: &Package, envelope: &Envelope, report: &mut Report) {
    let mut ids = BTreeSet::new();
    let mut last = None;
    for file in &envelope.files {
        if !ids.insert(&file.id) {
            let message = format!("two files have the id `{}`", file.id);
            report.error("file-id", &file.href, message, EVERYBODY);
        }
        if file.compression.is_some() {
            let message = "it is compressed as a whole, which few importers undo";
            report.warning("file-compressed", &file.href, message, &[]);
        }
        let Some(place) = find(package, file, report) else {
            continue;
        };
        if package.archive && last.is_some_and(|last| place < last) {
            let message = "it comes before a file that the descriptor lists earlier";
            report.error("tar-order", &file.href, message, &[Importer::Virtualbox]);
        }
        last = last.max(Some(place));
    }
    for member in &package.members {
        let known = ["ovf", "mf", "cert"]
            .iter()
            .any(|extension| has_extension(&member.name, extension));
        let bare = member.bare_name();
        let listed = envelope.files.iter().any(|file| {
            let chunk = |rest: &str| rest.starts_with('.') && file.chunk_size.is_some();
            bare.strip_prefix(&file.href)
                .is_some_and(|rest| rest.is_empty() || chunk(rest))
        });
        if !known && !listed {
            let message = "the descriptor does not mention it";
            report.warning("file-unknown", &member.name, message, &[Importer::Ovftool]);
        }
    }
}

/// The place of a file in the package, and whether it is as the descriptor says.
fn find(package: &Package, file: &FileRef, report: &mut Report) -> Option<usize> {
    let href = &file.href;
    let at = |name: &str| {
        let mut members = package.members.iter();
        members.position(|m| m.bare_name() == name)
    };
    if file.chunk_size.is_some() {
        let message = "it is cut into pieces, of which virt-v2v reads only the last";
        report.warning("file-chunked", href, message, &[Importer::VirtV2v]);
        let first = at(&format!("{href}.000000000"));
        if first.is_none() {
            report.error(
                "file-missing",
                href,
                "its first piece is not there",
                EVERYBODY,
            );
        }
        return first;
    }
    let Some(place) = at(href) else {
        let message = "the descriptor lists it, but it is not there";
        report.error("file-missing", href, message, EVERYBODY);
        return None;
    };
    let found = package.members[place].data.len();
    match file.size {
        None => {
            let message = "the descriptor does not say its size";
            report.warning(
                "file-size",
                href,
                message,
                &[Importer::Ovftool, Importer::Vcenter],
            );
        }
        Some(size) if size != found => {
            let message = format!("the descriptor says {size} bytes, it has {found}");
            report.error(
                "file-size",
                href,
                message,
                &[Importer::Ovftool, Importer::Vcenter],
            );
        }
        Some(_) => {}
    }
    Some(place)
}
