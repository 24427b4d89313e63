//! `kind = "pack-ova"`: an appliance of exported disks: OVF, manifest, OVA, checksum and a manifest for programs.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::export::{disk_file, disk_name, nvram_name};
use super::failure::{failure, io};
use super::resolve::Resolver;
use super::step::{optional, unreadable};
use super::{Host, outputs, upstream};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::image::ova::{self, OvaError, PackFile, PackInput, PackedOva, SignError, Signer};
use crate::image::ovf::{self, Deploy, Description, DiskFile, NvramFile, Product, Property};
use crate::model::{
    Algorithm, Artifact, Name, OvfVersion, PackOva, Signing, Size, StoredFile, Text, Variant,
};
use crate::store::{Place, Put, StoreError};
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
    let descriptor = descriptor(host, kind, &description, &context.output)?;
    let signer = kind
        .sign
        .as_ref()
        .map(|sign| signer(host, &resolver, sign))
        .transpose()?;
    context.output.step("packing");
    let staging = host.store.staging()?;
    let job = Job {
        name: name.clone(),
        descriptor,
        algorithm: kind.digest,
        signer,
        files: disks
            .iter()
            .map(|disk| (disk.file.href.clone(), &disk.stored))
            .chain(nvram.map(|stored| (format!("{name}.nvram"), stored)))
            .map(|(name, stored)| {
                Ok(PackFile {
                    name,
                    path: host.store.use_object(&stored.digest)?,
                    digest: Some(stored.digest),
                })
            })
            .collect::<Result<_, StoreError>>()?,
        to: staging.path().join("appliance.ova"),
        output: context.output.clone(),
        cancel: context.cancel.clone(),
    };
    let ova_path = job.to.clone();
    let (packed, descriptor) = tokio::task::spawn_blocking(move || job.run())
        .await
        .map_err(|e| failure(e.to_string()))??;
    for warning in &packed.warnings {
        context.output.warn(warning.clone());
    }
    let fields = resolver.map(&kind.manifest)?;
    let texts = Texts::new(&name, &descriptor, &packed, &description, &disks, &fields);
    publish(host, &name, (&disks, nvram), &packed, &ova_path, &texts)
}

/// The descriptor: forge's or the user's own, for the importers that are meant.
fn descriptor(
    host: &Host,
    kind: &PackOva,
    description: &Description,
    output: &Output,
) -> Result<String, StageFailure> {
    let written = match &kind.template {
        Some(file) => {
            let path = host.root.join(file);
            let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
            ovf::render(&text, description).map_err(|e| failure(format!("{file}: {e}")))?
        }
        None => ovf::write(description).map_err(|e| failure(e.to_string()))?,
    };
    for warning in &written.warnings {
        output.warn(warning.clone());
    }
    let mut text = written.text;
    if kind.variant == Variant::Virtualbox {
        let adapted = ovf::for_virtualbox(&text).map_err(|e| failure(e.to_string()))?;
        for change in adapted.changes {
            output.note(&format!("for VirtualBox: {change}"));
        }
        text = adapted.text;
    }
    match kind.ovf {
        OvfVersion::First => Ok(text),
        OvfVersion::Second => ovf::to_version_2(&text).map_err(|e| failure(e.to_string())),
    }
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
        .map(|property| self::property(resolver, property));
    let properties = properties.collect::<Result<_, StageFailure>>()?;
    let text = |text: &Option<Text>| optional(resolver, text.as_ref());
    let eulas = kind.eulas.iter().map(|text| resolver.text(text));
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
            vendor: text(&kind.vendor)?,
            version: Some(resolver.text(&kind.version)?),
            full_version: text(&kind.full_version)?,
            product_url: text(&kind.product_url)?,
            vendor_url: text(&kind.vendor_url)?,
            app_url: text(&kind.app_url)?,
            properties,
        },
        annotation: text(&kind.annotation)?,
        eulas: eulas.collect::<Result<_, StageFailure>>()?,
        deploy: Deploy {
            transports: kind.transports.clone(),
            hardware_versions: kind.hardware_versions.clone(),
            tpm: kind.tpm,
            class: text(&kind.class)?,
            instance: text(&kind.instance)?,
        },
    })
}

fn property(
    resolver: &Resolver<'_>,
    property: &crate::model::Property,
) -> Result<Property, StageFailure> {
    let text = |text: &Option<Text>| optional(resolver, text.as_ref());
    Ok(Property {
        key: property.key.clone(),
        value: resolver.text(&property.value)?,
        user_configurable: property.user_configurable,
        kind: property.kind.clone(),
        password: property.password,
        qualifiers: property.qualifiers.clone(),
        category: text(&property.category)?,
        label: text(&property.label)?,
        description: text(&property.description)?,
    })
}

/// The key and the certificate, from files of the project or from elsewhere.
fn signer(host: &Host, resolver: &Resolver<'_>, sign: &Signing) -> Result<Signer, StageFailure> {
    let read = |text| -> Result<(PathBuf, Vec<u8>), StageFailure> {
        let path = host.root.join(resolver.text(text)?);
        let bytes = std::fs::read(&path)
            .map_err(|e| failure(format!("cannot read {}: {e}", path.display())))?;
        Ok((path, bytes))
    };
    let (key_file, key) = read(&sign.key_file)?;
    let (certificate_file, certificate) = read(&sign.certificate)?;
    Signer::from_pem(&key, &certificate).map_err(|e| {
        let file = match e {
            SignError::Certificate(_) => certificate_file,
            _ => key_file,
        };
        failure(format!("{}: {e}", file.display()))
    })
}

struct Job {
    name: String,
    descriptor: String,
    algorithm: Algorithm,
    signer: Option<Signer>,
    files: Vec<PackFile>,
    to: PathBuf,
    output: Output,
    cancel: Cancel,
}

impl Job {
    /// What was packed, and its descriptor.
    fn run(self) -> Result<(PackedOva, String), ExecError> {
        let wrong = |error| match error {
            OvaError::Cancelled => ExecError::Cancelled,
            OvaError::Write(error) => io("write", &self.to, &error).into(),
            other => failure(other.to_string()).into(),
        };
        let file = File::create(&self.to).map_err(|e| io("write", &self.to, &e))?;
        let mut input = PackInput {
            algorithm: self.algorithm,
            signer: self.signer.as_ref(),
            ..PackInput::new(&self.name, &self.descriptor, &self.files, mtime())
        };
        // file systems that can do so share the disk's blocks
        let descriptor = ova::aligned(&input).map_err(wrong)?;
        input.descriptor = &descriptor;
        let progress = |done: u64| self.output.progress(done, None);
        let packed = ova::pack(&input, &file, &progress, &self.cancel).map_err(wrong)?;
        file.sync_all().map_err(|e| io("write", &self.to, &e))?;
        Ok((packed, descriptor))
    }
}

/// The time of a package's files, in seconds since 1970: `SOURCE_DATE_EPOCH`, or [`EPOCH`].
#[must_use]
pub fn mtime() -> u64 {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    said.and_then(|value| value.parse().ok()).unwrap_or(EPOCH)
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
        let mut texts = vec![
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
        ];
        if let Some(certificate) = &packed.certificate {
            let bytes = certificate.clone().into_bytes();
            texts.push(("cert", format!("{name}.cert"), bytes));
        }
        Self(texts)
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
