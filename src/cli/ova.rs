//! `forge ova`: appliances on their own, built by forge or not.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::common::{self, Global};
use super::half::enter;
use super::{CliError, Exit};
use crate::image::ova::{
    self, Importer, Manifest, ManifestPlace, Options, OvaError, PackFile, PackInput, Package,
    PackedOva, Signer, UnpackLimits,
};
use crate::image::ovf::{self, Envelope};
use crate::model::{Algorithm, Digest, Size};
use crate::stages::mtime;
use crate::sys::{Cancel, Entry};

/// Pack, unpack, inspect, verify and sign appliances, built by forge or not
#[derive(Args, Debug)]
pub(super) struct OvaArgs {
    #[command(subcommand)]
    command: OvaCommand,
}

#[derive(Debug, Subcommand)]
enum OvaCommand {
    /// Make an OVA of an OVF and the files that it names
    Pack(PackArgs),
    /// Write an OVA's files into a directory
    Unpack {
        /// The package
        ova: PathBuf,
        /// The directory; none: named like the package
        dir: Option<PathBuf>,
        /// The most that all files together may have
        #[arg(long, value_name = "SIZE", default_value = "256GiB")]
        max_size: String,
    },
    /// Show what an appliance says about itself
    Inspect {
        /// The package, or a descriptor with its files beside it
        ova: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check digests, signature, structure and disks, and say who would refuse or change what
    Verify(VerifyArgs),
    /// Sign an OVA, or the manifest beside an OVF
    Sign {
        /// The package, or a descriptor with its manifest beside it
        ova: PathBuf,
        #[command(flatten)]
        pair: Pair,
        /// Where the signed OVA goes; none: it replaces the package
        #[arg(short, long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct PackArgs {
    /// The descriptor, or a directory with one
    ovf: PathBuf,
    /// Where the OVA goes; none: beside the descriptor
    #[arg(short, long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// The manifest's digests
    #[arg(long, value_name = "ALGORITHM", default_value = "sha256", value_parser = ["sha256", "sha512"])]
    digest: String,
    /// Change the descriptor for this importer
    #[arg(long = "for", value_name = "IMPORTER", value_parser = ["vmware", "virtualbox"])]
    variant: Option<String>,
    /// Make the descriptor one of OVF 2, which few importers read; none: it stays what it is
    #[arg(long = "ovf", value_name = "VERSION", value_parser = ["2.0"])]
    version: Option<String>,
    /// Put the manifest at the end: each file is then read only once
    #[arg(long, conflicts_with = "consume")]
    manifest_last: bool,
    /// Make the OVA of the first disk's file where the file system can: nothing is copied, and that file is gone
    #[arg(long = "move")]
    consume: bool,
    /// Take the digests from the manifest beside the descriptor instead of reading the files for them
    #[arg(long)]
    keep_manifest: bool,
    /// Sign it with this RSA key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// The key's certificate (PEM), and those that lead to its authority
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct VerifyArgs {
    /// The package, or a descriptor with its files beside it
    ova: PathBuf,
    /// Only what concerns these importers; several with commas
    #[arg(long = "for", value_name = "IMPORTER", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(Importer::WORDS))]
    importers: Vec<String>,
    /// The certificates of the authorities that one trusts (PEM): the package must be signed, and lead to one of them
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Pair {
    /// The RSA key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's certificate (PEM), and those that lead to its authority
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

pub(super) fn run(global: &Global, args: OvaArgs) -> Result<Exit, CliError> {
    match args.command {
        OvaCommand::Pack(args) => pack(global, args),
        OvaCommand::Unpack { ova, dir, max_size } => unpack(global, &ova, dir, &max_size),
        OvaCommand::Inspect { ova, json } => inspect(&ova, json || global.json()),
        OvaCommand::Verify(args) => verify(&args, args.json || global.json()),
        OvaCommand::Sign { ova, pair, out } => sign(global, &ova, &pair, out),
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

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|e| CliError::input(format!("cannot read {}: {e}", path.display())))
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

fn verify(args: &VerifyArgs, json: bool) -> Result<Exit, CliError> {
    let VerifyArgs {
        ova: path,
        importers,
        ca_file,
        json: _,
    } = args;
    let mut options = Options::now();
    let importers = importers.iter().filter_map(|word| Importer::parse(word));
    options.importers = importers.flatten().copied().collect();
    if let Some(file) = ca_file {
        options
            .trust(&read(file)?)
            .map_err(|e| CliError::input(format!("{}: {e}", file.display())))?;
    }
    let report = open(path)?
        .verify(&options, &|_| {}, &Cancel::new())
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

fn unpack(
    global: &Global,
    path: &Path,
    dir: Option<PathBuf>,
    max_size: &str,
) -> Result<Exit, CliError> {
    let dir = dir.unwrap_or_else(|| path.with_extension(""));
    let size = Size::parse(max_size)
        .map_err(|e| CliError::input(format!("`--max-size {max_size}`: {e}")))?;
    let package = open(path)?;
    let absolute = || std::path::absolute(&dir).ok();
    let _entered = enter(global, || Some(Entry::of_temporaries(&absolute()?)));
    let files = package
        .unpack(&dir, UnpackLimits { size }, &|_| {}, &Cancel::new())
        .map_err(|e| {
            let error = ova_error(&e);
            match e {
                OvaError::TooLarge { .. } => error.help("`--max-size` allows more"),
                _ => error,
            }
        })?;
    let text: String = files
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// The descriptor itself, or the one in a directory.
fn descriptor_in(path: &Path) -> Result<PathBuf, CliError> {
    let is_ovf = |path: &Path| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("ovf"))
    };
    if !path.is_dir() {
        if is_ovf(path) || !path.exists() {
            return Ok(path.to_owned());
        }
        return Err(CliError::input(format!(
            "{} is no descriptor: its name does not end with `.ovf`",
            path.display()
        ))
        .help("`forge ova pack` takes an OVF and the files that it names"));
    }
    let entries = std::fs::read_dir(path)
        .map_err(|e| CliError::input(format!("cannot read {}: {e}", path.display())))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_ovf(path))
        .collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(CliError::input(format!(
            "there is no .ovf in {}",
            path.display()
        ))),
        (Some(_), others) => Err(CliError::input(format!(
            "there are {} .ovf in {}",
            others + 1,
            path.display()
        ))
        .help("name the one that is meant")),
    }
}

fn descriptor_of(ovf: &Path) -> Result<(String, Envelope), CliError> {
    let descriptor = std::fs::read_to_string(ovf)
        .map_err(|e| CliError::input(format!("cannot read {}: {e}", ovf.display())))?;
    let envelope = open(ovf)?
        .descriptor()
        .map_err(|e| CliError::input(format!("{}: {e}", ovf.display())))?;
    Ok((descriptor, envelope))
}

fn signer(key: &Path, certificate: &Path) -> Result<Signer, CliError> {
    let (pem, certificates) = (read(key)?, read(certificate)?);
    Signer::from_pem(&pem, &certificates).map_err(|e| {
        let file = match e {
            ova::SignError::Certificate(_) => certificate,
            _ => key,
        };
        let error = CliError::input(format!("{}: {e}", file.display()));
        match e {
            ova::SignError::Encrypted => {
                error.help("`openssl pkey -in KEY -out PLAIN` takes the passphrase off")
            }
            _ => error,
        }
    })
}

fn pack(global: &Global, args: PackArgs) -> Result<Exit, CliError> {
    let ovf = descriptor_in(&args.ovf)?;
    let (mut descriptor, envelope) = descriptor_of(&ovf)?;
    if args.variant.as_deref() == Some("virtualbox") {
        let adapted = ovf::for_virtualbox(&descriptor)
            .map_err(|e| CliError::input(format!("{}: {e}", ovf.display())))?;
        for change in adapted.changes {
            common::warn(&format!("for VirtualBox: {change}"));
        }
        descriptor = adapted.text;
    }
    if args.version.is_some() {
        descriptor = ovf::to_version_2(&descriptor)
            .map_err(|e| CliError::input(format!("{}: {e}", ovf.display())))?;
    }
    let files = files_of(&ovf, &envelope, args.keep_manifest)?;
    let name = ovf
        .file_stem()
        .and_then(|n| n.to_str())
        .ok_or_else(|| CliError::input("the descriptor's name is not UTF-8"))?;
    let signer = match (&args.key, &args.certificate) {
        (Some(key), Some(certificate)) => Some(signer(key, certificate)?),
        _ => None,
    };
    let input = PackInput {
        algorithm: match args.digest.as_str() {
            "sha512" => Algorithm::Sha512,
            _ => Algorithm::Sha256,
        },
        manifest: match args.manifest_last {
            true => ManifestPlace::End,
            false => ManifestPlace::Front,
        },
        signer: signer.as_ref(),
        ..PackInput::new(name, &descriptor, &files, mtime())
    };
    let out = args.out.unwrap_or_else(|| ovf.with_extension("ova"));
    let grown = match args.consume {
        true => grow(&input, &out)?,
        false => None,
    };
    let packed = match grown {
        Some(packed) => packed,
        None => {
            let packed = write(global, &out, |file| {
                ova::pack(&input, file, &|_| {}, &Cancel::new())
            })?;
            if let (true, Some(first)) = (args.consume, files.first()) {
                std::fs::remove_file(&first.path).map_err(|e| failed(&first.path, &e))?;
            }
            packed
        }
    };
    for warning in &packed.warnings {
        common::warn(warning);
    }
    told(&out, packed.digest, packed.size)
}

/// The files beside a descriptor; their digests as far as its manifest is to be believed.
fn files_of(
    ovf: &Path,
    envelope: &Envelope,
    keep_manifest: bool,
) -> Result<Vec<PackFile>, CliError> {
    let manifest = match keep_manifest {
        true => manifest_of(&ovf.with_extension("mf"))?,
        false => Manifest::default(),
    };
    let beside = ovf.parent().unwrap_or(Path::new(""));
    let known = |file: &str| {
        let entry = manifest.entry(file)?;
        Digest::parse(&entry.hex).ok()
    };
    let files = envelope.files.iter().map(|file| PackFile {
        name: file.href.clone(),
        path: beside.join(&file.href),
        digest: known(&file.href),
    });
    Ok(files.collect())
}

fn manifest_of(path: &Path) -> Result<Manifest, CliError> {
    let manifest = Manifest::parse(&String::from_utf8_lossy(&read(path)?));
    match manifest.bad_lines.first() {
        Some((line, why)) => Err(CliError::input(format!(
            "{}: {why}: `{line}`",
            path.display()
        ))),
        None => Ok(manifest),
    }
}

/// Lets the first disk's file become the package.
fn grow(input: &PackInput<'_>, out: &Path) -> Result<Option<PackedOva>, CliError> {
    let Some(first) = input.files.first() else {
        return Ok(None);
    };
    // what else has this content, the store for instance, must keep it
    if crate::sys::fs::has_other_names(&first.path) {
        return Ok(None);
    }
    let descriptor = ova::aligned(input).map_err(|e| ova_error(&e))?;
    let input = PackInput {
        descriptor: &descriptor,
        ..input.clone()
    };
    let file = File::options().read(true).write(true).open(&first.path);
    let file = file.map_err(|e| failed(&first.path, &e))?;
    let packed = ova::grow(&input, &file, &|_| {}, &Cancel::new()).map_err(|e| ova_error(&e))?;
    if packed.is_some() {
        std::fs::rename(&first.path, out).map_err(|e| {
            failed(out, &e).help(format!("the package is {}", first.path.display()))
        })?;
    }
    Ok(packed)
}

/// Writes a file under another name, so that it appears when it is whole.
fn write<T>(
    global: &Global,
    out: &Path,
    job: impl FnOnce(&File) -> Result<T, OvaError>,
) -> Result<T, CliError> {
    let temporary = temporary(out);
    let absolute = || Some(vec![std::path::absolute(&temporary).ok()?]);
    let mut entered = enter(global, || {
        Some(Entry::of_paths("half an appliance", absolute()?))
    });
    let file = File::create(&temporary).map_err(|e| failed(out, &e))?;
    let done = job(&file).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    });
    let done = done.map_err(|e| ova_error(&e))?;
    std::fs::rename(&temporary, out).map_err(|e| failed(out, &e))?;
    if let Some((guard, _)) = &mut entered {
        guard.keep_paths();
    }
    Ok(done)
}

fn sign(global: &Global, path: &Path, pair: &Pair, out: Option<PathBuf>) -> Result<Exit, CliError> {
    let signer = signer(&pair.key, &pair.certificate)?;
    let package = open(path)?;
    if !package.archive {
        if out.is_some() {
            let message = "`--out` is for packages; the signature of an OVF lies beside it";
            return Err(CliError::input(message));
        }
        let (name, text) = package
            .signature(&signer, &Cancel::new())
            .map_err(|e| ova_error(&e))?;
        let beside = path.with_file_name(name);
        std::fs::write(&beside, text).map_err(|e| failed(&beside, &e))?;
        common::print(format!("{}\n", beside.display()).as_bytes())?;
        return Ok(Exit::Done);
    }
    let out = out.unwrap_or_else(|| path.to_owned());
    let signed = write(global, &out, |file| {
        ova::sign(&package, &signer, mtime(), file, &|_| {}, &Cancel::new())
    })?;
    told(&out, signed.digest, signed.size)
}

fn told(out: &Path, digest: Digest, size: Size) -> Result<Exit, CliError> {
    let text = format!("{digest}  {}\n{size}\n", out.display());
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::environment(format!("cannot write {}: {error}", path.display()))
}

/// Where a file is written that is to be `path` when it is whole.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn ova_error(error: &OvaError) -> CliError {
    match error {
        OvaError::Io { .. } | OvaError::Write(_) => CliError::environment(error.to_string()),
        _ => CliError::input(error.to_string()),
    }
}
