//! `kind = "verify"`: looks at an appliance as its importers do, boots it with the hardware that it declares, and runs
//! the checks in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::{failure, io};
use super::login;
use super::machine::Session;
use super::resolve::Resolver;
use super::start::Start;
use super::{Host, outputs, upstream};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::guest::Guest;
use crate::guest::checks::{self, CheckReport, Outcome, Retry};
use crate::image::ova::{OvaError, Package, Severity};
use crate::image::ovf::Appliance;
use crate::model::{Artifact, CheckSet, CheckSource, Name, StoredFile, Verify};
use crate::provider::DiskSource;
use crate::store::Place;
use crate::sys::Cancel;

/// How many checks that do not hold a failure shows.
const SHOWN: usize = 20;

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Verify,
) -> Result<Artifact, ExecError> {
    let ova = upstream(context)?
        .files
        .get(&name("ova")?)
        .ok_or_else(|| failure("the stage that `from` names has left no ova"))?;
    let staging = host.store.staging()?;
    let job = Unpack {
        ova: host.store.path(&ova.digest),
        to: staging.path().join("appliance"),
        output: context.output.clone(),
        cancel: context.cancel.clone(),
    };
    let dir = job.to.clone();
    let (appliance, ovf) = tokio::task::spawn_blocking(move || job.run())
        .await
        .map_err(|e| failure(e.to_string()))??;
    let ovf = dir.join(ovf);
    let mut session = Session::launch(host, context, start(host, kind, &appliance, ovf)?).await?;
    let resolver = Resolver::new(host, context);
    let ssh = &kind.ssh;
    let mut watch = |_: Duration| None;
    let guest = session
        .login(
            &|address| login::target(&resolver, host, ssh, address),
            ssh.timeout,
            &mut watch,
        )
        .await?;
    let report = run_checks(
        context,
        &guest,
        &kind.checks,
        kind.retry_timeout.map(crate::model::Duration::std),
        kind.sleep.std(),
    )
    .await?;
    drop(guest);
    let artifact = keep(host, context, &report, ova)?;
    if let Err(failed) = judge(&report) {
        return Err(session.evidence(failed.into()).await);
    }
    session.destroy();
    Ok(artifact)
}

fn name(text: &str) -> Result<Name, StageFailure> {
    Name::parse(text).map_err(|e| failure(e.to_string()))
}

/// Looks at the package and unpacks it.
struct Unpack {
    ova: PathBuf,
    to: PathBuf,
    output: Output,
    cancel: Cancel,
}

impl Unpack {
    /// The appliance, and its descriptor's file name.
    fn run(self) -> Result<(Appliance, String), ExecError> {
        let wrong = |error: OvaError| match error {
            OvaError::Cancelled => ExecError::Cancelled,
            other => failure(other.to_string()).into(),
        };
        self.output.step("reading the appliance");
        let package = Package::open(&self.ova).map_err(wrong)?;
        let progress = |done: u64| self.output.progress(done, None);
        let report = package.verify(&progress, &self.cancel).map_err(wrong)?;
        for finding in &report.findings {
            match finding.severity {
                Severity::Error => self.output.line(&finding.to_string()),
                Severity::Warning => self.output.warn(finding.to_string()),
            }
        }
        if report.has_errors() {
            return Err(failure("the appliance would be refused: see the lines above").into());
        }
        self.output.step("unpacking the appliance");
        package
            .unpack(&self.to, &progress, &self.cancel)
            .map_err(wrong)?;
        let appliance = package
            .descriptor()
            .map_err(wrong)?
            .lower()
            .map_err(|e| failure(e.to_string()))?;
        let ovf = package
            .with_extension("ovf")
            .ok_or_else(|| failure("the appliance has no descriptor"))?;
        Ok((appliance, ovf.name.clone()))
    }
}

