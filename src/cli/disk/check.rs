//! `forge disk check`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::pick::{self, Input};
use super::{CliError, Exit, Global, common, disk_error, with_bar};
use crate::image::Progress;
use crate::image::disk::{self, DiskError, DiskReport, Packed};
use crate::image::vmdk::Problem;
use crate::sys::Cancel;

pub(super) fn run(
    global: &Global,
    path: &Path,
    chosen: Option<&str>,
    json: bool,
) -> Result<Exit, CliError> {
    let looked = match pick::find(path, chosen)? {
        Input::Image => {
            let total = std::fs::metadata(path).map_or(0, |file| file.len());
            let image = path.to_owned();
            let report = with_bar(global, "checking", total, move |progress, cancel| {
                disk::check(&image, progress, cancel)
            })?;
            report.map(|report| vec![Looked::new(path, None, report)])
        }
        Input::Appliance(disks) => {
            let total = disks.iter().map(|disk| disk.data.len()).sum();
            with_bar(global, "checking", total, move |progress, cancel| {
                check_all(&disks, progress, cancel)
            })?
        }
    };
    let looked = match looked {
        Ok(looked) => looked,
        Err(DiskError::Cancelled) => return Ok(Exit::Interrupted),
        Err(error) => return Err(disk_error(error)),
    };
    let ok = looked.iter().all(Looked::ok);
    let text = match &looked[..] {
        [only] if json && (only.name.is_none() || chosen.is_some()) => {
            format!("{:#}\n", only.json())
        }
        all if json => {
            let disks: Vec<Value> = all.iter().map(Looked::json).collect();
            let report = json!({"file": path.display().to_string(), "ok": ok, "disks": disks});
            format!("{report:#}\n")
        }
        all => all.iter().map(Looked::text).collect(),
    };
    common::print(text.as_bytes())?;
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn check_all(
    disks: &[Packed],
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Vec<Looked>, DiskError> {
    let mut before = 0;
    let mut looked = Vec::new();
    for disk in disks {
        let report = disk.check(&|at| progress(before + at), cancel)?;
        before += disk.data.len();
        looked.push(Looked::new(&disk.file, Some(&disk.name), report));
    }
    Ok(looked)
}

/// What was found in a disk.
struct Looked {
    file: PathBuf,
    /// Its name in the appliance.
    name: Option<String>,
    report: DiskReport,
}

impl Looked {
    fn new(file: &Path, name: Option<&str>, report: DiskReport) -> Self {
        Self {
            file: file.to_owned(),
            name: name.map(str::to_owned),
            report,
        }
    }

    fn ok(&self) -> bool {
        !self.report.problems.iter().any(|problem| problem.fatal)
    }

    fn json(&self) -> Value {
        let DiskReport {
            format,
            capacity,
            populated,
            problems,
        } = &self.report;
        let mut json = json!({
            "file": self.file.display().to_string(),
            "format": format,
            "ok": self.ok(),
            "virtual_size": capacity.bytes(),
            "data": populated.bytes(),
            "problems": problems.iter().map(problem_json).collect::<Vec<_>>(),
        });
        if let Some(name) = &self.name {
            json["name"] = name.as_str().into();
        }
        json
    }

    fn text(&self) -> String {
        let place = match &self.name {
            Some(name) => self.file.join(name),
            None => self.file.clone(),
        };
        let name = place.display();
        let mut text = String::new();
        for problem in &self.report.problems {
            let weight = if problem.fatal { "error" } else { "warning" };
            text.push_str(&format!(
                "{weight}: {name}, byte {}: {} [{}]\n",
                problem.offset, problem.message, problem.code
            ));
        }
        if self.ok() {
            text.push_str(&format!(
                "{name}: {} in order, {} of data on a disk of {}\n",
                self.report.format, self.report.populated, self.report.capacity
            ));
        }
        text
    }
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "offset": problem.offset,
        "code": problem.code,
        "message": problem.message,
        "fatal": problem.fatal,
    })
}
