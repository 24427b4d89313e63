//! What a package is, in short: for people and as JSON.

use std::fmt;

use serde::Serialize;

use super::OvaError;
use super::archive::{Member, Package, has_extension};
use super::manifest::Manifest;
use crate::image::ovf::OvfError;
use crate::image::vmdk;
use crate::model::{Hardware, Size};

/// A package in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The machine's name.
    pub name: String,
    /// What it is.
    pub product: String,
    /// Who makes it.
    pub vendor: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// A note for people.
    pub annotation: Option<String>,
    /// The machine.
    pub hardware: Hardware,
    /// The disks, in the hardware's order.
    pub disks: Vec<DiskSummary>,
    /// Properties: key and value.
    pub properties: Vec<PropertySummary>,
    /// How many licenses must be accepted.
    pub licenses: usize,
    /// The files in order, with their sizes.
    pub files: Vec<FileSummary>,
    /// The manifest's algorithm; none without a manifest.
    pub manifest: Option<String>,
    /// Whether there is a signature.
    pub signed: bool,
    /// What of the hardware has no word here.
    pub notes: Vec<String>,
}

/// A disk in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskSummary {
    /// Its file; none for an empty disk.
    pub file: Option<String>,
    /// The disk's size.
    pub capacity: Size,
    /// Bytes that are not zeros, when the file tells.
    pub populated: Option<Size>,
    /// The file's size.
    pub size: Option<Size>,
}

/// A file in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: Size,
}

/// A property in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PropertySummary {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its type: `string`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether deployers may change it.
    pub user_configurable: bool,
    /// Whether it is shown as dots where it is asked for.
    pub password: bool,
}

impl Package {
    /// Reads the descriptor and the disks' headers.
    pub fn inspect(&self) -> Result<Summary, OvaError> {
        let appliance = self.descriptor()?.lower()?;
        let disks = appliance.disks.iter().map(|disk| {
            let name = disk.file.as_ref().map(|file| file.href.clone());
            let member = name.as_deref().and_then(|name| self.member(name));
            let reader = member.and_then(|m| vmdk::Reader::open(m.data.clone()).ok());
            DiskSummary {
                capacity: disk.capacity,
                populated: reader.map(|reader| reader.info().populated),
                size: member.map(|m| Size::from_bytes(m.data.len())),
                file: name,
            }
        });
        let properties = appliance.product.properties.iter();
        Ok(Summary {
            disks: disks.collect(),
            properties: properties
                .map(|p| PropertySummary {
                    key: p.key.clone(),
                    value: p.value.clone(),
                    kind: p.kind.clone(),
                    user_configurable: p.user_configurable,
                    password: p.password,
                })
                .collect(),
            name: appliance.name,
            product: appliance.product.name,
            vendor: appliance.product.vendor,
            version: appliance.product.version,
            annotation: appliance.annotation,
            hardware: appliance.hardware,
            licenses: appliance.eulas.len(),
            files: self
                .members
                .iter()
                .map(|member| FileSummary {
                    name: member.name.clone(),
                    size: Size::from_bytes(member.data.len()),
                })
                .collect(),
            manifest: self.manifest_algorithm(),
            signed: self.members.iter().any(|m| has_extension(&m.name, "cert")),
            notes: appliance.notes,
        })
    }

    /// The files of its disks, in the descriptor's order; disks that are empty have none.
    pub fn disks(&self) -> Result<Vec<&Member>, OvaError> {
        if let Some((offset, what)) = self.damage.clone() {
            return Err(OvaError::Damaged { offset, what });
        }
        let envelope = self.descriptor()?;
        let mut found = Vec::new();
        for disk in envelope.disks {
            let Some(id) = disk.file else { continue };
            let file = envelope.files.iter().find(|file| file.id == id);
            let file = file.ok_or_else(|| OvfError::Dangling {
                what: format!("the disk `{}`", disk.id),
                target: id.clone(),
            })?;
            let member = self.members.iter().find(|m| m.bare_name() == file.href);
            let member = member.or_else(|| self.member(&file.href));
            found.push(member.ok_or_else(|| {
                OvaError::Mismatch(format!("`{}` is not in the package", file.href))
            })?);
        }
        Ok(found)
    }

    fn manifest_algorithm(&self) -> Option<String> {
        let member = self.with_extension("mf")?;
        let bytes = member.read().ok()?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(&bytes));
        let first = manifest.entries.first()?;
        Some(first.algorithm.as_str().to_owned())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "name", &self.name)?;
        if !self.product.is_empty() {
            let parts = [Some(&self.product), self.version.as_ref()];
            let text: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            let by = self.vendor.as_ref().map(|v| format!(", by {v}"));
            line(f, "product", &(text.join(" ") + &by.unwrap_or_default()))?;
        }
        for text in self.annotation.iter().flat_map(|text| text.lines()) {
            line(f, "note", text)?;
        }
        self.machine(f)?;
        for property in &self.properties {
            let PropertySummary {
                key,
                value,
                kind: _,
                user_configurable,
                password: _,
            } = property;
            let open = match user_configurable {
                true => " (may be changed)",
                false => "",
            };
            line(f, "property", &format!("{key} = {value}{open}"))?;
        }
        if self.licenses > 0 {
            line(f, "licenses", &self.licenses.to_string())?;
        }
        for file in &self.files {
            line(f, "file", &format!("{}, {}", file.name, file.size))?;
        }
        line(f, "manifest", self.manifest.as_deref().unwrap_or("none"))?;
        if self.signed {
            line(f, "signature", "there is one")?;
        }
        for note in &self.notes {
            line(f, "left out", note)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "{name:<12}{value}")
}

impl Summary {
    fn machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hardware {
            cpus,
            cores_per_socket,
            memory,
            firmware,
            disks,
            nics,
            guest_id,
            hardware_version,
            // an OVF does not tell
            vsphere: _,
        } = &self.hardware;
        let guest = guest_id.as_deref().unwrap_or("no guest id");
        let text = format!(
            "{cpus} CPUs ({cores_per_socket} a socket), {memory} of memory, {firmware}, vmx-{hardware_version:02}, {guest}"
        );
        line(f, "machine", &text)?;
        for (disk, hardware) in self.disks.iter().zip(disks) {
            let file = match (&disk.file, disk.size) {
                (Some(file), Some(size)) => format!("{file}, {size}"),
                (Some(file), None) => format!("{file}, which is missing"),
                (None, _) => "empty".into(),
            };
            let used = disk.populated.map(|used| format!(" ({used} used)"));
            let used = used.unwrap_or_default();
            let (capacity, on) = (disk.capacity, hardware.controller);
            line(f, "disk", &format!("{capacity}{used} on {on}: {file}"))?;
        }
        for nic in nics {
            let text = format!("{} on `{}`", nic.adapter, nic.network);
            line(f, "network", &text)?;
        }
        Ok(())
    }
}
