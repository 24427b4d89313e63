//! `qemu-img`: what an image is, new layers, and flattening a chain of layers.
//!
//! A chain is always named layer by layer (`json:` with an explicit `backing`): what stands in a layer's header is for
//! people only, as the store may have moved since it was written.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, BufReader};

use crate::model::Size;
use crate::provider::ProviderError;
use crate::sys::{Cancel, process};

/// How to install QEMU.
pub(super) const INSTALL_HELP: &str = "install it: `apt install qemu-system-x86 qemu-utils ovmf` (Debian, Ubuntu), \
     `dnf install qemu-kvm qemu-img edk2-ovmf` (Fedora, RHEL), `brew install qemu` (macOS)";

/// What `qemu-img info` tells of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The format, as QEMU names it.
    pub format: String,
    /// The size of the disk that the guest sees.
    pub virtual_size: Size,
    /// What it takes on the host's disk.
    pub actual_size: Size,
    /// What the header names as backing file.
    pub backing: Option<String>,
}

/// What a chain is flattened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlatFormat {
    /// A raw file with holes where nothing is.
    Raw,
    /// One qcow2 file without backing.
    Qcow2,
}

/// The program `qemu-img`.
#[derive(Clone, Debug)]
pub struct Img {
    program: PathBuf,
    run_id: String,
}

impl Img {
    /// Finds the program; `run_id` marks its processes.
    pub fn locate(run_id: &str) -> Result<Self, ProviderError> {
        process::find_program(&["qemu-img"])
            .map(|program| Self::at(&program, run_id))
            .ok_or_else(|| ProviderError::Environment {
                message: "`qemu-img` is not on the search path".to_owned(),
                help: INSTALL_HELP.to_owned(),
            })
    }

    /// The program at this path.
    #[must_use]
    pub fn at(program: &Path, run_id: &str) -> Self {
        Self {
            program: program.to_owned(),
            run_id: run_id.to_owned(),
        }
    }

    /// Its version: `7.2.22`.
    pub async fn version(&self) -> Result<String, ProviderError> {
        let text = self.run(&["--version".into()], &Cancel::new()).await?;
        Ok(version_in(&text))
    }

    /// What the image at `path` is; its format is probed unless given.
    pub async fn info(
        &self,
        path: &Path,
        format: Option<&str>,
    ) -> Result<ImageInfo, ProviderError> {
        // -U: a running machine may have it open
        let mut arguments: Vec<String> = vec!["info".into(), "-U".into(), "--output=json".into()];
        if let Some(format) = format {
            arguments.extend(["-f".into(), format.into()]);
        }
        arguments.push(utf8(path)?.to_owned());
        let text = self.run(&arguments, &Cancel::new()).await?;
        let info: Value = serde_json::from_str(&text)
            .map_err(|e| ProviderError::Failed(format!("`qemu-img info` answered no json: {e}")))?;
        let size = |key: &str| Size::from_bytes(info[key].as_u64().unwrap_or_default());
        Ok(ImageInfo {
            format: info["format"].as_str().unwrap_or("raw").to_owned(),
            virtual_size: size("virtual-size"),
            actual_size: size("actual-size"),
            backing: info["backing-filename"].as_str().map(str::to_owned),
        })
    }

    /// Makes an empty qcow2 layer at `path`. `backing` is written into the header for people; nobody follows it.
    pub async fn create(
        &self,
        path: &Path,
        size: Size,
        backing: Option<(&Path, &str)>,
    ) -> Result<(), ProviderError> {
        let mut arguments: Vec<String> = ["create", "-q", "-f", "qcow2"].map(String::from).into();
        if let Some((backing, format)) = backing {
            let name = backing.file_name().unwrap_or(backing.as_os_str());
            let name = utf8(Path::new(name))?;
            // -u: do not open it, it is named without its directory
            arguments.extend(["-u", "-b", name, "-F", format].map(String::from));
        }
        arguments.push(utf8(path)?.to_owned());
        arguments.push(size.bytes().to_string());
        self.run(&arguments, &Cancel::new()).await.map(drop)
    }

