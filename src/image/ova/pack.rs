//! Writes a package: one thread copies (in the kernel where it can), one digests.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sha2::Digest as _;

use super::manifest::Manifest;
use super::{OvaError, check_name};
use crate::image::Progress;
use crate::image::ovf;
use crate::image::source::{CopyOutcome, Window};
use crate::model::{Digest, Size};
use crate::sys::Cancel;

const BLOCK: u64 = 512;
/// tar's record: files are padded to it.
const RECORD: u64 = 10 << 10;
/// What eleven octal digits can say.
const USTAR_MOST: u64 = (8 << 30) - 1;

/// What goes into a package.
#[derive(Clone, Debug)]
pub struct PackInput<'a> {
    /// The base name: `NAME.ovf`, `NAME.mf`.
    pub name: &'a str,
    /// The descriptor's text.
    pub descriptor: &'a str,
    /// The files that the descriptor refers to, in its order.
    pub files: &'a [PackFile],
    /// The time that all members get, in seconds since 1970.
    pub mtime: u64,
}

/// A file of a package.
#[derive(Clone, Debug)]
pub struct PackFile {
    /// Its name in the package.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its digest, when it is known; it is then not read for it.
    pub digest: Option<Digest>,
}

/// A package that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedOva {
    /// The package's size.
    pub size: Size,
    /// The package's digest.
    pub digest: Digest,
    /// The manifest in it.
    pub manifest: Manifest,
    /// What some importer will not like.
    pub warnings: Vec<String>,
}

enum Part {
    Bytes(Vec<u8>),
    File(PathBuf, Window),
}

/// Writes a package to the empty file `out`. `progress` counts the bytes of the package.
pub fn pack(
    input: &PackInput<'_>,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<PackedOva, OvaError> {
    let PackInput {
        name,
        descriptor,
        files,
        mtime,
    } = *input;
    let descriptor_name = format!("{name}.ovf");
    let manifest_name = format!("{name}.mf");
    check_names(&descriptor_name, &manifest_name, files)?;
    let windows = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    compare(descriptor, files, &windows)?;
    let mut digests = vec![(descriptor_name.as_str(), Digest::of(descriptor.as_bytes()))];
    for (file, window) in files.iter().zip(&windows) {
        let digest = match file.digest {
            Some(digest) => digest,
            None => digest_of(file, window, cancel)?,
        };
        digests.push((&file.name, digest));
    }
    let manifest = Manifest::of(digests);
    let mut warnings = Vec::new();
    let mut parts = Vec::new();
    member(&mut parts, &descriptor_name, descriptor.as_bytes(), mtime);
    member(
        &mut parts,
        &manifest_name,
        manifest.to_string().as_bytes(),
        mtime,
    );
    for (file, window) in files.iter().zip(windows) {
        warnings.extend(size_warning(&file.name, window.len()));
        parts.push(Part::Bytes(header(&file.name, window.len(), mtime)));
        let padding = window.len().next_multiple_of(BLOCK) - window.len();
        parts.push(Part::File(file.path.clone(), window));
        parts.push(Part::Bytes(vec![0; padding as usize]));
    }
    let size: u64 = parts.iter().map(Part::len).sum();
    let end = (size + 2 * BLOCK).next_multiple_of(RECORD);
    parts.push(Part::Bytes(vec![0; (end - size) as usize]));
    let digest = write_parts(&parts, out, progress, cancel)?;
    Ok(PackedOva {
        size: Size::from_bytes(end),
        digest,
        manifest,
        warnings,
    })
}

fn check_names(descriptor: &str, manifest: &str, files: &[PackFile]) -> Result<(), OvaError> {
    let mut seen = BTreeSet::new();
    let files = files.iter().map(|file| file.name.as_str());
    for name in [descriptor, manifest].into_iter().chain(files) {
        check_name(name)?;
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(OvaError::Name {
                name: name.to_owned(),
                why: "another file has this name (case does not count)",
            });
        }
    }
    Ok(())
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, window) => window.len(),
        }
    }
}

fn open(file: &PackFile) -> Result<Window, OvaError> {
    Window::open(&file.path).map_err(|source| OvaError::Io {
        path: file.path.clone(),
        source,
    })
}

/// The descriptor must list exactly these files, in this order, with their sizes.
fn compare(descriptor: &str, files: &[PackFile], windows: &[Window]) -> Result<(), OvaError> {
    let listed = ovf::parse(descriptor.as_bytes())?.files;
    if listed.len() != files.len() {
        return Err(OvaError::Mismatch(format!(
            "it lists {} files, there are {}",
            listed.len(),
            files.len()
        )));
    }
    for ((listed, file), window) in listed.iter().zip(files).zip(windows) {
        if listed.href != file.name {
            return Err(OvaError::Mismatch(format!(
                "it lists `{}` where `{}` comes",
                listed.href, file.name
            )));
        }
        if listed.size.is_some_and(|size| size != window.len()) {
            return Err(OvaError::Mismatch(format!(
                "it says {} bytes for `{}`, the file has {}",
                listed.size.unwrap_or_default(),
                file.name,
                window.len()
            )));
        }
    }
    Ok(())
}

