//! `kind = "export"`: a machine's disks as stream-optimized VMDK files.

use std::path::PathBuf;

use super::failure::{failure, io};
use super::resolve::Resolver;
use super::{Host, remote, upstream_machine};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::image::qcow2::Chain;
use crate::image::vmdk::{self, VmdkError, WriteOptions};
use crate::image::{BlockSource, Window};
use crate::model::{
    Artifact, Digest, DiskState, Export, MachineState, Name, Remote, Size, StoredFile,
};
use crate::provider::{Exported, Provider, Work};
use crate::store::Put;
use crate::sys::Cancel;

/// The name of the output that holds the UEFI variables, where there are any.
pub(super) fn nvram_name() -> Result<Name, StageFailure> {
    Name::parse("nvram").map_err(|e| failure(e.to_string()))
}

/// The output name of disk `index` (from 0).
pub(super) fn disk_name(index: usize) -> Result<Name, StageFailure> {
    Name::parse(&format!("disk-{}", index + 1)).map_err(|e| failure(e.to_string()))
}

/// The file name of disk `index` (from 0) of the appliance `base`.
pub(super) fn disk_file(base: &str, index: usize) -> String {
    format!("{base}-disk{}.vmdk", index + 1)
}

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Export,
) -> Result<Artifact, ExecError> {
    let machine = upstream_machine(context)?;
    let base = Resolver::new(host, context).text(&kind.name)?;
    if let Some(there) = remote::exported(host, machine)? {
        return from_server(host, context, kind, machine, there, &base).await;
    }
    let mut artifact = Artifact {
        machine: Some(machine.clone()),
        ..Artifact::default()
    };
    for (index, disk) in machine.disks.iter().enumerate() {
        context.output.step(format!(
            "writing disk {} of {}",
            index + 1,
            machine.disks.len()
        ));
        let (stored, facts) =
            export_disk(host, context, kind, machine, (index, disk), &base).await?;
        let name = disk_name(index)?;
        for (key, value) in facts {
            artifact.facts.insert(format!("{name}.{key}"), value);
        }
        artifact.files.insert(name, stored);
    }
    Ok(artifact)
}

