//! `forge disk info` and `forge disk check`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{CliError, Exit, Global, common, open, with_bar};
use crate::image::disk::{self, DiskFormat, DiskImage};
use crate::image::vmdk::Problem;
use crate::model::Size;

pub(super) fn info(path: &Path, json: bool) -> Result<Exit, CliError> {
    let image = open(path)?;
    let unreadable =
        |e: std::io::Error| CliError::failed(format!("cannot read {}: {e}", path.display()));
    let facts = Facts {
        data: image.data().map_err(unreadable)?,
        file_size: sum(&image, std::fs::Metadata::len).map_err(unreadable)?,
        allocated: sum(&image, allocated).map_err(unreadable)?,
        image,
    };
    let text = if json {
        format!("{:#}\n", facts.json())
    } else {
        facts.text()
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
    fn json(&self) -> Value {
        let files = self
            .image
            .files
            .iter()
            .map(|file| file.display().to_string());
        json!({
            "format": self.image.format,
            "virtual_size": self.image.source.size(),
            "data": self.data.bytes(),
            "file_size": self.file_size.bytes(),
            "allocated": self.allocated.bytes(),
            "ratio": self.ratio(),
            "files": files.collect::<Vec<_>>(),
            "vmdk": self.image.vmdk,
        })
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
        let mut text = first
            .iter()
            .map(|file| format!("{}\n", file.display()))
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

pub(super) fn check(global: &Global, path: PathBuf, json: bool) -> Result<Exit, CliError> {
    let total = std::fs::metadata(&path).map_or(0, |file| file.len());
    let file = path.clone();
    let report = with_bar(global, "checking", total, move |progress, cancel| {
        disk::check(&path, progress, cancel)
    })?;
    let report = match report {
        Ok(report) => report,
        Err(disk::DiskError::Cancelled) => return Ok(Exit::Interrupted),
        Err(error) => return Err(CliError::input(format!("cannot read {error}"))),
    };
    let wrong = report.problems.iter().any(|problem| problem.fatal);
    let text = if json {
        let problems: Vec<Value> = report.problems.iter().map(problem_json).collect();
        let report = json!({
            "file": file.display().to_string(),
            "format": report.format,
            "ok": !wrong,
            "virtual_size": report.capacity.bytes(),
            "data": report.populated.bytes(),
            "problems": problems,
        });
        format!("{report:#}\n")
    } else {
        let name = file.display();
        let mut text = String::new();
        for problem in &report.problems {
            let weight = if problem.fatal { "error" } else { "warning" };
            text.push_str(&format!(
                "{weight}: {name}, byte {}: {} [{}]\n",
                problem.offset, problem.message, problem.code
            ));
        }
        if !wrong {
            text.push_str(&format!(
                "{name}: {} in order, {} of data on a disk of {}\n",
                report.format, report.populated, report.capacity
            ));
        }
        text
    };
    common::print(text.as_bytes())?;
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "offset": problem.offset,
        "code": problem.code,
        "message": problem.message,
        "fatal": problem.fatal,
    })
}
