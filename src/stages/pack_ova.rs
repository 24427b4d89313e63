//! `kind = "pack-ova"`: an appliance of exported disks: OVF, manifest, OVA, checksum and a manifest for programs.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::export::{disk_file, disk_name, nvram_name};
use super::failure::{failure, io};
use super::resolve::Resolver;
use super::step::optional;
use super::{Host, outputs, upstream};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::image::ova::{self, OvaError, PackFile, PackInput, PackedOva};
use crate::image::ovf::{self, Description, DiskFile, NvramFile, Product, Property};
use crate::model::{Artifact, Name, PackOva, Size, StoredFile};
use crate::store::{Place, Put};
use crate::sys::Cancel;

/// The time of all members without `SOURCE_DATE_EPOCH`: the first one that every archive format can hold.
pub const EPOCH: u64 = 315_532_800;

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &PackOva,
) -> Result<Artifact, ExecError> {
    let resolver = Resolver::new(host, context);
    let name = resolver.text(&kind.name)?;
    check_name(&name)?;
    let exported = upstream(context)?;
    let disks = disks(exported, &name)?;
    context.output.step("writing the descriptor");
    let nvram = exported.files.get(&nvram_name()?);
    let description = describe(&resolver, kind, exported, &name, (&disks, nvram))?;
    let written = ovf::write(&description).map_err(|e| failure(e.to_string()))?;
    for warning in &written.warnings {
        context.output.warn(warning.clone());
    }
    context.output.step("packing");
    let staging = host.store.staging()?;
    let job = Job {
        name: name.clone(),
        descriptor: written.text.clone(),
        files: disks
            .iter()
            .map(|disk| (disk.file.href.clone(), &disk.stored))
            .chain(nvram.map(|stored| (format!("{name}.nvram"), stored)))
            .map(|(name, stored)| PackFile {
                name,
                path: host.store.path(&stored.digest),
                digest: Some(stored.digest),
            })
            .collect(),
        to: staging.path().join("appliance.ova"),
        output: context.output.clone(),
        cancel: context.cancel.clone(),
    };
    let ova_path = job.to.clone();
    let packed = tokio::task::spawn_blocking(move || job.run())
        .await
        .map_err(|e| failure(e.to_string()))??;
    for warning in &packed.warnings {
        context.output.warn(warning.clone());
    }
    let fields = resolver.map(&kind.manifest)?;
    let texts = Texts::new(&name, &written.text, &packed, &description, &disks, &fields);
    publish(host, &name, (&disks, nvram), &packed, &ova_path, &texts)
}

/// A disk as it enters the appliance.
struct PackedDisk {
    name: Name,
    stored: StoredFile,
    file: DiskFile,
}

fn check_name(name: &str) -> Result<(), StageFailure> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if !name.is_empty() && name.len() <= 80 && !name.starts_with('.') && name.chars().all(fine) {
        return Ok(());
    }
    Err(StageFailure {
        message: format!("`{name}` cannot be an appliance's name"),
        help: vec![
            "letters, digits, `-`, `_`, `.` and `+`, at most 80 of them, not beginning with a dot"
                .into(),
        ],
        ..StageFailure::default()
    })
}

fn disks(exported: &Artifact, name: &str) -> Result<Vec<PackedDisk>, StageFailure> {
    let mut disks = Vec::new();
    loop {
        let output = disk_name(disks.len())?;
        let Some(stored) = exported.files.get(&output) else {
            break;
        };
        let fact = |key: &str| -> Result<Size, StageFailure> {
            let value = exported
                .facts
                .get(&format!("{output}.{key}"))
                .and_then(|v| v.parse().ok());
            value
                .map(Size::from_bytes)
                .ok_or_else(|| failure(format!("the export does not tell the {key} of {output}")))
        };
        let file = DiskFile {
            href: disk_file(name, disks.len()),
            size: stored.size,
            capacity: fact("capacity")?,
            populated: fact("populated")?,
        };
        disks.push(PackedDisk {
            name: output,
            stored: stored.clone(),
            file,
        });
    }
    if disks.is_empty() {
        Err(failure("the export has left no disks"))
    } else {
        Ok(disks)
    }
}

fn describe(
    resolver: &Resolver<'_>,
    kind: &PackOva,
    exported: &Artifact,
    name: &str,
    (disks, nvram): (&[PackedDisk], Option<&StoredFile>),
) -> Result<Description, StageFailure> {
    let machine = exported
        .machine
        .as_ref()
        .ok_or_else(|| failure("the export does not tell its machine's hardware"))?;
    let properties = kind
        .properties
        .iter()
        .map(|property| {
            Ok(Property {
                key: property.key.clone(),
                value: resolver.text(&property.value)?,
                user_configurable: property.user_configurable,
                ..Property::default()
            })
        })
        .collect::<Result<_, StageFailure>>()?;
    Ok(Description {
        name: name.to_owned(),
        hardware: machine.hardware.clone(),
        disks: disks.iter().map(|disk| disk.file.clone()).collect(),
        nvram: nvram.map(|stored| NvramFile {
            href: format!("{name}.nvram"),
            size: stored.size,
        }),
        product: Product {
            name: resolver.text(&kind.product)?,
            vendor: optional(resolver, kind.vendor.as_ref())?,
            version: Some(resolver.text(&kind.version)?),
            properties,
        },
        annotation: optional(resolver, kind.annotation.as_ref())?,
        eula: optional(resolver, kind.eula.as_ref())?,
    })
}