fn digest_of(file: &PackFile, window: &Window, cancel: &Cancel) -> Result<Digest, OvaError> {
    let mut hash = sha2::Sha256::new();
    let outcome = window.for_each_piece(&mut |piece| {
        hash.update(piece);
        !cancel.is_cancelled()
    });
    match outcome {
        Ok(CopyOutcome::Whole) => Ok(Digest::from_bytes(hash.finalize().into())),
        Ok(CopyOutcome::Stopped) => Err(OvaError::Cancelled),
        Err(source) => Err(OvaError::Io {
            path: file.path.clone(),
            source,
        }),
    }
}

fn member(parts: &mut Vec<Part>, name: &str, bytes: &[u8], mtime: u64) {
    parts.push(Part::Bytes(header(name, bytes.len() as u64, mtime)));
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    parts.push(Part::Bytes(padded));
}

fn size_warning(name: &str, size: u64) -> Option<String> {
    (size > USTAR_MOST).then(|| {
        format!(
            "`{name}` is larger than 8GiB, beyond what plain tar can say; tools that know no GNU tar will refuse it"
        )
    })
}

fn header(name: &str, size: u64, mtime: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // `check_name` has seen to it that the name fits.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(size);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Copies and digests side by side: both read the sources, so neither waits for the other.
fn write_parts(
    parts: &[Part],
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Digest, OvaError> {
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let go_on = || !cancel.is_cancelled() && !failed.load(Ordering::Relaxed);
        let digester = scope.spawn(move || digest_parts(parts, progress, &go_on));
        let copied = copy_parts(parts, out, cancel);
        failed.store(copied.is_err(), Ordering::Relaxed);
        let digest = digester
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        copied?;
        digest
    })
}

fn digest_parts(
    parts: &[Part],
    progress: Progress<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Digest, OvaError> {
    let mut hash = sha2::Sha256::new();
    let mut done = 0;
    for part in parts {
        match part {
            Part::Bytes(bytes) => {
                hash.update(bytes);
                done += bytes.len() as u64;
            }
            Part::File(path, window) => {
                let outcome = window.for_each_piece(&mut |piece| {
                    hash.update(piece);
                    done += piece.len() as u64;
                    progress(done);
                    go_on()
                });
                finished(outcome, |source| OvaError::Io {
                    path: path.clone(),
                    source,
                })?;
            }
        }
    }
    progress(done);
    Ok(Digest::from_bytes(hash.finalize().into()))
}

fn copy_parts(parts: &[Part], mut out: &File, cancel: &Cancel) -> Result<(), OvaError> {
    for part in parts {
        match part {
            Part::Bytes(bytes) => out.write_all(bytes).map_err(OvaError::Write)?,
            Part::File(_, window) => {
                let outcome = window.copy_to(out, &mut |_| !cancel.is_cancelled());
                finished(outcome, OvaError::Write)?;
            }
        }
    }
    Ok(())
}

fn finished(
    outcome: io::Result<CopyOutcome>,
    error: impl FnOnce(io::Error) -> OvaError,
) -> Result<(), OvaError> {
    match outcome {
        Ok(CopyOutcome::Whole) => Ok(()),
        Ok(CopyOutcome::Stopped) => Err(OvaError::Cancelled),
        Err(e) => Err(error(e)),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::image::ova::Package;

    #[test]
    fn a_member_beyond_8_gib_is_told_and_readable() {
        let size = 9 << 30;
        assert_eq!(size_warning("d.vmdk", USTAR_MOST), None);
        let warning = size_warning("d.vmdk", size).unwrap();
        assert!(
            warning.starts_with("`d.vmdk` is larger than 8GiB"),
            "{warning}"
        );
        // The content is a hole, and so is the end of the archive.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&header("d.vmdk", size, 0)).unwrap();
        file.as_file().set_len(size + 3 * BLOCK).unwrap();
        let package = Package::of_archive(&Window::open(file.path()).unwrap());
        assert_eq!(package.damage, None);
        assert_eq!(package.members[0].data.len(), size);
        assert!(package.members[0].binary_size);
        let listing = Command::new("tar").arg("-tvf").arg(file.path()).output();
        let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
        assert!(listing.contains(&format!(" {size} ")), "{listing}");
    }

    #[test]
    fn a_full_disk_is_told() {
        let part = [Part::Bytes(vec![1; 4096])];
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_parts(&part, &full, &|_| {}, &Cancel::new()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("cannot write the ova: No space left"),
            "{message}"
        );
    }
}