fn start<'h>(
    host: &'h Host,
    kind: &Verify,
    appliance: &Appliance,
    ovf: PathBuf,
) -> Result<Start<'h>, StageFailure> {
    let disks = appliance
        .disks
        .iter()
        .map(|disk| match &disk.file {
            Some(file) => DiskSource::Image {
                path: ovf.with_file_name(&file.href),
                format: "vmdk".into(),
            },
            None => DiskSource::New(disk.capacity),
        })
        .collect();
    Ok(Start {
        provider: host.provider(kind.provider.as_str())?,
        hardware: appliance.hardware.clone(),
        disks,
        nvram: None,
        cds: Vec::new(),
        floppy: None,
        ssh_port: kind.ssh.port,
        memory: None,
        from: None,
        resume: false,
        ovf: Some(ovf),
    })
}

/// Runs all checks of `sources` in a guest, again until they hold if there is a `retry` time.
pub(super) async fn run_checks(
    context: &StageContext,
    guest: &Guest,
    sources: &[CheckSource],
    retry: Option<Duration>,
    sleep: Duration,
) -> Result<CheckReport, ExecError> {
    let set = CheckSet {
        checks: sources
            .iter()
            .flat_map(|source| source.checks.checks.clone())
            .collect(),
    };
    context
        .output
        .step(format!("running {} checks", set.checks.len()));
    let output = context.output.clone();
    let note = move |text: &str| output.note(text);
    let retry = retry.map(|timeout| Retry { timeout, sleep });
    let report = checks::run_until(guest, &set, retry, &context.cancel, &note).await?;
    for result in &report.results {
        context
            .output
            .line(&format!("{:5} {result}", result.outcome.as_str()));
    }
    context.output.line(&report.summary());
    Ok(report)
}

/// A failure if anything does not hold or could not be told.
pub(super) fn judge(report: &CheckReport) -> Result<(), StageFailure> {
    if report.passed() {
        return Ok(());
    }
    let wrong = report.count(Outcome::Fail) + report.count(Outcome::Error);
    let asked = report.results.len() - report.count(Outcome::Skip);
    Err(StageFailure {
        message: format!("{wrong} of {asked} checks do not hold"),
        tail: report
            .troubles()
            .take(SHOWN)
            .map(ToString::to_string)
            .collect(),
        ..StageFailure::default()
    })
}

/// Keeps the reports beside the appliance.
fn keep(
    host: &Host,
    context: &StageContext,
    report: &CheckReport,
    ova: &StoredFile,
) -> Result<Artifact, ExecError> {
    let beside = ova
        .path
        .as_deref()
        .and_then(|path| Path::new(path).parent())
        .unwrap_or(Path::new("output"));
    let stage = context.stage.key.slug();
    let mut artifact = Artifact::default();
    for (key, file, text) in [
        (
            "junit",
            "junit.xml",
            checks::to_junit(report, &context.stage.key.to_string()),
        ),
        ("report", "report.json", checks::to_json(report).to_string()),
    ] {
        let shown = beside.join(&stage).join(file);
        let shown = shown
            .to_str()
            .ok_or_else(|| failure("the output's path is not UTF-8"))?;
        let stored = StoredFile {
            path: Some(shown.to_owned()),
            ..host.store.put_bytes(text.as_bytes())?
        };
        outputs::show(host, &stored, Place::Copy)
            .map_err(|e| io("write", &host.root.join(shown), &std::io::Error::other(e)))?;
        artifact.files.insert(name(key)?, stored);
    }
    artifact.facts.insert("checks".into(), report.summary());
    Ok(artifact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::checks::CheckResult;
    use crate::model::Resource;

    fn result(outcome: Outcome) -> CheckResult {
        CheckResult {
            resource: Resource::File,
            name: "/x".into(),
            title: None,
            property: "exists".into(),
            expected: "true".into(),
            found: "false".into(),
            outcome,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn a_report_passes_only_when_nothing_failed_and_all_is_known() {
        let report = |outcomes: &[Outcome]| CheckReport {
            results: outcomes.iter().copied().map(result).collect(),
            duration: Duration::ZERO,
        };
        assert!(judge(&report(&[Outcome::Pass, Outcome::Skip])).is_ok());
        let failed = judge(&report(&[
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Error,
            Outcome::Skip,
        ]))
        .unwrap_err();
        assert_eq!(
            (failed.message.as_str(), failed.tail.len()),
            ("2 of 3 checks do not hold", 2)
        );
    }
}
