//! Packages as they are found: the members of a tar file, or an `.ovf` with its files.

use std::path::Path;

use super::{OvaError, check_name};
use crate::image::ovf;
use crate::image::source::Window;

const BLOCK: u64 = 512;
/// How compressed files begin.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// A member has a few headers of its own at most.
const MOST_HEADERS: u32 = 8;
/// A package has a handful of files; chunked disks make it some hundreds.
const MOST_MEMBERS: usize = 10_000;
/// Long names and extended headers are short.
const MOST_META: u64 = 1 << 20;

/// The dialect of tar that a member is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What the specification asks for.
    Ustar,
    /// GNU tar's.
    Gnu,
    /// With extended headers in front.
    Pax,
    /// From before USTAR.
    Old,
    /// No tar at all: a file in a directory.
    Plain,
}

/// A file of a package.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name, as it stands.
    pub name: String,
    /// Its content.
    pub data: Window,
    /// How it is written.
    pub format: Format,
    /// What it is, when it is no file: `a symbolic link`.
    pub special: Option<&'static str>,
    /// Its size is written in GNU's binary form.
    pub binary_size: bool,
}

impl Member {
    /// All of a small file: a descriptor, a manifest, a signature.
    pub(super) fn read(&self) -> Result<Vec<u8>, OvaError> {
        let bytes = self.data.read_all(MOST_DESCRIPTOR);
        bytes.map_err(|source| OvaError::Io {
            path: self.name.clone().into(),
            source,
        })
    }

    /// Its name without a `./` in front.
    #[must_use]
    pub fn bare_name(&self) -> &str {
        self.name.trim_start_matches("./")
    }
}

/// A package opened for reading.
#[derive(Clone, Debug)]
pub struct Package {
    /// The members in order.
    pub members: Vec<Member>,
    /// Whether it is a tar file.
    pub archive: bool,
    /// What is wrong with the tar file as such; reading stopped there.
    pub damage: Option<(u64, String)>,
    /// Whether the blocks that end a tar file are there.
    pub terminated: bool,
}

impl Package {
    /// Opens an `.ova`, or an `.ovf` with the files that it names beside it.
    pub fn open(path: &Path) -> Result<Self, OvaError> {
        let failed = |source| OvaError::Io {
            path: path.to_owned(),
            source,
        };
        let window = Window::open(path).map_err(failed)?;
        let is_descriptor = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("ovf"));
        if is_descriptor {
            return Self::of_directory(path, window);
        }
        let mut magic = [0; 2];
        if window.read_exact_at(&mut magic, 0).is_ok() && magic == GZIP {
            return Err(OvaError::Damaged {
                offset: 0,
                what: "this is a gzip file, no tar file: unpack it with `gunzip` first".into(),
            });
        }
        let package = Self::of_archive(&window);
        match (&package.damage, package.members.is_empty()) {
            (Some((offset, what)), true) => Err(OvaError::Damaged {
                offset: *offset,
                what: what.clone(),
            }),
            _ => Ok(package),
        }
    }

    /// The members of a tar file, up to the first thing that makes no sense.
    #[must_use]
    pub fn of_archive(window: &Window) -> Self {
        let mut walk = Walk {
            window,
            position: 0,
            long_name: None,
            pax: false,
            pax_size: None,
            terminated: true,
        };
        let mut members = Vec::new();
        let damage = loop {
            match walk.next() {
                Ok(None) => break None,
                Ok(Some(member)) => members.push(member),
                Err(damage) => break Some(damage),
            }
            if members.len() > MOST_MEMBERS {
                break Some((walk.position, "there are too many files in it".to_owned()));
            }
        };
        Self {
            members,
            archive: true,
            damage,
            terminated: walk.terminated,
        }
    }

    fn of_directory(path: &Path, descriptor: Window) -> Result<Self, OvaError> {
        let failed = |path: &Path, source| OvaError::Io {
            path: path.to_owned(),
            source,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = |name: &str, data| Member {
            name: name.to_owned(),
            data,
            format: Format::Plain,
            special: None,
            binary_size: false,
        };
        let text = descriptor
            .read_all(MOST_DESCRIPTOR)
            .map_err(|e| failed(path, e))?;
        let mut members = vec![plain(&name, descriptor)];
        for extension in ["mf", "cert"] {
            let beside = path.with_extension(extension);
            if beside.is_file() {
                let data = Window::open(&beside).map_err(|e| failed(&beside, e))?;
                let name = beside.file_name().unwrap_or_default().to_string_lossy();
                members.push(plain(&name, data));
            }
        }
        for file in ovf::parse(&text)?.files {
            // A descriptor must not make us read files elsewhere.
            check_name(&file.href)?;
            let beside = path.with_file_name(&file.href);
            if beside.is_file() {
                let data = Window::open(&beside).map_err(|e| failed(&beside, e))?;
                members.push(plain(&file.href, data));
            }
        }
        Ok(Self {
            members,
            archive: false,
            damage: None,
            terminated: true,
        })
    }

    /// The member with this name; as VirtualBox does, case does not count.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|m| m.name.eq_ignore_ascii_case(name))
    }

    /// The first member with this extension.
    #[must_use]
    pub fn with_extension(&self, extension: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|m| has_extension(&m.name, extension))
    }

    /// The descriptor.
    pub fn descriptor(&self) -> Result<ovf::Envelope, OvaError> {
        let member = self.with_extension("ovf").ok_or(OvaError::NoDescriptor)?;
        Ok(ovf::parse(&member.read()?)?)
    }
}

