//! Looks for everything that some hypervisor refuses in a package, and reports all of it.

mod descriptor;
mod disks;
mod files;
mod sums;

use std::fmt;
use std::thread;

use serde::Serialize;

use super::OvaError;
use super::archive::Package;
use crate::image::Progress;
use crate::image::ovf::Envelope;
use crate::sys::Cancel;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody refuses the package, or reads it wrongly.
    Error,
    /// It works, though not everywhere, or it is not as the specification has it.
    Warning,
}

/// Something that is wrong with a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A short, stable name: `digest`.
    pub code: &'static str,
    /// The file that it is about.
    pub file: String,
    /// What is wrong, for people.
    pub message: String,
    /// Who is known to refuse it.
    pub refused_by: &'static [&'static str],
}

/// Everything that is wrong with a package; empty for a good one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings, by the parts of a package: tar, descriptor, digests, disks.
    pub findings: Vec<Finding>,
}

impl Package {
    /// Checks the tar file, the descriptor, the digests and the disks. An error means that it could not be looked at.
    /// `progress` counts the bytes of the disks.
    pub fn verify(&self, progress: Progress<'_>, cancel: &Cancel) -> Result<Report, OvaError> {
        let mut report = Report::default();
        files::check(self, &mut report);
        let envelope = self.envelope(&mut report)?;
        if let Some(envelope) = &envelope {
            descriptor::check(self, envelope, &mut report);
            files::check_references(self, envelope, &mut report);
        }
        // Both read all disks, so side by side they read them once from the disk's point of view.
        let (sums, disks) = thread::scope(|scope| {
            let sums = scope.spawn(|| {
                let mut report = Report::default();
                sums::check(self, envelope.as_ref(), &mut report, cancel).map(|()| report)
            });
            let mut report = Report::default();
            let disks = disks::check(self, envelope.as_ref(), &mut report, progress, cancel);
            let sums = sums
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (sums, disks.map(|()| report))
        });
        report.findings.extend(sums?.findings);
        report.findings.extend(disks?.findings);
        Ok(report)
    }

    /// The descriptor; a bad one is a finding.
    fn envelope(&self, report: &mut Report) -> Result<Option<Envelope>, OvaError> {
        match self.descriptor() {
            Ok(envelope) => Ok(Some(envelope)),
            Err(OvaError::Ovf(e)) => {
                report.error("ovf", ".ovf", e.to_string(), EVERYBODY);
                Ok(None)
            }
            Err(OvaError::NoDescriptor) => {
                report.error("ovf", ".ovf", "there is none", EVERYBODY);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

const EVERYBODY: &[&str] = &["everybody"];

impl Report {
    /// Whether somebody refuses the package.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    fn error(
        &mut self,
        code: &'static str,
        file: &str,
        message: impl Into<String>,
        refused_by: &'static [&'static str],
    ) {
        self.findings.push(Finding {
            severity: Severity::Error,
            code,
            file: file.to_owned(),
            message: message.into(),
            refused_by,
        });
    }

    fn warning(
        &mut self,
        code: &'static str,
        file: &str,
        message: impl Into<String>,
        refused_by: &'static [&'static str],
    ) {
        self.error(code, file, message, refused_by);
        if let Some(last) = self.findings.last_mut() {
            last.severity = Severity::Warning;
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Self {
            code,
            file,
            message,
            refused_by,
            ..
        } = self;
        write!(f, "{severity}[{code}]: `{file}`: {message}")?;
        if !refused_by.is_empty() {
            write!(f, " (refused by {})", refused_by.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
