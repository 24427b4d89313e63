//! `forge ova`: appliances on their own, built by forge or not.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::common::{self, Global};
use super::{CliError, Exit};
use crate::image::ova::{OvaError, PackFile, PackInput, Package, pack};
use crate::image::ovf::Envelope;
use crate::model::Size;
use crate::sys::Cancel;

/// Pack, unpack, inspect and verify appliances, built by forge or not
#[derive(Args, Debug)]
pub(super) struct OvaArgs {
    #[command(subcommand)]
    command: OvaCommand,
}

#[derive(Debug, Subcommand)]
enum OvaCommand {
    /// Make an OVA of an OVF and the files that it names
    Pack {
        /// The descriptor
        ovf: PathBuf,
        /// Where the OVA goes; none: beside the descriptor
        #[arg(short, long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write an OVA's files into a directory
    Unpack {
        /// The package
        ova: PathBuf,
        /// The directory; none: named like the package
        dir: Option<PathBuf>,
    },
    /// Show what an appliance says about itself
    Inspect {
        /// The package, or a descriptor with its files beside it
        ova: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check digests, structure and disks, and say who would refuse what
    Verify {
        /// The package, or a descriptor with its files beside it
        ova: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(global: &Global, args: OvaArgs) -> Result<Exit, CliError> {
    match args.command {
        OvaCommand::Pack { ovf, out } => pack_ova(&ovf, out),
        OvaCommand::Unpack { ova, dir } => unpack(&ova, dir),
        OvaCommand::Inspect { ova, json } => inspect(&ova, json || global.json()),
        OvaCommand::Verify { ova, json } => verify(&ova, json || global.json()),
    }
}

fn open(path: &Path) -> Result<Package, CliError> {
    Package::open(path).map_err(|error| match error {
        OvaError::Io { path, source } => {
            CliError::input(format!("cannot read {}: {source}", path.display()))
        }
        other => CliError::input(format!(
            "{} is not an appliance that can be read: {other}",
            path.display()
        ))
        .help("give an `.ova`, or an `.ovf` with its files beside it"),
    })
}

fn inspect(path: &Path, json: bool) -> Result<Exit, CliError> {
    let summary = open(path)?
        .inspect()
        .map_err(|e| CliError::input(e.to_string()))?;
    let text = if json {
        serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n"
    } else {
        summary.to_string()
    };
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn verify(path: &Path, json: bool) -> Result<Exit, CliError> {
    let report = open(path)?
        .verify(&|_| {}, &Cancel::new())
        .map_err(|e| CliError::input(e.to_string()))?;
    let text = if json {
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    } else if report.findings.is_empty() {
        format!("{}: in order\n", path.display())
    } else {
        report.to_string()
    };
    common::print(text.as_bytes())?;
    Ok(if report.has_errors() {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn unpack(path: &Path, dir: Option<PathBuf>) -> Result<Exit, CliError> {
    let dir = dir.unwrap_or_else(|| path.with_extension(""));
    let files = open(path)?
        .unpack(&dir, &|_| {}, &Cancel::new())
        .map_err(|e| ova_error(&e))?;
    let text: String = files
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn descriptor_of(ovf: &Path) -> Result<(String, Envelope), CliError> {
    let descriptor = std::fs::read_to_string(ovf)
        .map_err(|e| CliError::input(format!("cannot read {}: {e}", ovf.display())))?;
    if !ovf
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("ovf"))
    {
        return Err(CliError::input(format!(
            "{} is no descriptor: its name does not end with `.ovf`",
            ovf.display()
        ))
        .help("`forge ova pack` takes an OVF and the files that it names"));
    }
    let envelope = open(ovf)?
        .descriptor()
        .map_err(|e| CliError::input(format!("{}: {e}", ovf.display())))?;
    Ok((descriptor, envelope))
}

fn pack_ova(ovf: &Path, out: Option<PathBuf>) -> Result<Exit, CliError> {
    let (descriptor, envelope) = descriptor_of(ovf)?;
    let beside = ovf.parent().unwrap_or(Path::new(""));
    let files: Vec<PackFile> = envelope
        .files
        .iter()
        .map(|file| PackFile {
            name: file.href.clone(),
            path: beside.join(&file.href),
            digest: None,
        })
        .collect();
    let name = ovf
        .file_stem()
        .and_then(|n| n.to_str())
        .ok_or_else(|| CliError::input("the descriptor's name is not UTF-8"))?;
    let out = out.unwrap_or_else(|| ovf.with_extension("ova"));
    let failed =
        |e: std::io::Error| CliError::environment(format!("cannot write {}: {e}", out.display()));
    let mut temporary = out.clone().into_os_string();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    let file = File::create(&temporary).map_err(failed)?;
    let mtime = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(crate::stages::EPOCH);
    let input = PackInput {
        name,
        descriptor: &descriptor,
        files: &files,
        mtime,
    };
    let packed = pack(&input, &file, &|_| {}, &Cancel::new()).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    });
    let packed = packed.map_err(|e| ova_error(&e))?;
    std::fs::rename(&temporary, &out).map_err(failed)?;
    for warning in &packed.warnings {
        common::warn(warning);
    }
    let text = format!(
        "{}  {}\n{}\n",
        packed.digest,
        out.display(),
        Size::from_bytes(packed.size.bytes())
    );
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn ova_error(error: &OvaError) -> CliError {
    match error {
        OvaError::Io { .. } | OvaError::Write(_) => CliError::environment(error.to_string()),
        _ => CliError::input(error.to_string()),
    }
}
