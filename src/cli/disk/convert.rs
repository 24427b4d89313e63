//! `forge disk convert`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{CliError, Exit, Format, Global, common, enter, pick, with_bar};
use crate::image::convert::{self, ConvertError, Converted, Target};
use crate::image::disk::DiskImage;
use crate::image::vmdk::{Adapter, WriteOptions};
use crate::model::Size;
use crate::sys::{Cancel, Entry, Whole};

/// Write a disk as another image; what is only zeros takes no room in it
#[derive(Args, Debug)]
pub(super) struct ConvertArgs {
    /// The image to read: VMDK, qcow2 with all it is laid over, raw, or an appliance (OVA) with a disk
    src: PathBuf,
    /// The image to write; `-` for standard output
    dst: PathBuf,
    /// The new image's format; none: by the name's ending
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<Format>,
    /// How hard to compress a vmdk: 1 (fastest) to 12, or `max`; 5 if nothing is said
    #[arg(short, long, value_name = "LEVEL", value_parser = level)]
    level: Option<u32>,
    /// Compress as fast as can be: `--level 1`
    #[arg(long, conflicts_with = "level")]
    fast: bool,
    /// Of an appliance with several disks, which: its number or its file's name
    #[arg(long, value_name = "N|NAME")]
    disk: Option<String>,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

fn level(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(level @ 1..=12) => Ok(level),
        _ if text == "max" => Ok(12),
        _ => Err("expected a number from 1 to 12, or `max`".to_owned()),
    }
}

/// Where the new image goes.
#[derive(Clone, Debug)]
enum Place {
    /// To a file that appears when it is whole.
    File(PathBuf),
    /// Into something that is no file and stays what it is: a pipe, `/dev/null`.
    Special(PathBuf),
    Stdout,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: ConvertArgs) -> Result<Exit, CliError> {
    let place = place(&args)?;
    let format = match args.format {
        Some(format) => format,
        None => by_name(&args.dst)?,
    };
    if format != Format::Vmdk && (args.fast || args.level.is_some()) {
        let option = if args.fast { "--fast" } else { "--level" };
        let message = format!("`{option}` is for a vmdk: nothing else is compressed");
        return Err(CliError::input(message));
    }
    if !matches!(place, Place::File(_)) && matches!(format, Format::VmdkSparse | Format::Qcow2) {
        let message = format!(
            "a {} cannot be written to a pipe: its tables stand before its data",
            name_of(format)
        );
        return Err(
            CliError::input(message).help("name a file, or take `--format vmdk` or `--format raw`")
        );
    }
    let image = pick::open(&args.src, args.disk.as_deref())?;
    if let Place::File(path) = &place {
        apart(path, &image)?;
    }
    let target = target(format, &args, &place, &image)?;
    let shown = Shown {
        global: global.clone(),
        format,
        place: place.clone(),
    };
    let total = image.source.size();
    let own = global.clone();
    let done = with_bar(global, "writing", total, move |progress, cancel| {
        write(&own, &place, &image, &target, progress, cancel)
    })?;
    match done {
        Ok(written) => shown.tell(&written),
        // Who reads from us has seen enough.
        Err(ConvertError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(why) => Err(error(&args, why)),
    }
}

fn error(args: &ConvertArgs, error: ConvertError) -> CliError {
    let (src, dst) = (args.src.display(), args.dst.display());
    match error {
        ConvertError::Read(e) if e.kind() == io::ErrorKind::InvalidData => {
            CliError::failed(format!("cannot read {src}: {e}")).help(format!(
                "`forge disk check {src}` tells all that is wrong with it"
            ))
        }
        ConvertError::Read(e) => CliError::environment(format!("cannot read {src}: {e}")),
        ConvertError::Write(e) => CliError::environment(format!("cannot write {dst}: {e}")),
        ConvertError::Unfit(what) => CliError::input(what),
        ConvertError::Cancelled => CliError::Message {
            exit: Exit::Interrupted,
            message: "interrupted; nothing is left behind".into(),
            help: Vec::new(),
        },
    }
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Vmdk => "vmdk",
        Format::VmdkSparse => "vmdk-sparse",
        Format::Qcow2 => "qcow2",
        Format::Raw => "raw",
    }
}

fn by_name(path: &Path) -> Result<Format, CliError> {
    let ending = path.extension().and_then(|e| e.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("vmdk") => Ok(Format::Vmdk),
        Some("qcow2") => Ok(Format::Qcow2),
        Some("raw" | "img") => Ok(Format::Raw),
        _ => {
            let message = if path.as_os_str() == "-" {
                "standard output has no name that tells its format".to_owned()
            } else {
                format!("the name {} does not tell its format", path.display())
            };
            Err(CliError::input(message)
                .help("say `--format vmdk`, `vmdk-sparse`, `qcow2` or `raw`"))
        }
    }
}

fn place(args: &ConvertArgs) -> Result<Place, CliError> {
    let path = &args.dst;
    if path.as_os_str() == "-" {
        if io::stdout().is_terminal() {
            return Err(CliError::input("a disk is not written to a terminal")
                .help("send standard output into a file or a program"));
        }
        return Ok(Place::Stdout);
    }
    let there = match std::fs::metadata(path) {
        Ok(there) => there,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Place::File(path.clone())),
        Err(e) => {
            return Err(CliError::input(format!(
                "cannot write {}: {e}",
                path.display()
            )));
        }
    };
    if there.is_dir() {
        return Err(CliError::input(format!(
            "{} is a directory",
            path.display()
        )));
    }
    if there.is_file() {
        if !args.force {
            return Err(
                CliError::input(format!("{} is there already", path.display()))
                    .help("`--force` replaces it"),
            );
        }
        // What a link points to is replaced, not the link.
        return Ok(Place::File(
            path.canonicalize().unwrap_or_else(|_| path.clone()),
        ));
    }
    if is_disk(&there) {
        return Err(
            CliError::input(format!("{} is a disk of this machine", path.display()))
                .help("if you mean it: `forge disk convert SRC - --format raw | dd of=… bs=1M`"),
        );
    }
    Ok(Place::Special(path.clone()))
}