struct Job {
    name: String,
    descriptor: String,
    files: Vec<PackFile>,
    to: PathBuf,
    output: Output,
    cancel: Cancel,
}

impl Job {
    fn run(self) -> Result<PackedOva, ExecError> {
        let file = File::create(&self.to).map_err(|e| io("write", &self.to, &e))?;
        let mtime = std::env::var("SOURCE_DATE_EPOCH")
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(EPOCH);
        let input = PackInput {
            name: &self.name,
            descriptor: &self.descriptor,
            files: &self.files,
            mtime,
        };
        let progress = |done: u64| self.output.progress(done, None);
        let packed = ova::pack(&input, &file, &progress, &self.cancel).map_err(|e| match e {
            OvaError::Cancelled => ExecError::Cancelled,
            OvaError::Write(error) => io("write", &self.to, &error).into(),
            other => failure(other.to_string()).into(),
        })?;
        file.sync_all().map_err(|e| io("write", &self.to, &e))?;
        Ok(packed)
    }
}

/// The small files beside the OVA, with their output names and file names.
struct Texts(Vec<(&'static str, String, Vec<u8>)>);

impl Texts {
    fn new(
        name: &str,
        descriptor: &str,
        packed: &PackedOva,
        description: &Description,
        disks: &[PackedDisk],
        fields: &[(String, String)],
    ) -> Self {
        let manifest = manifest(name, packed, description, disks, fields);
        let text = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
        Self(vec![
            ("ovf", format!("{name}.ovf"), descriptor.as_bytes().to_vec()),
            (
                "mf",
                format!("{name}.mf"),
                packed.manifest.to_string().into_bytes(),
            ),
            (
                "sha256",
                format!("{name}.ova.sha256"),
                format!("{}  {name}.ova\n", packed.digest).into_bytes(),
            ),
            ("manifest", "manifest.json".to_owned(), text.into_bytes()),
        ])
    }
}

fn manifest(
    name: &str,
    packed: &PackedOva,
    description: &Description,
    disks: &[PackedDisk],
    fields: &[(String, String)],
) -> Value {
    let disks: Vec<Value> = disks
        .iter()
        .map(|disk| {
            json!({
                "file": disk.file.href,
                "size": disk.file.size.bytes(),
                "sha256": disk.stored.digest.hex(),
                "capacity": disk.file.capacity.bytes(),
                "populated": disk.file.populated.bytes(),
            })
        })
        .collect();
    let custom: Map<String, Value> = fields
        .iter()
        .map(|(k, v)| (k.clone(), Value::String(v.clone())))
        .collect();
    json!({
        "name": name,
        "product": description.product.name,
        "version": description.product.version,
        "ova": { "file": format!("{name}.ova"), "size": packed.size.bytes(), "sha256": packed.digest.hex() },
        "disks": disks,
        "hardware": description.hardware,
        "custom": custom,
    })
}

fn publish(
    host: &Host,
    name: &str,
    (disks, nvram): (&[PackedDisk], Option<&StoredFile>),
    packed: &PackedOva,
    ova_path: &Path,
    texts: &Texts,
) -> Result<Artifact, ExecError> {
    let mut artifact = Artifact::default();
    let shown = |file: &str| format!("output/{name}/{file}");
    let output = |key: &str| Name::parse(key).map_err(|e| failure(e.to_string()));
    let ova = host.store.put_hashed(ova_path, &packed.digest, Put::Move)?;
    let ova = StoredFile {
        path: Some(shown(&format!("{name}.ova"))),
        ..ova
    };
    outputs::show(host, &ova, Place::Copy)?;
    artifact.files.insert(output("ova")?, ova);
    for (key, file, bytes) in &texts.0 {
        let stored = StoredFile {
            path: Some(shown(file)),
            ..host.store.put_bytes(bytes)?
        };
        outputs::show(host, &stored, Place::Copy)?;
        artifact.files.insert(output(key)?, stored);
    }
    for disk in disks {
        let stored = StoredFile {
            path: Some(shown(&disk.file.href)),
            ..disk.stored.clone()
        };
        // disks are large and nobody edits them: the store's own file, read-only, where the file system can link it
        outputs::show(host, &stored, Place::Link)?;
        artifact.files.insert(disk.name.clone(), stored);
    }
    if let Some(nvram) = nvram {
        let stored = StoredFile {
            path: Some(shown(&format!("{name}.nvram"))),
            ..nvram.clone()
        };
        outputs::show(host, &stored, Place::Copy)?;
        artifact.files.insert(nvram_name()?, stored);
    }
    Ok(artifact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_appliances_are_file_names() {
        assert!(check_name("k3s-mini-v1.0+dirty").is_ok());
        for bad in ["", ".hidden", "a/b", "a b", &"x".repeat(81)] {
            assert!(
                check_name(bad)
                    .unwrap_err()
                    .message
                    .contains("cannot be an appliance's name"),
                "{bad}"
            );
        }
    }
}
