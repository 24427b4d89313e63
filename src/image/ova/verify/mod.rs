//! Looks for everything that some importer refuses or changes in a package, and reports all of it.

mod descriptor;
mod disks;
mod files;
mod hardware;
mod importer;
mod properties;
mod signature;
mod sums;

use std::fmt;
use std::thread;

use rustls_pki_types::CertificateDer;
use serde::Serialize;

use super::OvaError;
use super::archive::Package;
use super::signature::certificates_of;
use crate::image::Progress;
use crate::image::ovf::Envelope;
use crate::sys::Cancel;

use importer::EVERYBODY;
pub use importer::Importer;
pub use signature::SignatureReport;
pub(super) use sums::digests_hold;

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
    pub refused_by: &'static [Importer],
    /// Who is known to make something else of it.
    pub changed_by: &'static [Importer],
}

/// Everything that is wrong with a package; no findings for a good one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings, by the parts of a package: tar, descriptor, digests, signature, disks.
    pub findings: Vec<Finding>,
    /// Who signed it; none for a package that is not signed, or whose signature cannot be read.
    pub signature: Option<SignatureReport>,
}

/// How a package is looked at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The time at which certificates must be valid, in seconds since 1970.
    pub now: u64,
    /// Whom one trusts; none: nobody is asked for.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// Who will import it; none: anybody may.
    pub importers: Vec<Importer>,
}

impl Options {
    /// For anybody, with certificates that are valid now.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        Self {
            now: since.map_or(0, |time| time.as_secs()),
            ..Self::default()
        }
    }

    /// Takes the authorities from PEM text.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), String> {
        let authorities = certificates_of(pem)?;
        if authorities.is_empty() {
            return Err("there is no certificate in it (`-----BEGIN CERTIFICATE-----`)".into());
        }
        self.authorities = Some(authorities);
        Ok(())
    }
}

impl Package {
    /// Checks the tar file, the descriptor, the digests, the signature and the disks. An error means that it could not be
    /// looked at. `progress` counts the bytes of the disks.
    pub fn verify(
        &self,
        options: &Options,
        progress: Progress<'_>,
        cancel: &Cancel,
    ) -> Result<Report, OvaError> {
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
        signature::check(self, options, &mut report)?;
        report.findings.extend(disks?.findings);
        report.limit(&options.importers);
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

impl Report {
    /// Whether somebody refuses the package.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    /// Keeps what concerns these importers, and what is wrong whoever imports it.
    fn limit(&mut self, importers: &[Importer]) {
        if importers.is_empty() {
            return;
        }
        self.findings.retain(|finding| {
            let mut known = finding
                .refused_by
                .iter()
                .chain(finding.changed_by)
                .peekable();
            known.peek().is_none() || known.any(|importer| importers.contains(importer))
        });
    }

    fn error(
        &mut self,
        code: &'static str,
        file: &str,
        message: impl Into<String>,
        refused_by: &'static [Importer],
    ) {
        self.findings.push(Finding {
            severity: Severity::Error,
            code,
            file: file.to_owned(),
            message: message.into(),
            refused_by,
            changed_by: &[],
        });
    }

    fn warning(
        &mut self,
        code: &'static str,
        file: &str,
        message: impl Into<String>,
        refused_by: &'static [Importer],
    ) {
        self.error(code, file, message, refused_by);
        if let Some(last) = self.findings.last_mut() {
            last.severity = Severity::Warning;
        }
    }

    /// Something that importers take, and make something else of.
    fn change(
        &mut self,
        code: &'static str,
        file: &str,
        message: impl Into<String>,
        changed_by: &'static [Importer],
    ) {
        self.warning(code, file, message, &[]);
        if let Some(last) = self.findings.last_mut() {
            last.changed_by = changed_by;
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
            changed_by,
            ..
        } = self;
        write!(f, "{severity}[{code}]: `{file}`: {message}")?;
        if !refused_by.is_empty() {
            write!(f, " (refused by {})", importer::list(refused_by))?;
        }
        if !changed_by.is_empty() {
            write!(f, " (changed by {})", importer::list(changed_by))?;
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