async fn export_disk(
    host: &Host,
    context: &StageContext,
    kind: &Export,
    machine: &MachineState,
    (index, disk): (usize, &DiskState),
    base: &str,
) -> Result<(StoredFile, [(&'static str, String); 2]), ExecError> {
    let identity = Digest::of(
        disk.layers
            .iter()
            .map(Digest::hex)
            .collect::<String>()
            .as_bytes(),
    );
    let options = options(
        kind,
        machine,
        index,
        WriteOptions::new(disk_file(base, index), identity),
    );
    let staging = host.store.staging()?;
    let layers = disk
        .layers
        .iter()
        .map(|digest| host.store.use_object(digest));
    let layers = layers.collect::<Result<_, _>>()?;
    let job = Job {
        source: Source::Layers(layers),
        to: staging.path().join("disk.vmdk"),
        options,
        output: context.output.clone(),
        cancel: context.cancel.clone(),
    };
    let path = job.to.clone();
    let written = tokio::task::spawn_blocking(move || job.run()).await;
    let info = written.map_err(|e| failure(e.to_string()))??;
    let stored = host.store.put_hashed(&path, &info.digest, Put::Move)?;
    Ok((stored, facts(info.populated, info.capacity)))
}

fn facts(populated: Size, capacity: Size) -> [(&'static str, String); 2] {
    [
        ("populated", populated.bytes().to_string()),
        ("capacity", capacity.bytes().to_string()),
    ]
}

fn options(
    kind: &Export,
    machine: &MachineState,
    index: usize,
    options: WriteOptions,
) -> WriteOptions {
    let controller = machine.hardware.disks.get(index).map(|d| d.controller);
    WriteOptions {
        level: kind.level,
        adapter: controller.map_or(vmdk::Adapter::Scsi, vmdk::Adapter::from),
        ..options
    }
}

/// The disks as their server writes them.
async fn from_server(
    host: &Host,
    context: &StageContext,
    kind: &Export,
    machine: &MachineState,
    (provider, there): (&dyn Provider, &Remote),
    base: &str,
) -> Result<Artifact, ExecError> {
    context.output.step("exporting from the server");
    let staging = host.store.staging()?;
    let (output, voice) = (context.output.clone(), context.output.clone());
    let work = Work {
        dir: staging.path(),
        progress: &move |done, total| output.progress(done, total),
        note: &move |text| voice.warn(text),
        cancel: &context.cancel,
    };
    let exported = provider.export(there, work).await?;
    let mut artifact = Artifact {
        machine: Some(machine.clone()),
        ..Artifact::default()
    };
    let (disks, others): (Vec<_>, Vec<_>) = exported
        .into_iter()
        .partition(|file| file.capacity.is_some());
    // a system whose boot entry is lost does not start
    for file in others {
        let stored = host.store.put_hashed(&file.path, &file.digest, Put::Move)?;
        artifact.files.insert(nvram_name()?, stored);
    }
    for (index, disk) in disks.into_iter().enumerate() {
        context.output.step(format!("checking disk {}", index + 1));
        let options = WriteOptions::new(disk_file(base, index), disk.digest);
        let job = Received {
            disk,
            rewrite: Job {
                source: Source::Vmdk(staging.path().join("unused")),
                to: staging.path().join(format!("rewritten-{index}.vmdk")),
                options: self::options(kind, machine, index, options),
                output: context.output.clone(),
                cancel: context.cancel.clone(),
            },
        };
        let checked = tokio::task::spawn_blocking(move || job.run()).await;
        let (path, info) = checked.map_err(|e| failure(e.to_string()))??;
        let stored = host.store.put_hashed(&path, &info.digest, Put::Move)?;
        let name = disk_name(index)?;
        for (key, value) in facts(info.populated, info.capacity) {
            artifact.facts.insert(format!("{name}.{key}"), value);
        }
        artifact.files.insert(name, stored);
    }
    Ok(artifact)
}

/// A disk that a server has written.
struct Received {
    disk: Exported,
    rewrite: Job,
}

impl Received {
    /// The file to keep: the server's own, or, where some reader would refuse that, the same disk written anew.
    fn run(mut self) -> Result<(PathBuf, vmdk::VmdkInfo), ExecError> {
        let path = self.disk.path;
        let wrong = |error: VmdkError| match error {
            VmdkError::Cancelled => ExecError::Cancelled,
            other => failure(format!("the server's disk cannot be read: {other}")).into(),
        };
        let output = self.rewrite.output.clone();
        let progress = |done: u64| output.progress(done, None);
        let window = Window::open(&path).map_err(|e| io("read", &path, &e))?;
        let report = vmdk::check(&window, &progress, &self.rewrite.cancel).map_err(wrong)?;
        let fatal = report.problems.iter().find(|problem| problem.fatal);
        let Some(problem) = fatal else {
            let info = vmdk::VmdkInfo {
                capacity: report.capacity,
                populated: report.populated,
                size: Size::from_bytes(window.len()),
                digest: self.disk.digest,
            };
            return Ok((path, info));
        };
        output.note(&format!(
            "the server's disk is written anew, for others would refuse it: {}",
            problem.message
        ));
        self.rewrite.source = Source::Vmdk(path);
        let to = self.rewrite.to.clone();
        Ok((to, self.rewrite.run()?))
    }
}

/// What a disk is read from.
enum Source {
    /// Layers of qcow2, the base first.
    Layers(Vec<PathBuf>),
    /// A stream-optimized VMDK.
    Vmdk(PathBuf),
}

impl Source {
    fn open(&self) -> Result<Box<dyn BlockSource>, StageFailure> {
        Ok(match self {
            Self::Layers(layers) => {
                Box::new(Chain::open(layers).map_err(|e| failure(e.to_string()))?)
            }
            Self::Vmdk(path) => {
                let window = Window::open(path).map_err(|e| io("read", path, &e))?;
                Box::new(vmdk::Reader::open(window).map_err(|e| failure(e.to_string()))?)
            }
        })
    }
}

struct Job {
    source: Source,
    to: PathBuf,
    options: WriteOptions,
    output: Output,
    cancel: Cancel,
}

impl Job {
    fn run(self) -> Result<vmdk::VmdkInfo, ExecError> {
        let source = self.source.open()?;
        let file = std::fs::File::create(&self.to).map_err(|e| io("write", &self.to, &e))?;
        let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
        let total = source.size();
        let progress = |done: u64| self.output.progress(done, Some(total));
        let info = vmdk::write(
            source.as_ref(),
            &self.options,
            &mut out,
            &progress,
            &self.cancel,
        )
        .map_err(|e| match e {
            VmdkError::Cancelled => ExecError::Cancelled,
            VmdkError::Write(error) => io("write", &self.to, &error).into(),
            other => failure(other.to_string()).into(),
        })?;
        let file = out
            .into_inner()
            .map_err(|e| io("write", &self.to, e.error()))?;
        file.sync_all().map_err(|e| io("write", &self.to, &e))?;
        Ok(info)
    }
}
