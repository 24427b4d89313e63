//! `forge disk info`.

use std::path::Path;

use serde_json::{Value, json};

use super::pick::{self, Input};
use super::{CliError, Exit, common, disk_error};
use crate::image::disk::{self, DiskFormat, DiskImage};
use crate::model::Size;

pub(super) fn run(path: &Path, chosen: Option<&str>, json: bool) -> Result<Exit, CliError> {
    let images = match pick::find(path, chosen)? {
        Input::Image => vec![disk::open(path).map_err(disk_error)?],
        Input::Appliance(disks) => disks
            .iter()
            .map(|disk| disk.open().map_err(disk_error))
            .collect::<Result<_, _>>()?,
    };
    let facts = images.into_iter().map(Facts::of);
    let facts = facts
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(|e| CliError::failed(format!("cannot read {}: {e}", path.display())))?;
    let text = match &facts[..] {
        [only] if json && (only.image.member.is_none() || chosen.is_some()) => {
            format!("{:#}\n", only.json())
        }
        all if json => {
            let disks: Vec<Value> = all.iter().map(Facts::json).collect();
            let report = json!({"file": path.display().to_string(), "disks": disks});
            format!("{report:#}\n")
        }
        all => all.iter().map(Facts::text).collect(),
    };
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

struct Facts {
    image: DiskImage,
    data: Size,
    file_size: Size,
    allocated: Size,
}

fn sum(image: &DiskImage, of: impl Fn(&std::fs::Metadata) -> u64) -> std::io::Result<Size> {
    if let Some(member) = &image.member {
        return Ok(Size::from_bytes(member.data.len()));
    }
    let mut all = 0;
    for file in &image.files {
        all += of(&std::fs::metadata(file)?);
    }
    Ok(Size::from_bytes(all))
}

#[cfg(unix)]
fn allocated(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn allocated(file: &std::fs::Metadata) -> u64 {
    file.len()
}

impl Facts {
    fn of(image: DiskImage) -> std::io::Result<Self> {
        Ok(Self {
            data: image.data()?,
            file_size: sum(&image, std::fs::Metadata::len)?,
            allocated: sum(&image, allocated)?,
            image,
        })
    }

    fn json(&self) -> Value {
        let files = self
            .image
            .files
            .iter()
            .map(|file| file.display().to_string());
        let mut json = json!({
            "format": self.image.format,
            "virtual_size": self.image.source.size(),
            "data": self.data.bytes(),
            "file_size": self.file_size.bytes(),
            "allocated": self.allocated.bytes(),
            "ratio": self.ratio(),
            "files": files.collect::<Vec<_>>(),
            "vmdk": self.image.vmdk,
        });
        if let Some(member) = &self.image.member {
            json["name"] = member.name.as_str().into();
        }
        json
    }

    /// What the file takes of its data: only where it compresses.
    fn ratio(&self) -> Option<f64> {
        let compressed = self.image.vmdk.as_ref().is_some_and(|vmdk| vmdk.compressed);
        let ratio = self.file_size.bytes() as f64 / self.data.bytes() as f64;
        (compressed && self.data.bytes() > 0).then(|| (ratio * 1000.0).round() / 1000.0)
    }

    fn text(&self) -> String {
        let mut lines = vec![("format", self.format())];
        let size = Size::from_bytes(self.image.source.size());
        lines.push(("disk", format!("{size} ({} bytes)", size.bytes())));
        let grains = self.image.vmdk.as_ref().and_then(|vmdk| vmdk.grains);
        lines.push(match grains {
            Some(grains) => ("data", format!("{}, in {grains} grains", self.data)),
            None => ("data", self.data.to_string()),
        });
        let ratio = self.ratio().map_or_else(String::new, |ratio| {
            format!(", compressed to {:.0} %", ratio * 100.0)
        });
        let (taken, length) = (self.allocated, self.file_size);
        lines.push((
            "takes",
            format!("{taken} of the file system, {length} long{ratio}"),
        ));
        if let Some(vmdk) = &self.image.vmdk {
            for (name, value) in [("content id", &vmdk.cid), ("adapter", &vmdk.adapter)] {
                if let Some(value) = value {
                    lines.push((name, value.clone()));
                }
            }
        }
        let (first, others) = self.image.files.split_at(1);
        let over = match self.image.format {
            DiskFormat::Qcow2 => "laid over",
            DiskFormat::Vmdk | DiskFormat::Raw => "content in",
        };
        for file in others {
            lines.push((over, file.display().to_string()));
        }
        let member = self.image.member.as_ref().map(|member| &member.name);
        let mut text = first
            .iter()
            .map(|file| match member {
                Some(name) => format!("{}\n", file.join(name).display()),
                None => format!("{}\n", file.display()),
            })
            .collect::<String>();
        for (name, value) in lines {
            text.push_str(&format!("  {name:<12}{value}\n"));
        }
        text
    }

    fn format(&self) -> String {
        let mut text = self.image.format.to_string();
        if let Some(vmdk) = &self.image.vmdk {
            if let Some(kind) = &vmdk.create_type {
                text.push_str(&format!(", {kind}"));
            }
            if let Some(version) = vmdk.version {
                text.push_str(&format!(", version {version}"));
            }
            if vmdk.compressed {
                let end = vmdk.tables_at_end == Some(true);
                text.push_str(if end {
                    ", tables at the end"
                } else {
                    ", tables in front"
                });
            }
        }
        text
    }
}
