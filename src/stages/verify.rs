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
use crate::goss::{self, Counts, Format, Outcome, Spec, TestResult, Vars};
use crate::guest::Guest;
use crate::guest::facts::{self, System};
use crate::guest::suite::{self, Asking, Attempt, DirFiles, Ended, LoadError, Retry};
use crate::image::ova::{Importer, Options, OvaError, Package, Severity, UnpackLimits};
use crate::image::ovf::Appliance;
use crate::model::{Artifact, Checks, Name, StoredFile, Verify};
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
        ova: host.store.use_object(&ova.digest)?,
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
    let retry = kind.retry_timeout.map(|timeout| Retry {
        timeout: timeout.std(),
        sleep: kind.sleep.std(),
    });
    let report = run_checks(host, context, &guest, &kind.checks, retry).await?;
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
        // an appliance of one's own is one for VMware, whatever else it may be
        let options = Options {
            importers: ["vsphere", "workstation", "ovftool"]
                .into_iter()
                .filter_map(Importer::parse)
                .flatten()
                .copied()
                .collect(),
            ..Options::now()
        };
        let report = package
            .verify(&options, &progress, &self.cancel)
            .map_err(wrong)?;
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
            .unpack(&self.to, UnpackLimits::NONE, &progress, &self.cancel)
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
        name: kind.provider.to_string(),
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

/// Runs all checks in a guest, again until they hold if there is a `retry` time.
pub(super) async fn run_checks(
    host: &Host,
    context: &StageContext,
    guest: &Guest,
    checks: &Checks,
    retry: Option<Retry>,
) -> Result<Attempt, ExecError> {
    let system = System {
        place: facts::Place::Guest(guest),
        sudo: false,
    };
    let resources = load(host, context, &system, checks).await?;
    context
        .output
        .step(format!("running {} checks", resources.len()));
    let output = context.output.clone();
    let mut tell = move |attempt: &Attempt, _: Duration| {
        output.note(&format!("not yet: {}", summary(attempt)));
    };
    let asking = Asking {
        retry,
        ..Asking::default()
    };
    let ended = suite::ask_until(&system, &resources, &asking, &context.cancel, &mut tell).await?;
    let Ended { attempt, .. } = ended;
    for result in attempt.groups.iter().flatten() {
        context.output.line(&line(result));
    }
    context.output.line(&summary(&attempt));
    Ok(attempt)
}

/// Loads gossfiles and what is written in the stage.
async fn load(
    host: &Host,
    context: &StageContext,
    system: &System<'_>,
    checks: &Checks,
) -> Result<Vec<goss::Resource>, ExecError> {
    let files = DirFiles {
        dir: host.root.clone(),
    };
    let faults = |faults: &crate::diag::Diagnostics| {
        let mut failed = failure("the gossfiles cannot be used");
        failed.tail = crate::diag::render(faults, false)
            .lines()
            .map(ToOwned::to_owned)
            .collect();
        ExecError::from(failed)
    };
    let vars = vars(&files, checks).map_err(|found| faults(&found))?;
    let specs = checks.gossfiles.iter().map(|path| Spec::Path(path));
    let inline = checks.inline.as_deref().map(|text| Spec::Text {
        name: "checks",
        text,
    });
    let mut resources = Vec::new();
    let specs: Vec<Spec<'_>> = specs.chain(inline).collect();
    for spec in specs {
        match suite::load(system, &spec, &files, &vars, &context.cancel).await {
            Ok((suite, _)) => resources.extend(suite.resources),
            Err(LoadError::Faults(found)) => return Err(faults(&found)),
            Err(LoadError::System(error)) => return Err(error.into()),
        }
    }
    Ok(resources)
}

fn vars(files: &DirFiles, checks: &Checks) -> Result<Vars, Box<crate::diag::Diagnostics>> {
    let mut vars = Vars::new();
    vars.inline("scopes", &checks.scopes)?;
    for path in &checks.vars_files {
        let text = goss::Files::read(files, path).map_err(|reason| {
            let mut found = crate::diag::Diagnostics::default();
            found.push(crate::diag::Diagnostic::error(
                "missing-file",
                format!("`{path}` cannot be read: {reason}"),
            ));
            Box::new(found)
        })?;
        vars.file(path, &text)?;
    }
    if let Some(text) = &checks.vars {
        vars.inline("vars", text)?;
    }
    Ok(vars)
}

/// A result in one line, with what was expected and what was found.
fn line(result: &TestResult) -> String {
    let word = match result.outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Skip => "skip",
    };
    let told = goss::summary_line(result);
    let told: Vec<&str> = told
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    format!("{word} {}", told.join(" "))
}

/// `12 passed, 1 failed, 2 skipped`.
fn summary(attempt: &Attempt) -> String {
    let Counts {
        total,
        failed,
        skipped,
    } = Counts::of(&attempt.groups);
    let mut parts = vec![format!("{} passed", total - failed - skipped)];
    for (count, word) in [(failed, "failed"), (skipped, "skipped")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.join(", ")
}

/// A failure if anything does not hold or could not be told.
pub(super) fn judge(attempt: &Attempt) -> Result<(), StageFailure> {
    let Counts {
        total,
        failed,
        skipped,
    } = Counts::of(&attempt.groups);
    if failed == 0 {
        return Ok(());
    }
    let troubles = attempt
        .groups
        .iter()
        .flatten()
        .filter(|result| result.outcome == Outcome::Fail);
    Err(StageFailure {
        message: format!("{failed} of {} checks do not hold", total - skipped),
        tail: troubles.take(SHOWN).map(line).collect(),
        ..StageFailure::default()
    })
}

/// Keeps the reports beside the appliance.
fn keep(
    host: &Host,
    context: &StageContext,
    report: &Attempt,
    ova: &StoredFile,
) -> Result<Artifact, ExecError> {
    let beside = ova
        .path
        .as_deref()
        .and_then(|path| Path::new(path).parent())
        .unwrap_or(Path::new("output"));
    let stage = context.stage.key.slug();
    let mut artifact = Artifact::default();
    let written = |format| {
        let mut options = goss::Options::new(report.started, report.took);
        options.sort = true;
        options.pretty = true;
        goss::write(format, &report.groups, &options).text
    };
    for (key, file, text) in [
        ("junit", "junit.xml", written(Format::Junit)),
        ("report", "report.json", written(Format::Json)),
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
    artifact.facts.insert("checks".into(), summary(report));
    Ok(artifact)
}