#[cfg(unix)]
fn is_disk(there: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&there.file_type())
}

#[cfg(not(unix))]
fn is_disk(_: &std::fs::Metadata) -> bool {
    false
}

/// Refuses to replace a file that the image only refers to: others may be laid over it too.
fn apart(path: &Path, image: &DiskImage) -> Result<(), CliError> {
    let Ok(path) = path.canonicalize() else {
        return Ok(());
    };
    let mut others = image.files.iter().skip(1);
    let mut part = others.any(|other| other.canonicalize().is_ok_and(|other| other == path));
    part |= image
        .member
        .as_ref()
        .is_some_and(|member| member.lies_in(&path));
    if part {
        let message = format!("{} is a part of what is read", path.display());
        return Err(CliError::input(message).help("write to another file"));
    }
    Ok(())
}

fn target(
    format: Format,
    args: &ConvertArgs,
    place: &Place,
    image: &DiskImage,
) -> Result<Target, CliError> {
    let options = || -> Result<WriteOptions, CliError> {
        let identity = convert::identity(image.source.as_ref())
            .map_err(|e| error(args, ConvertError::Read(e)))?;
        let name = match place {
            Place::File(path) => path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or("disk.vmdk"),
            Place::Special(_) | Place::Stdout => "disk.vmdk",
        };
        let adapter = image.vmdk.as_ref().and_then(|vmdk| vmdk.adapter.as_deref());
        let options = WriteOptions::new(name, identity);
        Ok(WriteOptions {
            level: if args.fast {
                1
            } else {
                args.level.unwrap_or(options.level)
            },
            adapter: if adapter == Some("ide") {
                Adapter::Ide
            } else {
                Adapter::Scsi
            },
            ..options
        })
    };
    Ok(match format {
        Format::Vmdk => Target::Vmdk(options()?),
        Format::VmdkSparse => Target::VmdkSparse(options()?),
        Format::Qcow2 => Target::Qcow2,
        Format::Raw => Target::Raw,
    })
}

fn write(
    global: &Global,
    place: &Place,
    image: &DiskImage,
    target: &Target,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &Cancel,
) -> Result<Written, ConvertError> {
    let source = image.source.as_ref();
    let path = match place {
        Place::Stdout => {
            let mut out = Counted::new(io::stdout().lock());
            let converted = convert::to_stream(source, target, &mut out, progress, cancel)?;
            return Ok(Written::new(converted, out.count));
        }
        Place::Special(path) => {
            let out = File::options()
                .write(true)
                .open(path)
                .map_err(ConvertError::Write)?;
            let mut out = Counted::new(out);
            let converted = convert::to_stream(source, target, &mut out, progress, cancel)?;
            return Ok(Written::new(converted, out.count));
        }
        Place::File(path) => path,
    };
    let mut entered = None;
    let out = Whole::create(path, |name| {
        let paths = || Some(vec![std::path::absolute(name).ok()?]);
        entered = enter(global, || {
            Some(Entry::of_paths("half a disk image", paths()?))
        });
    })
    .map_err(ConvertError::Write)?;
    let converted = convert::to_file(source, target, out.file(), progress, cancel)?;
    let size = out.appear().map_err(ConvertError::Write)?;
    drop(entered);
    Ok(Written::new(converted, size))
}

/// What was written, and the bytes it takes.
struct Written {
    converted: Converted,
    size: Size,
}

impl Written {
    const fn new(converted: Converted, size: u64) -> Self {
        Self {
            converted,
            size: Size::from_bytes(size),
        }
    }
}

/// Counts what goes through.
struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W> Counted<W> {
    const fn new(inner: W) -> Self {
        Self { inner, count: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What is said at the end.
struct Shown {
    global: Global,
    format: Format,
    place: Place,
}

impl Shown {
    fn tell(&self, written: &Written) -> Result<Exit, CliError> {
        let Converted {
            capacity,
            populated,
            digest,
        } = &written.converted;
        let path = match &self.place {
            Place::File(path) | Place::Special(path) => path,
            // There is the disk itself.
            Place::Stdout => return Ok(Exit::Done),
        };
        let text = if self.global.json() {
            let report = json!({
                "file": path.display().to_string(),
                "format": name_of(self.format),
                "virtual_size": capacity.bytes(),
                "data": populated.map(Size::bytes),
                "file_size": written.size.bytes(),
                "sha256": digest.map(|digest| digest.to_string()),
            });
            format!("{report:#}\n")
        } else {
            let data = match populated {
                Some(data) => format!(", {data} of it data"),
                None => String::new(),
            };
            let digest = digest.map_or_else(String::new, |digest| format!("{digest}\n"));
            let (path, format) = (path.display(), name_of(self.format));
            format!(
                "{path}: {format}, {} for a disk of {capacity}{data}\n{digest}",
                written.size
            )
        };
        common::print(text.as_bytes())?;
        Ok(Exit::Done)
    }
}