    /// Flattens the chain `layers` (qcow2, the base first) into `to`. `progress` gets thousandths.
    pub async fn convert(
        &self,
        layers: &[PathBuf],
        to: &Path,
        format: FlatFormat,
        progress: &(dyn Fn(u32) + Sync),
        cancel: &Cancel,
    ) -> Result<(), ProviderError> {
        let source = format!("json:{}", chain(layers)?);
        let format = match format {
            FlatFormat::Raw => "raw",
            FlatFormat::Qcow2 => "qcow2",
        };
        let arguments = [
            "convert",
            "-p",
            "-W",
            "-m",
            "8",
            "-t",
            "unsafe",
            "-O",
            format,
            &source,
            utf8(to)?,
        ];
        self.run_watched(&arguments.map(String::from), progress, cancel)
            .await
            .map(drop)
    }

    /// Checks a qcow2 layer by itself and gives back space that nothing leads to; any other damage is an error.
    pub async fn mend(&self, layer: &Path) -> Result<(), ProviderError> {
        let file = json!({ "driver": "file", "filename": utf8(layer)? });
        let node = json!({ "driver": "qcow2", "file": file, "backing": null });
        let source = format!("json:{node}");
        let arguments = ["check", "-q", "-r", "leaks", &source].map(String::from);
        self.run(&arguments, &Cancel::new()).await.map(drop)
    }

    async fn run(&self, arguments: &[String], cancel: &Cancel) -> Result<String, ProviderError> {
        self.run_watched(arguments, &|_| (), cancel).await
    }

    async fn run_watched(
        &self,
        arguments: &[String],
        progress: &(dyn Fn(u32) + Sync),
        cancel: &Cancel,
    ) -> Result<String, ProviderError> {
        let io_error = |source| ProviderError::Io {
            path: self.program.clone(),
            source,
        };
        let mut command = process::command(&self.program, &self.run_id);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = process::Group::spawn(&mut command).map_err(io_error)?;
        let stdout = group.child.stdout.take();
        let stderr = group.child.stderr.take();
        let work = async {
            let (output, errors) = tokio::join!(read(stdout, progress), read(stderr, &|_| ()));
            (output, errors, group.wait().await)
        };
        let (output, errors, status) = cancel.run(work).await.ok_or(ProviderError::Cancelled)?;
        let status = status.map_err(io_error)?;
        if status.success() {
            return Ok(output);
        }
        let verb = arguments.first().map_or("", String::as_str);
        let reason = errors.trim().trim_start_matches("qemu-img: ").to_owned();
        Err(ProviderError::Failed(format!(
            "`qemu-img {verb}` failed: {reason}"
        )))
    }
}

/// Reads everything, and tells the progress that `-p` prints as `(12.34/100%)`.
async fn read(
    source: Option<impl tokio::io::AsyncRead + Unpin>,
    progress: &(dyn Fn(u32) + Sync),
) -> String {
    let Some(source) = source else {
        return String::new();
    };
    let mut source = BufReader::new(source);
    let (mut all, mut block) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = source.read(&mut block).await {
        all.extend_from_slice(&block[..count]);
        if let Some(done) = progress_in(&String::from_utf8_lossy(&block[..count])) {
            progress(done);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The last progress that `text` tells, in thousandths.
fn progress_in(text: &str) -> Option<u32> {
    let (before, _) = text.rsplit_once("/100%)")?;
    let (_, number) = before.rsplit_once('(')?;
    let percent: f64 = number.trim().parse().ok()?;
    Some((percent * 10.0).round() as u32)
}

/// The version in what `--version` prints: `7.2.22`.
pub(super) fn version_in(text: &str) -> String {
    text.split_once("version ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap_or("unknown")
        .to_owned()
}

/// The chain `layers` (the base first) as a block device description to read from.
pub(super) fn chain(layers: &[PathBuf]) -> Result<Value, ProviderError> {
    let mut node = Value::Null;
    for layer in layers {
        node = json!({
            "driver": "qcow2",
            "read-only": true,
            "file": { "driver": "file", "filename": utf8(layer)?, "read-only": true },
            "backing": node,
        });
    }
    Ok(node)
}

/// QEMU takes paths as JSON strings, so they have to be text.
pub(super) fn utf8(path: &Path) -> Result<&str, ProviderError> {
    path.to_str().ok_or_else(|| {
        ProviderError::Failed(format!(
            "qemu cannot use the path `{}`: it is not UTF-8",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests;