/// The longest descriptor or manifest that is sensible.
const MOST_DESCRIPTOR: u64 = 16 << 20;

pub(super) fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, e)| e.eq_ignore_ascii_case(extension))
}

/// A walk over a tar file's headers.
struct Walk<'a> {
    window: &'a Window,
    position: u64,
    long_name: Option<String>,
    pax: bool,
    pax_size: Option<u64>,
    terminated: bool,
}

type Damage = (u64, String);

impl Walk<'_> {
    /// The next file; `None` at the end.
    fn next(&mut self) -> Result<Option<Member>, Damage> {
        let mut headers = 0;
        loop {
            let start = self.position;
            headers += 1;
            if headers > MOST_HEADERS {
                return Err((start, "there are too many headers before a file".to_owned()));
            }
            let damaged = |what: &str| (start, what.to_owned());
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let kind = header.entry_type();
            let said = header
                .entry_size()
                .map_err(|_| damaged("a size that is no number"))?;
            let size = self.pax_size.filter(|_| !is_meta(kind)).unwrap_or(said);
            let data = self
                .window
                .part(start + BLOCK, size)
                .ok_or_else(|| damaged("the file ends within a member"))?;
            let next = (start + BLOCK + size).checked_next_multiple_of(BLOCK);
            self.position = next.ok_or_else(|| damaged("a size beyond all measure"))?;
            if is_meta(kind) {
                self.meta(kind, &data).map_err(|what| (start, what))?;
                continue;
            }
            let name = match self.long_name.take() {
                Some(name) => name,
                None => String::from_utf8_lossy(&header.path_bytes()).into_owned(),
            };
            let format = if std::mem::take(&mut self.pax) {
                Format::Pax
            } else if header.as_gnu().is_some() {
                Format::Gnu
            } else if header.as_ustar().is_some() {
                Format::Ustar
            } else {
                Format::Old
            };
            self.pax_size = None;
            return Ok(Some(Member {
                name,
                data,
                format,
                special: special(kind),
                binary_size: header.as_old().size[0] & 0x80 != 0,
            }));
        }
    }

    /// The header at the position; `None` where the archive ends.
    fn header(&mut self) -> Result<Option<tar::Header>, Damage> {
        let start = self.position;
        let mut block = [0; BLOCK as usize];
        if start >= self.window.len() {
            self.terminated = false;
            return match start {
                0 => Err((0, "the file is empty".into())),
                _ => Ok(None),
            };
        }
        self.window
            .read_exact_at(&mut block, start)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    (start, "the file ends within a header".to_owned())
                }
                _ => (start, e.to_string()),
            })?;
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block).clone();
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, b)| {
                if (148..156).contains(&i) {
                    32
                } else {
                    u32::from(*b)
                }
            })
            .sum();
        if header.cksum().ok() != Some(sum) {
            let what = match start {
                0 => "this is no tar file",
                _ => "a header's checksum is wrong",
            };
            return Err((start, what.to_owned()));
        }
        Ok(Some(header))
    }

    /// Takes in a header that describes the next member.
    fn meta(&mut self, kind: tar::EntryType, data: &Window) -> Result<(), String> {
        let bytes = data.read_all(MOST_META).map_err(|e| e.to_string())?;
        if kind.is_gnu_longname() {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            self.long_name = Some(String::from_utf8_lossy(&bytes[..end]).into_owned());
        } else if kind.is_pax_local_extensions() {
            self.pax = true;
            for extension in tar::PaxExtensions::new(&bytes) {
                let extension = extension.map_err(|e| e.to_string())?;
                let value = String::from_utf8_lossy(extension.value_bytes()).into_owned();
                match extension.key_bytes() {
                    b"path" => self.long_name = Some(value),
                    b"size" => self.pax_size = Some(value.parse().map_err(|_| "a bad size")?),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn is_meta(kind: tar::EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

fn special(kind: tar::EntryType) -> Option<&'static str> {
    use tar::EntryType as T;
    match kind {
        T::Regular | T::Continuous => None,
        T::Link => Some("a hard link"),
        T::Symlink => Some("a symbolic link"),
        T::Directory => Some("a directory"),
        T::Char | T::Block | T::Fifo => Some("a device"),
        T::GNUSparse => Some("a sparse file of GNU tar"),
        _ => Some("of unknown kind"),
    }
}
