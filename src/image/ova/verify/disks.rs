//! The disks: every byte of each VMDK, and whether the descriptor tells the truth about it.

use super::super::OvaError;
use super::super::archive::Package;
use super::{Importer, Report};
use crate::image::Progress;
use crate::image::ovf::{DiskRef, Envelope, disk_capacity};
use crate::image::vmdk::{self, CheckReport, Problem, VmdkError};
use crate::sys::Cancel;

/// Checks all disks that are VMDKs.
pub(super) fn check(
    package: &Package,
    envelope: Option<&Envelope>,
    report: &mut Report,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<(), OvaError> {
    let Some(envelope) = envelope else {
        return Ok(());
    };
    let mut done = 0;
    for disk in &envelope.disks {
        let file = disk.file.as_ref().and_then(|id| {
            let mut files = envelope.files.iter();
            files.find(|file| file.id == *id)
        });
        let Some(file) = file else {
            continue;
        };
        // Missing files and pieces of files are told elsewhere.
        let mut members = package.members.iter();
        let Some(member) = members.find(|m| m.bare_name() == file.href) else {
            continue;
        };
        if !disk.format.contains("vmdk") {
            let message = format!("its format is `{}`, not VMDK", disk.format);
            report.error(
                "disk-format",
                &file.href,
                message,
                &[Importer::Esxi, Importer::Vcenter, Importer::Workstation],
            );
            continue;
        }
        let told = |n| progress(done + n);
        match vmdk::check(&member.data, &told, cancel) {
            Ok(found) => {
                for problem in &found.problems {
                    tell(report, &file.href, problem);
                }
                compare(envelope, disk, &file.href, &found, report);
            }
            Err(VmdkError::Cancelled) => return Err(OvaError::Cancelled),
            Err(VmdkError::Read(source)) => {
                return Err(OvaError::Io {
                    path: member.name.clone().into(),
                    source,
                });
            }
            Err(other) => {
                let by = &[Importer::Esxi, Importer::Vcenter, Importer::Workstation];
                report.error("vmdk", &file.href, other.to_string(), by);
            }
        }
        done += member.data.len();
        progress(done);
    }
    Ok(())
}

fn tell(report: &mut Report, file: &str, problem: &Problem) {
    let message = format!("at byte {}: {}", problem.offset, problem.message);
    let by: &[Importer] = match problem.code {
        "end-of-stream" => &[Importer::Ovftool, Importer::Workstation, Importer::Vcenter],
        "version" => &[Importer::Esxi],
        "capacity" => &[Importer::Others],
        _ => &[],
    };
    if problem.fatal {
        report.error(problem.code, file, message, by);
    } else {
        report.warning(problem.code, file, message, by);
    }
}

fn compare(
    envelope: &Envelope,
    disk: &DiskRef,
    file: &str,
    found: &CheckReport,
    report: &mut Report,
) {
    // A capacity that makes no sense is told with the descriptor.
    if let Ok(capacity) = disk_capacity(envelope, disk)
        && capacity != found.capacity
    {
        let message = format!(
            "the descriptor says {} bytes for the disk, the vmdk {}",
            capacity.bytes(),
            found.capacity.bytes()
        );
        report.error(
            "disk-capacity",
            file,
            message,
            &[Importer::Esxi, Importer::Vcenter],
        );
    }
    if let Some(populated) = &disk.populated
        && populated.trim().parse() != Ok(found.populated.bytes())
    {
        let message = format!(
            "the descriptor says {populated} populated bytes, the vmdk has {}",
            found.populated.bytes()
        );
        report.warning("disk-populated", file, message, &[]);
    }
}
